//! Reading components from where they come from.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use weir_policy::builtin;

use super::state::Source;
use super::{PolicyError, oci};
use crate::config::check::BUILTIN_POLICIES;
use crate::watch::Fingerprint;

/// Largest signature file: one line.
const SIGNATURE_BYTES_MAX: u64 = 4096;

/// A component as it was found.
#[derive(Debug, Clone)]
pub(super) struct Fetched {
    pub(super) component: Vec<u8>,
    pub(super) signature: Option<Vec<u8>>,
}

/// Reads a component. Of a file no more than its limit is read.
pub(super) fn fetch(source: &Source, bytes_max: u64) -> Result<Fetched, PolicyError> {
    match source {
        Source::Builtin(name) => {
            let component = builtin::component(name).ok_or_else(|| {
                let known = BUILTIN_POLICIES.join(", ");
                let why = format!("no component {name:?} comes with Weir; known: {known}");
                PolicyError::Refused(why)
            })?;
            Ok(Fetched {
                component: component.to_vec(),
                signature: None,
            })
        }
        Source::File(file) => fetch_file(file, bytes_max),
        Source::Oci(layout) => {
            let artifact = oci::read(layout, bytes_max);
            let artifact = artifact.map_err(|error| PolicyError::Refused(error.to_string()))?;
            Ok(Fetched {
                component: artifact.component,
                signature: artifact.signature,
            })
        }
        Source::Uploaded => Err(PolicyError::Refused(
            "an upload cannot be read again".into(),
        )),
    }
}

fn fetch_file(file: &Path, bytes_max: u64) -> Result<Fetched, PolicyError> {
    let component = read(file, bytes_max)?;
    let component = component.ok_or_else(|| {
        PolicyError::Refused(format!("{}: there is no such file", file.display()))
    })?;
    Ok(Fetched {
        component,
        signature: read(&signature_file(file), SIGNATURE_BYTES_MAX)?,
    })
}

/// At most `bytes_max`; `None` when there is no such file.
fn read(path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, PolicyError> {
    let failed = |error| PolicyError::Refused(format!("{}: {error}", path.display()));
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut content = Vec::new();
    let mut file = file.take(bytes_max + 1);
    file.read_to_end(&mut content).map_err(failed)?;
    if content.len() as u64 > bytes_max {
        let why = format!("{}: more than {bytes_max} bytes", path.display());
        return Err(PolicyError::Refused(why));
    }
    Ok(Some(content))
}

/// Where the signature of a component's file stands: `FILE.sig`.
pub fn signature_file(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".sig");
    PathBuf::from(name)
}

/// How what is followed looks now; `None` for what does not change.
pub(super) fn fingerprint(source: &Source) -> Option<Fingerprint> {
    match source {
        Source::File(file) => {
            let signature = signature_file(file);
            Some(Fingerprint::of([file.as_path(), signature.as_path()]))
        }
        Source::Oci(layout) => Some(Fingerprint::of([oci::index(layout).as_path()])),
        Source::Builtin(_) | Source::Uploaded => None,
    }
}
