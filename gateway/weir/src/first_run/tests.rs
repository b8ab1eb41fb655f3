use std::os::unix::fs::PermissionsExt;

use weir_types::entropy::{SeededEntropy, SystemEntropy};

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it exists").permissions().mode() & 0o777
}

#[test]
fn generated_once_and_readable_by_the_owner_alone() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let data_dir = scratch.path().join("weir-data");
    make_data_dir(&data_dir).expect("made");
    assert_eq!(mode(&data_dir), 0o700);
    assert!(read(&data_dir).expect("readable").is_none());

    let first = read_or_generate(&data_dir, &SystemEntropy::default()).expect("generated");
    assert_eq!(mode(&data_dir.join(FILE_NAME)), 0o600);
    let again = read_or_generate(&data_dir, &SystemEntropy::default()).expect("read");
    assert_eq!(first.root.access_key_id, again.root.access_key_id);
    assert_eq!(first.root.secret, again.root.secret);
    assert_eq!(first.admin_token, again.admin_token);
    assert_eq!(first.root.secret.len(), 40);
    assert_ne!(first.root.secret, first.admin_token);
}

#[test]
fn what_another_user_laid_there_is_refused() {
    let ours = rustix::process::geteuid().as_raw();
    for (uid, want) in [(ours, true), (0, true), (ours + 1, false)] {
        assert_eq!(is_ours(uid), want, "{uid} of {ours}");
    }
}

#[test]
fn readable_by_others_or_damaged_is_refused() {
    let cases: [(&str, u32, &str); 4] = [
        (
            "access_key_id=A\nsecret_access_key=HUSH-HUSH\nadmin_token=C\n",
            0o644,
            "chmod 600",
        ),
        (
            "access_key_id=A\nsecret_access_key=HUSH-HUSH\nadmin_token=C\n",
            0o640,
            "chmod 600",
        ),
        (
            "access_key_id=A\nsecret_access_key=\nadmin_token=C\n",
            0o600,
            "damaged",
        ),
        ("", 0o600, "damaged"),
    ];
    for (content, mode, want) in cases {
        let scratch = tempfile::tempdir().expect("a scratch folder");
        let path = scratch.path().join(FILE_NAME);
        fs::write(&path, content).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
        let error = read(scratch.path()).err().expect("refused").to_string();
        assert!(error.contains(want), "{content:?} {mode:o}: {error}");
        assert!(!error.contains("HUSH-HUSH"), "{error}");
    }
}

#[test]
fn a_private_file_is_replaced_whole_whatever_was_left_over() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let path = scratch.path().join("file");
    fs::write(
        scratch.path().join("file.new"),
        "left over, readable by all",
    )
    .expect("written");
    write_private(&path, b"one").expect("written");
    write_private(&path, b"two").expect("replaced");
    assert_eq!(fs::read(&path).expect("readable"), b"two");
    assert_eq!(mode(&path), 0o600);
}

#[test]
fn the_greeting_has_every_line_to_paste() {
    let root = RootCredential {
        access_key_id: "ID".into(),
        secret: "SECRET".into(),
    };
    let generated = Generated {
        root,
        admin_token: "TOKEN".into(),
    };
    let text = greeting(
        "http://127.0.0.1:9000",
        "us-east-1",
        "http://127.0.0.1:9001",
        &generated,
    );
    for line in [
        "export AWS_ACCESS_KEY_ID=ID",
        "export AWS_SECRET_ACCESS_KEY=SECRET",
        "export AWS_ENDPOINT_URL=http://127.0.0.1:9000",
        "export AWS_DEFAULT_REGION=us-east-1",
        "export WEIR_ADMIN_TOKEN=TOKEN",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is missing");
    }
    assert!(text.contains("boto3.client(") && text.contains("rclone config create"));
}

#[test]
fn characters_come_from_the_alphabet() {
    let drawn = text(&SeededEntropy::new(7), UPPER, 400);
    assert!(drawn.bytes().all(|b| UPPER.contains(&b)));
    let mut seen: Vec<_> = drawn.bytes().collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), UPPER.len(), "each of them is drawn");
}
