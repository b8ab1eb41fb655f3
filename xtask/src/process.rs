//! Child processes that end with their owner, however it ends.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::Result;

const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A child at the head of a process group of its own.
///
/// The whole group is killed when this value is dropped. Beside the child runs a shell that
/// waits for the end of a pipe that only this process holds: should this process be
/// interrupted or killed, nobody drops anything, but the pipe closes and the shell kills the
/// group.
#[derive(Debug)]
pub struct Supervised {
    child: Child,
    watchdog: Child,
    name: String,
    ended: Option<ExitStatus>,
}

impl Supervised {
    /// Starts `command` without standard input; what it prints goes to the file `log`.
    pub fn start(mut command: Command, log: &Path) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let output = File::options()
            .create(true)
            .append(true)
            .open(log)
            .map_err(|e| format!("cannot write {}: {e}", log.display()))?;
        let errors = output
            .try_clone()
            .map_err(|e| format!("cannot share a log file: {e}"))?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .map_err(|e| format!("cannot start {name}: {e}"))?;
        match watchdog(child.id()) {
            Ok(watchdog) => Ok(Self {
                child,
                watchdog,
                name,
                ended: None,
            }),
            Err(error) => {
                signal(&child, Signal::KILL);
                let _ = child.wait();
                Err(format!("cannot start the watchdog of {name}: {error}"))
            }
        }
    }

    /// The child's process id, which is also its group's.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How the child ended, or `None` while it runs.
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self
                .child
                .try_wait()
                .map_err(|e| format!("cannot wait for {}: {e}", self.name))?;
        }
        Ok(self.ended)
    }

    /// Waits until the child ends, at most `limit`; then kills its group and answers `None`.
    pub fn wait(&mut self, limit: Duration) -> Result<Option<ExitStatus>> {
        let start = Instant::now();
        while self.try_wait()?.is_none() {
            if start.elapsed() >= limit {
                self.kill();
                return Ok(None);
            }
            pause(POLL_INTERVAL);
        }
        Ok(self.ended)
    }

    /// Kills the group at once and waits until the child is gone.
    pub fn kill(&mut self) {
        if self.ended.is_none() {
            signal(&self.child, Signal::KILL);
            self.ended = self.child.wait().ok();
        }
    }

    /// Asks the group to end (SIGTERM).
    pub fn terminate(&self) {
        if self.ended.is_none() {
            signal(&self.child, Signal::TERM);
        }
    }

    /// Freezes the group (SIGSTOP): a backend that hangs.
    pub fn freeze(&self) {
        signal(&self.child, Signal::STOP);
    }

    /// Lets a frozen group go on (SIGCONT).
    pub fn thaw(&self) {
        signal(&self.child, Signal::CONT);
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        // Also when the child has ended: what it left behind in its group goes with it.
        signal(&self.child, Signal::KILL);
        if self.ended.is_none() {
            let _ = self.child.wait();
        }
        let _ = self.watchdog.kill();
        let _ = self.watchdog.wait();
    }
}

/// Waits; the commands here are not asynchronous.
#[allow(clippy::disallowed_methods)] // the one place that sleeps: polling for the end of a process
pub fn pause(span: Duration) {
    std::thread::sleep(span);
}

fn watchdog(group: u32) -> io::Result<Child> {
    Command::new("sh")
        .args([
            "-c",
            r#"read -r _; kill -s KILL -- "-$1" 2>/dev/null"#,
            "watchdog",
        ])
        .arg(group.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
}

fn signal(child: &Child, signal: Signal) {
    // An error means that the group is gone, which is what was wanted.
    let _ = kill_process_group(Pid::from_child(child), signal);
}

#[cfg(test)]
#[path = "process_tests.rs"]
mod tests;
