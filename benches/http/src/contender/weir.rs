//! The gateway itself: it checks the client's signature, authorizes, asks the policy for
//! every write, keeps the index, signs for the store, and checks every block it reads.

use std::fs;
use std::process::Command;

use xtask::Result;

use super::{BACKEND, CLIENT, Running, Site, folder, free_address, write_template};

/// Whether a line is written for every request.
#[derive(Clone, Copy)]
pub(super) enum AccessLog {
    On,
    Off,
}

pub(super) fn start(site: &Site<'_>, access_log: AccessLog) -> Result<Running> {
    let (name, filter) = match access_log {
        AccessLog::Off => ("weir", "info,weir::access=off"),
        AccessLog::On => ("weir-logging", "info"),
    };
    let (address, admin) = (free_address()?, free_address()?);
    let folder = folder(site, name)?;
    let data = site.index.join(name);
    fs::create_dir_all(&data).map_err(|e| format!("cannot make {}: {e}", data.display()))?;
    let config = folder.join("weir.toml");
    write_template(
        &config,
        include_str!("../../conf/weir.toml"),
        &[
            ("DATA", &data.display().to_string()),
            ("LISTEN", &address.to_string()),
            ("ADMIN", &admin.to_string()),
            ("FILTER", filter),
            ("UPSTREAM", &site.upstream.to_string()),
            ("BACKEND_BUCKET", &format!("{name}-store")),
            ("BACKEND_KEY", BACKEND.id),
            ("CLIENT_KEY", CLIENT.id),
        ],
    )?;
    let mut command = Command::new(site.weir);
    command
        .args(["serve", "--config"])
        .arg(config)
        .env("BENCH_BACKEND_SECRET", BACKEND.secret)
        .env("BENCH_CLIENT_SECRET", CLIENT.secret)
        // One worker, as for everybody else.
        .env("TOKIO_WORKER_THREADS", "1");
    Running::start(command, site.core, address, folder.join("weir.log"))
}
