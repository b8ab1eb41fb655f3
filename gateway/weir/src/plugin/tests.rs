use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Parser;
use serde_json::json;
use weir_policy::{DecisionKind, builtin};

use super::scaffold::{New, files};
use super::subject::{Subject, with_backends};
use super::*;
use crate::cli::{Cli, Command};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn parsed(line: &[&str]) -> PluginCommand {
    let line = [&["weir", "plugin"], line].concat();
    match Cli::try_parse_from(&line).map(|cli| cli.command) {
        Ok(Some(Command::Plugin(command))) => command,
        other => panic!("{line:?}: {other:?}"),
    }
}

fn new(line: &[&str]) -> New {
    match parsed(&[&["new"], line].concat()) {
        PluginCommand::New(new) => new,
        other => panic!("{other:?}"),
    }
}

#[test]
fn scaffolds_are_complete() {
    const WIT: &str = "wit/deps/weir-policy";
    let wit: Vec<String> = templates::WIT
        .iter()
        .map(|(file, _)| format!("{WIT}/{file}"))
        .collect();
    let with_wit = |own: &[&str]| {
        let own = own.iter().map(|file| (*file).to_owned());
        let world = ["wit/world.wit".to_owned()];
        own.chain(wit.clone()).chain(world).collect::<BTreeSet<_>>()
    };
    let plain = |own: &[&str]| own.iter().map(|file| (*file).to_owned()).collect();
    let all = "placement,overflow,replication,read-routing";
    let vectors = [
        "vectors/overflow.json",
        "vectors/placement.json",
        "vectors/read-routing.json",
        "vectors/replication.json",
    ];
    let common = [".gitignore", "README.md"];
    let cases: [(&[&str], BTreeSet<String>); 4] = [
        (
            &["near-first"],
            plain(&[
                ".gitignore",
                "README.md",
                "Cargo.toml",
                "src/lib.rs",
                "src/tests.rs",
                "vectors/placement.json",
            ]),
        ),
        (
            &["near-first", "--decides", all],
            plain(
                &[
                    &common[..],
                    &vectors,
                    &["Cargo.toml", "src/lib.rs", "src/tests.rs"],
                ]
                .concat(),
            ),
        ),
        (
            &["near-first", "--language", "javascript", "--decides", all],
            with_wit(
                &[
                    &common[..],
                    &vectors,
                    &["package.json", "policy.js", "policy.test.js"],
                ]
                .concat(),
            ),
        ),
        (
            &[
                "near-first",
                "--language",
                "python",
                "--decides",
                "overflow",
            ],
            with_wit(
                &[
                    &common[..],
                    &[
                        "vectors/overflow.json",
                        "pyproject.toml",
                        "policy.py",
                        "test_policy.py",
                    ],
                ]
                .concat(),
            ),
        ),
    ];
    for (line, expected) in cases {
        let made = files(&new(line)).expect("a right command");
        let names: BTreeSet<_> = made.iter().map(|(file, _)| file.clone()).collect();
        assert_eq!(names, expected, "{line:?}");
        for (file, text) in made {
            for placeholder in ["PLUGIN_", "PluginType"] {
                assert!(!text.contains(placeholder), "{placeholder} in {file}");
            }
            assert!(text.ends_with('\n') && !text.contains("\n\n\n\n"), "{file}");
        }
    }
}

#[test]
fn a_scaffold_says_what_it_decides() {
    for (language, file, words) in [
        (
            "rust",
            "src/lib.rs",
            "export_policy!(NearFirst: placement, read_routing);",
        ),
        (
            "javascript",
            "policy.js",
            "decides: { placement: true, readRouting: true },",
        ),
        (
            "python",
            "policy.py",
            "decides=Decisions.PLACEMENT | Decisions.READ_ROUTING,",
        ),
        (
            "javascript",
            "wit/world.wit",
            "  export weir:policy/placement@0.2.0;\n  export weir:policy/read-routing@0.2.0;\n}",
        ),
    ] {
        let line = ["near-first", "--language", language, "--decides"];
        // In any order, and twice.
        let line = [&line[..], &["read-routing,placement,placement"]].concat();
        let made = files(&new(&line)).expect("a right command");
        let text = made
            .iter()
            .find(|(name, _)| name == file)
            .map(|(_, text)| text);
        assert!(
            text.is_some_and(|text| text.contains(words)),
            "{language}: {text:?}"
        );
    }
}

#[test]
fn names_are_checked() {
    for (name, good) in [
        ("a", true),
        ("near-first", true),
        ("v2", true),
        ("", false),
        ("2nd", false),
        ("Near", false),
        ("near_first", false),
        ("near--first", false),
        ("near-", false),
        ("../near", false),
        (&"n".repeat(64), true),
        (&"n".repeat(65), false),
    ] {
        let made = files(&new(&[name, "--language", "python"]));
        assert_eq!(made.is_ok(), good, "{name:?}");
    }
}

#[test]
fn the_embedded_wit_is_the_whole_package() {
    let folder = root().join("wit").join(templates::API_VERSION);
    let found: BTreeSet<_> = std::fs::read_dir(folder)
        .expect("the folder of the version")
        .map(|entry| entry.expect("an entry").file_name().into_string())
        .map(|name| name.expect("UTF-8"))
        .collect();
    let embedded: BTreeSet<_> = templates::WIT
        .iter()
        .map(|(file, _)| file.to_string())
        .collect();
    assert_eq!(embedded, found);
}

/// Every built-in policy passes its own check, with its vectors.
#[test]
fn built_in_policies_pass_the_check() {
    for name in builtin::NAMES {
        let subject = Subject {
            builtin: Some((*name).to_owned()),
            vectors: Some(root().join("plugins").join(name).join("vectors")),
            ..Subject::default()
        };
        let loaded = subject.load().expect("it comes with Weir");
        let findings = check::findings(&loaded).expect("the engine starts");
        let findings: Vec<_> = findings.iter().map(ToString::to_string).collect();
        assert_eq!(findings, Vec::<String>::new(), "{name}");
        let cases: usize = loaded.groups.iter().map(|group| group.cases.len()).sum();
        assert!(cases >= 2, "{name} has test vectors");
    }
}

#[test]
fn a_check_says_what_is_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    let vectors = |name: &str, text: &serde_json::Value| {
        let file = folder.path().join(name);
        std::fs::create_dir_all(&file).expect("a folder");
        std::fs::write(file.join("v.json"), text.to_string()).expect("a file");
        Some(file)
    };
    let place = |backends: usize| {
        let backends = vec![json!({"writable": true}); backends];
        json!({"placement": {"request": {"copies": 2, "ack": 1}, "backends": backends}})
    };
    let facts = json!({"backends": [{"id": "a"}, {"id": "b"}]});
    let case = |input: &serde_json::Value, expect: serde_json::Value| json!([{"name": "one", "input": input, "expect": expect}]);
    for (name, text, findings) in [
        (
            "good",
            json!({"facts": facts, "cases": case(&place(2), json!({"candidates": [0, 1]}))}),
            &[][..],
        ),
        (
            "wrong answer",
            json!({"facts": facts, "cases": case(&place(2), json!({"candidates": [1, 0]}))}),
            &[
                "vectors: v.json `one` answers {",
                "\"candidates\":[0,1]",
                "right: {\"candidates\":[1,0]}",
            ],
        ),
        (
            "another number of backends",
            json!({"facts": facts, "cases": case(&place(3), json!({}))}),
            &["vectors: v.json `one` was not asked: 3 backends, and the facts have 2"],
        ),
        (
            "not what it decides",
            json!({"facts": facts, "cases": case(
                &json!({"read-routing": {"read": {"copies": [0, 1]}, "backends": [{}, {}]}}),
                json!({}),
            )}),
            &["was not asked: the component does not decide read-routing"],
        ),
        (
            "wrong settings",
            json!({"settings": {"order": ["x"], "y": 1}, "facts": facts, "cases": []}),
            &[
                "settings: /order/0 no backend `x`; there are: a, b; right: ",
                "settings: /y unknown setting",
            ],
        ),
    ] {
        let subject = Subject {
            builtin: Some("pack".to_owned()),
            vectors: vectors(name, &text),
            ..Subject::default()
        };
        let loaded = subject.load().expect("files that can be read");
        let found = check::findings(&loaded).expect("the engine starts");
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        let all = found.join("\n");
        assert_eq!(found.is_empty(), findings.is_empty(), "{name}: {all}");
        for finding in findings {
            assert!(all.contains(finding), "{name}: {finding} in {all}");
        }
    }
}

#[test]
fn what_is_no_policy_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("p.wasm");
    let mut cut = builtin::PACK.to_vec();
    cut.truncate(cut.len() / 2);
    for component in [&b""[..], b"\0asm\x0d\0\x01\0", &cut] {
        std::fs::write(&file, component).expect("a file");
        let loaded = Subject::of(&file).load().expect("a file that can be read");
        let found = check::findings(&loaded).expect("the engine starts");
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].to_string().starts_with("component: "), "{found:?}");
    }
}

#[test]
fn expected_answers_may_be_given_in_part() {
    for (expected, found, good) in [
        (json!({}), json!({"a": 1}), true),
        (json!({"a": 1}), json!({"a": 1, "b": 2}), true),
        (json!({"a": 2}), json!({"a": 1}), false),
        (json!({"c": null}), json!({"a": 1}), false),
        (
            json!({"a": [{"x": 1}]}),
            json!({"a": [{"x": 1, "y": 2}]}),
            true,
        ),
        (json!({"a": [1]}), json!({"a": [1, 2]}), false),
        (json!({"a": []}), json!({"a": [1]}), false),
        (json!("refuse"), json!("refuse"), true),
        (json!("refuse"), json!({"spill": [1]}), false),
    ] {
        assert_eq!(
            vectors::matches(&expected, &found),
            good,
            "{expected} {found}"
        );
    }
}

#[test]
fn samples_are_right_questions_and_the_same_each_time() {
    for kind in DecisionKind::ALL {
        for backends in [1, 2, 4, 64] {
            let asked = samples::samples(kind, backends, 20);
            let enough = kind != DecisionKind::ReadRouting || backends > 1;
            assert_eq!(
                asked.len(),
                if enough { 20 } else { 0 },
                "{kind} {backends}"
            );
            assert_eq!(asked, samples::samples(kind, backends, 20));
            assert!(asked.iter().all(|input| input.kind() == kind));
        }
    }
}

#[test]
fn facts_are_cut_and_filled() {
    let named = with_backends(&weir_policy::StaticFacts::default(), 30);
    let ids: BTreeSet<_> = named.backends.iter().map(|b| b.id.clone()).collect();
    assert_eq!(ids.len(), 30);
    assert_eq!(named.backends[2].id, "c");
    assert_eq!(with_backends(&named, 2).backends.len(), 2);
}

#[test]
fn a_signature_is_made_by_the_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let path = |name: &str| at(name).display().to_string();
    let run = |line: &[&str]| super::run(parsed(line));
    std::fs::write(at("p.wasm"), builtin::PACK).expect("a file");
    run(&["keygen", &path("key")]).expect("a new key");
    assert!(
        run(&["keygen", &path("key")]).is_err(),
        "no key is written over"
    );
    run(&["sign", &path("p.wasm"), "--key", &path("key")]).expect("signed");
    let read = |name: &str| std::fs::read_to_string(at(name)).expect("written");
    let public = read("key.pub").trim().parse().expect("a key");
    let signature = read("p.wasm.sig");
    let by = weir_policy::signature::verify(builtin::PACK, signature.as_bytes(), &[public]);
    assert_eq!(by, Ok(public));
    assert!(run(&["sign", &path("p.wasm"), "--key", &path("key.pub.x")]).is_err());
}
