//! Where requests go: host, paths, queries.

use http::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::S3Config;

/// What stays as it is in a path (AWS, "Create a canonical request": unreserved and `/`).
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'/');
/// What stays as it is in a query.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// A bucket at an endpoint.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    /// Whether requests go over TLS.
    pub(super) is_tls: bool,
    /// The `Host` header.
    pub(super) host: String,
    /// The bucket as a path: empty with virtual-hosted style.
    base: String,
    key_prefix: String,
}

impl Endpoint {
    /// Reads the endpoint from its configuration; the error is for the operator.
    pub(super) fn parse(config: &S3Config) -> Result<Self, String> {
        let what = &config.endpoint;
        let wrong = |reason: &str| format!("endpoint {what:?}: {reason}");
        let uri: Uri = what.parse().map_err(|_| wrong("not a URL"))?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong("it starts with https:// or http://")),
        };
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(wrong("it has no path"));
        }
        let authority = uri.authority().ok_or_else(|| wrong("it has no host"))?;
        if authority.as_str().contains('@') {
            // The text is not repeated: it may hold a password.
            return Err("endpoint: credentials do not belong into the URL".to_owned());
        }
        let default_port = if is_tls { 443 } else { 80 };
        let address = match authority.port_u16() {
            Some(port) if port != default_port => format!("{}:{port}", authority.host()),
            _ => authority.host().to_owned(),
        };
        let bucket = &config.bucket;
        if bucket.is_empty() || bucket.contains('/') {
            return Err(format!("bucket {bucket:?}: not a bucket name"));
        }
        let (host, base) = if config.path_style {
            (address, format!("/{}", utf8_percent_encode(bucket, PATH)))
        } else {
            (format!("{bucket}.{address}"), String::new())
        };
        let endpoint = Self {
            is_tls,
            host,
            base,
            key_prefix: config.key_prefix.clone(),
        };
        endpoint
            .uri(&endpoint.bucket_path(), "")
            .map_err(|e| wrong(&e))?;
        Ok(endpoint)
    }

    /// The path of an object, encoded.
    pub(super) fn object_path(&self, key: &str) -> String {
        let key = self.key(key);
        format!("{}/{}", self.base, utf8_percent_encode(&key, PATH))
    }

    /// The path of the bucket.
    pub(super) fn bucket_path(&self) -> String {
        if self.base.is_empty() {
            "/".to_owned()
        } else {
            self.base.clone()
        }
    }

    /// A key as the bucket has it.
    pub(super) fn key(&self, key: &str) -> String {
        format!("{}{key}", self.key_prefix)
    }

    /// A key of the bucket as callers know it; `None` for keys outside the prefix.
    pub(super) fn strip<'a>(&self, key: &'a str) -> Option<&'a str> {
        key.strip_prefix(self.key_prefix.as_str())
    }

    /// The whole address.
    pub(super) fn uri(&self, path: &str, query: &str) -> Result<Uri, String> {
        let scheme = if self.is_tls { "https" } else { "http" };
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{scheme}://{}{path}{mark}{query}", self.host)
            .parse()
            .map_err(|_| "no request can be sent to this address".to_owned())
    }
}

/// A query in its canonical form: sorted and encoded, each name with its `=`.
pub(super) fn canonical_query(pairs: &[(&str, &str)]) -> String {
    let mut encoded: Vec<String> = pairs
        .iter()
        .map(|(name, value)| {
            format!(
                "{}={}",
                utf8_percent_encode(name, QUERY),
                utf8_percent_encode(value, QUERY)
            )
        })
        .collect();
    encoded.sort_unstable();
    encoded.join("&")
}
