//! The gateway itself: what happens between a verified request and the backends.
//!
//! `core` knows the seams of [`weir_types`]; it never names a concrete backend, index, policy
//! engine or protocol. Start reading at [`pipeline`].

pub mod authorize;
pub mod backends;
pub mod decide;
pub mod front;
pub mod gateway;
mod ingest;
pub mod object;
pub mod observe;
pub mod pipeline;
pub mod replicate;
pub mod settings;
mod steady;

pub use gateway::{Gateway, Parts};
pub use settings::Settings;
