//! The life of a policy over the admin API: every step, with restarts between; what a crash can
//! leave; what is refused and changes nothing.

mod oci;
mod recorded;
mod storage;
mod torn;

use std::path::Path;

use serde_json::Value;
use weir_policy::builtin;

use super::*;

/// The admin API of a running site.
pub(super) struct Api<'a> {
    running: &'a Running,
    token: String,
}

impl<'a> Api<'a> {
    pub(super) fn of(running: &'a Running) -> Self {
        Self {
            running,
            token: bearer(running),
        }
    }

    pub(super) async fn ask(&self, method: &str, target: &str, body: &[u8]) -> (u16, Value) {
        let body = Bytes::copy_from_slice(body);
        let url = &self.running.admin_url;
        let (status, text) = ask(url, method, target, &self.token, body).await;
        let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
        (status, value)
    }

    /// A step that succeeds; gives the revision.
    pub(super) async fn step(&self, target: &str, body: &[u8]) -> String {
        let target = format!("/v1/policies/{target}");
        let (status, value) = self.ask("POST", &target, body).await;
        assert_eq!(status, 200, "{target}: {value}");
        value["revision"].as_str().unwrap_or_default().to_owned()
    }

    /// A step that is refused with this status and word.
    pub(super) async fn refused(&self, target: &str, body: &[u8], status: u16, word: &str) {
        let target = format!("/v1/policies/{target}");
        let (got, value) = self.ask("POST", &target, body).await;
        assert_eq!(got, status, "{target}: {value}");
        assert!(
            value.to_string().contains(word),
            "{target}: {value} lacks {word}"
        );
    }

    pub(super) async fn policy(&self, name: &str) -> Value {
        let (status, value) = self.ask("GET", &format!("/v1/policies/{name}"), b"").await;
        assert_eq!(status, 200, "{value}");
        value
    }

    /// The steps of a policy, oldest first: who, step, result.
    pub(super) async fn audit(&self, policy: &str) -> Vec<(String, String, String)> {
        let target = format!("/v1/audit/policies?policy={policy}&last=1000");
        let (status, value) = self.ask("GET", &target, b"").await;
        assert_eq!(status, 200, "{value}");
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let lines = value.as_array().expect("a list").iter();
        lines
            .map(|line| {
                (
                    text(&line["who"]),
                    text(&line["step"]),
                    text(&line["result"]),
                )
            })
            .collect()
    }

    pub(super) async fn steps(&self, policy: &str) -> Vec<String> {
        let audit = self.audit(policy).await;
        audit.into_iter().map(|(_, step, _)| step).collect()
    }
}

/// Where each revision of a policy stands: `active`, `canary`, `shadow`, `previous` and those
/// that wait, each by name of its component.
fn places(policy: &Value) -> Vec<String> {
    let revisions = policy["revisions"].as_array().expect("a list");
    let place = |revision: &Value| {
        let describes = revision["describes"].as_str().expect("text");
        let name = describes.split(' ').next().expect("a name");
        format!("{} {name}", revision["place"].as_str().expect("text"))
    };
    revisions.iter().map(place).collect()
}

#[tokio::test]
async fn every_step_survives_a_restart() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let start = async || super::start(config(scratch.path())).await;
    let mut running = start().await;
    // Steps with what they lead to. After each the site is started anew.
    let steps: &[(&str, &[u8], &[&str])] = &[
        (
            "spread?activate=false",
            builtin::PACK,
            &["active spread", "waiting pack"],
        ),
        (
            "spread/shadow",
            br#"{"revision": "latest", "share_permille": 700}"#,
            &["active spread", "shadow pack", "waiting pack"],
        ),
        (
            "spread/canary",
            br#"{"revision": "shadow", "share_permille": 50}"#,
            &[
                "active spread",
                "canary pack",
                "shadow pack",
                "waiting pack",
            ],
        ),
        (
            "spread/shadow",
            br#"{"off": true}"#,
            &["active spread", "canary pack", "waiting pack"],
        ),
        (
            "spread/activate",
            br#"{"revision": "canary"}"#,
            &["active pack", "previous spread"],
        ),
        ("spread/rollback", b"", &["active spread", "previous pack"]),
        (
            "spread/load",
            br#"{"builtin": "weighted"}"#,
            &["active spread", "previous pack", "waiting weighted"],
        ),
        (
            "spread/activate",
            br#"{"revision": "latest"}"#,
            &["active weighted", "previous spread"],
        ),
        (
            "spread/activate",
            br#"{"configured": true}"#,
            &["active spread", "previous weighted"],
        ),
    ];
    let mut wanted_audit = vec!["activate".to_owned()];
    for (target, body, want) in steps {
        let api = Api::of(&running);
        let before = api.policy("spread").await;
        let revision = api.step(target, body).await;
        let step = target.split(['?', '/']).nth(1).expect("a step");
        wanted_audit.push(
            if step.starts_with("activate=") {
                "load"
            } else {
                step
            }
            .to_owned(),
        );
        let policy = api.policy("spread").await;
        assert_eq!(places(&policy), *want, "{target}: {before}");
        assert_eq!(api.steps("spread").await, wanted_audit, "{target}");
        running.stop().await;

        running = start().await;
        let api = Api::of(&running);
        let again = api.policy("spread").await;
        assert_eq!(again["revisions"], policy["revisions"], "{target}");
        for field in ["active", "as_configured", "canary", "previous"] {
            assert_eq!(again[field], policy[field], "{target}: {field}");
        }
        // What the page says is what the host does.
        let status = running
            .site()
            .policies
            .host()
            .status()
            .remove("spread")
            .expect("bound");
        let host = status.active.map(|id| id.to_string());
        assert_eq!(
            host.as_deref(),
            policy["revisions"][0]["revision"].as_str(),
            "{target}"
        );
        let share =
            |share: Option<weir_policy::Share>| share.map(|share| u64::from(share.permille));
        for (stage, share) in [
            ("canary", share(status.canary)),
            ("shadow", share(status.shadow)),
        ] {
            assert_eq!(
                share,
                policy[stage]["share_permille"].as_u64(),
                "{target}: {stage}"
            );
        }
        assert_eq!(
            api.steps("spread").await,
            wanted_audit,
            "{target}: a restart is no step"
        );
        assert!(
            running.site().problems.all().is_empty(),
            "{:?}",
            running.site().problems.all()
        );
        let _shown = revision;
    }
    running.stop().await;
}

#[tokio::test]
async fn a_shadow_is_compared_and_a_canary_decides() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let running = start(config(scratch.path())).await;
    let api = Api::of(&running);
    api.step("spread?activate=false", builtin::PACK).await;
    api.step(
        "spread/shadow",
        br#"{"revision": "latest", "share_permille": 1000}"#,
    )
    .await;
    for key in ["a", "b", "c", "d", "e", "f"] {
        put(&running, key, b"content").await;
    }
    // It decides on a thread of its own.
    let compared = async {
        loop {
            let (status, value) = api.ask("GET", "/v1/policies/spread/differences", b"").await;
            assert_eq!(status, 200, "{value}");
            if value["compared"].as_u64() >= Some(6) {
                break value;
            }
            tokio::task::yield_now().await;
        }
    };
    let limit = std::time::Duration::from_secs(60);
    let value = tokio::time::timeout(limit, compared)
        .await
        .expect("it is compared");
    assert!(value["differing"].as_u64() >= Some(1), "{value}");
    let (_, text) = api
        .ask("GET", "/v1/policies/spread/differences?format=text", b"")
        .await;
    let text = text.as_str().expect("text");
    assert!(
        text.contains("placement photos/") && text.contains("shadow: 2 copies on disk-a"),
        "{text}"
    );

    api.step(
        "spread/canary",
        br#"{"revision": "shadow", "share_permille": 1000}"#,
    )
    .await;
    put(&running, "by-canary", b"content").await;
    let photos = BucketName::parse("photos").expect("a valid name");
    let key = ObjectKey::parse("by-canary").expect("a valid key");
    let found = running
        .site()
        .index
        .lookup(&photos, &key)
        .await
        .expect("readable");
    let placed = found.version.expect("there").placement;
    assert!(placed.revision.starts_with("pack@"), "{placed:?}");
    let (_, metrics) = api.ask("GET", "/metrics", b"").await;
    let metrics = metrics.as_str().expect("text");
    for line in [
        "weir_policy_canary_decisions_total{decision=\"placement\",policy=\"spread\"} 1\n",
        "weir_policy_share_permille{policy=\"spread\",stage=\"canary\"} 1000\n",
    ] {
        assert!(metrics.contains(line), "{line}");
    }
    let (_, status) = api.ask("GET", "/status", b"").await;
    let status = status.as_str().expect("text");
    assert!(
        status.contains("canary") && status.contains("for 1000 of 1000 keys"),
        "{status}"
    );
    running.stop().await;
}

#[tokio::test]
async fn what_is_refused_changes_nothing_and_is_told() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let running = start(config(scratch.path())).await;
    let api = Api::of(&running);
    api.step("spread", builtin::PACK).await;
    let before = api.policy("spread").await;
    let cut = &builtin::SPREAD[..builtin::SPREAD.len() / 2];
    let missing = br#"{"file": "/nowhere/x.wasm"}"#;
    let cases: &[(&str, &[u8], u16, &str)] = &[
        ("spread", b"", 422, "not a valid component"),
        ("spread", b"no component", 422, "not a valid component"),
        ("spread", cut, 422, "not a valid component"),
        ("spread", builtin::TIER, 422, "settings"),
        (
            "spread?settings=%7B%22order%22%3A1%7D",
            builtin::PACK,
            422,
            "settings",
        ),
        ("spread?settings=nonsense", builtin::PACK, 422, "settings"),
        (
            "spread?activate=perhaps",
            builtin::PACK,
            400,
            "true or false",
        ),
        (
            "spread?activate=false",
            b"no component",
            422,
            "not a valid component",
        ),
        ("spread/load", missing, 422, "there is no such file"),
        ("spread/load", br#"{"oci": "/nowhere"}"#, 422, "oci-layout"),
        (
            "spread/load",
            br#"{"builtin": "best"}"#,
            422,
            "comes with Weir",
        ),
        (
            "spread/load",
            br#"{"builtin": "pack", "file": "x"}"#,
            400,
            "one of",
        ),
        (
            "spread/activate",
            br#"{"revision": "latest"}"#,
            400,
            "there is no revision",
        ),
        (
            "spread/activate",
            br#"{"revision": "0000"}"#,
            400,
            "there is no revision",
        ),
        (
            "spread/activate",
            br#"{"revision": "active", "builtin": "pack"}"#,
            400,
            "already",
        ),
        ("spread/activate", b"", 400, "one of"),
        (
            "spread/shadow",
            br#"{"revision": "active", "share_permille": 1001}"#,
            400,
            "more than all",
        ),
        (
            "spread/shadow",
            br#"{"revision": "active"}"#,
            400,
            "share_permille",
        ),
        (
            "spread/canary",
            br#"{"revision": "canary", "share_permille": 1}"#,
            400,
            "no revision",
        ),
        ("pack/rollback", b"", 400, "no revision before"),
        ("none/rollback", b"", 404, "there is no policy"),
        ("none", builtin::PACK, 404, "there is no policy"),
    ];
    for (target, body, status, word) in cases {
        api.refused(target, body, *status, word).await;
        let after = api.policy("spread").await;
        assert_eq!(after["revisions"], before["revisions"], "{target}");
    }
    let audit = api.audit("spread").await;
    let refused = audit.iter().filter(|(_, step, _)| step == "refuse").count();
    assert_eq!(refused, 17, "{audit:#?}");
    assert!(
        audit
            .iter()
            .all(|(who, step, _)| step != "refuse" || who == "admin-token")
    );
    // A component that its settings suit.
    api.step(
        "spread?settings=%7B%22order%22%3A%5B%22disk-c%22%5D%7D",
        builtin::PACK,
    )
    .await;
    put(&running, "settled", b"content").await;
    let (_, text) = api
        .ask("GET", "/v1/explain?bucket=photos&key=settled", b"")
        .await;
    assert_eq!(text["versions"][0]["candidates"][0], "disk-c", "{text}");
    running.stop().await;
}

#[tokio::test]
async fn a_check_examines_and_changes_nothing() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let running = start(config(scratch.path())).await;
    let api = Api::of(&running);
    api.step("spread?activate=false", builtin::PACK).await;
    let before = api.policy("spread").await;
    let (status, value) = api
        .ask("POST", "/v1/policies/spread/check?revision=latest", b"")
        .await;
    assert_eq!(status, 200, "{value}");
    assert!(
        value["good"] == true && value["recorded"] == false,
        "{value}"
    );
    let calls = value["report"]["calls"].as_array().expect("calls");
    assert!(
        calls.iter().any(|call| call["fuel"].as_u64() > Some(0)),
        "{value}"
    );
    let (_, text) = api
        .ask("POST", "/v1/policies/spread/check?format=text", b"")
        .await;
    let text = text.as_str().expect("text");
    assert!(
        text.starts_with("spread: pack ") && text.ends_with("\ngood\n"),
        "{text}"
    );
    assert_eq!(api.policy("spread").await["revisions"], before["revisions"]);
    assert_eq!(
        api.steps("spread").await,
        ["activate", "load", "check", "check"]
    );
    running.stop().await;
}

#[tokio::test]
async fn only_signed_components_are_taken_where_keys_are_configured() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let key = |seed: u8| weir_policy::SigningKey::from_seed(&[seed; 32]).expect("a key");
    let config = || {
        let mut config = config(scratch.path());
        let public = key(1).public().expect("a key").to_string();
        config.policy_host.trusted_keys = vec![public];
        config
    };
    // Not the bytes of any that comes with Weir: those need no signature.
    let own = own(builtin::PACK);
    let mut running = start(config()).await;
    let api = Api::of(&running);
    assert!(
        running.site().problems.all().is_empty(),
        "{:?}",
        running.site().problems.all()
    );
    api.refused("spread", &own, 422, "not signed").await;
    let signed = |seed: u8, component: &[u8]| {
        format!("spread?signature={}", key(seed).sign(component).trim())
    };
    api.refused(&signed(2, &own), &own, 422, "no trusted key")
        .await;
    api.refused(&signed(1, builtin::PACK), &own, 422, "no trusted key")
        .await;
    api.step(&signed(1, &own), &own).await;
    let active = api.policy("spread").await["active"].clone();
    running.stop().await;
    running = start(config()).await;
    let api = Api::of(&running);
    assert_eq!(
        api.policy("spread").await["active"],
        active,
        "the signature was kept"
    );
    running.stop().await;
}

/// The same component in other bytes: with a custom section, which means nothing.
fn own(component: &[u8]) -> Vec<u8> {
    let mut own = component.to_vec();
    own.extend([0, 5, 4, b'n', b'o', b't', b'e']);
    own
}

#[tokio::test]
async fn a_watched_file_is_followed_until_an_operator_chooses() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let file = scratch.path().join("mine.wasm");
    std::fs::write(&file, builtin::PACK).expect("written");
    let text = format!("{MINIMAL}[policies.mine]\nfile = \"mine.wasm\"\n");
    let running = start_file(&scratch.path().join("weir.toml"), &text).await;
    let api = Api::of(&running);
    std::fs::write(&file, builtin::SPREAD).expect("written");
    running.reload().await;
    assert_eq!(
        places(&api.policy("mine").await),
        ["active spread", "previous pack"]
    );
    std::fs::write(&file, b"broken").expect("written");
    running.reload().await;
    running.reload().await;
    assert_eq!(
        places(&api.policy("mine").await),
        ["active spread", "previous pack"]
    );
    let audit = api.audit("mine").await;
    let told: Vec<_> = audit
        .iter()
        .map(|(who, step, _)| (who.as_str(), step.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("configuration", "activate"),
            ("file-watcher", "activate"),
            ("file-watcher", "refuse")
        ],
        "a broken file is told once"
    );
    // Rolled back: what the file becomes does not matter until somebody says so.
    api.step("mine/rollback", b"").await;
    assert!(running.site().problems.all().is_empty());
    std::fs::write(&file, builtin::WEIGHTED).expect("written");
    running.reload().await;
    assert_eq!(places(&api.policy("mine").await)[0], "active pack");
    api.step("mine/activate", br#"{"configured": true}"#).await;
    assert_eq!(places(&api.policy("mine").await)[0], "active weighted");
    running.stop().await;
}

fn data(folder: &Path) -> std::path::PathBuf {
    folder.join("weir-data/policies")
}
