//! What clients do with objects, one file per operation.

mod bucket;
mod copy;
mod delete;
mod get;
mod list;
pub mod multipart;
mod probe;
mod put;
pub(crate) mod read;
pub(crate) mod write;

use std::sync::Arc;

use weir_types::id::Principal;

use crate::observe::Trace;

pub(crate) use read::park::{Parking, run as park_stalled_reads};

/// Who asks, and where notes about the way are taken.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// The verified principal.
    pub principal: &'a Principal,
    /// The request's notes.
    pub trace: &'a Arc<Trace>,
}
