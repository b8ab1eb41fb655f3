//! What changes while the gateway runs: credentials and grants, certificates, policies.
//!
//! Files are looked at every second. A broken one leaves what was in force in force, and the
//! reason on the status page.

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
            file: look_at_file(&sources),
            secrets: look_at_secrets(&site.config),
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
            retry: false,
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
    /// What was read last had mistakes. The cause may lie in a file that is not looked at, such
    /// as a secret that is still to be written, so it is read again until it has none.
    retry: bool,
}

/// How files looked before they were read: what changes while it is read is read again.
struct Seen {
    file: Fingerprint,
    secrets: Fingerprint,
    certificates: Vec<Fingerprint>,
}

impl Looker {
    fn look(&mut self, forced: bool) {
        let file = look_at_file(&self.sources);
        let secrets = look_at_secrets(&self.current);
        if forced || self.retry || file != self.seen.file || secrets != self.seen.secrets {
            (self.seen.file, self.seen.secrets) = (file, secrets);
            self.retry = self.reload_credentials().is_err();
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

    /// Takes over the credentials; `Err` when there are mistakes, which are told.
    fn reload_credentials(&mut self) -> Result<(), ()> {
        let problems = &self.site.problems;
        let loaded = config::load(&self.sources, self.start.clone()).valid();
        let (config, _warnings) = loaded.map_err(|findings| {
            let lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
            problems.set("configuration", lines.join("\n"));
        })?;
        let secrets = look_at_secrets(&config);
        let access = &self.site.access;
        let count = access
            .set(&config, Some(&self.root), &self.sources)
            .map_err(|error| problems.set("configuration", error.to_string()))?;
        problems.clear("configuration");
        tracing::info!(credentials = count, "credentials and grants read again");
        // Everything else takes a restart.
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
        // Secrets may stand in other files now.
        self.seen.secrets = secrets;
        self.current = config;
        Ok(())
    }
}

fn look_at_file(sources: &Sources) -> Fingerprint {
    Fingerprint::of(sources.file.as_deref())
}

fn look_at_secrets(config: &Config) -> Fingerprint {
    let credentials = config.credentials.values();
    Fingerprint::of(credentials.filter_map(|credential| credential.secret_file.as_deref()))
}
