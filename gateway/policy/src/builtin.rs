//! The first-party policies, as components built into the gateway.
//! `cargo xtask plugins verify` ties them to their sources.

/// `pack`: fill the backends in order.
pub const PACK: &[u8] = include_bytes!("../../../plugins/built/pack.wasm");

/// `spread`: the least used by ratio first.
pub const SPREAD: &[u8] = include_bytes!("../../../plugins/built/spread.wasm");

/// The component of a built-in policy.
#[must_use]
pub fn component(name: &str) -> Option<&'static [u8]> {
    match name {
        "pack" => Some(PACK),
        "spread" => Some(SPREAD),
        _ => None,
    }
}
