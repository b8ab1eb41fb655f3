//! `cargo xtask plugins build|verify|freeze`: the first-party components in
//! `plugins/built` with their manifest, and the WIT packages that may not
//! change any more.
//!
//! The components are committed, because a gateway must build where no Wasm
//! toolchain is. The manifest ties each to its sources by digest, so that a
//! change of source without a rebuild is an error.

mod manifest;
mod released;
mod sources;

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::{env, fs};

use sha2::{Digest, Sha256};
use weir_wasm_toolchain::{HELP, TARGET, Toolchain};
use xtask::Result;

use manifest::{Entry, Manifest};

/// All of them, in the order of the manifest.
const PLUGINS: [&str; 9] = [
    "cost",
    "geo",
    "latency",
    "mirror",
    "overflow-spill",
    "pack",
    "spread",
    "tier",
    "weighted",
];
const BUILT: &str = "plugins/built";
const MANIFEST: &str = "plugins/built/manifest.toml";

const USAGE: &str = "\
usage: cargo xtask plugins build|verify|freeze VERSION

build   rebuilds plugins/built from the sources
verify  checks that sources, components and manifest agree and that released
        WIT packages are as they were; where a Wasm toolchain is present also
        that a rebuild gives the same bytes
freeze  enters the folder wit/VERSION into wit/released.toml; from then on
        verify refuses a change there
";

/// Runs the subcommand that `args` name.
pub(crate) fn run(args: &[String]) -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let outcome = match (root, args) {
        (Some(root), [command]) if command == "build" => build(root),
        (Some(root), [command]) if command == "verify" => verify(root),
        (Some(root), [command, version]) if command == "freeze" => released::freeze(root, version),
        _ => Err(format!("{USAGE}\n{HELP}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn build(root: &Path) -> Result<()> {
    let toolchain = Toolchain::find()?.ok_or_else(|| format!("no Wasm toolchain\n\n{HELP}"))?;
    eprintln!("building with {}", toolchain.name());
    let components = components(&toolchain, root)?;
    let mut manifest = Manifest::default();
    for (plugin, component) in components {
        let path = root.join(BUILT).join(format!("{plugin}.wasm"));
        fs::write(&path, &component).map_err(|e| format!("{}: {e}", path.display()))?;
        eprintln!("{}: {} bytes", path.display(), component.len());
        let entry = Entry {
            source_sha256: sources::digest(root, plugin)?,
            component_sha256: hex(&Sha256::digest(&component)),
            toolchain: toolchain.name().to_owned(),
        };
        manifest.entries.insert(plugin.to_owned(), entry);
    }
    fs::write(root.join(MANIFEST), manifest.render()).map_err(|e| format!("{MANIFEST}: {e}"))
}

fn verify(root: &Path) -> Result<()> {
    released::verify(root)?;
    let text = fs::read_to_string(root.join(MANIFEST)).map_err(|e| format!("{MANIFEST}: {e}"))?;
    let manifest = Manifest::parse(&text)?;
    let mut mistakes = String::new();
    for plugin in PLUGINS {
        if let Err(mistake) = verify_one(root, plugin, &manifest) {
            let _ = writeln!(mistakes, "{mistake}");
        }
    }
    if mistakes.is_empty() {
        mistakes = verify_rebuild(root, &manifest)?;
    }
    if mistakes.is_empty() {
        eprintln!("plugins: sources, components and manifest agree");
        return Ok(());
    }
    Err(format!(
        "{mistakes}run `cargo xtask plugins build` and commit {BUILT}"
    ))
}

fn verify_one(root: &Path, plugin: &str, manifest: &Manifest) -> Result<()> {
    let entry = manifest.entry(plugin)?;
    let sources = sources::digest(root, plugin)?;
    if sources != entry.source_sha256 {
        return Err(format!(
            "{plugin}: its sources have changed since the component was built: digest {sources}, \
             manifest {}",
            entry.source_sha256
        ));
    }
    let path = root.join(BUILT).join(format!("{plugin}.wasm"));
    let component = fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let digest = hex(&Sha256::digest(&component));
    if digest != entry.component_sha256 {
        return Err(format!(
            "{plugin}: {BUILT}/{plugin}.wasm is not the component of the manifest: sha256 \
             {digest}, manifest {}",
            entry.component_sha256
        ));
    }
    Ok(())
}

/// What differs after a rebuild. Bytes are compared if the toolchain is the
/// one of the manifest; another one only has to build.
fn verify_rebuild(root: &Path, manifest: &Manifest) -> Result<String> {
    let Some(toolchain) = Toolchain::find()? else {
        eprintln!("plugins: no Wasm toolchain here, so no rebuild");
        return Ok(String::new());
    };
    eprintln!("plugins: rebuilding with {}", toolchain.name());
    let mut mistakes = String::new();
    for (plugin, component) in components(&toolchain, root)? {
        let entry = manifest.entry(plugin)?;
        if entry.toolchain != toolchain.name() {
            eprintln!(
                "{plugin}: builds; not compared, was built with {}",
                entry.toolchain
            );
        } else if hex(&Sha256::digest(&component)) != entry.component_sha256 {
            let _ = writeln!(
                mistakes,
                "{plugin}: a rebuild with the same toolchain differs"
            );
        }
    }
    Ok(mistakes)
}

/// The components, built in `target/plugins`.
fn components(toolchain: &Toolchain, root: &Path) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let target_dir = root.join("target/plugins");
    let mut cargo = toolchain.cargo_build(root)?;
    cargo
        .args(["--profile", "plugin"])
        .arg("--target-dir")
        .arg(&target_dir);
    for plugin in PLUGINS {
        cargo.args(["-p", &format!("weir-plugin-{plugin}")]);
    }
    succeed(&mut cargo)?;

    let modules = target_dir.join(TARGET).join("plugin");
    let component_of = |plugin: &str| modules.join(format!("{plugin}.component.wasm"));
    let mut componentize = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    componentize.current_dir(root);
    componentize.args([
        "run",
        "--quiet",
        "--release",
        "-p",
        "weir-componentize",
        "--",
    ]);
    for plugin in PLUGINS {
        let module = format!("weir_plugin_{}.wasm", plugin.replace('-', "_"));
        componentize
            .arg(modules.join(module))
            .arg(component_of(plugin));
    }
    succeed(&mut componentize)?;
    let read = |plugin| Ok((plugin, sources::read(&component_of(plugin))?));
    PLUGINS.into_iter().map(read).collect()
}

fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status().map_err(|e| format!("{command:?}: {e}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{command:?}: {status}"))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
