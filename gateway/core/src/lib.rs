//! The gateway itself: what happens between a verified request and the backends.
//!
//! `core` knows the seams of [`weir_types`] and the policy host; it never names a concrete
//! backend, index or protocol.

pub mod front;
