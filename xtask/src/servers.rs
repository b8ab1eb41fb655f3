//! Real S3 servers on free loopback ports, for use as backends in tests.

mod command;
mod detached;

use std::fmt;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::Result;
use crate::process::{Supervised, pause};
use crate::tools::Python;

pub use detached::{list, start_detached, stop_detached};

/// Access key of every server.
pub const ACCESS_KEY: &str = "WEIRTEST";
/// Secret key of every server.
pub const SECRET_KEY: &str = "weir-test-secret";

const START_LIMIT: Duration = Duration::from_secs(60);
const PROBE_LIMIT: Duration = Duration::from_secs(2);

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// SeaweedFS, all in one process.
    SeaweedFs,
    /// `rclone serve s3` on a directory.
    Rclone,
    /// The JuiceFS gateway on SQLite and files.
    JuiceFs,
    /// moto: in memory, checks no signatures.
    Moto,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::SeaweedFs, Self::Rclone, Self::JuiceFs, Self::Moto];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SeaweedFs => "seaweedfs",
            Self::Rclone => "rclone",
            Self::JuiceFs => "juicefs",
            Self::Moto => "moto",
        }
    }

    /// How many ports it listens on; the first is S3's.
    const fn ports(self) -> usize {
        match self {
            Self::SeaweedFs => 8,
            Self::JuiceFs => 2,
            Self::Rclone | Self::Moto => 1,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| {
                let known: Vec<_> = Self::ALL.iter().map(|kind| kind.name()).collect();
                format!("unknown server {name}; known are {}", known.join(", "))
            })
    }
}

/// A running server. It is killed when this value is dropped, and when this process ends in
/// any other way; its data stays.
#[derive(Debug)]
pub struct Server {
    kind: Kind,
    folder: PathBuf,
    ports: Vec<u16>,
    python: Python,
    process: Supervised,
}

impl Server {
    /// Starts a server with its data in `folder` and waits until it answers.
    pub fn start(kind: Kind, folder: &Path) -> Result<Self> {
        let python = Python::ensure()?;
        let ports = free_ports(kind.ports())?;
        let process = launch(kind, &python, folder, &ports)?;
        Ok(Self {
            kind,
            folder: folder.to_owned(),
            ports,
            python,
            process,
        })
    }

    /// Its S3 endpoint.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[0])
    }

    /// Which server it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Kills it at once (SIGKILL). The data stays for [`Server::restart`].
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on the same ports and data.
    pub fn restart(&mut self) -> Result<()> {
        self.process.kill();
        self.process = launch(self.kind, &self.python, &self.folder, &self.ports)?;
        Ok(())
    }

    /// The process, to freeze, thaw or watch.
    pub fn process(&mut self) -> &mut Supervised {
        &mut self.process
    }
}

fn launch(kind: Kind, python: &Python, folder: &Path, ports: &[u16]) -> Result<Supervised> {
    std::fs::create_dir_all(folder)
        .map_err(|e| format!("cannot make {}: {e}", folder.display()))?;
    let log = folder.join("server.log");
    command::prepare(kind, python, folder, &log)?;
    let mut process = Supervised::start(command::serve(kind, python, folder, ports), &log)?;
    let start = Instant::now();
    while !answers(ports[0]) {
        if process.try_wait()?.is_some() || start.elapsed() > START_LIMIT {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            return Err(format!(
                "{kind} does not answer on port {}\n{said}",
                ports[0]
            ));
        }
        pause(Duration::from_millis(50));
    }
    Ok(process)
}

/// Whether an HTTP server says anything on `port`.
fn answers(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let Ok(mut stream) = TcpStream::connect_timeout(&address, PROBE_LIMIT) else {
        return false;
    };
    let _ = stream.set_read_timeout(Some(PROBE_LIMIT));
    let request = format!("GET / HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n\r\n");
    let mut first = [0; 5];
    stream.write_all(request.as_bytes()).is_ok()
        && stream.read_exact(&mut first).is_ok()
        && &first == b"HTTP/"
}

/// Ports below those that systems give to outgoing connections (32768 and up on Linux, 49152
/// elsewhere): a port found free there stays free but for other listeners.
const PORTS: std::ops::Range<u32> = 12_000..32_000;

/// Distinct loopback ports that nobody listens on. Each process begins to look at another
/// place, so that parallel tests do not meet.
pub fn free_ports(count: usize) -> Result<Vec<u16>> {
    static LOOKED_AT: AtomicU32 = AtomicU32::new(0);
    let mut free = Vec::with_capacity(count);
    for _ in PORTS {
        if free.len() == count {
            return Ok(free);
        }
        let step = std::process::id().wrapping_mul(7919);
        let at = step.wrapping_add(LOOKED_AT.fetch_add(1, Ordering::Relaxed));
        let port = PORTS.start + at % (PORTS.end - PORTS.start);
        let port = u16::try_from(port).expect("the range ends below 65536");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            free.push(port);
        }
    }
    Err("no free port on 127.0.0.1".to_owned())
}
