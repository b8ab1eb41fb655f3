//! The background.
