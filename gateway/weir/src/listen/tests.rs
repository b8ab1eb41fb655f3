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
        let length = request
            .into_body()
            .collect()
            .await
            .map(|body| body.to_bytes().len());
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
