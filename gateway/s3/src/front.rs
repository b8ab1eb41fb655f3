//! The front: gate, decoder and encoder behind one seam.

use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body::Body;
use weir_core::front::{Call, Front, ReplyBody};
use weir_types::clock::Clock;
use weir_types::id::Principal;
use weir_types::operation::Outcome;
use weir_types::{Error, Result};

use crate::config::S3Config;
use crate::decode::{self, Rendering, Room};
use crate::encode;
use crate::gate::{CredentialStore, Gate, Verified};

/// Amazon S3's REST protocol over bodies of type `B` (hyper's in production).
pub struct S3Front<B> {
    gate: Gate,
    config: Arc<S3Config>,
    room: Room,
    body: PhantomData<fn(B)>,
}

impl<B> S3Front<B> {
    /// A front that verifies against `store`, at the times that `clock` shows.
    pub fn new(config: S3Config, store: Arc<dyn CredentialStore>, clock: Arc<dyn Clock>) -> Self {
        let gate = Gate::new(&config, store, clock);
        Self {
            gate,
            room: Room::new(config.limits.xml_bodies_bytes_max),
            config: Arc::new(config),
            body: PhantomData,
        }
    }
}

impl<B> Front for S3Front<B>
where
    B: Body<Data = Bytes> + Send + 'static,
{
    type Body = B;
    type Verified = Verified<B>;
    type Rendering = Rendering;

    fn authenticate(&self, request: Request<B>) -> Result<Verified<B>> {
        self.gate.authenticate(request)
    }

    fn principal<'a>(&self, verified: &'a Verified<B>) -> &'a Principal {
        verified.principal()
    }

    async fn decode(&self, verified: Verified<B>) -> Result<Call<Rendering>> {
        decode::decode(verified, &self.config, &self.room).await
    }

    fn respond(
        &self,
        rendering: Rendering,
        request_id: &str,
        outcome: Result<Outcome>,
    ) -> Response<ReplyBody> {
        encode::respond(rendering, request_id, outcome, &self.config)
    }

    fn respond_late(
        &self,
        rendering: Rendering,
        request_id: &str,
        outcome: BoxFuture<'static, Result<Outcome>>,
    ) -> Response<ReplyBody> {
        encode::respond_late(rendering, request_id, outcome, &self.config)
    }

    fn refuse(
        &self,
        head_only: bool,
        resource: &str,
        request_id: &str,
        error: Error,
    ) -> Response<ReplyBody> {
        encode::refuse(head_only, resource, request_id, &error, &self.config)
    }
}
