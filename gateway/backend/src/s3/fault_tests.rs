//! An endpoint that misbehaves, as bytes on a socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use weir_types::ErrorCode;
use weir_types::backend::{Backend, BackendError, BackendErrorKind, BackendPart, Stored};
use weir_types::body::PutStream;
use weir_types::clock::{ManualClock, Timestamp};
use weir_types::id::{BackendKey, BlobId, PartNumber, SiteId};

use super::S3Backend;
use crate::{PayloadSigning, S3Config};

/// What the endpoint does with one request after it has read its head.
#[derive(Clone)]
enum Act {
    /// Reads the body, answers these bytes, keeps the connection.
    Answer(String),
    /// Answers these bytes and closes.
    AnswerAndClose(String),
    /// As [`Act::Answer`], but never says that it wants the body.
    AnswerSilently(String),
    /// Answers these bytes at once, wants no body, keeps the connection.
    Refuse(String),
    /// Closes without an answer.
    Close,
    /// Never reads or answers anything more.
    Stall,
}

/// What came in with a request.
#[derive(Debug)]
struct Seen {
    head: String,
    body_bytes: usize,
    /// Whether the body came whole.
    is_whole: bool,
}

struct Endpoint {
    backend: S3Backend,
    seen: mpsc::Receiver<Seen>,
    connections: Arc<AtomicUsize>,
}

fn ok(body: &str) -> Act {
    Act::Answer(format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ))
}

fn status(line: &str) -> Act {
    Act::Answer(format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n"))
}

/// Reads a head; `None` when the connection ends.
async fn read_head(socket: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

fn content_length(head: &str) -> usize {
    let value = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    value.and_then(|value| value.parse().ok()).unwrap_or(0)
}

async fn serve(
    mut socket: TcpStream,
    script: Arc<dyn Fn(usize) -> Act + Send + Sync>,
    number: Arc<AtomicUsize>,
    seen: mpsc::Sender<Seen>,
) {
    let mut is_first = true;
    loop {
        let Some(head) = read_head(&mut socket).await else {
            if is_first {
                // A request that broke off before its head came through.
                let _ = seen.try_send(Seen {
                    head: String::new(),
                    body_bytes: 0,
                    is_whole: false,
                });
            }
            return;
        };
        is_first = false;
        let act = script(number.fetch_add(1, Ordering::SeqCst));
        if matches!(act, Act::Stall) {
            std::future::pending::<()>().await;
        }
        if head.contains("expect: 100-continue") {
            let _ = match &act {
                Act::Close => return,
                Act::Refuse(_) | Act::AnswerSilently(_) => Ok(()),
                _ => socket.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await,
            };
        }
        if let Act::Refuse(text) = &act {
            let _ = socket.write_all(text.as_bytes()).await;
            // What comes after that, until the other side ends it.
            let mut rest = Vec::new();
            let _ = socket.read_to_end(&mut rest).await;
            let _ = seen.try_send(Seen {
                head,
                body_bytes: rest.len(),
                is_whole: false,
            });
            return;
        }
        let wanted = content_length(&head);
        let mut body = vec![0; wanted];
        let mut read = 0;
        while read < wanted {
            match socket.read(&mut body[read..]).await {
                Ok(0) | Err(_) => break,
                Ok(bytes) => read += bytes,
            }
        }
        let is_whole = read == wanted;
        // The receiver may have gone with its test.
        let _ = seen.try_send(Seen {
            head,
            body_bytes: read,
            is_whole,
        });
        match act {
            Act::Answer(text) | Act::AnswerSilently(text) if is_whole => {
                if socket.write_all(text.as_bytes()).await.is_err() {
                    return;
                }
            }
            Act::AnswerAndClose(text) => {
                let _ = socket.write_all(text.as_bytes()).await;
                return;
            }
            _ => return,
        }
    }
}

/// An endpoint that treats the request of each number as `script` says.
async fn endpoint(
    change: impl FnOnce(&mut S3Config),
    script: impl Fn(usize) -> Act + Send + Sync + 'static,
) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let secret = "secret".to_owned().into();
    let mut config = S3Config::at(format!("http://{address}"), "bucket", "id", secret);
    change(&mut config);
    let clock = ManualClock::at(Timestamp::from_millis(1_795_000_000_000));
    let backend = S3Backend::new(&config, Arc::new(clock)).expect("a backend");
    let (sender, seen) = mpsc::channel(64);
    let connections = Arc::new(AtomicUsize::new(0));
    let (script, number) = (Arc::new(script), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(serve(
                socket,
                script.clone(),
                number.clone(),
                sender.clone(),
            ));
        }
    });
    Endpoint {
        backend,
        seen,
        connections,
    }
}

fn key() -> BackendKey {
    BackendKey::of(&SiteId::parse("a").expect("a site"), BlobId(1), 0)
}

fn body(bytes: usize) -> PutStream {
    let chunk = Bytes::from(vec![7; 50_000.min(bytes)]);
    let chunks = (0..bytes / 50_000).map(move |_| Ok(chunk.clone()));
    let rest = Bytes::from(vec![7; bytes % 50_000]);
    Box::pin(futures_util::stream::iter(chunks).chain(futures_util::stream::iter([Ok(rest)])))
}

async fn read(backend: &S3Backend) -> Result<Vec<u8>, BackendError> {
    let mut fetched = backend.get(&key(), None).await?;
    let mut out = Vec::new();
    while let Some(chunk) = fetched.body.next().await {
        out.extend_from_slice(&chunk?);
    }
    Ok(out)
}

fn kind<T>(result: Result<T, BackendError>) -> Result<T, BackendErrorKind> {
    result.map_err(|e| e.kind)
}

#[tokio::test]
async fn connections_are_kept() {
    let end = endpoint(|_| {}, |_| ok("hello")).await;
    for _ in 0..5 {
        assert_eq!(read(&end.backend).await.expect("read"), b"hello");
        end.backend.put(&key(), 10, body(10)).await.expect("put");
    }
    assert_eq!(end.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_dead_connection_is_tried_once_more() {
    // The first request is closed without an answer, the second answered.
    let end = endpoint(|_| {}, |n| if n == 0 { Act::Close } else { ok("x") }).await;
    assert_eq!(read(&end.backend).await.expect("read"), b"x");
    let end = endpoint(|_| {}, |n| if n == 0 { Act::Close } else { ok("") }).await;
    end.backend
        .put(&key(), 10, body(10))
        .await
        .expect("a small put is repeated");
    let mut end = endpoint(|_| {}, |_| Act::Close).await;
    assert_eq!(
        kind(end.backend.head(&key()).await),
        Err(BackendErrorKind::Unavailable)
    );
    assert!(end.seen.recv().await.is_some() && end.seen.recv().await.is_some());
    assert!(end.seen.try_recv().is_err(), "twice and not more often");
    // A request that is not safe to repeat is not repeated.
    let mut end = endpoint(|_| {}, |_| Act::Close).await;
    assert_eq!(
        kind(end.backend.create_upload(&key()).await),
        Err(BackendErrorKind::Unavailable)
    );
    assert!(end.seen.recv().await.is_some() && end.seen.try_recv().is_err());
}

#[tokio::test]
async fn answers_that_are_not_what_was_promised() {
    let unavailable = BackendErrorKind::Unavailable;
    let corrupt = BackendErrorKind::Corrupt;
    for (text, wanted) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
            unavailable,
        ),
        ("HTTP/1.1 200 OK\r\n\r\nno length", corrupt),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", unavailable),
        ("SMTP hello\r\n\r\n", unavailable),
        (
            "HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops",
            unavailable,
        ),
        (
            "HTTP/1.1 503 Slow\r\nRetry-After: 9\r\nContent-Length: 0\r\n\r\n",
            BackendErrorKind::Throttled,
        ),
    ] {
        let end = endpoint(|_| {}, move |_| Act::AnswerAndClose(text.to_owned())).await;
        assert_eq!(kind(read(&end.backend).await), Err(wanted), "{text}");
    }
    for (header, wanted) in [
        (
            "Content-Range: bytes 2-4/10\r\nContent-Length: 3\r\n\r\nabc",
            Ok(()),
        ),
        (
            "Content-Range: bytes 1-3/10\r\nContent-Length: 3\r\n\r\nabc",
            Err(corrupt),
        ),
        (
            "Content-Range: bytes 2-4/10\r\nContent-Length: 2\r\n\r\nab",
            Err(corrupt),
        ),
        ("Content-Length: 3\r\n\r\nabc", Err(corrupt)),
    ] {
        let end = endpoint(
            |_| {},
            move |_| Act::Answer(format!("HTTP/1.1 206 P\r\n{header}")),
        )
        .await;
        let got = end.backend.get(&key(), Some(2..5)).await.map(drop);
        assert_eq!(kind(got), wanted, "{header}");
    }
}

#[tokio::test]
async fn a_source_that_fails_after_its_last_byte_stores_nothing() {
    let fails_at_its_end = |size| {
        let failure = futures_util::stream::once(async { Err(ErrorCode::BadDigest.into()) });
        Box::pin(body(size).chain(failure))
    };
    let is_source = |error: BackendError| {
        assert_eq!(error.kind, BackendErrorKind::Source);
        assert_eq!(error.source.map(|e| e.code), Some(ErrorCode::BadDigest));
    };
    let mut end = endpoint(|_| {}, |_| ok("")).await;
    let put = end
        .backend
        .put(&key(), 300_000, fails_at_its_end(300_000))
        .await;
    is_source(put.expect_err("bad digest"));
    let seen = end.seen.recv().await.expect("the connection was seen");
    assert!(!seen.is_whole, "{} bytes were sent", seen.body_bytes);

    // One byte too few to be anything, and one more than nothing.
    let put = end.backend.put(&key(), 300_000, fails_at_its_end(0)).await;
    is_source(put.expect_err("bad digest"));
    let seen = end.seen.recv().await.expect("the connection was seen");
    assert_eq!((seen.body_bytes, seen.is_whole), (1, false));

    let end = endpoint(|_| {}, |_| ok("")).await;
    let put = end
        .backend
        .put(&key(), 50_000, fails_at_its_end(50_000))
        .await;
    is_source(put.expect_err("bad digest"));
    assert_eq!(
        end.connections.load(Ordering::SeqCst),
        0,
        "small bodies are read first"
    );
}

/// A body that tells whether anyone asked for its bytes.
fn watched(bytes: usize) -> (PutStream, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&asked);
    let body = body(bytes).inspect(move |_| {
        seen.fetch_add(1, Ordering::SeqCst);
    });
    (body.boxed(), asked)
}

#[tokio::test]
async fn a_large_body_is_not_read_before_it_is_wanted() {
    let refusal = |line: &str, body: &str| {
        let length = body.len();
        Act::Refuse(format!(
            "HTTP/1.1 {line}\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
    };
    let slow_down = "<Error><Code>SlowDown</Code></Error>";
    for (act, wanted, connections) in [
        (refusal("503 S", slow_down), BackendErrorKind::Throttled, 1),
        (refusal("507 I", ""), BackendErrorKind::Full, 1),
        (refusal("403 F", ""), BackendErrorKind::Denied, 1),
        (refusal("200 O", ""), BackendErrorKind::Unavailable, 1),
        (Act::Close, BackendErrorKind::Unavailable, 2),
    ] {
        for signing in [PayloadSigning::Unsigned, PayloadSigning::Streaming] {
            let is_close = matches!(act, Act::Close);
            let act = act.clone();
            let change = |config: &mut S3Config| config.http_payload_signing = signing;
            let mut end = endpoint(change, move |_| act.clone()).await;
            for put_part in [false, true] {
                let (body, asked) = watched(1 << 20);
                let (backend, key) = (&end.backend, key());
                let put = if put_part {
                    backend.put_part(&key, "u", PartNumber::FIRST, 1 << 20, body)
                } else {
                    backend.put(&key, 1 << 20, body)
                };
                assert_eq!(kind(put.await), Err(wanted));
                assert_eq!(asked.load(Ordering::SeqCst), 0, "{wanted:?}: it was read");
                if !is_close {
                    // The connection, on which a body is owed, is given up without one.
                    let seen = end.seen.recv().await.expect("a request");
                    assert!(!seen.head.contains("expect;"), "it is not signed");
                    assert_eq!(seen.body_bytes, 0, "{wanted:?}");
                }
            }
            assert_eq!(end.connections.load(Ordering::SeqCst), 2 * connections);
        }
    }
}

async fn put_large(end: &Endpoint) -> Result<Stored, BackendError> {
    end.backend.put(&key(), 1 << 20, body(1 << 20)).await
}

#[tokio::test]
async fn a_large_body_that_nobody_read_is_sent_again() {
    // A connection that was closed in between.
    let end = endpoint(|_| {}, |n| if n == 0 { Act::Close } else { ok("") }).await;
    put_large(&end)
        .await
        .expect("the second connection takes it");
    // An endpoint, or something on the way, that does not know the expectation.
    let script = |n| match n {
        0 => Act::Refuse("HTTP/1.1 417 E\r\nContent-Length: 0\r\n\r\n".to_owned()),
        _ => ok(""),
    };
    let mut end = endpoint(|_| {}, script).await;
    for _ in 0..2 {
        put_large(&end).await.expect("it goes without");
    }
    let mut expecting = 0;
    for _ in 0..3 {
        let seen = end.seen.recv().await.expect("three requests");
        expecting += usize::from(seen.head.contains("\r\nexpect:"));
    }
    assert_eq!(expecting, 1);
}

#[tokio::test]
async fn who_never_says_that_it_wants_a_body_gets_it_all_the_same() {
    let silent =
        |_| Act::AnswerSilently(String::from("HTTP/1.1 200 O\r\nContent-Length: 0\r\n\r\n"));
    let mut end = endpoint(|_| {}, silent).await;
    end.backend.client.continue_wait = Duration::from_millis(1);
    let mut waits = Vec::new();
    for _ in 0..6 {
        put_large(&end).await.expect("it is taken");
        let seen = end.seen.recv().await.expect("a request");
        assert!(seen.is_whole);
        waits.push(seen.head.contains("\r\nexpect:"));
    }
    assert_eq!(waits, [true, true, true, false, false, false]);
}

/// A body that never ends, and tells when it was let go.
fn endless(gone: mpsc::Sender<()>) -> PutStream {
    let chunks = futures_util::stream::unfold(gone, |gone| async move {
        tokio::task::yield_now().await;
        Some((Ok(Bytes::from_static(&[7; 1000])), gone))
    });
    chunks.boxed()
}

#[tokio::test]
async fn a_refusal_in_the_middle_of_a_body_is_the_answer_and_the_end_of_it() {
    let text = "HTTP/1.1 403 F\r\nContent-Length: 46\r\n\r\n\
                <Error><Code>QuotaExceeded</Code></Error>     ";
    for (expects, reads_on) in [(true, true), (false, true), (true, false), (false, false)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.expect("a connection");
            let head = read_head(&mut socket).await.expect("a head");
            assert_eq!(head.contains("\r\nexpect:"), expects);
            let wants = b"HTTP/1.1 100 Continue\r\n\r\n";
            socket.write_all(wants).await.expect("write");
            socket.read_u8().await.expect("the body begins");
            socket.write_all(text.as_bytes()).await.expect("write");
            // Polite servers go on reading, so that the answer arrives. Others stand still.
            let mut sink = vec![0; 1 << 16];
            while reads_on && socket.read(&mut sink).await.is_ok_and(|read| read > 0) {}
            std::future::pending::<()>().await;
        });
        let mut config = S3Config::at(
            format!("http://{address}"),
            "bucket",
            "id",
            "secret".to_owned().into(),
        );
        config.idle_timeout_ms = 500;
        let backend = S3Backend::new(&config, Arc::new(ManualClock::default())).expect("a backend");
        if !expects {
            backend.client.manners.refused();
        }
        let (sender, mut gone) = mpsc::channel(1);
        let put = backend.put(&key(), 1 << 40, endless(sender)).await;
        assert_eq!(kind(put), Err(BackendErrorKind::Full));
        let let_go = tokio::time::timeout(Duration::from_secs(20), gone.recv()).await;
        assert_eq!(let_go, Ok(None), "expects {expects}, reads on {reads_on}");
    }
}

#[tokio::test]
async fn whoever_stands_still_is_cut_off() {
    let short = |config: &mut S3Config| {
        config.first_byte_timeout_ms = 50;
        config.idle_timeout_ms = 50;
    };
    let unavailable = BackendErrorKind::Unavailable;
    // No answer.
    let end = endpoint(short, |_| Act::Stall).await;
    assert_eq!(kind(end.backend.head(&key()).await), Err(unavailable));
    // An upload that is not taken: more than the sockets' buffers hold.
    let put = end.backend.put(&key(), 64 << 20, body(64 << 20)).await;
    assert_eq!(put.as_ref().map_err(|e| e.kind), Err(unavailable));
    assert!(put.is_err_and(|e| e.message.contains("took no bytes")));
    // A body that stops.
    let stops = |_| Act::Answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf".to_owned());
    let end = endpoint(short, stops).await;
    assert_eq!(kind(read(&end.backend).await), Err(unavailable));
    // A source that stands still is not the endpoint's fault.
    let end = endpoint(short, |_| ok("")).await;
    let slow = body(100_000).chain(futures_util::stream::pending()).boxed();
    let key = key();
    let put = end.backend.put(&key, 200_000, slow);
    assert!(
        tokio::time::timeout(Duration::from_millis(300), put)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn nobody_listening_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let config = S3Config::at(
        format!("http://{address}"),
        "bucket",
        "id",
        "secret".to_owned().into(),
    );
    let backend = S3Backend::new(&config, Arc::new(ManualClock::default())).expect("a backend");
    assert_eq!(
        kind(backend.head(&key()).await),
        Err(BackendErrorKind::Unavailable)
    );
    let put = backend.put(&key(), 1 << 20, body(1 << 20)).await;
    assert_eq!(kind(put), Err(BackendErrorKind::Unavailable));
}

#[tokio::test]
async fn slots_are_bounded_and_come_back() {
    let change = |config: &mut S3Config| {
        config.slots_max = 1;
        config.slot_wait_max_ms = 20;
    };
    let end = endpoint(change, |_| ok("hello")).await;
    let held = end.backend.get(&key(), None).await.expect("the first");
    assert_eq!(
        kind(end.backend.head(&key()).await),
        Err(BackendErrorKind::Throttled)
    );
    drop(held);
    end.backend
        .head(&key())
        .await
        .expect("the slot is free again");
}

#[tokio::test]
async fn a_missing_bucket_is_not_a_missing_key() {
    let end = endpoint(|_| {}, |_| status("404 N")).await;
    assert_eq!(
        kind(end.backend.head(&key()).await),
        Err(BackendErrorKind::Unavailable)
    );
    let end = endpoint(
        |_| {},
        |n| {
            if n == 0 {
                status("404 N")
            } else {
                status("200 OK")
            }
        },
    )
    .await;
    assert_eq!(end.backend.head(&key()).await, Ok(None));
}

fn complete_script(answer: &'static str, size: u64) -> impl Fn(usize) -> Act {
    move |number| match number {
        0 => ok(answer),
        _ => Act::Answer(format!(
            "HTTP/1.1 200 OK\r\nETag: \"tag-1\"\r\nContent-Length: {size}\r\n\r\n"
        )),
    }
}

#[tokio::test]
async fn complete_believes_the_document_and_the_head() {
    let done =
        "   \n  <CompleteMultipartUploadResult><ETag></ETag></CompleteMultipartUploadResult>";
    let failed = "  <?xml version=\"1.0\"?>\n<Error><Code>InternalError</Code></Error>";
    let gone = "<Error><Code>NoSuchUpload</Code></Error>";
    for (answer, size, wanted) in [
        (done, 10, Ok("tag-1".to_owned())),
        (done, 9, Err(BackendErrorKind::Corrupt)),
        (failed, 10, Err(BackendErrorKind::Unavailable)),
        (gone, 10, Err(BackendErrorKind::NotFound)),
        ("", 10, Err(BackendErrorKind::Corrupt)),
    ] {
        let end = endpoint(|_| {}, complete_script(answer, size)).await;
        let part = BackendPart {
            number: PartNumber::FIRST,
            size: 10,
            etag: "e".to_owned(),
        };
        let stored = end.backend.complete_upload(&key(), "up", &[part]).await;
        assert_eq!(kind(stored).map(|stored| stored.etag), wanted, "{answer}");
    }
}

#[tokio::test]
async fn requests_carry_what_the_settings_say() {
    let change = |config: &mut S3Config| {
        config.storage_class = Some("GLACIER_IR".to_owned());
        config.server_side_encryption = Some("AES256".to_owned());
        config.session_token = Some("token".to_owned().into());
    };
    let mut end = endpoint(change, |_| ok("")).await;
    end.backend.put(&key(), 10, body(10)).await.expect("put");
    let seen = end.seen.recv().await.expect("a request");
    for header in [
        "x-amz-storage-class: GLACIER_IR",
        "x-amz-server-side-encryption: AES256",
        "x-amz-security-token: token",
        "x-amz-content-sha256: UNSIGNED-PAYLOAD",
        "accept-encoding: identity",
        "content-length: 10",
    ] {
        assert!(seen.head.contains(header), "{header} in {}", seen.head);
    }
    assert_eq!(seen.body_bytes, 10);
}

#[tokio::test]
async fn a_server_without_uploads_may_say_so_with_a_404() {
    let answer = |code: &str| {
        let xml = format!("<Error><Code>{code}</Code><Message>m</Message></Error>");
        Act::Answer(format!(
            "HTTP/1.1 404 Not Found\r\nContent-Length: {}\r\n\r\n{xml}",
            xml.len()
        ))
    };
    for (code, wanted) in [
        ("NoSuchUpload", Ok(Vec::new())),
        ("NoSuchBucket", Err(BackendErrorKind::Unavailable)),
    ] {
        let end = endpoint(|_| {}, move |_| answer(code)).await;
        assert_eq!(kind(end.backend.list_uploads("w1/", 10).await), wanted);
    }
}
