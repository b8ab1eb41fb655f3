//! GetObject, HeadObject and PutObject.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, header};
use http_body::Body;
use weir_types::id::{BucketName, ObjectKey, PartNumber};
use weir_types::operation::{Operation, PutObject, ReadObject};
use weir_types::{Error, ErrorCode};

use super::params::Params;
use super::{
    Decoded, Head, ReadSpelling, Spelling, body, conditions, headers, invalid_argument, range,
};
use crate::gate::{SealedBody, single};

static CHECKSUM_MODE: HeaderName = HeaderName::from_static("x-amz-checksum-mode");

/// Parameters that replace a header of the answer (AWS, "GetObject").
const OVERRIDES: [(&str, HeaderName); 6] = [
    ("response-content-type", header::CONTENT_TYPE),
    ("response-content-language", header::CONTENT_LANGUAGE),
    ("response-expires", header::EXPIRES),
    ("response-cache-control", header::CACHE_CONTROL),
    ("response-content-disposition", header::CONTENT_DISPOSITION),
    ("response-content-encoding", header::CONTENT_ENCODING),
];

/// `GET /bucket/key` and `HEAD /bucket/key`.
pub(super) fn read(
    mut head: Head<'_>,
    bucket: BucketName,
    key: ObjectKey,
) -> Result<Decoded, Error> {
    head.params.null_version()?;
    let part = part_number(&mut head.params)?;
    let mut overrides = Vec::new();
    for (name, header) in OVERRIDES {
        if let Some(value) = head.params.take(name)? {
            let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| {
                invalid_argument(name, &value, "The value cannot stand in a header.")
            })?;
            overrides.push((header, value));
        }
    }
    head.params.finish()?;
    let range = single(head.headers, &header::RANGE)
        .ok()
        .flatten()
        .and_then(range::parse);
    if part.is_some() && range.is_some() {
        return Err(Error::new(
            ErrorCode::InvalidRequest,
            "Cannot specify both Range header and partNumber query parameter",
        ));
    }
    let mode = single(head.headers, &CHECKSUM_MODE)?;
    let spelling = ReadSpelling {
        checksum: mode.is_some_and(|m| m.eq_ignore_ascii_case("ENABLED")),
        part: part.is_some(),
        overrides,
    };
    let conditions = conditions::read(head.headers, &conditions::OF_OBJECT)?;
    let read = Box::new(ReadObject {
        bucket,
        key,
        range,
        part,
        conditions,
    });
    let operation = match *head.method {
        Method::HEAD => Operation::HeadObject(read),
        _ => Operation::GetObject(read),
    };
    Ok((operation, Spelling::Read(Box::new(spelling))))
}

/// `partNumber`.
pub(super) fn part_number(params: &mut Params) -> Result<Option<PartNumber>, Error> {
    let Some(text) = params.take("partNumber")? else {
        return Ok(None);
    };
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|_| digits)
        .and_then(|number| PartNumber::new(number).ok())
        .map(Some)
        .ok_or_else(|| {
            invalid_argument(
                "partNumber",
                &text,
                "Part number must be an integer between 1 and 10000, inclusive",
            )
        })
}

/// `PUT /bucket/key`.
pub(super) fn put<B>(
    mut head: Head<'_>,
    bucket: BucketName,
    key: ObjectKey,
    body: SealedBody<B>,
) -> Result<Decoded, Error>
where
    B: Body<Data = Bytes> + Send + 'static,
{
    if let Some(number) = head.params.take("partNumber")? {
        return Err(invalid_argument(
            "partNumber",
            &number,
            "A part needs an uploadId.",
        ));
    }
    head.params.finish()?;
    let put = PutObject {
        bucket,
        key,
        headers: headers::content(head.headers)?,
        user_metadata: headers::user_metadata(head.headers)?,
        tags: headers::tagging(head.headers)?,
        storage_class: headers::storage_class(head.headers)?.flatten(),
        conditions: conditions::write(head.headers)?,
        body: body::of_object(head.headers, body, &head.config.limits)?,
    };
    Ok((Operation::PutObject(Box::new(put)), Spelling::Plain))
}
