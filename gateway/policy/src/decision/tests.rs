use super::*;
use crate::api::{
    Addition, BackendState, CopyFacts, CopyState, Eviction, ObjectFacts, OverflowAnswer,
    OverflowInput, PlacementAnswer, PlacementInput, ReadFacts, ReplicationAnswer, ReplicationInput,
    RequestFacts, RoutingAnswer, RoutingInput, Verdict,
};

/// What `D` says to an answer, and that the native answer always passes.
fn check<D: Decision>(
    input: &D::Input<'_>,
    cases: impl IntoIterator<Item = (D::Answer, Option<FaultKind>)>,
) {
    let limits = Limits::default();
    for (answer, expected) in cases {
        let found = D::check(&answer, input, &limits).err();
        assert_eq!(found.map(|fault| fault.kind), expected, "{answer:?}");
    }
    let native = D::native(input, NativeCause::Unbound);
    assert_eq!(D::check(&native, input, &limits), Ok(()), "{native:?}");
}

/// More than fit into one word of bits.
const BACKENDS: usize = 70;

fn states() -> Vec<BackendState> {
    let writable = |n| BackendState {
        writable: n != 3,
        ..BackendState::default()
    };
    (0..BACKENDS).map(writable).collect()
}

#[test]
fn placements() {
    let backends = states();
    let input = PlacementInput {
        facts_generation: 1,
        request: RequestFacts::default(),
        backends: &backends,
    };
    let cases = [
        (&[0, 69, 64, 63][..], 2, 1, None),
        (&[0], 16, 16, None),
        (&[], 1, 1, Some(FaultKind::NoCandidates)),
        (&[70], 1, 1, Some(FaultKind::UnknownBackend)),
        (&[u32::MAX], 1, 1, Some(FaultKind::UnknownBackend)),
        (&[3, 4, 3], 1, 1, Some(FaultKind::DuplicateBackend)),
        (&[69, 64, 69], 1, 1, Some(FaultKind::DuplicateBackend)),
        (&[0], 0, 0, Some(FaultKind::CopiesRange)),
        (&[0], 17, 1, Some(FaultKind::CopiesRange)),
        (&[0], 2, 3, Some(FaultKind::CopiesRange)),
        (&[0], 2, 0, Some(FaultKind::CopiesRange)),
    ];
    let case = |(candidates, copies, ack, expected): (&[u32], _, _, _)| {
        let answer = PlacementAnswer {
            candidates: candidates.to_vec(),
            copies,
            ack,
            reason: String::new(),
        };
        (answer, expected)
    };
    check::<Placement>(&input, cases.map(case));
}

#[test]
fn overflows() {
    let backends = states();
    let input = OverflowInput {
        facts_generation: 1,
        request: RequestFacts::default(),
        excluded: &[],
        backends: &backends,
    };
    let spill = |candidates: &[u32]| Verdict::Spill(candidates.to_vec());
    let eviction = |source, targets: &[u32]| Eviction {
        source,
        targets: targets.to_vec(),
        prefix: String::new(),
        storage_class: None,
        age_ms_min: 0,
        bytes_max: 1,
    };
    let make_room = |evictions: &[Eviction], meanwhile: &[u32]| Verdict::MakeRoom {
        evictions: evictions.to_vec(),
        meanwhile: meanwhile.to_vec(),
    };
    let good = eviction(0, &[1, 69]);
    let cases = [
        (Verdict::Refuse, None),
        (spill(&[69, 0]), None),
        (spill(&[]), Some(FaultKind::NoCandidates)),
        (spill(&[70]), Some(FaultKind::UnknownBackend)),
        (spill(&[69, 69]), Some(FaultKind::DuplicateBackend)),
        (make_room(std::slice::from_ref(&good), &[]), None),
        (make_room(&[good.clone(), good.clone()], &[2, 0]), None),
        (make_room(&[], &[1]), Some(FaultKind::NoCandidates)),
        (
            make_room(&[eviction(0, &[])], &[]),
            Some(FaultKind::NoCandidates),
        ),
        (
            make_room(&[eviction(70, &[1])], &[]),
            Some(FaultKind::UnknownBackend),
        ),
        (
            make_room(&[eviction(0, &[70])], &[]),
            Some(FaultKind::UnknownBackend),
        ),
        (
            make_room(&[eviction(0, &[1, 1])], &[]),
            Some(FaultKind::DuplicateBackend),
        ),
        (
            make_room(&[eviction(1, &[0, 1])], &[]),
            Some(FaultKind::Contradiction),
        ),
        (
            make_room(std::slice::from_ref(&good), &[70]),
            Some(FaultKind::UnknownBackend),
        ),
        (
            make_room(&[good], &[3, 3]),
            Some(FaultKind::DuplicateBackend),
        ),
    ];
    let case = |(verdict, expected)| {
        let reason = String::new();
        (OverflowAnswer { verdict, reason }, expected)
    };
    check::<Overflow>(&input, cases.map(case));
}

const COPIES: [CopyFacts; 2] = [
    CopyFacts {
        backend: 0,
        state: CopyState::Good,
        written_at_ms: 0,
    },
    CopyFacts {
        backend: 69,
        state: CopyState::Suspect,
        written_at_ms: 0,
    },
];

#[test]
fn replications() {
    let backends = states();
    let input = ReplicationInput {
        facts_generation: 1,
        object: ObjectFacts {
            copies_wanted: 3,
            candidates: &[3, 0, 4, 4, 5],
            copies: &COPIES,
            ..ObjectFacts::default()
        },
        backends: &backends,
    };
    let cases = [
        (&[][..], &[][..], None),
        (&[1, 69], &[0], None),
        (&[1], &[69, 0], None),
        (&[70], &[], Some(FaultKind::UnknownBackend)),
        (&[1, 1], &[], Some(FaultKind::DuplicateBackend)),
        (&[0], &[], Some(FaultKind::HasCopy)),
        (&[], &[70], Some(FaultKind::UnknownBackend)),
        (&[], &[0, 0], Some(FaultKind::DuplicateBackend)),
        (&[], &[1], Some(FaultKind::NoCopy)),
        (&[69], &[69], Some(FaultKind::Contradiction)),
    ];
    let addition = |backend: &u32| Addition {
        backend: *backend,
        priority: 0,
        not_before_ms: 0,
    };
    let case = |(add, drop, expected): (&[u32], &[u32], _)| {
        let answer = ReplicationAnswer {
            add: add.iter().map(addition).collect(),
            drop: drop.to_vec(),
            reason: String::new(),
        };
        (answer, expected)
    };
    check::<Replication>(&input, cases.map(case));

    // Backend 0 has a good copy, 3 cannot be written to, 69 is no candidate.
    for (wanted, expected) in [
        (0, &[][..]),
        (1, &[]),
        (2, &[4]),
        (3, &[4, 5]),
        (9, &[4, 5, 3]),
    ] {
        let mut input = input;
        input.object.copies_wanted = wanted;
        let ReplicationAnswer { add, drop, .. } = Replication::native(&input, NativeCause::Fault);
        let added: Vec<_> = add.iter().map(|addition| addition.backend).collect();
        assert_eq!(
            (&added[..], &drop[..]),
            (expected, &[][..]),
            "{wanted} wanted"
        );
    }
}

#[test]
fn routes() {
    let backends = states();
    let input = RoutingInput {
        facts_generation: 1,
        read: ReadFacts {
            copies: &[69, 2, 0],
            ..ReadFacts::default()
        },
        backends: &backends,
    };
    let cases = [
        (&[69, 2, 0][..], None),
        (&[0], None),
        (&[], Some(FaultKind::NoCandidates)),
        (&[70], Some(FaultKind::UnknownBackend)),
        (&[2, 2], Some(FaultKind::DuplicateBackend)),
        (&[2, 1], Some(FaultKind::NoCopy)),
    ];
    let case = |(order, expected): (&[u32], _)| {
        let answer = RoutingAnswer {
            order: order.to_vec(),
            hedge_after_us: Some(0),
        };
        (answer, expected)
    };
    check::<Routing>(&input, cases.map(case));
    assert_eq!(
        Routing::native(&input, NativeCause::Fault).order,
        [69, 2, 0]
    );
}
