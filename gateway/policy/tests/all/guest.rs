//! Guests written as core modules in text, made into components here, so that
//! the tests need no Wasm toolchain.

use std::path::Path;

use weir_policy::{Addition, DecisionKind, Verdict};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, UnresolvedPackageGroup};

/// A guest of 0.2.0 that decides everything; unless told otherwise it places on `[0, 1]` with
/// two copies, one acknowledged, spills to `[0, 1]`, adds a copy on 1, and reads from 0.
pub(crate) struct Guest {
    /// Pages of memory at the start.
    pub(crate) pages: u32,
    /// What it exports.
    pub(crate) decides: Vec<DecisionKind>,
    /// What `describe` says that it decides, as bits; `None`: what it exports.
    pub(crate) says: Option<u8>,
    /// What `describe` says that it needs, as bits.
    pub(crate) needs: u8,
    pub(crate) candidates: Vec<u32>,
    /// Instead of the length of `candidates`.
    pub(crate) candidates_len: Option<u32>,
    pub(crate) copies: u32,
    pub(crate) ack: u32,
    pub(crate) verdict: Verdict,
    /// Instead of the number of the verdict's case.
    pub(crate) verdict_case: Option<u8>,
    pub(crate) add: Vec<Addition>,
    pub(crate) drop: Vec<u32>,
    pub(crate) order: Vec<u32>,
    /// Of all answers that have one.
    pub(crate) reason: Vec<u8>,
    /// Instead of the length of `reason`.
    pub(crate) reason_len: Option<u32>,
    /// Instructions before each answer. Local 0 points to the arguments; `{self}` is the
    /// function, `{key_len}` where the length of the key lies.
    pub(crate) does: String,
    pub(crate) configure: String,
    /// What `configure` returns: a pointer to a result.
    pub(crate) configured: u32,
    pub(crate) describe: String,
    /// Instructions of the allocator, before it gives out memory.
    pub(crate) realloc: String,
    /// More definitions.
    pub(crate) extra: String,
    /// Makes the bytes of otherwise equal guests differ.
    pub(crate) salt: u32,
}

impl Default for Guest {
    fn default() -> Self {
        Self {
            pages: 1,
            decides: DecisionKind::ALL.to_vec(),
            says: None,
            needs: 0,
            candidates: vec![0, 1],
            candidates_len: None,
            copies: 2,
            ack: 1,
            verdict: Verdict::Spill(vec![0, 1]),
            verdict_case: None,
            add: vec![addition(1)],
            drop: vec![],
            order: vec![0],
            reason: b"because".to_vec(),
            reason_len: None,
            does: String::new(),
            configure: String::new(),
            configured: AT_OK,
            describe: String::new(),
            realloc: String::new(),
            extra: String::new(),
            salt: 0,
        }
    }
}

/// A copy at once.
pub(crate) fn addition(backend: u32) -> Addition {
    Addition {
        backend,
        priority: 0,
        not_before_ms: 0,
    }
}

/// A guest that does this in every call.
pub(crate) fn does(does: &str) -> Guest {
    Guest {
        does: does.to_owned(),
        ..Guest::default()
    }
}

const AT_DESCRIPTION: u32 = 0x100;
const AT_OK: u32 = 0x180;
/// A result with two mistakes.
pub(crate) const AT_MISTAKES: u32 = 0x190;
const AT_MISTAKE_LIST: u32 = 0x1a0;
const AT_TEXT: u32 = 0x200;
const AT_PLACEMENT: u32 = 0x240;
const AT_OVERFLOW: u32 = 0x260;
const AT_REPLICATION: u32 = 0x280;
const AT_ROUTING: u32 = 0x2a0;
const AT_CANDIDATES: u32 = 0x400;
const AT_SPILL: u32 = 0x500;
const AT_EVICTIONS: u32 = 0x600;
const AT_TARGETS: u32 = 0x700;
const AT_ADD: u32 = 0x800;
const AT_DROP: u32 = 0x900;
const AT_ORDER: u32 = 0xa00;
const AT_REASON: u32 = 0x1000;
const AT_HEAP: u32 = 0x8000;

/// The version of the WIT package that guests are of.
const VERSION: &str = "0.2.0";

/// Interface, function, offset of the key's length in the arguments, and the answer.
const FUNCTIONS: [(DecisionKind, &str, u32, u32); 4] = [
    (DecisionKind::Placement, "place", 16, AT_PLACEMENT),
    (DecisionKind::Overflow, "overflow", 16, AT_OVERFLOW),
    (DecisionKind::Replication, "replicate", 12, AT_REPLICATION),
    (DecisionKind::ReadRouting, "route", 12, AT_ROUTING),
];

impl Guest {
    pub(crate) fn text(&self) -> String {
        let Self {
            pages,
            configure,
            configured,
            describe,
            realloc,
            extra,
            salt,
            ..
        } = self;
        let mut data = String::new();
        for (at, bytes) in self.data() {
            let bytes: String = bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
            data.push_str(&format!("  (data (i32.const {at}) \"{bytes}\")\n"));
        }
        let mut functions = String::new();
        for (kind, function, key_len, answer) in FUNCTIONS {
            if !self.decides.contains(&kind) {
                continue;
            }
            let body = self
                .does
                .replace("{self}", &format!("${function}"))
                .replace("{key_len}", &key_len.to_string());
            functions.push_str(&format!(
                r#"  (func ${function} (export "weir:policy/{kind}@{VERSION}#{function}") (param i32) (result i32)
    {body}
    (global.set $heap (i32.const {AT_HEAP}))
    (i32.const {answer}))
"#
            ));
        }
        format!(
            r#"(module
  (import "weir:policy/host@{VERSION}" "log" (func $log (param i32 i32 i32)))
  (import "weir:policy/host@{VERSION}" "count" (func $count (param i32 i32 i64)))
  (memory (export "memory") {pages})
  (global $heap (mut i32) (i32.const {AT_HEAP}))
  (global $state (mut i32) (i32.const 0))
  (global $salt i32 (i32.const {salt}))
{data}  {extra}
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (local i32)
    {realloc}
    (local.set 4 (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
    (global.set $heap (i32.add (local.get 4) (local.get 3)))
    (local.get 4))
  (func (export "weir:policy/lifecycle@{VERSION}#describe") (result i32)
    {describe}
    (i32.const {AT_DESCRIPTION}))
  (func (export "weir:policy/lifecycle@{VERSION}#configure")
    (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
    {configure}
    (global.set $heap (i32.const {AT_HEAP}))
    (i32.const {configured}))
{functions})"#
        )
    }

    /// What lies where in its memory, as the canonical ABI lays it out.
    fn data(&self) -> Vec<(u32, Vec<u8>)> {
        let exports = self
            .decides
            .iter()
            .fold(0, |bits, kind| bits | 1 << *kind as u8);
        let flags = [self.says.unwrap_or(exports), self.needs, 0, 0];
        let description = [
            words(&[AT_TEXT, 5, AT_TEXT, 5, AT_TEXT, 5]),
            flags.to_vec(),
            words(&[AT_TEXT, 0]),
        ];
        let reason = [
            AT_REASON,
            self.reason_len.unwrap_or(self.reason.len() as u32),
        ];
        let candidates_len = self.candidates_len.unwrap_or(self.candidates.len() as u32);
        let placement = [
            words(&[AT_CANDIDATES, candidates_len, self.copies, self.ack]),
            words(&reason),
        ];
        let (case, payload) = match &self.verdict {
            Verdict::Spill(candidates) => (0, [AT_SPILL, candidates.len() as u32, 0, 0]),
            Verdict::Refuse => (1, [0; 4]),
            Verdict::MakeRoom {
                evictions,
                meanwhile,
            } => {
                let (evictions, meanwhile) = (evictions.len() as u32, meanwhile.len() as u32);
                (2, [AT_EVICTIONS, evictions, AT_SPILL, meanwhile])
            }
        };
        let case = u32::from(self.verdict_case.unwrap_or(case));
        let overflow = [words(&[case]), words(&payload), words(&reason)];
        let (spill, evictions) = match &self.verdict {
            Verdict::Spill(candidates) => (&candidates[..], &[][..]),
            Verdict::Refuse => (&[][..], &[][..]),
            Verdict::MakeRoom {
                evictions,
                meanwhile,
            } => (&meanwhile[..], &evictions[..]),
        };
        let mut targets = Vec::new();
        let mut eviction_list = Vec::new();
        for eviction in evictions {
            let at = AT_TARGETS + targets.len() as u32;
            let count = eviction.targets.len() as u32;
            targets.extend(words(&eviction.targets));
            eviction_list.extend(words(&[eviction.source, at, count, AT_TEXT, 0, 0, 0, 0]));
            eviction_list.extend(eviction.age_ms_min.to_le_bytes());
            eviction_list.extend(eviction.bytes_max.to_le_bytes());
        }
        let (add, drop) = (self.add.len() as u32, self.drop.len() as u32);
        let replication = [words(&[AT_ADD, add, AT_DROP, drop]), words(&reason)];
        let mut add_list = Vec::new();
        for addition in &self.add {
            add_list.extend(words(&[addition.backend, u32::from(addition.priority)]));
            add_list.extend(addition.not_before_ms.to_le_bytes());
        }
        let routing = words(&[AT_ORDER, self.order.len() as u32, 0, 0]);
        vec![
            (AT_DESCRIPTION, description.concat()),
            (AT_OK, words(&[0])),
            (AT_MISTAKES, words(&[1, AT_MISTAKE_LIST, 2])),
            (
                AT_MISTAKE_LIST,
                words(&[AT_TEXT, 2, AT_TEXT, 5, AT_TEXT, 2, AT_TEXT + 2, 3]),
            ),
            (AT_TEXT, b"/abcd".to_vec()),
            (AT_PLACEMENT, placement.concat()),
            (AT_OVERFLOW, overflow.concat()),
            (AT_REPLICATION, replication.concat()),
            (AT_ROUTING, routing),
            (AT_CANDIDATES, words(&self.candidates)),
            (AT_SPILL, words(spill)),
            (AT_EVICTIONS, eviction_list),
            (AT_TARGETS, targets),
            (AT_ADD, add_list),
            (AT_DROP, words(&self.drop)),
            (AT_ORDER, words(&self.order)),
            (AT_REASON, self.reason.clone()),
        ]
    }

    /// The component.
    pub(crate) fn build(&self) -> Vec<u8> {
        component(&self.text(), &wit(&self.decides))
    }
}

/// The project's own WIT package as one text, with a world `this` that exports these decisions.
pub(crate) fn wit(decides: &[DecisionKind]) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../wit")
        .join(VERSION);
    let header = format!("package weir:policy@{VERSION};\n");
    let mut text = header.clone();
    let decisions = DecisionKind::ALL.map(DecisionKind::name);
    for file in ["types", "lifecycle", "host"].iter().chain(&decisions) {
        let part = std::fs::read_to_string(folder.join(file).with_extension("wit")).expect("wit/");
        text.push_str(&part.replace(&header, ""));
    }
    let exports: String = decides
        .iter()
        .map(|kind| format!("  export {kind};\n"))
        .collect();
    text + &format!("world this {{\n  import host;\n  export lifecycle;\n{exports}}}\n")
}

/// A component of the world `this` of a WIT text.
pub(crate) fn component(module: &str, wit: &str) -> Vec<u8> {
    let mut module = wat::parse_str(module).expect("the module's text");
    let mut resolve = Resolve::default();
    let group = UnresolvedPackageGroup::parse("policy.wit", wit).expect("the WIT text");
    let package = resolve.push_group(group).expect("the WIT package");
    let world = resolve
        .select_world(&[package], Some("this"))
        .expect("the world");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("embed");
    ComponentEncoder::default()
        .module(&module)
        .and_then(|mut e| e.encode())
        .expect("encode")
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}
