//! The gateway as a whole, in process: operations in, outcomes out, over an index and
//! backends that can be killed, starved and corrupted.

mod background;
mod clock;
mod crash;
mod first_copy;
mod model;
mod multipart;
mod readers;
mod support;
