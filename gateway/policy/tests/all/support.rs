//! Guests written as core modules in text, made into components here, so that
//! the tests need no Wasm toolchain.

use std::path::Path;
use std::sync::Arc;

use weir_policy::{
    BackendFacts, BackendState, PlacementInput, RequestFacts, SiteFacts, StaticFacts, UsageLimits,
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, UnresolvedPackageGroup};

/// A guest that answers `[0, 1]`, two copies, one acknowledged, unless told
/// otherwise.
pub(crate) struct Guest {
    /// Pages of memory at the start.
    pub(crate) pages: u32,
    pub(crate) candidates: Vec<u32>,
    /// Instead of the length of `candidates`.
    pub(crate) candidates_len: Option<u32>,
    pub(crate) copies: u32,
    pub(crate) ack: u32,
    pub(crate) reason: Vec<u8>,
    /// Instead of the length of `reason`.
    pub(crate) reason_len: Option<u32>,
    /// Instructions before the answer; local 0 points to the request.
    pub(crate) place: String,
    pub(crate) configure: String,
    /// What `configure` returns: a pointer to a result.
    pub(crate) configured: u32,
    pub(crate) describe: String,
    /// More definitions.
    pub(crate) extra: String,
    /// Makes the bytes of otherwise equal guests differ.
    pub(crate) salt: u32,
}

impl Default for Guest {
    fn default() -> Self {
        Self {
            pages: 1,
            candidates: vec![0, 1],
            candidates_len: None,
            copies: 2,
            ack: 1,
            reason: b"because".to_vec(),
            reason_len: None,
            place: String::new(),
            configure: String::new(),
            configured: AT_OK,
            describe: String::new(),
            extra: String::new(),
            salt: 0,
        }
    }
}

const AT_DESCRIPTION: u32 = 0x100;
const AT_DECISION: u32 = 0x140;
const AT_OK: u32 = 0x180;
/// A result with two mistakes.
pub(crate) const AT_MISTAKES: u32 = 0x190;
const AT_MISTAKE_LIST: u32 = 0x1a0;
const AT_TEXT: u32 = 0x200;
const AT_CANDIDATES: u32 = 0x400;
const AT_REASON: u32 = 0x1000;
const AT_HEAP: u32 = 0x8000;

impl Guest {
    pub(crate) fn text(&self) -> String {
        let candidates_len = self.candidates_len.unwrap_or(self.candidates.len() as u32);
        let reason_len = self.reason_len.unwrap_or(self.reason.len() as u32);
        let description = words(&[AT_TEXT, 5, AT_TEXT, 5, AT_TEXT, 5, AT_TEXT, 0]);
        let decision = words(&[
            AT_CANDIDATES,
            candidates_len,
            self.copies,
            self.ack,
            AT_REASON,
            reason_len,
        ]);
        let mistakes = words(&[1, AT_MISTAKE_LIST, 2]);
        let mistake_list = words(&[AT_TEXT, 2, AT_TEXT, 5, AT_TEXT, 2, AT_TEXT + 2, 3]);
        let Self {
            pages,
            place,
            configure,
            configured,
            describe,
            extra,
            salt,
            ..
        } = self;
        format!(
            r#"(module
  (import "weir:policy/host@0.1.0" "log" (func $log (param i32 i32 i32)))
  (import "weir:policy/host@0.1.0" "count" (func $count (param i32 i32 i64)))
  (memory (export "memory") {pages})
  (global $heap (mut i32) (i32.const {AT_HEAP}))
  (global $state (mut i32) (i32.const 0))
  (global $salt i32 (i32.const {salt}))
  (data (i32.const {AT_DESCRIPTION}) "{description}")
  (data (i32.const {AT_DECISION}) "{decision}")
  (data (i32.const {AT_OK}) "\00\00\00\00")
  (data (i32.const {AT_MISTAKES}) "{mistakes}")
  (data (i32.const {AT_MISTAKE_LIST}) "{mistake_list}")
  (data (i32.const {AT_TEXT}) "/abcd")
  (data (i32.const {AT_CANDIDATES}) "{candidates}")
  (data (i32.const {AT_REASON}) "{reason}")
  {extra}
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (local i32)
    (local.set 4 (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
    (global.set $heap (i32.add (local.get 4) (local.get 3)))
    (local.get 4))
  (func (export "weir:policy/lifecycle@0.1.0#describe") (result i32)
    {describe}
    (i32.const {AT_DESCRIPTION}))
  (func (export "weir:policy/lifecycle@0.1.0#configure")
    (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
    {configure}
    (global.set $heap (i32.const {AT_HEAP}))
    (i32.const {configured}))
  (func $place (export "weir:policy/placement@0.1.0#place") (param i32) (result i32)
    {place}
    (global.set $heap (i32.const {AT_HEAP}))
    (i32.const {AT_DECISION})))"#,
            candidates = words(&self.candidates),
            reason = escaped(&self.reason),
        )
    }

    /// The component.
    pub(crate) fn build(&self) -> Vec<u8> {
        component(&self.text(), &wit())
    }
}

/// The project's own WIT package as one text.
pub(crate) fn wit() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit/0.1.0");
    let mut text = "package weir:policy@0.1.0;\n".to_owned();
    for file in ["types", "placement", "lifecycle", "host", "worlds"] {
        let part = std::fs::read_to_string(folder.join(file).with_extension("wit")).expect("wit/");
        text.push_str(&part.replace("package weir:policy@0.1.0;", ""));
    }
    text
}

/// A component of the world `placement-policy` of this WIT text.
pub(crate) fn component(module: &str, wit: &str) -> Vec<u8> {
    let mut module = wat::parse_str(module).expect("the module's text");
    let mut resolve = Resolve::default();
    let group = UnresolvedPackageGroup::parse("policy.wit", wit).expect("the WIT text");
    let package = resolve.push_group(group).expect("the WIT package");
    let world = resolve
        .select_world(&[package], Some("placement-policy"))
        .expect("the world");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("embed");
    ComponentEncoder::default()
        .module(&module)
        .and_then(|mut e| e.encode())
        .expect("encode")
}

fn words(words: &[u32]) -> String {
    escaped(
        &words
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect::<Vec<_>>(),
    )
}

fn escaped(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\{byte:02x}")).collect()
}

/// Facts about this many backends, named `b0`, `b1`, …
pub(crate) fn facts(backends: usize) -> Arc<StaticFacts> {
    let backends = (0..backends)
        .map(|n| BackendFacts {
            id: format!("b{n}"),
            region: Some("eu-north".to_owned()),
            labels: vec![("tier".to_owned(), "hot".to_owned())],
            limits: UsageLimits {
                bytes: Some(1 << 40),
                ..UsageLimits::default()
            },
            ..BackendFacts::default()
        })
        .collect();
    let site = SiteFacts {
        id: "edge-1".to_owned(),
        ..SiteFacts::default()
    };
    Arc::new(StaticFacts {
        generation: 1,
        site,
        backends,
        ..StaticFacts::default()
    })
}

/// Empty, healthy, writable backends.
pub(crate) fn states(backends: usize) -> Vec<BackendState> {
    let state = BackendState {
        limit_bytes: Some(1 << 40),
        writable: true,
        latency_us: 900,
        slots_max: 16,
        ..BackendState::default()
    };
    vec![state; backends]
}

/// A PUT of 10 KiB for two copies.
pub(crate) fn input<'a>(key: &'a str, backends: &'a [BackendState]) -> PlacementInput<'a> {
    PlacementInput {
        facts_generation: 1,
        request: RequestFacts {
            bucket: "photos",
            key,
            size_bytes: Some(10_240),
            content_type: Some("image/jpeg"),
            principal: "AKEXAMPLE",
            site: "edge-1",
            copies: 2,
            ack: 1,
            now_ms: 1_800_000_000_000,
            entropy: 0x0123_4567_89ab_cdef,
            ..RequestFacts::default()
        },
        backends,
    }
}
