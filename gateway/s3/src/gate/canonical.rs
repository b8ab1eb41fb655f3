//! The canonical request (AWS, "Create a signed AWS API request", steps 1 to 3), built from
//! the bytes that arrived. S3 encodes once and does not normalise paths.

use http::HeaderMap;
use http::request::Parts;
use weir_types::{Error, ErrorCode};

use super::query::Query;
use super::signing::{SignatureHex, sha256_hex};
use crate::percent::{self, Plus, Slash};

/// What a signature says it covers: the parts that differ between header and query form.
pub(crate) struct Signed<'a> {
    /// `SignedHeaders`: names separated by `;`.
    pub(crate) headers: &'a str,
    /// The payload hash that is signed.
    pub(crate) payload: &'a str,
    /// The parameter that carries the signature and is not signed itself.
    pub(crate) query_but: Option<&'a str>,
}

/// SHA-256 of the canonical request, in hex.
///
/// Fails when a header is named in `SignedHeaders` that the request does not have.
pub(crate) fn request_sha256(
    parts: &Parts,
    host: &[u8],
    query: &Query<'_>,
    signed: &Signed<'_>,
) -> Result<SignatureHex, Error> {
    let mut out = String::with_capacity(512);
    out.push_str(parts.method.as_str());
    out.push('\n');
    let path = parts.uri.path();
    if percent::is_canonical(path, Slash::Keep) {
        out.push_str(path);
    } else {
        percent::encode_onto(
            &mut out,
            &percent::decode(path, Plus::Literal)?,
            Slash::Keep,
        );
    }
    out.push('\n');
    query.canonical_onto(&mut out, signed.query_but);
    out.push('\n');
    // Header values may be any bytes from here on.
    let mut out = out.into_bytes();
    for name in signed.headers.split(';') {
        out.extend_from_slice(name.as_bytes());
        out.push(b':');
        if name == "host" {
            trimmed_onto(&mut out, host);
        } else {
            values_onto(&mut out, &parts.headers, name)?;
        }
        out.push(b'\n');
    }
    out.push(b'\n');
    out.extend_from_slice(signed.headers.as_bytes());
    out.push(b'\n');
    out.extend_from_slice(signed.payload.as_bytes());
    Ok(sha256_hex(&out))
}

fn values_onto(out: &mut Vec<u8>, headers: &HeaderMap, name: &str) -> Result<(), Error> {
    let mut values = headers.get_all(name).iter().peekable();
    if values.peek().is_none() {
        return Err(Error::new(
            ErrorCode::SignatureDoesNotMatch,
            "A header that is named as signed did not arrive.",
        )
        .with("HeadersMissing", name));
    }
    while let Some(value) = values.next() {
        trimmed_onto(out, value.as_bytes());
        if values.peek().is_some() {
            out.push(b',');
        }
    }
    Ok(())
}

/// Without white space at the ends, and with runs of spaces made one.
fn trimmed_onto(out: &mut Vec<u8>, value: &[u8]) {
    let value = value.trim_ascii();
    if !value.windows(2).any(|pair| pair == b"  ") {
        out.extend_from_slice(value);
        return;
    }
    let mut last = 0;
    for &byte in value {
        if byte != b' ' || last != b' ' {
            out.push(byte);
        }
        last = byte;
    }
}
