//! Finds a compiler that builds policies for Wasm. `cargo xtask plugins` and
//! `weir plugin build` use the same one.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// What policies are compiled for.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// What to do when [`Toolchain::find`] finds none.
pub const HELP: &str = "\
The toolchain is the installed one if it has the target wasm32-unknown-unknown
(`rustup target add wasm32-unknown-unknown`), or the one that these name:
  WEIR_WASM_RUSTC         a rustc with its library source; std is built with it
  WEIR_WASM_LIBRARY_PATH  LD_LIBRARY_PATH for that rustc, if it needs one
  WEIR_WASM_LINKER        a wasm linker; default: rust-lld of the installed rustc
";

/// Errors are sentences for the person who builds.
pub type Result<T, E = String> = std::result::Result<T, E>;

/// A compiler that can build for Wasm.
#[derive(Debug)]
pub struct Toolchain {
    name: String,
    rustc: PathBuf,
    /// `None`: cargo finds it.
    linker: Option<PathBuf>,
    library_path: Option<String>,
    builds_std: bool,
}

impl Toolchain {
    /// The toolchain of this machine; `None` when there is none, see [`HELP`].
    pub fn find() -> Result<Option<Self>> {
        let host_sysroot =
            PathBuf::from(output(Command::new("rustc").args(["--print", "sysroot"]))?);
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
            .or_else(|| rust_lld(&host_sysroot));
        if linker.is_none() && builds_std {
            return Err("no wasm linker: set WEIR_WASM_LINKER".to_owned());
        }
        let mut toolchain = Self {
            name: String::new(),
            rustc,
            linker,
            library_path: env::var("WEIR_WASM_LIBRARY_PATH").ok(),
            builds_std,
        };
        let version = output(toolchain.command(&toolchain.rustc).arg("--version"))?;
        let lld = match &toolchain.linker {
            Some(linker) => output(Command::new(linker).args(["-flavor", "wasm", "--version"]))?,
            None => "the target's linker".to_owned(),
        };
        let std = if builds_std {
            "its own std"
        } else {
            "the target's std"
        };
        toolchain.name = format!("{version}; {std}; {lld}");
        Ok(Some(toolchain))
    }

    /// Compiler, origin of std and linker: all that shows in the bytes.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `cargo build` for [`TARGET`] in the folder `root`; profile, packages and
    /// the target folder are the caller's to add. No path of this machine ends
    /// up in a panic message.
    pub fn cargo_build(&self, root: &Path) -> Result<Command> {
        let mut cargo = self.command(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .current_dir(root)
            .args(["build", "--target", TARGET])
            .env("RUSTC", &self.rustc)
            .env("CARGO_INCREMENTAL", "0")
            .env("CARGO_ENCODED_RUSTFLAGS", self.rustflags(root)?);
        if self.builds_std {
            cargo
                .arg("-Zbuild-std=std,panic_abort")
                .env("RUSTC_BOOTSTRAP", "1");
        }
        if let Some(linker) = &self.linker {
            cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
        }
        Ok(cargo)
    }

    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        if let Some(path) = &self.library_path {
            command.env("LD_LIBRARY_PATH", path);
        }
        command
    }

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
    let shown = command.get_program().to_string_lossy().into_owned();
    let result = command.output().map_err(|e| format!("{shown}: {e}"))?;
    if !result.status.success() {
        let said = String::from_utf8_lossy(&result.stderr);
        return Err(format!("{shown}: {}\n{}", result.status, said.trim_end()));
    }
    Ok(String::from_utf8_lossy(&result.stdout).trim().to_owned())
}
