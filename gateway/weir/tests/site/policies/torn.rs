//! What a crash between two steps, or a damaged disk, can leave: each start resolves it.

use super::*;

/// Changes what lies in the folder of the policies.
type Tear = fn(&Path);

fn replace(path: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).expect("there");
    let (before, spread) = text.split_once("\"spread\": {").expect("there");
    assert!(spread.contains(from), "{from} is not in {spread}");
    let spread = spread.replacen(from, to, 1);
    std::fs::write(path, format!("{before}\"spread\": {{{spread}")).expect("written");
}

/// The component of the revision that stands at `place`.
fn component(folder: &Path, place: &str) -> std::path::PathBuf {
    let state = std::fs::read(folder.join("state.json")).expect("there");
    let state: Value = serde_json::from_slice(&state).expect("JSON");
    let digest = state["policies"]["spread"][place]["component"].as_str();
    folder.join(format!("components/{}.wasm", digest.expect("there")))
}

/// A line of the trail that tells of a step which is not in the state.
fn lost_step(folder: &Path) {
    let trail = folder.join("audit.jsonl");
    let text = std::fs::read_to_string(&trail).expect("there");
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let last = lines.last().expect("a line");
    let mut lost = last.clone();
    lost["seq"] = (last["seq"].as_u64().expect("a number") + 1).into();
    lost["step"] = "activate".into();
    lost["policy"] = "spread".into();
    lost["result"] = "ok".into();
    std::fs::write(&trail, format!("{text}{lost}\n")).expect("written");
}

#[tokio::test]
async fn a_start_resolves_whatever_was_left() {
    let as_it_was = &[
        "active pack",
        "canary weighted",
        "shadow geo",
        "previous spread",
    ][..];
    let cases: &[(&str, Tear, &[&str], &str, &str)] = &[
        ("nothing", |_| {}, as_it_was, "", ""),
        (
            "a component that no step names yet",
            |folder| {
                let name = "00".repeat(32);
                std::fs::write(folder.join(format!("components/{name}.wasm")), b"x").expect("put");
            },
            as_it_was,
            "",
            "",
        ),
        (
            "a component half written",
            |folder| std::fs::write(folder.join("components/a.wasm.new"), b"x").expect("put"),
            as_it_was,
            "",
            "",
        ),
        (
            "a state half written",
            |folder| std::fs::write(folder.join("state.json.new"), b"{").expect("put"),
            as_it_was,
            "",
            "",
        ),
        (
            "a step in the trail and not in the state",
            lost_step,
            as_it_was,
            "",
            "resolve",
        ),
        (
            "a torn line in the trail",
            |folder| {
                let trail = folder.join("audit.jsonl");
                let text = std::fs::read_to_string(&trail).expect("there");
                std::fs::write(&trail, format!("{text}{{\"seq\":99,\"wh")).expect("written");
            },
            as_it_was,
            "",
            "",
        ),
        (
            "no trail",
            |folder| std::fs::remove_file(folder.join("audit.jsonl")).expect("removed"),
            as_it_was,
            "",
            "",
        ),
        (
            "no state",
            |folder| std::fs::remove_file(folder.join("state.json")).expect("removed"),
            &["active spread"],
            "",
            "activate",
        ),
        (
            "a damaged state",
            |folder| std::fs::write(folder.join("state.json"), b"{\"format\":1").expect("written"),
            &["active spread"],
            "is damaged",
            "activate",
        ),
        (
            "the shadow's component is gone",
            |folder| std::fs::remove_file(component(folder, "shadow")).expect("removed"),
            &["active pack", "canary weighted", "previous spread"],
            "not tried any more",
            "shadow",
        ),
        (
            "the canary's component was changed",
            |folder| std::fs::write(component(folder, "canary"), b"x").expect("changed"),
            &["active pack", "shadow geo", "previous spread"],
            "was changed",
            "canary",
        ),
        (
            "the previous component is gone",
            |folder| std::fs::remove_file(component(folder, "previous")).expect("removed"),
            as_it_was,
            "",
            "",
        ),
        (
            "the active component is gone",
            |folder| std::fs::remove_file(component(folder, "active")).expect("removed"),
            as_it_was,
            "No such file",
            "refuse",
        ),
        (
            "a revision that is none",
            |folder| {
                replace(
                    &folder.join("state.json"),
                    "\"revision\": \"",
                    "\"revision\": \"zz",
                )
            },
            &[
                "active pack",
                "canary weighted",
                "shadow geo",
                "previous spread",
            ],
            "",
            "",
        ),
    ];
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let running = start(config(scratch.path())).await;
    let api = Api::of(&running);
    // Components of its own: what comes with Weir is put back by the policies of its name.
    api.step("spread", &own(builtin::PACK)).await;
    api.step("spread?activate=false", builtin::WEIGHTED).await;
    api.step(
        "spread/canary",
        br#"{"revision": "latest", "share_permille": 20}"#,
    )
    .await;
    api.step("spread?activate=false", builtin::GEO).await;
    api.step(
        "spread/shadow",
        br#"{"revision": "latest", "share_permille": 30}"#,
    )
    .await;
    running.stop().await;
    let kept = scratch.path().join("kept");
    copy(&data(scratch.path()), &kept);

    for (what, tear, want, problem, step) in cases {
        let folder = data(scratch.path());
        std::fs::remove_dir_all(&folder).expect("removed");
        copy(&kept, &folder);
        tear(&folder);
        let running = start(config(scratch.path())).await;
        let api = Api::of(&running);
        let mut got = places(&api.policy("spread").await);
        got.retain(|place| !place.starts_with("waiting"));
        assert_eq!(got, *want, "{what}");
        let problems = format!("{:?}", running.site().problems.all());
        assert_eq!(problems == "{}", problem.is_empty(), "{what}: {problems}");
        assert!(problems.contains(problem), "{what}: {problems}");
        if !step.is_empty() {
            assert_eq!(
                api.steps("spread").await.last().map(String::as_str),
                Some(*step),
                "{what}"
            );
        }
        // A state that is lost is told of once, and steps that were taken are not called lost.
        let trail = std::fs::read_to_string(folder.join("audit.jsonl")).expect("there");
        let is_lost = ["no state", "a damaged state"].contains(what);
        let told = trail.matches("the state was lost").count();
        assert_eq!(told, usize::from(is_lost), "{what}");
        if is_lost {
            assert_eq!(trail.matches("\"resolve\"").count(), 1, "{what}: {trail}");
        }
        // Whatever was left, writes are placed and the next step is taken and kept.
        put(&running, "written", b"content").await;
        api.step("spread/activate", br#"{"builtin": "weighted"}"#)
            .await;
        running.stop().await;
        let running = start(config(scratch.path())).await;
        let api = Api::of(&running);
        assert_eq!(
            places(&api.policy("spread").await)[0],
            "active weighted",
            "{what}"
        );
        assert!(
            api.steps("spread")
                .await
                .ends_with(&["activate".to_owned()]),
            "{what}"
        );
        running.stop().await;
        let trail = std::fs::read_to_string(folder.join("audit.jsonl")).expect("there");
        let told = trail.matches("the state was lost").count();
        assert_eq!(
            told,
            usize::from(is_lost),
            "{what}: another start is no loss"
        );
        if folder.join("state.json.damaged").exists() {
            // Some are in use no more, and more than are kept.
            let kept = |folder: &Path| {
                let files = std::fs::read_dir(folder.join("components")).expect("there");
                files.count()
            };
            assert!(
                kept(&folder) >= kept(&scratch.path().join("kept")),
                "{what}"
            );
        }
    }
}

/// What decides where the active revision is not there and the one before is.
#[tokio::test]
async fn the_revision_before_decides_only_where_it_is_to() {
    for (on_fault, decides) in [("previous", true), ("native", false), ("refuse", false)] {
        let scratch = tempfile::tempdir().expect("a scratch folder");
        let configured = || {
            let mut config = config(scratch.path());
            let policy = config.policies.entry("spread".to_owned()).or_default();
            policy.on_fault = on_fault.to_owned();
            config
        };
        let running = start(configured()).await;
        Api::of(&running).step("spread", &own(builtin::PACK)).await;
        running.stop().await;
        let folder = data(scratch.path());
        std::fs::remove_file(component(&folder, "active")).expect("removed");
        let running = start(configured()).await;
        let status = running.site().policies.host().status().remove("spread");
        let status = status.expect("bound");
        assert_eq!(status.active.is_some(), decides, "{on_fault}");
        let audit = Api::of(&running).audit("spread").await;
        let told = format!("{:?}", audit.last());
        assert!(told.contains("cannot be loaded"), "{on_fault}: {told}");
        running.stop().await;
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("made");
    // As private as it was: the compile cache is refused otherwise.
    let mode = std::fs::metadata(from).expect("there").permissions();
    std::fs::set_permissions(to, mode).expect("set");
    for entry in std::fs::read_dir(from).expect("there") {
        let entry = entry.expect("there");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("known").is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copied");
        }
    }
}
