//! Huge objects, one huge aws-chunk and a long multipart upload pass through a small process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest};
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderMap, Method};
use http_body_util::BodyExt;
use tokio::time::{Instant, sleep};

use crate::Result;
use crate::args::Args;
use crate::client::{Client, stream as body_of};
use crate::content::{matches, slice};
use crate::gateway::Gateway;

const BUCKET: &str = "storm";
const PIECE_BYTES: u64 = 256 << 10;
const PART_BYTES: u64 = 5 << 20;
const RESIDENT_BYTES_MAX: u64 = 256 << 20;
/// What Complete may move to and from a backend: requests and manifests, not objects.
const COMPLETE_BYTES_MAX: f64 = 1_048_576.0;
const SAMPLE_INTERVAL: Duration = Duration::from_millis(50);

/// Metric: bytes of bodies to and from a backend.
const BACKEND_BYTES: &str = "weir_backend_bytes_total";

/// Runs the storm. One copy: what is measured is the request's own way, not the replicator's.
pub(crate) async fn run(args: &Args) -> Result<()> {
    let object_bytes = args.get("object-mib", 512) << 20;
    let chunk_bytes = args.get("chunk-mib", 256) << 20;
    let parts = args.count("parts", 40);

    let backends = format!(
        "[placement]\nfactor = 1\n\n{}",
        Gateway::directories(&["disk-a", "disk-b"])
    );
    let gateway = Arc::new(
        Gateway::start(
            "streams",
            &backends,
            "clean_grace_ms = 0\nlate_write_ms_max = 1000",
        )
        .await?,
    );
    let client = gateway.client();
    client.create_bucket(BUCKET).await?;
    let peak = Peak::watch(&gateway);

    let object = format!("/{BUCKET}/object");
    step(
        &peak,
        "put",
        object_bytes,
        client.put_stream(&object, object_bytes, pieces(1, object_bytes)),
    )
    .await?;
    step(
        &peak,
        "get",
        object_bytes,
        read(&client, &object, 1, object_bytes),
    )
    .await?;
    client.delete(&object).await?;

    let chunk = format!("/{BUCKET}/chunk");
    step(
        &peak,
        "put in one aws-chunk",
        chunk_bytes,
        one_chunk(&client, &chunk, chunk_bytes),
    )
    .await?;
    step(
        &peak,
        "get",
        chunk_bytes,
        read(&client, &chunk, 2, chunk_bytes),
    )
    .await?;
    client.delete(&chunk).await?;

    let whole = PART_BYTES * parts as u64;
    let path = format!("/{BUCKET}/parts");
    let upload = client.create_upload(&path).await?;
    let etags = step(
        &peak,
        "put in parts",
        whole,
        upload_parts(&client, &path, &upload, parts),
    )
    .await?;
    gateway.settle().await?;
    let before = gateway.sum(BACKEND_BYTES, "").await?;
    if before < whole as f64 {
        return Err(format!(
            "{BACKEND_BYTES} counted {before} of more than {whole} bytes"
        ));
    }
    step(
        &peak,
        "complete",
        whole,
        client.complete(&path, &upload, &etags),
    )
    .await?;
    gateway.settle().await?;
    let moved = gateway.sum(BACKEND_BYTES, "").await? - before;
    if moved > COMPLETE_BYTES_MAX {
        return Err(format!("Complete moved {moved} bytes"));
    }
    println!("Complete of {parts} parts moved {moved} bytes");
    step(&peak, "get", whole, read(&client, &path, 3, whole)).await?;

    let peak = peak.stop().await?;
    println!("peak of resident memory: {} MiB", peak >> 20);
    if peak > RESIDENT_BYTES_MAX {
        return Err(format!("resident memory rose to {peak} bytes"));
    }
    let gateway = Arc::into_inner(gateway).ok_or("the watcher still runs")?;
    gateway.remove()
}

/// Runs `work` on `bytes` bytes and says how it went.
async fn step<T, E: Into<String>>(
    peak: &Peak,
    name: &str,
    bytes: u64,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T> {
    let start = Instant::now();
    let done = work.await.map_err(|e| format!("{name}: {}", e.into()))?;
    let seconds = start.elapsed().as_secs_f64();
    let mib = bytes >> 20;
    eprintln!(
        "{name}: {mib} MiB in {seconds:.1} s, {:.0} MiB/s; resident at most {} MiB so far",
        mib as f64 / seconds,
        peak.bytes.load(Ordering::Relaxed) >> 20
    );
    Ok(done)
}

/// The bytes of object `id`, piece by piece.
fn pieces(id: u64, length: u64) -> impl Stream<Item = Bytes> + Send + 'static {
    let starts = (0..length).step_by(usize::try_from(PIECE_BYTES).unwrap_or(usize::MAX));
    stream::iter(starts.map(move |at| slice(id, at, length.min(at + PIECE_BYTES))))
}

async fn read(client: &Client, path: &str, id: u64, length: u64) -> Result<()> {
    let mut body = client.open(path).await?.into_body();
    let mut at = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| format!("broke off at {at}: {e}"))?;
        let Some(bytes) = frame.data_ref() else {
            continue;
        };
        if !matches(id, at, bytes) {
            return Err(format!("wrong bytes at {at}"));
        }
        at += bytes.len() as u64;
    }
    if at == length {
        Ok(())
    } else {
        Err(format!("{at} of {length} bytes"))
    }
}

/// aws-chunked with all bytes in one chunk and a checksum behind it: what a client with a large
/// buffer sends.
async fn one_chunk(client: &Client, path: &str, length: u64) -> Result<()> {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    let mut all = std::pin::pin!(pieces(2, length));
    while let Some(piece) = all.next().await {
        digest.update(&piece);
    }
    let crc = u32::try_from(digest.finalize()).map_err(|e| format!("a CRC of 32 bits: {e}"))?;
    let crc = BASE64_STANDARD.encode(crc.to_be_bytes());

    let head = Bytes::from(format!("{length:x}\r\n"));
    let tail = Bytes::from(format!("\r\n0\r\n{TRAILER}:{crc}\r\n\r\n"));
    let encoded = length + (head.len() + tail.len()) as u64;
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("content-length", encoded.to_string()),
        ("content-encoding", "aws-chunked".to_owned()),
        ("x-amz-decoded-content-length", length.to_string()),
        (
            "x-amz-content-sha256",
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER".to_owned(),
        ),
        ("x-amz-trailer", TRAILER.to_owned()),
    ] {
        headers.insert(name, value.parse().map_err(|e| format!("{name}: {e}"))?);
    }
    let body = stream::iter([head])
        .chain(pieces(2, length))
        .chain(stream::iter([tail]));
    client
        .send(Method::PUT, path, &[], headers, body_of(body))
        .await?;
    Ok(())
}

const TRAILER: &str = "x-amz-checksum-crc32c";

async fn upload_parts(
    client: &Client,
    path: &str,
    upload: &str,
    parts: usize,
) -> Result<Vec<String>> {
    let mut etags = Vec::with_capacity(parts);
    for number in 1..=parts {
        let start = PART_BYTES * (number as u64 - 1);
        let body = slice(3, start, start + PART_BYTES);
        etags.push(client.upload_part(path, upload, number, body).await?);
    }
    Ok(etags)
}

/// The highest resident memory seen.
struct Peak {
    bytes: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    watcher: tokio::task::JoinHandle<Result<()>>,
}

impl Peak {
    fn watch(gateway: &Arc<Gateway>) -> Self {
        let (bytes, over) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (gateway, peak, end) = (Arc::clone(gateway), Arc::clone(&bytes), Arc::clone(&over));
        let watcher = tokio::spawn(async move {
            while !end.load(Ordering::Relaxed) {
                peak.fetch_max(gateway.resident_bytes()?, Ordering::Relaxed);
                sleep(SAMPLE_INTERVAL).await;
            }
            Ok(())
        });
        Self {
            bytes,
            over,
            watcher,
        }
    }

    async fn stop(self) -> Result<u64> {
        self.over.store(true, Ordering::Relaxed);
        self.watcher.await.map_err(|e| e.to_string())??;
        Ok(self.bytes.load(Ordering::Relaxed))
    }
}
