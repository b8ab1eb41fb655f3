//! What an operator can set about the S3 front.

use std::time::Duration;

/// Settings of the front, checked by whoever reads the configuration.
#[derive(Debug, Clone)]
pub struct S3Config {
    /// The region that signatures must be scoped to, and that answers name.
    pub region: String,
    /// Further regions that signatures may be scoped to: what clients assume when nobody told
    /// them.
    pub region_aliases: Vec<String>,
    /// Domains under which buckets are addressed as `bucket.domain` (lowercase, without port).
    /// Requests to any other host are read path-style.
    pub base_domains: Vec<String>,
    /// The account id shown as owner, and compared with `x-amz-expected-bucket-owner`.
    pub owner_id: String,
    /// Shown as `x-amz-id-2` and `HostId`: which gateway answered.
    pub host_id: String,
    /// Whether clients reach this front through TLS: decides `http` or `https` in the
    /// `Location` of CompleteMultipartUpload.
    pub tls: bool,
    /// Limits on everything that a client controls.
    pub limits: S3Limits,
}

impl Default for S3Config {
    fn default() -> Self {
        Self {
            region: "us-east-1".to_owned(),
            region_aliases: Vec::new(),
            base_domains: Vec::new(),
            owner_id: "weir".to_owned(),
            host_id: "weir".to_owned(),
            tls: false,
            limits: S3Limits::default(),
        }
    }
}

/// Limits on what a client can make the front hold or wait for.
#[derive(Debug, Clone)]
pub struct S3Limits {
    /// Header fields of one request.
    pub header_count_max: usize,
    /// Names and values of all header fields together, the request target included.
    pub header_bytes_max: usize,
    /// The XML body of CompleteMultipartUpload and DeleteObjects.
    pub xml_body_bytes_max: usize,
    /// XML bodies of all requests together, as long as they are being read; those of up to
    /// 64 KiB do not count. More are answered SlowDown.
    pub xml_bodies_bytes_max: usize,
    /// PutObject and UploadPart: 5 GiB at AWS ("Amazon S3 multipart upload limits").
    pub put_bytes_max: u64,
    /// Longest pause between two pieces of a request body.
    pub body_idle_timeout: Duration,
    /// Pause between two pieces of white space while a slow operation runs.
    pub keep_alive_interval: Duration,
    /// Signing keys kept ready; one per access key, day and region.
    pub signing_keys_max: usize,
}

impl Default for S3Limits {
    fn default() -> Self {
        Self {
            header_count_max: 100,
            header_bytes_max: 32 * 1024,
            xml_body_bytes_max: 8 * 1024 * 1024,
            xml_bodies_bytes_max: 128 * 1024 * 1024,
            put_bytes_max: 5 * 1024 * 1024 * 1024,
            body_idle_timeout: Duration::from_secs(60),
            keep_alive_interval: Duration::from_secs(5),
            signing_keys_max: 1024,
        }
    }
}
