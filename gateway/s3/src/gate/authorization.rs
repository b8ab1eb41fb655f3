//! Signatures in the `Authorization` header.

use http::{HeaderMap, HeaderName, header};
use weir_types::{Error, ErrorCode};

use super::date::AmzDate;
use super::scope::Scope;
use super::{Claim, Form, malformed, signature_v2, sigv4a, single};

static CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
static AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");

/// Reads `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`.
pub(super) fn claim(headers: &HeaderMap) -> Result<Claim<'_>, Error> {
    let text = single(headers, &header::AUTHORIZATION)?
        .unwrap_or("")
        .trim();
    let (scheme, fields) = text.split_once(' ').unwrap_or((text, ""));
    match scheme {
        "AWS4-HMAC-SHA256" => {}
        "AWS" => return Err(signature_v2()),
        "AWS4-ECDSA-P256-SHA256" => return Err(sigv4a()),
        _ => {
            return Err(Error::new(
                ErrorCode::InvalidArgument,
                "Unsupported authorization type.",
            )
            .with("ArgumentName", "Authorization"));
        }
    }
    let (mut credential, mut signed_headers, mut signature) = (None, None, None);
    for field in fields.split(',').map(str::trim) {
        let (name, value) = field
            .split_once('=')
            .ok_or_else(|| malformed(Form::Header, "A field of the header has no value."))?;
        let place = match name {
            "Credential" => &mut credential,
            "SignedHeaders" => &mut signed_headers,
            "Signature" => &mut signature,
            _ => return Err(malformed(Form::Header, "The header has an unknown field.")),
        };
        if value.is_empty() || place.replace(value).is_some() {
            return Err(malformed(Form::Header, "A field is empty or stands twice."));
        }
    }
    let (Some(credential), Some(signed_headers), Some(signature)) =
        (credential, signed_headers, signature)
    else {
        return Err(malformed(
            Form::Header,
            "The header must have Credential, SignedHeaders and Signature.",
        ));
    };
    let scope =
        Scope::parse(credential).map_err(|bad| malformed(Form::Header, bad.message("region")))?;
    let payload = single(headers, &CONTENT_SHA256)?.ok_or_else(|| {
        Error::new(
            ErrorCode::InvalidRequest,
            "Missing required header for this request: x-amz-content-sha256",
        )
    })?;
    let date = date(headers).ok_or_else(|| {
        Error::new(
            ErrorCode::AccessDenied,
            "AWS authentication requires a valid Date or x-amz-date header.",
        )
    })?;
    Ok(Claim {
        scope,
        date,
        signed_headers,
        signature,
        payload,
        form: Form::Header,
    })
}

/// `x-amz-date` wins over `Date`.
fn date(headers: &HeaderMap) -> Option<AmzDate> {
    if let Some(text) = single(headers, &AMZ_DATE).ok()? {
        return AmzDate::parse(text);
    }
    let text = single(headers, &header::DATE).ok()??;
    AmzDate::parse(text).or_else(|| AmzDate::from_http_date(text))
}
