//! Storage policies of the configuration decide for live writes, and are kept with them. That
//! writes spill, and what is recorded of it, the core's own tests show.

use super::*;

const CONFIG: &str = r#"
[s3]
listen = ["127.0.0.1:0"]
[admin]
listen = "127.0.0.1:0"
[placement]
policy = "small"
overflow = "overflow-spill"
factor = 1
[policies.small]
builtin = "tier"
settings = { tiers = [{ name = "only", backends = ["a"] }] }
[storage_policies.european]
placement = "spread"
residency = ["eu"]
storage_classes = ["EU"]
[backends.a]
kind = "fs"
path = "a"
bytes_max = 1000
[backends.b]
kind = "fs"
path = "b"
residency = "eu"
[backends.c]
kind = "fs"
path = "c"
[buckets.photos]
[[buckets.photos.prefixes]]
prefix = "eu/"
storage_policy = "european"
"#;

static LARGE: [u8; 2000] = [7; 2000];

async fn put_as(running: &Running, key: &str, class: Option<&str>, content: &'static [u8]) {
    let trace = std::sync::Arc::new(Trace::default());
    let principal = Principal::parse("TEST").expect("a valid name");
    let asker = Asker {
        principal: &principal,
        trace: &trace,
    };
    let mut operation = put_operation(key, content);
    if let Operation::PutObject(put) = &mut operation {
        put.storage_class = class.map(str::to_owned);
    }
    let done = running.site().gateway.execute(operation, asker).await;
    done.unwrap_or_else(|error| panic!("{key}: {error:?}"));
}

#[tokio::test]
async fn class_and_prefix_say_where_objects_lie_and_explain_tells() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let running = start_file(&scratch.path().join("weir.toml"), CONFIG).await;
    let api = Api::of(&running);
    assert!(
        running.site().problems.all().is_empty(),
        "{:?}",
        running.site().problems.all()
    );
    put_as(&running, "small", None, b"content").await;
    put_as(&running, "large", None, &LARGE).await;
    put_as(&running, "classed", Some("EU"), &LARGE).await;
    put_as(&running, "eu/prefixed", None, b"content").await;
    put_as(&running, "eu/classed", Some("EU"), b"content").await;
    for (key, storage_policy, by, on) in [
        ("small", "default", "tier@", "a"),
        ("large", "default", "tier@", "b"),
        ("classed", "european", "spread@", "b"),
        ("eu%2Fprefixed", "european", "spread@", "b"),
        ("eu%2Fclassed", "european", "spread@", "b"),
    ] {
        let target = format!("/v1/explain?bucket=photos&key={key}");
        let (status, value) = api.ask("GET", &target, b"").await;
        assert_eq!(status, 200, "{value}");
        let version = &value["versions"][0];
        assert_eq!(version["storage_policy"], storage_policy, "{value}");
        assert!(
            version["policy"]
                .as_str()
                .is_some_and(|r| r.starts_with(by)),
            "{value}"
        );
        assert_eq!(version["copies"][0]["backend"], on, "{value}");
        assert_eq!(version["home"].as_array().map(Vec::len), Some(0), "{value}");
        let (_, text) = api.ask("GET", &format!("{target}&format=text"), b"").await;
        let text = text.as_str().expect("text");
        assert!(
            text.contains(&format!("storage policy {storage_policy}")),
            "{text}"
        );
    }
    running.stop().await;
}

#[test]
fn a_policy_that_is_bound_to_what_it_does_not_decide_is_told_with_its_line() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let file = scratch.path().join("weir.toml");
    let text = CONFIG
        .replace("placement = \"spread\"", "placement = \"overflow-spill\"")
        .replace("overflow = \"overflow-spill\"", "overflow = \"pack\"");
    std::fs::write(&file, &text).expect("written");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["check", "--config"])
        .arg(&file)
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr);
    let line = |word: &str| text.lines().position(|line| line == word).expect("there") + 1;
    for (word, what) in [
        (
            "overflow = \"pack\"",
            "placement.overflow: the policy \"pack\" does not decide overflow; it decides placement",
        ),
        (
            "placement = \"overflow-spill\"",
            "storage_policies.european.placement: the policy \"overflow-spill\" does not decide placement",
        ),
    ] {
        let place = format!("weir.toml:{}:1: error: {what}", line(word));
        assert!(told.contains(&place), "{place}\nis not in\n{told}");
    }
    assert!(told.contains("the configuration has 2 errors"), "{told}");
}
