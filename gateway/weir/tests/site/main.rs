//! A whole site in this process: started, asked, changed, stopped.

mod certificates;
mod full_disk;
mod policies;
mod process;
mod scrub;

use std::path::Path;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use weir::config::model::Config;
use weir::config::{Sources, load};
use weir::serve::{Plan, Running};
use weir_core::object::Asker;
use weir_core::observe::Trace;
use weir_index::IndexOptions;
use weir_types::backend::Backend;
use weir_types::body::{ExpectedDigests, Frame, IncomingBody};
use weir_types::id::{BackendKey, BlobId, BucketName, ObjectKey, Principal, SiteId};
use weir_types::index::{Index, WriteConditions};
use weir_types::operation::{Operation, PutObject};
use weir_types::record::ContentHeaders;

fn config(folder: &Path) -> Config {
    let mut config = Config::first_run(folder.join("weir-data"));
    config.s3.listen = vec!["127.0.0.1:0".into()];
    config.admin.listen = "127.0.0.1:0".into();
    config.buckets.insert("photos".into(), Default::default());
    config
}

async fn start(config: Config) -> Running {
    let plan = Plan {
        config: config.clone(),
        sources: Sources::default(),
        start: config,
        index: IndexOptions::default(),
    };
    Running::start(plan)
        .await
        .unwrap_or_else(|failure| panic!("{failure}"))
}

/// A configuration with one backend, on free ports.
const MINIMAL: &str = "\
[s3]
listen = [\"127.0.0.1:0\"]
[admin]
listen = \"127.0.0.1:0\"
[placement]
factor = 1
[backends.a]
kind = \"fs\"
path = \"a\"
";

/// Starts from a configuration file.
async fn start_file(file: &Path, text: &str) -> Running {
    std::fs::write(file, text).expect("written");
    let sources = Sources {
        file: Some(file.to_owned()),
        environment: Vec::new(),
    };
    let loaded = load(&sources, Config::default());
    let (config, _) = loaded
        .valid()
        .unwrap_or_else(|findings| panic!("{findings:?}"));
    let plan = Plan {
        config,
        sources,
        start: Config::default(),
        index: IndexOptions::default(),
    };
    Running::start(plan)
        .await
        .unwrap_or_else(|failure| panic!("{failure}"))
}

/// Asks the admin listener; gives status and text.
async fn ask(url: &str, method: &str, target: &str, token: &str, body: Bytes) -> (u16, String) {
    let address = url.strip_prefix("http://").expect("plain");
    let stream = TcpStream::connect(address).await.expect("connected");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .expect("hands shaken");
    tokio::spawn(connection);
    let mut request = http::Request::builder()
        .method(method)
        .uri(target)
        .header("host", address);
    if !token.is_empty() {
        request = request.header("authorization", token);
    }
    let request = request.body(Full::new(body)).expect("a request");
    let response = sender.send_request(request).await.expect("answered");
    let status = response.status().as_u16();
    let body = response
        .into_body()
        .collect()
        .await
        .expect("whole")
        .to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

fn bearer(running: &Running) -> String {
    format!("Bearer {}", running.generated.admin_token)
}

fn put_operation(key: &str, content: &'static [u8]) -> Operation {
    let frames = futures_util::stream::iter([Ok(Frame::Data(Bytes::from_static(content)))]);
    Operation::PutObject(Box::new(PutObject {
        bucket: BucketName::parse("photos").expect("a valid name"),
        key: ObjectKey::parse(key).expect("a valid key"),
        headers: ContentHeaders::default(),
        user_metadata: Vec::new(),
        tags: Vec::new(),
        storage_class: None,
        conditions: WriteConditions::default(),
        body: IncomingBody {
            size: content.len() as u64,
            expected: ExpectedDigests::default(),
            frames: Box::pin(frames),
        },
    }))
}

async fn put(running: &Running, key: &str, content: &'static [u8]) {
    let trace = std::sync::Arc::new(Trace::default());
    let principal = Principal::parse("TEST").expect("a valid name");
    let asker = Asker {
        principal: &principal,
        trace: &trace,
    };
    running
        .site()
        .gateway
        .execute(put_operation(key, content), asker)
        .await
        .expect("stored");
}

/// Waits until no work is left; the background runs by itself.
async fn settled(running: &Running) {
    let index = &running.site().index;
    let waiting = async {
        while index.outbox_stats().await.expect("readable").depth != [0; 6] {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), waiting)
        .await
        .expect("it settles");
}

#[tokio::test]
async fn only_the_token_opens_the_admin_listener() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let running = start(config(scratch.path())).await;
    let (root, token) = (running.generated.root.clone(), bearer(&running));
    let s3 = format!(
        "AWS4-HMAC-SHA256 Credential={}/20260101/us-east-1/s3/aws4_request",
        root.access_key_id
    );
    let secret = format!("Bearer {}", root.secret);
    for (method, target, given, want) in [
        ("GET", "/healthz", "", 200),
        ("GET", "/readyz", "", 200),
        ("GET", "/metrics", "", 200),
        ("GET", "/status", "", 401),
        ("GET", "/v1/status", "", 401),
        ("GET", "/v1/status", s3.as_str(), 401),
        ("GET", "/v1/status", secret.as_str(), 401),
        ("GET", "/v1/status", "Bearer ", 401),
        ("GET", "/v1/status", token.as_str(), 200),
        ("GET", "/v1/policies", token.as_str(), 200),
        ("POST", "/v1/policies/spread", "", 401),
        ("POST", "/v1/policies/spread", secret.as_str(), 401),
        ("POST", "/v1/index/verify", "", 401),
        ("GET", "/nothing", "", 401),
        ("GET", "/nothing", token.as_str(), 404),
        ("DELETE", "/v1/status", token.as_str(), 405),
    ] {
        let (status, text) = ask(&running.admin_url, method, target, given, Bytes::new()).await;
        assert_eq!(status, want, "{method} {target} {text}");
        for secret in [&root.secret, &running.generated.admin_token] {
            assert!(!text.contains(secret.as_str()), "{target} tells a secret");
        }
    }
    running.stop().await;
}

#[tokio::test]
async fn the_first_start_generates_and_the_second_keeps() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let first = start(config(scratch.path())).await;
    let greeting = first.greeting();
    for word in [
        "export AWS_ACCESS_KEY_ID=WEIR",
        "export AWS_ENDPOINT_URL=http://127.0.0.1:",
        "rclone",
    ] {
        assert!(greeting.contains(word), "{greeting}");
    }
    assert!(!first.s3_url.ends_with(":0"), "the real port is told");
    put(&first, "a/b", b"content").await;
    for file in ["credentials", "admin-url", "index.redb"] {
        use std::os::unix::fs::MetadataExt;
        let path = scratch.path().join("weir-data").join(file);
        let meta = std::fs::metadata(path).expect("there");
        assert_eq!(meta.mode() & 0o777, 0o600, "{file} is for its owner alone");
    }

    // A second one on the same data refuses, and disturbs nothing.
    let config_again = config(scratch.path());
    let plan = Plan {
        config: config_again.clone(),
        sources: Sources::default(),
        start: config_again,
        index: IndexOptions::default(),
    };
    let refused = Running::start(plan)
        .await
        .err()
        .expect("refused")
        .to_string();
    assert!(refused.contains("in use by another process"), "{refused}");

    let id = first.generated.root.access_key_id.clone();
    first.stop().await;
    let second = start(config(scratch.path())).await;
    assert_eq!(second.generated.root.access_key_id, id);
    let (status, text) = ask(
        &second.admin_url,
        "GET",
        "/v1/explain?bucket=photos&key=a%2Fb&format=text",
        &bearer(&second),
        Bytes::new(),
    )
    .await;
    assert_eq!(status, 200, "{text}");
    for word in [
        "photos/a/b",
        "placed by spread@",
        "copy on disk-",
        "7 bytes",
    ] {
        assert!(text.contains(word), "{word} is not in {text}");
    }
    second.stop().await;
}

#[tokio::test]
async fn verification_finds_what_is_wrong_and_changes_nothing() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let running = start(config(scratch.path())).await;
    for key in ["missing", "short", "fine"] {
        put(&running, key, b"some content").await;
    }
    settled(&running).await;
    let token = bearer(&running);
    let verify = async || {
        let (status, text) = ask(
            &running.admin_url,
            "POST",
            "/v1/index/verify?format=text",
            &token,
            Bytes::new(),
        )
        .await;
        assert_eq!(status, 200, "{text}");
        text
    };
    assert!(verify().await.ends_with("\nclean\n"));

    // Behind the gateway's back: one copy goes, one shrinks, a stranger comes.
    let site = running.site();
    let photos = BucketName::parse("photos").expect("a valid name");
    let copy_of = async |key: &str| {
        let key = ObjectKey::parse(key).expect("a valid key");
        let blob = site
            .index
            .lookup(&photos, &key)
            .await
            .expect("readable")
            .blob
            .expect("there");
        let copy = blob.copies[0].clone();
        let backend = site
            .backends
            .iter()
            .find(|b| b.id == copy.backend)
            .expect("configured");
        (copy.key, std::sync::Arc::clone(&backend.meter))
    };
    let body = |text: &'static [u8]| -> weir_types::body::PutStream {
        Box::pin(futures_util::stream::iter([Ok(Bytes::from_static(text))]))
    };
    let (missing, backend) = copy_of("missing").await;
    backend.delete(&missing).await.expect("deleted");
    let (short, backend) = copy_of("short").await;
    backend.delete(&short).await.expect("deleted");
    backend.put(&short, 4, body(b"some")).await.expect("put");
    let stranger = BackendKey::of(
        &SiteId::parse("site-1").expect("a valid site"),
        BlobId(77),
        1,
    );
    backend.put(&stranger, 3, body(b"xyz")).await.expect("put");

    for _ in 0..2 {
        // Twice: the first time must not have repaired or removed anything.
        let text = verify().await;
        assert!(text.ends_with("not clean\n"), "{text}");
        assert!(text.contains(&format!("missing: {missing}")), "{text}");
        assert!(
            text.contains(&format!("wrong size: {short} has 4 bytes instead of 12")),
            "{text}"
        );
        assert!(
            text.contains(&format!("unknown: {stranger}, 3 bytes")),
            "{text}"
        );
        assert_eq!(text.matches("finding(s)").count(), 3, "{text}");
    }
    running.stop().await;
}

#[tokio::test]
async fn policies_are_swapped_and_broken_ones_refused() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let running = start(config(scratch.path())).await;
    let token = bearer(&running);
    let post = async |target: &str, body: &[u8]| {
        ask(
            &running.admin_url,
            "POST",
            target,
            &token,
            Bytes::copy_from_slice(body),
        )
        .await
    };
    let (status, text) = post("/v1/policies/spread", b"no component").await;
    assert_eq!(status, 422, "{text}");
    assert!(
        text.contains("not a valid component") && text.contains("decides on"),
        "{text}"
    );
    let (status, text) = post("/v1/policies/unknown", b"").await;
    assert_eq!(status, 404, "{text}");
    assert!(text.contains("pack, spread"), "{text}");
    let (status, text) = post("/v1/policies/spread/activate", br#"{"builtin": "best"}"#).await;
    assert_eq!(status, 422, "{text}");
    let (status, text) = post("/v1/policies/spread/activate", br#"{"else": 1}"#).await;
    assert_eq!(status, 400, "{text}");
    put(&running, "by-spread", b"1").await;

    let (status, text) = post("/v1/policies/spread", weir_policy::builtin::PACK).await;
    assert_eq!(status, 200, "{text}");
    put(&running, "by-pack", b"1").await;
    let placed_by = async |running: &Running, key: &str| {
        let photos = BucketName::parse("photos").expect("a valid name");
        let key = ObjectKey::parse(key).expect("a valid key");
        let found = running
            .site()
            .index
            .lookup(&photos, &key)
            .await
            .expect("readable");
        found.version.expect("there").placement.reason
    };
    assert!(
        placed_by(&running, "by-spread")
            .await
            .starts_with("spread:")
    );
    assert!(placed_by(&running, "by-pack").await.starts_with("pack:"));
    running.stop().await;

    // The operator's choice outlives a restart, until the configuration is chosen again.
    let running = start(config(scratch.path())).await;
    put(&running, "after-restart", b"1").await;
    assert!(
        placed_by(&running, "after-restart")
            .await
            .starts_with("pack:")
    );
    let body = Bytes::from_static(br#"{"configured": true}"#);
    let (status, text) = ask(
        &running.admin_url,
        "POST",
        "/v1/policies/spread/activate",
        &token,
        body,
    )
    .await;
    assert_eq!(status, 200, "{text}");
    put(&running, "configured", b"1").await;
    assert!(
        placed_by(&running, "configured")
            .await
            .starts_with("spread:")
    );
    running.stop().await;
}

#[tokio::test]
async fn a_policy_file_is_watched_and_a_broken_one_leaves_the_old_in_force() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let file = scratch.path().join("mine.wasm");
    std::fs::write(&file, weir_policy::builtin::PACK).expect("written");
    let text = format!("{MINIMAL}[policies.mine]\nfile = \"mine.wasm\"\n");
    let running = start_file(&scratch.path().join("weir.toml"), &text).await;
    let mine = || {
        let status = running.site().policies.status();
        status
            .into_iter()
            .find(|p| p.name == "mine")
            .expect("configured")
    };
    assert!(mine().component.is_some_and(|c| c.starts_with("pack ")));

    std::fs::write(&file, b"broken").expect("written");
    running.reload().await;
    assert!(
        mine().component.is_some_and(|c| c.starts_with("pack ")),
        "the old one stays"
    );
    assert!(running.site().problems.all().contains_key("policy mine"));

    std::fs::write(&file, weir_policy::builtin::SPREAD).expect("written");
    running.reload().await;
    assert!(mine().component.is_some_and(|c| c.starts_with("spread ")));
    assert!(running.site().problems.all().is_empty());
    running.stop().await;
}

#[tokio::test]
async fn credentials_reload_live_and_broken_files_change_nothing() {
    use weir_core::authorize::Grants;
    use weir_s3::CredentialStore;
    use weir_types::operation::Action;
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let file = scratch.path().join("weir.toml");
    let text = |bucket: &str, extra: &str| {
        format!(
            "{MINIMAL}{extra}\
             [credentials.app]\naccess_key_id = \"APP\"\nsecret_file = \"secret\"\n\
             [[credentials.app.grants]]\nbuckets = [\"{bucket}\"]\nactions = [\"read\"]\n"
        )
    };
    std::fs::write(scratch.path().join("secret"), "0123456789abcdef0123").expect("written");
    let running = start_file(&file, &text("one", "")).await;
    let site = running.site();
    let app = Principal::parse("APP").expect("a valid name");
    let may_read = |bucket: &str| {
        let bucket = BucketName::parse(bucket).expect("a valid name");
        site.access
            .allows(&app, Action::Read, Some(&bucket), Some("k"))
    };
    assert!(
        !running.has_root
            && site
                .access
                .lookup(&running.generated.root.access_key_id)
                .is_none()
    );
    assert!(may_read("one") && !may_read("two"));
    let credential = site.access.lookup("APP").expect("there");

    std::fs::write(&file, text("two", "")).expect("written");
    running.reload().await;
    assert!(!may_read("one") && may_read("two"));
    let same = site.access.lookup("APP").expect("there");
    assert!(
        std::sync::Arc::ptr_eq(&credential, &same),
        "an unchanged secret keeps its keys"
    );

    std::fs::write(&file, text("one", "colour = 1\n")).expect("written");
    running.reload().await;
    assert!(may_read("two"), "a broken file changes nothing");
    let problem = site.problems.all().remove("configuration").expect("told");
    assert!(
        problem.contains("weir.toml:10:1") && problem.contains("unknown field"),
        "{problem}"
    );

    std::fs::write(scratch.path().join("secret"), "another secret 0123456789").expect("written");
    std::fs::write(&file, text("one", "read_only = false\n")).expect("written");
    running.reload().await;
    assert!(
        may_read("one") && site.problems.all().is_empty(),
        "{:?}",
        site.problems.all()
    );
    let renewed = site.access.lookup("APP").expect("there");
    assert!(
        !std::sync::Arc::ptr_eq(&credential, &renewed),
        "a new secret has new keys"
    );

    // The configuration names a secret before it is there. Nobody says when it is.
    let named = text("two", "read_only = false\n").replace("\"secret\"", "\"later\"");
    std::fs::write(&file, named).expect("written");
    running.reload().await;
    assert!(may_read("one"), "nothing has changed yet");
    std::fs::write(scratch.path().join("later"), "a secret to come 0123").expect("written");
    let noticed = async {
        while !may_read("two") {
            tokio::task::yield_now().await;
        }
    };
    let noticed = tokio::time::timeout(std::time::Duration::from_secs(60), noticed).await;
    assert!(
        noticed.is_ok(),
        "the secret is found: {:?}",
        site.problems.all()
    );
    running.stop().await;
}

#[tokio::test]
async fn a_backend_of_another_index_stops_the_start() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    start(config(scratch.path())).await.stop().await;
    // The same directories under an index made anew.
    std::fs::remove_file(scratch.path().join("weir-data/index.redb")).expect("removed");
    let config = config(scratch.path());
    let plan = Plan {
        config: config.clone(),
        sources: Sources::default(),
        start: config,
        index: IndexOptions::default(),
    };
    let refused = Running::start(plan)
        .await
        .err()
        .expect("refused")
        .to_string();
    for id in ["disk-a", "disk-b", "disk-c"] {
        assert!(
            refused.contains(&format!("backend {id} belongs to site")),
            "{refused}"
        );
    }
}

#[test]
fn a_backup_is_restored_as_it_was() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let backup = scratch.path().join("backup");
    runtime.block_on(async {
        let running = start(config(scratch.path())).await;
        put(&running, "kept", b"content").await;
        settled(&running).await;
        let body = serde_json::to_vec(&serde_json::json!({ "file": backup })).expect("JSON");
        let (status, text) = ask(
            &running.admin_url,
            "POST",
            "/v1/index/backup",
            &bearer(&running),
            body.into(),
        )
        .await;
        assert_eq!(status, 200, "{text}");
        running.stop().await;
    });
    let index = scratch.path().join("weir-data/index.redb");
    std::fs::remove_file(&index).expect("removed");
    weir::backup::restore(&backup, &index, false, &|_| {}).unwrap_or_else(|e| panic!("{e}"));
    runtime.block_on(async {
        let running = start(config(scratch.path())).await;
        let (_, text) = ask(
            &running.admin_url,
            "POST",
            "/v1/index/verify?format=text",
            &bearer(&running),
            Bytes::new(),
        )
        .await;
        assert!(text.ends_with("\nclean\n"), "{text}");
        running.stop().await;
    });
}
