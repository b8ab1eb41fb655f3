//! Errors as S3 spells them (AWS, "REST error responses").

use http::{HeaderName, HeaderValue, StatusCode, header};
use weir_types::{Error, ErrorCode};

use super::xml::Xml;
use super::{Answer, Content};

/// Seconds after which a client should try again when nothing can serve it now.
const RETRY_AFTER_SECS: HeaderValue = HeaderValue::from_static("2");

/// The answer to a failed request.
pub(super) fn answer(error: &Error, resource: &str, request_id: &str, host_id: &str) -> Answer {
    let mut answer = Answer::empty(error.code.status());
    if error.code == ErrorCode::NotModified {
        for (name, value) in &error.details {
            let name = HeaderName::from_bytes(name.as_bytes());
            let value = HeaderValue::from_bytes(value.as_bytes());
            if let (Ok(name), Ok(value)) = (name, value) {
                answer.headers.insert(name, value);
            }
        }
        return answer;
    }
    if answer.status == StatusCode::SERVICE_UNAVAILABLE {
        answer.headers.insert(header::RETRY_AFTER, RETRY_AFTER_SECS);
    }
    for (name, value) in &error.details {
        let name = match *name {
            // So that clients learn it from HEAD, too.
            "Region" => HeaderName::from_static("x-amz-bucket-region"),
            "Connection" => header::CONNECTION,
            _ => continue,
        };
        if let Ok(value) = HeaderValue::from_str(value) {
            answer.headers.insert(name, value);
        }
    }
    answer.content = Content::Xml(document(error, resource, request_id, host_id));
    answer
}

/// The document, without its declaration.
pub(super) fn document(error: &Error, resource: &str, request_id: &str, host_id: &str) -> String {
    Xml::plain("Error", |xml| {
        xml.text("Code", error.code.code());
        xml.text("Message", &error.message);
        for (name, value) in error
            .details
            .iter()
            .filter(|(name, _)| *name != "Connection")
        {
            xml.text(name, value);
        }
        xml.text("Resource", resource);
        xml.text("RequestId", request_id);
        xml.text("HostId", host_id);
    })
}
