//! `cargo xtask plugins build|verify`: the first-party components in
//! `plugins/built` and their manifest.
//!
//! The components are committed, because a gateway must build where no Wasm
//! toolchain is. The manifest ties each to its sources by digest, so that a
//! change of source without a rebuild is an error.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs};

use sha2::{Digest, Sha256};

const PLUGINS: [&str; 2] = ["pack", "spread"];
const TARGET: &str = "wasm32-unknown-unknown";
const BUILT: &str = "plugins/built";
const MANIFEST: &str = "plugins/built/manifest.toml";

const USAGE: &str = "\
usage: cargo xtask plugins build|verify

build   rebuilds plugins/built from the sources
verify  checks that sources, components and manifest agree; where a Wasm
        toolchain is present also that a rebuild gives the same bytes

The toolchain is the installed one if it has the target wasm32-unknown-unknown
(`rustup target add wasm32-unknown-unknown`), or the one that these name:
  WEIR_WASM_RUSTC         a rustc with its library source; std is built with it
  WEIR_WASM_LIBRARY_PATH  LD_LIBRARY_PATH for that rustc, if it needs one
  WEIR_WASM_LINKER        a wasm linker; default: rust-lld of the installed rustc
";

type Result<T, E = String> = std::result::Result<T, E>;

/// Runs the subcommand that `args` name.
pub(crate) fn run(args: &[String]) -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let outcome = match (root, args) {
        (Some(root), [command]) if command == "build" => build(root),
        (Some(root), [command]) if command == "verify" => verify(root),
        _ => Err(USAGE.to_owned()),
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
    let toolchain = Toolchain::find()?.ok_or_else(|| format!("no Wasm toolchain\n\n{USAGE}"))?;
    eprintln!("building with {}", toolchain.name);
    let components = toolchain.build(root)?;
    let mut manifest = Manifest::default();
    for (plugin, component) in components {
        let path = root.join(BUILT).join(format!("{plugin}.wasm"));
        fs::write(&path, &component).map_err(|e| format!("{}: {e}", path.display()))?;
        eprintln!("{}: {} bytes", path.display(), component.len());
        let entry = Entry {
            source_sha256: source_digest(root, plugin)?,
            component_sha256: hex(&Sha256::digest(&component)),
            toolchain: toolchain.name.clone(),
        };
        manifest.entries.insert(plugin.to_owned(), entry);
    }
    fs::write(root.join(MANIFEST), manifest.render()).map_err(|e| format!("{MANIFEST}: {e}"))
}

fn verify(root: &Path) -> Result<()> {
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
    let sources = source_digest(root, plugin)?;
    if sources != entry.source_sha256 {
        return Err(format!(
            "{plugin}: the sources (plugins/{plugin}, plugin-sdk, wit) have changed since the \
             component was built: digest {sources}, manifest {}",
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
    eprintln!("plugins: rebuilding with {}", toolchain.name);
    let mut mistakes = String::new();
    for (plugin, component) in toolchain.build(root)? {
        let entry = manifest.entry(plugin)?;
        if entry.toolchain != toolchain.name {
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

/// SHA-256 over every file that a component is made from: its path, length
/// and bytes, in the order of the paths.
fn source_digest(root: &Path, plugin: &str) -> Result<String> {
    let mut files = Vec::new();
    for folder in [&format!("plugins/{plugin}"), "plugin-sdk", "wit"] {
        collect_files(&root.join(folder), &mut files)?;
    }
    files.sort();
    let mut digest = Sha256::new();
    for file in files {
        let bytes = fs::read(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        let name = file
            .strip_prefix(root)
            .unwrap_or(&file)
            .to_string_lossy()
            .replace('\\', "/");
        digest.update(format!("{name}\0{}\0", bytes.len()));
        digest.update(&bytes);
    }
    Ok(hex(&digest.finalize()))
}

fn collect_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let failed = |e| format!("{}: {e}", folder.display());
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_dir() {
            collect_files(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// A compiler that can build for Wasm.
struct Toolchain {
    /// Compiler, origin of std and linker: all that shows in the bytes.
    name: String,
    rustc: PathBuf,
    linker: PathBuf,
    library_path: Option<String>,
    builds_std: bool,
}

impl Toolchain {
    fn find() -> Result<Option<Self>> {
        let host_sysroot =
            PathBuf::from(output(Command::new("rustc").args(["--print", "sysroot"]))?);
        let host_lld = rust_lld(&host_sysroot);
        let (rustc, builds_std) = match env::var_os("WEIR_WASM_RUSTC") {
            Some(rustc) => (PathBuf::from(rustc), true),
            None => {
                let installed = host_sysroot.join("lib/rustlib").join(TARGET).join("lib");
                if !installed.is_dir() {
                    return Ok(None);
                }
                (PathBuf::from("rustc"), false)
            }
        };
        let linker = env::var_os("WEIR_WASM_LINKER")
            .map(PathBuf::from)
            .or(host_lld);
        let linker = linker.ok_or("no wasm linker: set WEIR_WASM_LINKER")?;
        let mut toolchain = Self {
            name: String::new(),
            rustc,
            linker,
            library_path: env::var("WEIR_WASM_LIBRARY_PATH").ok(),
            builds_std,
        };
        let version = output(toolchain.command(&toolchain.rustc).arg("--version"))?;
        let lld = output(Command::new(&toolchain.linker).args(["-flavor", "wasm", "--version"]))?;
        let std = if builds_std {
            "its own std"
        } else {
            "the target's std"
        };
        toolchain.name = format!("{version}; {std}; {lld}");
        Ok(Some(toolchain))
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        if let Some(path) = &self.library_path {
            command.env("LD_LIBRARY_PATH", path);
        }
        command
    }

    /// The components, built in `target/plugins`.
    fn build(&self, root: &Path) -> Result<Vec<(&'static str, Vec<u8>)>> {
        let target_dir = root.join("target/plugins");
        let mut cargo = self.command(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .current_dir(root)
            .args(["build", "--profile", "plugin", "--target", TARGET]);
        cargo.arg("--target-dir").arg(&target_dir);
        for plugin in PLUGINS {
            cargo.args(["-p", &format!("weir-plugin-{plugin}")]);
        }
        if self.builds_std {
            cargo
                .arg("-Zbuild-std=std,panic_abort")
                .env("RUSTC_BOOTSTRAP", "1");
        }
        cargo
            .env("RUSTC", &self.rustc)
            .env("CARGO_INCREMENTAL", "0");
        cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", &self.linker);
        cargo.env("CARGO_ENCODED_RUSTFLAGS", self.rustflags(root)?);
        succeed(&mut cargo)?;

        let modules = target_dir.join(TARGET).join("plugin");
        let mut components = Vec::new();
        for plugin in PLUGINS {
            let output = modules.join(format!("{plugin}.component.wasm"));
            let mut componentize =
                Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
            componentize.current_dir(root);
            componentize.args([
                "run",
                "--quiet",
                "--release",
                "-p",
                "weir-componentize",
                "--",
            ]);
            componentize
                .arg(modules.join(format!("weir_plugin_{plugin}.wasm")))
                .arg(&output);
            succeed(&mut componentize)?;
            let bytes = fs::read(&output).map_err(|e| format!("{}: {e}", output.display()))?;
            components.push((plugin, bytes));
        }
        Ok(components)
    }

    /// No path of this machine ends up in a panic message.
    fn rustflags(&self, root: &Path) -> Result<String> {
        let sysroot = output(self.command(&self.rustc).args(["--print", "sysroot"]))?;
        let source = Path::new(&sysroot).join("lib/rustlib/src/rust");
        let home = env::var("CARGO_HOME")
            .or_else(|_| env::var("HOME").map(|home| format!("{home}/.cargo")))
            .map_err(|_| "neither CARGO_HOME nor HOME is set")?;
        let mut flags = vec![
            format!("--remap-path-prefix={}=/weir", root.display()),
            format!("--remap-path-prefix={home}=/cargo"),
            format!("--remap-path-prefix={}=/rust", source.display()),
        ];
        if let Ok(real) = source.canonicalize() {
            flags.push(format!("--remap-path-prefix={}=/rust", real.display()));
        }
        // The folder of a registry is named after its address here.
        if let Ok(registries) = fs::read_dir(Path::new(&home).join("registry/src")) {
            for registry in registries.flatten() {
                let path = registry.path();
                flags.push(format!("--remap-path-prefix={}=/registry", path.display()));
            }
        }
        Ok(flags.join("\u{1f}"))
    }
}

fn rust_lld(sysroot: &Path) -> Option<PathBuf> {
    let targets = fs::read_dir(sysroot.join("lib/rustlib")).ok()?;
    targets
        .flatten()
        .map(|target| target.path().join("bin/rust-lld"))
        .find(|lld| lld.is_file())
}

fn output(command: &mut Command) -> Result<String> {
    let result = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    if !result.status.success() {
        return Err(format!(
            "{command:?}: {}",
            String::from_utf8_lossy(&result.stderr)
        ));
    }
    Ok(String::from_utf8_lossy(&result.stdout).trim().to_owned())
}

fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status().map_err(|e| format!("{command:?}: {e}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{command:?}: {status}"))
    }
}

#[derive(Default)]
struct Manifest {
    entries: BTreeMap<String, Entry>,
}

#[derive(Default)]
struct Entry {
    source_sha256: String,
    component_sha256: String,
    toolchain: String,
}

impl Manifest {
    fn entry(&self, plugin: &str) -> Result<&Entry> {
        self.entries
            .get(plugin)
            .ok_or_else(|| format!("{plugin}: not in {MANIFEST}"))
    }

    fn render(&self) -> String {
        let mut text = String::from("# Written by `cargo xtask plugins build`; do not edit.\n");
        for (plugin, entry) in &self.entries {
            let _ = write!(
                text,
                "\n[{plugin}]\nsource_sha256 = \"{}\"\ncomponent_sha256 = \"{}\"\ntoolchain = \"{}\"\n",
                entry.source_sha256, entry.component_sha256, entry.toolchain
            );
        }
        text
    }

    /// Reads what [`Manifest::render`] writes.
    fn parse(text: &str) -> Result<Self> {
        let mut entries = BTreeMap::<String, Entry>::new();
        let mut section = String::new();
        for (number, line) in (1..).zip(text.lines()) {
            let wrong = || format!("{MANIFEST}:{number}: cannot read `{line}`");
            if let Some(name) = line
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
            {
                name.clone_into(&mut section);
            } else if !line.is_empty() && !line.starts_with('#') {
                let (name, value) = line.split_once(" = ").ok_or_else(wrong)?;
                let value = value.trim_matches('"').to_owned();
                let entry = entries.entry(section.clone()).or_default();
                match name {
                    "source_sha256" => entry.source_sha256 = value,
                    "component_sha256" => entry.component_sha256 = value,
                    "toolchain" => entry.toolchain = value,
                    _ => return Err(wrong()),
                }
            }
        }
        Ok(Self { entries })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifest_survives_a_round_trip() {
        let text = fs::read_to_string(
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("..")
                .join(MANIFEST),
        );
        let text = text.expect("the manifest is committed");
        let manifest = Manifest::parse(&text).expect("as written by build");
        assert_eq!(manifest.render(), text);
        for plugin in PLUGINS {
            assert!(manifest.entry(plugin).is_ok(), "{plugin}");
        }
        assert!(Manifest::parse("[pack]\ncolour = \"red\"\n").is_err());
    }

    #[test]
    fn every_byte_and_name_of_the_sources_counts() {
        let root = env::temp_dir().join(format!("xtask-plugins-{}", std::process::id()));
        let write = |name: &str, bytes: &str| {
            let path = root.join(name);
            fs::create_dir_all(path.parent().expect("in a folder")).expect("a folder");
            fs::write(path, bytes).expect("a file");
        };
        let digest = || source_digest(&root, "pack").expect("all folders are there");
        write("plugins/pack/src/lib.rs", "a");
        write("plugin-sdk/src/lib.rs", "b");
        write("wit/host.wit", "c");
        let mut seen = vec![digest()];
        for (name, bytes) in [
            ("plugins/pack/src/lib.rs", "A"),
            ("plugin-sdk/src/lib.rs", "B"),
            ("wit/host.wit", "C"),
            ("wit/empty.wit", ""),
            ("plugins/pack/src/deep/more.rs", "d"),
        ] {
            write(name, bytes);
            let fresh = digest();
            assert!(!seen.contains(&fresh), "{name}");
            seen.push(fresh);
        }
        // Another plugin's sources do not count.
        write("plugins/spread/src/lib.rs", "e");
        assert_eq!(seen.last(), Some(&digest()));
        fs::remove_dir_all(&root).expect("removed");
    }
}
