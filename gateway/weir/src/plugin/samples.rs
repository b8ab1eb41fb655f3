//! Questions that nobody asked yet: varied states, the same in every run.

use weir_policy::{
    BackendState, CopyFacts, CopyState, DecisionKind, Excluded, Health, MonthUsage, Obstacle,
    Occasion, OwnedInput, OwnedObject, OwnedOverflow, OwnedPlacement, OwnedRead, OwnedReplication,
    OwnedRequest, OwnedRouting,
};

/// A moment in 2026; questions follow each other by a second.
const NOW_MS: u64 = 1_790_000_000_000;
const DAY_MS: u64 = 86_400_000;

/// `count` questions of a kind about so many backends; none where that kind makes no sense.
pub(super) fn samples(kind: DecisionKind, backends: usize, count: u64) -> Vec<OwnedInput> {
    let enough = if kind == DecisionKind::ReadRouting {
        backends >= 2
    } else {
        backends >= 1
    };
    let count = if enough { count } else { 0 };
    (0..count)
        .map(|at| Draws(at.wrapping_mul(0x9e37_79b9_7f4a_7c15)).sample(kind, backends, at))
        .collect()
}

/// Pseudo-random numbers (SplitMix64, public domain, by Sebastiano Vigna).
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn index(&mut self, backends: usize) -> u32 {
        u32::try_from(self.below(backends as u64)).unwrap_or(0)
    }

    fn sample(&mut self, kind: DecisionKind, backends: usize, at: u64) -> OwnedInput {
        let facts_generation = 0;
        let states = (0..backends).map(|_| self.state()).collect();
        match kind {
            DecisionKind::Placement => OwnedInput::Placement(OwnedPlacement {
                facts_generation,
                request: self.request(at),
                backends: states,
            }),
            DecisionKind::Overflow => {
                let obstacle = if self.one_in(2) {
                    Obstacle::Bytes
                } else {
                    Obstacle::MonthWrites
                };
                let excluded = Excluded {
                    backend: self.index(backends),
                    obstacle,
                    resets_at_ms: (obstacle == Obstacle::MonthWrites).then_some(NOW_MS + DAY_MS),
                };
                OwnedInput::Overflow(OwnedOverflow {
                    facts_generation,
                    request: self.request(at),
                    excluded: vec![excluded],
                    backends: states,
                })
            }
            DecisionKind::Replication => OwnedInput::Replication(OwnedReplication {
                facts_generation,
                object: self.object(at, backends),
                backends: states,
            }),
            DecisionKind::ReadRouting => OwnedInput::ReadRouting(OwnedRouting {
                facts_generation,
                read: self.read(at, backends),
                backends: states,
            }),
        }
    }

    fn state(&mut self) -> BackendState {
        let limit = 1 << 40;
        BackendState {
            used_bytes: self.below(limit + limit / 16),
            reserved_bytes: self.below(1 << 30),
            limit_bytes: (!self.one_in(4)).then_some(limit),
            objects: self.below(1 << 20),
            month: MonthUsage {
                writes: self.below(100_000),
                reads: self.below(100_000),
                ingress_bytes: self.below(1 << 40),
                egress_bytes: self.below(1 << 40),
            },
            health: match self.below(8) {
                0 => Health::Down,
                1 => Health::Degraded,
                _ => Health::Healthy,
            },
            writable: !self.one_in(8),
            latency_us: self.below(100_000) as u32,
            errors_permille: self.below(50) as u32,
            slots_used: self.below(17) as u32,
            slots_max: 16,
            copies_pending: self.below(100) as u32,
        }
    }

    fn request(&mut self, at: u64) -> OwnedRequest {
        OwnedRequest {
            bucket: "samples".to_owned(),
            key: format!("folder-{}/object-{at}", self.below(4)),
            size_bytes: (!self.one_in(4)).then(|| self.size()),
            content_type: self.one_in(2).then(|| "image/jpeg".to_owned()),
            storage_class: self.one_in(4).then(|| "GLACIER".to_owned()),
            tags: match self.one_in(4) {
                true => vec![("tier".to_owned(), "cold".to_owned())],
                false => Vec::new(),
            },
            principal: "author".to_owned(),
            site: "home".to_owned(),
            copies: 2,
            ack: 1,
            now_ms: NOW_MS + at * 1000,
            entropy: self.next(),
            ..OwnedRequest::default()
        }
    }

    fn object(&mut self, at: u64, backends: usize) -> OwnedObject {
        let now_ms = NOW_MS + at * 1000;
        let created_at_ms = now_ms - self.below(400 * DAY_MS);
        let copies = self.distinct(backends, 2).into_iter().map(|backend| {
            let state = if self.one_in(4) {
                CopyState::Suspect
            } else {
                CopyState::Good
            };
            CopyFacts {
                backend,
                state,
                written_at_ms: created_at_ms,
            }
        });
        let copies = copies.collect();
        OwnedObject {
            bucket: "samples".to_owned(),
            key: format!("folder-{}/object-{at}", self.below(4)),
            size_bytes: self.size(),
            storage_class: self.one_in(4).then(|| "GLACIER".to_owned()),
            created_at_ms,
            copies_wanted: 2,
            candidates: self.distinct(backends, backends),
            copies,
            occasion: match self.below(3) {
                0 => Occasion::Committed,
                1 => Occasion::Repair,
                _ => Occasion::Review,
            },
            now_ms,
            entropy: self.next(),
            ..OwnedObject::default()
        }
    }

    fn read(&mut self, at: u64, backends: usize) -> OwnedRead {
        let size_bytes = self.size();
        OwnedRead {
            bucket: "samples".to_owned(),
            key: format!("folder-{}/object-{at}", self.below(4)),
            size_bytes,
            length_bytes: self.below(size_bytes) + 1,
            principal: "author".to_owned(),
            site: "home".to_owned(),
            copies: self.distinct(backends, 3),
            now_ms: NOW_MS + at * 1000,
            entropy: self.next(),
            ..OwnedRead::default()
        }
    }

    /// From a byte to a gigabyte, all magnitudes alike.
    fn size(&mut self) -> u64 {
        let bits = self.below(30);
        1 + self.below(1 << (bits + 1))
    }

    /// So many different backends, or all.
    fn distinct(&mut self, backends: usize, count: usize) -> Vec<u32> {
        let mut all: Vec<u32> = (0..).take(backends).collect();
        for at in (1..all.len()).rev() {
            let other = self.below(at as u64 + 1) as usize;
            all.swap(at, other);
        }
        all.truncate(count);
        all
    }
}
