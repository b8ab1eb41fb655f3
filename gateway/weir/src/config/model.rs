//! The configuration, table by table.

use std::collections::BTreeMap;
use std::path::PathBuf;

use figment::value::Dict;
use weir_types::id::{BackendId, BucketName, SiteId};

use super::insurance::InsuranceConfig;
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

/// As the front takes them; STANDARD is what an object has without one.
fn storage_class(text: &str) -> Result<(), String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if text == "STANDARD" {
        return Err("another class than STANDARD, which objects have without any".into());
    }
    if (1..=64).contains(&text.len()) && text.bytes().all(plain) {
        Ok(())
    } else {
        Err("1 to 64 letters, digits, `_` or `-`, such as \"GLACIER\"".into())
    }
}

fn public_key(text: &str) -> Result<(), String> {
    let parsed = text.parse::<weir_policy::signature::PublicKey>();
    parsed
        .map(drop)
        .map_err(|_| "a public key of 64 hexadecimal digits".into())
}

const PUBLIC_KEY: Kind = Kind::Checked(public_key);
const STORAGE_CLASS: Kind = Kind::Checked(storage_class);
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
        /// The default storage policy: where objects go when nothing selects another one.
        placement: PlacementConfig = PlacementConfig::default(), Kind::Table(PlacementConfig::TABLE);
        /// Named storage policies: who decides, how many copies, and the constraints that no
        /// policy can widen. One is selected by the storage class of a request, by the longest
        /// prefix of the key that names one, by the bucket, or by the bucket's
        /// LocationConstraint; whichever comes first in this order.
        storage_policies: BTreeMap<String, StoragePolicyConfig> = BTreeMap::new(), Kind::Map(StoragePolicyConfig::TABLE, plain_name), "archive";
        /// Where bytes lie: a table for each backend. Its name is written into the index with
        /// every copy, so it stays for as long as the backend holds anything.
        backends: BTreeMap<String, BackendConfig> = BTreeMap::new(), Kind::Map(BackendConfig::TABLE, backend_id), "disk-a";
        /// Buckets to create at the start where they are missing, and rules for buckets.
        buckets: BTreeMap<String, BucketConfig> = BTreeMap::new(), Kind::Map(BucketConfig::TABLE, bucket_name), "photos";
        /// Who may connect. Reloaded while the gateway runs, whenever this file or a secret's
        /// file changes.
        credentials: BTreeMap<String, CredentialConfig> = BTreeMap::new(), Kind::Map(CredentialConfig::TABLE, plain_name), "app";
        /// Policies by name: a component each, with settings. Storage policies name them. Those
        /// that come with Weir need no table when they need no settings.
        policies: BTreeMap<String, PolicyConfig> = BTreeMap::new(), Kind::Map(PolicyConfig::TABLE, plain_name), "nearest";
        /// The host of the policies: limits, signatures, what is kept.
        policy_host: PolicyHostConfig = PolicyHostConfig::default(), Kind::Table(PolicyHostConfig::TABLE);
        /// Copies of the index on the backends.
        insurance: InsuranceConfig = InsuranceConfig::default(), Kind::Table(InsuranceConfig::TABLE);
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
    /// The default storage policy: where objects go when nothing selects another one. Its name
    /// is `default`.
    PlacementConfig {
        /// Name of the policy that decides where a new version goes.
        policy: String = "spread".into(), Kind::Text;
        /// Name of the policy that decides what happens when the preferred backends are full.
        /// Without one the candidates of placement are tried to the last.
        overflow: Option<String> = None, Kind::Text, "\"spill\"";
        /// Name of the policy that decides which copies an object should have. Without one
        /// they are made on placement's candidates in order.
        replication: Option<String> = None, Kind::Text, "\"mirror\"";
        /// Name of the policy that decides in which order copies are read. Without one the
        /// quickest healthy copy is read first.
        read_routing: Option<String> = None, Kind::Text, "\"nearest\"";
        /// Copies of each object, as far as the placement policy does not decide otherwise.
        factor: u8 = 2, Kind::Integer(1, 16);
        /// Copies that must be durable before the client gets its 200. Told to policies; more
        /// than 1 is not waited for yet.
        ack: u8 = 1, Kind::Integer(1, 16);
        /// Only backends of these residencies ever get a copy; without any, all do.
        residency: Vec<String> = Vec::new(), Kind::List(&TEXT), "[\"eu\"]";
        /// No two copies of an object share a failure domain. A backend that names none is one
        /// of its own.
        distinct_failure_domains: bool = false, Kind::Flag;
    }
}

config_table! {
    /// A named storage policy. What it does not say is as in `[placement]`.
    StoragePolicyConfig {
        /// Name of the policy that decides where a new version goes.
        placement: Option<String> = None, Kind::Text, "\"tier\"";
        /// Name of the policy that decides what happens when the preferred backends are full.
        overflow: Option<String> = None, Kind::Text, "\"spill\"";
        /// Name of the policy that decides which copies an object should have.
        replication: Option<String> = None, Kind::Text, "\"mirror\"";
        /// Name of the policy that decides in which order copies are read.
        read_routing: Option<String> = None, Kind::Text, "\"nearest\"";
        /// Copies of each object.
        factor: Option<u8> = None, Kind::Integer(1, 16), "3";
        /// Copies that must be durable before the client gets its 200.
        ack: Option<u8> = None, Kind::Integer(1, 16), "1";
        /// Only backends of these residencies ever get a copy; `["*"]` lifts the
        /// default's.
        residency: Vec<String> = Vec::new(), Kind::List(&TEXT), "[\"eu\"]";
        /// No two copies of an object share a failure domain.
        distinct_failure_domains: Option<bool> = None, Kind::Flag, "true";
        /// Storage classes (`x-amz-storage-class`) that select it.
        storage_classes: Vec<String> = Vec::new(), Kind::List(&STORAGE_CLASS), "[\"GLACIER\"]";
        /// LocationConstraints of buckets that select it.
        locations: Vec<String> = Vec::new(), Kind::List(&TEXT), "[\"eu-archive\"]";
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
        /// Backends that share it are expected to fail together. Told to policies, and what
        /// `distinct_failure_domains` of a storage policy goes by.
        failure_domain: Option<String> = None, Kind::Text, "\"rack-4\"";
        /// Where the law says the bytes lie. Told to policies, and what `residency` of a
        /// storage policy goes by.
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
        /// What is kept for a shorter time is charged for this many days.
        retention_days_min: u32 = 0, Kind::Integer(0, 36_500);
    }
}

config_table! {
    /// A bucket. It is created at the start when it is missing; removing the table removes
    /// nothing.
    BucketConfig {
        /// LocationConstraint of the bucket when it is created.
        location: Option<String> = None, Kind::Text, "\"eu-central-1\"";
        /// Name of the storage policy of its objects, where neither storage class nor prefix
        /// selects one; else its LocationConstraint may, else it is `default`.
        storage_policy: Option<String> = None, Kind::Text, "\"archive\"";
        /// Name of the policy that decides where new versions go, instead of the one that this
        /// storage policy names.
        policy: Option<String> = None, Kind::Text, "\"nearest\"";
        /// Copies of each object, instead of what this storage policy says.
        factor: Option<u8> = None, Kind::Integer(1, 16), "3";
        /// Storage policies of keys that begin with a prefix; the longest prefix counts.
        prefixes: Vec<PrefixConfig> = Vec::new(), Kind::Tables(PrefixConfig::TABLE);
    }
}

config_table! {
    /// Keys with a storage policy of their own.
    PrefixConfig {
        /// What the keys begin with.
        prefix: String = String::new(), Kind::Text, "\"logs/\"";
        /// Name of the storage policy of their objects.
        storage_policy: String = String::new(), Kind::Text, "\"archive\"";
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
    /// A policy: a WebAssembly component and its settings.
    PolicyConfig {
        /// A component that comes with Weir. Placement: `spread`, `pack`, `weighted`, `geo`,
        /// `cost`, `latency`, `mirror`, `tier`; replication: `mirror`, `tier`; read routing:
        /// `geo`, `cost`, `latency`; overflow: `overflow-spill`.
        builtin: Option<String> = None, Kind::Text, "\"pack\"";
        /// File with a component. Replacing it swaps the policy while the gateway runs. Its
        /// signature stands beside it, in a file of the same name with `.sig` behind it.
        file: Option<PathBuf> = None, Kind::Text, "\"policies/nearest.wasm\"";
        /// Folder with an OCI image layout that holds one component. Replacing its
        /// `index.json` swaps the policy while the gateway runs.
        oci: Option<PathBuf> = None, Kind::Text, "\"policies/nearest\"";
        /// Settings handed to the component as JSON.
        settings: Dict = Dict::new(), Kind::Open, "{ order = [\"disk-a\", \"disk-b\"] }";
        /// When the component fails: `previous` asks its previous revision, then the native
        /// default; `native` asks the native default at once; `refuse` answers 503 (reads go
        /// on). `fallback` is an older word for `previous`.
        on_fault: String = "previous".into(), Kind::Choice(&["previous", "native", "refuse", "fallback"]);
        /// `reused` keeps instances between calls; `per-call` gives each call a fresh one, for
        /// some ten microseconds more.
        isolation: String = "reused".into(), Kind::Choice(&["reused", "per-call"]);
        /// Decisions that are recorded, for `weir plugin replay` and `weir plugin simulate`.
        recording: RecordingConfig = RecordingConfig::default(), Kind::Table(RecordingConfig::TABLE);
    }
}

config_table! {
    /// Recording of a policy's decisions, into `policies/recordings` of the data folder. The
    /// files hold buckets, keys, tags and principals: only their owner can read them.
    RecordingConfig {
        /// How many of a thousand decisions are recorded; 0 records nothing.
        share_permille: u16 = 0, Kind::Integer(0, 1000);
        /// A file that has grown to this size is followed by a new one.
        file_bytes_max: u64 = 16_777_216, Kind::Integer(65_536, 1_073_741_824);
        /// So many files are kept; the oldest goes first.
        files_max: usize = 4, Kind::Integer(1, 1000);
    }
}

config_table! {
    /// The host of the policies: limits, signatures, what is kept. All limits hold for every
    /// policy.
    PolicyHostConfig {
        /// Public keys, 64 hexadecimal digits each, as `weir plugin sign` prints them. With any,
        /// a component that none of them has signed is refused; what comes with Weir needs no
        /// signature.
        trusted_keys: Vec<String> = Vec::new(), Kind::List(&PUBLIC_KEY), "[\"3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29\"]";
        /// Compiled components are kept, so that a start need not compile them again.
        compile_cache: bool = true, Kind::Flag;
        /// Folder of compiled components: nobody but its owner may write to it. Without one it
        /// is `policies/compiled` in the data folder.
        compile_cache_dir: Option<PathBuf> = None, Kind::Text, "\"/var/cache/weir\"";
        /// Size of a component.
        component_bytes_max: usize = 33_554_432, Kind::Integer(1024, 268_435_456);
        /// Fuel (about one unit per instruction) of one decision.
        call_fuel_max: u64 = 5_000_000, Kind::Integer(10_000, 1_000_000_000);
        /// Fuel of one decision for each backend in addition: what an interpreter needs to take
        /// in the backend's state.
        call_fuel_per_backend_max: u64 = 400_000, Kind::Integer(0, 1_000_000_000);
        /// Backstop in wall time of one decision, for stalls of the machine.
        call_time_ms_max: u64 = 80, Kind::Integer(10, 10_000);
        /// Memory of one instance.
        memory_bytes_max: usize = 67_108_864, Kind::Integer(65_536, 4_294_967_296);
        /// Calls after which an instance is replaced.
        calls_per_instance_max: u32 = 10_000, Kind::Integer(1, 1_000_000_000);
        /// Every so many calls one is repeated on a fresh instance and must agree; 0 never.
        determinism_check_every: u32 = 1000, Kind::Integer(0, 1_000_000_000);
        /// Components that are kept in the data folder beside those that are in use.
        components_kept_max: usize = 16, Kind::Integer(0, 1000);
        /// The audit trail is followed by a new file when it has grown to this size.
        audit_file_bytes_max: u64 = 1_048_576, Kind::Integer(4096, 1_073_741_824);
        /// So many files of the audit trail are kept.
        audit_files_max: usize = 16, Kind::Integer(1, 10_000);
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
        /// Scrub: bytes of copies that are verified in a second on each backend, without anybody
        /// asking for them; 0 switches it off.
        scrub_bytes_per_second_max: u64 = 8_388_608, ANY;
        /// Scrub: requests to each backend in a second.
        scrub_requests_per_second_max: u32 = 20, Kind::Integer(1, 1_000_000);
        /// Scrub: from the beginning of one pass over all copies of a backend to that of the
        /// next; a pass that takes longer is followed at once.
        scrub_interval_ms: u64 = 2_592_000_000, SOME;
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
    PrefixConfig,
    RecordingConfig,
    PolicyHostConfig,
    InsuranceConfig,
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
            join_some(&mut policy.oci);
        }
        join_some(&mut self.policy_host.compile_cache_dir);
        join_some(&mut self.insurance.key_file);
        self
    }
}
