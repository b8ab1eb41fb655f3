//! The bytes of a request body as they come off the connection.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt as _;
use weir_types::{Error, ErrorCode};

/// A body that must go on sending.
pub(crate) struct Source<B> {
    body: Pin<Box<B>>,
    idle_timeout: Duration,
}

impl<B: Body<Data = Bytes>> Source<B> {
    pub(crate) fn new(body: B, idle_timeout: Duration) -> Self {
        Self {
            body: Box::pin(body),
            idle_timeout,
        }
    }

    /// The next bytes, never empty; `None` at the end. A connection that breaks is
    /// [`ErrorCode::IncompleteBody`], one that pauses for too long
    /// [`ErrorCode::RequestTimeout`]. HTTP trailers are not S3's and are passed over.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let frame = tokio::time::timeout(self.idle_timeout, self.body.frame())
                .await
                .map_err(|_| Error::from(ErrorCode::RequestTimeout))?;
            match frame {
                None => return Ok(None),
                Some(Err(_)) => {
                    return Err(Error::new(
                        ErrorCode::IncompleteBody,
                        "The connection broke before the body was complete.",
                    ));
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => return Ok(Some(data)),
                    _ => {}
                },
            }
        }
    }
}
