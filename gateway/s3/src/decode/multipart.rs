//! Multipart uploads.

use bytes::Bytes;
use http_body::Body;
use weir_types::checksum::{Checksum, ChecksumAlgorithm, ChecksumKind};
use weir_types::etag::ETag;
use weir_types::id::{BucketName, ObjectKey, PartNumber, UploadId};
use weir_types::operation::{
    CompleteMultipartUpload, CompletePart, CreateMultipartUpload, ListMultipartUploads, ListParts,
    Operation, UploadPart, UploadPartCopy, UploadRef,
};
use weir_types::{Error, ErrorCode};

use super::xml::{self, Node};
use super::{
    Decoded, Head, Spelling, body, conditions, copy, digests, headers, invalid_argument, listing,
    object, range,
};
use crate::gate::{SealedBody, single};
use crate::percent;

/// Parts of one page at most (AWS, "ListParts").
const PAGE_PARTS_MAX: usize = 1000;

/// `POST /bucket/key?uploads`.
pub(super) fn create(head: Head<'_>, bucket: BucketName, key: ObjectKey) -> Result<Decoded, Error> {
    head.params.finish()?;
    conditions::none(head.headers)?;
    let create = CreateMultipartUpload {
        bucket,
        key,
        headers: headers::content(head.headers)?,
        user_metadata: headers::user_metadata(head.headers)?,
        tags: headers::tagging(head.headers)?,
        storage_class: headers::storage_class(head.headers)?.flatten(),
        checksum: checksum(&head)?,
    };
    Ok((
        Operation::CreateMultipartUpload(Box::new(create)),
        Spelling::Plain,
    ))
}

fn checksum(head: &Head<'_>) -> Result<Option<(ChecksumAlgorithm, ChecksumKind)>, Error> {
    let kind = checksum_kind(head)?;
    match (digests::named(head.headers)?, kind) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(Error::new(
            ErrorCode::InvalidRequest,
            "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm \
             header.",
        )),
        (Some(algorithm), kind) => {
            let kind = kind.unwrap_or(algorithm.default_multipart_kind());
            if !algorithm.allows_multipart(kind) {
                return Err(Error::new(
                    ErrorCode::InvalidRequest,
                    format!(
                        "The {} checksum type cannot be used with the {} checksum algorithm.",
                        kind.name(),
                        algorithm.name()
                    ),
                ));
            }
            Ok(Some((algorithm, kind)))
        }
    }
}

fn checksum_kind(head: &Head<'_>) -> Result<Option<ChecksumKind>, Error> {
    let Some(text) = single(head.headers, "x-amz-checksum-type")? else {
        return Ok(None);
    };
    ChecksumKind::parse(text).map(Some).ok_or_else(|| {
        Error::new(
            ErrorCode::InvalidRequest,
            "Value for x-amz-checksum-type header is invalid.",
        )
    })
}

/// `PUT /bucket/key?partNumber=…&uploadId=…`.
pub(super) fn put_part<B>(
    mut head: Head<'_>,
    bucket: BucketName,
    key: ObjectKey,
    upload: &str,
    body: SealedBody<B>,
) -> Result<Decoded, Error>
where
    B: Body<Data = Bytes> + Send + 'static,
{
    let number = part_number(&mut head)?;
    head.params.finish()?;
    conditions::none(head.headers)?;
    let part = UploadPart {
        upload: upload_ref(bucket, key, upload)?,
        number,
        body: body::of_object(head.headers, body, &head.config.limits)?,
    };
    Ok((Operation::UploadPart(Box::new(part)), Spelling::Plain))
}

/// `PUT /bucket/key?partNumber=…&uploadId=…` with `x-amz-copy-source`.
pub(super) fn copy_part(
    mut head: Head<'_>,
    bucket: BucketName,
    key: ObjectKey,
    upload: &str,
) -> Result<Decoded, Error> {
    let number = part_number(&mut head)?;
    head.params.finish()?;
    conditions::none(head.headers)?;
    let range = match single(head.headers, "x-amz-copy-source-range")? {
        Some(text) => Some(range::parse_copy(text)?),
        None => None,
    };
    let source = copy::source(head.headers)?;
    let upload = upload_ref(bucket, key, upload)?;
    let part = UploadPartCopy {
        upload,
        number,
        source,
        range,
    };
    Ok((Operation::UploadPartCopy(Box::new(part)), Spelling::Plain))
}

fn part_number(head: &mut Head<'_>) -> Result<PartNumber, Error> {
    object::part_number(&mut head.params)?
        .ok_or_else(|| invalid_argument("partNumber", "", "A part needs a partNumber."))
}

/// `DELETE /bucket/key?uploadId=…`.
pub(super) fn abort(
    head: Head<'_>,
    bucket: BucketName,
    key: ObjectKey,
    upload: &str,
) -> Result<Decoded, Error> {
    head.params.finish()?;
    let upload = upload_ref(bucket, key, upload)?;
    Ok((Operation::AbortMultipartUpload(upload), Spelling::Plain))
}

/// `GET /bucket/key?uploadId=…`.
pub(super) fn list_parts(
    mut head: Head<'_>,
    bucket: BucketName,
    key: ObjectKey,
    upload: &str,
) -> Result<Decoded, Error> {
    let limit = head
        .params
        .number("max-parts")?
        .map_or(PAGE_PARTS_MAX, |n| n as usize);
    let limit = limit.min(PAGE_PARTS_MAX);
    let marker = head.params.number("part-number-marker")?.unwrap_or(0);
    let after = u16::try_from(marker).unwrap_or(u16::MAX);
    listing::url_encoded(&mut head.params)?;
    head.params.finish()?;
    let list = ListParts {
        upload: upload_ref(bucket, key, upload)?,
        after,
        limit,
    };
    Ok((Operation::ListParts(list), Spelling::Parts { after, limit }))
}

/// `GET /bucket?uploads`.
pub(super) fn list_uploads(mut head: Head<'_>, bucket: BucketName) -> Result<Decoded, Error> {
    let page = listing::page(&mut head.params, bucket, "max-uploads")?;
    let key_marker = listing::text(&mut head.params, "key-marker")?.unwrap_or_default();
    let upload_marker = head
        .params
        .take_filled("upload-id-marker")?
        .unwrap_or_default();
    head.params.finish()?;
    let after = match (key_marker.as_str(), upload_marker.as_str()) {
        // Without a key the upload's id says nothing, and AWS ignores it.
        ("", _) => None,
        (key, "") => Some((key.to_owned(), None)),
        (key, id) => {
            let id = UploadId::parse(id)
                .map_err(|_| invalid_argument("upload-id-marker", id, "Invalid uploadId marker"))?;
            Some((key.to_owned(), Some(id)))
        }
    };
    let list = ListMultipartUploads {
        bucket: page.bucket.clone(),
        prefix: page.prefix.clone(),
        delimiter: page.delimiter.clone(),
        after,
        limit: page.limit,
    };
    let spelling = Spelling::Uploads {
        page,
        key_marker,
        upload_marker,
    };
    Ok((Operation::ListMultipartUploads(list), spelling))
}

/// `POST /bucket/key?uploadId=…`.
pub(super) async fn complete<B>(
    head: Head<'_>,
    bucket: BucketName,
    key: ObjectKey,
    upload: &str,
    body: SealedBody<B>,
) -> Result<Decoded, Error>
where
    B: Body<Data = Bytes> + Send + 'static,
{
    let checksum_kind = checksum_kind(&head)?;
    let limits = &head.config.limits;
    let size = match single(head.headers, "x-amz-mp-object-size")? {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| {
            invalid_argument("x-amz-mp-object-size", text, "The size is not a number.")
        })?),
    };
    let checksum = digests::given_text(head.headers)?;
    let conditions = conditions::write(head.headers)?;
    let upload = upload_ref(bucket, key, upload)?;
    head.params.finish()?;
    let scheme = if head.config.tls { "https" } else { "http" };
    let path = percent::encode_key(upload.key.as_str());
    let location = if head.in_host {
        format!("{scheme}://{}/{path}", head.authority)
    } else {
        format!("{scheme}://{}/{}/{path}", head.authority, upload.bucket)
    };
    let expected = digests::of_body_without_checksum(head.headers, body.payload)?;
    let xml = body::of_xml(
        head.headers,
        body,
        expected,
        limits.xml_body_bytes_max,
        (limits, head.room),
    )
    .await?;
    let parts = parse_parts(&xml)?;
    let complete = CompleteMultipartUpload {
        upload,
        parts,
        checksum,
        checksum_kind,
        size,
        conditions,
    };
    let operation = Operation::CompleteMultipartUpload(Box::new(complete));
    Ok((operation, Spelling::Completed { location }))
}

fn parse_parts(xml: &[u8]) -> Result<Vec<CompletePart>, Error> {
    let mut parts = Vec::new();
    let (mut number, mut etag, mut checksum) = (None, None, None);
    xml::read(xml, "CompleteMultipartUpload", |node| match node {
        Node::Leaf {
            parent: "Part",
            name: "PartNumber",
            text,
        } => {
            let parsed = text
                .trim()
                .parse()
                .ok()
                .and_then(|n| PartNumber::new(n).ok());
            number = Some(parsed.ok_or_else(|| {
                invalid_argument(
                    "PartNumber",
                    text,
                    "PartNumber must be an integer between 1 and 10000, inclusive",
                )
            })?);
            Ok(())
        }
        Node::Leaf {
            parent: "Part",
            name: "ETag",
            text,
        } => {
            etag = Some(ETag::from_client(text));
            Ok(())
        }
        Node::Leaf {
            parent: "Part",
            name,
            text,
        } => {
            let algorithm = name
                .strip_prefix("Checksum")
                .and_then(ChecksumAlgorithm::parse)
                .ok_or(xml::malformed("A part has an unknown element."))?;
            let given = Checksum::parse(algorithm, text)
                .ok_or(xml::malformed("A part's checksum is not valid."))?;
            if checksum.replace(given).is_some() {
                return Err(xml::malformed("A part has two checksums."));
            }
            Ok(())
        }
        Node::End("Part") => {
            let (Some(number), Some(etag)) = (number.take(), etag.take()) else {
                return Err(xml::malformed("A part needs PartNumber and ETag."));
            };
            if parts.len() == usize::from(PartNumber::MAX) {
                return Err(xml::malformed("There are more than 10000 parts."));
            }
            parts.push(CompletePart {
                number,
                etag,
                checksum: checksum.take(),
            });
            Ok(())
        }
        _ => Err(xml::malformed("The XML has an unknown element.")),
    })?;
    if parts.is_empty() {
        return Err(xml::malformed("You must specify at least one part"));
    }
    Ok(parts)
}

/// An id that is none of ours cannot be an upload's.
fn upload_ref(bucket: BucketName, key: ObjectKey, upload: &str) -> Result<UploadRef, Error> {
    let upload = UploadId::parse(upload)
        .map_err(|_| Error::from(ErrorCode::NoSuchUpload).with("UploadId", upload))?;
    Ok(UploadRef {
        bucket,
        key,
        upload,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn part_lists() {
        use ErrorCode::{InvalidArgument, MalformedXML};
        let part = |inner: &str| {
            format!("<CompleteMultipartUpload><Part>{inner}</Part></CompleteMultipartUpload>")
        };
        for (inner, expected) in [
            ("<PartNumber>1</PartNumber><ETag>\"a\"</ETag>", Ok("a")),
            (
                "<ETag>&quot;a&quot;</ETag><PartNumber>10000</PartNumber>",
                Ok("a"),
            ),
            (
                "<ETag>a</ETag><PartNumber>2</PartNumber><ChecksumCRC32>AAAAAA==</ChecksumCRC32>",
                Ok("a"),
            ),
            (
                "<PartNumber>0</PartNumber><ETag>a</ETag>",
                Err(InvalidArgument),
            ),
            (
                "<PartNumber>10001</PartNumber><ETag>a</ETag>",
                Err(InvalidArgument),
            ),
            (
                "<PartNumber>-1</PartNumber><ETag>a</ETag>",
                Err(InvalidArgument),
            ),
            ("<PartNumber>1</PartNumber>", Err(MalformedXML)),
            ("<ETag>a</ETag>", Err(MalformedXML)),
            (
                "<PartNumber>1</PartNumber><ETag>a</ETag><X>1</X>",
                Err(MalformedXML),
            ),
            (
                "<PartNumber>1</PartNumber><ETag>a</ETag><ChecksumCRC32>A</ChecksumCRC32>",
                Err(MalformedXML),
            ),
            ("", Err(MalformedXML)),
        ] {
            let got = parse_parts(part(inner).as_bytes());
            let got = got.as_ref().map(|p| p[0].etag.as_str()).map_err(|e| e.code);
            assert_eq!(got, expected, "{inner}");
        }
        let got = parse_parts(b"<CompleteMultipartUpload/>").map_err(|e| e.code);
        assert_eq!(got, Err(MalformedXML));
    }
}
