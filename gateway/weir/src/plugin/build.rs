//! `weir plugin build`.

mod tools;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use weir_wasm_toolchain::{HELP, Toolchain};
use wit_component::ComponentEncoder;

use super::Language;
use super::project::Project;
use super::templates::BUILD_JAVASCRIPT;
use super::terminal::{answer, note};
use crate::error::Failure;

pub(super) use tools::{Python, node, succeed};

/// Builds the plugin in `folder`; the component is `output` or NAME.wasm in the folder.
pub(super) fn run(folder: &Path, output: Option<&Path>) -> Result<ExitCode, Failure> {
    let project = Project::open(folder)?;
    let output = output.map_or_else(|| project.component(), Path::to_owned);
    let output = std::path::absolute(&output).map_err(Failure::of)?;
    let started = Instant::now();
    match project.language {
        Language::Rust => rust(&project, &output)?,
        Language::Javascript => javascript(&project, &output)?,
        Language::Python => python(&project, &output)?,
    }
    let written = |e: std::io::Error| Failure::new(format!("{}: {e}", output.display()));
    let bytes = std::fs::metadata(&output).map_err(written)?.len();
    answer(&format!(
        "{}: {bytes} bytes, {:.1} s\n",
        output.display(),
        started.elapsed().as_secs_f64()
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn rust(project: &Project, output: &Path) -> Result<(), Failure> {
    let toolchain = Toolchain::find()
        .map_err(Failure::new)?
        .ok_or_else(|| Failure::new(format!("no Rust toolchain for Wasm\n\n{HELP}")))?;
    let folder = project.folder.canonicalize().map_err(Failure::of)?;
    let mut cargo = toolchain.cargo_build(&folder).map_err(Failure::new)?;
    cargo.args([
        "--release",
        "--lib",
        "--message-format=json-render-diagnostics",
    ]);
    cargo.stdout(Stdio::piped()).stderr(Stdio::inherit());
    let built = cargo
        .output()
        .map_err(|e| Failure::new(format!("cargo: {e}")))?;
    if !built.status.success() {
        return Err(Failure::new("cargo build failed; its messages stand above"));
    }
    let module = module_in(&built.stdout).ok_or_else(|| {
        Failure::new(format!(
            "cargo built no Wasm module; right: crate-type = [\"cdylib\", \"rlib\"] in {}",
            project.folder.join("Cargo.toml").display()
        ))
    })?;
    encode(&module, output)
}

/// The module that cargo's messages name last: dependencies come before it.
fn module_in(messages: &[u8]) -> Option<PathBuf> {
    let messages = String::from_utf8_lossy(messages).into_owned();
    let files = messages.lines().rev().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let files = message.get("filenames")?.as_array()?.clone();
        let mut paths = files.iter().filter_map(|file| file.as_str());
        paths
            .find(|path| path.ends_with(".wasm"))
            .map(PathBuf::from)
    });
    files.take(1).next()
}

/// Makes a component of a module that carries its WIT world.
fn encode(module: &Path, output: &Path) -> Result<(), Failure> {
    let failed =
        |path: &Path, e: &dyn std::fmt::Display| Failure::new(format!("{}: {e}", path.display()));
    let bytes = std::fs::read(module).map_err(|e| failed(module, &e))?;
    let component = ComponentEncoder::default()
        .validate(true)
        .module(&bytes)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|e| {
            let hint = "is the policy exported with `export_policy!`?";
            Failure::new(format!("{}: {e:#}; {hint}", module.display()))
        })?;
    std::fs::write(output, component).map_err(|e| failed(output, &e))
}

fn javascript(project: &Project, output: &Path) -> Result<(), Failure> {
    let node = node()?;
    let installed = Command::new(&node)
        .current_dir(&project.folder)
        .args(["--input-type=module", "-e"])
        .arg("import.meta.resolve('@bytecodealliance/componentize-js')")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !installed.is_ok_and(|status| status.success()) {
        return Err(Failure::new(format!(
            "componentize-js is not installed in {}; right: npm install, in that folder",
            project.folder.display()
        )));
    }
    note("componentize-js takes some ten seconds");
    let mut build = Command::new(&node);
    build
        .current_dir(&project.folder)
        .args(["--input-type=module", "-e", BUILD_JAVASCRIPT, "--"])
        .args(["policy.js", "wit"])
        .arg(output);
    succeed(&mut build, "componentize-js")
}

fn python(project: &Project, output: &Path) -> Result<(), Failure> {
    let python = Python::find(&project.folder)?;
    note("componentize-py takes some ten seconds");
    let mut build = python.componentize(&project.folder);
    build
        .args(["componentize", "--stub-wasi", "policy", "--output"])
        .arg(output);
    succeed(&mut build, "componentize-py")
}
