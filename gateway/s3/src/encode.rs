//! From outcomes and errors to HTTP responses, spelled as AWS spells them.

mod error;
mod late;
mod listing;
mod object;
mod xml;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use weir_core::front::{BodyError, ReplyBody};
use weir_types::body::ReplyStream;
use weir_types::operation::Outcome;
use weir_types::{Error, Result};

pub(crate) use late::respond as respond_late;

use crate::config::S3Config;
use crate::decode::{Rendering, Spelling};
use listing::{BucketFilter, V2};
use xml::Xml;

/// A response before the parts that all share.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    content: Content,
}

enum Content {
    Empty,
    /// A document without its declaration.
    Xml(String),
    /// As long as Content-Length says.
    Stream(ReplyStream),
}

/// Spells an outcome or an error.
pub(crate) fn respond(
    rendering: Rendering,
    request_id: &str,
    outcome: Result<Outcome>,
    config: &S3Config,
) -> Response<ReplyBody> {
    let Rendering {
        head_only,
        resource,
        spelling,
    } = rendering;
    let answer = match outcome {
        Ok(outcome) => success(&spelling, outcome, config),
        Err(error) => error::answer(&error, &resource, request_id, &config.host_id),
    };
    answer.into_response(head_only, request_id, config)
}

/// Spells a refusal.
pub(crate) fn refuse(
    head_only: bool,
    resource: &str,
    request_id: &str,
    error: &Error,
    config: &S3Config,
) -> Response<ReplyBody> {
    error::answer(error, resource, request_id, &config.host_id)
        .into_response(head_only, request_id, config)
}

fn success(spelling: &Spelling, outcome: Outcome, config: &S3Config) -> Answer {
    match outcome {
        Outcome::Buckets(buckets) => {
            let filter = match spelling {
                Spelling::Buckets {
                    prefix,
                    region,
                    after,
                    limit,
                } => BucketFilter {
                    prefix: prefix.as_deref(),
                    region: region.as_deref(),
                    after: after.as_deref(),
                    limit: *limit,
                },
                _ => BucketFilter {
                    prefix: None,
                    region: None,
                    after: None,
                    limit: None,
                },
            };
            Answer::xml(listing::buckets(&buckets, &filter, config))
        }
        Outcome::BucketCreated => Answer::empty(StatusCode::OK),
        Outcome::Bucket(bucket) => match spelling {
            Spelling::Location => Answer::xml(listing::location(&bucket, config)),
            _ => {
                let mut answer = Answer::empty(StatusCode::OK);
                let name = HeaderName::from_static("x-amz-bucket-region");
                insert(&mut answer.headers, name, &config.region);
                answer
            }
        },
        Outcome::BucketDeleted | Outcome::Deleted | Outcome::UploadAborted => {
            Answer::empty(StatusCode::NO_CONTENT)
        }
        Outcome::Listing(page) => Answer::xml(objects(&page, spelling, config)),
        Outcome::Put(put) => {
            let mut answer = Answer::empty(StatusCode::OK);
            insert(&mut answer.headers, header::ETAG, &put.etag.to_string());
            object::checksum_headers(&mut answer.headers, put.checksum.as_ref());
            answer.headers.insert("x-amz-object-size", put.size.into());
            answer
        }
        Outcome::Read(read) => {
            let mut answer = read_answer(&read.info, spelling);
            answer.content = Content::Stream(read.body);
            answer
        }
        Outcome::Head(info) => read_answer(&info, spelling),
        Outcome::DeletedKeys(keys) => {
            let quiet = matches!(spelling, Spelling::DeletedKeys { quiet: true });
            Answer::xml(object::deleted(&keys, quiet))
        }
        Outcome::Copied(copy) => Answer::xml(object::copied(&copy)),
        Outcome::UploadCreated(upload) => upload_created(&upload),
        Outcome::PartPut(part) => object::part_put(&part),
        Outcome::PartCopied(part) => Answer::xml(object::part_copied(&part)),
        Outcome::Completed(object) => Answer::xml(completed(&object, spelling)),
        Outcome::Parts(parts) => {
            let (after, limit) = match spelling {
                Spelling::Parts { after, limit } => (*after, *limit),
                _ => (0, parts.page.parts.len()),
            };
            Answer::xml(listing::parts(&parts, after, limit, config))
        }
        Outcome::Uploads(uploads) => match spelling {
            Spelling::Uploads {
                page,
                key_marker,
                upload_marker,
            } => Answer::xml(listing::uploads(
                &uploads,
                page,
                (key_marker, upload_marker),
                config,
            )),
            _ => Answer::empty(StatusCode::INTERNAL_SERVER_ERROR),
        },
    }
}

fn objects(
    listing: &weir_types::index::ListPage,
    spelling: &Spelling,
    config: &S3Config,
) -> String {
    match spelling {
        Spelling::ListV1 { page, marker } => listing::objects_v1(listing, page, marker, config),
        Spelling::ListV2 {
            page,
            token,
            start_after,
            fetch_owner,
        } => {
            let echo = V2 {
                token: token.as_deref(),
                start_after: start_after.as_deref(),
                fetch_owner: *fetch_owner,
            };
            listing::objects_v2(listing, page, &echo, config)
        }
        _ => String::new(),
    }
}

fn read_answer(info: &weir_types::operation::ObjectInfo, spelling: &Spelling) -> Answer {
    match spelling {
        Spelling::Read(spelling) => object::read(info, spelling),
        _ => object::read(info, &crate::decode::ReadSpelling::default()),
    }
}

fn upload_created(upload: &weir_types::record::UploadRecord) -> Answer {
    let mut answer = Answer::xml(Xml::document("InitiateMultipartUploadResult", |xml| {
        xml.text("Bucket", upload.bucket.as_str());
        xml.text("Key", upload.key.as_str());
        xml.value("UploadId", upload.upload_id);
    }));
    if let Some((algorithm, kind)) = upload.checksum {
        answer.headers.insert(
            "x-amz-checksum-algorithm",
            HeaderValue::from_static(algorithm.name()),
        );
        answer
            .headers
            .insert("x-amz-checksum-type", HeaderValue::from_static(kind.name()));
    }
    answer
}

fn completed(object: &weir_types::operation::CompletedObject, spelling: &Spelling) -> String {
    Xml::document("CompleteMultipartUploadResult", |xml| {
        if let Spelling::Completed { location } = spelling {
            xml.text("Location", location);
        }
        xml.text("Bucket", object.bucket.as_str());
        xml.text("Key", object.key.as_str());
        xml.value("ETag", &object.etag);
        self::object::checksum_elements(xml, object.checksum.as_ref());
    })
}

impl Answer {
    fn empty(status: StatusCode) -> Self {
        Self {
            status,
            headers: HeaderMap::with_capacity(16),
            content: Content::Empty,
        }
    }

    fn xml(document: String) -> Self {
        Self {
            content: Content::Xml(document),
            ..Self::empty(StatusCode::OK)
        }
    }

    fn into_response(
        mut self,
        head_only: bool,
        request_id: &str,
        config: &S3Config,
    ) -> Response<ReplyBody> {
        let content = std::mem::replace(&mut self.content, Content::Empty);
        let body = match content {
            Content::Xml(document) => {
                self.headers.insert(
                    header::CONTENT_TYPE,
                    HeaderValue::from_static("application/xml"),
                );
                if head_only {
                    empty_body()
                } else {
                    let document = format!("{}{document}", xml::DECLARATION);
                    self.headers
                        .insert(header::CONTENT_LENGTH, document.len().into());
                    Full::new(Bytes::from(document))
                        .map_err(|never| match never {})
                        .boxed_unsync()
                }
            }
            Content::Stream(stream) if !head_only => {
                let frames = stream
                    .map_ok(http_body::Frame::data)
                    .map_err(BodyError::from);
                StreamBody::new(frames).boxed_unsync()
            }
            Content::Stream(_) | Content::Empty => empty_body(),
        };
        self.finish(request_id, config, body)
    }

    /// With a body of unknown length that is XML.
    fn into_streaming(
        mut self,
        request_id: &str,
        config: &S3Config,
        body: ReplyBody,
    ) -> Response<ReplyBody> {
        self.headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/xml"),
        );
        self.finish(request_id, config, body)
    }

    fn finish(
        mut self,
        request_id: &str,
        config: &S3Config,
        body: ReplyBody,
    ) -> Response<ReplyBody> {
        let headers = &mut self.headers;
        headers.insert(header::SERVER, HeaderValue::from_static("Weir"));
        insert(
            headers,
            HeaderName::from_static("x-amz-request-id"),
            request_id,
        );
        insert(
            headers,
            HeaderName::from_static("x-amz-id-2"),
            &config.host_id,
        );
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

fn empty_body() -> ReplyBody {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// Sets a header; a text that cannot stand in one is left out.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
        headers.insert(name, value);
    }
}
