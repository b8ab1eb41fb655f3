//! Calls, each as its fault lets it be.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use weir_types::ErrorCode;
use weir_types::backend::{BackendError, BackendErrorKind, Fetched, Stored};
use weir_types::body::{GetStream, PutStream};
use weir_types::id::BackendKey;

use super::MemoryBackend;
use super::faults::{Call, Fault};
use super::state::{Effect, error};
use crate::metered::Operation;

/// How large the chunks of a read are.
const CHUNK_BYTES: usize = 64 << 10;

impl MemoryBackend {
    /// Counts a call and asks the plan.
    pub(super) fn enter(&self, operation: Operation, key: &str) -> Option<Fault> {
        let mut state = self.0.lock();
        state.calls += 1;
        let number = state.calls;
        let plan = state.plan.clone();
        drop(state);
        plan?.fault(&Call {
            number,
            operation,
            key,
        })
    }

    /// A call that only reads: the faults that come before an answer.
    pub(super) async fn ask(
        &self,
        operation: Operation,
        key: &str,
    ) -> Result<Option<Fault>, BackendError> {
        let fault = self.enter(operation, key);
        match fault {
            Some(Fault::Fail(kind) | Fault::FailAfter(kind)) => Err(error(kind, "injected")),
            Some(Fault::Hang | Fault::Late) => std::future::pending().await,
            Some(Fault::Slow(span)) => {
                tokio::time::sleep(span).await;
                Ok(None)
            }
            other => Ok(other),
        }
    }

    /// Makes a change, as its fault lets it.
    pub(super) async fn change(
        &self,
        fault: Option<Fault>,
        effect: Effect,
    ) -> Result<Stored, BackendError> {
        match fault {
            Some(Fault::Fail(kind)) => return Err(error(kind, "injected")),
            Some(Fault::Hang) => return std::future::pending().await,
            Some(Fault::Late) => {
                self.0.lock().frozen.push(effect);
                return std::future::pending().await;
            }
            Some(Fault::Slow(span)) => tokio::time::sleep(span).await,
            _ => {}
        }
        let stored = self.0.lock().apply(effect)?;
        match fault {
            Some(Fault::FailAfter(kind)) => Err(error(kind, "injected, after it was done")),
            _ => Ok(stored),
        }
    }

    /// Takes a body, as its fault lets it.
    pub(super) async fn take(
        &self,
        fault: Option<Fault>,
        size: u64,
        mut body: PutStream,
    ) -> Result<Bytes, BackendError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(BackendError::source)?;
            self.0.lock().bytes_in += chunk.len() as u64;
            bytes.extend_from_slice(&chunk);
            match fault {
                Some(Fault::Truncate { after }) if bytes.len() as u64 > after => {
                    return Err(error(BackendErrorKind::Unavailable, "injected: cut off"));
                }
                _ => {}
            }
        }
        if bytes.len() as u64 != size {
            return Err(BackendError::source(ErrorCode::IncompleteBody.into()));
        }
        if let Some(Fault::Corrupt { offset }) = fault {
            flip(&mut bytes, offset);
        }
        Ok(bytes.into())
    }

    pub(super) fn fetch(
        &self,
        fault: Option<Fault>,
        key: &BackendKey,
        range: Option<Range<u64>>,
    ) -> Result<Fetched, BackendError> {
        let state = self.0.lock();
        let item = state.objects.get(key.as_str()).cloned();
        drop(state);
        let item = item.ok_or_else(|| error(BackendErrorKind::NotFound, format!("no {key}")))?;
        let size = item.bytes.len() as u64;
        let range = range.unwrap_or(0..size);
        if range.end > size || (range.is_empty() && size > 0) {
            return Err(error(BackendErrorKind::Rejected, "InvalidRange"));
        }
        let wanted = usize::try_from(range.start).unwrap_or(usize::MAX)
            ..usize::try_from(range.end).unwrap_or(usize::MAX);
        let mut bytes = item.bytes.slice(wanted);
        let mut chunks = Vec::new();
        match fault {
            Some(Fault::Corrupt { offset }) => {
                let mut copy = bytes.to_vec();
                flip(&mut copy, offset);
                bytes = copy.into();
            }
            Some(Fault::Truncate { after }) => {
                bytes.truncate(usize::try_from(after).unwrap_or(usize::MAX));
                chunks.push(Err(error(
                    BackendErrorKind::Unavailable,
                    "injected: cut off",
                )));
            }
            _ => {}
        }
        let mut whole = Vec::new();
        while !bytes.is_empty() {
            whole.push(Ok(bytes.split_to(CHUNK_BYTES.min(bytes.len()))));
        }
        whole.extend(chunks);
        let shared = Arc::clone(&self.0);
        let body = futures_util::stream::iter(whole).inspect(move |chunk| {
            if let Ok(chunk) = chunk {
                shared.lock().bytes_out += chunk.len() as u64;
            }
        });
        let body: GetStream = Box::pin(body);
        Ok(Fetched {
            size,
            etag: item.etag,
            body,
        })
    }
}

/// Flips the bits of a byte, the one at `offset` or as far in as there are bytes.
fn flip(bytes: &mut [u8], offset: u64) {
    if !bytes.is_empty() {
        let index = offset % bytes.len() as u64;
        bytes[usize::try_from(index).unwrap_or(0)] ^= 0xFF;
    }
}
