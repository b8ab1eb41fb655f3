//! What is read from disk: signatures, and the folder of the compile cache.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use weir_policy::{
    CacheError, HostOptions, Limits, LoadError, PolicyHost, SignatureError, SigningKey, StartError,
    builtin,
};

use crate::children::Folder;
use crate::guest::Guest;
use crate::support::{activate, facts, input, patient, states};

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32]).expect("32 bytes")
}

#[test]
fn with_keys_only_signed_components_are_taken() {
    let trusted = key(1).public().expect("32 bytes");
    let host = PolicyHost::with_options(HostOptions {
        limits: patient(Limits::default()),
        trusted_keys: vec![trusted],
        ..HostOptions::default()
    });
    let host = host.expect("engine");
    let component = Guest::default().build();
    let load = |signature: Option<&str>| {
        let signature = signature.map(str::as_bytes);
        host.load("b", &component, signature, "{}", &facts(2))
    };
    let good = key(1).sign(&component);
    let others = key(2).sign(&component);
    let of_another = key(1).sign(builtin::SPREAD);
    for (signature, expected) in [
        (None, SignatureError::Missing),
        (Some("signed"), SignatureError::Malformed),
        (Some(&*others), SignatureError::Untrusted),
        (Some(&*of_another), SignatureError::Untrusted),
    ] {
        let found = load(signature);
        assert!(
            matches!(found, Err(LoadError::Signature(error)) if error == expected),
            "{found:?}"
        );
        assert!(host.status().is_empty(), "nothing was touched");
    }
    load(Some(&good)).expect("signed by a trusted key");

    // In a file of its own beside the component's.
    let folder = Folder::new("signatures");
    let file = folder.path("policy.wasm");
    fs::write(&file, &component).expect("written");
    let load_file = || host.load_file("c", &file, "{}", &facts(2));
    assert!(matches!(
        load_file(),
        Err(LoadError::Signature(SignatureError::Missing))
    ));
    fs::write(folder.path("policy.wasm.sig"), &others).expect("written");
    assert!(matches!(
        load_file(),
        Err(LoadError::Signature(SignatureError::Untrusted))
    ));
    fs::write(folder.path("policy.wasm.sig"), &good).expect("written");
    load_file().expect("signed");

    // What is built in came with the gateway.
    activate(&host, "d", builtin::PACK, "{}", 2);
}

fn with_cache(path: &Path) -> Result<PolicyHost, StartError> {
    PolicyHost::with_options(HostOptions {
        limits: patient(Limits::default()),
        cache_dir: Some(path.to_owned()),
        ..HostOptions::default()
    })
}

/// Why a cache in `path` is refused.
fn refusal(path: &Path) -> CacheError {
    match with_cache(path) {
        Err(StartError::Cache(error)) => error,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("{} was taken", path.display()),
    }
}

fn folder(path: PathBuf, mode: u32) -> PathBuf {
    DirBuilder::new()
        .mode(0o700)
        .create(&path)
        .expect("a folder");
    fs::set_permissions(&path, Permissions::from_mode(mode)).expect("a mode");
    path
}

#[test]
fn a_cache_that_others_reach_is_refused() {
    let root = Folder::new("cache-refused");
    for mode in [0o755, 0o770, 0o701, 0o704, 0o1777] {
        let path = folder(root.path(&format!("{mode:o}")), mode);
        let error = refusal(&path);
        assert!(
            matches!(error, CacheError::Mode { .. }),
            "{mode:o}: {error}"
        );
        let says = format!("mode {mode:04o} lets others in");
        assert!(error.to_string().contains(&says), "{error}");
    }
    let file = root.path("file");
    fs::write(&file, "").expect("written");
    assert!(matches!(refusal(&file), CacheError::NotAFolder(_)));
    let private = folder(root.path("private"), 0o700);
    let link = root.path("link");
    symlink(&private, &link).expect("a link");
    assert!(matches!(refusal(&link), CacheError::NotAFolder(_)));
    let open = folder(root.path("open"), 0o777);
    let below = folder(open.join("below"), 0o700);
    assert!(matches!(refusal(&below), CacheError::Parent { .. }));
    let nowhere = root.path("nowhere").join("below");
    assert!(matches!(refusal(&nowhere), CacheError::Io { .. }));
    // Only root can give a folder away.
    if chown(&private, Some(12_345), None).is_ok() {
        assert!(matches!(refusal(&private), CacheError::Owner { .. }));
    }
}

#[test]
fn a_cache_spares_the_next_start_the_compiling() {
    let root = Folder::new("cache");
    let path = root.path("made when it is missing");
    let states = states(2);
    let decided = |damaged: bool| {
        let host = with_cache(&path).expect("private");
        activate(&host, "b", builtin::SPREAD, "{}", 2);
        let decision = host.place("b", &input("k", &states)).expect("decides");
        assert!(decision.origin.fault.is_none(), "{damaged}");
        let metrics = host.metrics();
        (metrics.compile_cache_hits, metrics.compile_cache_misses)
    };
    assert_eq!(decided(false), (0, 1));
    let mode = fs::metadata(&path).expect("was made").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    assert_eq!(decided(false), (1, 0));

    // What is damaged is compiled anew.
    assert!(damage(&path) > 0);
    assert_eq!(decided(true), (0, 1));
}

/// Cuts every file below `path`; returns how many there were.
fn damage(path: &Path) -> usize {
    let entries = fs::read_dir(path).expect("a folder");
    let entries = entries.map(|entry| entry.expect("an entry").path());
    entries
        .map(|entry| {
            if entry.is_dir() {
                return damage(&entry);
            }
            let bytes = fs::read(&entry).expect("a file");
            fs::write(&entry, &bytes[..bytes.len() / 2]).expect("written");
            1
        })
        .sum()
}
