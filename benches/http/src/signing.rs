//! AWS Signature Version 4 in the `Authorization` header.
//!
//! Source: "Signature Calculations for the Authorization Header: Transferring Payload in a
//! Single Chunk" in the Amazon S3 API reference. Written apart from the gateway's own code,
//! so that the two check each other.

use aws_lc_rs::{digest, hmac};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

const DATE_TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[year][month][day]T[hour][minute][second]Z");

/// An access key that requests are signed with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    pub(crate) id: &'static str,
    pub(crate) secret: &'static str,
}

/// What is signed of a request. Paths need no percent-encoding here and have no query.
pub(crate) struct Signed<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) host: &'a str,
    pub(crate) region: &'a str,
    /// Of the body, in hexadecimal.
    pub(crate) sha256: &'a str,
    pub(crate) at: OffsetDateTime,
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

/// `at` as `x-amz-date` spells it.
pub(crate) fn amz_date(at: OffsetDateTime) -> String {
    at.format(&DATE_TIME).expect("a plain date has this form")
}

/// The value of `Authorization` for a request with the headers `host`,
/// `x-amz-content-sha256` and `x-amz-date`.
pub(crate) fn authorization(key: Key, request: &Signed<'_>) -> String {
    const HEADERS: &str = "host;x-amz-content-sha256;x-amz-date";
    let Signed {
        method,
        path,
        host,
        region,
        sha256,
        at,
    } = request;
    let date_time = amz_date(*at);
    let date = &date_time[..8];
    let canonical = format!(
        "{method}\n{path}\n\nhost:{host}\nx-amz-content-sha256:{sha256}\n\
         x-amz-date:{date_time}\n\n{HEADERS}\n{sha256}"
    );
    let scope = format!("{date}/{region}/s3/aws4_request");
    let text = format!(
        "AWS4-HMAC-SHA256\n{date_time}\n{scope}\n{}",
        sha256_hex(canonical.as_bytes())
    );
    let first = mac(format!("AWS4{}", key.secret).as_bytes(), date.as_bytes());
    let signing_key = [region.as_bytes(), b"s3", b"aws4_request"]
        .iter()
        .fold(first, |secret, message| mac(secret.as_ref(), message));
    let signature = hex::encode(mac(signing_key.as_ref(), text.as_bytes()));
    format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={HEADERS}, Signature={signature}",
        key.id
    )
}

fn mac(secret: &[u8], message: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    /// "GET Bucket Lifecycle" and its kind in the S3 reference all carry a query; this is the
    /// reference's key and date with a plain path, its signature computed by botocore.
    #[test]
    fn signature_has_the_parts_in_order() {
        let key = Key {
            id: "AKIAIOSFODNN7EXAMPLE",
            secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        };
        let request = Signed {
            method: "GET",
            path: "/test.txt",
            host: "examplebucket.s3.amazonaws.com",
            region: "us-east-1",
            sha256: &sha256_hex(b""),
            at: datetime!(2013-05-24 00:00:00 UTC),
        };
        assert_eq!(
            authorization(key, &request),
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
             SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=df548e2ce037944d03f3e68682813b093763996d597cf890ca3d9037fd231eb4"
        );
    }
}
