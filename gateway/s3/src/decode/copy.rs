//! CopyObject, and the source that UploadPartCopy shares with it.

use http::HeaderMap;
use weir_types::Error;
use weir_types::ErrorCode;
use weir_types::id::{BucketName, ObjectKey};
use weir_types::operation::{CopyObject, CopySource, Directive, Operation};

use super::params::bad_version;
use super::{Decoded, Head, Spelling, conditions, digests, headers, invalid_argument};
use crate::gate::single;
use crate::percent::{self, Plus};

const COPY_SOURCE: &str = "x-amz-copy-source";

/// `PUT /bucket/key` with `x-amz-copy-source`.
pub(super) fn copy(
    mut head: Head<'_>,
    bucket: BucketName,
    key: ObjectKey,
) -> Result<Decoded, Error> {
    if let Some(number) = head.params.take("partNumber")? {
        return Err(invalid_argument(
            "partNumber",
            &number,
            "A part needs an uploadId.",
        ));
    }
    head.params.finish()?;
    let source = source(head.headers)?;
    let metadata = match replaces(head.headers, "x-amz-metadata-directive")? {
        false => Directive::Copy,
        true => Directive::Replace((
            headers::content(head.headers)?,
            headers::user_metadata(head.headers)?,
        )),
    };
    let tagging = match replaces(head.headers, "x-amz-tagging-directive")? {
        false => Directive::Copy,
        true => Directive::Replace(headers::tagging(head.headers)?),
    };
    let storage_class = headers::storage_class(head.headers)?;
    let checksum = digests::named(head.headers)?;
    let to_itself = source.bucket == bucket && source.key == key;
    let unchanged = metadata == Directive::Copy
        && tagging == Directive::Copy
        && storage_class.is_none()
        && checksum.is_none();
    if to_itself && unchanged {
        return Err(Error::new(
            ErrorCode::InvalidRequest,
            "This copy request is illegal because it is trying to copy an object to itself \
             without changing the object's metadata, storage class, website redirect location \
             or encryption attributes.",
        ));
    }
    let copy = CopyObject {
        bucket,
        key,
        source,
        metadata,
        tagging,
        storage_class,
        checksum,
        conditions: conditions::write(head.headers)?,
    };
    Ok((Operation::CopyObject(Box::new(copy)), Spelling::Plain))
}

fn replaces(headers: &HeaderMap, name: &str) -> Result<bool, Error> {
    match single(headers, name)? {
        None | Some("COPY") => Ok(false),
        Some("REPLACE") => Ok(true),
        Some(other) => Err(invalid_argument(
            name,
            other,
            "The directive is COPY or REPLACE.",
        )),
    }
}

/// `x-amz-copy-source` with its conditions.
pub(super) fn source(headers: &HeaderMap) -> Result<CopySource, Error> {
    let text = single(headers, COPY_SOURCE)?.unwrap_or("");
    let (bucket, key) = parse(text)?;
    Ok(CopySource {
        bucket,
        key,
        conditions: conditions::read(headers, &conditions::OF_COPY_SOURCE)?,
    })
}

/// `[/]bucket/key[?versionId=…]`, percent-encoded.
fn parse(text: &str) -> Result<(BucketName, ObjectKey), Error> {
    let bad = |message: &'static str| invalid_argument(COPY_SOURCE, text, message);
    if text.starts_with("arn:") {
        return Err(Error::new(
            ErrorCode::NotImplemented,
            "Access points are not implemented as a copy source.",
        ));
    }
    let (path, query) = match text.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (text, None),
    };
    if let Some(query) = query {
        match query.strip_prefix("versionId=") {
            Some("null") => {}
            Some(other) => return Err(bad_version(other)),
            None => return Err(bad("The copy source has an unknown parameter.")),
        }
    }
    let path = percent::decode_text(path, Plus::Literal)
        .map_err(|_| bad("The copy source is not percent-encoded UTF-8."))?;
    let path = path.strip_prefix('/').unwrap_or(&path);
    let (bucket, key) = path.split_once('/').ok_or(bad(
        "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
    ))?;
    let bucket = BucketName::parse(bucket).map_err(|_| bad("Invalid copy source bucket name"))?;
    let key = ObjectKey::parse(key).map_err(|_| bad("Invalid copy source object key"))?;
    Ok((bucket, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources() {
        use ErrorCode::{InvalidArgument, NoSuchVersion, NotImplemented};
        let id = "0123456789abcdef0123456789abcdef";
        for (text, expected) in [
            ("bucket/key", Ok(("bucket", "key"))),
            ("/bucket/key", Ok(("bucket", "key"))),
            ("bucket%2Fa%20b%3F", Ok(("bucket", "a b?"))),
            ("bucket/a+b", Ok(("bucket", "a+b"))),
            ("bucket//k/../x", Ok(("bucket", "/k/../x"))),
            ("bucket/kä", Ok(("bucket", "kä"))),
            ("bucket/key?versionId=null", Ok(("bucket", "key"))),
            (&format!("bucket/key?versionId={id}"), Err(NoSuchVersion)),
            ("bucket/key?versionId=1", Err(InvalidArgument)),
            ("bucket/key?x=1", Err(InvalidArgument)),
            ("", Err(InvalidArgument)),
            ("/", Err(InvalidArgument)),
            ("bucket", Err(InvalidArgument)),
            ("bucket/", Err(InvalidArgument)),
            ("bucket/%zz", Err(InvalidArgument)),
            ("bucket/%ff", Err(InvalidArgument)),
            ("http://host/bucket/key", Err(InvalidArgument)),
            ("//bucket/key", Err(InvalidArgument)),
            ("../../etc/passwd", Err(InvalidArgument)),
            (
                "arn:aws:s3:us-east-1:1:accesspoint/x/object/k",
                Err(NotImplemented),
            ),
        ] {
            let got = parse(text);
            let got = got
                .as_ref()
                .map(|(b, k)| (b.as_str(), k.as_str()))
                .map_err(|e| e.code);
            assert_eq!(got, expected, "{text}");
        }
    }
}
