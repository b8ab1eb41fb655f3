use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, test_kill_process_group};

use super::{Supervised, pause};
use crate::paths::fresh_folder;

const LONG: Duration = Duration::from_secs(60);

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

fn start(script: &str) -> Supervised {
    let log = fresh_folder("process-test").expect("a folder").join("log");
    Supervised::start(shell(script), &log).expect("sh starts")
}

/// Whether anything of the group is left after a moment.
fn survives(group: u32) -> bool {
    let group = i32::try_from(group)
        .ok()
        .and_then(Pid::from_raw)
        .expect("a process id");
    let start = Instant::now();
    while test_kill_process_group(group).is_ok() {
        if start.elapsed() > Duration::from_secs(5) {
            return true;
        }
        pause(Duration::from_millis(5));
    }
    false
}

#[test]
fn an_exit_status_is_reported() {
    let status = start("exit 3")
        .wait(LONG)
        .expect("can wait")
        .expect("ends in time");
    assert_eq!(status.code(), Some(3));
}

#[test]
fn a_limit_kills() {
    let mut child = start("sleep 60");
    assert_eq!(
        child.wait(Duration::from_millis(50)).expect("can wait"),
        None
    );
    assert!(!survives(child.id()));
}

#[test]
fn dropping_kills_grandchildren_too() {
    let mut child = start("sleep 60 & exit 0");
    let group = child.id();
    child.wait(LONG).expect("can wait");
    drop(child);
    assert!(!survives(group));
}

/// The owner is ended without a chance to clean up; closing the pipe is what that does.
#[test]
fn the_watchdog_kills_when_the_pipe_closes() {
    let mut child = start("sleep 60");
    drop(child.watchdog.stdin.take());
    let ended = child
        .wait(LONG)
        .expect("can wait")
        .expect("killed long before");
    assert_eq!(ended.code(), None, "ended by a signal");
    assert!(!survives(child.id()));
}
