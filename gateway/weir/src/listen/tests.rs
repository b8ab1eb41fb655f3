use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use super::*;

/// Answers with the length of the body; waits where it is told to.
#[derive(Default)]
struct Echo {
    entered: Notify,
    leave: Notify,
}

impl Service for Echo {
    async fn answer(self: Arc<Self>, request: Request<PacedBody<Incoming>>) -> Response<ReplyBody> {
        let waits = request.uri().path() == "/wait";
        let refuses = request.uri().path() == "/refuse";
        let body = request.into_body();
        let length = if refuses {
            Ok(0)
        } else {
            body.collect().await.map(|body| body.to_bytes().len())
        };
        if waits {
            self.entered.notify_one();
            self.leave.notified().await;
        }
        let text = format!("{length:?}").into_bytes();
        let body = Full::new(Bytes::from(text))
            .map_err(|never| match never {})
            .boxed_unsync();
        Response::new(body)
    }
}

fn limits() -> Limits {
    let second = Duration::from_secs(1);
    Limits {
        connections_max: 2,
        header_timeout: 15 * second,
        idle_timeout: 60 * second,
        stall_timeout: 30 * second,
        response_stall_timeout: 30 * second,
        body_bytes_per_second_min: 100,
        header_bytes_max: 8192,
        header_count_max: 20,
        http2_streams_max: 8,
        drain_timeout: 20 * second,
    }
}

struct Server {
    address: SocketAddr,
    listener: Listener,
    service: Arc<Echo>,
    counts: Arc<Counts>,
}

async fn server() -> Server {
    let bound = Bound::bind(&["127.0.0.1:0".parse().expect("an address")])
        .await
        .expect("bound");
    let address = bound.addresses().expect("known")[0];
    let (service, counts) = (Arc::new(Echo::default()), Arc::new(Counts::default()));
    let listener = bound.serve(&service, None, &limits(), &counts);
    Server {
        address,
        listener,
        service,
        counts,
    }
}

impl Server {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("connected")
    }
}

/// Everything until the server closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    // A reset is a way to be closed too.
    let _ended = stream.read_to_end(&mut text).await;
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test(start_paused = true)]
async fn connections_without_a_request_are_closed() {
    for (sent, first) in [
        ("", true),
        ("GET / HT", true),
        ("GET / HTTP/1.1\r\nhost: x\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nhost: x\r\n\r\nGET / HT", false),
    ] {
        let server = server().await;
        let started = tokio::time::Instant::now();
        let mut stream = server.connect().await;
        stream.write_all(sent.as_bytes()).await.expect("sent");
        rest(&mut stream).await;
        let (header, idle) = (Duration::from_secs(15), Duration::from_secs(60));
        let want = if first { header } else { idle };
        let took = started.elapsed();
        assert!(
            took >= want && took < want * 2,
            "{sent:?} closed after {took:?}"
        );
    }
}

#[tokio::test]
async fn connections_over_the_cap_are_refused_and_others_work() {
    let server = server().await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = server.connect().await;
        stream
            .write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc")
            .await
            .expect("sent");
        let mut byte = [0; 12];
        stream.read_exact(&mut byte).await.expect("answered");
        assert_eq!(&byte, b"HTTP/1.1 200");
        held.push(stream);
    }
    assert_eq!(rest(&mut server.connect().await).await, "");
    assert_eq!(server.counts.refused.load(Ordering::Relaxed), 1);
    // The connections that were there still work.
    held[0]
        .write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await
        .expect("sent");
    assert!(rest(&mut held[0]).await.contains("Ok(0)"));
}

#[tokio::test]
async fn a_request_never_has_two_readings() {
    const SECOND: &str = "GET /wait HTTP/1.1\r\nhost: x\r\n\r\n";
    for headers in [
        "content-length: 4\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 4\r\n",
        "transfer-encoding: chunked\r\n",
    ] {
        let server = server().await;
        let mut stream = server.connect().await;
        let sent = format!("POST / HTTP/1.1\r\nhost: x\r\n{headers}\r\n0\r\n\r\n{SECOND}");
        stream.write_all(sent.as_bytes()).await.expect("sent");
        let answers = rest(&mut stream).await;
        assert_eq!(
            answers.matches("HTTP/1.1 ").count(),
            1,
            "{headers:?}: {answers}"
        );
        let refused = answers.contains("400 Bad Request");
        assert!(
            refused || answers.contains("connection: close"),
            "{headers:?}: {answers}"
        );
    }
}

#[tokio::test]
async fn a_line_that_ends_in_a_bare_lf_ends_the_connection() {
    for request in [
        "GET / HTTP/1.1\nhost: x\n\n",
        "GET / HTTP/1.1\r\nhost: x\r\nx: y\ncontent-length: 3\r\n\r\nabc",
    ] {
        let server = server().await;
        let mut stream = server.connect().await;
        let good = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\n\n\n\n";
        stream.write_all(good.as_bytes()).await.expect("sent");
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.expect("answered");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let answers = rest(&mut stream).await;
        assert!(!answers.contains("HTTP/1.1"), "{request:?}: {answers}");
    }
}

/// The nth bytes to send.
type Flood<'a> = &'a dyn Fn(u32) -> Vec<u8>;

/// A frame of HTTP/2 (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

/// The kinds of the frames that came, with their payloads.
fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut found = Vec::new();
    while let [a, b, c, kind, _, _, _, _, _, rest @ ..] = bytes {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        let payload = rest.get(..length).unwrap_or(rest);
        found.push((*kind, payload.to_vec()));
        bytes = rest.get(length..).unwrap_or_default();
    }
    found
}

#[tokio::test]
async fn floods_of_http2_end_their_connection() {
    const HEADERS: u8 = 1;
    const RST_STREAM: u8 = 3;
    const SETTINGS: u8 = 4;
    const GOAWAY: u8 = 7;
    const CONTINUATION: u8 = 9;
    const ENHANCE_YOUR_CALM: [u8; 4] = [0, 0, 0, 11];
    // GET, http, /, and an authority of one letter.
    let fields = [0x82, 0x86, 0x84, 0x41, 1, b'a'];
    let resets = |n: u32| {
        let stream = 2 * n + 1;
        let cancel = frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]);
        [frame(HEADERS, 5, stream, &fields), cancel].concat()
    };
    let field = [&[0, 3, b'a', b'b', b'c', 0x7f, 0x80, 1][..], &[b'v'; 255]].concat();
    let continuations = |n: u32| match n {
        0 => frame(HEADERS, 1, 1, &fields),
        _ => frame(CONTINUATION, 0, 1, &field),
    };
    let floods: [(&str, Flood<'_>); 2] =
        [("rapid reset", &resets), ("continuation", &continuations)];
    for (name, flood) in floods {
        let server = server().await;
        let (mut reader, mut writer) = server.connect().await.into_split();
        let reading = tokio::spawn(async move {
            let mut bytes = Vec::new();
            let _reset = reader.read_to_end(&mut bytes).await;
            bytes
        });
        let start = [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            &frame(SETTINGS, 0, 0, &[])[..],
        ]
        .concat();
        writer.write_all(&start).await.expect("sent");
        let mut sent = 0;
        while sent < 100_000 && writer.write_all(&flood(sent)).await.is_ok() {
            sent += 1;
        }
        assert!(sent < 100_000, "{name}: all of it was taken");
        let answered = frames(&reading.await.expect("read"));
        let calm = answered.iter().any(|(kind, payload)| {
            *kind == GOAWAY && payload.get(4..8) == Some(&ENHANCE_YOUR_CALM)
        });
        // The answer is lost when the reset of the connection overtakes it.
        let kinds: Vec<_> = answered.iter().map(|(kind, _)| *kind).collect();
        assert!(calm || !kinds.contains(&GOAWAY), "{name}: {answered:?}");
    }
}

#[tokio::test]
async fn header_sections_have_limits() {
    let many = "a: b\r\n".repeat(30);
    let long = format!("a: {}\r\n", "b".repeat(10_000));
    for headers in [many, long] {
        let server = server().await;
        let mut stream = server.connect().await;
        let sent = format!("GET / HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
        stream.write_all(sent.as_bytes()).await.expect("sent");
        let answer = rest(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
}

#[tokio::test]
async fn draining_lets_requests_finish_and_accepts_no_more() {
    let server = server().await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .expect("sent");
    server.service.entered.notified().await;
    let Server {
        address,
        listener,
        service,
        counts,
    } = server;
    let draining = tokio::spawn(listener.drain());
    // The listening socket closes first.
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    service.leave.notify_one();
    assert!(rest(&mut stream).await.contains("200 OK"));
    draining.await.expect("drained");
    assert_eq!(counts.open.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn draining_does_not_wait_for_ever() {
    let server = server().await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .expect("sent");
    server.service.entered.notified().await;
    let started = tokio::time::Instant::now();
    server.listener.drain().await;
    assert_eq!(started.elapsed(), limits().drain_timeout);
}

#[tokio::test(start_paused = true)]
async fn bodies_that_trickle_are_given_up() {
    // Bytes per second, how long they come, whether the body ends well.
    for (bytes, seconds, good) in [
        (200, 60, true),
        (1, 20, true),
        (1, 60, false),
        (99, 60, false),
    ] {
        let chunks = futures_util::stream::unfold(0, move |sent| async move {
            if sent == seconds {
                return None;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            let frame = hyper::body::Frame::data(Bytes::from(vec![0; bytes]));
            Some((Ok::<_, BodyErrorForTests>(frame), sent + 1))
        });
        let body = http_body_util::StreamBody::new(Box::pin(chunks));
        let paced = PacedBody::new(body, 100, Duration::from_secs(30));
        assert_eq!(
            paced.collect().await.is_ok(),
            good,
            "{bytes} B/s for {seconds} s"
        );
    }
}

type BodyErrorForTests = weir_core::front::BodyError;

#[tokio::test]
async fn an_answer_without_100_continue_ends_the_connection() {
    // Path, length of the body, whether 100 (Continue) is expected and the body sent at once;
    // whether the connection ends.
    for (path, length, expects, ends) in [
        ("/", 0, false, false),
        ("/", 5, false, false),
        ("/", 5, true, false),
        ("/", 0, true, true),
        ("/refuse", 5, true, true),
        ("/refuse", 0, false, false),
    ] {
        let server = server().await;
        let mut stream = server.connect().await;
        let expect = if expects {
            "Expect: 100-continue\r\n"
        } else {
            ""
        };
        let head =
            format!("PUT {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n{expect}\r\n");
        stream.write_all(head.as_bytes()).await.expect("sent");
        let mut got = Vec::new();
        let mut sent = !expects || length == 0;
        if !expects {
            stream.write_all(&vec![b'x'; length]).await.expect("sent");
        }
        loop {
            let text = String::from_utf8_lossy(&got).into_owned();
            if text.contains("Ok(") {
                break;
            }
            if !sent && text.contains("100 Continue\r\n\r\n") {
                stream.write_all(&vec![b'x'; length]).await.expect("sent");
                sent = true;
            }
            let mut piece = [0; 512];
            let bytes = stream.read(&mut piece).await.expect("an answer");
            assert_ne!(bytes, 0, "{head:?}: {text}");
            got.extend_from_slice(&piece[..bytes]);
        }
        let text = String::from_utf8_lossy(&got).to_ascii_lowercase();
        assert_eq!(text.contains("connection: close"), ends, "{head:?}: {text}");
    }
}
