//! What an operator says about a backend.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;
use weir_types::backend::Backend;
use weir_types::clock::Clock;
use weir_types::entropy::Entropy;

use crate::fs::FsBackend;
use crate::s3::S3Backend;
use crate::secret::Secret;

/// A backend, by its `kind`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum BackendConfig {
    /// A directory.
    Fs(FsConfig),
    /// A bucket at an S3-compatible endpoint.
    S3(Box<S3Config>),
}

/// A directory as a backend.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FsConfig {
    /// The directory. Made where it does not exist; used by nothing else.
    pub path: PathBuf,
    /// Threads that may work on this directory at the same time. Default: 16.
    #[serde(default = "defaults::threads_max")]
    pub threads_max: usize,
    /// How long an operation waits for one of those threads before it is answered "slow
    /// down", in milliseconds. Default: 10000.
    #[serde(default = "defaults::thread_wait_max_ms")]
    pub thread_wait_max_ms: u64,
    /// How long one file operation (a write of 256 KiB, an fsync) may take before the
    /// directory counts as unavailable, in milliseconds. Default: 120000.
    #[serde(default = "defaults::operation_timeout_ms")]
    pub operation_timeout_ms: u64,
}

impl FsConfig {
    /// The directory `path`, everything else by default.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            threads_max: defaults::threads_max(),
            thread_wait_max_ms: defaults::thread_wait_max_ms(),
            operation_timeout_ms: defaults::operation_timeout_ms(),
        }
    }
}

/// A bucket at an S3-compatible endpoint as a backend.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct S3Config {
    /// The endpoint, `https://host[:port]` or `http://host[:port]`, without a path.
    pub endpoint: String,
    /// The bucket. It must exist.
    pub bucket: String,
    /// The region that requests are signed for. Default: `us-east-1`.
    #[serde(default = "defaults::region")]
    pub region: String,
    /// Access key id.
    pub access_key_id: String,
    /// Secret access key.
    pub secret_access_key: Secret,
    /// Session token of temporary credentials. Default: none.
    #[serde(default)]
    pub session_token: Option<Secret>,
    /// `true`: `https://endpoint/bucket/key`; `false`: `https://bucket.endpoint/key`.
    /// Default: true.
    #[serde(default = "defaults::path_style")]
    pub path_style: bool,
    /// What every key in the bucket starts with, so that several can share it. Default: none.
    #[serde(default)]
    pub key_prefix: String,
    /// Sent as `x-amz-storage-class` with every object. Default: not sent.
    #[serde(default)]
    pub storage_class: Option<String>,
    /// Sent as `x-amz-server-side-encryption` with every object: `AES256`, `aws:kms` or
    /// `aws:kms:dsse`. Default: not sent.
    #[serde(default)]
    pub server_side_encryption: Option<String>,
    /// Sent as `x-amz-server-side-encryption-aws-kms-key-id` with every object. Default: not
    /// sent.
    #[serde(default)]
    pub sse_kms_key_id: Option<String>,
    /// PEM file of the certificate authorities to trust instead of the system's. Default:
    /// the system's.
    #[serde(default)]
    pub ca_bundle: Option<PathBuf>,
    /// Whether bodies sent over plain http are signed piece by piece. Over TLS they never
    /// need to be. Default: `unsigned`.
    #[serde(default)]
    pub http_payload_signing: PayloadSigning,
    /// How long connecting may take, the TLS handshake included, in milliseconds. Default:
    /// 5000.
    #[serde(default = "defaults::connect_timeout_ms")]
    pub connect_timeout_ms: u64,
    /// How long the endpoint may take to answer once it has the request, in milliseconds.
    /// Default: 60000.
    #[serde(default = "defaults::first_byte_timeout_ms")]
    pub first_byte_timeout_ms: u64,
    /// How long a body may stand still because of the endpoint, in either direction, in
    /// milliseconds. There is no limit on a whole body. Default: 30000.
    #[serde(default = "defaults::idle_timeout_ms")]
    pub idle_timeout_ms: u64,
    /// How long an unused connection is kept, in milliseconds. Default: 15000.
    #[serde(default = "defaults::idle_connection_ms")]
    pub idle_connection_ms: u64,
    /// Requests that may be in progress at the same time. Default: 128.
    #[serde(default = "defaults::slots_max")]
    pub slots_max: usize,
    /// How long a request waits for one of those slots before it is answered "slow down", in
    /// milliseconds. Default: 5000.
    #[serde(default = "defaults::slot_wait_max_ms")]
    pub slot_wait_max_ms: u64,
}

impl S3Config {
    /// The bucket `bucket` at `endpoint`, everything else by default.
    pub fn at(
        endpoint: impl Into<String>,
        bucket: impl Into<String>,
        access_key_id: impl Into<String>,
        secret_access_key: Secret,
    ) -> Self {
        Self {
            endpoint: endpoint.into(),
            bucket: bucket.into(),
            region: defaults::region(),
            access_key_id: access_key_id.into(),
            secret_access_key,
            session_token: None,
            path_style: defaults::path_style(),
            key_prefix: String::new(),
            storage_class: None,
            server_side_encryption: None,
            sse_kms_key_id: None,
            ca_bundle: None,
            http_payload_signing: PayloadSigning::default(),
            connect_timeout_ms: defaults::connect_timeout_ms(),
            first_byte_timeout_ms: defaults::first_byte_timeout_ms(),
            idle_timeout_ms: defaults::idle_timeout_ms(),
            idle_connection_ms: defaults::idle_connection_ms(),
            slots_max: defaults::slots_max(),
            slot_wait_max_ms: defaults::slot_wait_max_ms(),
        }
    }
}

/// Whether bodies are covered by the signature where TLS does not protect them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PayloadSigning {
    /// `UNSIGNED-PAYLOAD`.
    #[default]
    Unsigned,
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`: each chunk of 64 KiB carries a signature.
    Streaming,
}

mod defaults {
    pub(super) fn threads_max() -> usize {
        16
    }
    pub(super) fn thread_wait_max_ms() -> u64 {
        10_000
    }
    pub(super) fn operation_timeout_ms() -> u64 {
        120_000
    }
    pub(super) fn region() -> String {
        "us-east-1".to_owned()
    }
    pub(super) fn path_style() -> bool {
        true
    }
    pub(super) fn connect_timeout_ms() -> u64 {
        5_000
    }
    pub(super) fn first_byte_timeout_ms() -> u64 {
        60_000
    }
    pub(super) fn idle_timeout_ms() -> u64 {
        30_000
    }
    pub(super) fn idle_connection_ms() -> u64 {
        15_000
    }
    pub(super) fn slots_max() -> usize {
        128
    }
    pub(super) fn slot_wait_max_ms() -> u64 {
        5_000
    }
}

/// Opens the backend that `config` describes.
///
/// Blocks on a directory; touches no network: an endpoint that cannot be reached is found by
/// the first request. The error is for the operator and holds no secret.
pub fn open(
    config: &BackendConfig,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> Result<Arc<dyn Backend>, String> {
    match config {
        BackendConfig::Fs(config) => match FsBackend::open(config, entropy) {
            Ok(backend) => Ok(Arc::new(backend)),
            Err(e) => Err(e.message),
        },
        BackendConfig::S3(config) => Ok(Arc::new(S3Backend::new(config, clock)?)),
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
