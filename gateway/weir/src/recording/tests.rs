//! Shares, rotation, and that what was written is read.

use std::path::Path;
use std::sync::Arc;

use weir_policy::{
    BackendState, DecidedBy, Input, NativeCause, PlacementAnswer, PlacementInput, RequestFacts,
};
use weir_types::clock::{ManualClock, Timestamp};

use super::*;
use crate::config::model::PolicyConfig;

fn recorder(folder: &Path, recording: RecordingConfig) -> Recorder {
    let mut config = Config::default();
    let policy = PolicyConfig {
        recording,
        ..PolicyConfig::default()
    };
    config.policies.insert("spread".into(), policy);
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1000)));
    Recorder::open(&config, folder, &Arc::default(), clock)
}

/// Decides `count` times; gives how often the recorder wanted to see it.
fn decide(recorder: &Recorder, policy: &str, count: u64, id: RevisionId) -> usize {
    let origin = Origin {
        decided_by: DecidedBy::Revision(id),
        revision: format!("spread@{id}").into(),
        fault: None,
    };
    let mut wanted = 0;
    for n in 0..count {
        if !recorder.wants(policy) {
            continue;
        }
        wanted += 1;
        let key = format!("k{n}");
        let input = Input::Placement(PlacementInput {
            facts_generation: 1,
            request: RequestFacts {
                bucket: "photos",
                key: &key,
                ..RequestFacts::default()
            },
            backends: &[BackendState::default()],
        });
        let answer = Answer::Placement(PlacementAnswer::default());
        recorder.decided(policy, &input, &answer, &origin);
    }
    wanted
}

fn recording(share_permille: u16, file_bytes_max: u64, files_max: usize) -> RecordingConfig {
    RecordingConfig {
        share_permille,
        file_bytes_max,
        files_max,
    }
}

#[test]
fn a_share_is_exact_and_only_of_what_is_configured() {
    for (share, want) in [(0, 0), (1, 2), (250, 500), (999, 1998), (1000, 2000)] {
        let scratch = tempfile::tempdir().expect("a scratch folder");
        let recorder = recorder(scratch.path(), recording(share, 1 << 20, 100));
        let id = RevisionId::default();
        assert_eq!(decide(&recorder, "spread", 2000, id), want, "{share}");
        assert_eq!(decide(&recorder, "pack", 100, id), 0);
        assert_eq!(recorder.is_wanted(), share > 0);
    }
}

#[test]
fn what_was_written_is_read_with_the_settings_of_its_revision() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let recorder = recorder(scratch.path(), recording(1000, 1 << 20, 4));
    let id = RevisionId::of(b"component", "{\"a\":1}");
    recorder.loaded("spread", id, "{\"a\":1}");
    recorder.loaded("pack", id, "{}");
    let folder = recorder.folder("spread");
    assert_eq!(decide(&recorder, "spread", 10, id), 10);
    drop(recorder);
    let read = Recording::read(&folder, &|_| {}).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(read.header.policy, "spread");
    assert_eq!(read.settings[&id.to_string()], "{\"a\":1}");
    let keys: Vec<_> = read
        .decisions
        .iter()
        .map(|decision| crate::in_words::subject(&decision.input).0)
        .collect();
    let want: Vec<_> = (0..10).map(|n| format!("photos/k{n}")).collect();
    assert_eq!(keys, want);
    assert_eq!(
        read.decisions[0].revision_digits(),
        Some(id.to_string().as_str())
    );
    let latest = latest_inputs(&folder, 3);
    assert_eq!(crate::in_words::subject(&latest[0]).0, "photos/k7");
    assert_eq!(latest.len(), 3);
    assert!(latest_inputs(&scratch.path().join("none"), 3).is_empty());
}

#[test]
fn files_are_bounded_in_size_and_number() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let mut folder = PathBuf::new();
    // Restarts go on with new files; all of them count.
    for _ in 0..3 {
        let recorder = recorder(scratch.path(), recording(1000, 65_536, 3));
        folder = recorder.folder("spread");
        for round in 1..=10 {
            decide(&recorder, "spread", 100, RevisionId::default());
            // The queue is shorter than all that is written.
            while recorder.counts()[0].1.written < round * 100 {
                std::thread::yield_now();
            }
        }
        drop(recorder);
        let files: Vec<_> = std::fs::read_dir(&folder).expect("there").collect();
        assert!(files.len() <= 3, "{}", files.len());
        for file in files {
            let meta = file.expect("there").metadata().expect("there");
            assert!(meta.len() <= 65_536, "{}", meta.len());
            assert_eq!(meta.permissions().mode() & 0o777, 0o600);
        }
    }
    let read = Recording::read(&folder, &|_| {}).unwrap_or_else(|e| panic!("{e}"));
    assert!(!read.decisions.is_empty());
}

#[test]
fn a_full_disk_drops_and_counts_and_nobody_waits() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    // A file stands where the folder would be made.
    std::fs::write(scratch.path().join("recordings"), b"").expect("written");
    let recorder = recorder(scratch.path(), recording(1000, 1 << 20, 4));
    assert_eq!(
        decide(&recorder, "spread", 5000, RevisionId::default()),
        5000
    );
    let counts = || recorder.counts()[0].1;
    while counts().dropped < 5000 {
        std::thread::yield_now();
    }
    assert_eq!(
        counts(),
        Recorded {
            written: 0,
            dropped: 5000
        }
    );
}

#[test]
fn what_is_no_recording_says_so() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let file = scratch.path().join("x.jsonl");
    let header = r#"{"row":"header","format":1,"policy":"p","started_at":"","share_permille":1,"limits":{"call_fuel_max":1,"call_fuel_per_backend_max":1,"memory_bytes_max":1},"facts":{}}"#;
    let native = Decision {
        revision: "native".into(),
        native: Some(NativeCause::Unbound),
        fault: None,
        input: OwnedInput::Placement(Default::default()),
        answer: Answer::Placement(PlacementAnswer::default()),
    };
    assert_eq!(native.revision_digits(), None);
    let decision = serde_json::to_string(&Row::Decision(Box::new(native))).expect("JSON");
    for (text, want) in [
        ("".to_owned(), "it is empty"),
        ("{}\n".to_owned(), "line 1"),
        (format!("{decision}\n"), "does not begin with a header"),
        (format!("{header}\n{header}\n"), "line 2: a second header"),
        (format!("{header}\nnonsense\n"), "line 2"),
        (
            format!("{}\n", header.replace("\"format\":1", "\"format\":2")),
            "newer version",
        ),
        (format!("{header}\n{decision}\n{}", &decision[..20]), ""),
    ] {
        std::fs::write(&file, &text).expect("written");
        match (Recording::read(&file, &|_| {}), want) {
            (Ok(read), "") => assert_eq!(read.decisions.len(), 1, "the torn line is left out"),
            (Err(error), word) if !word.is_empty() => {
                assert!(error.to_string().contains(word), "{text}\n{error}");
            }
            (read, want) => panic!("{text}\n{read:?} instead of {want:?}"),
        }
    }
}
