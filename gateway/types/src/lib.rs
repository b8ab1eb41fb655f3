//! What every part of Weir names: identifiers, records, errors, and the seams.
//!
//! Nothing here does work. The *seams* are the traits behind which everything
//! that is not pure lives: [`clock::Clock`], [`entropy::Entropy`],
//! [`backend::Backend`] and [`index::Index`]. No other code in the workspace
//! reads the time, draws randomness, or touches a disk or a network on behalf
//! of a request.
//!
//! Identifiers are parsed once, at the edge: a [`id::BucketName`] or
//! [`id::ObjectKey`] that exists is valid, so nobody checks it twice.

pub mod backend;
pub mod body;
pub mod checksum;
pub mod clock;
pub mod codec;
pub mod crash;
pub mod entropy;
pub mod error;
pub mod etag;
pub mod id;
pub mod index;
pub mod operation;
pub mod record;

pub use error::{Error, ErrorCode, Result};
