//! The gateway under test: the real binary, with a configuration of the storm's own.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use xtask::paths;
use xtask::process::Supervised;
use xtask::servers::{self, Server, free_ports};

use crate::Result;
use crate::client::Client;
use crate::sign::Signer;

const ACCESS_KEY: &str = "STORM";
const SECRET_KEY: &str = "storm-secret-of-no-importance";
const ADMIN_TOKEN: &str = "storm-admin-token-of-no-importance";
const REGION: &str = "us-east-1";
const START_LIMIT: Duration = Duration::from_secs(60);
const SETTLE_LIMIT: Duration = Duration::from_secs(300);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Metric: work not yet done.
const OUTBOX_DEPTH: &str = "weir_outbox_entries";

/// The gateway and its folder.
#[derive(Debug)]
pub(crate) struct Gateway {
    folder: PathBuf,
    s3_port: u16,
    admin_port: u16,
    process: Option<Supervised>,
}

impl Gateway {
    /// Writes a configuration for `backends` (TOML tables) with `limits` (lines of the table
    /// `limits`), and starts the gateway.
    pub(crate) async fn start(name: &str, backends: &str, limits: &str) -> Result<Self> {
        let folder = paths::fresh_folder(name)?;
        let ports = free_ports(2)?;
        let gateway = Self {
            folder,
            s3_port: ports[0],
            admin_port: ports[1],
            process: None,
        };
        private(&gateway.folder.join("secret"), SECRET_KEY)?;
        private(&gateway.folder.join("backend-secret"), servers::SECRET_KEY)?;
        private(&gateway.folder.join("admin-token"), ADMIN_TOKEN)?;
        let config = format!(
            "[s3]\nlisten = [\"127.0.0.1:{}\"]\nregion = \"{REGION}\"\n\n\
             [admin]\nlisten = \"127.0.0.1:{}\"\ntoken_file = \"admin-token\"\n\n\
             [log]\nfilter = \"info,weir::access=off\"\n\n\
             [credentials.storm]\naccess_key_id = \"{ACCESS_KEY}\"\nsecret_file = \"secret\"\n\
             grants = [{{ buckets = [\"*\"], actions = [\"all\"] }}]\n\n\
             [limits]\n{limits}\n\n{backends}",
            gateway.s3_port, gateway.admin_port
        );
        private(&gateway.folder.join("weir.toml"), &config)?;
        let mut gateway = gateway;
        gateway.restart().await?;
        Ok(gateway)
    }

    /// Tables for directory backends; their folders are beneath the gateway's.
    pub(crate) fn directories(ids: &[&str]) -> String {
        ids.iter().fold(String::new(), |mut text, id| {
            let _ = writeln!(text, "[backends.{id}]\nkind = \"fs\"\npath = \"{id}\"\n");
            text
        })
    }

    /// Tables for real servers, named after their ids.
    pub(crate) fn servers(all: &[(&str, &Server)], slots_max: usize) -> String {
        all.iter().fold(String::new(), |mut text, (id, server)| {
            let _ = writeln!(
                text,
                "[backends.{id}]\nkind = \"s3\"\nendpoint = \"{}\"\nbucket = \"{BACKEND_BUCKET}\"\n\
                 region = \"{REGION}\"\naccess_key_id = \"{}\"\nsecret_file = \"backend-secret\"\n\
                 slots_max = {slots_max}\nconnect_timeout_ms = 2000\n",
                server.endpoint(),
                servers::ACCESS_KEY,
            );
            text
        })
    }

    /// Starts the process, which does not run, and waits until it is ready.
    pub(crate) async fn restart(&mut self) -> Result<()> {
        let mut command = Command::new(paths::binary("weir"));
        command
            .args(["serve", "--config"])
            .arg(self.folder.join("weir.toml"))
            .current_dir(&self.folder);
        let mut process = Supervised::start(command, &self.log())?;
        let start = Instant::now();
        while self.admin("GET", "/readyz", None).await.is_err() {
            if let Some(status) = process.try_wait()? {
                return Err(format!("weir ended with {status}\n{}", self.log_tail()));
            }
            if start.elapsed() > START_LIMIT {
                return Err(format!("weir is not ready\n{}", self.log_tail()));
            }
            sleep(POLL_INTERVAL).await;
        }
        self.process = Some(process);
        Ok(())
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// The folder of the directory backend `id`.
    pub(crate) fn directory(&self, id: &str) -> PathBuf {
        self.folder.join(id)
    }

    /// Its configuration.
    pub(crate) fn config(&self) -> PathBuf {
        self.folder.join("weir.toml")
    }

    /// Removes its data folder, index and all, whether it runs or not.
    pub(crate) fn remove_data(&self) -> Result<()> {
        let data = self.folder.join("weir-data");
        fs::remove_dir_all(&data).map_err(|e| format!("cannot remove {}: {e}", data.display()))
    }

    /// A client of it.
    pub(crate) fn client(&self) -> Client {
        Client::new(Signer {
            access_key: ACCESS_KEY.to_owned(),
            secret_key: SECRET_KEY.to_owned(),
            region: REGION.to_owned(),
            host: format!("127.0.0.1:{}", self.s3_port),
        })
    }

    /// A request to the admin listener with the token; the answer's body if it is a success.
    pub(crate) async fn admin(
        &self,
        method: &str,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<String> {
        use http_body_util::BodyExt;
        let http =
            hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
                .build_http::<http_body_util::Full<bytes::Bytes>>();
        let request = http::Request::builder()
            .method(method)
            .uri(format!("http://127.0.0.1:{}{path}", self.admin_port))
            .header("authorization", format!("Bearer {ADMIN_TOKEN}"))
            .body(http_body_util::Full::from(body.unwrap_or_default()))
            .map_err(|e| format!("{method} {path}: {e}"))?;
        let answer = http
            .request(request)
            .await
            .map_err(|e| format!("{method} {path}: {e:?}"))?;
        let status = answer.status();
        let body = answer
            .into_body()
            .collect()
            .await
            .map_err(|e| format!("{method} {path}: {e}"))?;
        let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        if status.is_success() {
            Ok(text)
        } else {
            Err(format!("{method} {path}: {status} {text}"))
        }
    }

    /// Samples of the metric `name`: labels as written, and value.
    pub(crate) async fn metric(&self, name: &str) -> Result<Vec<(String, f64)>> {
        let text = self.admin("GET", "/metrics", None).await?;
        let samples = text.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let labels = series.strip_prefix(name)?;
            if !labels.is_empty() && !labels.starts_with('{') {
                return None;
            }
            Some((labels.to_owned(), value.parse().ok()?))
        });
        Ok(samples.collect())
    }

    /// The sum of the samples of `name` whose labels hold `label`.
    pub(crate) async fn sum(&self, name: &str, label: &str) -> Result<f64> {
        let samples = self.metric(name).await?;
        Ok(samples
            .iter()
            .filter(|(l, _)| l.contains(label))
            .map(|(_, value)| value)
            .sum())
    }

    /// Waits until nothing is left to do in the background.
    pub(crate) async fn settle(&self) -> Result<()> {
        let start = Instant::now();
        loop {
            let samples = self.metric(OUTBOX_DEPTH).await?;
            if samples.is_empty() {
                return Err(format!("no metric {OUTBOX_DEPTH}"));
            }
            let depth: f64 = samples.iter().map(|(_, value)| value).sum();
            if depth == 0.0 {
                return Ok(());
            }
            if start.elapsed() > SETTLE_LIMIT {
                return Err(format!(
                    "{depth} pieces of work are left\n{}",
                    self.log_tail()
                ));
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Memory in use now.
    pub(crate) fn resident_bytes(&self) -> Result<u64> {
        let process = self.process.as_ref().ok_or("the gateway does not run")?;
        let status = fs::read_to_string(format!("/proc/{}/status", process.id()))
            .map_err(|e| format!("no status of the gateway: {e}"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.map(|kib| kib * 1024).ok_or("no VmRSS".to_owned())
    }

    /// Removes its folder, data and all.
    pub(crate) fn remove(mut self) -> Result<()> {
        self.kill();
        fs::remove_dir_all(&self.folder)
            .map_err(|e| format!("cannot remove {}: {e}", self.folder.display()))
    }

    fn log(&self) -> PathBuf {
        self.folder.join("weir.log")
    }

    fn log_tail(&self) -> String {
        let text = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

/// The bucket that every real server's backend uses.
pub(crate) const BACKEND_BUCKET: &str = "weir-storm";

/// Makes [`BACKEND_BUCKET`] on a server that has just started, and a client of the server.
pub(crate) async fn backend_bucket(server: &Server) -> Result<Client> {
    let client = Client::new(Signer {
        access_key: servers::ACCESS_KEY.to_owned(),
        secret_key: servers::SECRET_KEY.to_owned(),
        region: REGION.to_owned(),
        host: server.endpoint().trim_start_matches("http://").to_owned(),
    });
    let start = Instant::now();
    // A server that answers may not yet be able to store anything.
    loop {
        let probe = format!("/{BACKEND_BUCKET}/probe");
        let made = client.create_bucket(BACKEND_BUCKET).await;
        let stored = match made {
            Ok(()) => {
                client
                    .put(&probe, bytes::Bytes::from_static(b"probe"))
                    .await
            }
            Err(failure) => Err(failure),
        };
        match stored {
            Ok(()) => {
                return client
                    .delete(&probe)
                    .await
                    .map(|()| client)
                    .map_err(String::from);
            }
            Err(failure) if start.elapsed() > START_LIMIT => {
                return Err(format!("{} stores nothing: {failure}", server.kind()));
            }
            Err(_) => sleep(POLL_INTERVAL).await,
        }
    }
}

fn private(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o600)))
        .map_err(|e| format!("cannot write {}: {e}", path.display()))
}
