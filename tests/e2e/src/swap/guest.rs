//! A placement policy that always answers the same backends: a core module in text, made into
//! a component here, so that no Wasm toolchain is needed.

use std::fs;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, UnresolvedPackageGroup};
use xtask::paths;

use crate::Result;

const AT_DESCRIPTION: u32 = 0x100;
const AT_DECISION: u32 = 0x140;
const AT_OK: u32 = 0x180;
const AT_TEXT: u32 = 0x200;
const AT_CANDIDATES: u32 = 0x400;
const AT_HEAP: u32 = 0x8000;
/// Name, version, summary and reason alike.
const TEXT: &str = "fixed";

/// A component that names `candidates`, by their place in the configuration's order, and wants
/// a copy on each.
pub(crate) fn component(candidates: &[u32]) -> Result<Vec<u8>> {
    let (count, text) = (
        u32::try_from(candidates.len()).unwrap_or(u32::MAX),
        TEXT.len() as u32,
    );
    let description = words(&[AT_TEXT, text, AT_TEXT, text, AT_TEXT, text, AT_TEXT, 0]);
    let decision = words(&[AT_CANDIDATES, count, count, 1, AT_TEXT, text]);
    let candidates = words(candidates);
    let module = format!(
        r#"(module
  (import "weir:policy/host@0.1.0" "log" (func (param i32 i32 i32)))
  (import "weir:policy/host@0.1.0" "count" (func (param i32 i32 i64)))
  (memory (export "memory") 1)
  (global $heap (mut i32) (i32.const {AT_HEAP}))
  (data (i32.const {AT_DESCRIPTION}) "{description}")
  (data (i32.const {AT_DECISION}) "{decision}")
  (data (i32.const {AT_OK}) "\00\00\00\00")
  (data (i32.const {AT_TEXT}) "{TEXT}")
  (data (i32.const {AT_CANDIDATES}) "{candidates}")
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (local i32)
    (local.set 4 (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
    (global.set $heap (i32.add (local.get 4) (local.get 3)))
    (local.get 4))
  (func (export "weir:policy/lifecycle@0.1.0#describe") (result i32)
    (i32.const {AT_DESCRIPTION}))
  (func (export "weir:policy/lifecycle@0.1.0#configure")
    (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
    (global.set $heap (i32.const {AT_HEAP}))
    (i32.const {AT_OK}))
  (func (export "weir:policy/placement@0.1.0#place") (param i32) (result i32)
    (global.set $heap (i32.const {AT_HEAP}))
    (i32.const {AT_DECISION})))"#
    );
    encode(&module).map_err(|e| format!("cannot make a component: {e}"))
}

/// A component of the world `placement-policy` of the project's own WIT package.
fn encode(module: &str) -> Result<Vec<u8>> {
    let mut module = wat::parse_str(module).map_err(|e| e.to_string())?;
    let mut resolve = Resolve::default();
    let group =
        UnresolvedPackageGroup::parse("policy.wit", &wit()?).map_err(|e| format!("{e:?}"))?;
    let package = resolve.push_group(group).map_err(|e| format!("{e:?}"))?;
    let world = resolve
        .select_world(&[package], Some("placement-policy"))
        .map_err(|e| e.to_string())?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .map_err(|e| e.to_string())?;
    let encoder = ComponentEncoder::default().module(&module);
    encoder
        .and_then(|mut encoder| encoder.encode())
        .map_err(|e| e.to_string())
}

/// The package as one text.
fn wit() -> Result<String> {
    let mut text = "package weir:policy@0.1.0;\n".to_owned();
    for file in ["types", "placement", "lifecycle", "host", "worlds"] {
        let path = paths::root().join("wit").join(file).with_extension("wit");
        let part = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        text += &part.replace("package weir:policy@0.1.0;", "");
    }
    Ok(text)
}

/// 32-bit words as the text of a data segment.
fn words(words: &[u32]) -> String {
    words
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .map(|byte| format!("\\{byte:02x}"))
        .collect()
}
