//! What must hold of a request's head before anything else is looked at.

use http::request::Parts;
use http::{HeaderMap, header};
use weir_types::{Error, ErrorCode};

use super::single;

/// Bounds the header section.
pub(super) fn check_size(parts: &Parts, count_max: usize, bytes_max: usize) -> Result<(), Error> {
    if parts.headers.len() > count_max {
        return Err(Error::new(
            ErrorCode::InvalidRequest,
            "The request has too many header fields.",
        ));
    }
    let target = parts.uri.path().len() + parts.uri.query().map_or(0, str::len);
    let bytes: usize = parts
        .headers
        .iter()
        .map(|(n, v)| n.as_str().len() + v.len())
        .sum();
    if target + bytes > bytes_max {
        return Err(ErrorCode::RequestHeaderSectionTooLarge.into());
    }
    Ok(())
}

/// A request whose length could be read in two ways is refused, and its connection closed:
/// a proxy in front may have read it the other way (RFC 9112, section 6.3).
pub(super) fn check_length(headers: &HeaderMap) -> Result<(), Error> {
    let lengths = headers.get_all(header::CONTENT_LENGTH);
    let chunked = headers.contains_key(header::TRANSFER_ENCODING);
    let count = lengths.iter().count();
    let plain = |v: &http::HeaderValue| {
        (1..=20).contains(&v.len()) && v.as_bytes().iter().all(u8::is_ascii_digit)
    };
    if count > 1 || (count == 1 && chunked) || !lengths.iter().all(plain) {
        return Err(Error::new(
            ErrorCode::InvalidRequest,
            "The length of the request is ambiguous.",
        )
        .with("Connection", "close"));
    }
    Ok(())
}

/// The host as it was sent: the Host header, or HTTP/2's `:authority`.
pub(super) fn host(parts: &Parts) -> Result<&str, Error> {
    let header = single(&parts.headers, &header::HOST)?;
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    match (header, authority) {
        (Some(a), Some(b)) if !a.eq_ignore_ascii_case(b) => Err(Error::new(
            ErrorCode::InvalidRequest,
            "The request names two hosts.",
        )),
        (Some(host), _) | (None, Some(host)) => Ok(host),
        (None, None) => Err(Error::new(
            ErrorCode::InvalidRequest,
            "The host is missing.",
        )),
    }
}

/// The name of the host, in lowercase and without its port.
pub(super) fn host_name(host: &str) -> Result<String, Error> {
    let host = host.trim();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    if name.is_empty() || name.contains(['/', '@', '?', '#']) {
        return Err(Error::new(
            ErrorCode::InvalidRequest,
            "The host is not valid.",
        ));
    }
    Ok(name.to_ascii_lowercase())
}
