//! Servers that stay when the command that started them ends: `cargo xtask servers start`.
//!
//! Each has a folder under `target/xtask/servers` with its data, and the process id of the
//! command that keeps it, which is asked to end by closing its pipe.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::Kind;
use crate::Result;
use crate::paths;
use crate::process::pause;

const READY_FILE: &str = "ready";
const KEEPER_FILE: &str = "keeper";
const START_LIMIT: Duration = Duration::from_secs(90);
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// Starts a server in the background and answers what its keeper said: name, endpoint, keys.
pub fn start_detached(kind: Kind) -> Result<String> {
    let folder = free_folder(kind)?;
    let ready = folder.join(READY_FILE);
    let output = fs::File::create(&ready).map_err(|e| format!("{}: {e}", ready.display()))?;
    let errors = fs::File::create(folder.join("keeper.log")).map_err(|e| e.to_string())?;
    let this = std::env::current_exe().map_err(|e| format!("cannot find this program: {e}"))?;
    let mut keeper = Command::new(this)
        .args(["servers", "keep", kind.name()])
        .arg(folder.join("data"))
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .process_group(0)
        .spawn()
        .map_err(|e| format!("cannot start a keeper: {e}"))?;
    fs::write(folder.join(KEEPER_FILE), keeper.id().to_string()).map_err(|e| e.to_string())?;
    let start = Instant::now();
    loop {
        let said = fs::read_to_string(&ready).unwrap_or_default();
        if said.ends_with('\n') {
            return Ok(format!("{} {said}", name_of(&folder)));
        }
        let ended = keeper.try_wait().map_err(|e| e.to_string())?.is_some();
        if ended || start.elapsed() > START_LIMIT {
            let log = fs::read_to_string(folder.join("keeper.log")).unwrap_or_default();
            return Err(format!("{kind} did not start: {log}"));
        }
        pause(Duration::from_millis(50));
    }
}

/// One line for each server that was started and not stopped.
pub fn list() -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for folder in folders()? {
        let said = fs::read_to_string(folder.join(READY_FILE)).unwrap_or_default();
        let state = if keeper(&folder).is_some() {
            "up"
        } else {
            "dead"
        };
        lines.push(format!("{} {state} {}", name_of(&folder), said.trim_end()));
    }
    lines.sort();
    Ok(lines)
}

/// Ends the server `name`, or all of them, and removes its data.
pub fn stop_detached(name: Option<&str>) -> Result<()> {
    let chosen: Vec<_> = folders()?
        .into_iter()
        .filter(|folder| name.is_none_or(|name| name_of(folder) == name))
        .collect();
    if let (Some(name), true) = (name, chosen.is_empty()) {
        return Err(format!(
            "no server is named {name}; see `cargo xtask servers list`"
        ));
    }
    for folder in chosen {
        if let Some(pid) = keeper(&folder) {
            // The keeper's end closes the pipe of the server's watchdog.
            let _ = kill_process(pid, Signal::TERM);
            let start = Instant::now();
            while keeper(&folder).is_some() && start.elapsed() < STOP_LIMIT {
                pause(Duration::from_millis(20));
            }
        }
        remove(&folder)?;
    }
    Ok(())
}

/// The keeper's process id, if it runs. Its command line is compared, because numbers are
/// used again.
fn keeper(folder: &Path) -> Option<Pid> {
    let number = fs::read_to_string(folder.join(KEEPER_FILE))
        .ok()?
        .parse()
        .ok()?;
    let line = fs::read_to_string(format!("/proc/{number}/cmdline")).ok()?;
    let pid = Pid::from_raw(number)?;
    (line.contains(&*folder.to_string_lossy()) && test_kill_process(pid).is_ok()).then_some(pid)
}

fn free_folder(kind: Kind) -> Result<PathBuf> {
    let base = paths::scratch("servers")?;
    for number in 1..1000 {
        let folder = base.join(format!("{kind}-{number}"));
        match fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(format!("cannot make {}: {e}", folder.display())),
        }
    }
    Err("a thousand servers are enough; run `cargo xtask servers stop`".to_owned())
}

fn folders() -> Result<Vec<PathBuf>> {
    let base = paths::scratch("servers")?;
    let entries =
        fs::read_dir(&base).map_err(|e| format!("cannot read {}: {e}", base.display()))?;
    Ok(entries.flatten().map(|entry| entry.path()).collect())
}

/// A server that was just killed may still hold a file or two for a moment.
fn remove(folder: &Path) -> Result<()> {
    let start = Instant::now();
    loop {
        match fs::remove_dir_all(folder) {
            Ok(()) => return Ok(()),
            Err(e) if start.elapsed() > STOP_LIMIT => {
                return Err(format!("cannot remove {}: {e}", folder.display()));
            }
            Err(_) => pause(Duration::from_millis(50)),
        }
    }
}

fn name_of(folder: &Path) -> String {
    folder
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
