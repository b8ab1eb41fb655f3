//! A policy that decides everything and always the same: a core module in text, made into a
//! component here, so that no Wasm toolchain is needed.
//!
//! What it reads of its arguments and what it answers lies where the component model's
//! canonical ABI puts the records of `wit/0.2.0`.

use std::fs;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, UnresolvedPackageGroup};
use xtask::paths;

use crate::Result;

const VERSION: &str = "0.2.0";
const AT_DESCRIPTION: u32 = 0x100;
const AT_PLACEMENT: u32 = 0x140;
const AT_OVERFLOW: u32 = 0x160;
const AT_REPLICATION: u32 = 0x180;
const AT_ADDITION: u32 = 0x1a0;
const AT_ROUTE: u32 = 0x1c0;
const AT_OK: u32 = 0x1e0;
const AT_TEXT: u32 = 0x200;
const AT_CANDIDATES: u32 = 0x400;
const AT_HOMES: u32 = 0x500;
const AT_HEAP: u32 = 0x8000;
/// Name, version, summary and reason alike.
const TEXT: &str = "fixed";
/// All four decisions, as the flags of a description.
const EVERYTHING: u32 = 0b1111;
/// When the second copy is tried beside the first.
const HEDGE_AFTER_US: u32 = 50_000;

/// A component that proposes `first`, by their place in the configuration's order, and the two
/// `homes` where these are full. It wants two copies, on the candidates of an object's own
/// placement, and reads from the copy that the host would try last.
pub(crate) fn component(first: &[u32], homes: [u32; 2]) -> Result<Vec<u8>> {
    let (count, text) = (
        u32::try_from(first.len()).unwrap_or(u32::MAX),
        TEXT.len() as u32,
    );
    let description = [AT_TEXT, text, AT_TEXT, text, AT_TEXT, text];
    let description = words(&[&description[..], &[EVERYTHING, AT_TEXT, 0]].concat());
    let placement = words(&[AT_CANDIDATES, count, 2, 1, AT_TEXT, text]);
    let overflow = words(&[0, AT_HOMES, 2, 0, 0, AT_TEXT, text]);
    let replication = words(&[AT_ADDITION, 0, 0, 0, AT_TEXT, text]);
    let route = words(&[0, 1, 1, HEDGE_AFTER_US]);
    let (first, homes) = (words(first), words(&homes));
    let module = format!(
        r#"(module
  (import "weir:policy/host@{VERSION}" "log" (func (param i32 i32 i32)))
  (import "weir:policy/host@{VERSION}" "count" (func (param i32 i32 i64)))
  (memory (export "memory") 1)
  (global $heap (mut i32) (i32.const {AT_HEAP}))
  (data (i32.const {AT_DESCRIPTION}) "{description}")
  (data (i32.const {AT_PLACEMENT}) "{placement}")
  (data (i32.const {AT_OVERFLOW}) "{overflow}")
  (data (i32.const {AT_REPLICATION}) "{replication}")
  (data (i32.const {AT_ROUTE}) "{route}")
  (data (i32.const {AT_TEXT}) "{TEXT}")
  (data (i32.const {AT_CANDIDATES}) "{first}")
  (data (i32.const {AT_HOMES}) "{homes}")
  (func $answered (global.set $heap (i32.const {AT_HEAP})))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (local i32)
    (local.set 4 (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
    (global.set $heap (i32.add (local.get 4) (local.get 3)))
    (local.get 4))
  (func (export "weir:policy/lifecycle@{VERSION}#describe") (result i32)
    (i32.const {AT_DESCRIPTION}))
  (func (export "weir:policy/lifecycle@{VERSION}#configure")
    (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
    (call $answered)
    (i32.const {AT_OK}))
  (func (export "weir:policy/placement@{VERSION}#place") (param i32) (result i32)
    (call $answered)
    (i32.const {AT_PLACEMENT}))
  (func (export "weir:policy/overflow@{VERSION}#overflow") (param i32) (result i32)
    (call $answered)
    (i32.const {AT_OVERFLOW}))
  ;; One copy: the one of its two candidates that it does not lie on. More: none.
  (func (export "weir:policy/replication@{VERSION}#replicate") (param i32) (result i32)
    (local $candidates i32)
    (local.set $candidates (i32.load offset=92 (local.get 0)))
    (i32.store (i32.const {AT_ADDITION})
      (select (i32.load offset=4 (local.get $candidates)) (i32.load (local.get $candidates))
        (i32.eq (i32.load (i32.load offset=100 (local.get 0)))
          (i32.load (local.get $candidates)))))
    (i32.store offset=4 (i32.const {AT_REPLICATION})
      (i32.eq (i32.load offset=104 (local.get 0)) (i32.const 1)))
    (call $answered)
    (i32.const {AT_REPLICATION}))
  ;; The last of the copies, of which there are two at least.
  (func (export "weir:policy/read-routing@{VERSION}#route") (param i32) (result i32)
    (i32.store (i32.const {AT_ROUTE})
      (i32.add (i32.load offset=60 (local.get 0))
        (i32.mul (i32.const 4) (i32.sub (i32.load offset=64 (local.get 0)) (i32.const 1)))))
    (call $answered)
    (i32.const {AT_ROUTE})))"#
    );
    encode(&module).map_err(|e| format!("cannot make a component: {e}"))
}

/// A component of the world `policy` of the project's own WIT package.
fn encode(module: &str) -> Result<Vec<u8>> {
    let mut module = wat::parse_str(module).map_err(|e| e.to_string())?;
    let mut resolve = Resolve::default();
    let group =
        UnresolvedPackageGroup::parse("policy.wit", &wit()?).map_err(|e| format!("{e:?}"))?;
    let package = resolve.push_group(group).map_err(|e| format!("{e:?}"))?;
    let world = resolve
        .select_world(&[package], Some("policy"))
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
    let package = format!("package weir:policy@{VERSION};\n");
    let folder = paths::root().join("wit").join(VERSION);
    let failed = |e: std::io::Error| format!("{}: {e}", folder.display());
    let mut text = package.clone();
    for file in fs::read_dir(&folder).map_err(failed)? {
        let part = fs::read_to_string(file.map_err(failed)?.path()).map_err(failed)?;
        text += &part.replace(&package, "");
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

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_a_component_of_the_projects_wit() {
        let component = super::component(&[4], [0, 1]).expect("is made");
        assert!(component.starts_with(b"\0asm"));
    }
}
