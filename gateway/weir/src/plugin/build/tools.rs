//! The tools of other languages, and what to say when they are missing.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Failure;

/// Where a virtual environment keeps its programs.
const VENV_PROGRAMS: &str = if cfg!(windows) { "Scripts" } else { "bin" };

/// Node.js.
pub(crate) fn node() -> Result<PathBuf, Failure> {
    in_path("node").ok_or_else(|| {
        Failure::new("Node.js is not installed; right: a `node` of version 20 or newer in PATH")
    })
}

/// A Python with componentize-py.
pub(crate) struct Python {
    componentize_py: PathBuf,
    pub(crate) interpreter: PathBuf,
}

impl Python {
    /// That of the plugin's own `.venv`, else what is in PATH.
    pub(crate) fn find(folder: &Path) -> Result<Self, Failure> {
        let own = folder.join(".venv").join(VENV_PROGRAMS);
        let find = |name: &str| {
            let own = own.join(name);
            let own = own.is_file().then(|| std::path::absolute(&own).ok());
            own.flatten().or_else(|| in_path(name))
        };
        let componentize_py = find("componentize-py").ok_or_else(|| {
            Failure::new(
                "componentize-py is not installed; right: pip install 'componentize-py>=0.25,<0.26' \
                 (into .venv of the plugin, or so that it is in PATH)",
            )
        })?;
        let interpreter = find("python3").ok_or_else(|| {
            Failure::new(
                "Python is not installed; right: a `python3` of version 3.11 or newer in PATH",
            )
        })?;
        Ok(Self {
            componentize_py,
            interpreter,
        })
    }

    /// componentize-py on the world of a scaffold.
    pub(crate) fn componentize(&self, folder: &Path) -> Command {
        let mut command = Command::new(&self.componentize_py);
        command.current_dir(folder);
        command.args(["-d", "wit", "-w", "plugin"]);
        command
    }
}

/// Runs a tool to its end; its output is shown as it comes.
pub(crate) fn succeed(command: &mut Command, tool: &str) -> Result<(), Failure> {
    let status = command
        .status()
        .map_err(|e| Failure::new(format!("{tool}: {e}")))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{tool} failed ({status}); its messages stand above"
    )))
}

fn in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}
