//! Answers that start before the result is known (AWS, "CompleteMultipartUpload": the status
//! is sent early, white space keeps the connection alive, errors come in the body).

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream;
use http::{Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use weir_core::front::ReplyBody;
use weir_types::operation::Outcome;
use weir_types::{Error, Result};

use super::xml::DECLARATION;
use super::{Answer, Content, error, success};
use crate::config::S3Config;
use crate::decode::Rendering;

struct Late {
    stage: Stage,
    rendering: Rendering,
    request_id: String,
    outcome: BoxFuture<'static, Result<Outcome>>,
    config: Arc<S3Config>,
}

enum Stage {
    Declaration,
    Waiting,
    Done,
}

/// Answers 200 now, and with the document once `outcome` is there. A client that goes away
/// drops `outcome`.
pub(crate) fn respond(
    rendering: Rendering,
    request_id: &str,
    outcome: BoxFuture<'static, Result<Outcome>>,
    config: &Arc<S3Config>,
) -> Response<ReplyBody> {
    let mut answer = Answer::empty(StatusCode::OK);
    answer.content = Content::Xml(String::new());
    let late = Late {
        stage: Stage::Declaration,
        rendering,
        request_id: request_id.to_owned(),
        outcome,
        config: Arc::clone(config),
    };
    let pieces = stream::unfold(late, |mut late| async move {
        let piece = late.next().await?;
        Some((Ok::<_, Infallible>(Frame::data(piece)), late))
    });
    let body = StreamBody::new(pieces)
        .map_err(|never| match never {})
        .boxed_unsync();
    answer.into_streaming(request_id, config, body)
}

impl Late {
    async fn next(&mut self) -> Option<Bytes> {
        match self.stage {
            Stage::Declaration => {
                self.stage = Stage::Waiting;
                Some(Bytes::from_static(DECLARATION.as_bytes()))
            }
            Stage::Waiting => {
                let interval = self.config.limits.keep_alive_interval;
                let Ok(outcome) = tokio::time::timeout(interval, &mut self.outcome).await else {
                    return Some(Bytes::from_static(b" "));
                };
                self.stage = Stage::Done;
                Some(self.document(outcome).into())
            }
            Stage::Done => None,
        }
    }

    fn document(&self, outcome: Result<Outcome>) -> String {
        let answer =
            outcome.map(|outcome| success(&self.rendering.spelling, outcome, &self.config).content);
        match answer {
            Ok(Content::Xml(document)) => document,
            // Nothing else is ever answered late: only operations whose answer is XML.
            Ok(Content::Empty | Content::Stream(_)) => String::new(),
            Err(error) => self.error(&error),
        }
    }

    fn error(&self, error: &Error) -> String {
        error::document(
            error,
            &self.rendering.resource,
            &self.request_id,
            &self.config.host_id,
        )
    }
}
