//! `weir scrub`: the verification of copies, asked of a running gateway.

use bytes::Bytes;
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Ended, online};
use crate::cli::ScrubCommand;

pub(super) fn run(command: ScrubCommand) -> Ended {
    let (method, target, remote) = match &command {
        ScrubCommand::Status(remote) => (Method::GET, "/v1/scrub".to_owned(), remote),
        ScrubCommand::Start { backend, remote } => {
            (Method::POST, target("start", backend.as_deref()), remote)
        }
        ScrubCommand::Stop { backend, remote } => {
            (Method::POST, target("stop", backend.as_deref()), remote)
        }
    };
    online(remote, method, &target, Bytes::new())
}

fn target(order: &str, backend: Option<&str>) -> String {
    let backend = backend.map_or_else(String::new, |id| {
        format!("?backend={}", utf8_percent_encode(id, NON_ALPHANUMERIC))
    });
    format!("/v1/scrub/{order}{backend}")
}
