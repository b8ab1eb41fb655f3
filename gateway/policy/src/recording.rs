//! A few inputs that a revision answered well, to probe it with when it is in
//! quarantine.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

use crate::api::{BackendState, PlacementInput, RequestFacts};

const KEPT_MAX: usize = 4;
/// Once the first are kept, one input in so many replaces an older one.
const OFFERED_PER_KEPT: u64 = 1024;

#[derive(Debug, Default)]
pub(crate) struct Recordings {
    offered: AtomicU64,
    kept: Mutex<Vec<Recording>>,
}

#[derive(Debug)]
struct Recording {
    facts_generation: u64,
    /// With empty strings; the real ones follow.
    request: RequestFacts<'static>,
    bucket: String,
    key: String,
    content_type: Option<String>,
    storage_class: Option<String>,
    tags: Vec<(String, String)>,
    principal: String,
    site: String,
    backends: Vec<BackendState>,
}

impl Recordings {
    /// Keeps the first inputs, and some of the later ones.
    pub(crate) fn offer(&self, input: &PlacementInput<'_>) {
        let offered = self.offered.fetch_add(1, Relaxed);
        let first = offered < KEPT_MAX as u64;
        if !first && !offered.is_multiple_of(OFFERED_PER_KEPT) {
            return;
        }
        let recording = Recording::of(input);
        let mut kept = self.kept.lock();
        if kept.len() < KEPT_MAX {
            kept.push(recording);
        } else {
            let oldest = (offered / OFFERED_PER_KEPT) as usize % KEPT_MAX;
            kept[oldest] = recording;
        }
    }

    /// Whether `good` holds for every kept input, or for `live` if none is
    /// kept. Ends at the first that it does not hold for.
    pub(crate) fn all_or(
        &self,
        live: &PlacementInput<'_>,
        mut good: impl FnMut(&PlacementInput<'_>) -> bool,
    ) -> bool {
        let kept = std::mem::take(&mut *self.kept.lock());
        if kept.is_empty() {
            return good(live);
        }
        let all = kept.iter().all(|recording| recording.replay(&mut good));
        *self.kept.lock() = kept;
        all
    }
}

impl Recording {
    fn of(input: &PlacementInput<'_>) -> Self {
        let request = &input.request;
        let RequestFacts {
            operation,
            size_bytes,
            copies,
            ack,
            now_ms,
            entropy,
            ..
        } = *request;
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self {
            facts_generation: input.facts_generation,
            request: RequestFacts {
                operation,
                size_bytes,
                copies,
                ack,
                now_ms,
                entropy,
                ..RequestFacts::default()
            },
            bucket: request.bucket.to_owned(),
            key: request.key.to_owned(),
            content_type: request.content_type.map(str::to_owned),
            storage_class: request.storage_class.map(str::to_owned),
            tags: request.tags.iter().map(owned).collect(),
            principal: request.principal.to_owned(),
            site: request.site.to_owned(),
            backends: input.backends.to_vec(),
        }
    }

    fn replay(&self, good: &mut impl FnMut(&PlacementInput<'_>) -> bool) -> bool {
        let tags: Vec<_> = self
            .tags
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        good(&PlacementInput {
            facts_generation: self.facts_generation,
            request: RequestFacts {
                bucket: &self.bucket,
                key: &self.key,
                content_type: self.content_type.as_deref(),
                storage_class: self.storage_class.as_deref(),
                tags: &tags,
                principal: &self.principal,
                site: &self.site,
                ..self.request
            },
            backends: &self.backends,
        })
    }
}
