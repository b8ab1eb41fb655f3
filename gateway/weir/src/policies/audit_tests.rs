//! The trail survives restarts, torn lines and rotation.

use super::*;

fn record(policy: &str, result: &str) -> Record {
    Record {
        seq: 0,
        at: "2026-01-01T00:00:00.000Z".into(),
        who: Who::AdminToken,
        policy: policy.into(),
        step: Step::Activate,
        from: None,
        to: Some(Named {
            revision: "r".into(),
            component: Digest::of(b"c"),
            settings: Digest::of(b"{}"),
        }),
        share_permille: None,
        result: result.into(),
    }
}

fn open(folder: &Path, file_bytes_max: u64) -> Audit {
    Audit::open(folder.join("audit.jsonl"), file_bytes_max, 3).expect("opened")
}

fn seqs(audit: &Audit, policy: Option<&str>, max: usize) -> Vec<u64> {
    let records = audit.last(policy, max).expect("read");
    records.iter().map(|record| record.seq).collect()
}

#[test]
fn lines_are_numbered_on_over_restarts() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    for round in 0..3 {
        let mut audit = open(scratch.path(), 1 << 20);
        assert_eq!(audit.seq(), round * 2);
        audit.append(record("a", OK)).expect("appended");
        audit.append(record("b", OK)).expect("appended");
    }
    let audit = open(scratch.path(), 1 << 20);
    assert_eq!(seqs(&audit, None, 100), [1, 2, 3, 4, 5, 6]);
    assert_eq!(seqs(&audit, None, 2), [5, 6]);
    assert_eq!(seqs(&audit, Some("b"), 2), [4, 6]);
}

#[test]
fn what_a_crash_left_of_a_line_is_cut_off() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let path = scratch.path().join("audit.jsonl");
    let mut audit = open(scratch.path(), 1 << 20);
    audit.append(record("a", OK)).expect("appended");
    let whole = fs::read(&path).expect("there");
    audit.append(record("a", "two")).expect("appended");
    let both = fs::read(&path).expect("there");
    for length in 0..=both.len() {
        fs::write(&path, &both[..length]).expect("torn");
        let mut audit = open(scratch.path(), 1 << 20);
        let left = match length {
            l if l == both.len() => 2,
            l if l >= whole.len() => 1,
            _ => 0,
        };
        assert_eq!(audit.seq(), left, "torn at {length}");
        assert_eq!(audit.append(record("a", OK)).expect("appended"), left + 1);
        let all: Vec<_> = (1..=left + 1).collect();
        assert_eq!(seqs(&audit, None, 100), all, "torn at {length}");
    }
}

#[test]
fn full_files_are_followed_by_new_ones_and_the_oldest_goes() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let mut audit = open(scratch.path(), 700);
    for _ in 0..20 {
        audit.append(record("a", OK)).expect("appended");
    }
    let files: Vec<_> = fs::read_dir(scratch.path()).expect("there").collect();
    assert_eq!(files.len(), 3);
    for file in files {
        let length = file.expect("there").metadata().expect("there").len();
        assert!(length <= 700, "{length}");
    }
    let kept = seqs(&audit, None, 100);
    assert_eq!(kept.last(), Some(&20));
    assert!(
        kept.windows(2).all(|pair| pair[0] + 1 == pair[1]),
        "{kept:?}"
    );
    assert!(kept.len() >= 5, "{kept:?}");
    // Cut off between the renaming and the new file.
    let path = scratch.path().join("audit.jsonl");
    fs::remove_file(scratch.path().join("audit.jsonl.2")).expect("removed");
    fs::rename(
        scratch.path().join("audit.jsonl.1"),
        scratch.path().join("audit.jsonl.2"),
    )
    .expect("moved");
    fs::rename(&path, scratch.path().join("audit.jsonl.1")).expect("moved");
    assert_eq!(open(scratch.path(), 700).seq(), 20);
}
