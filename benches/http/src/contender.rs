//! What is measured: each contender in processes of its own, on one core, between the load
//! and the store.

mod envoy;
mod nginx;
mod weir;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use xtask::process::{Supervised, pause};
use xtask::{Result, servers};

use crate::signing::Key;

const START_LIMIT: Duration = Duration::from_secs(60);

/// What the load signs with.
pub(crate) const CLIENT: Key = Key {
    id: "WEIRBENCHCLIENT",
    secret: "a-secret-of-the-load-only",
};
/// What a contender that signs anew signs with.
const BACKEND: Key = Key {
    id: "WEIRBENCHBACKEND",
    secret: "a-secret-of-the-store-only",
};

/// Which contender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    Hyper,
    Nginx,
    Envoy,
    Weir,
    WeirLogging,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [
        Self::Hyper,
        Self::Nginx,
        Self::Envoy,
        Self::Weir,
        Self::WeirLogging,
    ];

    /// For people.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Hyper => "hyper, raw proxy",
            Self::Nginx => "nginx proxy_pass",
            Self::Envoy => "Envoy, Wasm + signing",
            Self::Weir => "Weir",
            Self::WeirLogging => "Weir, access log on",
        }
    }

    /// The access key under which its requests must reach the store.
    pub(crate) const fn upstream_key(self) -> &'static str {
        match self {
            Self::Hyper | Self::Nginx => CLIENT.id,
            Self::Envoy | Self::Weir | Self::WeirLogging => BACKEND.id,
        }
    }
}

/// Where everything is for a start.
pub(crate) struct Site<'a> {
    /// This bench's own scratch folder.
    pub(crate) folder: &'a Path,
    /// The store.
    pub(crate) upstream: SocketAddr,
    /// The gateway's binary.
    pub(crate) weir: &'a Path,
    /// Where indexes go.
    pub(crate) index: &'a Path,
    /// Core of the contenders.
    pub(crate) core: usize,
}

/// A running process that listens. It is killed when this value is dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    process: Supervised,
    log: PathBuf,
}

impl Running {
    /// Starts `command` on `core` and waits until it listens on `address`.
    pub(crate) fn start(
        command: Command,
        core: usize,
        address: SocketAddr,
        log: PathBuf,
    ) -> Result<Self> {
        let mut pinned = Command::new("taskset");
        pinned
            .args(["--cpu-list", &core.to_string()])
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => pinned.env(name, value),
                None => pinned.env_remove(name),
            };
        }
        let process = Supervised::start(pinned, &log)?;
        let mut running = Self {
            address,
            process,
            log,
        };
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Some(status) = running.process.try_wait()? {
                return Err(running.failed(&format!("ended: {status}")));
            }
            if start.elapsed() > START_LIMIT {
                return Err(running.failed(&format!("does not listen after {START_LIMIT:?}")));
            }
            pause(Duration::from_millis(20));
        }
        Ok(running)
    }

    /// The process group.
    pub(crate) fn group(&self) -> u32 {
        self.process.id()
    }

    fn failed(&self, what: &str) -> String {
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        format!("{}: {what}\n{said}", self.log.display())
    }
}

/// A contender at work.
pub(crate) struct Contender {
    pub(crate) kind: Kind,
    pub(crate) running: Running,
}

impl Contender {
    /// Starts `kind` at `site`.
    pub(crate) fn start(kind: Kind, site: &Site<'_>) -> Result<Self> {
        let running = match kind {
            Kind::Hyper => relay(site)?,
            Kind::Nginx => nginx::start(site)?,
            Kind::Envoy => envoy::start(site)?,
            Kind::Weir => weir::start(site, weir::AccessLog::Off)?,
            Kind::WeirLogging => weir::start(site, weir::AccessLog::On)?,
        };
        Ok(Self { kind, running })
    }
}

/// This very program in another role.
pub(crate) fn own_role(role: &str) -> Result<Command> {
    let program = std::env::current_exe().map_err(|e| format!("cannot find this program: {e}"))?;
    let mut command = Command::new(program);
    command.arg(role);
    Ok(command)
}

/// A free loopback address.
pub(crate) fn free_address() -> Result<SocketAddr> {
    let ports = servers::free_ports(1)?;
    Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, ports[0])))
}

fn relay(site: &Site<'_>) -> Result<Running> {
    let address = free_address()?;
    let mut command = own_role("relay")?;
    command.args([address.to_string(), site.upstream.to_string()]);
    Running::start(command, site.core, address, site.folder.join("hyper.log"))
}

/// Writes the file `path` from `template`, every `@NAME@` replaced by its value.
fn write_template(path: &Path, template: &str, values: &[(&str, &str)]) -> Result<()> {
    let filled = values
        .iter()
        .fold(template.to_owned(), |text, (name, value)| {
            text.replace(&format!("@{name}@"), value)
        });
    fs::write(path, filled).map_err(|e| format!("cannot write {}: {e}", path.display()))
}

/// A folder of `site` named `name`, made.
fn folder(site: &Site<'_>, name: &str) -> Result<PathBuf> {
    let folder = site.folder.join(name);
    fs::create_dir_all(&folder).map_err(|e| format!("cannot make {}: {e}", folder.display()))?;
    Ok(folder)
}
