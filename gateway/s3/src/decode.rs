//! From a verified request to an [`Operation`]: routing first, then one file per group.
//!
//! Nothing is ignored that could change what a request means. A query parameter that its
//! operation does not know, and a header that asks for something not built, are answered 501.

mod body;
mod bucket;
mod conditions;
mod copy;
mod delete;
mod digests;
mod headers;
mod listing;
mod multipart;
mod object;
mod params;
mod range;
mod rendering;
mod room;
mod target;
pub(crate) mod token;
mod xml;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, header};
use http_body::Body;
use weir_core::front::Call;
use weir_types::id::{BucketName, ObjectKey};
use weir_types::operation::Operation;
use weir_types::{Error, ErrorCode};

use crate::config::S3Config;
use crate::gate::{Query, Verified};
use params::Params;
pub use rendering::Rendering;
pub(crate) use rendering::{Page, ReadSpelling, Spelling};
pub(crate) use room::Room;
use target::Target;

static COPY_SOURCE: HeaderName = HeaderName::from_static("x-amz-copy-source");

/// What the decoders of all groups look at; the body is handed to those that take one.
pub(crate) struct Head<'a> {
    pub(crate) method: &'a Method,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) params: Params,
    /// Host as the client named it, with the port: for `Location`.
    pub(crate) authority: &'a str,
    /// The bucket stands in the host.
    pub(crate) in_host: bool,
    pub(crate) config: &'a S3Config,
    pub(crate) room: &'a Room,
}

/// An operation, and how its answer is spelled.
pub(crate) type Decoded = (Operation, Spelling);

/// Decodes a request. Bodies of objects stay streams; XML is read whole, within a limit.
pub(crate) async fn decode<B>(
    verified: Verified<B>,
    config: &S3Config,
    room: &Room,
) -> Result<Call<Rendering>, Error>
where
    B: Body<Data = Bytes> + Send + 'static,
{
    let Verified {
        parts,
        host,
        presigned,
        body,
        ..
    } = verified;
    let target = Target::parse(parts.uri.path(), &host, &config.base_domains)?;
    let authority = parts
        .headers
        .get(header::HOST)
        .and_then(|h| h.to_str().ok())
        .or(parts.uri.authority().map(http::uri::Authority::as_str))
        .unwrap_or(&host);
    headers::check_amz(&parts.headers, &parts.method, config)?;
    let head = Head {
        method: &parts.method,
        headers: &parts.headers,
        params: Params::new(&Query::parse(parts.uri.query())?, presigned),
        authority,
        in_host: target::bucket_in(&host, &config.base_domains).is_some(),
        config,
        room,
    };
    let resource = target.resource();
    let (operation, spelling) = match target {
        Target::Service => bucket::list_buckets(head)?,
        Target::Bucket(name) => of_bucket(head, name, body).await?,
        Target::Object(name, key) => of_object(head, name, key, body).await?,
    };
    let rendering = Rendering {
        head_only: parts.method == Method::HEAD,
        resource,
        spelling,
    };
    Ok(Call {
        operation,
        rendering,
    })
}

async fn of_bucket<B>(
    mut head: Head<'_>,
    bucket: BucketName,
    body: crate::gate::SealedBody<B>,
) -> Result<Decoded, Error>
where
    B: Body<Data = Bytes> + Send + 'static,
{
    match *head.method {
        Method::GET if head.params.flag("location")? => bucket::location(head, bucket),
        Method::GET if head.params.flag("uploads")? => multipart::list_uploads(head, bucket),
        Method::GET => listing::list(head, bucket),
        Method::HEAD => bucket::head(head, bucket),
        Method::PUT => bucket::create(head, bucket, body).await,
        Method::DELETE => bucket::delete(head, bucket),
        Method::POST if head.params.flag("delete")? => delete::many(head, bucket, body).await,
        Method::POST => Err(ErrorCode::NotImplemented.into()),
        _ => Err(ErrorCode::MethodNotAllowed.into()),
    }
}

async fn of_object<B>(
    mut head: Head<'_>,
    bucket: BucketName,
    key: ObjectKey,
    body: crate::gate::SealedBody<B>,
) -> Result<Decoded, Error>
where
    B: Body<Data = Bytes> + Send + 'static,
{
    let upload = head.params.take("uploadId")?;
    let copies = head.headers.contains_key(&COPY_SOURCE);
    match (head.method, upload) {
        (&Method::GET, Some(upload)) => multipart::list_parts(head, bucket, key, &upload),
        (&Method::GET | &Method::HEAD, None) => object::read(head, bucket, key),
        (&Method::PUT, Some(upload)) if copies => multipart::copy_part(head, bucket, key, &upload),
        (&Method::PUT, Some(upload)) => multipart::put_part(head, bucket, key, &upload, body),
        (&Method::PUT, None) if copies => copy::copy(head, bucket, key),
        (&Method::PUT, None) => object::put(head, bucket, key, body),
        (&Method::DELETE, Some(upload)) => multipart::abort(head, bucket, key, &upload),
        (&Method::DELETE, None) => delete::one(head, bucket, key),
        (&Method::POST, Some(upload)) => {
            multipart::complete(head, bucket, key, &upload, body).await
        }
        (&Method::POST, None) if head.params.flag("uploads")? => {
            multipart::create(head, bucket, key)
        }
        (&Method::POST, None) | (&Method::HEAD, Some(_)) => Err(ErrorCode::NotImplemented.into()),
        _ => Err(ErrorCode::MethodNotAllowed.into()),
    }
}

/// [`ErrorCode::InvalidArgument`], naming the argument.
pub(crate) fn invalid_argument(
    name: &str,
    value: &str,
    message: impl Into<std::borrow::Cow<'static, str>>,
) -> Error {
    Error::new(ErrorCode::InvalidArgument, message)
        .with("ArgumentName", name)
        .with("ArgumentValue", value)
}

/// [`ErrorCode::NotImplemented`], naming the header that asks for it.
pub(crate) fn header_not_implemented(name: &str) -> Error {
    Error::new(
        ErrorCode::NotImplemented,
        "A header you provided implies functionality that is not implemented.",
    )
    .with("Header", name)
}
