//! Index insurance at work: the shipping of the index, and the watch over whose the backends
//! are.

pub mod restore;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use weir_index::log::LogOptions;
use weir_insurance::seal::Key;
use weir_insurance::{Parts, Settings, Shipping, Target, TargetStatus, Watch, start};
use weir_types::crash::CrashPoints;
use weir_types::entropy::{Entropy, SystemEntropy};

use crate::config::Sources;
use crate::config::model::Config;
use crate::error::Failure;
use crate::secrets::Reference;
use crate::site::Site;

/// Folder in the data folder for snapshots on their way.
pub const FOLDER: &str = "insurance";

/// So long it is waited between two looks at whether the backends still belong to this index.
pub const OWNER_LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// A backend that does not tell its owner within this is asked again the next time. All are
/// asked at one time: a cycle takes this and the interval at most, however many there are.
pub const OWNER_LOOK_TIMEOUT: Duration = Duration::from_secs(5);

/// A backend that is behind for longer is a problem.
const LAG_PROBLEM_MS: u64 = 60_000;

/// The configured key.
pub fn key(config: &Config, sources: &Sources) -> Result<Option<Key>, Failure> {
    let named = |error: String| Failure::new(format!("insurance key: {error}"));
    let insurance = &config.insurance;
    let reference = Reference::one_of(insurance.key_file.as_ref(), insurance.key_env.as_ref());
    let Some(reference) = reference.map_err(|error| named(error.to_string()))? else {
        return Ok(None);
    };
    let text = reference
        .read(sources)
        .map_err(|error| named(error.to_string()))?;
    Key::parse(&text)
        .map(Some)
        .map_err(|error| named(error.to_string()))
}

fn settings(config: &Config, sources: &Sources) -> Result<Settings, Failure> {
    let insurance = &config.insurance;
    Ok(Settings {
        interval: Duration::from_millis(insurance.interval_ms),
        snapshot_interval: Duration::from_secs(insurance.snapshot_interval_seconds),
        key: key(config, sources)?,
        ..Settings::at(config.data_dir.join(FOLDER))
    })
}

/// How the index logs its changes. Whoever opens the index opens it with this: one that makes
/// changes without logging them makes the log begin anew.
pub fn log_options(config: &Config, sources: &Sources) -> Result<Option<LogOptions>, Failure> {
    if !config.insurance.enabled {
        return Ok(None);
    }
    Ok(Some(LogOptions {
        bytes_max: config.insurance.log_bytes_max,
        tag: settings(config, sources)?.log_tag(),
    }))
}

/// The insurance of a running gateway.
#[derive(Debug)]
pub struct Insurance {
    shipping: Shipping,
    guard: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

impl Insurance {
    /// Begins to ship, where the configuration wants it.
    pub fn start(site: &Arc<Site>, sources: &Sources) -> Result<Option<Self>, Failure> {
        let config = &site.config;
        if !config.insurance.enabled {
            return Ok(None);
        }
        let chosen = config.insured_on();
        let chosen = site
            .backends
            .iter()
            .filter(|b| chosen.iter().any(|id| id == b.id.as_str()));
        let targets: Vec<_> = chosen
            .map(|backend| Target {
                id: backend.id.clone(),
                backend: Arc::<crate::owner::Owned>::clone(&backend.owner),
            })
            .collect();
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy::default());
        let shipping = start(Parts {
            index: Arc::clone(&site.index),
            targets,
            clock: Arc::clone(&site.clock),
            entropy,
            crash: CrashPoints::none(),
            settings: settings(config, sources)?,
        });
        let _first = site.insurance.set(shipping.watch().clone());
        let (stop, stopped) = watch::channel(false);
        let guard = tokio::spawn(guard(Arc::clone(site), shipping.watch().clone(), stopped));
        Ok(Some(Self {
            shipping,
            guard,
            stop,
        }))
    }

    /// Ships what is left, for some seconds, and ends.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.guard.await {
            tracing::error!(%error, "the watch over the backends' owners ended abnormally");
        }
        self.shipping.stop().await;
    }
}

/// Looks again and again whose the backends are, and tells what is wrong with the shipping.
async fn guard(site: Arc<Site>, watch: Watch, mut stop: watch::Receiver<bool>) {
    loop {
        let looks = site.backends.iter().map(async |backend| {
            let look = timeout(OWNER_LOOK_TIMEOUT, backend.owner.look_again());
            if let Ok(Err(error)) = look.await {
                tracing::debug!(backend = %backend.id, %error, "its owner is not known now");
            }
        });
        tokio::select! {
            _ = join_all(looks) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        for status in watch.status() {
            let what = format!("index insurance on {}", status.backend);
            match &status.error {
                Some(error) if status.lag_ms >= LAG_PROBLEM_MS => {
                    site.problems
                        .set(&what, format!("nothing is shipped there: {error}"));
                }
                Some(_) => {}
                None => site.problems.clear(&what),
            }
        }
        tokio::select! {
            () = tokio::time::sleep(OWNER_LOOK_INTERVAL) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// One line for each backend, for a person.
pub fn in_words(status: &TargetStatus) -> String {
    let mut line = match (&status.snapshot, status.lag_entries) {
        (None, _) => "nothing can be restored from there yet".to_owned(),
        (Some(_), 0) => "up to date".to_owned(),
        (Some(_), entries) => format!("{entries} changes behind, {} ms", status.lag_ms),
    };
    if let Some(snapshot) = &status.snapshot {
        line.push_str(&format!(" · snapshot of {}", snapshot.taken_at));
    }
    if let Some((done, of)) = status.under_way {
        line.push_str(&format!(" · snapshot under way, {done} of {of} files"));
    }
    if let Some(error) = &status.error {
        line.push_str(&format!(" · {}", error.escape_debug()));
    }
    line
}
