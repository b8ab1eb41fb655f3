//! Bodies that are sent as they are.

use aws_lc_rs::digest;
use bytes::Bytes;
use futures_util::stream;
use http_body::Body;
use weir_types::body::{Frame, FrameStream};
use weir_types::{Error, ErrorCode};

use super::source::Source;

struct Plain<B> {
    source: Source<B>,
    remaining: u64,
    sha256: Option<(digest::Context, [u8; 32])>,
    ended: bool,
}

/// A body of exactly `size` bytes that hashes to `sha256`, when that is given. What does
/// not hold is reported in place of the end.
pub(crate) fn plain<B>(source: Source<B>, size: u64, sha256: Option<[u8; 32]>) -> FrameStream
where
    B: Body<Data = Bytes> + Send + 'static,
{
    let sha256 = sha256.map(|expected| (digest::Context::new(&digest::SHA256), expected));
    let state = Plain {
        source,
        remaining: size,
        sha256,
        ended: false,
    };
    Box::pin(stream::unfold(state, |mut state| async move {
        if state.ended {
            return None;
        }
        let item = state.next().await.transpose()?;
        state.ended = item.is_err();
        Some((item, state))
    }))
}

impl<B: Body<Data = Bytes>> Plain<B> {
    async fn next(&mut self) -> Result<Option<Frame>, Error> {
        let Some(data) = self.source.next().await? else {
            self.ended = true;
            return self.finish().map(|()| None);
        };
        let length = data.len() as u64;
        self.remaining = self
            .remaining
            .checked_sub(length)
            .ok_or(Error::from(ErrorCode::IncompleteBody))?;
        if let Some((context, _)) = &mut self.sha256 {
            context.update(&data);
        }
        Ok(Some(Frame::Data(data)))
    }

    fn finish(&mut self) -> Result<(), Error> {
        if self.remaining > 0 {
            return Err(ErrorCode::IncompleteBody.into());
        }
        let Some((context, expected)) = self.sha256.take() else {
            return Ok(());
        };
        if context.finish().as_ref() == expected {
            Ok(())
        } else {
            Err(ErrorCode::XAmzContentSHA256Mismatch.into())
        }
    }
}
