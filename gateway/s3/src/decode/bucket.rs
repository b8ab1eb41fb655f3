//! Operations on the service and on buckets.

use bytes::Bytes;
use http_body::Body;
use weir_types::id::BucketName;
use weir_types::operation::Operation;
use weir_types::{Error, ErrorCode};

use super::xml::{self, Node};
use super::{Decoded, Head, Spelling, body, digests, invalid_argument, token};
use crate::gate::SealedBody;

/// AWS's cap on `max-buckets`.
const BUCKETS_MAX: usize = 10_000;
const LOCATION_XML_BYTES_MAX: usize = 64 * 1024;

/// `GET /`.
pub(super) fn list_buckets(mut head: Head<'_>) -> Result<Decoded, Error> {
    if head.method != http::Method::GET {
        return Err(ErrorCode::MethodNotAllowed.into());
    }
    let params = &mut head.params;
    let limit = match params.number("max-buckets")?.map(|n| n as usize) {
        Some(n) if (1..=BUCKETS_MAX).contains(&n) => Some(n),
        None => None,
        Some(n) => {
            return Err(invalid_argument(
                "max-buckets",
                &n.to_string(),
                "The parameter must be between 1 and 10000.",
            ));
        }
    };
    let after = match params.take_filled("continuation-token")? {
        None => None,
        Some(given) => Some(token::decode(&given).ok_or_else(|| {
            invalid_argument(
                "continuation-token",
                &given,
                "The continuation token provided is incorrect",
            )
        })?),
    };
    let spelling = Spelling::Buckets {
        prefix: params.take_filled("prefix")?,
        region: params.take_filled("bucket-region")?,
        after,
        limit,
    };
    head.params.finish()?;
    Ok((Operation::ListBuckets, spelling))
}

/// `GET /bucket?location`.
pub(super) fn location(head: Head<'_>, bucket: BucketName) -> Result<Decoded, Error> {
    head.params.finish()?;
    Ok((Operation::GetBucketLocation { bucket }, Spelling::Location))
}

/// `HEAD /bucket`.
pub(super) fn head(head: Head<'_>, bucket: BucketName) -> Result<Decoded, Error> {
    head.params.finish()?;
    Ok((Operation::HeadBucket { bucket }, Spelling::Plain))
}

/// `DELETE /bucket`.
pub(super) fn delete(head: Head<'_>, bucket: BucketName) -> Result<Decoded, Error> {
    head.params.finish()?;
    Ok((Operation::DeleteBucket { bucket }, Spelling::Plain))
}

/// `PUT /bucket`.
pub(super) async fn create<B>(
    head: Head<'_>,
    bucket: BucketName,
    body: SealedBody<B>,
) -> Result<Decoded, Error>
where
    B: Body<Data = Bytes> + Send + 'static,
{
    head.params.finish()?;
    let limits = &head.config.limits;
    let expected = digests::of_body(head.headers, body.payload)?;
    let held = (limits, head.room);
    let xml = body::of_xml(head.headers, body, expected, LOCATION_XML_BYTES_MAX, held).await?;
    let location = if xml.trim_ascii().is_empty() {
        None
    } else {
        constraint(&xml)?
    };
    Ok((
        Operation::CreateBucket { bucket, location },
        Spelling::Plain,
    ))
}

/// The LocationConstraint of a CreateBucketConfiguration.
fn constraint(xml: &[u8]) -> Result<Option<String>, Error> {
    let mut location = None;
    xml::read(xml, "CreateBucketConfiguration", |node| match node {
        Node::Leaf {
            parent: "CreateBucketConfiguration",
            name: "LocationConstraint",
            text,
        } => {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            if text.len() > 64 || !text.bytes().all(plain) {
                return Err(Error::from(ErrorCode::IllegalLocationConstraintException)
                    .with("LocationConstraint", text));
            }
            if location.replace(text.to_owned()).is_some() {
                return Err(xml::malformed("LocationConstraint stands twice."));
            }
            Ok(())
        }
        Node::Leaf {
            name: "LocationConstraint",
            ..
        } => Err(xml::malformed(
            "LocationConstraint stands in the wrong place.",
        )),
        // Directory buckets and bucket tags.
        _ => Err(Error::new(
            ErrorCode::NotImplemented,
            "CreateBucketConfiguration may hold only LocationConstraint.",
        )),
    })?;
    Ok(location.filter(|text| !text.is_empty()))
}
