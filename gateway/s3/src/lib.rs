//! The S3 front: authentication, decoding and encoding of Amazon S3's REST protocol.
//!
//! * `gate` verifies who sent a request (SigV4 in the header or the query) and unwraps
//!   its body (aws-chunked framing, chunk signatures, payload hashes).
//! * `decode` turns a verified request into an [`weir_types::operation::Operation`].
//! * `encode` spells an [`weir_types::operation::Outcome`] or error as a response.
//! * [`S3Front`] ties them together behind [`weir_core::front::Front`].
//!
//! What is understood, and what is answered 501, is listed in `docs/s3-compatibility.md`.

mod config;
mod decode;
mod encode;
mod front;
mod gate;
mod percent;

pub use config::{S3Config, S3Limits};
pub use decode::Rendering;
pub use front::S3Front;
pub use gate::{Credential, CredentialStore, Secret, Verified};
