//! What an endpoint's refusal means.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use weir_types::backend::{BackendError, BackendErrorKind};
use weir_types::clock::Timestamp;

use super::xml;

/// The longest pause that an endpoint can ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);
/// What is kept of the endpoint's own words.
const MESSAGE_CHARS_MAX: usize = 300;
/// The largest object or part that S3 takes in one request; a refusal of less as too large
/// is about room.
const PUT_BYTES_MAX: u64 = 5 << 30;

/// An answer other than success.
pub(super) struct Refusal<'a> {
    /// What was asked.
    pub(super) operation: &'static str,
    /// The status.
    pub(super) status: StatusCode,
    /// `Retry-After`, understood.
    pub(super) retry_after: Option<Duration>,
    /// The body, as far as it is kept.
    pub(super) body: &'a str,
    /// Bytes that were to be stored.
    pub(super) size: u64,
}

/// Understands `Retry-After`: seconds, or a date (RFC 9110, 10.2.3).
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let span = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let at = httpdate::parse_http_date(text).ok()?;
            let since_epoch = at.duration_since(std::time::UNIX_EPOCH).ok()?;
            since_epoch.saturating_sub(Duration::from_millis(now.as_millis()))
        }
    };
    Some(span.min(RETRY_AFTER_MAX))
}

impl Refusal<'_> {
    /// The error that callers see.
    pub(super) fn into_error(self) -> BackendError {
        let element = xml::parse(self.body)
            .ok()
            .filter(|root| root.name == "Error");
        let said = |name| {
            element
                .as_ref()
                .and_then(|e| e.text_of(name))
                .unwrap_or_default()
        };
        let (code, message) = (said("Code"), said("Message"));
        let kind = self.kind(code);
        let mut text = format!("s3: {}: {}", self.operation, self.status.as_u16());
        for part in [code, message] {
            if !part.is_empty() {
                text.push(' ');
                text.extend(part.chars().map(|c| if c.is_control() { ' ' } else { c }));
            }
        }
        if self.status.is_redirection() {
            text.push_str(" (is the region right?)");
        }
        let text = text.chars().take(MESSAGE_CHARS_MAX).collect::<String>();
        BackendError {
            retry_after: self.retry_after,
            ..BackendError::new(kind, text)
        }
    }

    fn kind(&self, code: &str) -> BackendErrorKind {
        use BackendErrorKind::{Denied, Full, NotFound, Rejected, Throttled, Unavailable};
        match code {
            "NoSuchKey" | "NoSuchUpload" => return NotFound,
            "NotImplemented" => return Rejected,
            "NoSuchBucket" | "PermanentRedirect" | "TemporaryRedirect" => return Unavailable,
            "AccessDenied"
            | "InvalidAccessKeyId"
            | "SignatureDoesNotMatch"
            | "RequestTimeTooSkewed"
            | "AuthorizationHeaderMalformed"
            | "ExpiredToken"
            | "InvalidToken"
            | "TokenRefreshRequired"
            | "AccountProblem"
            | "NotSignedUp" => {
                return Denied;
            }
            "QuotaExceeded"
            | "StorageFull"
            | "XMinioStorageFull"
            | "InsufficientStorage"
            | "InsufficientCapacity"
            | "TooManyObjects" => return Full,
            "EntityTooLarge" if self.size <= PUT_BYTES_MAX => return Full,
            "SlowDown"
            | "SlowDownRead"
            | "SlowDownWrite"
            | "Throttling"
            | "ThrottlingException"
            | "RequestLimitExceeded"
            | "TooManyRequests"
            | "BandwidthLimitExceeded" => return Throttled,
            "InternalError" | "ServiceUnavailable" | "RequestTimeout" | "IncompleteBody"
            | "OperationAborted" => return Unavailable,
            _ => {}
        }
        match self.status.as_u16() {
            404 => NotFound,
            401 | 403 => Denied,
            429 => Throttled,
            507 => Full,
            408 => Unavailable,
            501 => Rejected,
            503 if self.retry_after.is_some() => Throttled,
            400..=499 => Rejected,
            _ => Unavailable,
        }
    }
}
