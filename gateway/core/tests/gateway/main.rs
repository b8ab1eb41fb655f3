//! The gateway as a whole, in process: operations in, outcomes out, over an index and
//! backends that can be killed, starved and corrupted.

mod any_answers;
mod background;
mod clock;
mod constraints;
mod copies;
mod crash;
mod first_copy;
mod model;
mod multipart;
mod overflow;
mod readers;
mod routing;
mod scrub;
mod support;
