//! `weir serve`: start, run, drain, stop.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use weir_core::Gateway;
use weir_core::front::ReplyBody;
use weir_core::replicate;
use weir_index::{EmbeddedIndex, IndexOptions};
use weir_s3::{S3Config as FrontConfig, S3Front, S3Limits};
use weir_types::entropy::SystemEntropy;

use crate::admin::Admin;
use crate::config::check::is_loopback;
use crate::config::model::{Config, S3Config};
use crate::config::{self, Sources};
use crate::error::Failure;
use crate::first_run::{self, Generated};
use crate::insurance::Insurance;
use crate::listen::tls::Certificate;
use crate::listen::{Bound, Counts, Limits, Listener, PacedBody, Service};
use crate::process;
use crate::reload::Reloader;
use crate::secrets::Reference;
use crate::site::Site;

/// File in the data folder with the admin listener's address, for commands on this machine.
pub const ADMIN_URL_FILE: &str = "admin-url";

/// What to serve.
pub struct Plan {
    /// The configuration, checked.
    pub config: Config,
    /// Where it came from.
    pub sources: Sources,
    /// What stands where nothing is given: needed to read it again.
    pub start: Config,
    /// How the index is opened.
    pub index: IndexOptions,
}

/// A gateway that serves.
pub struct Running {
    /// Where S3 clients connect, with the scheme.
    pub s3_url: String,
    /// Where operators connect, with the scheme.
    pub admin_url: String,
    /// All addresses of the S3 listener.
    pub s3: Vec<SocketAddr>,
    /// Generated credentials and token.
    pub generated: Generated,
    /// Whether the generated access key is in force, since none is configured.
    pub has_root: bool,
    site: Arc<Site>,
    listeners: [Listener; 2],
    background: replicate::Background,
    insurance: Option<Insurance>,
    reloader: Reloader,
    draining: Arc<AtomicBool>,
}

struct S3Service {
    gateway: Arc<Gateway>,
    front: S3Front<PacedBody<Incoming>>,
}

impl Service for S3Service {
    async fn answer(self: Arc<Self>, request: Request<PacedBody<Incoming>>) -> Response<ReplyBody> {
        self.gateway.serve(&self.front, request).await
    }
}

impl Running {
    /// Starts everything. When this fails, nothing runs.
    pub async fn start(plan: Plan) -> Result<Self, Failure> {
        let Plan {
            config,
            sources,
            start,
            index,
        } = plan;
        let generated = generate(&config)?;
        let token = admin_token(&config, &sources, &generated)?;

        // Addresses first: they fail without having changed anything.
        let s3_bound = Bound::bind(&addresses(&config.s3.listen)?)
            .await
            .map_err(Failure::of)?;
        let admin_address = addresses(std::slice::from_ref(&config.admin.listen))?;
        let admin_bound = Bound::bind(&admin_address).await.map_err(Failure::of)?;
        let s3 = s3_bound.addresses().map_err(Failure::of)?;
        let admin = admin_bound.addresses().map_err(Failure::of)?;
        let s3_tls = certificate(&config.s3.tls_certificate_file, &config.s3.tls_key_file)?;
        let admin_tls = certificate(
            &config.admin.tls_certificate_file,
            &config.admin.tls_key_file,
        )?;

        let site = Arc::new(Site::open(config, &sources, Some(&generated.root), index).await?);
        let config = &site.config;
        replicate::finish_accepted(&site.gateway, ACCEPTED_WAIT_MAX)
            .await
            .map_err(Failure::of)?;
        let background = replicate::run(&site.gateway);
        let insurance = Insurance::start(&site, &sources)?;
        let draining = Arc::new(AtomicBool::new(false));
        let counts = (Arc::new(Counts::default()), Arc::new(Counts::default()));
        let limits = limits(&config.s3);
        let files = process::raise_open_files_max();
        let limits = Limits {
            connections_max: process::connections_max(limits.connections_max, files),
            ..limits
        };
        if limits.connections_max < config.s3.connections_max {
            tracing::warn!(
                configured = config.s3.connections_max,
                in_force = limits.connections_max,
                "fewer connections than s3.connections_max: raise the limit on open files (ulimit -n)"
            );
        }

        let service = Arc::new(S3Service {
            gateway: Arc::clone(&site.gateway),
            front: S3Front::new(
                front_config(config, s3_tls.is_some()),
                Arc::<crate::grants::Access>::clone(&site.access),
                Arc::clone(&site.clock),
            ),
        });
        let acceptor = acceptor(s3_tls.as_ref())?;
        let s3_listener = s3_bound.serve(&service, acceptor.as_ref(), &limits, &counts.0);

        let service = Arc::new(Admin {
            site: Arc::clone(&site),
            token,
            loopback: is_loopback(std::slice::from_ref(&config.admin.listen)),
            s3: s3.clone(),
            started_at: site.clock.now(),
            counts: (Arc::clone(&counts.0), Arc::clone(&counts.1)),
            draining: Arc::clone(&draining),
            heavy: tokio::sync::Mutex::new(()),
            uploads: tokio::sync::Mutex::new(()),
            stall_timeout: limits.stall_timeout,
        });
        let acceptor = self::acceptor(admin_tls.as_ref())?;
        let admin_limits = Limits {
            connections_max: ADMIN_CONNECTIONS_MAX,
            ..limits
        };
        let admin_listener =
            admin_bound.serve(&service, acceptor.as_ref(), &admin_limits, &counts.1);

        let s3_url = url(s3.first(), s3_tls.is_some());
        let admin_url = url(admin.first(), admin_tls.is_some());
        let note = config.data_dir.join(ADMIN_URL_FILE);
        if let Err(error) = first_run::write_private(&note, admin_url.as_bytes()) {
            tracing::warn!(%error, "commands on this machine will need --admin-url");
        }
        let has_root = config.credentials.is_empty();
        let certificates = [s3_tls, admin_tls].into_iter().flatten().collect();
        let root = generated.root.clone();
        let reloader = Reloader::start(Arc::clone(&site), sources, start, root, certificates);
        let listeners = [s3_listener, admin_listener];
        Ok(Self {
            s3_url,
            admin_url,
            s3,
            generated,
            has_root,
            site,
            listeners,
            background,
            insurance,
            reloader,
            draining,
        })
    }

    /// The lines to print: what to paste, or only the addresses when credentials are configured.
    pub fn greeting(&self) -> String {
        let region = &self.site.config.s3.region;
        if self.has_root {
            return first_run::greeting(&self.s3_url, region, &self.admin_url, &self.generated);
        }
        format!(
            "# S3 endpoint: {}\n# Admin: {}\n",
            self.s3_url, self.admin_url
        )
    }

    /// The site that is served.
    pub fn site(&self) -> &Arc<Site> {
        &self.site
    }

    /// Reads configuration and certificates again, as SIGHUP asks.
    pub async fn reload(&self) {
        self.reloader.now().await;
    }

    /// Finishes what is in progress, stops the background, closes the index.
    pub async fn stop(self) {
        self.draining.store(true, Ordering::Relaxed);
        let [s3, admin] = self.listeners;
        s3.drain().await;
        self.reloader.stop().await;
        self.background.stop().await;
        if let Some(insurance) = self.insurance {
            insurance.stop().await;
        }
        admin.drain().await;
        let note = self.site.config.data_dir.join(ADMIN_URL_FILE);
        if let Err(error) = std::fs::remove_file(note) {
            tracing::debug!(%error, "admin address not removed");
        }
        let index = Arc::clone(&self.site.index);
        drop(self.site);
        close(index).await;
    }
}

/// Closes the index: what was handed over is on disk when this returns. Work that was dropped
/// a moment ago may still hold a handle to it.
async fn close(index: Arc<EmbeddedIndex>) {
    let alone = async {
        while Arc::strong_count(&index) > 1 {
            tokio::time::sleep(CLOSE_PAUSE).await;
        }
    };
    if timeout(CLOSE_WAIT, alone).await.is_err() {
        tracing::error!("the index is still in use and is left to the end of the process");
    }
    if let Err(error) = tokio::task::spawn_blocking(move || drop(index)).await {
        tracing::error!(%error, "closing the index ended abnormally");
    }
}

/// A start waits this long for uploads that were accepted before the stop to be finished.
const ACCEPTED_WAIT_MAX: Duration = Duration::from_secs(10);

/// How long dropped work may hold on to the index, and how often it is looked at.
const CLOSE_WAIT: Duration = Duration::from_secs(10);
const CLOSE_PAUSE: Duration = Duration::from_millis(5);

/// Connections of operators at one time.
const ADMIN_CONNECTIONS_MAX: usize = 64;

fn generate(config: &Config) -> Result<Generated, Failure> {
    first_run::make_data_dir(&config.data_dir)
        .map_err(|e| Failure::new(format!("{}: {e}", config.data_dir.display())))?;
    first_run::read_or_generate(&config.data_dir, &SystemEntropy::default()).map_err(Failure::of)
}

/// The configured admin token, or the generated one.
pub fn admin_token(
    config: &Config,
    sources: &Sources,
    generated: &Generated,
) -> Result<String, Failure> {
    let admin = &config.admin;
    match Reference::one_of(admin.token_file.as_ref(), admin.token_env.as_ref()) {
        Ok(Some(reference)) => reference.read(sources).map_err(Failure::of),
        Ok(None) => Ok(generated.admin_token.clone()),
        Err(error) => Err(Failure::new(format!("admin token: {error}"))),
    }
}

fn addresses(texts: &[String]) -> Result<Vec<SocketAddr>, Failure> {
    let parse = |text: &String| {
        text.parse()
            .map_err(|e| Failure::new(format!("{text:?} is no address: {e}")))
    };
    texts.iter().map(parse).collect()
}

fn certificate(
    chain: &Option<PathBuf>,
    key: &Option<PathBuf>,
) -> Result<Option<Arc<Certificate>>, Failure> {
    match (chain, key) {
        (Some(chain), Some(key)) => Certificate::open(chain.clone(), key.clone())
            .map(Some)
            .map_err(Failure::of),
        _ => Ok(None),
    }
}

fn acceptor(certificate: Option<&Arc<Certificate>>) -> Result<Option<TlsAcceptor>, Failure> {
    certificate
        .map(Certificate::acceptor)
        .transpose()
        .map_err(Failure::of)
}

fn url(address: Option<&SocketAddr>, tls: bool) -> String {
    let scheme = if tls { "https" } else { "http" };
    match address {
        // A client on this machine reaches every address through loopback.
        Some(address) if address.ip().is_unspecified() => {
            format!("{scheme}://127.0.0.1:{}", address.port())
        }
        Some(address) => format!("{scheme}://{address}"),
        None => String::new(),
    }
}

fn limits(config: &S3Config) -> Limits {
    let ms = Duration::from_millis;
    Limits {
        connections_max: config.connections_max,
        header_timeout: ms(config.header_timeout_ms),
        idle_timeout: ms(config.idle_timeout_ms),
        stall_timeout: ms(config.stall_timeout_ms),
        response_stall_timeout: ms(config.response_stall_timeout_ms),
        body_bytes_per_second_min: config.body_bytes_per_second_min,
        header_bytes_max: config.header_bytes_max,
        header_count_max: config.header_count_max,
        http2_streams_max: config.http2_streams_max,
        drain_timeout: ms(config.drain_timeout_ms),
    }
}

fn front_config(config: &Config, tls: bool) -> FrontConfig {
    FrontConfig {
        region: config.s3.region.clone(),
        region_aliases: config.s3.region_aliases.clone(),
        base_domains: config.s3.base_domains.clone(),
        owner_id: config.site.id.clone(),
        host_id: config.site.id.clone(),
        tls,
        limits: S3Limits {
            header_count_max: config.s3.header_count_max,
            header_bytes_max: config.s3.header_bytes_max,
            put_bytes_max: config.limits.put_bytes_max,
            body_idle_timeout: Duration::from_millis(config.s3.stall_timeout_ms),
            ..S3Limits::default()
        },
    }
}

/// The built-in site, or the configuration of a file. All findings when it has errors.
pub fn plan(
    file: Option<PathBuf>,
    data_dir: Option<PathBuf>,
) -> Result<(Plan, Vec<config::Finding>), Vec<config::Finding>> {
    let start = match (&file, data_dir) {
        (None, data_dir) => Config::first_run(data_dir.unwrap_or_else(|| "weir-data".into())),
        (Some(_), None) => Config::default(),
        (Some(_), Some(data_dir)) => Config {
            data_dir,
            ..Config::default()
        },
    };
    let sources = Sources::of_process(file);
    let (config, warnings) = config::load(&sources, start.clone()).valid()?;
    Ok((
        Plan {
            config,
            sources,
            start,
            index: IndexOptions::default(),
        },
        warnings,
    ))
}
