//! Layouts that are right, and every way in which one is not.

use std::path::Path;

use super::*;

const COMPONENT: &[u8] = b"\0asm and so on";

/// Writes a layout with one manifest; `change` may change the manifest's text before its
/// digest is taken.
fn layout(folder: &Path, layers: &str) {
    std::fs::create_dir_all(folder.join("blobs/sha256")).expect("made");
    let put = |content: &[u8]| {
        let digest = Digest::of(content);
        std::fs::write(folder.join("blobs/sha256").join(digest.as_str()), content).expect("put");
        digest
    };
    let component = put(COMPONENT);
    let layers = layers
        .replace("DIGEST", component.as_str())
        .replace("SIZE", &COMPONENT.len().to_string());
    let manifest = format!(r#"{{"schemaVersion":2,"layers":[{layers}]}}"#);
    let digest = put(manifest.as_bytes());
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:{digest}","size":{}}}]}}"#,
        manifest.len()
    );
    std::fs::write(index_of(folder), index).expect("written");
    std::fs::write(
        folder.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )
    .expect("written");
}

fn index_of(folder: &Path) -> PathBuf {
    super::index(folder)
}

const LAYER: &str = r#"{"mediaType":"application/wasm","digest":"sha256:DIGEST","size":SIZE}"#;
const OTHER: &str = r#"{"mediaType":"text/plain","digest":"sha256:DIGEST","size":SIZE}"#;
const SIGNED: &str = r#"{"mediaType":"application/wasm","digest":"sha256:DIGEST","size":SIZE,"annotations":{"weir.policy.signature":"0a0b"}}"#;

#[test]
fn a_right_layout_gives_its_component() {
    for (layers, signature) in [
        (LAYER.to_owned(), None),
        (format!("{OTHER},{LAYER}"), None),
        (SIGNED.to_owned(), Some(b"0a0b".to_vec())),
    ] {
        let scratch = tempfile::tempdir().expect("a scratch folder");
        layout(scratch.path(), &layers);
        let read = read(scratch.path(), 1000).unwrap_or_else(|e| panic!("{layers}: {e}"));
        assert_eq!(
            (read.component.as_slice(), read.signature),
            (COMPONENT, signature)
        );
    }
}

/// Damages a layout.
type Spoil = fn(&Path);

#[test]
fn a_wrong_layout_says_what_is_wrong() {
    let same = |_: &Path| {};
    let cases: &[(&str, Spoil, &str)] = &[
        ("", same, "there are 0"),
        (OTHER, same, "there are 0"),
        (
            r#"{"mediaType":"application/wasm","digest":"sha256:DIGEST","size":SIZE},{"mediaType":"application/wasm","digest":"sha256:DIGEST","size":SIZE}"#,
            same,
            "there are 2",
        ),
        (
            r#"{"mediaType":"application/wasm","digest":"sha256:DIGEST","size":1}"#,
            same,
            "more than 1 bytes",
        ),
        (
            r#"{"mediaType":"application/wasm","digest":"sha256:DIGEST","size":99}"#,
            same,
            "14 bytes instead of 99",
        ),
        (
            r#"{"mediaType":"application/wasm","digest":"sha256:DIGEST","size":2000}"#,
            same,
            "more than the limit of 1000",
        ),
        (
            r#"{"mediaType":"application/wasm","digest":"sha256:../../etc/passwd","size":SIZE}"#,
            same,
            "no sha256 digest",
        ),
        (
            r#"{"mediaType":"application/wasm","digest":"sha512:DIGEST","size":SIZE}"#,
            same,
            "no sha256 digest",
        ),
        (
            LAYER,
            |folder| {
                let blob = folder
                    .join("blobs/sha256")
                    .join(Digest::of(COMPONENT).as_str());
                std::fs::write(blob, b"\0asm and so no").expect("changed");
            },
            "was changed or cut",
        ),
        (
            LAYER,
            |folder| std::fs::remove_file(super::index(folder)).expect("removed"),
            "index.json",
        ),
        (
            LAYER,
            |folder| std::fs::remove_file(folder.join("oci-layout")).expect("removed"),
            "oci-layout",
        ),
        (
            LAYER,
            |folder| {
                std::fs::write(
                    folder.join("oci-layout"),
                    r#"{"imageLayoutVersion":"2.0.0"}"#,
                )
                .expect("written")
            },
            "is not 1.x",
        ),
        (
            LAYER,
            |folder| std::fs::write(super::index(folder), "{").expect("written"),
            "EOF",
        ),
    ];
    for (layers, spoil, word) in cases {
        let scratch = tempfile::tempdir().expect("a scratch folder");
        layout(scratch.path(), layers);
        spoil(scratch.path());
        match read(scratch.path(), 1000) {
            Ok(_) => panic!("{layers}: {word} is not noticed"),
            Err(error) => assert!(error.to_string().contains(word), "{layers}: {error}"),
        }
    }
}
