//! Reads from a component's type whether it is a policy that this host serves.

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::error::LoadError;

/// The WIT package whose interfaces a policy uses.
const PACKAGE: &str = "weir:policy/";
/// The versions of it that are served.
const SUPPORTED: &[&str] = &["0.1.0"];
/// The same in words.
const SUPPORTED_RANGE: &str = "0.1.0";
/// `types` holds no functions; components import it to share its records.
const IMPORTS: &[&str] = &["host", "types"];
const EXPORTS: &[&str] = &["lifecycle", "placement"];

/// Refuses a component that imports anything but the host's interface, or
/// lacks an export, or uses an unknown version.
pub(crate) fn check(engine: &Engine, component: &Component) -> Result<(), LoadError> {
    let kind = component.component_type();
    for (name, _) in kind.imports(engine) {
        let interface = interface_of(name)?;
        if !interface.is_some_and(|interface| IMPORTS.contains(&interface)) {
            return Err(LoadError::Import(name.escape_debug().to_string()));
        }
    }
    let mut exported = Vec::new();
    for (name, _) in kind.exports(engine) {
        exported.extend(interface_of(name)?);
    }
    for wanted in EXPORTS {
        if !exported.contains(wanted) {
            return Err(LoadError::Export(wanted));
        }
    }
    Ok(())
}

/// The interface of [`PACKAGE`] that `name` stands for; `None` for others.
fn interface_of(name: &str) -> Result<Option<&str>, LoadError> {
    let Some(rest) = name.strip_prefix(PACKAGE) else {
        return Ok(None);
    };
    match rest.split_once('@') {
        Some((interface, version)) if SUPPORTED.contains(&version) => Ok(Some(interface)),
        _ => Err(LoadError::Version {
            name: name.escape_debug().to_string(),
            supported: SUPPORTED_RANGE,
        }),
    }
}
