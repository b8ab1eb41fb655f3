//! The first-party policies, as components built into the gateway.
//! `cargo xtask plugins verify` ties them to their sources.

macro_rules! built {
    ($name:literal) => {
        include_bytes!(concat!("../../../plugins/built/", $name, ".wasm"))
    };
}

/// `cost`: the cheapest total of storage, requests and egress first.
pub const COST: &[u8] = built!("cost");

/// `geo`: preferred residencies first, then near regions.
pub const GEO: &[u8] = built!("geo");

/// `latency`: the nearest healthy copy first, with a hedge.
pub const LATENCY: &[u8] = built!("latency");

/// `mirror`: copies over distinct failure domains.
pub const MIRROR: &[u8] = built!("mirror");

/// `overflow-spill`: ordered spill between a low and a high water mark.
pub const OVERFLOW_SPILL: &[u8] = built!("overflow-spill");

/// `pack`: fill the backends in order.
pub const PACK: &[u8] = built!("pack");

/// `spread`: the least used by ratio first.
pub const SPREAD: &[u8] = built!("spread");

/// `tier`: size, age and storage class say where objects lie. Needs settings.
pub const TIER: &[u8] = built!("tier");

/// `weighted`: new objects are shared out by weights.
pub const WEIGHTED: &[u8] = built!("weighted");

/// The names of all, in alphabetical order.
pub const NAMES: &[&str] = &[
    "cost",
    "geo",
    "latency",
    "mirror",
    "overflow-spill",
    "pack",
    "spread",
    "tier",
    "weighted",
];

/// The component of a built-in policy: of each of [`NAMES`], and of nothing else.
#[must_use]
pub fn component(name: &str) -> Option<&'static [u8]> {
    match name {
        "cost" => Some(COST),
        "geo" => Some(GEO),
        "latency" => Some(LATENCY),
        "mirror" => Some(MIRROR),
        "overflow-spill" => Some(OVERFLOW_SPILL),
        "pack" => Some(PACK),
        "spread" => Some(SPREAD),
        "tier" => Some(TIER),
        "weighted" => Some(WEIGHTED),
        _ => None,
    }
}

/// Whether this is the component of a built-in policy, which is trusted as the gateway is.
pub(crate) fn contains(bytes: &[u8]) -> bool {
    let mut all = NAMES.iter().filter_map(|name| component(name));
    all.any(|component| component == bytes)
}
