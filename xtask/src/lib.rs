//! What the project's own commands are made of: child processes that never outlive their
//! owner, the Python tools that tests use, and real S3 servers on free loopback ports.
//!
//! The library half exists so that the end-to-end storms start servers exactly as
//! `cargo xtask servers` does.

pub mod paths;
pub mod process;
pub mod servers;
pub mod tools;

/// What every fallible step here answers: the message is for a person.
pub type Result<T, E = String> = std::result::Result<T, E>;
