//! The Python environment with real S3 clients and servers in it.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::paths;
use crate::process::Supervised;
use crate::{Result, paths::scratch};

const INSTALL_LIMIT: Duration = Duration::from_secs(600);
const READY: &str = "ready";

/// The environment that `tests/clients/requirements.txt` describes.
#[derive(Debug, Clone)]
pub struct Python {
    bin: PathBuf,
}

impl Python {
    /// The environment, installed first if it is not there. Its folder is named after the
    /// requirements' digest, so a change of requirements makes a new one.
    pub fn ensure() -> Result<Self> {
        let requirements = paths::root().join("tests/clients/requirements.txt");
        let text = fs::read(&requirements)
            .map_err(|e| format!("cannot read {}: {e}", requirements.display()))?;
        let digest = hex_prefix(&Sha256::digest(&text));
        let tools = scratch("tools")?;
        let folder = tools.join(format!("python-{digest}"));

        let lock = File::create(tools.join("lock")).map_err(|e| format!("cannot lock: {e}"))?;
        lock.lock()
            .map_err(|e| format!("cannot lock {}: {e}", tools.display()))?;
        if !folder.join(READY).exists() {
            install(&folder, &requirements, &tools.join("install.log"))?;
        }
        Ok(Self {
            bin: folder.join("bin"),
        })
    }

    /// A program of the environment: `python`, `aws`, `rclone`, `weed`, …
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// The folder that holds the programs.
    pub fn bin(&self) -> &Path {
        &self.bin
    }
}

fn install(folder: &Path, requirements: &Path, log: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)
            .map_err(|e| format!("cannot empty {}: {e}", folder.display()))?;
    }
    let _ = fs::remove_file(log);
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv"]).arg(folder);
    run(venv, log)?;
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--requirement",
    ])
    .arg(requirements);
    run(pip, log)?;
    File::create(folder.join(READY))
        .and_then(|mut file| file.write_all(b"installed\n"))
        .map_err(|e| format!("cannot mark {} as ready: {e}", folder.display()))
}

fn run(command: Command, log: &Path) -> Result<()> {
    let shown = format!("{command:?}");
    let ended = Supervised::start(command, log)?.wait(INSTALL_LIMIT)?;
    match ended {
        Some(status) if status.success() => Ok(()),
        Some(status) => {
            let said = fs::read_to_string(log).unwrap_or_default();
            Err(format!("{shown}: {status}\n{said}"))
        }
        None => Err(format!(
            "{shown}: not done within {INSTALL_LIMIT:?}; see {}",
            log.display()
        )),
    }
}

fn hex_prefix(digest: &[u8]) -> String {
    digest
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
