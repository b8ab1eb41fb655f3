//! The host from outside, with components that behave and ones that do not.

mod hostile;
mod load;
mod support;
mod swap;
