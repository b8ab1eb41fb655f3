//! The bench's place on the machine: its core, and before everybody else.

use std::fs;
use std::process::Command;

use xtask::Result;

/// Where Linux keeps the priority of all processes of a session together (sched(7)); with
/// autogroups on, the priority of one process counts only within its session.
const SESSION_PRIORITY: &str = "/proc/self/autogroup";
const FIRST: &str = "-20";
const USUAL: &str = "0";

/// Held while measuring. What is started meanwhile inherits the priority, so that others
/// cannot break up the batches in which a busy server works. Without the right to it,
/// everything runs as usual, and the report says how much others took.
pub(crate) struct Place(());

impl Place {
    /// Moves this process, the load, to `core`.
    pub(crate) fn take(core: usize) -> Result<Self> {
        run("taskset", &["--cpu-list", "--pid", &core.to_string()])?;
        let _ = run("renice", &["-n", FIRST, "-p"]);
        let _ = fs::write(SESSION_PRIORITY, FIRST);
        Ok(Self(()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // The session goes on after this process, with the shell that it was started from.
        let _ = fs::write(SESSION_PRIORITY, USUAL);
    }
}

/// Runs `program` with `args` on this process.
fn run(program: &str, args: &[&str]) -> Result<()> {
    let output = Command::new(program)
        .args(args)
        .arg(std::process::id().to_string())
        .output()
        .map_err(|e| format!("cannot run {program}: {e}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!(
            "{program}: {}",
            String::from_utf8_lossy(&output.stderr)
        ))
    }
}
