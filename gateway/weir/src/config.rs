//! Configuration: what it may hold, how it is read, and what can be wrong with it.

pub mod check;
pub mod insurance;
pub mod load;
pub mod mistake;
pub mod model;
pub mod reference;
pub mod schema;
mod similar;
pub mod storage;
#[cfg(test)]
mod tests;
mod walk;

pub use load::{Loaded, Sources, load, locate};
pub use mistake::Finding;
pub use model::Config;
