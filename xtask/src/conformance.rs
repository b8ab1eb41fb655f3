//! The backend's conformance suite against real S3 servers.

use std::fs;
use std::process::Command;
use std::time::Duration;

use xtask::servers::{ACCESS_KEY, Kind, SECRET_KEY, Server};
use xtask::{Result, paths};

use crate::step::{self, Step};

/// The name of the step and of its log.
const NAME: &str = "conformance";
const LIMIT: Duration = Duration::from_secs(600);
const BUCKET: &str = "conformance";
/// Where the test lies that does it.
const TEST: &str = "s3::server_tests::real_servers_conform";

/// Who is tested, and with which known differences (see `Lenience` in the suite: each is
/// checked to be as it is known, not passed over).
const SERVERS: &[(Kind, &[&str])] = &[
    (Kind::SeaweedFs, &[]),
    (Kind::Rclone, &["parts-fixed"]),
    (Kind::JuiceFs, &[]),
    (Kind::Moto, &["unknown-upload-any-error"]),
];

/// Starts the servers, has the suite run on each, and ends them.
pub(crate) fn run() -> Result<()> {
    let folder = paths::fresh_folder(NAME)?;
    let mut servers = Vec::new();
    let mut endpoints = Vec::new();
    for (kind, differences) in SERVERS {
        let server = Server::start(*kind, &folder.join(kind.name()))?;
        let mut endpoint = format!("{}/{BUCKET}", server.endpoint());
        for difference in *differences {
            endpoint.push('#');
            endpoint.push_str(difference);
        }
        endpoints.push(endpoint);
        servers.push(server);
    }
    let mut command = Command::new(env!("CARGO"));
    command
        // All libraries, so that the features are those of the other steps.
        .args(["test", "--release", "--workspace", "--lib"])
        .args(["--", "--exact", TEST])
        .env("WEIR_TEST_S3_ENDPOINTS", endpoints.join(","))
        .env("WEIR_TEST_S3_ACCESS_KEY_ID", ACCESS_KEY)
        .env("WEIR_TEST_S3_SECRET_ACCESS_KEY", SECRET_KEY);
    step::run(Step {
        name: NAME,
        limit: LIMIT,
        command,
    })?;
    drop(servers);
    require_mentioned(&endpoints)?;
    fs::remove_dir_all(&folder).map_err(|e| format!("cannot remove {}: {e}", folder.display()))
}

/// A test that was renamed would be left out, and nothing would fail.
fn require_mentioned(endpoints: &[String]) -> Result<()> {
    let log = paths::scratch("log")?.join(format!("{NAME}.log"));
    let text = fs::read_to_string(&log).unwrap_or_default();
    let is_mentioned = |endpoint: &&String| {
        let address = endpoint.split('#').next().unwrap_or_default();
        text.contains(&format!("conformance of s3 on {address} "))
    };
    match endpoints.iter().find(|endpoint| !is_mentioned(endpoint)) {
        None => Ok(()),
        Some(endpoint) => Err(format!("{NAME}: nothing was tested on {endpoint}")),
    }
}
