//! Tests that need a process of their own: this test binary, started again for one test.

use std::path::{Path, PathBuf};
use std::process::Command;

use weir_policy::Limits;

use crate::guest::Guest;
use crate::support::{ask, facts, host, question, states};

/// Tells the process that it is the other one, and where its work lies.
const JOB: &str = "WEIR_POLICY_TEST_JOB";

/// In the process that was started for a test: where its work lies.
pub(crate) fn job() -> Option<PathBuf> {
    std::env::var_os(JOB).map(PathBuf::from)
}

/// Runs the test `name` in another process, which must succeed.
pub(crate) fn run(name: &str, job: &Path) {
    let this = std::env::current_exe().expect("the test binary");
    let output = Command::new(this)
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(JOB, job)
        .output()
        .expect("the test binary starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{failed}");
    assert!(said.contains("1 passed"), "{said}");
}

/// A folder of this test's own, removed at its end.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let name = format!("weir-policy-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nothing depends on it.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn memory_is_flat_over_many_swaps() {
    if job().is_none() {
        // Other tests would show in the numbers.
        run("children::memory_is_flat_over_many_swaps", Path::new("/"));
        return;
    }
    let host = host(Limits {
        instances_per_revision: 4,
        ..Limits::default()
    });
    let states = states(4);
    let swap = |salt| {
        let component = Guest {
            salt,
            ..Guest::default()
        }
        .build();
        let id = host.load("b", &component, None, "{}", &facts(4));
        host.activate("b", id.expect("loads")).expect("is loaded");
        for kind in weir_policy::DecisionKind::ALL {
            ask(&host, "b", &question(kind, "k", "AK", &states)).expect("decides");
        }
    };
    (0..100).for_each(swap);
    let before = resident_bytes();
    (100..400).for_each(swap);
    let grown = resident_bytes().saturating_sub(before);
    // 300 leaked revisions would be 300 x 4 instances of 64 KiB and more.
    assert!(grown < 24 << 20, "{grown} bytes");
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    pages.expect("the second field") * 4096
}
