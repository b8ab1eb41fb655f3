//! `weir plugin keygen` and `weir plugin sign`.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use weir_policy::SigningKey;
use weir_types::entropy::{Entropy, SystemEntropy};

use super::project::Project;
use super::subject::signature_file;
use super::terminal::answer;
use crate::error::Failure;

/// Make a key that signs components.
#[derive(Debug, Args)]
pub struct Keygen {
    /// Where to write the secret key; it must not exist. The public key goes to FILE.pub.
    pub file: PathBuf,
}

/// Sign a component.
#[derive(Debug, Args)]
pub struct Sign {
    /// A component, or the folder of a plugin that is built.
    #[arg(default_value = ".")]
    pub plugin: PathBuf,
    /// The secret key, as `weir plugin keygen` writes it.
    #[arg(long)]
    pub key: PathBuf,
}

/// Makes a key pair; the public key is the answer.
pub(super) fn keygen(keygen: &Keygen) -> Result<ExitCode, Failure> {
    let mut seed = [0; 32];
    SystemEntropy::default().fill(&mut seed);
    let key = SigningKey::from_seed(&seed).map_err(Failure::of)?;
    let public = key.public().map_err(Failure::of)?.to_string();
    let public_file = PathBuf::from(format!("{}.pub", keygen.file.display()));
    create(&keygen.file, 0o600, &format!("{}\n", hex::encode(seed)))?;
    create(&public_file, 0o644, &format!("{public}\n"))?;
    answer(&format!(
        "{}: the secret key, for `weir plugin sign`\n{}: the public key, for trusted_keys in the \
         gateway's configuration:\n{public}\n",
        keygen.file.display(),
        public_file.display()
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the signature beside the component.
pub(super) fn sign(sign: &Sign) -> Result<ExitCode, Failure> {
    let failed =
        |path: &Path, e: &dyn std::fmt::Display| Failure::new(format!("{}: {e}", path.display()));
    let path = if sign.plugin.is_dir() {
        Project::open(&sign.plugin)?.component()
    } else {
        sign.plugin.clone()
    };
    let text = std::fs::read_to_string(&sign.key).map_err(|e| failed(&sign.key, &e))?;
    let key: SigningKey = text.parse().map_err(|e| failed(&sign.key, &e))?;
    let component = std::fs::read(&path).map_err(|e| failed(&path, &e))?;
    let signature = signature_file(&path);
    std::fs::write(&signature, key.sign(&component)).map_err(|e| failed(&signature, &e))?;
    let public = key.public().map_err(Failure::of)?;
    answer(&format!("{}: by the key {public}\n", signature.display()))?;
    Ok(ExitCode::SUCCESS)
}

fn create(path: &Path, mode: u32, text: &str) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::new(format!("{}: {e}", path.display()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(mode);
    let mut file = options.open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}
