//! The components, and the one table that says what becomes of each.

use weir_policy::DecisionKind::{self, Overflow, Placement, ReadRouting, Replication};
use weir_policy::{Eviction, FaultKind, Verdict};

use crate::guest::{AT_MISTAKES, Guest, addition, does};

use Fate::{Contained, Refused};

/// What becomes of a component.
pub(super) enum Fate {
    /// Refused at load, in words that hold these.
    Refused(&'static str),
    /// Every one of these decisions fails in this way.
    Contained(&'static [DecisionKind], FaultKind),
}

const ALL: &[DecisionKind] = &DecisionKind::ALL;
/// Those whose answers have a reason.
pub(super) const REASONED: &[DecisionKind] = &[Placement, Overflow, Replication];

pub(super) type Beast = (&'static str, Guest, Fate);

/// In whatever it is asked.
fn in_every_call() -> Vec<Beast> {
    let contained = |name, guest, kind| (name, guest, Contained(ALL, kind));
    vec![
        contained("loops", does("(loop (br 0))"), FaultKind::Fuel),
        contained(
            "loops over its memory",
            Guest {
                pages: 200,
                ..does(
                    "(loop (memory.fill (i32.const 65536) (i32.const 0) (i32.const 13000000)) (br 0))",
                )
            },
            FaultKind::Fuel,
        ),
        contained("traps", does("unreachable"), FaultKind::Trap),
        contained(
            "divides by zero",
            does("(drop (i32.div_u (i32.const 1) (i32.const 0)))"),
            FaultKind::Trap,
        ),
        contained(
            "reads outside its memory",
            does("(drop (i32.load (i32.const -8)))"),
            FaultKind::Trap,
        ),
        contained(
            "calls nothing",
            Guest {
                extra: "(table $t 4 funcref) (type $f (func))".to_owned(),
                ..does("(call_indirect $t (type $f) (i32.const 2))")
            },
            FaultKind::Trap,
        ),
        contained(
            "recurses",
            does("(drop (call {self} (local.get 0)))"),
            FaultKind::Stack,
        ),
        contained(
            "grows its memory",
            does("(loop (drop (memory.grow (i32.const 16))) (br 0))"),
            FaultKind::Memory,
        ),
        contained(
            "grows a table",
            Guest {
                extra: "(table $t 1 funcref)".to_owned(),
                ..does("(drop (table.grow $t (ref.null func) (i32.const 1000000)))")
            },
            FaultKind::Memory,
        ),
        contained(
            "logs a megabyte",
            Guest {
                pages: 64,
                ..does("(call $log (i32.const 1) (i32.const 0) (i32.const 1048576))")
            },
            FaultKind::Output,
        ),
        contained(
            "logs without end",
            does("(loop (call $log (i32.const 1) (i32.const 512) (i32.const 5)) (br 0))"),
            FaultKind::Output,
        ),
        contained(
            "counts without end",
            does("(loop (call $count (i32.const 513) (i32.const 3) (i64.const 1)) (br 0))"),
            FaultKind::Output,
        ),
        contained(
            "logs at no level",
            does("(call $log (i32.const 9) (i32.const 512) (i32.const 5))"),
            FaultKind::Malformed,
        ),
        contained(
            "logs what is no text",
            does(
                "(i32.store8 (i32.const 0x300) (i32.const 255)) (call $log (i32.const 1) (i32.const 0x300) (i32.const 1))",
            ),
            FaultKind::Malformed,
        ),
        contained(
            "answers from outside its memory",
            does("(return (i32.const -8))"),
            FaultKind::Malformed,
        ),
        contained(
            "answers from an odd address",
            does("(return (i32.const 0x241))"),
            FaultKind::Malformed,
        ),
        contained(
            "takes its arguments outside its memory",
            Guest {
                configure: "(global.set $state (i32.const 1))".to_owned(),
                realloc: "(if (global.get $state) (then (return (i32.const -8))))".to_owned(),
                ..Guest::default()
            },
            FaultKind::Malformed,
        ),
        contained(
            "traps when it is given its arguments",
            Guest {
                configure: "(global.set $state (i32.const 1))".to_owned(),
                realloc: "(if (global.get $state) (then unreachable))".to_owned(),
                ..Guest::default()
            },
            FaultKind::Trap,
        ),
        (
            "gives megabytes of reason",
            Guest {
                pages: 64,
                reason_len: Some(3 << 20),
                ..Guest::default()
            },
            Contained(REASONED, FaultKind::Output),
        ),
        (
            "gives a reason that is no text",
            Guest {
                reason: vec![0xff, 0xfe],
                ..Guest::default()
            },
            Contained(REASONED, FaultKind::Malformed),
        ),
    ]
}

fn in_placement() -> Vec<Beast> {
    let places = |name, candidates: &[u32], kind| {
        let guest = Guest {
            candidates: candidates.to_vec(),
            ..Guest::default()
        };
        (name, guest, Contained(&[Placement][..], kind))
    };
    let lists = |name, candidates_len, kind| {
        let guest = Guest {
            pages: 64,
            candidates_len: Some(candidates_len),
            ..Guest::default()
        };
        (name, guest, Contained(&[Placement][..], kind))
    };
    let copies = |name, copies, ack| {
        let guest = Guest {
            copies,
            ack,
            ..Guest::default()
        };
        (
            name,
            guest,
            Contained(&[Placement][..], FaultKind::CopiesRange),
        )
    };
    vec![
        places("places nowhere", &[], FaultKind::NoCandidates),
        places(
            "places on an unknown backend",
            &[0, 4],
            FaultKind::UnknownBackend,
        ),
        places(
            "places on a backend twice",
            &[1, 2, 1],
            FaultKind::DuplicateBackend,
        ),
        lists("names a million candidates", 1_000_000, FaultKind::Output),
        lists(
            "names more than it has memory for",
            u32::MAX / 4,
            FaultKind::Malformed,
        ),
        copies("wants no copies", 0, 0),
        copies("wants a thousand copies", 1000, 1),
        copies("wants more acknowledged than there are", 2, 3),
        copies("wants none acknowledged", 2, 0),
    ]
}

fn in_overflow() -> Vec<Beast> {
    let answers = |name, verdict, kind| {
        let guest = Guest {
            verdict,
            ..Guest::default()
        };
        (name, guest, Contained(&[Overflow][..], kind))
    };
    let moves = |name, source, targets: &[u32], kind| {
        let eviction = Eviction {
            source,
            targets: targets.to_vec(),
            prefix: String::new(),
            storage_class: None,
            age_ms_min: 0,
            bytes_max: 1,
        };
        let verdict = Verdict::MakeRoom {
            evictions: vec![eviction],
            meanwhile: vec![],
        };
        answers(name, verdict, kind)
    };
    let no_moves = Verdict::MakeRoom {
        evictions: vec![],
        meanwhile: vec![1],
    };
    let other_case = Guest {
        verdict_case: Some(7),
        ..Guest::default()
    };
    vec![
        answers(
            "spills nowhere",
            Verdict::Spill(vec![]),
            FaultKind::NoCandidates,
        ),
        answers(
            "spills to an unknown backend",
            Verdict::Spill(vec![4]),
            FaultKind::UnknownBackend,
        ),
        answers(
            "spills twice to one",
            Verdict::Spill(vec![1, 1]),
            FaultKind::DuplicateBackend,
        ),
        (
            "gives a verdict of no case",
            other_case,
            Contained(&[Overflow], FaultKind::Malformed),
        ),
        answers(
            "makes room by moving nothing",
            no_moves,
            FaultKind::NoCandidates,
        ),
        moves("moves to nowhere", 0, &[], FaultKind::NoCandidates),
        moves(
            "moves from an unknown backend",
            9,
            &[0],
            FaultKind::UnknownBackend,
        ),
        moves("moves to where it is", 0, &[1, 0], FaultKind::Contradiction),
    ]
}

fn in_replication() -> Vec<Beast> {
    let copies = |name, add: &[u32], drop: &[u32], kind| {
        let guest = Guest {
            add: add.iter().copied().map(addition).collect(),
            drop: drop.to_vec(),
            ..Guest::default()
        };
        (name, guest, Contained(&[Replication][..], kind))
    };
    vec![
        copies("adds a copy where one lies", &[0], &[], FaultKind::HasCopy),
        copies(
            "adds two copies to one backend",
            &[1, 1],
            &[],
            FaultKind::DuplicateBackend,
        ),
        copies(
            "adds a copy to an unknown backend",
            &[4],
            &[],
            FaultKind::UnknownBackend,
        ),
        copies(
            "drops a copy where none lies",
            &[1],
            &[2],
            FaultKind::NoCopy,
        ),
        copies(
            "drops a copy twice",
            &[1],
            &[0, 0],
            FaultKind::DuplicateBackend,
        ),
        copies(
            "drops from an unknown backend",
            &[],
            &[u32::MAX],
            FaultKind::UnknownBackend,
        ),
    ]
}

fn in_routing() -> Vec<Beast> {
    let reads = |name, order: &[u32], kind| {
        let guest = Guest {
            order: order.to_vec(),
            ..Guest::default()
        };
        (name, guest, Contained(&[ReadRouting][..], kind))
    };
    vec![
        reads("reads nowhere", &[], FaultKind::NoCandidates),
        reads("reads where no copy lies", &[0, 3], FaultKind::NoCopy),
        reads(
            "reads from an unknown backend",
            &[70],
            FaultKind::UnknownBackend,
        ),
        reads(
            "reads from one twice",
            &[1, 0, 1],
            FaultKind::DuplicateBackend,
        ),
    ]
}

fn at_load() -> Vec<Beast> {
    let configures = |name, configure: &str, says| {
        let guest = Guest {
            configure: configure.to_owned(),
            ..Guest::default()
        };
        (name, guest, Refused(says))
    };
    let describes = |name, describe: &str, says| {
        let guest = Guest {
            describe: describe.to_owned(),
            ..Guest::default()
        };
        (name, guest, Refused(says))
    };
    let holds = |name, extra: &str, says| {
        let guest = Guest {
            extra: extra.to_owned(),
            ..Guest::default()
        };
        (name, guest, Refused(says))
    };
    vec![
        configures(
            "loops while it is configured",
            "(loop (br 0))",
            "configure failed: fuel",
        ),
        configures(
            "traps while it is configured",
            "unreachable",
            "configure failed: trap",
        ),
        configures(
            "grows its memory while it is configured",
            "(loop (drop (memory.grow (i32.const 16))) (br 0))",
            "configure failed: memory",
        ),
        configures(
            "is configured with no result",
            "(return (i32.const -4))",
            "configure failed: malformed",
        ),
        describes(
            "loops while it describes itself",
            "(loop (br 0))",
            "describe failed: fuel",
        ),
        describes(
            "traps while it describes itself",
            "unreachable",
            "describe failed: trap",
        ),
        describes(
            "has a name that is no text",
            "(i32.store8 (i32.const 0x200) (i32.const 255))",
            "describe failed: malformed",
        ),
        holds(
            "loops at the start",
            "(func $start (loop (br 0))) (start $start)",
            "instantiation failed: fuel",
        ),
        holds(
            "traps at the start",
            "(func $start unreachable) (start $start)",
            "instantiation failed: trap",
        ),
        holds(
            "begins with a large table",
            "(table $t 200000 funcref)",
            "instantiation failed: memory",
        ),
        holds(
            "has data outside its memory",
            "(data (i32.const 65530) \"0123456789\")",
            "instantiation failed: trap",
        ),
        (
            "begins with much memory",
            Guest {
                pages: 2000,
                ..Guest::default()
            },
            Refused("instantiation failed: memory"),
        ),
        (
            "finds its settings wrong",
            Guest {
                configured: AT_MISTAKES,
                ..Guest::default()
            },
            Refused("settings /a: /abcd; settings /a: bcd"),
        ),
        (
            "decides nothing",
            Guest {
                decides: vec![],
                ..Guest::default()
            },
            Refused("exports none of placement"),
        ),
        (
            "says that it decides more than it does",
            Guest {
                decides: vec![Placement, ReadRouting],
                says: Some(0b1111),
                ..Guest::default()
            },
            Refused(
                "says that it decides placement, overflow, replication, read-routing, \
                 but exports placement, read-routing",
            ),
        ),
        (
            "says that it decides nothing",
            Guest {
                says: Some(0),
                ..Guest::default()
            },
            Refused("says that it decides nothing, but exports placement"),
        ),
    ]
}

/// All of them.
pub(super) fn all() -> Vec<Beast> {
    let beasts = [
        in_every_call(),
        in_placement(),
        in_overflow(),
        in_replication(),
        in_routing(),
        at_load(),
    ];
    beasts.into_iter().flatten().collect()
}
