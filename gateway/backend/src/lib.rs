//! Where bytes lie: directories, S3-compatible endpoints, and memory for models.
//!
//! Each kind implements [`weir_types::backend::Backend`] and passes the same conformance
//! suite. [`open`] makes one from its configuration; [`Metered`] counts what passes through
//! one.

mod config;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod fs;
mod io_error;
#[cfg(any(test, feature = "sim"))]
pub mod memory;
mod metered;
pub mod s3;
mod secret;
#[cfg(any(test, feature = "sim"))]
pub mod sim;

pub use config::{BackendConfig, FsConfig, PayloadSigning, S3Config, open};
pub use metered::{MeterSnapshot, Metered, Operation, Outcome, RequestCount};
pub use secret::Secret;
