//! Bodies to send, and reading them back.

use bytes::Bytes;
use futures_util::StreamExt as _;
use weir_types::ErrorCode;
use weir_types::backend::Fetched;
use weir_types::body::PutStream;
use weir_types::entropy::{Entropy as _, SeededEntropy};

/// Bytes that follow from `seed`.
pub(super) fn pattern(bytes: usize, seed: u64) -> Vec<u8> {
    let mut out = vec![0; bytes];
    SeededEntropy::new(seed).fill(&mut out);
    out
}

/// All of `bytes`, in chunks.
pub(super) fn whole_body(bytes: &[u8], chunk_bytes: usize) -> PutStream {
    let chunks: Vec<_> = bytes
        .chunks(chunk_bytes)
        .map(|chunk| Ok(Bytes::copy_from_slice(chunk)))
        .collect();
    Box::pin(futures_util::stream::iter(chunks))
}

/// `bytes`, then a failure of the source.
pub(super) fn failing_body(bytes: &[u8]) -> PutStream {
    let failure = futures_util::stream::once(async { Err(ErrorCode::RequestTimeout.into()) });
    Box::pin(cut_body(bytes).chain(failure))
}

/// `bytes`, whatever was announced.
pub(super) fn cut_body(bytes: &[u8]) -> PutStream {
    whole_body(bytes, 50_000)
}

/// Everything a read gives.
pub(super) async fn read(mut fetched: Fetched) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(chunk) = fetched.body.next().await {
        out.extend_from_slice(&chunk.expect("a chunk of a read"));
    }
    out
}
