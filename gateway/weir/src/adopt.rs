//! `weir backend adopt`: makes a backend this index's whose marker names another.

use std::fmt;

use weir_types::backend::{Backend, BackendError};
use weir_types::id::BackendId;
use weir_types::index::Index;

use crate::error::Failure;
use crate::owner::{Holder, Owned};
use crate::site::SiteBackend;

/// Copies of this index that are looked for on the backend before it is adopted.
const LOOKED_AT_MAX: usize = 100;

/// What is known before a backend changes hands.
#[derive(Debug, PartialEq, Eq)]
pub struct Prospect {
    backend: BackendId,
    holder: Holder,
    us: String,
    /// What this index says lies there.
    copies: u64,
    bytes: u64,
    /// How many of its copies were looked for, and found.
    looked_at: usize,
    found: usize,
}

impl Prospect {
    /// Looks at marker, index and backend, and changes nothing.
    pub async fn look(index: &dyn Index, backend: &SiteBackend) -> Result<Self, Failure> {
        let owner = &backend.owner;
        let failed = |error: BackendError| Failure::new(format!("backend {}: {error}", backend.id));
        let ledger = index.ledger().await.map_err(Failure::of)?;
        let used = ledger.into_iter().find(|(id, _)| *id == backend.id);
        let used = used.map(|(_, used)| used).unwrap_or_default();
        let copies = index.copies_on(&backend.id, None, LOOKED_AT_MAX);
        let copies = copies.await.map_err(Failure::of)?;
        let looked_at = copies.len();
        let mut found = 0;
        for (_, copy) in copies {
            let stored = owner.head(&copy.key).await.map_err(failed)?;
            found += usize::from(stored.is_some());
        }
        Ok(Self {
            backend: backend.id.clone(),
            holder: owner.holder().await.map_err(failed)?,
            us: owner.us(),
            copies: used.used_objects,
            bytes: used.used_bytes,
            looked_at,
            found,
        })
    }

    /// Whether there is anything to do.
    pub fn is_anothers(&self) -> bool {
        matches!(self.holder, Holder::Another(_))
    }

    /// Makes the backend ours, and notes it in the log.
    pub async fn adopt(&self, owner: &Owned) -> Result<(), Failure> {
        let (backend, holder, us) = (&self.backend, self.named(), &self.us);
        tracing::warn!(%backend, from = holder, to = us, "adopting a backend of another index");
        let failed = |error| Failure::new(format!("backend {backend}: {error}"));
        let stands = owner.holder().await.map_err(failed)?;
        if stands != self.holder {
            return Err(Failure::new(format!(
                "backend {backend}: the marker has changed since it was looked at; look again"
            )));
        }
        match owner.adopt().await.map_err(failed)? {
            Holder::Us => {
                tracing::warn!(%backend, from = holder, to = us, "backend adopted");
                Ok(())
            }
            Holder::Another(_) | Holder::Nobody => Err(Failure::new(format!(
                "backend {backend}: another gateway writes its marker there at this moment"
            ))),
        }
    }

    fn named(&self) -> &str {
        match &self.holder {
            Holder::Nobody => "nobody",
            Holder::Us => &self.us,
            Holder::Another(other) => other,
        }
    }
}

impl fmt::Display for Prospect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = &self.backend;
        writeln!(f, "backend {id}")?;
        writeln!(f, "  its marker names  {}", self.named())?;
        writeln!(f, "  this index is     {}", self.us)?;
        writeln!(
            f,
            "  this index knows  {} copies of {} bytes there; of {} looked at, {} are there",
            self.copies, self.bytes, self.looked_at, self.found
        )?;
        match self.holder {
            Holder::Us => writeln!(f, "It is ours: nothing is to be done."),
            Holder::Nobody => writeln!(
                f,
                "It belongs to nobody: it becomes ours when the gateway starts."
            ),
            Holder::Another(_) => writeln!(
                f,
                "To adopt it replaces the marker. From then on this gateway writes there, and \
                 deletes what its own index tells it to; what this index does not know stays \
                 (`weir index verify` lists it).\n\
                 See first that no gateway with the other index is at work, on any machine: it \
                 does not look at the marker again before its next start, which is then \
                 refused, and until then each of the two may delete what the other needs."
            ),
        }
    }
}
