//! The binary as a process: what its commands answer, print and log.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

fn weir(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.current_dir(folder).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("WEIR_") {
            command.env_remove(name);
        }
    }
    command
        .env("WEIR_S3__LISTEN", "127.0.0.1:0")
        .env("WEIR_ADMIN__LISTEN", "127.0.0.1:0")
        .env("WEIR_LOG__FORMAT", "json");
    command
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    weir(folder).args(arguments).output().expect("it runs")
}

/// Runs a command; gives what it prints where it should.
fn check(folder: &Path, arguments: &[&str], code: i32, wanted: &str) {
    let output = run(folder, arguments);
    let text = if code == 0 {
        &output.stdout
    } else {
        &output.stderr
    };
    let text = String::from_utf8_lossy(text);
    assert_eq!(
        output.status.code(),
        Some(code),
        "{arguments:?}: {output:?}"
    );
    assert!(
        text.contains(wanted),
        "{arguments:?} without {wanted:?}: {text}"
    );
}

/// A gateway that ends with the test.
struct Serving {
    child: Child,
    /// What it printed, by the name of the variable.
    exports: Vec<(String, String)>,
}

impl Serving {
    fn start(folder: &Path) -> Self {
        let mut command = weir(folder);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it runs");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        let mut exports = Vec::new();
        for line in out.lines() {
            let line = line.expect("text");
            if let Some((name, value)) =
                line.strip_prefix("export ").and_then(|l| l.split_once('='))
            {
                exports.push((name.to_owned(), value.to_owned()));
            }
            if line.ends_with("lsd weir:") {
                break;
            }
        }
        Self { child, exports }
    }

    fn export(&self, name: &str) -> &str {
        let found = self.exports.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str()).expect("printed")
    }

    /// SIGTERM; gives the log.
    fn stop(mut self) -> String {
        let id = i32::try_from(self.child.id()).expect("an id");
        let id = rustix::process::Pid::from_raw(id).expect("not zero");
        rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("signalled");
        let mut log = String::new();
        let mut errors = self.child.stderr.take().expect("piped");
        errors.read_to_string(&mut log).expect("text");
        assert!(self.child.wait().expect("ended").success(), "{log}");
        log
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Both fail when it has ended already.
        let _ended = self.child.kill();
        let _waited = self.child.wait();
    }
}

#[test]
fn a_site_is_served_asked_and_stopped() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let folder = scratch.path();
    let serving = Serving::start(folder);

    let endpoint = serving.export("AWS_ENDPOINT_URL").to_owned();
    let address = endpoint.strip_prefix("http://").expect("plain");
    let mut stream = std::net::TcpStream::connect(address).expect("connected");
    let request = b"GET /photos/a%1B%0Ab?X-Amz-Signature=hush-hush HTTP/1.1\r\n\
                    host: x\r\nconnection: close\r\n\r\n";
    stream.write_all(request).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");

    std::fs::write(folder.join("pack.wasm"), weir_policy::builtin::PACK).expect("written");
    for (arguments, code, wanted) in [
        (&["status"][..], 0, "no problems"),
        (&["status", "--json"], 0, "\"problems\""),
        (&["policy", "list"], 0, "spread: spread"),
        (
            &["policy", "load", "spread", "pack.wasm"],
            0,
            "spread: revision ",
        ),
        (&["policy", "list"], 0, "chosen by an operator"),
        (
            &["policy", "load", "nosuch", "pack.wasm"],
            1,
            "there is no policy",
        ),
        (
            &["policy", "load", "../spread", "pack.wasm"],
            1,
            "there is no policy",
        ),
        (
            &["policy", "activate", "spread", "--configured"],
            0,
            "spread: revision ",
        ),
        (&["explain", "photos/x"], 1, "there is no such bucket"),
        (&["explain", "photos"], 1, "give BUCKET/KEY"),
        (&["index", "verify"], 0, "clean"),
        (&["index", "backup", "b"], 0, "rows"),
        (&["index", "backup", "b"], 1, "exists already"),
        (&["index", "restore", "b"], 1, "index.redb"),
        (
            &["index", "restore", "b", "--data-dir", "other"],
            0,
            "rows restored",
        ),
        (&["serve"], 1, "in use by another process"),
        (&["status", "--data-dir", "other"], 1, "no gateway runs"),
        (&["nonsense"], 2, "nonsense"),
    ] {
        check(folder, arguments, code, wanted);
    }
    let mut wrong = weir(folder);
    let wrong = wrong
        .arg("status")
        .env("WEIR_ADMIN_TOKEN", "wrong")
        .output();
    let wrong = String::from_utf8(wrong.expect("it runs").stderr).expect("text");
    assert!(
        wrong.contains("does not accept this admin token"),
        "{wrong}"
    );

    let secrets = ["AWS_SECRET_ACCESS_KEY", "WEIR_ADMIN_TOKEN"];
    let secrets = secrets.map(|name| serving.export(name).to_owned());
    let log = serving.stop();
    for secret in [&secrets[0], &secrets[1], "hush-hush"] {
        assert!(!log.contains(secret), "{log}");
    }
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    let access = lines.iter().find(|line| line["target"] == "weir::access");
    let access = access.expect("one line per request");
    assert_eq!(access["status"], 400);
    assert_eq!(access["uri"], "/photos/a%1B%0Ab?X-Amz-Signature=-");
    assert_eq!(lines.last().expect("a line")["message"], "stopped");
    // The index works without a gateway too.
    check(folder, &["index", "verify"], 0, "clean");
}

#[test]
fn backends_of_a_lost_index_are_adopted() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let folder = scratch.path();
    Serving::start(folder).stop();
    std::fs::remove_file(folder.join("weir-data/index.redb")).expect("removed");
    let marker = || std::fs::read(folder.join("weir-data/disk-a/w1-owner")).expect("a marker");
    let old = marker();
    for (arguments, code, wanted) in [
        (&["serve"][..], 1, "weir backend adopt disk-a"),
        (
            &["backend", "adopt", "nosuch", "--yes"],
            1,
            "there are: disk-a, disk-b, disk-c",
        ),
        (&["backend", "adopt", "disk-a"], 1, "nothing was changed"),
    ] {
        check(folder, arguments, code, wanted);
        assert_eq!(marker(), old, "{arguments:?}");
    }
    let adopted = run(folder, &["backend", "adopt", "disk-a", "--yes"]);
    assert!(adopted.status.success(), "{adopted:?}");
    let (told, log) = (adopted.stdout, adopted.stderr);
    let told = String::from_utf8(told).expect("text");
    for wanted in ["its marker names  site", "0 copies", "is this index's now"] {
        assert!(told.contains(wanted), "{wanted:?} is missing: {told}");
    }
    let log = String::from_utf8(log).expect("text");
    let line = log.lines().last().expect("a line");
    let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
    assert_eq!(line["message"], "backend adopted");
    let old: serde_json::Value = serde_json::from_slice(&old).expect("JSON");
    let epoch = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
    assert!(
        epoch(&line["from"]).contains(&epoch(&old["epoch"])),
        "{line}"
    );
    assert!(
        !epoch(&line["to"]).contains(&epoch(&old["epoch"])),
        "{line}"
    );

    check(folder, &["backend", "adopt", "disk-a"], 0, "It is ours");
    for id in ["disk-b", "disk-c"] {
        let arguments = ["backend", "adopt", id, "--yes"];
        check(folder, &arguments, 0, "is this index's now");
    }
    let serving = Serving::start(folder);
    check(
        folder,
        &["backend", "adopt", "disk-a", "--yes"],
        1,
        "in use by another process",
    );
    serving.stop();
}

#[test]
fn a_configuration_is_checked_as_a_whole() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let text = "colour = 1\n[s3]\nlisten = [\"localhost:1\"]\nregoin = \"x\"\n\
                [backends.a]\nkind = \"fs\"\n[backends.b]\nkind = \"gcs\"\n\
                [credentials.c]\naccess_key_id = \"C\"\nsecret = \"hush-hush\"\n\
                [placement]\nfactor = 3\npolicy = \"sprade\"\n[buckets.B]\n";
    std::fs::write(scratch.path().join("weir.toml"), text).expect("written");
    let mut command = weir(scratch.path());
    command.env_remove("WEIR_S3__LISTEN");
    command.args(["check", "--config", "weir.toml"]);
    let output = command.output().expect("it runs");
    let told = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1));
    for wanted in [
        "weir.toml:1:1: error: colour: unknown field",
        "weir.toml:3:11: error: s3.listen[0]: ",
        "weir.toml:4:1: error: s3.regoin: unknown field; did you mean `region`?",
        "backends.a.path: path is missing",
        "weir.toml:8:1: error: backends.b.kind: ",
        "weir.toml:11:1: error: credentials.c.secret: unknown field; did you mean `secret_file`?",
        "weir.toml:13:1: error: placement.factor: ",
        "weir.toml:14:1: error: placement.policy: there is no policy \"sprade\"; did you mean \"spread\"?",
        "buckets.B: \"B\" is not a valid name",
    ] {
        assert!(told.contains(wanted), "{wanted:?} is missing: {told}");
    }
    assert!(!told.contains("hush-hush"), "{told}");
    std::fs::write(
        scratch.path().join("weir.toml"),
        "[backends.a]\nkind = \"fs\"\npath = \"a\"\n[placement]\nfactor = 1\n",
    )
    .expect("written");
    check(
        scratch.path(),
        &["check", "--config", "weir.toml"],
        0,
        "the configuration is right",
    );
}
