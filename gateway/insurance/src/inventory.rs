//! What lies on a backend, as its listing tells it.

use std::collections::{BTreeMap, BTreeSet};

use weir_types::backend::{Backend, BackendError};
use weir_types::id::SiteId;

use crate::name::{File, Place};

/// Keys per page of a listing.
const PAGE: usize = 1000;

/// Files of one place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// All of them, in their order.
    pub files: BTreeSet<File>,
}

/// A snapshot, by the names alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) number: u64,
    pub(crate) parts: u32,
    pub(crate) manifest: File,
}

impl Inventory {
    /// What lies under `prefix` on a backend, by place.
    pub(crate) async fn list(
        backend: &dyn Backend,
        site: &SiteId,
        prefix: &str,
    ) -> Result<BTreeMap<Place, Self>, BackendError> {
        let mut found: BTreeMap<Place, Self> = BTreeMap::new();
        let mut after: Option<String> = None;
        loop {
            let page = backend.list(prefix, after.as_deref(), PAGE).await?;
            for entry in &page.entries {
                if let Some((place, file)) = Place::parse(site, &entry.key) {
                    found.entry(place).or_default().files.insert(file);
                }
            }
            after = page.entries.last().map(|entry| entry.key.clone());
            if !page.more || after.is_none() {
                return Ok(found);
            }
        }
    }

    /// Snapshots of which every part lies there, the newest first.
    pub(crate) fn snapshots(&self) -> Vec<Listed> {
        let whole = self.files.iter().filter_map(|file| match file {
            File::Snapshot {
                number,
                parts,
                tried,
                ..
            } => {
                let has = |part| {
                    self.files.contains(&File::Part {
                        number: *number,
                        part,
                        tried: *tried,
                    })
                };
                (0..*parts).all(has).then_some(Listed {
                    number: *number,
                    parts: *parts,
                    manifest: *file,
                })
            }
            _ => None,
        });
        let mut whole: Vec<_> = whole.collect();
        whole.sort_by_key(|listed| std::cmp::Reverse(listed.number));
        whole
    }

    /// Segments by their first number.
    pub(crate) fn segments(&self) -> impl Iterator<Item = (u64, u64, File)> {
        self.files.iter().filter_map(|file| match file {
            File::Log { first, last, .. } => Some((*first, *last, *file)),
            _ => None,
        })
    }

    /// How far the log goes on after `number` without a gap, and the file that ends it.
    pub(crate) fn reach(&self, number: u64) -> (u64, Option<File>) {
        let mut reached = (number, None);
        // In the order of their first numbers: none that comes later can close a gap.
        for (first, last, file) in self.segments() {
            if first <= reached.0 + 1 && last > reached.0 {
                reached = (last, Some(file));
            }
        }
        reached
    }

    /// The greatest log number that any file names.
    pub(crate) fn greatest(&self) -> u64 {
        let numbers = self.files.iter().map(|file| match file {
            File::Part { number, .. } | File::Snapshot { number, .. } => *number,
            File::Log { last, .. } => *last,
        });
        numbers.max().unwrap_or(0)
    }
}
