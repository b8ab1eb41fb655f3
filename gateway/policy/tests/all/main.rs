//! The host with real components.

mod children;
mod deploy;
mod guest;
mod load;
mod replay;
mod storage;
mod support;
mod swap;
mod versions;
mod zoo;
