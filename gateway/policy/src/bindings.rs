//! Generated from `wit/`, a module for each version that is served. Only
//! [`crate::wire`] and the module that serves a guest's calls name these types.

// The generated implementations of Wasmtime's `Lower` and `Lift` are unsafe
// by signature; this module holds nothing else.
#![allow(unsafe_code, missing_docs, unreachable_pub, clippy::all)]

pub(crate) mod v0_1_0 {
    wasmtime::component::bindgen!({
        path: "../../wit/0.1.0",
        world: "placement-policy",
        ownership: Borrowing { duplicate_if_necessary: true },
        imports: { default: trappable },
    });
}

pub(crate) mod v0_2_0 {
    wasmtime::component::bindgen!({
        path: "../../wit/0.2.0",
        world: "policy",
        ownership: Borrowing { duplicate_if_necessary: true },
        imports: { default: trappable },
    });
}
