//! Reads from a component's type what it decides, and whether it is a policy that this host
//! serves.

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::api::Decisions;
use crate::error::LoadError;
use crate::wire::{SUPPORTED, Version};

/// The WIT package whose interfaces a policy uses.
const PACKAGE: &str = "weir:policy/";
/// `types` holds no functions; components import it to share its records.
const IMPORTS: &[&str] = &["host", "types"];
const LIFECYCLE: &str = "lifecycle";

/// What a component is, by its type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) version: Version,
    pub(crate) decides: Decisions,
}

/// Refuses a component that imports anything but the host's interface, lacks an export, decides
/// nothing, or uses an unknown version or two of them.
pub(crate) fn check(engine: &Engine, component: &Component) -> Result<Shape, LoadError> {
    let kind = component.component_type();
    let mut versions = Vec::new();
    for (name, _) in kind.imports(engine) {
        let used = interface_of(name)?;
        match used.filter(|(interface, _)| IMPORTS.contains(interface)) {
            Some((_, version)) => versions.push((name, version)),
            None => return Err(LoadError::Import(shown(name))),
        }
    }
    let mut exported = Vec::new();
    for (name, _) in kind.exports(engine) {
        if let Some((interface, version)) = interface_of(name)? {
            exported.push(interface);
            versions.push((name, version));
        }
    }
    if !exported.contains(&LIFECYCLE) {
        return Err(LoadError::Export(LIFECYCLE));
    }
    let mut versions = versions.into_iter();
    let Some((_, version)) = versions.next() else {
        return Err(LoadError::Export(LIFECYCLE));
    };
    if let Some((name, _)) = versions.find(|(_, other)| *other != version) {
        return Err(LoadError::MixedVersions {
            version: version.text(),
            name: shown(name),
        });
    }
    let interfaces = version.interfaces().iter().copied();
    let decides: Decisions = interfaces
        .filter(|kind| exported.contains(&kind.name()))
        .collect();
    if decides.is_empty() {
        return Err(LoadError::DecidesNothing);
    }
    Ok(Shape { version, decides })
}

/// The interface of [`PACKAGE`] that `name` stands for; `None` for others.
fn interface_of(name: &str) -> Result<Option<(&str, Version)>, LoadError> {
    let Some(rest) = name.strip_prefix(PACKAGE) else {
        return Ok(None);
    };
    let served = rest.split_once('@').and_then(|(interface, version)| {
        let mut served = Version::ALL.into_iter();
        Some((interface, served.find(|v| v.text() == version)?))
    });
    match served {
        Some(served) => Ok(Some(served)),
        None => Err(LoadError::Version {
            name: shown(name),
            supported: SUPPORTED,
        }),
    }
}

fn shown(name: &str) -> String {
    name.escape_debug().to_string()
}
