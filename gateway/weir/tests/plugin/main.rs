//! The author's way, with the tools of each language: new, test, build, check, bench, sign. What
//! needs a tool that is not here is skipped, and says so.

#![expect(clippy::print_stderr, reason = "what is skipped is said")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use weir_wasm_toolchain::Toolchain;

const ALL: &str = "placement,overflow,replication,read-routing";

struct Author {
    folder: tempfile::TempDir,
}

/// What a command said.
struct Said {
    good: bool,
    answer: String,
    notes: String,
}

impl Author {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn weir(&self, line: &[&str]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        command.arg("plugin").args(line);
        command.current_dir(self.folder.path());
        // A target folder of its own: the workspace's is locked by the cargo that runs this.
        command.env("CARGO_TARGET_DIR", root().join("target/scaffold"));
        command.env("CARGO_NET_OFFLINE", "true");
        Said::of(command.output().expect("the gateway's binary runs"))
    }

    /// A plugin that decides everything.
    fn scaffold(&self, language: &str) {
        let made = self.weir(&["new", "mine", "--language", language, "--decides", ALL]);
        assert!(made.good, "{}", made.notes);
        let again = self.weir(&["new", "mine", "--language", language]);
        assert!(!again.good, "nobody's work is written over");
    }

    /// From a built component on, all languages are alike.
    fn check(&self) {
        let checked = self.weir(&["check", "mine"]);
        assert!(checked.good, "{}{}", checked.answer, checked.notes);
        assert!(
            checked.answer.ends_with("check: ok\n"),
            "{}",
            checked.answer
        );
        let tested = self.weir(&["test", "mine"]);
        assert!(tested.good, "{}{}", tested.answer, tested.notes);
        let vectors = "vectors: 6 of 6 as expected\n";
        assert!(tested.answer.ends_with(vectors), "{}", tested.answer);
    }

    /// Each of these compiles the component, which takes its time unless it is small.
    fn look_and_sign(&self) {
        let looked = self.weir(&["inspect", "mine", "--json"]);
        let report: serde_json::Value = serde_json::from_str(&looked.answer).expect("JSON");
        assert_eq!(report["description"]["name"], "mine");
        assert_eq!(report["decides"].as_array().map(Vec::len), Some(4));
        let dear = self.weir(&["bench", "mine", "--rounds", "2", "--max-fuel", "1"]);
        assert!(!dear.good);
        assert!(dear.notes.contains("right: at most 1"), "{}", dear.notes);
        assert!(self.weir(&["keygen", "key"]).good);
        assert!(self.weir(&["sign", "mine", "--key", "key"]).good);
        assert!(self.path("mine/mine.wasm.sig").exists());
    }
}

impl Said {
    fn of(output: Output) -> Self {
        Self {
            good: output.status.success(),
            answer: String::from_utf8_lossy(&output.stdout).into_owned(),
            notes: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Whether a program runs.
fn runs(program: &str) -> bool {
    let output = Command::new(program).arg("--version").output();
    output.is_ok_and(|output| output.status.success())
}

#[test]
fn rust() {
    let author = Author::new();
    author.scaffold("rust");
    let tested = author.weir(&["test", "mine", "--native"]);
    let said = [&*tested.answer, &*tested.notes].concat();
    if !tested.good && said.contains("offline") {
        eprintln!("skipped: cargo cannot resolve the SDK's dependencies offline");
        return;
    }
    assert!(tested.good, "{said}");
    assert!(said.contains("5 passed"), "{said}");
    let unbuilt = author.weir(&["check", "mine"]);
    let right = "is not built; right: weir plugin build";
    assert!(
        !unbuilt.good && unbuilt.notes.contains(right),
        "{}",
        unbuilt.notes
    );

    if Toolchain::find().expect("a rustc").is_none() {
        eprintln!("skipped: no Rust toolchain for Wasm, so nothing is built");
        let built = author.weir(&["build", "mine"]);
        assert!(built.notes.contains("rustup target add"), "{}", built.notes);
        return;
    }
    let built = author.weir(&["build", "mine"]);
    assert!(built.good, "{}", built.notes);
    author.check();
    author.look_and_sign();

    // One line changed: tests and vectors notice.
    let source = author.path("mine/src/lib.rs");
    let text = std::fs::read_to_string(&source).expect("the scaffold");
    let line = "candidates.sort_by_key(|index| !backends[*index as usize].usable());";
    let changed = text.replace(
        line,
        "candidates.sort_by_key(|index| backends[*index as usize].usable());",
    );
    assert_ne!(text, changed);
    std::fs::write(&source, changed).expect("written");
    assert!(!author.weir(&["test", "mine", "--native"]).good);
    assert!(author.weir(&["build", "mine"]).good);
    let checked = author.weir(&["check", "mine"]);
    assert!(!checked.good);
    let finding = "vectors: placement.json `what takes no writes comes last` answers";
    assert!(checked.notes.contains(finding), "{}", checked.notes);
}

#[test]
fn javascript() {
    let author = Author::new();
    author.scaffold("javascript");
    if !runs("node") {
        eprintln!("skipped: Node.js is not here");
        let built = author.weir(&["build", "mine"]);
        assert!(
            built.notes.contains("Node.js is not installed"),
            "{}",
            built.notes
        );
        return;
    }
    let tested = author.weir(&["test", "mine", "--native"]);
    assert!(tested.good, "{}{}", tested.answer, tested.notes);
    let built = author.weir(&["build", "mine"]);
    assert!(
        !built.good && built.notes.contains("right: npm install"),
        "{}",
        built.notes
    );
    let Some(modules) = std::env::var_os("WEIR_NODE_MODULES") else {
        eprintln!("skipped: WEIR_NODE_MODULES names no folder with componentize-js");
        return;
    };
    let link = author.path("mine/node_modules");
    std::os::unix::fs::symlink(modules, link).expect("a link");
    let built = author.weir(&["build", "mine"]);
    assert!(built.good, "{}", built.notes);
    author.check();
}

#[test]
fn python() {
    let author = Author::new();
    author.scaffold("python");
    if !runs("componentize-py") || !runs("python3") {
        eprintln!("skipped: componentize-py is not here");
        let built = author.weir(&["build", "mine"]);
        assert!(
            built.notes.contains("right: pip install"),
            "{}",
            built.notes
        );
        return;
    }
    let built = author.weir(&["build", "mine"]);
    assert!(built.good, "{}", built.notes);
    author.check();
}

#[test]
fn what_is_no_plugin_is_said_in_words() {
    let author = Author::new();
    std::fs::create_dir(author.path("empty")).expect("a folder");
    std::fs::write(author.path("text.wasm"), "no component").expect("a file");
    for (line, words) in [
        (&["build", "empty"][..], "is no plugin's folder"),
        (&["check", "nowhere.wasm"], "nowhere.wasm: "),
        (&["check", "text.wasm"], "error: component: "),
        (
            &["inspect", "--builtin", "pock"],
            "there is no built-in policy \"pock\"; right: cost, ",
        ),
        (
            &["bench", "--builtin", "pack", "--backends", "0"],
            "0 backends; right: 1 to 1024",
        ),
        (
            &["new", "Mine"],
            "\"Mine\" is no name for a plugin; right: ",
        ),
        (
            &["new", "mine", "--sdk", "empty"],
            "empty is not the SDK; right: ",
        ),
    ] {
        let said = author.weir(line);
        assert!(!said.good, "{line:?}");
        assert!(said.notes.contains(words), "{line:?}: {}", said.notes);
    }
}
