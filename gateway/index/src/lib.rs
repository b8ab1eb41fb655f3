//! The index of one site: the durable record of buckets, versions, blobs, copies and work.
//!
//! [`EmbeddedIndex`] keeps it in one file, [`MemoryIndex`] in memory for models and simulation.
//! Both are the same code over the [`store`] seam and obey the same rules, those of
//! [`weir_types::index`].
//!
//! # How a change becomes durable
//! Mutations wait in a bounded queue. One writer takes what is waiting, lays the mutations
//! over a snapshot one after the other (each wholly or, when refused, not at all), and commits
//! the sum in one transaction with one fsync; then all are answered. A commit that fails ends
//! the process, because what is on disk is unknown then: nothing is acknowledged on hope.
//!
//! # Format
//! Rows are written through [`weir_types::codec::Record`], each with the version of its type;
//! the layout of the tables has a version of its own ([`FORMAT_VERSION`]). A newer format is
//! refused, never guessed at. [`backup`] describes the format of backups.

mod apply;
mod audit;
pub mod backup;
mod commit;
mod engine;
mod file;
mod keys;
pub mod log;
mod open;
mod options;
mod query;
mod rows;
mod space;
pub mod store;
mod txn;

pub use audit::Audit;
pub use engine::{EmbeddedIndex, MemoryIndex, StoreIndex};
pub use open::{FORMAT_VERSION, OpenError};
pub use options::{CommitMode, FatalAction, IndexOptions};
pub use space::{DiskSpace, FreeSpace};

#[cfg(test)]
mod testing;
