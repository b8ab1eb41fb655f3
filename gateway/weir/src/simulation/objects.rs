//! Where objects lie, as recorded and as simulated, and what that costs.

use std::collections::BTreeMap;

use weir_policy::{Answer, BackendState, OwnedInput, StaticFacts, Verdict};

/// Bucket and key.
pub(super) type Key = (String, String);

/// The places of an object on one side.
pub(super) type Places = Vec<u32>;

/// One object, both ways. Places are indices of backends, the first copy first.
#[derive(Debug, Clone, Default)]
pub(super) struct Object {
    pub(super) bytes: u64,
    pub(super) before: Places,
    pub(super) after: Places,
}

/// Live objects, and what became of all of them.
#[derive(Debug)]
pub(super) struct Objects {
    live: BTreeMap<Key, Object>,
    /// Bytes by which each backend holds more than was recorded.
    shift: Vec<i128>,
    /// Objects that nothing can change any more.
    done: Vec<Object>,
}

impl Objects {
    pub(super) fn new(backends: usize) -> Self {
        Self {
            live: BTreeMap::new(),
            shift: vec![0; backends],
            done: Vec::new(),
        }
    }

    /// A new version: what the key held before is as it will stay.
    pub(super) fn put(&mut self, key: Key, object: Object) {
        self.count(&object, 1);
        if let Some(old) = self.live.insert(key, object) {
            self.count(&old, -1);
            self.done.push(old);
        }
    }

    /// Other places for what a key holds.
    pub(super) fn change(&mut self, key: &Key, change: impl FnOnce(&mut Object)) {
        let mut object = self.live.remove(key).unwrap_or_default();
        self.count(&object, -1);
        change(&mut object);
        self.count(&object, 1);
        self.live.insert(key.clone(), object);
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Object> {
        self.live.get(key)
    }

    fn count(&mut self, object: &Object, sign: i128) {
        let bytes = sign * i128::from(object.bytes);
        for (places, bytes) in [(&object.after, bytes), (&object.before, -bytes)] {
            for &place in places {
                if let Some(shift) = self.shift.get_mut(place as usize) {
                    *shift += bytes;
                }
            }
        }
    }

    /// The states of backends as they would be.
    pub(super) fn shifted(&self, states: &mut [BackendState]) {
        for (state, shift) in states.iter_mut().zip(&self.shift) {
            state.used_bytes = self::shifted(state.used_bytes, *shift);
        }
    }

    pub(super) fn shift(&self) -> &[i128] {
        &self.shift
    }

    /// Everything there was.
    pub(super) fn all(&self) -> impl Iterator<Item = &Object> {
        self.done.iter().chain(self.live.values())
    }
}

pub(super) fn shifted(bytes: u64, shift: i128) -> u64 {
    let moved = i128::from(bytes) + shift;
    u64::try_from(moved.max(0)).unwrap_or(u64::MAX)
}

/// Where `copies` copies of `bytes` go, of candidates in order: where writes are taken and there
/// is room.
pub(super) fn places(
    candidates: &[u32],
    copies: u32,
    bytes: u64,
    states: &[BackendState],
) -> Places {
    let takes = |candidate: &&u32| {
        let Some(state) = states.get(**candidate as usize) else {
            return false;
        };
        let taken = state.used_bytes.saturating_add(state.reserved_bytes);
        let room = state
            .limit_bytes
            .is_none_or(|limit| limit.saturating_sub(taken) >= bytes);
        state.writable && room
    };
    let takers = candidates.iter().filter(takes).copied();
    takers.take(copies as usize).collect()
}

/// Where an object goes that has no room where placement wanted it.
pub(super) fn spilled(
    verdict: &Verdict,
    copies: u32,
    bytes: u64,
    states: &[BackendState],
) -> Places {
    match verdict {
        Verdict::Spill(to) => places(to, copies, bytes, states),
        Verdict::MakeRoom { meanwhile, .. } => places(meanwhile, copies, bytes, states),
        Verdict::Refuse => Places::new(),
    }
}

/// The copies of an object after a replication decision.
pub(super) fn replicated(base: &[u32], answer: &Answer) -> Places {
    let Answer::Replication(answer) = answer else {
        return base.to_vec();
    };
    let added = answer.add.iter().map(|addition| addition.backend);
    let mut places = Places::new();
    for place in base.iter().copied().chain(added) {
        if !places.contains(&place) && !answer.drop.contains(&place) {
            places.push(place);
        }
    }
    places
}

/// The states in a question, to be changed.
pub(super) fn states_of(input: &mut OwnedInput) -> &mut Vec<BackendState> {
    match input {
        OwnedInput::Placement(input) => &mut input.backends,
        OwnedInput::Overflow(input) => &mut input.backends,
        OwnedInput::Replication(input) => &mut input.backends,
        OwnedInput::ReadRouting(input) => &mut input.backends,
    }
}

/// What it costs to keep an object at these places for a month, and to write it there: the
/// further copies are read from the first. In millionths of a millionth, so that small objects
/// do not vanish.
pub(super) fn keeping(bytes: u64, places: &[u32], facts: &StaticFacts) -> Costs {
    let mut costs = Costs::default();
    let gb = |price: u64| u128::from(price) * u128::from(bytes) / 1000;
    for (n, &place) in places.iter().enumerate() {
        let Some(backend) = facts.backends.get(place as usize) else {
            continue;
        };
        costs.storage_month += gb(backend.cost.storage_gb_month_micros);
        costs.requests += u128::from(backend.cost.write_thousand_micros) * 1000;
        let first = places
            .first()
            .and_then(|&first| facts.backends.get(first as usize));
        if let (true, Some(first)) = (n > 0, first) {
            costs.egress += gb(first.cost.egress_gb_micros);
            costs.requests += u128::from(first.cost.read_thousand_micros) * 1000;
        }
    }
    costs
}

/// What it costs to read so many bytes there.
pub(super) fn reading(bytes: u64, place: u32, facts: &StaticFacts) -> Costs {
    let Some(backend) = facts.backends.get(place as usize) else {
        return Costs::default();
    };
    Costs {
        storage_month: 0,
        requests: u128::from(backend.cost.read_thousand_micros) * 1000,
        egress: u128::from(backend.cost.egress_gb_micros) * u128::from(bytes) / 1000,
    }
}

/// Costs in millionths of a millionth of the currency unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Costs {
    pub(super) storage_month: u128,
    pub(super) requests: u128,
    pub(super) egress: u128,
}

impl Costs {
    pub(super) fn add(&mut self, other: Self) {
        self.storage_month += other.storage_month;
        self.requests += other.requests;
        self.egress += other.egress;
    }
}
