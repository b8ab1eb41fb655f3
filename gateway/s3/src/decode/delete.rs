//! DeleteObject and DeleteObjects.

use bytes::Bytes;
use http_body::Body;
use weir_types::etag::ETag;
use weir_types::id::{BucketName, ObjectKey};
use weir_types::operation::{DeleteObject, DeleteObjects, Operation};
use weir_types::{Error, ErrorCode};

use super::xml::{self, Node};
use super::{Decoded, Head, Spelling, body, conditions, digests, params, target};
use crate::gate::SealedBody;

/// AWS, "DeleteObjects".
const KEYS_MAX: usize = 1000;

/// `DELETE /bucket/key`.
pub(super) fn one(
    mut head: Head<'_>,
    bucket: BucketName,
    key: ObjectKey,
) -> Result<Decoded, Error> {
    head.params.null_version()?;
    head.params.finish()?;
    let if_match = conditions::one_tag(head.headers)?;
    Ok((
        Operation::DeleteObject(DeleteObject {
            bucket,
            key,
            if_match,
        }),
        Spelling::Plain,
    ))
}

/// `POST /bucket?delete`.
pub(super) async fn many<B>(
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
    if expected.0.md5.is_none() && expected.0.checksum.is_none() {
        return Err(Error::new(
            ErrorCode::InvalidRequest,
            "Missing required header for this request: Content-MD5",
        ));
    }
    let xml = body::of_xml(
        head.headers,
        body,
        expected,
        limits.xml_body_bytes_max,
        (limits, head.room),
    )
    .await?;
    let (keys, quiet) = parse(&xml)?;
    let delete = DeleteObjects {
        bucket,
        keys,
        quiet,
    };
    Ok((
        Operation::DeleteObjects(delete),
        Spelling::DeletedKeys { quiet },
    ))
}

type Keys = Vec<(ObjectKey, Option<ETag>)>;

fn parse(xml: &[u8]) -> Result<(Keys, bool), Error> {
    let mut keys: Keys = Vec::new();
    let mut quiet = false;
    let (mut key, mut etag) = (None, None);
    xml::read(xml, "Delete", |node| match node {
        Node::Leaf {
            parent: "Delete",
            name: "Quiet",
            text,
        } => {
            quiet = text.trim().eq_ignore_ascii_case("true");
            Ok(())
        }
        Node::Leaf {
            parent: "Object",
            name: "Key",
            text,
        } => {
            if key.replace(target::key(text)?).is_some() {
                return Err(xml::malformed("Key stands twice."));
            }
            Ok(())
        }
        Node::Leaf {
            parent: "Object",
            name: "VersionId",
            text,
        } => match text {
            "" | "null" => Ok(()),
            other => Err(params::bad_version(other)),
        },
        Node::Leaf {
            parent: "Object",
            name: "ETag",
            text,
        } => {
            etag = Some(ETag::from_client(text));
            Ok(())
        }
        Node::Leaf {
            parent: "Object",
            name: "LastModifiedTime" | "Size",
            ..
        } => Err(Error::new(
            ErrorCode::NotImplemented,
            "LastModifiedTime and Size as conditions of a delete are not implemented.",
        )),
        Node::End("Object") => {
            let key = key.take().ok_or(xml::malformed("An object has no key."))?;
            if keys.len() == KEYS_MAX {
                return Err(xml::malformed("There are more than 1000 objects."));
            }
            keys.push((key, etag.take()));
            Ok(())
        }
        _ => Err(xml::malformed("The XML has an unknown element.")),
    })?;
    if keys.is_empty() {
        return Err(xml::malformed("There is no object to delete."));
    }
    Ok((keys, quiet))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents() {
        use ErrorCode::{InvalidArgument, KeyTooLongError, MalformedXML, NotImplemented};
        let object = |inner: &str| format!("<Delete><Object>{inner}</Object></Delete>");
        let many = |n: usize| {
            let objects = "<Object><Key>k</Key></Object>".repeat(n);
            format!("<Delete>{objects}<Quiet>true</Quiet></Delete>")
        };
        for (xml, expected) in [
            (object("<Key>a b</Key>"), Ok((1, false))),
            (
                object("<VersionId>null</VersionId><Key>a</Key>"),
                Ok((1, false)),
            ),
            (object("<Key>a</Key><ETag>\"x\"</ETag>"), Ok((1, false))),
            (many(1000), Ok((1000, true))),
            (many(1001), Err(MalformedXML)),
            ("<Delete/>".to_owned(), Err(MalformedXML)),
            ("<Delete><Object/></Delete>".to_owned(), Err(MalformedXML)),
            (object("<Key>a</Key><Key>b</Key>"), Err(MalformedXML)),
            (object("<VersionId>null</VersionId>"), Err(MalformedXML)),
            (object("<Key>a</Key><What/>"), Err(MalformedXML)),
            (object("<Key>a</Key><Size>1</Size>"), Err(NotImplemented)),
            (
                object("<Key>a</Key><VersionId>x</VersionId>"),
                Err(InvalidArgument),
            ),
            (
                object(&format!("<Key>{}</Key>", "k".repeat(1025))),
                Err(KeyTooLongError),
            ),
        ] {
            let got = parse(xml.as_bytes())
                .map(|(k, q)| (k.len(), q))
                .map_err(|e| e.code);
            let shown: String = xml.chars().take(80).collect();
            assert_eq!(got, expected, "{shown}");
        }
    }
}
