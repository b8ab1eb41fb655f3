//! Components out of OCI image layouts.

use weir::policies::store::Digest;

use super::*;

/// Writes a layout that holds `component`; gives the path of its blob.
fn layout(folder: &Path, component: &[u8]) -> std::path::PathBuf {
    let blobs = folder.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).expect("made");
    let put = |content: &[u8]| {
        let digest = Digest::of(content);
        std::fs::write(blobs.join(digest.as_str()), content).expect("written");
        digest
    };
    let digest = put(component);
    let manifest = format!(
        r#"{{"schemaVersion":2,"layers":[{{"mediaType":"application/wasm","digest":"sha256:{digest}","size":{}}}]}}"#,
        component.len()
    );
    let manifest_digest = put(manifest.as_bytes());
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:{manifest_digest}","size":{}}}]}}"#,
        manifest.len()
    );
    std::fs::write(
        folder.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )
    .expect("written");
    std::fs::write(folder.join("index.json"), index).expect("written");
    blobs.join(digest.as_str())
}

#[tokio::test]
async fn a_layout_is_loaded_watched_and_verified() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let folder = scratch.path().join("mine");
    layout(&folder, builtin::PACK);
    let text = format!("{MINIMAL}[policies.mine]\noci = \"mine\"\n");
    let running = start_file(&scratch.path().join("weir.toml"), &text).await;
    let api = Api::of(&running);
    assert_eq!(places(&api.policy("mine").await), ["active pack"]);

    // The index names another image from now on.
    let blob = layout(&folder, builtin::SPREAD);
    running.reload().await;
    assert_eq!(
        places(&api.policy("mine").await),
        ["active spread", "previous pack"]
    );

    // A blob that is not what its digest says is refused, from the file and from the API.
    let other = scratch.path().join("other");
    let spoilt = layout(&other, builtin::WEIGHTED);
    let mut bytes = builtin::WEIGHTED.to_vec();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&spoilt, &bytes).expect("spoilt");
    let body = serde_json::to_vec(&serde_json::json!({ "oci": other })).expect("JSON");
    for step in ["load", "activate"] {
        api.refused(&format!("mine/{step}"), &body, 422, "was changed or cut")
            .await;
        assert_eq!(
            places(&api.policy("mine").await),
            ["active spread", "previous pack"]
        );
    }
    std::fs::write(&blob, b"cut").expect("spoilt");
    layout_again(&folder);
    running.reload().await;
    assert_eq!(
        places(&api.policy("mine").await),
        ["active spread", "previous pack"]
    );
    assert!(running.site().problems.all().contains_key("policy mine"));

    // Whole again.
    std::fs::write(&spoilt, builtin::WEIGHTED).expect("mended");
    api.step("mine/activate", &body).await;
    assert_eq!(
        places(&api.policy("mine").await),
        ["active weighted", "previous spread"]
    );
    // The configuration still names the layout that was cut.
    let problems = running.site().problems.all();
    assert!(!problems.contains_key("policy mine"), "{problems:?}");
    running.stop().await;
}

/// The index is written anew with what it held, as a tool does that copies a layout.
fn layout_again(folder: &Path) {
    let index = folder.join("index.json");
    let content = std::fs::read(&index).expect("there");
    std::fs::remove_file(&index).expect("removed");
    std::fs::write(&index, content).expect("written");
}
