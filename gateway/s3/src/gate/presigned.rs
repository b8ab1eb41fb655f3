//! Signatures in the query: presigned requests.

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use weir_types::clock::Timestamp;
use weir_types::{Error, ErrorCode};

use super::date::AmzDate;
use super::query::Query;
use super::scope::Scope;
use super::{Claim, Form, SKEW_SECS_MAX, malformed, sigv4a, single};

/// Seven days (AWS, "Authenticating Requests: Using Query Parameters").
const EXPIRES_SECS_MAX: u64 = 604_800;

/// The parameters that make up a signature. Found in any case, so that none is overlooked.
const PARAMETERS: [&str; 6] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
];
const CONTENT_SHA256: &str = "X-Amz-Content-Sha256";

/// What kind of signature a query holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Unsigned,
    V4,
    V2,
}

/// Whether the query looks signed; a part of a signature is enough.
pub(super) fn is_signed(query: &Query<'_>) -> Kind {
    let has = |name: &str| query.iter().any(|p| p.name.eq_ignore_ascii_case(name));
    if has("X-Amz-Signature") || has("X-Amz-Credential") || has("X-Amz-Algorithm") {
        Kind::V4
    } else if has("AWSAccessKeyId") || has("Signature") {
        Kind::V2
    } else {
        Kind::Unsigned
    }
}

/// Whether `name` belongs to the signature and not to the operation.
pub(crate) fn is_signature_parameter(name: &str) -> bool {
    PARAMETERS.iter().any(|p| p.eq_ignore_ascii_case(name))
        || name.eq_ignore_ascii_case(CONTENT_SHA256)
}

/// Reads the claim, and checks that the request is valid now.
pub(super) fn claim<'a>(
    parts: &'a Parts,
    query: &'a Query<'_>,
    now: Timestamp,
) -> Result<Claim<'a>, Error> {
    let mut found: [Option<&str>; 6] = [None; 6];
    for param in query.iter() {
        let Some(nth) = PARAMETERS
            .iter()
            .position(|p| p.eq_ignore_ascii_case(&param.name))
        else {
            continue;
        };
        if found[nth].replace(&param.value).is_some() {
            return Err(malformed(
                Form::Query,
                format!("{} stands twice.", PARAMETERS[nth]),
            ));
        }
    }
    let take = |nth: usize| {
        found[nth]
            .filter(|value| !value.is_empty())
            .ok_or_else(|| malformed(Form::Query, format!("{} is missing.", PARAMETERS[nth])))
    };
    match take(0)? {
        "AWS4-HMAC-SHA256" => {}
        "AWS4-ECDSA-P256-SHA256" => return Err(sigv4a()),
        _ => {
            return Err(malformed(
                Form::Query,
                "X-Amz-Algorithm must be AWS4-HMAC-SHA256.",
            ));
        }
    }
    let scope =
        Scope::parse(take(1)?).map_err(|bad| malformed(Form::Query, bad.message("region")))?;
    let date = AmzDate::parse(take(2)?).ok_or_else(|| {
        malformed(
            Form::Query,
            "X-Amz-Date must be of the form yyyymmddThhmmssZ.",
        )
    })?;
    let expires = expires(take(3)?)?;
    let (signed_headers, signature) = (take(4)?, take(5)?);
    check_time(date, expires, now)?;
    Ok(Claim {
        scope,
        date,
        signed_headers,
        signature,
        payload: payload(&parts.headers, query)?,
        form: Form::Query,
    })
}

fn expires(text: &str) -> Result<u64, Error> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse::<u64>() {
        Ok(secs) if digits && (1..=EXPIRES_SECS_MAX).contains(&secs) => Ok(secs),
        _ => Err(malformed(
            Form::Query,
            "X-Amz-Expires must be between 1 and 604800 seconds.",
        )),
    }
}

fn check_time(date: AmzDate, expires: u64, now: Timestamp) -> Result<(), Error> {
    if date.ahead_of(now) > SKEW_SECS_MAX {
        return Err(Error::new(
            ErrorCode::AccessDenied,
            "The request is not valid yet.",
        ));
    }
    if now.as_secs() > date.secs.saturating_add(expires) {
        return Err(Error::new(ErrorCode::AccessDenied, "Request has expired")
            .with("X-Amz-Expires", expires.to_string())
            .with("ServerTime", now.to_string()));
    }
    Ok(())
}

/// The hash that is signed: from the query or the header, else `UNSIGNED-PAYLOAD`. Whichever
/// it is becomes a line of the canonical request and thus cannot be changed.
fn payload<'a>(headers: &'a HeaderMap, query: &'a Query<'_>) -> Result<&'a str, Error> {
    let mut given = query
        .iter()
        .filter(|p| p.name.eq_ignore_ascii_case(CONTENT_SHA256));
    let header = single(headers, "x-amz-content-sha256")?;
    match (given.next().map(|p| &*p.value), given.next(), header) {
        (Some(query), None, Some(header)) if query != header => Err(malformed(
            Form::Query,
            "Query and header give two hashes of the payload.",
        )),
        (Some(query), None, _) => Ok(query),
        (None, _, header) => Ok(header.unwrap_or("UNSIGNED-PAYLOAD")),
        (Some(_), Some(_), _) => Err(malformed(Form::Query, "X-Amz-Content-Sha256 stands twice.")),
    }
}

/// SDKs move `x-amz-…` headers into the query when they presign. They are signed there, and
/// mean what the headers would mean.
pub(super) fn hoist(
    query: &Query<'_>,
    headers: &HeaderMap,
) -> Result<Vec<(HeaderName, HeaderValue)>, Error> {
    let mut hoisted: Vec<(HeaderName, HeaderValue)> = Vec::new();
    for param in query.iter() {
        let is_amz = param
            .name
            .get(..6)
            .is_some_and(|start| start.eq_ignore_ascii_case("x-amz-"));
        if !is_amz || is_signature_parameter(&param.name) {
            continue;
        }
        let name = param.name.to_ascii_lowercase();
        let bad = || {
            Error::new(
                ErrorCode::InvalidArgument,
                "A parameter is not a valid header.",
            )
            .with("ArgumentName", param.name.clone())
        };
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
        let value = HeaderValue::from_bytes(param.value.as_bytes()).map_err(|_| bad())?;
        let twice = hoisted.iter().any(|(other, _)| *other == name);
        match headers.get(&name) {
            Some(header) if *header == value && !twice => {}
            None if !twice => hoisted.push((name, value)),
            _ => {
                return Err(Error::new(
                    ErrorCode::InvalidArgument,
                    "A parameter stands twice, or differs from the header of its name.",
                )
                .with("ArgumentName", param.name.clone()));
            }
        }
    }
    Ok(hoisted)
}
