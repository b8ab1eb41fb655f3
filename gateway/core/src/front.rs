//! The seam to a protocol: a front turns HTTP requests into operations and outcomes into
//! HTTP responses. [`crate::pipeline`] drives it.

use std::future::Future;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use weir_types::id::Principal;
use weir_types::operation::{Operation, Outcome};
use weir_types::{Error, Result};

/// What a response body fails with: the connection is then cut, because the status has been
/// sent long ago.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A response's body.
pub type ReplyBody = UnsyncBoxBody<Bytes, BodyError>;

/// A request that was decoded after its sender was verified.
#[derive(Debug)]
pub struct Call<R> {
    /// What is asked for.
    pub operation: Operation,
    /// What the front must remember to spell the answer.
    pub rendering: R,
}

/// A protocol spoken by clients.
///
/// The order is fixed: nothing of a request is parsed or routed before [`Front::authenticate`]
/// has accepted it, and no operation exists before [`Front::decode`] has understood every
/// part of the request.
pub trait Front: Send + Sync + 'static {
    /// The request body as it comes off the connection.
    type Body: Send + 'static;
    /// A request whose sender is known; cannot be made in any other way.
    type Verified: Send;
    /// What an answer's spelling depends on.
    type Rendering: Send + 'static;

    /// Verifies who sent the request. Fails closed; reads no body.
    fn authenticate(&self, request: Request<Self::Body>) -> Result<Self::Verified>;

    /// Who sent it.
    fn principal<'a>(&self, verified: &'a Self::Verified) -> &'a Principal;

    /// Reads the request whole (bodies of objects excepted, they stay streams). Cancelling is
    /// safe: nothing has happened yet.
    fn decode(
        &self,
        verified: Self::Verified,
    ) -> impl Future<Output = Result<Call<Self::Rendering>>> + Send;

    /// Spells an answer. `request_id` appears in it.
    fn respond(
        &self,
        rendering: Self::Rendering,
        request_id: &str,
        outcome: Result<Outcome>,
    ) -> Response<ReplyBody>;

    /// Spells the answer of an operation that takes long: the status goes out now, white space
    /// keeps the connection alive, and what `outcome` gives, an error included, comes in the
    /// body (as AWS does for CompleteMultipartUpload and CopyObject).
    fn respond_late(
        &self,
        rendering: Self::Rendering,
        request_id: &str,
        outcome: BoxFuture<'static, Result<Outcome>>,
    ) -> Response<ReplyBody>;

    /// Spells a refusal of a request that was not understood far enough to have a rendering.
    /// `head_only` is set for HEAD requests, whose answers carry no body.
    fn refuse(
        &self,
        head_only: bool,
        resource: &str,
        request_id: &str,
        error: Error,
    ) -> Response<ReplyBody>;
}
