//! Which resource a request names.

use weir_types::id::{BucketName, KEY_BYTES_MAX, ObjectKey};
use weir_types::{Error, ErrorCode};

use crate::percent::{self, Plus};

/// A resource.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// `/`.
    Service,
    /// A bucket.
    Bucket(BucketName),
    /// An object.
    Object(BucketName, ObjectKey),
}

impl Target {
    /// Reads path and host. The path is decoded first and split then: the signature covers
    /// the decoded path, so `%2F` and `/` must mean the same here too.
    pub(super) fn parse(path: &str, host: &str, base_domains: &[String]) -> Result<Self, Error> {
        let path = percent::decode_text(path, Plus::Literal)?;
        let path = path
            .strip_prefix('/')
            .ok_or(Error::from(ErrorCode::InvalidURI))?;
        let (bucket, key) = match bucket_in(host, base_domains) {
            Some(bucket) => (bucket, path),
            None if path.is_empty() => return Ok(Self::Service),
            None => path.split_once('/').unwrap_or((path, "")),
        };
        let bucket = self::bucket(bucket)?;
        if key.is_empty() {
            Ok(Self::Bucket(bucket))
        } else {
            Ok(Self::Object(bucket, self::key(key)?))
        }
    }

    /// `/bucket/key`.
    pub(super) fn resource(&self) -> String {
        match self {
            Self::Service => "/".to_owned(),
            Self::Bucket(bucket) => format!("/{bucket}"),
            Self::Object(bucket, key) => format!("/{bucket}/{}", key.as_str()),
        }
    }
}

/// What stands before a base domain in `host`: the bucket of a virtual-hosted request.
pub(super) fn bucket_in<'a>(host: &'a str, base_domains: &[String]) -> Option<&'a str> {
    base_domains
        .iter()
        .find_map(|domain| host.strip_suffix(domain.as_str())?.strip_suffix('.'))
}

/// A bucket name as the client sent it.
pub(super) fn bucket(text: &str) -> Result<BucketName, Error> {
    BucketName::parse(text)
        .map_err(|e| Error::new(ErrorCode::InvalidBucketName, e.0).with("BucketName", text))
}

/// A key as the client sent it, decoded.
pub(super) fn key(text: &str) -> Result<ObjectKey, Error> {
    ObjectKey::parse(text).map_err(|e| {
        if text.len() > KEY_BYTES_MAX {
            Error::from(ErrorCode::KeyTooLongError)
                .with("Size", text.len().to_string())
                .with("MaxSizeAllowed", KEY_BYTES_MAX.to_string())
        } else {
            Error::new(ErrorCode::InvalidURI, e.0)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, host: &str, expected: Result<&str, ErrorCode>) {
        let domains = ["s3.example.com".to_owned()];
        let got = Target::parse(path, host, &domains)
            .map(|t| t.resource())
            .map_err(|e| e.code);
        assert_eq!(got, expected.map(str::to_owned), "{path} at {host}");
    }

    #[test]
    fn paths_and_hosts() {
        use ErrorCode::{InvalidBucketName, InvalidURI, KeyTooLongError};
        let long = |n: usize| format!("/bucket/{}", "k".repeat(n));
        for (path, host, expected) in [
            ("/", "localhost", Ok("/")),
            ("/bucket", "localhost", Ok("/bucket")),
            ("/bucket/", "localhost", Ok("/bucket")),
            ("/bucket/a/b", "localhost", Ok("/bucket/a/b")),
            ("/bucket//a", "localhost", Ok("/bucket//a")),
            ("/bucket///", "localhost", Ok("/bucket///")),
            ("/bucket/../x", "localhost", Ok("/bucket/../x")),
            ("/bucket/%2e%2e/x", "localhost", Ok("/bucket/../x")),
            ("/bucket/%2Fa%5Cb", "localhost", Ok("/bucket//a\\b")),
            ("/bucket%2Fa", "localhost", Ok("/bucket/a")),
            ("/bucket/a+b%20c", "localhost", Ok("/bucket/a+b c")),
            ("/bucket/%252F", "localhost", Ok("/bucket/%2F")),
            ("/a/b", "bucket.s3.example.com", Ok("/bucket/a/b")),
            ("//a", "bucket.s3.example.com", Ok("/bucket//a")),
            ("/", "my.bucket.s3.example.com", Ok("/my.bucket")),
            ("/bucket/a", "s3.example.com", Ok("/bucket/a")),
            ("/bucket/a", "evil-s3.example.com", Ok("/bucket/a")),
            ("/a", "A_b.s3.example.com", Err(InvalidBucketName)),
            ("/a", ".s3.example.com", Err(InvalidBucketName)),
            ("/../x", "localhost", Err(InvalidBucketName)),
            ("/A_b/k", "localhost", Err(InvalidBucketName)),
            ("/127.0.0.1/k", "localhost", Err(InvalidBucketName)),
            ("//k", "localhost", Err(InvalidBucketName)),
            ("/bucket/%00", "localhost", Err(InvalidURI)),
            ("/bucket/%ff", "localhost", Err(InvalidURI)),
            ("/bucket/%zz", "localhost", Err(InvalidURI)),
            ("/bucket/%e", "localhost", Err(InvalidURI)),
            ("*", "localhost", Err(InvalidURI)),
            (&long(1024), "localhost", Ok(&long(1024))),
            (&long(1025), "localhost", Err(KeyTooLongError)),
        ] {
            check(path, host, expected);
        }
        check(
            &format!("/{}", "b".repeat(64)),
            "localhost",
            Err(InvalidBucketName),
        );
    }
}
