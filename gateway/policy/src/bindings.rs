//! Generated from `wit/`. Only [`crate::wire`] and the modules that call or
//! serve a guest name these types.

// The generated implementations of Wasmtime's `Lower` and `Lift` are unsafe
// by signature; this module holds nothing else.
#![allow(unsafe_code, missing_docs, unreachable_pub, clippy::all)]

wasmtime::component::bindgen!({
    path: "../../wit/0.1.0",
    world: "placement-policy",
    ownership: Borrowing { duplicate_if_necessary: true },
    imports: { default: trappable },
});
