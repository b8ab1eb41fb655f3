//! The binary `weir`: command line, configuration, listeners, admin, metrics.
//!
//! [`serve`] starts a gateway from a [`config`]; [`site`] puts its parts together. Everything
//! that decides what happens to an object lies in `weir-core`.

pub mod access_log;
pub mod admin;
pub mod adopt;
pub mod backup;
pub mod cli;
mod client;
mod commands;
pub mod config;
pub mod decider;
pub mod error;
pub mod explain;
pub mod first_run;
pub mod grants;
pub mod in_words;
pub mod insurance;
pub mod listen;
pub mod logs;
pub mod metrics;
pub mod owner;
pub mod plugin;
pub mod policies;
pub mod problems;
mod process;
pub mod recording;
pub mod reload;
pub mod scrub;
pub mod secrets;
pub mod serve;
pub mod simulation;
pub mod site;
pub mod status;
pub mod verify;
pub mod watch;

pub use commands::run;

/// Version of this binary.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
