//! Every kind of mistake: where it is said to be, what is said, and that all come at once.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::load::{Sources, load_text};
use super::mistake::{Place, Weight};
use super::model::Config;
use super::reference;

/// A configuration that is right, apart from what a case puts behind it.
const RIGHT: &str =
    "[backends.a]\nkind = \"fs\"\npath = \"a\"\n[backends.b]\nkind = \"fs\"\npath = \"b\"\n";

fn sources(environment: &[(&str, &str)]) -> Sources {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Sources {
        file: None,
        environment: environment.iter().map(own).collect(),
    }
}

/// All findings as text, for a file in `folder`.
fn findings_in(folder: &Path, text: &str, environment: &[(&str, &str)]) -> Vec<String> {
    let file = folder.join("weir.toml");
    let loaded = load_text(&sources(environment), &file, text, Config::default());
    let start = format!("{}/", folder.display());
    loaded
        .findings
        .iter()
        .map(|f| f.to_string().replace(&start, ""))
        .collect()
}

/// Exactly one finding, which begins with `place` and holds every word.
fn check(text: &str, place: &str, words: &[&str]) {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let found = findings_in(scratch.path(), text, &[]);
    assert_eq!(found.len(), 1, "{text}\n{found:#?}");
    assert!(
        found[0].starts_with(place),
        "{text}\n{found:#?}, not at {place}"
    );
    for word in words {
        assert!(found[0].contains(word), "{found:#?} lacks {word:?}");
    }
}

/// Text behind [`RIGHT`]; lines count from its first.
fn check_behind(text: &str, line: usize, column: usize, words: &[&str]) {
    let line = RIGHT.lines().count() + line;
    check(
        &format!("{RIGHT}{text}"),
        &format!("weir.toml:{line}:{column}: error: "),
        words,
    );
}

#[test]
fn a_right_configuration_has_no_findings() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    assert_eq!(
        findings_in(scratch.path(), RIGHT, &[]),
        Vec::<String>::new()
    );
}

#[test]
fn mistakes_are_told_with_place_and_what_would_be_right() {
    for (text, line, column, words) in [
        (
            "[s3]\nregoin = \"x\"\n",
            2,
            1,
            &["s3.regoin", "unknown field", "did you mean `region`"][..],
        ),
        ("[s4]\n", 1, 2, &["s4: unknown field", "did you mean `s3`"]),
        (
            "[log]\ncolour = true\n",
            2,
            1,
            &["log.colour", "known here: format, filter"],
        ),
        (
            "[s3]\nconnections_max = \"many\"\n",
            2,
            1,
            &[
                "a text is the wrong type",
                "a whole number from 1 to 1000000",
            ],
        ),
        (
            "[s3]\nconnections_max = 0\n",
            2,
            1,
            &["0 is out of range", "from 1 to 1000000"],
        ),
        (
            "[s3]\n  idle_timeout_ms = -1\n",
            2,
            3,
            &["-1 is out of range", "at least 1"],
        ),
        (
            "[s3]\nidle_timeout_ms = 1.5\n",
            2,
            1,
            &["1.5 is out of range"],
        ),
        (
            "[s3]\nlisten = [\"127.0.0.1:9000\", \"localhost\"]\n",
            2,
            29,
            &["s3.listen[1]", "127.0.0.1:9000"],
        ),
        (
            "[log]\nformat = \"jsno\"\n",
            2,
            1,
            &["did you mean \"json\"?", "\"text\", \"json\""],
        ),
        ("[log]\nfilter = \"info,weir=lod\"\n", 2, 1, &["log.filter"]),
        (
            "[placement]\nfactor = 3\n",
            2,
            1,
            &["3 copies need 3 backends", "there are 2"],
        ),
        (
            "[placement]\npolicy = \"sprd\"\n",
            2,
            1,
            &["no policy \"sprd\"", "did you mean \"spread\"?"],
        ),
        (
            "[buckets.photos]\npolicy = \"x\"\n",
            2,
            1,
            &["buckets.photos.policy", "known: cost, geo"],
        ),
        (
            "[buckets.Photos]\n",
            1,
            10,
            &["\"Photos\" is not a valid name", "lowercase"],
        ),
        ("[policies.x]\n", 1, 11, &["no component is named"]),
        (
            "[policies.x]\nbuiltin = \"best\"\n",
            2,
            1,
            &["one of cost, geo"],
        ),
        (
            "[policies.x]\noci = \"no-layout\"\n",
            2,
            1,
            &["no-layout/oci-layout", "a folder with oci-layout"],
        ),
        (
            "[policy_host]\ntrusted_keys = [\"abc\"]\n",
            2,
            17,
            &["trusted_keys[0]", "64 hexadecimal digits"],
        ),
        (
            "[policies.pack.recording]\nshare_permille = 1001\n",
            2,
            1,
            &["1001 is out of range", "from 0 to 1000"],
        ),
        (
            "[placement]\noverflow = \"spil\"\n[policies.spill]\nbuiltin = \"pack\"\n",
            2,
            1,
            &["placement.overflow", "did you mean \"spill\"?"],
        ),
        (
            "[placement]\nack = 3\n",
            2,
            1,
            &["ack is 3, of 2 copies", "at most 2"],
        ),
        (
            "[placement]\nresidency = [\"eu\"]\nfactor = 1\n[backends.c]\nkind = \"fs\"\npath = \"c\"\nresidency = \"us\"\n",
            2,
            14,
            &["no backend has the residency \"eu\"", "there are: us"],
        ),
        (
            "[storage_policies.cold]\nplacement = \"sprd\"\nlocations = [\"x\"]\n",
            2,
            1,
            &[
                "storage_policies.cold.placement",
                "did you mean \"spread\"?",
            ],
        ),
        (
            "[storage_policies.cold]\nlocations = [\"x\"]\n[storage_policies.warm]\nlocations = [\"y\", \"x\"]\n",
            4,
            19,
            &["`cold` has the location \"x\" already"],
        ),
        (
            "[storage_policies.cold]\nstorage_classes = [\"X\"]\n[storage_policies.warm]\nstorage_classes = [\"X\"]\n",
            4,
            20,
            &["`cold` has the storage class \"X\" already"],
        ),
        (
            "[storage_policies.cold]\nstorage_classes = [\"STANDARD\"]\nlocations = [\"x\"]\n",
            2,
            20,
            &["another class than STANDARD"],
        ),
        (
            "[storage_policies.default]\n",
            1,
            19,
            &["has a table of its own", "[placement]"],
        ),
        (
            "[storage_policies.cold]\nlocations = [\"x\"]\nfactor = 3\n",
            3,
            1,
            &["3 copies need 3 backends", "there are 2"],
        ),
        (
            "[buckets.photos]\nstorage_policy = \"cld\"\n[storage_policies.cold]\nlocations = [\"x\"]\n",
            2,
            1,
            &["no storage policy \"cld\"", "did you mean \"cold\"?"],
        ),
        (
            "[[buckets.photos.prefixes]]\nprefix = \"a/\"\nstorage_policy = \"cold\"\n",
            3,
            1,
            &["prefixes[0].storage_policy", "known: default"],
        ),
        (
            "[[buckets.photos.prefixes]]\nprefix = \"a/\"\nstorage_policy = \"default\"\n[[buckets.photos.prefixes]]\nprefix = \"a/\"\nstorage_policy = \"default\"\n",
            5,
            1,
            &["the prefix \"a/\" is there already"],
        ),
        (
            "[[buckets.photos.prefixes]]\nstorage_policy = \"default\"\n",
            1,
            1,
            &["the prefix is missing"],
        ),
        (
            "[policies.x]\nfile = \"no.wasm\"\n",
            2,
            1,
            &["cannot be read"],
        ),
        (
            "[policies.x]\nbuiltin = \"pack\"\nfile = \"no.wasm\"\n",
            1,
            11,
            &["builtin and file are given together"],
        ),
        (
            "[backends.c]\npath = \"c\"\n",
            1,
            11,
            &["backends.c.kind", "kind is missing"],
        ),
        ("[backends.c]\nkind = \"fs\"\n", 1, 11, &["path is missing"]),
        (
            "[backends.c]\nkind = \"fs\"\npath = \"a\"\n",
            3,
            1,
            &["the place of backend `a` already"],
        ),
        (
            "[backends.c]\nkind = \"fs\"\npath = \"c\"\nbucket = \"x\"\n",
            4,
            1,
            &["for backends of kind \"s3\""],
        ),
        (
            "[backends.C]\nkind = \"fs\"\npath = \"c\"\n",
            1,
            11,
            &["\"C\" is not a valid name"],
        ),
        (
            "[backends.c]\nkind = \"s3\"\nendpoint = \"https://x/y\"\nbucket = \"b\"\naccess_key_id = \"k\"\nsecret_env = \"S\"\n",
            3,
            1,
            &["without a path"],
        ),
        (
            "[admin]\ntls_key_file = \"k\"\n",
            1,
            2,
            &["tls_certificate_file is missing"],
        ),
        (
            "[site]\nid = \"Site One\"\n",
            2,
            1,
            &["site.id", "1 to 32 lowercase"],
        ),
        (
            "[limits]\nretry_pause_ms_max = 1\n",
            2,
            1,
            &["at least 200"],
        ),
    ] {
        if text.contains("secret_env = \"S\"") {
            // This one has its secret in the environment.
            let scratch = tempfile::tempdir().expect("a scratch folder");
            let found = findings_in(
                scratch.path(),
                &format!("{RIGHT}{text}"),
                &[("S", "secret")],
            );
            assert!(found[0].contains(words[0]), "{found:#?}");
            continue;
        }
        check_behind(text, line, column, words);
    }
}

#[test]
fn copies_need_backends_that_keep_the_constraints() {
    let backends = |residency: [&str; 3], domain: [&str; 3]| {
        let one = |(i, id): (usize, &str)| {
            format!(
                "[backends.{id}]\nkind = \"fs\"\npath = \"{id}\"\n{}{}",
                named("residency", residency[i]),
                named("failure_domain", domain[i])
            )
        };
        ["a", "b", "c"]
            .into_iter()
            .enumerate()
            .map(one)
            .collect::<String>()
    };
    fn named(field: &str, value: &str) -> String {
        if value.is_empty() {
            String::new()
        } else {
            format!("{field} = \"{value}\"\n")
        }
    }
    let anywhere = backends(["", "", ""], ["", "", ""]);
    let split = backends(["eu", "eu", "us"], ["r1", "r1", "r2"]);
    for (backends, policy, want) in [
        (&anywhere, "factor = 3", None),
        (
            &anywhere,
            "factor = 3\ndistinct_failure_domains = true",
            None,
        ),
        (&split, "factor = 3", None),
        (&split, "residency = [\"eu\"]\nfactor = 2", None),
        (&split, "residency = [\"eu\", \"us\"]\nfactor = 3", None),
        (
            &split,
            "residency = [\"eu\"]\nfactor = 3",
            Some("there are 2"),
        ),
        (
            &split,
            "residency = [\"eux\"]\nfactor = 2",
            Some("did you mean \"eu\"?"),
        ),
        (
            &split,
            "residency = [\"mars\"]\nfactor = 2",
            Some("there are: eu, us"),
        ),
        (&split, "distinct_failure_domains = true\nfactor = 2", None),
        (
            &split,
            "distinct_failure_domains = true\nfactor = 3",
            Some("3 copies need 3 failure domains that take writes; there are 2"),
        ),
        (
            &split,
            "distinct_failure_domains = true\nresidency = [\"eu\"]\nfactor = 2",
            Some("there are 1"),
        ),
    ] {
        for table in [
            "[placement]\n",
            "[storage_policies.x]\nlocations = [\"x\"]\n",
        ] {
            let scratch = tempfile::tempdir().expect("a scratch folder");
            let text = format!("{backends}{table}{policy}\n");
            let found = findings_in(scratch.path(), &text, &[]);
            match want {
                None => assert_eq!(found, Vec::<String>::new(), "{text}"),
                Some(word) => assert!(
                    found.iter().any(|finding| finding.contains(word)),
                    "{text}\n{found:#?}"
                ),
            }
        }
    }
}

#[test]
fn what_is_not_wrong_but_not_meant_is_a_warning() {
    for (text, word) in [
        ("[placement]\nack = 2\n", "not waited for yet"),
        (
            "[storage_policies.cold]\nfactor = 1\n",
            "nothing selects this storage policy",
        ),
    ] {
        let scratch = tempfile::tempdir().expect("a scratch folder");
        let found = findings_in(scratch.path(), &format!("{RIGHT}{text}"), &[]);
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(
            found[0].contains("warning") && found[0].contains(word),
            "{found:#?}"
        );
    }
}

#[test]
fn toml_that_cannot_be_read_names_its_line() {
    check("a = 1\nb = \n", "weir.toml:2:", &["error"]);
    check(
        "[s3]\nregion = \"a\"\nregion = \"b\"\n",
        "weir.toml:3:1",
        &["duplicate key"],
    );
    check(
        "[backends.a]\nkind = \"fs\"\n[backends.a]\n",
        "weir.toml:3:",
        &["duplicate key"],
    );
}

#[test]
fn every_mistake_comes_at_once_in_order() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let text = "\
[s3]
listen = [\"0.0.0.0:9000\"]
conections_max = 5
[backends.a]
kind = \"s3\"
bucket = 7
[credentials.app]
secret_env = \"UNSET\"
[[credentials.app.grants]]
buckets = [\"x*y\"]
actions = [\"reed\"]
";
    let found = findings_in(scratch.path(), text, &[("WEIR_LOG__FORMAT", "xml")]);
    for want in [
        "weir.toml:3:1: error: s3.conections_max: unknown field",
        "weir.toml:6:1: error: backends.a.bucket: a number is the wrong type",
        "backends.a.endpoint: endpoint is missing",
        "backends.a.access_key_id",
        "backends.a.secret_file: the secret is missing",
        "credentials.app.access_key_id: access_key_id is missing",
        "weir.toml:8:1: error: credentials.app.secret_env: the variable UNSET is not set",
        "weir.toml:10:12: error: credentials.app.grants[0].buckets[0]",
        "weir.toml:11:12: error: credentials.app.grants[0].actions[0]: \"reed\" is not known here (did you mean \"read\"?)",
        "environment WEIR_LOG__FORMAT: error: log.format",
    ] {
        assert!(
            found.iter().any(|f| f.contains(want)),
            "{want}\nis not in {found:#?}"
        );
    }
    assert!(
        !found.iter().any(|f| f.contains("bucket is missing")),
        "told twice: {found:#?}"
    );
}

/// Writes a secret with a mode; gives the findings of a gateway that listens on `listen`.
fn with_secret(listen: &str, secret: &str, mode: u32) -> Vec<(Weight, String)> {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let path = scratch.path().join("secret");
    std::fs::write(&path, secret).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("set");
    let text = format!(
        "{RIGHT}[s3]\nlisten = [\"{listen}\"]\n[credentials.app]\naccess_key_id = \"APP\"\n\
         secret_file = \"secret\"\ngrants = [{{ buckets = [\"*\"], actions = [\"all\"] }}]\n"
    );
    let file = scratch.path().join("weir.toml");
    let loaded = load_text(&sources(&[]), &file, &text, Config::default());
    loaded
        .findings
        .iter()
        .map(|f| (f.mistake.weight, f.to_string()))
        .collect()
}

#[test]
fn beyond_loopback_only_good_secrets_do() {
    const GOOD: &str = "0123456789abcdef0123456789abcdef\n";
    for (secret, mode, word) in [
        (GOOD, 0o600, None),
        (GOOD, 0o640, None),
        (GOOD, 0o644, Some("can be read by everybody")),
        ("minioadmin", 0o600, Some("everybody knows")),
        (
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            0o600,
            Some("everybody knows"),
        ),
        ("short", 0o600, Some("fewer than 16")),
    ] {
        for (listen, weight) in [
            ("0.0.0.0:9000", Weight::Error),
            ("127.0.0.1:9000", Weight::Warning),
        ] {
            let found = with_secret(listen, secret, mode);
            match word {
                None => assert_eq!(found, [], "{listen} {mode:o}"),
                Some(word) => {
                    assert_eq!(found.len(), 1, "{listen} {found:?}");
                    assert_eq!(found[0].0, weight, "{listen} {found:?}");
                    assert!(found[0].1.contains(word), "{found:?}");
                    assert!(
                        !found[0].1.contains(secret),
                        "the secret is told: {found:?}"
                    );
                }
            }
        }
    }
    let empty = with_secret("127.0.0.1:9000", " \n", 0o600);
    assert!(
        empty[0].1.contains("is empty") && empty[0].0 == Weight::Error,
        "{empty:?}"
    );
}

#[test]
fn beyond_loopback_credentials_and_token_are_needed() {
    check_behind(
        "[s3]\nlisten = [\"0.0.0.0:9000\"]\n",
        2,
        1,
        &["needs configured credentials"],
    );
    check_behind(
        "[s3]\nlisten = [\"127.0.0.1:1\", \"[::]:9000\"]\n",
        2,
        1,
        &["needs configured credentials"],
    );
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let exposed = format!("{RIGHT}[admin]\nlisten = \"192.0.2.1:9001\"\n");
    let found = findings_in(scratch.path(), &exposed, &[]);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0].contains("error: admin.token_file: the token is missing"),
        "{found:?}"
    );
    assert!(
        found[1].contains("warning: admin.listen: the admin token crosses"),
        "{found:?}"
    );
    let loopback = format!("{RIGHT}[s3]\nlisten = [\"[::1]:9000\", \"127.0.0.2:1\"]\n");
    assert_eq!(
        findings_in(scratch.path(), &loopback, &[]),
        Vec::<String>::new()
    );
}

#[test]
fn the_environment_wins_and_is_named() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let environment = [
        ("WEIR_S3__REGION", "eu-west-1"),
        ("WEIR_S3__LISTEN", "127.0.0.1:1,127.0.0.1:2"),
        ("WEIR_SITE__ID", "7"),
        ("WEIR_PLACEMENT__FACTOR", "1"),
        ("WEIR_BACKENDS__A__READ_ONLY", "true"),
        ("WEIR_ADMIN_TOKEN", "not configuration"),
        ("WEIR_WASM_RUSTC", "/opt/rustc"),
        ("OTHER", "ignored"),
    ];
    let text = format!("{RIGHT}[s3]\nregion = \"x\"\n");
    let file = scratch.path().join("weir.toml");
    let loaded = load_text(&sources(&environment), &file, &text, Config::default());
    assert!(loaded.findings.is_empty(), "{:?}", loaded.findings);
    let config = loaded.config;
    assert_eq!(config.s3.region, "eu-west-1");
    assert_eq!(config.s3.listen, ["127.0.0.1:1", "127.0.0.1:2"]);
    assert_eq!(config.site.id, "7");
    assert_eq!(config.placement.factor, 1);
    assert!(config.backends["a"].read_only);
    assert_eq!(
        config.backends["a"].path.as_deref(),
        Some(scratch.path().join("a").as_path())
    );

    let loaded = load_text(
        &sources(&[("WEIR_S3__REGON", "x")]),
        &file,
        RIGHT,
        Config::default(),
    );
    assert_eq!(
        loaded.findings[0].place,
        Place::Environment("WEIR_S3__REGON".into())
    );
}

#[test]
fn the_first_run_is_right_as_it_stands() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let start = Config::first_run(scratch.path().join("weir-data"));
    let loaded = load_text(&sources(&[]), Path::new(""), "", start);
    assert!(loaded.findings.is_empty(), "{:?}", loaded.findings);
    assert_eq!(loaded.config.backends.len(), 3);
    assert_eq!(loaded.config.placement.factor, 2);
}

#[test]
fn the_reference_is_what_the_types_say() {
    let text = reference::toml();
    // What is not an example can be read back as it stands, and is the default.
    let loaded = load_text(
        &sources(&[]),
        Path::new("weir.toml"),
        &text,
        Config::default(),
    );
    let unexpected: Vec<_> = loaded
        .findings
        .iter()
        .filter(|f| f.mistake.what != "there is no backend")
        .collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
    // With the marks of its fields taken away, every name in it is known.
    let uncommented: String = text
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') && !rest.is_empty() => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let loaded = load_text(
        &sources(&[]),
        Path::new("weir.toml"),
        &uncommented,
        Config::default(),
    );
    let wrong: Vec<_> = loaded
        .findings
        .iter()
        .filter(|f| {
            [
                "unknown",
                "wrong type",
                "out of range",
                "not valid",
                "duplicate",
                "expected",
            ]
            .iter()
            .any(|w| f.mistake.what.contains(w))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_page_of_the_documentation_is_the_reference() {
    let page = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/configuration.md"
    ));
    assert!(
        page.expect("the page exists") == reference::page(),
        "run: weir config reference --page > docs/configuration.md"
    );
}

#[test]
fn the_insurance_needs_backends_that_are_there_and_a_key_that_is_one() {
    for (text, place, words) in [
        (
            "backends = [\"a\", \"bb\"]",
            "backends",
            &["there is no backend \"bb\"", "\"b\""][..],
        ),
        (
            "backends = [\"a\", \"a\"]",
            "backends",
            &["\"a\" is named twice"],
        ),
        (
            "enabled = true\nbackends = [\"a\"]",
            "backends",
            &["warning", "single backend"],
        ),
        ("key_env = \"SHORT\"", "key_env", &["64 hexadecimal digits"]),
        ("key_env = \"MISSING\"", "key_env", &["MISSING is not set"]),
        (
            "key_file = \"k\"\nkey_env = \"SHORT\"",
            "key_file",
            &["both given"],
        ),
    ] {
        let scratch = tempfile::tempdir().expect("a scratch folder");
        let text = format!("{RIGHT}[insurance]\n{text}\n");
        let found = findings_in(scratch.path(), &text, &[("SHORT", "0123456789abcdef")]);
        assert_eq!(found.len(), 1, "{text}\n{found:#?}");
        for word in words {
            assert!(found[0].contains(word), "{found:#?} lacks {word:?}");
        }
        assert!(!found[0].contains("0123456789abcdef"), "a secret is shown");
        let line = text.lines().position(|line| line.starts_with(place));
        let line = line.expect("it is there") + 1;
        assert!(
            found[0].starts_with(&format!("weir.toml:{line}:")),
            "{found:#?}"
        );
    }
}
