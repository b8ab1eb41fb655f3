//! Decisions of live traffic are recorded, and replayed and simulated in another process.

use std::process::{Command, Output};

use weir::config::model::{PolicyConfig, RecordingConfig};

use super::*;

fn weir(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command
        .arg("plugin")
        .args(arguments)
        .output()
        .expect("it runs")
}

#[tokio::test]
async fn a_recording_is_identical_in_another_process() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let mut config = config(scratch.path());
    let recorded = PolicyConfig {
        recording: RecordingConfig {
            share_permille: 1000,
            ..RecordingConfig::default()
        },
        ..PolicyConfig::default()
    };
    config.policies.insert("spread".into(), recorded);
    let running = start(config).await;
    for n in 0..40 {
        put(&running, &format!("key {n}"), b"some content").await;
    }
    settled(&running).await;
    let recorder = running.site().policies.recorder();
    let written = async {
        while recorder.counts()[0].1.written < 40 {
            tokio::task::yield_now().await;
        }
    };
    let limit = std::time::Duration::from_secs(60);
    tokio::time::timeout(limit, written)
        .await
        .expect("it is written");
    let (_, metrics) = Api::of(&running).ask("GET", "/metrics", b"").await;
    let line = "weir_policy_recorded_total{outcome=\"written\",policy=\"spread\"} 40\n";
    assert!(metrics.as_str().expect("text").contains(line));
    // A check runs what was recorded.
    let api = Api::of(&running);
    let (status, value) = api
        .ask("POST", "/v1/policies/spread/check?revision=active", b"")
        .await;
    assert!(status == 200 && value["recorded"] == true, "{value}");
    running.stop().await;

    let component = |name: &str| {
        let file = scratch.path().join(format!("{name}.wasm"));
        let bytes = builtin::component(name).expect("built in");
        std::fs::write(&file, bytes).expect("written");
        file.display().to_string()
    };
    let folder = data(scratch.path()).join("recordings/spread");
    let recording = folder.display().to_string();
    let (spread, pack) = (component("spread"), component("pack"));
    let same = weir(&["replay", &recording, "--component", &spread]);
    let text = String::from_utf8_lossy(&same.stdout);
    assert!(
        same.status.success() && text.ends_with("\nidentical\n"),
        "{same:?}"
    );
    assert!(text.contains("40 decisions asked again"), "{text}");
    let other = weir(&["replay", &recording, "--component", &pack, "--json"]);
    assert_eq!(other.status.code(), Some(1), "{other:?}");
    let value: Value = serde_json::from_slice(&other.stdout).expect("JSON");
    assert!(value["different"].as_u64() > Some(0), "{value}");

    let one = folder.join("00000001.jsonl").display().to_string();
    let simulated = weir(&["simulate", &one, "--component", &pack, "--examples", "2"]);
    let text = String::from_utf8_lossy(&simulated.stdout);
    assert!(simulated.status.success(), "{simulated:?}");
    for word in [
        "placement: ",
        " of 40 would lie elsewhere",
        "→ disk-a: ",
        "for example",
        "    + 2 copies on disk-a",
    ] {
        assert!(text.contains(word), "{word} is not in {text}");
    }
    let nothing = weir(&["replay", "/nowhere", "--component", &pack]);
    assert_eq!(nothing.status.code(), Some(1));
}
