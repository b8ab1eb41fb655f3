//! Guests written as core modules in text, made into components here, so that
//! the tests need no Wasm toolchain.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use weir_policy::{
    Addition, Answer, BackendFacts, BackendState, CopyFacts, CopyState, DecisionKind, Excluded,
    Input, Limits, ObjectFacts, Obstacle, Origin, OverflowAnswer, OverflowInput, PlacementAnswer,
    PlacementDecision, PlacementInput, PolicyHost, ReadFacts, Refused, ReplicationAnswer,
    ReplicationInput, RequestFacts, RevisionId, RoutingAnswer, RoutingInput, SiteFacts,
    StaticFacts, UsageLimits, Verdict,
};
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

/// A question of each kind, about this key, from this principal.
pub(crate) fn question<'a>(
    kind: DecisionKind,
    key: &'a str,
    principal: &'a str,
    backends: &'a [BackendState],
) -> Input<'a> {
    let mut placement = input(key, backends);
    placement.request.principal = principal;
    let PlacementInput {
        facts_generation,
        request,
        ..
    } = placement;
    match kind {
        DecisionKind::Placement => Input::Placement(placement),
        DecisionKind::Overflow => Input::Overflow(OverflowInput {
            facts_generation,
            request,
            excluded: &[Excluded {
                backend: 0,
                obstacle: Obstacle::Bytes,
                resets_at_ms: None,
            }],
            backends,
        }),
        DecisionKind::Replication => Input::Replication(ReplicationInput {
            facts_generation,
            object: ObjectFacts {
                // Whose bucket it is stands for who asks.
                bucket: principal,
                key,
                size_bytes: 10_240,
                copies_wanted: 2,
                candidates: &[0, 1],
                copies: &[CopyFacts {
                    backend: 0,
                    state: CopyState::Good,
                    written_at_ms: 1,
                }],
                now_ms: request.now_ms,
                entropy: request.entropy,
                ..ObjectFacts::default()
            },
            backends,
        }),
        DecisionKind::ReadRouting => Input::ReadRouting(RoutingInput {
            facts_generation,
            read: ReadFacts {
                bucket: request.bucket,
                key,
                size_bytes: 10_240,
                length_bytes: 10_240,
                principal,
                site: request.site,
                copies: &[0, 1],
                now_ms: request.now_ms,
                entropy: request.entropy,
                ..ReadFacts::default()
            },
            backends,
        }),
    }
}

/// The same question at another time.
pub(crate) fn at(mut input: Input<'_>, now_ms: u64) -> Input<'_> {
    match &mut input {
        Input::Placement(input) => input.request.now_ms = now_ms,
        Input::Overflow(input) => input.request.now_ms = now_ms,
        Input::Replication(input) => input.object.now_ms = now_ms,
        Input::ReadRouting(input) => input.read.now_ms = now_ms,
    }
    input
}

/// The clock of [`input`].
pub(crate) const NOW_MS: u64 = 1_800_000_000_000;

/// Asks whichever question it is.
pub(crate) fn ask(
    host: &PolicyHost,
    binding: &str,
    input: &Input<'_>,
) -> Result<(Answer, Origin), Refused> {
    Ok(match input {
        Input::Placement(input) => {
            let PlacementDecision {
                candidates,
                copies,
                ack,
                reason,
                origin,
            } = host.place(binding, input)?;
            let answer = PlacementAnswer {
                candidates,
                copies,
                ack,
                reason,
            };
            (Answer::Placement(answer), origin)
        }
        Input::Overflow(input) => {
            let decision = host.overflow(binding, input)?;
            let answer = OverflowAnswer {
                verdict: decision.verdict,
                reason: decision.reason,
            };
            (Answer::Overflow(answer), decision.origin)
        }
        Input::Replication(input) => {
            let decision = host.replicate(binding, input)?;
            let answer = ReplicationAnswer {
                add: decision.add,
                drop: decision.drop,
                reason: decision.reason,
            };
            (Answer::Replication(answer), decision.origin)
        }
        Input::ReadRouting(input) => {
            let decision = host.route(binding, input)?;
            let answer = RoutingAnswer {
                order: decision.order,
                hedge_after_us: decision.hedge_after_us,
            };
            (Answer::ReadRouting(answer), decision.origin)
        }
    })
}

/// Loads a component and lets it decide.
pub(crate) fn activate(
    host: &PolicyHost,
    name: &str,
    component: &[u8],
    settings: &str,
    backends: usize,
) -> RevisionId {
    let id = host
        .load(name, component, None, settings, &facts(backends))
        .expect("loads");
    host.activate(name, id).expect("is loaded");
    id
}

/// A host that waits for threads which a busy machine puts aside: fuel limits the guests.
pub(crate) fn host(limits: Limits) -> PolicyHost {
    PolicyHost::new(patient(limits)).expect("engine")
}

pub(crate) fn patient(limits: Limits) -> Limits {
    let patience = Duration::from_secs(60);
    Limits {
        call_time_max: patience,
        configure_time_max: patience,
        ..limits
    }
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
            now_ms: NOW_MS,
            entropy: 0x0123_4567_89ab_cdef,
            ..RequestFacts::default()
        },
        backends,
    }
}
