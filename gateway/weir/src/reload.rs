//! What changes while the gateway runs: credentials and grants, certificates, policies.
//!
//! Files are looked at every second. A broken one leaves what was in force in force, and the
//! reason on the status page.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::config::model::Config;
use crate::config::{self, Sources};
use crate::grants::RootCredential;
use crate::listen::tls::Certificate;
use crate::site::Site;
use crate::watch::Fingerprint;

/// How often files are looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// Looks at files in the background.
pub struct Reloader {
    stop: watch::Sender<bool>,
    now: mpsc::Sender<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Reloader {
    /// Starts looking.
    pub fn start(
        site: Arc<Site>,
        sources: Sources,
        start: Config,
        root: RootCredential,
        certificates: Vec<Arc<Certificate>>,
    ) -> Self {
        let (stop, mut stopped) = watch::channel(false);
        let (now, mut asked) = mpsc::channel::<oneshot::Sender<()>>(1);
        let seen = Seen {
            credentials: look(&site.config, &sources),
            certificates: certificates
                .iter()
                .map(|c| Fingerprint::of(c.files()))
                .collect(),
        };
        let current = site.config.clone();
        let mut looker = Looker {
            site,
            sources,
            start,
            current,
            root,
            certificates,
            seen,
        };
        let task = tokio::spawn(async move {
            loop {
                let asker = tokio::select! {
                    // A dropped sender means the same as a sent stop.
                    _ = async { stopped.wait_for(|stopped| *stopped).await.is_ok() } => return,
                    Some(asker) = asked.recv() => Some(asker),
                    () = tokio::time::sleep(INTERVAL) => None,
                };
                let forced = asker.is_some();
                // Files and compilers block.
                let looked = tokio::task::spawn_blocking(move || {
                    looker.look(forced);
                    looker
                });
                looker = match looked.await {
                    Ok(looker) => looker,
                    Err(error) => {
                        tracing::error!(%error, "reloading ended abnormally and has stopped");
                        return;
                    }
                };
                if let Some(asker) = asker {
                    // Whoever asked may have stopped waiting.
                    let _gone = asker.send(());
                }
            }
        });
        Self { stop, now, task }
    }

    /// Reads everything again now, whether it has changed or not; returns when that is done.
    pub async fn now(&self) {
        let (done, waiting) = oneshot::channel();
        if self.now.send(done).await.is_ok() {
            // An error means that reloading has ended abnormally, which was logged.
            let _ended = waiting.await;
        }
    }

    /// Stops looking.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "reloading ended abnormally");
        }
    }
}

struct Looker {
    site: Arc<Site>,
    sources: Sources,
    start: Config,
    /// Whose credentials are in force.
    current: Config,
    root: RootCredential,
    certificates: Vec<Arc<Certificate>>,
    seen: Seen,
}

struct Seen {
    credentials: Fingerprint,
    certificates: Vec<Fingerprint>,
}

impl Looker {
    fn look(&mut self, forced: bool) {
        let now = look(&self.current, &self.sources);
        if forced || now != self.seen.credentials {
            self.seen.credentials = now;
            self.reload_credentials();
        }
        for (certificate, seen) in self.certificates.iter().zip(&mut self.seen.certificates) {
            let now = Fingerprint::of(certificate.files());
            if forced || now != *seen {
                *seen = now;
                let what = format!("certificate {}", certificate.files()[0].display());
                match certificate.reload() {
                    Ok(()) => {
                        self.site.problems.clear(&what);
                        tracing::info!("{what} read again");
                    }
                    Err(error) => self.site.problems.set(&what, error.to_string()),
                }
            }
        }
        self.site.policies.reload_changed();
    }

    fn reload_credentials(&mut self) {
        let problems = &self.site.problems;
        let config = match config::load(&self.sources, self.start.clone()).valid() {
            Ok((config, _warnings)) => config,
            Err(findings) => {
                let lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
                return problems.set("configuration", lines.join("\n"));
            }
        };
        match self
            .site
            .access
            .set(&config, Some(&self.root), &self.sources)
        {
            Ok(count) => {
                problems.clear("configuration");
                tracing::info!(credentials = count, "credentials and grants read again");
            }
            Err(error) => return problems.set("configuration", error.to_string()),
        }
        // Secrets may stand in other files now; everything else takes a restart.
        let rest = |config: &Config| Config {
            credentials: Default::default(),
            ..config.clone()
        };
        if rest(&config) == rest(&self.site.config) {
            problems.clear("restart");
        } else {
            problems.set(
                "restart",
                "the configuration has changed beyond credentials; that takes a restart".into(),
            );
        }
        self.seen.credentials = look(&config, &self.sources);
        self.current = config;
    }
}

/// How the configuration's file and its secrets look.
fn look(config: &Config, sources: &Sources) -> Fingerprint {
    let secrets = config
        .credentials
        .values()
        .filter_map(|credential| credential.secret_file.clone());
    let files: Vec<PathBuf> = sources.file.iter().cloned().chain(secrets).collect();
    Fingerprint::of(files.iter().map(PathBuf::as_path))
}
