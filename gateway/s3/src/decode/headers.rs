//! Headers that describe an object, and those that must be refused because they ask for
//! something that is not built.

use http::{HeaderMap, Method, header};
use weir_types::record::ContentHeaders;
use weir_types::{Error, ErrorCode};

use super::{header_not_implemented, invalid_argument};
use crate::config::S3Config;
use crate::gate::single;
use crate::percent::{self, Plus};

/// AWS, "Working with object metadata".
const USER_METADATA_BYTES_MAX: usize = 2 * 1024;
/// AWS, "Categorizing your storage using tags".
const TAGS_MAX: usize = 10;
const TAG_KEY_CHARS_MAX: usize = 128;
const TAG_VALUE_CHARS_MAX: usize = 256;

/// What is done with a header whose name starts with `x-amz-`.
#[derive(PartialEq, Eq)]
enum Rule {
    /// Read where it matters, or known to change nothing.
    Known,
    /// Only these values.
    Only(&'static [&'static str]),
    /// The account id.
    Owner,
    /// Asks for something that is not built.
    Refused,
    /// Never heard of.
    Unknown,
}

fn rule(name: &str) -> Rule {
    match name {
        "x-amz-content-sha256"
        | "x-amz-date"
        | "x-amz-decoded-content-length"
        | "x-amz-trailer"
        | "x-amz-sdk-checksum-algorithm"
        | "x-amz-checksum-algorithm"
        | "x-amz-checksum-type"
        | "x-amz-checksum-mode"
        | "x-amz-checksum-crc32"
        | "x-amz-checksum-crc32c"
        | "x-amz-checksum-crc64nvme"
        | "x-amz-checksum-sha1"
        | "x-amz-checksum-sha256"
        | "x-amz-tagging"
        | "x-amz-tagging-directive"
        | "x-amz-metadata-directive"
        | "x-amz-copy-source"
        | "x-amz-copy-source-range"
        | "x-amz-copy-source-if-match"
        | "x-amz-copy-source-if-none-match"
        | "x-amz-copy-source-if-modified-since"
        | "x-amz-copy-source-if-unmodified-since"
        | "x-amz-storage-class"
        | "x-amz-website-redirect-location"
        | "x-amz-mp-object-size"
        | "x-amz-request-payer"
        | "x-amz-user-agent"
        | "x-amz-optional-object-attributes" => Rule::Known,
        "x-amz-expected-bucket-owner" | "x-amz-source-expected-bucket-owner" => Rule::Owner,
        "x-amz-acl" => Rule::Only(&["private", "bucket-owner-full-control"]),
        "x-amz-object-ownership" => Rule::Only(&["BucketOwnerEnforced"]),
        "x-amz-bucket-object-lock-enabled" => Rule::Only(&["false", "False"]),
        _ if name.starts_with("x-amz-meta-") => Rule::Known,
        _ if name.starts_with("x-amz-server-side-encryption")
            || name.starts_with("x-amz-copy-source-server-side-encryption") =>
        {
            Rule::Refused
        }
        _ => Rule::Unknown,
    }
}

/// Refuses what the front would otherwise ignore in silence. An unknown `x-amz-` header
/// cannot change what a read answers, but it could mean anything on a write.
pub(super) fn check_amz(
    headers: &HeaderMap,
    method: &Method,
    config: &S3Config,
) -> Result<(), Error> {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    for (name, value) in headers {
        let name = name.as_str();
        if !name.starts_with("x-amz-") {
            continue;
        }
        let text = value.to_str().unwrap_or("");
        match rule(name) {
            Rule::Known => {}
            Rule::Only(values) if values.contains(&text) => {}
            Rule::Owner if text == config.owner_id => {}
            Rule::Owner => {
                return Err(Error::new(
                    ErrorCode::AccessDenied,
                    "The bucket is not owned by the expected account.",
                ));
            }
            Rule::Unknown if reads => {}
            Rule::Only(_) | Rule::Refused | Rule::Unknown => {
                return Err(header_not_implemented(name));
            }
        }
    }
    Ok(())
}

/// The standard headers that an object keeps.
pub(super) fn content(headers: &HeaderMap) -> Result<ContentHeaders, Error> {
    let text = |name: &str| match single(headers, name)? {
        Some(value) if !value.is_empty() => Ok::<_, Error>(Some(value.to_owned())),
        _ => Ok(None),
    };
    Ok(ContentHeaders {
        content_type: text(header::CONTENT_TYPE.as_str())?,
        cache_control: text(header::CACHE_CONTROL.as_str())?,
        content_disposition: text(header::CONTENT_DISPOSITION.as_str())?,
        content_encoding: content_encoding(headers)?,
        content_language: text(header::CONTENT_LANGUAGE.as_str())?,
        expires: text(header::EXPIRES.as_str())?,
        website_redirect: website_redirect(headers)?,
    })
}

/// Content-Encoding without `aws-chunked`, which belongs to the transfer.
fn content_encoding(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let mut kept: Vec<&str> = Vec::new();
    for value in headers.get_all(header::CONTENT_ENCODING) {
        let text = value.to_str().map_err(|_| {
            invalid_argument(
                "Content-Encoding",
                "",
                "The header holds characters it cannot.",
            )
        })?;
        let own = |coding: &&str| !coding.is_empty() && !coding.eq_ignore_ascii_case("aws-chunked");
        kept.extend(text.split(',').map(str::trim).filter(own));
    }
    Ok((!kept.is_empty()).then(|| kept.join(",")))
}

fn website_redirect(headers: &HeaderMap) -> Result<Option<String>, Error> {
    const NAME: &str = "x-amz-website-redirect-location";
    let Some(value) = single(headers, NAME)? else {
        return Ok(None);
    };
    let fits = ["/", "http://", "https://"]
        .iter()
        .any(|start| value.starts_with(start));
    if !fits || value.len() > 2048 {
        return Err(invalid_argument(
            NAME,
            value,
            "The website redirect location must have a prefix of 'http://' or 'https://' or '/'.",
        ));
    }
    Ok(Some(value.to_owned()))
}

/// `x-amz-meta-…`: names without the prefix. Values are kept byte for byte; RFC 2047 is not
/// interpreted.
pub(super) fn user_metadata(headers: &HeaderMap) -> Result<Vec<(String, String)>, Error> {
    let mut metadata: Vec<(String, String)> = Vec::new();
    let mut bytes = 0;
    for name in headers.keys() {
        let Some(short) = name.as_str().strip_prefix("x-amz-meta-") else {
            continue;
        };
        let mut all = String::new();
        for (nth, value) in headers.get_all(name).iter().enumerate() {
            let text = std::str::from_utf8(value.as_bytes())
                .map_err(|_| invalid_argument(name.as_str(), "", "User metadata must be UTF-8."))?;
            if nth > 0 {
                all.push(',');
            }
            all.push_str(text);
        }
        bytes += short.len() + all.len();
        metadata.push((short.to_owned(), all));
    }
    if bytes > USER_METADATA_BYTES_MAX {
        return Err(Error::from(ErrorCode::MetadataTooLarge)
            .with("Size", bytes.to_string())
            .with("MaxSizeAllowed", USER_METADATA_BYTES_MAX.to_string()));
    }
    metadata.sort_unstable();
    Ok(metadata)
}

/// `x-amz-tagging`: `key=value` pairs as in a query.
pub(super) fn tagging(headers: &HeaderMap) -> Result<Vec<(String, String)>, Error> {
    let Some(text) = single(headers, "x-amz-tagging")? else {
        return Ok(Vec::new());
    };
    let mut tags: Vec<(String, String)> = Vec::new();
    for pair in text.split('&').filter(|p| !p.is_empty()) {
        if tags.len() == TAGS_MAX {
            return Err(ErrorCode::BadRequestTags.into());
        }
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decoded = |text| percent::decode_text(text, Plus::Space).map_err(|_| bad_tags());
        let (key, value) = (decoded(key)?.into_owned(), decoded(value)?.into_owned());
        check_tag(&key, &value)?;
        if tags.iter().any(|(other, _)| *other == key) {
            return Err(Error::new(
                ErrorCode::InvalidTag,
                "There are two tags with the same key.",
            )
            .with("TagKey", key));
        }
        tags.push((key, value));
    }
    Ok(tags)
}

fn check_tag(key: &str, value: &str) -> Result<(), Error> {
    let allowed = |c: char| c.is_alphanumeric() || c == ' ' || "+-=._:/@".contains(c);
    if key.is_empty() || key.chars().count() > TAG_KEY_CHARS_MAX || !key.chars().all(allowed) {
        return Err(Error::new(
            ErrorCode::InvalidTag,
            "The TagKey you have provided is invalid",
        )
        .with("TagKey", key));
    }
    if value.chars().count() > TAG_VALUE_CHARS_MAX || !value.chars().all(allowed) {
        return Err(Error::new(
            ErrorCode::InvalidTag,
            "The TagValue you have provided is invalid",
        )
        .with("TagValue", value));
    }
    if key
        .get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case("aws:"))
    {
        return Err(Error::new(
            ErrorCode::InvalidTag,
            "Tag keys that start with aws: are reserved.",
        )
        .with("TagKey", key));
    }
    Ok(())
}

fn bad_tags() -> Error {
    invalid_argument(
        "x-amz-tagging",
        "",
        "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query \
         parameters without tag name duplicates.",
    )
}

/// `x-amz-storage-class`: `Some(None)` is STANDARD. Which others exist, the core knows.
pub(super) fn storage_class(headers: &HeaderMap) -> Result<Option<Option<String>>, Error> {
    let Some(class) = single(headers, "x-amz-storage-class")? else {
        return Ok(None);
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if !(1..=64).contains(&class.len()) || !class.bytes().all(plain) {
        return Err(
            Error::from(ErrorCode::InvalidStorageClass).with("StorageClassRequested", class)
        );
    }
    Ok(Some((class != "STANDARD").then(|| class.to_owned())))
}
