//! The configuration, table by table.

use std::collections::BTreeMap;
use std::path::PathBuf;

use figment::value::Dict;
use weir_types::id::{BackendId, BucketName, SiteId};

use super::schema::{Kind, config_table, no_literal};

const ANY: Kind = Kind::Integer(0, u64::MAX);
const SOME: Kind = Kind::Integer(1, u64::MAX);

fn site_id(text: &str) -> Result<(), String> {
    SiteId::parse(text).map(drop).map_err(|e| e.to_string())
}

fn backend_id(text: &str) -> Result<(), String> {
    BackendId::parse(text).map(drop).map_err(|e| e.to_string())
}

fn bucket_name(text: &str) -> Result<(), String> {
    BucketName::parse(text).map(drop).map_err(|e| e.to_string())
}

fn plain_name(text: &str) -> Result<(), String> {
    BackendId::parse(text).map(drop).map_err(|e| e.to_string())
}

fn address(text: &str) -> Result<(), String> {
    match text.parse::<std::net::SocketAddr>() {
        Ok(_) => Ok(()),
        Err(_) => Err("an address and port such as \"127.0.0.1:9000\" or \"[::]:9000\"".into()),
    }
}

fn http_url(text: &str) -> Result<(), String> {
    let right = "an address such as \"https://s3.eu-central-1.amazonaws.com\", without a path";
    let uri: http::Uri = text.parse().map_err(|_| right.to_owned())?;
    let scheme = matches!(uri.scheme_str(), Some("http" | "https"));
    let bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
    let open = uri.authority().is_some_and(|a| !a.as_str().contains('@'));
    if scheme && bare && open {
        Ok(())
    } else {
        Err(right.into())
    }
}

fn domain(text: &str) -> Result<(), String> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    let edges = !text.starts_with('.') && !text.ends_with('.');
    if !text.is_empty() && edges && text.bytes().all(fits) {
        Ok(())
    } else {
        Err("a lowercase domain name without a port, such as \"s3.example.net\"".into())
    }
}

const DOMAIN: Kind = Kind::Checked(domain);
const ADDRESS: Kind = Kind::Checked(address);
const ACTION: Kind = Kind::Choice(&["read", "write", "delete", "list", "admin", "all"]);
const TEXT: Kind = Kind::Text;

config_table! {
    /// Weir's configuration. Paths are relative to the folder of this file.
    Config {
        /// Folder for the index, generated credentials and uploaded policies.
        data_dir: PathBuf = "weir-data".into(), Kind::Text;
        /// This gateway's own site.
        site: SiteConfig = SiteConfig::default(), Kind::Table(SiteConfig::TABLE);
        /// Where S3 clients connect.
        s3: S3Config = S3Config::default(), Kind::Table(S3Config::TABLE);
        /// Where operators connect: health, metrics, status, policies.
        admin: AdminConfig = AdminConfig::default(), Kind::Table(AdminConfig::TABLE);
        /// Logs go to standard error.
        log: LogConfig = LogConfig::default(), Kind::Table(LogConfig::TABLE);
        /// Where objects go when their bucket says nothing else.
        placement: PlacementConfig = PlacementConfig::default(), Kind::Table(PlacementConfig::TABLE);
        /// Where bytes lie: a table for each backend. Its name is written into the index with
        /// every copy, so it stays for as long as the backend holds anything.
        backends: BTreeMap<String, BackendConfig> = BTreeMap::new(), Kind::Map(BackendConfig::TABLE, backend_id), "disk-a";
        /// Buckets to create at the start where they are missing, and rules for buckets.
        buckets: BTreeMap<String, BucketConfig> = BTreeMap::new(), Kind::Map(BucketConfig::TABLE, bucket_name), "photos";
        /// Who may connect. Reloaded while the gateway runs, whenever this file or a secret's
        /// file changes.
        credentials: BTreeMap<String, CredentialConfig> = BTreeMap::new(), Kind::Map(CredentialConfig::TABLE, plain_name), "app";
        /// Placement policies by name. `spread` and `pack` are there without being named.
        policies: BTreeMap<String, PolicyConfig> = BTreeMap::new(), Kind::Map(PolicyConfig::TABLE, plain_name), "nearest";
        /// Limits and times of the gateway's core.
        limits: LimitsConfig = LimitsConfig::default(), Kind::Table(LimitsConfig::TABLE);
    }
}

config_table! {
    /// This gateway's own site.
    SiteConfig {
        /// The site's name; part of every key on a backend, so it never changes.
        id: String = "site-1".into(), Kind::Checked(site_id);
        /// The site's region, told to policies.
        region: Option<String> = None, Kind::Text, "\"eu-central\"";
        /// Free labels, told to policies.
        labels: BTreeMap<String, String> = BTreeMap::new(), Kind::Labels, "{ rack = \"4\" }";
    }
}

config_table! {
    /// Where S3 clients connect.
    S3Config {
        /// Addresses to listen on. Port 0 takes a free one.
        listen: Vec<String> = vec!["127.0.0.1:9000".into()], Kind::List(&ADDRESS);
        /// The region that clients sign for. Tools of AWS presign with the current signature
        /// version by themselves only outside the oldest regions, hence a name of its own.
        region: String = "weir".into(), Kind::Text;
        /// Further regions that clients may sign for: what they assume when nobody told them.
        region_aliases: Vec<String> = vec!["us-east-1".into()], Kind::List(&Kind::Text);
        /// Domains under which buckets are host names (virtual-hosted style).
        base_domains: Vec<String> = Vec::new(), Kind::List(&DOMAIN), "[\"s3.example.net\"]";
        /// Certificate chain in PEM; with `tls_key_file` the listener speaks TLS only. Both are
        /// read again when they change.
        tls_certificate_file: Option<PathBuf> = None, Kind::Text, "\"tls/chain.pem\"";
        /// Private key in PEM.
        tls_key_file: Option<PathBuf> = None, Kind::Text, "\"tls/key.pem\"";
        /// Connections at one time; further ones are closed at once.
        connections_max: usize = 4096, Kind::Integer(1, 1_000_000);
        /// A new connection's first header section must have arrived after this; so must a TLS
        /// handshake.
        header_timeout_ms: u64 = 15_000, SOME;
        /// Between requests a connection is closed after this.
        idle_timeout_ms: u64 = 60_000, SOME;
        /// A request body that makes no progress for this long is given up.
        stall_timeout_ms: u64 = 30_000, SOME;
        /// A reader of an answer that takes nothing for this long is given up. The system
        /// buffers megabytes for a connection: a slow reader takes its bytes in large steps.
        response_stall_timeout_ms: u64 = 300_000, SOME;
        /// A request body must arrive at this rate at least, averaged over the time spent
        /// waiting for it once that exceeds `stall_timeout_ms`.
        body_bytes_per_second_min: u64 = 512, ANY;
        /// Header fields of a request.
        header_count_max: usize = 100, Kind::Integer(16, 1_000);
        /// Size of a header section.
        header_bytes_max: usize = 65_536, Kind::Integer(8_192, 1_048_576);
        /// HTTP/2 streams at one time on one connection.
        http2_streams_max: u32 = 128, Kind::Integer(1, 65_535);
        /// After SIGTERM, requests in flight have this long to finish.
        drain_timeout_ms: u64 = 30_000, ANY;
    }
}

config_table! {
    /// Where operators connect. `/healthz`, `/readyz` and `/metrics` are open when the listener
    /// is on loopback; everything else needs `Authorization: Bearer TOKEN`.
    AdminConfig {
        /// Address to listen on. Port 0 takes a free one.
        listen: String = "127.0.0.1:9001".into(), ADDRESS;
        /// File with the admin token. Without this and `token_env`, a token is generated and
        /// kept in the data folder.
        token_file: Option<PathBuf> = None, Kind::Text, "\"secrets/admin-token\"";
        /// Environment variable with the admin token.
        token_env: Option<String> = None, Kind::Text, "\"ADMIN_TOKEN\"";
        /// Certificate chain in PEM; with `tls_key_file` the listener speaks TLS only.
        tls_certificate_file: Option<PathBuf> = None, Kind::Text, "\"tls/chain.pem\"";
        /// Private key in PEM.
        tls_key_file: Option<PathBuf> = None, Kind::Text, "\"tls/key.pem\"";
    }
}

config_table! {
    /// Logs go to standard error, one line each.
    LogConfig {
        /// Form of the lines.
        format: String = "text".into(), Kind::Choice(&["text", "json"]);
        /// What is logged, as `tracing` filters spell it: a level, then exceptions by target.
        /// `weir::access=off` switches the access log off.
        filter: String = "info".into(), Kind::Text;
    }
}

config_table! {
    /// Where objects go when their bucket says nothing else.
    PlacementConfig {
        /// Name of the policy that decides.
        policy: String = "spread".into(), Kind::Text;
        /// Copies of each object.
        factor: u8 = 2, Kind::Integer(1, 16);
    }
}

config_table! {
    /// A backend: one bucket at one provider, or one directory.
    BackendConfig {
        /// `fs` is a directory, `s3` a bucket behind any S3-compatible endpoint.
        kind: String = String::new(), Kind::Choice(&["fs", "s3"]), "\"fs\"";
        /// Takes no new bytes; reads and deletes go on.
        read_only: bool = false, Kind::Flag;
        /// Bytes it may hold at most, writes in flight included.
        bytes_max: Option<u64> = None, SOME, "1_000_000_000_000";
        /// Region, told to policies; for `s3` also what requests to it are signed for.
        region: Option<String> = None, Kind::Text, "\"eu-central-1\"";
        /// Provider, told to policies.
        provider: Option<String> = None, Kind::Text, "\"aws\"";
        /// Backends that share it are expected to fail together; told to policies.
        failure_domain: Option<String> = None, Kind::Text, "\"rack-4\"";
        /// Where the law says the bytes lie; told to policies.
        residency: Option<String> = None, Kind::Text, "\"eu\"";
        /// Free labels, told to policies.
        labels: BTreeMap<String, String> = BTreeMap::new(), Kind::Labels, "{ tier = \"hot\" }";
        /// Prices, told to policies.
        cost: CostConfig = CostConfig::default(), Kind::Table(CostConfig::TABLE);
        /// `fs`: the directory. Made when missing.
        path: Option<PathBuf> = None, Kind::Text, "\"/srv/weir/disk-a\"";
        /// `s3`: the endpoint.
        endpoint: Option<String> = None, Kind::Checked(http_url), "\"https://s3.eu-central-1.amazonaws.com\"";
        /// `s3`: the bucket there. It belongs to this gateway alone.
        bucket: Option<String> = None, Kind::Text, "\"weir-site-1\"";
        /// `s3`: access key id.
        access_key_id: Option<String> = None, Kind::Text, "\"AKIA…\"";
        /// `s3`: file with the secret access key.
        secret_file: Option<PathBuf> = None, Kind::Text, "\"secrets/aws\"";
        /// `s3`: environment variable with the secret access key.
        secret_env: Option<String> = None, Kind::Text, "\"AWS_SECRET\"";
        /// `s3`: file with the session token of temporary credentials.
        session_token_file: Option<PathBuf> = None, Kind::Text, "\"secrets/aws-session\"";
        /// `s3`: environment variable with the session token.
        session_token_env: Option<String> = None, Kind::Text, "\"AWS_SESSION\"";
        /// `s3`: how the bucket is named in requests.
        addressing: String = "path".into(), Kind::Choice(&["path", "virtual"]);
        /// `s3`: what every key in the bucket starts with.
        key_prefix: Option<String> = None, Kind::Text, "\"weir/\"";
        /// `s3`: certificate authorities to trust instead of the system's, in PEM.
        ca_file: Option<PathBuf> = None, Kind::Text, "\"tls/ca.pem\"";
        /// `s3`: storage class of what is written.
        storage_class: Option<String> = None, Kind::Text, "\"STANDARD_IA\"";
        /// `s3`: server-side encryption of what is written.
        server_side_encryption: Option<String> = None, Kind::Choice(&["AES256", "aws:kms"]), "\"AES256\"";
        /// `s3`: the KMS key to use.
        kms_key_id: Option<String> = None, Kind::Text, "\"arn:aws:kms:…\"";
        /// `s3`: time to connect, TLS included.
        connect_timeout_ms: u64 = 5_000, SOME;
        /// `s3`: time from the end of a request to the first byte of its answer.
        first_byte_timeout_ms: u64 = 60_000, SOME;
        /// `s3`: longest silence between bytes. A whole body has no time limit.
        idle_timeout_ms: u64 = 30_000, SOME;
        /// Requests at one time (`s3`: 128 unless given), or threads (`fs`: 16).
        slots_max: Option<usize> = None, Kind::Integer(1, 100_000), "128";
    }
}

config_table! {
    /// Prices in millionths of your currency unit, told to policies.
    CostConfig {
        /// One GB (10^9 bytes) kept for a month.
        storage_gb_month_micros: u64 = 0, ANY;
        /// One GB read out.
        egress_gb_micros: u64 = 0, ANY;
        /// A thousand writing requests.
        write_thousand_micros: u64 = 0, ANY;
        /// A thousand reading requests.
        read_thousand_micros: u64 = 0, ANY;
    }
}

config_table! {
    /// A bucket. It is created at the start when it is missing; removing the table removes
    /// nothing.
    BucketConfig {
        /// LocationConstraint of the bucket when it is created.
        location: Option<String> = None, Kind::Text, "\"eu-central-1\"";
        /// Name of the policy that decides for the bucket; else `placement.policy`.
        policy: Option<String> = None, Kind::Text, "\"nearest\"";
        /// Copies of each object; else `placement.factor`.
        factor: Option<u8> = None, Kind::Integer(1, 16), "3";
    }
}

config_table! {
    /// An access key and what it may do.
    CredentialConfig {
        /// Access key id.
        access_key_id: String = String::new(), Kind::Text, "\"APPKEY\"";
        /// File with the secret access key; readable by nobody but its owner and group.
        secret_file: Option<PathBuf> = None, Kind::Text, "\"secrets/app\"";
        /// Environment variable with the secret access key.
        secret_env: Option<String> = None, Kind::Text, "\"APP_SECRET\"";
        /// What it may do. Without grants it may do nothing.
        grants: Vec<GrantConfig> = Vec::new(), Kind::Tables(GrantConfig::TABLE);
    }
}

config_table! {
    /// Something that a credential may do.
    GrantConfig {
        /// Buckets, by name; `*` at the end of a name stands for any rest.
        buckets: Vec<String> = Vec::new(), Kind::List(&TEXT), "[\"photos\", \"logs-*\"]";
        /// Only keys that start with this.
        prefix: String = String::new(), Kind::Text;
        /// What: `read` and `write` objects, `delete` them, `list` buckets and keys, `admin` to
        /// make and remove buckets, or `all`.
        actions: Vec<String> = Vec::new(), Kind::List(&ACTION), "[\"read\", \"list\"]";
    }
}

config_table! {
    /// A placement policy: a WebAssembly component and its settings.
    PolicyConfig {
        /// A component that comes with Weir: `spread` (least used first) or `pack` (fill in
        /// order).
        builtin: Option<String> = None, Kind::Text, "\"pack\"";
        /// File with a component. Replacing it swaps the policy while the gateway runs.
        file: Option<PathBuf> = None, Kind::Text, "\"policies/nearest.wasm\"";
        /// Settings handed to the component as JSON.
        settings: Dict = Dict::new(), Kind::Open, "{ order = [\"disk-a\", \"disk-b\"] }";
        /// When the component fails: `fallback` asks its previous revision, then the native
        /// default; `refuse` answers 503.
        on_fault: String = "fallback".into(), Kind::Choice(&["fallback", "refuse"]);
    }
}

config_table! {
    /// Limits and times of the gateway's core.
    LimitsConfig {
        /// Bodies up to this size are read and verified before a backend sees them, and can be
        /// offered to one backend after another.
        small_body_bytes_max: u64 = 262_144, Kind::Integer(0, 16_777_216);
        /// Largest body of one PutObject, UploadPart or CopyObject.
        put_bytes_max: u64 = 5_368_709_120, SOME;
        /// Largest object that parts may make.
        object_bytes_max: u64 = 5_497_558_138_880, SOME;
        /// Smallest part that is not the last.
        part_bytes_min: u64 = 5_242_880, SOME;
        /// Bytes of a deleted or superseded object stay at least this long, for readers.
        clean_grace_ms: u64 = 60_000, ANY;
        /// Longest time after which a write that was given up can still land on a backend.
        late_write_ms_max: u64 = 3_600_000, SOME;
        /// Multipart uploads that stay open longer are aborted.
        upload_age_seconds_max: u64 = 604_800, SOME;
        /// How long tombstones and finished uploads are remembered.
        memory_of_deletes_seconds: u64 = 2_592_000, SOME;
        /// Check the blocks at both ends of a range too, by reading them whole.
        verify_partial_blocks: bool = false, Kind::Flag;
        /// A download whose client takes no bytes for this long gives its backend the connection
        /// back; it goes on where it was when the client does.
        stalled_read_ms_max: u64 = 10_000, SOME;
        /// Pieces of background work at one time.
        background_tasks_max: usize = 16, Kind::Integer(1, 4096);
        /// Pieces of background work at one time on one backend.
        background_per_backend_max: usize = 8, Kind::Integer(1, 4096);
        /// First pause before failed background work is tried again; doubles each time.
        retry_pause_ms_min: u64 = 200, SOME;
        /// Longest pause before failed background work is tried again.
        retry_pause_ms_max: u64 = 60_000, SOME;
        /// How often the reaper looks for what requests left behind.
        reaper_interval_ms: u64 = 30_000, SOME;
        /// After so many failures in a row a backend's breaker opens.
        breaker_failures_max: u32 = 5, Kind::Integer(1, 1_000_000);
        /// First time a breaker stays open; doubles each time.
        breaker_open_ms_min: u64 = 1_000, SOME;
        /// Longest time a breaker stays open before it lets a request through.
        breaker_open_ms_max: u64 = 30_000, SOME;
        /// A Complete or Copy that takes longer is answered early and kept alive with white
        /// space.
        keep_alive_after_ms: u64 = 5_000, SOME;
        /// Completes and Copies at one time, those whose clients went away included; further
        /// ones are answered 503 SlowDown.
        long_operations_max: usize = 256, Kind::Integer(1, 100_000);
    }
}

no_literal!(
    SiteConfig,
    S3Config,
    AdminConfig,
    LogConfig,
    PlacementConfig,
    CostConfig,
    GrantConfig,
    LimitsConfig
);

impl Config {
    /// The site of the first run: three directories beneath `data_dir`, two copies.
    pub fn first_run(data_dir: PathBuf) -> Self {
        let disk = |name: &str| {
            let path = Some(data_dir.join(name));
            (
                name.to_owned(),
                BackendConfig {
                    kind: "fs".into(),
                    path,
                    ..BackendConfig::default()
                },
            )
        };
        let backends = ["disk-a", "disk-b", "disk-c"].map(disk).into();
        Self {
            data_dir,
            backends,
            ..Self::default()
        }
    }

    /// The same, with paths in it relative to `base` joined to it.
    #[must_use]
    pub fn with_absolute_paths(mut self, base: &std::path::Path) -> Self {
        let join = |path: &mut PathBuf| *path = base.join(&*path);
        let join_some = |path: &mut Option<PathBuf>| {
            if let Some(path) = path {
                *path = base.join(&*path);
            }
        };
        join(&mut self.data_dir);
        join_some(&mut self.s3.tls_certificate_file);
        join_some(&mut self.s3.tls_key_file);
        join_some(&mut self.admin.tls_certificate_file);
        join_some(&mut self.admin.tls_key_file);
        join_some(&mut self.admin.token_file);
        for backend in self.backends.values_mut() {
            join_some(&mut backend.path);
            join_some(&mut backend.secret_file);
            join_some(&mut backend.session_token_file);
            join_some(&mut backend.ca_file);
        }
        for credential in self.credentials.values_mut() {
            join_some(&mut credential.secret_file);
        }
        for policy in self.policies.values_mut() {
            join_some(&mut policy.file);
        }
        self
    }
}
