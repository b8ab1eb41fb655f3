//! Where the first copy goes when the backend that was chosen first does not take it, or takes
//! something else for it.

use std::ops::RangeInclusive;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use weir_backend::memory::{Call, Fault, MemoryBackend};
use weir_backend::s3::S3Backend;
use weir_backend::{Operation as BackendOperation, S3Config};
use weir_core::authorize::AllowAll;
use weir_core::backends::{BackendFacts, Backends};
use weir_core::observe::{Observer, Silent};
use weir_core::{Gateway, Parts, Settings};
use weir_index::MemoryIndex;
use weir_types::ErrorCode;
use weir_types::backend::Backend;
use weir_types::clock::{SystemClock, Timestamp};
use weir_types::crash::CrashPoints;
use weir_types::entropy::SeededEntropy;
use weir_types::id::SiteId;
use weir_types::index::Mutation;

use crate::support::{Client, Dice, Scripted, World, at_rest, backend_id, bucket, code_of};

/// More than a directory takes in one piece, or an endpoint unasked.
const LARGE_BYTES: u64 = 600_000;

/// Puts a large object while the named disks have room for everything but its bytes.
fn put_beside_full_disks(full: RangeInclusive<usize>) {
    let world = World::on_files(7, 3);
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        for number in full.clone() {
            world.disk(number).set_bytes_max(Some(LARGE_BYTES / 2));
        }
        let bytes = Dice::new(1).bytes(LARGE_BYTES);
        let put = life.client.put("large", &bytes).await;
        assert!(put.is_ok(), "disks {full:?} are full: {put:?}");
        let got = life.client.get("large").await.expect("reads");
        assert!(got.expect("is there").0 == bytes, "other bytes come back");
    });
}

#[test]
fn a_large_body_goes_on_from_full_disks_to_one_with_room() {
    // Whichever is asked first, one of these has it full.
    put_beside_full_disks(0..=1);
    put_beside_full_disks(1..=2);
    put_beside_full_disks(0..=0);
    put_beside_full_disks(2..=2);
}

/// Proposes backends in the order of the configuration, for one copy.
fn in_order() -> Scripted {
    Scripted::placing(1, |_, _, backends| (0..backends.len()).collect())
}

/// Answers the head of the one request that a connection brings, and takes nothing more;
/// without an answer it hangs up.
async fn refuse(mut socket: TcpStream, answer: &str) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await?);
    }
    if answer.is_empty() {
        return Ok(());
    }
    socket.write_all(answer.as_bytes()).await?;
    socket.read_to_end(&mut head).await.map(drop)
}

/// An endpoint that answers every request so; with `None` nobody listens there.
async fn endpoint(answer: Option<&'static str>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    if let Some(answer) = answer {
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(refuse(socket, answer));
            }
        });
    }
    format!("http://{address}")
}

/// A gateway over backends of any kind, asked in their order.
fn gateway(backends: Vec<Arc<dyn Backend>>) -> Arc<Gateway> {
    let site = SiteId::parse("here").expect("a valid site");
    let observer: Arc<dyn Observer> = Arc::new(Silent);
    let settings = Settings::default();
    let facts = |number| BackendFacts::new(backend_id(number));
    let configured = backends
        .into_iter()
        .enumerate()
        .map(|(number, backend)| (facts(number), backend));
    Gateway::new(Parts {
        index: Arc::new(MemoryIndex::new(site)),
        backends: Backends::new(configured.collect(), &observer, &settings),
        decider: Arc::new(in_order()),
        grants: Arc::new(AllowAll),
        observer,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SeededEntropy::new(1)),
        crash: CrashPoints::none(),
        settings,
    })
}

#[tokio::test]
async fn a_large_body_goes_on_from_an_endpoint_that_refuses() {
    for answer in [
        None,
        Some("HTTP/1.1 503 S\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"),
        Some("HTTP/1.1 507 I\r\nContent-Length: 0\r\n\r\n"),
        Some("HTTP/1.1 403 F\r\nContent-Length: 0\r\n\r\n"),
        Some(""),
    ] {
        let secret = "secret".to_owned().into();
        let config = S3Config::at(endpoint(answer).await, "bucket", "id", secret);
        let first = S3Backend::new(&config, Arc::new(SystemClock)).expect("a backend");
        let second = MemoryBackend::new();
        let gateway = gateway(vec![Arc::new(first), Arc::new(second.clone())]);
        let create = Mutation::CreateBucket {
            name: bucket(),
            owner: None,
            location: None,
            now: Timestamp::from_millis(1),
        };
        gateway.index().apply(create).await.expect("a bucket");
        let client = Client::of(&gateway);
        let bytes = Dice::new(2).bytes(LARGE_BYTES);
        let put = client.put("large", &bytes).await;
        assert!(put.is_ok(), "after {answer:?}: {put:?}");
        let held = second.contents();
        assert!(held.len() == 1 && held[0].bytes == bytes, "{answer:?}");
    }
}

/// Spoils what is put on this backend, which tells the MD5 of what it stored.
fn spoil(world: &World, number: usize) {
    world.memory(number).set_tells_md5(true);
    let plan = |call: &Call<'_>| {
        let is_put = matches!(
            call.operation,
            BackendOperation::Put | BackendOperation::PutPart
        );
        is_put.then_some(Fault::Corrupt { offset: 3 })
    };
    world.memory(number).set_plan(Some(Arc::new(plan)));
}

#[test]
fn bytes_that_a_backend_spoils_are_never_acknowledged() {
    let world = World::in_memory(3, 3);
    world.live(CrashPoints::none(), async |life| {
        life.make_bucket().await;
        (0..3).for_each(|number| spoil(&world, number));
        let client = &life.client;
        let (small, large) = (Dice::new(1).bytes(500), Dice::new(2).bytes(LARGE_BYTES));
        let refused = ErrorCode::ServiceUnavailable;
        assert_eq!(code_of(client.put("small", &small).await), refused);
        assert_eq!(code_of(client.put("large", &large).await), refused);
        // Each may have changed what its tags are, and is asked to find out.
        let disputes = || (0..3).map(|number| world.memory(number).disputes()).sum();
        let of_puts: u64 = disputes();
        assert_eq!(of_puts, 4, "three for the small one, one for the large one");
        let upload = client.create_upload("parts", None).await.expect("begins");
        let upload = upload.upload_id;
        for bytes in [&small, &large] {
            assert_eq!(
                code_of(client.part("parts", upload, 1, bytes).await),
                refused
            );
        }
        assert_eq!(disputes(), of_puts + 2);
        world.calm();
        client.abort("parts", upload).await.expect("aborts");
        at_rest(&life).await;
        for number in 0..3 {
            assert_eq!(world.memory(number).contents(), [], "backend {number}");
        }
    });
}

#[test]
fn a_small_body_goes_on_from_a_backend_that_spoils_it() {
    for good in 0..3 {
        let world = World::in_memory(4, 3);
        world.live(CrashPoints::none(), async |life| {
            life.make_bucket().await;
            let spoiling = (0..3).filter(|number| *number != good);
            spoiling.for_each(|number| spoil(&world, number));
            let bytes = Dice::new(1).bytes(500);
            life.client.put("small", &bytes).await.expect("is stored");
            let got = life.client.get("small").await.expect("reads");
            assert!(got.expect("is there").0 == bytes, "other bytes come back");
        });
    }
}
