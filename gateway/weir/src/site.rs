//! A site put together: index, backends, policies, gateway, from a configuration.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use weir_backend::{FsConfig, Metered, S3Config as S3BackendConfig, Secret};
use weir_core::backends::{BackendFacts, Backends};
use weir_core::observe::Observer;
use weir_core::{Gateway, Parts, Settings};
use weir_index::{EmbeddedIndex, IndexOptions};
use weir_types::backend::Backend;
use weir_types::clock::{Clock, SystemClock};
use weir_types::crash::CrashPoints;
use weir_types::entropy::{Entropy, SystemEntropy};
use weir_types::id::{BackendId, BucketName, SiteId};
use weir_types::index::{Index, IndexError, Mutation, Refusal};

use crate::config::Sources;
use crate::config::model::{BackendConfig, Config, LimitsConfig};
use crate::decider::PolicyDecider;
use crate::error::Failure;
use crate::grants::{Access, RootCredential};
use crate::insurance;
use crate::metrics::Metrics;
use crate::owner::{Owned, Ownership};
use crate::policies::Policies;
use crate::problems::Problems;
use crate::secrets::{GivenTwice, Reference};

/// A backend's owner is asked for this long at the start; later, whenever it answers.
const OWNER_WAIT: Duration = Duration::from_secs(5);

/// A backend with what the binary knows about it beside the core.
pub struct SiteBackend {
    /// Its id.
    pub id: BackendId,
    /// Its counters.
    pub meter: Arc<Metered>,
    /// Whether it is ours.
    pub owner: Arc<Owned>,
}

/// Everything that serves a site.
pub struct Site {
    /// The configuration it was made from.
    pub config: Config,
    /// The gateway.
    pub gateway: Arc<Gateway>,
    /// The index.
    pub index: Arc<EmbeddedIndex>,
    /// The backends, in the order of the configuration.
    pub backends: Vec<SiteBackend>,
    /// Credentials and grants.
    pub access: Arc<Access>,
    /// The policies.
    pub policies: Arc<Policies>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// What an operator should look at.
    pub problems: Arc<Problems>,
    /// How the shipping of the index stands, once it has begun.
    pub insurance: std::sync::OnceLock<weir_insurance::Watch>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// File of the index in the data folder.
pub const INDEX_FILE: &str = "index.redb";

/// Opens the index that the configuration names. Blocks.
pub fn open_index(config: &Config, options: IndexOptions) -> Result<EmbeddedIndex, Failure> {
    let site = SiteId::parse(&config.site.id).map_err(|e| Failure::new(format!("site.id: {e}")))?;
    let path = config.data_dir.join(INDEX_FILE);
    EmbeddedIndex::open(&path, site, options).map_err(Failure::of)
}

/// Opens the backends that the configuration names, each behind its owner check and counters.
/// Blocks on directories.
pub fn open_backends(
    config: &Config,
    sources: &Sources,
    index: &EmbeddedIndex,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> Result<Vec<SiteBackend>, Failure> {
    let identity = index.identity();
    let predecessors = index.predecessors().map_err(Failure::of)?;
    let open = |(name, backend): (&String, &BackendConfig)| {
        let (id, meter) = open_backend(name, backend, sources, clock, entropy)?;
        let counted: Arc<dyn Backend> = Arc::<Metered>::clone(&meter);
        let owner = Owned::new(id.clone(), counted, &identity).succeeding(predecessors.clone());
        let owner = Arc::new(owner);
        Ok(SiteBackend { id, meter, owner })
    };
    config.backends.iter().map(open).collect()
}

/// Opens one backend, behind its counters. Blocks on a directory.
pub fn open_backend(
    name: &str,
    backend: &BackendConfig,
    sources: &Sources,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> Result<(BackendId, Arc<Metered>), Failure> {
    let named = |reason: String| Failure::new(format!("backend {name}: {reason}"));
    let id = BackendId::parse(name).map_err(|e| named(e.to_string()))?;
    let how = backend_config(backend, sources).map_err(named)?;
    let raw = weir_backend::open(&how, Arc::clone(clock), Arc::clone(entropy)).map_err(named)?;
    Ok((id, Arc::new(Metered::new(raw))))
}

/// What the backend crate is told.
fn backend_config(
    config: &BackendConfig,
    sources: &Sources,
) -> Result<weir_backend::BackendConfig, String> {
    if config.kind == "fs" {
        let path = config.path.clone().ok_or("path is missing")?;
        let mut fs = FsConfig::at(path);
        if let Some(threads) = config.slots_max {
            fs.threads_max = threads;
        }
        return Ok(weir_backend::BackendConfig::Fs(fs));
    }
    let given =
        |text: &Option<String>, name: &str| text.clone().ok_or(format!("{name} is missing"));
    let read = |reference: Result<Option<Reference>, GivenTwice>| {
        let reference = reference.map_err(|e| e.to_string())?;
        let secret = reference.map(|r| r.read(sources).map_err(|e| e.to_string()));
        secret.transpose()
    };
    let secret = read(Reference::one_of(
        config.secret_file.as_ref(),
        config.secret_env.as_ref(),
    ))?;
    let token = Reference::one_of(
        config.session_token_file.as_ref(),
        config.session_token_env.as_ref(),
    );
    let mut s3 = S3BackendConfig::at(
        given(&config.endpoint, "endpoint")?.trim_end_matches('/'),
        given(&config.bucket, "bucket")?,
        given(&config.access_key_id, "access_key_id")?,
        Secret::from(secret.ok_or("the secret is missing")?),
    );
    if let Some(region) = &config.region {
        s3.region.clone_from(region);
    }
    s3.session_token = read(token)?.map(Secret::from);
    s3.path_style = config.addressing == "path";
    s3.key_prefix = config.key_prefix.clone().unwrap_or_default();
    s3.storage_class.clone_from(&config.storage_class);
    s3.server_side_encryption
        .clone_from(&config.server_side_encryption);
    s3.sse_kms_key_id.clone_from(&config.kms_key_id);
    s3.ca_bundle.clone_from(&config.ca_file);
    s3.connect_timeout_ms = config.connect_timeout_ms;
    s3.first_byte_timeout_ms = config.first_byte_timeout_ms;
    s3.idle_timeout_ms = config.idle_timeout_ms;
    if let Some(slots) = config.slots_max {
        s3.slots_max = slots;
    }
    Ok(weir_backend::BackendConfig::S3(Box::new(s3)))
}

impl Site {
    /// Puts the site together: opens the index and the backends, sees that they are ours, loads
    /// the policies, makes the buckets. Nothing listens and nothing runs yet.
    pub async fn open(
        config: Config,
        sources: &Sources,
        root: Option<&RootCredential>,
        index: IndexOptions,
    ) -> Result<Self, Failure> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy::default());
        let problems = Arc::new(Problems::default());
        let access = Arc::new(Access::default());
        access.set(&config, root, sources).map_err(Failure::of)?;
        let index = IndexOptions {
            log: insurance::log_options(&config, sources)?,
            ..index
        };

        let (index, backends, policies, config) = {
            let (clock, entropy, sources) =
                (Arc::clone(&clock), Arc::clone(&entropy), sources.clone());
            let problems = Arc::clone(&problems);
            let opening = tokio::task::spawn_blocking(move || {
                let index = Arc::new(open_index(&config, index)?);
                let backends = open_backends(&config, &sources, &index, &clock, &entropy)?;
                let policies = Policies::open(&config, problems, Arc::clone(&clock));
                let policies = Arc::new(policies.map_err(Failure::of)?);
                Ok::<_, Failure>((index, backends, policies, config))
            });
            opening.await.map_err(Failure::of)??
        };
        see_that_they_are_ours(&backends).await?;

        let metrics = Arc::new(Metrics::new().map_err(Failure::of)?);
        let observer: Arc<dyn Observer> = Arc::<Metrics>::clone(&metrics);
        let settings = settings(&config.limits);
        let handles = backends
            .iter()
            .zip(config.backends.values())
            .map(|(backend, config)| {
                let facts = BackendFacts {
                    read_only: config.read_only,
                    bytes_max: config.bytes_max,
                    failure_domain: config.failure_domain.clone(),
                    residency: config.residency.clone(),
                    slots_max: u32::try_from(config.slots_max.unwrap_or(0)).unwrap_or(u32::MAX),
                    ..BackendFacts::new(backend.id.clone())
                };
                let owned: Arc<dyn Backend> = Arc::<Owned>::clone(&backend.owner);
                (facts, owned)
            });
        let gateway = Gateway::new(Parts {
            index: Arc::<EmbeddedIndex>::clone(&index),
            backends: Backends::new(handles.collect(), &observer, &settings),
            decider: Arc::new(PolicyDecider::new(Arc::clone(policies.host()), &config)),
            grants: Arc::<Access>::clone(&access),
            observer,
            clock: Arc::clone(&clock),
            entropy,
            crash: CrashPoints::none(),
            settings,
        });
        let site = Self {
            config,
            gateway,
            index,
            backends,
            access,
            policies,
            metrics,
            problems,
            insurance: std::sync::OnceLock::new(),
            clock,
        };
        site.make_buckets().await?;
        Ok(site)
    }

    async fn make_buckets(&self) -> Result<(), Failure> {
        for (name, bucket) in &self.config.buckets {
            let name = BucketName::parse(name).map_err(Failure::of)?;
            let made = self.index.apply(Mutation::CreateBucket {
                name: name.clone(),
                owner: None,
                location: bucket.location.clone(),
                now: self.clock.now(),
            });
            match made.await {
                Ok(_) => tracing::info!(bucket = %name, "bucket created"),
                Err(IndexError::Refused(Refusal::BucketExists)) => {}
                // Reads and deletes go on without it; it is made at a later start.
                Err(IndexError::Full) => {
                    tracing::warn!(bucket = %name, "not created: the index's disk is nearly full")
                }
                Err(error) => return Err(Failure::of(error)),
            }
        }
        Ok(())
    }
}

/// Refuses a backend that belongs to another index. One that cannot be asked is asked again
/// before anything is written or deleted there.
async fn see_that_they_are_ours(backends: &[SiteBackend]) -> Result<(), Failure> {
    let mut foreign = Vec::new();
    for backend in backends {
        match timeout(OWNER_WAIT, backend.owner.ownership()).await {
            Ok(Ownership::Ours) => {}
            Ok(Ownership::Foreign(message)) => foreign.push(message),
            Ok(Ownership::Unknown(error)) => {
                tracing::warn!(backend = %backend.id, %error, "not reached yet");
            }
            Err(_elapsed) => tracing::warn!(backend = %backend.id, "did not answer yet"),
        }
    }
    if foreign.is_empty() {
        Ok(())
    } else {
        Err(Failure::new(foreign.join("\n")))
    }
}

/// The core's settings.
pub fn settings(limits: &LimitsConfig) -> Settings {
    let ms = Duration::from_millis;
    Settings {
        small_body_bytes_max: limits.small_body_bytes_max,
        put_bytes_max: limits.put_bytes_max,
        object_bytes_max: limits.object_bytes_max,
        part_bytes_min: limits.part_bytes_min,
        clean_grace: ms(limits.clean_grace_ms),
        late_write_max: ms(limits.late_write_ms_max),
        upload_age_max: Duration::from_secs(limits.upload_age_seconds_max),
        memory_of_deletes: Duration::from_secs(limits.memory_of_deletes_seconds),
        verify_partial_blocks: limits.verify_partial_blocks,
        stalled_read_max: ms(limits.stalled_read_ms_max),
        background_tasks_max: limits.background_tasks_max,
        background_per_backend_max: limits.background_per_backend_max,
        retry_pause: (ms(limits.retry_pause_ms_min), ms(limits.retry_pause_ms_max)),
        reaper_interval: ms(limits.reaper_interval_ms),
        scrub_bytes_per_second_max: limits.scrub_bytes_per_second_max,
        scrub_requests_per_second_max: limits.scrub_requests_per_second_max,
        scrub_interval: ms(limits.scrub_interval_ms),
        breaker_failures_max: limits.breaker_failures_max,
        breaker_open: (
            ms(limits.breaker_open_ms_min),
            ms(limits.breaker_open_ms_max),
        ),
        keep_alive_after: ms(limits.keep_alive_after_ms),
        long_operations_max: limits.long_operations_max,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_of_both_sides_are_the_same() {
        let ours = settings(&LimitsConfig::default());
        assert_eq!(ours, Settings::default());
    }
}
