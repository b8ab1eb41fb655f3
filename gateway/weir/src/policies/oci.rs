//! A component out of an OCI image layout on disk, as `oras`, `wkg` and `skopeo` write it.
//!
//! The layout is a folder with `oci-layout`, `index.json` and `blobs/sha256`
//! (OCI Image Format Specification 1.1, "OCI Image Layout"). It holds one manifest with one
//! layer of type `application/wasm` (CNCF Wasm OCI Artifact). Every blob must have the length
//! and the digest that its descriptor says.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::store::Digest;

/// The layer that is the component.
const WASM_TYPE: &str = "application/wasm";
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
/// Annotation of the layer or the manifest: the signature, as a `.sig` file holds it.
pub const SIGNATURE_ANNOTATION: &str = "weir.policy.signature";
/// Largest index or manifest.
const JSON_BYTES_MAX: u64 = 1 << 20;

/// A component and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// The component.
    pub component: Vec<u8>,
    /// Its signature, when the layout has one.
    pub signature: Option<Vec<u8>>,
}

/// Why a layout gives no component.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// A file cannot be read.
    #[error("{path}: {error}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file is not what the specification says.
    #[error("{path}: {why}")]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A blob is not the one that its descriptor names.
    #[error("{path}: the bytes have the digest sha256:{found}; the blob was changed or cut")]
    Digest {
        /// Which.
        path: PathBuf,
        /// What its bytes have.
        found: Digest,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layout {
    image_layout_version: String,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Manifest {
    layers: Vec<Descriptor>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    size: u64,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// Reads the one component of the layout in `folder`. Of no file more than its limit is read.
pub fn read(folder: &Path, component_bytes_max: u64) -> Result<Artifact, OciError> {
    let layout = folder.join("oci-layout");
    let version: Layout = json(&layout, &bytes(&layout, JSON_BYTES_MAX)?)?;
    if !version.image_layout_version.starts_with("1.") {
        let why = format!("version {} is not 1.x", version.image_layout_version);
        return Err(OciError::Malformed { path: layout, why });
    }
    let index_file = index(folder);
    let content: Index = json(&index_file, &bytes(&index_file, JSON_BYTES_MAX)?)?;
    let manifest = one(&index_file, content.manifests, "manifest")?;
    if manifest.media_type == INDEX_TYPE {
        let why = "an index within the index; name the layout of one image".to_owned();
        return Err(OciError::Malformed {
            path: index_file,
            why,
        });
    }
    let (manifest_file, content) = blob(folder, &manifest, JSON_BYTES_MAX)?;
    let content: Manifest = json(&manifest_file, &content)?;
    let layers = content.layers.into_iter();
    let layers = layers.filter(|layer| layer.media_type == WASM_TYPE);
    let layer = one(
        &manifest_file,
        layers.collect(),
        "layer of application/wasm",
    )?;
    let signature = layer
        .annotations
        .get(SIGNATURE_ANNOTATION)
        .or_else(|| content.annotations.get(SIGNATURE_ANNOTATION));
    let (_, component) = blob(folder, &layer, component_bytes_max)?;
    Ok(Artifact {
        component,
        signature: signature.map(|text| text.clone().into_bytes()),
    })
}

/// The file that changes whenever the layout means another component.
pub fn index(folder: &Path) -> PathBuf {
    folder.join("index.json")
}

fn one(path: &Path, mut all: Vec<Descriptor>, what: &str) -> Result<Descriptor, OciError> {
    match (all.pop(), all.len()) {
        (Some(only), 0) => Ok(only),
        (found, rest) => Err(OciError::Malformed {
            path: path.to_owned(),
            why: format!(
                "one {what} is expected; there are {}",
                rest + usize::from(found.is_some())
            ),
        }),
    }
}

fn blob(folder: &Path, descriptor: &Descriptor, max: u64) -> Result<(PathBuf, Vec<u8>), OciError> {
    let digest = descriptor
        .digest
        .strip_prefix("sha256:")
        .and_then(Digest::parse);
    let Some(digest) = digest else {
        return Err(OciError::Malformed {
            path: folder.to_owned(),
            why: format!("{:?} is no sha256 digest", descriptor.digest),
        });
    };
    let path = folder.join("blobs/sha256").join(digest.as_str());
    let malformed = |why| OciError::Malformed {
        path: path.clone(),
        why,
    };
    if descriptor.size > max {
        let why = format!("{} bytes, more than the limit of {max}", descriptor.size);
        return Err(malformed(why));
    }
    let content = bytes(&path, descriptor.size)?;
    if content.len() as u64 != descriptor.size {
        let why = format!("{} bytes instead of {}", content.len(), descriptor.size);
        return Err(malformed(why));
    }
    let found = Digest::of(&content);
    if found != digest {
        return Err(OciError::Digest { path, found });
    }
    Ok((path, content))
}

/// The content of a file that has at most `max` bytes.
fn bytes(path: &Path, max: u64) -> Result<Vec<u8>, OciError> {
    let failed = |error| OciError::Read {
        path: path.to_owned(),
        error,
    };
    let mut content = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(max.saturating_add(1))
        .read_to_end(&mut content)
        .map_err(failed)?;
    if content.len() as u64 > max {
        return Err(OciError::Malformed {
            path: path.to_owned(),
            why: format!("more than {max} bytes"),
        });
    }
    Ok(content)
}

fn json<'a, T: Deserialize<'a>>(path: &Path, content: &'a [u8]) -> Result<T, OciError> {
    serde_json::from_slice(content).map_err(|error| OciError::Malformed {
        path: path.to_owned(),
        why: error.to_string(),
    })
}

#[cfg(test)]
#[path = "oci_tests.rs"]
mod tests;
