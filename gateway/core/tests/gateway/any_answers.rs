//! Whatever a policy answers, no copy ever breaks a hard constraint, and no object is lost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use weir_core::backends::BackendFacts;
use weir_core::decide::{
    Addition, CopiesProposal, OverflowProposal, Proposal, Route, StoragePolicy, Verdict,
};
use weir_core::observe::{Clamped, Overflow};
use weir_types::crash::CrashPoints;
use weir_types::id::{BackendId, UploadId};
use weir_types::index::Mutation;
use weir_types::record::{BlobState, CopyState, Placement};

use crate::constraints::policy;
use crate::support::{Dice, DieAt, Life, Notes, Rules, Scripted, World, backend_id};

const BACKENDS: usize = 6;
const STEPS: usize = 250;
const KEYS: u64 = 8;

/// Names of the storage policies. The first byte of every body says under which one it is, so
/// that bytes that lie somewhere tell whether they may.
const POLICIES: [&str; 4] = ["any", "eu", "apart", "eu-apart"];

fn policies() -> Vec<StoragePolicy> {
    vec![
        policy("any", 2, &[], false),
        policy("eu", 2, &["eu", "ch"], false),
        policy("apart", 3, &[], true),
        policy("eu-apart", 2, &["eu"], true),
    ]
}

/// Any number of positions: valid ones, the same again, and others.
fn positions(dice: &Dice) -> Vec<usize> {
    let position = |_| match dice.below(10) {
        0 => usize::MAX,
        1 => BACKENDS + usize::try_from(dice.below(3)).expect("small"),
        _ => usize::try_from(dice.below(BACKENDS as u64)).expect("small"),
    };
    (0..dice.below(9)).map(position).collect()
}

fn small(dice: &Dice) -> u8 {
    dice.pick(&[0, 1, 2, 3, 4, u8::MAX])
}

fn text(dice: &Dice) -> String {
    dice.pick(&["", "why not", "a\r\nb\u{0}", "\u{202e}"])
        .into()
}

/// Answers everything at random, from the only entropy that policies get.
fn anything(rules: &Rules) -> Scripted {
    Scripted::proposing(2, |_, request, _| {
        let dice = Dice::new(request.entropy);
        Proposal {
            revision: text(&dice),
            reason: text(&dice),
            candidates: positions(&dice),
            copies: small(&dice),
            ack: small(&dice),
        }
    })
    .under(rules)
    .overflowing(|request, _, _| {
        let dice = Dice::new(request.entropy ^ 1);
        let verdict = match dice.below(4) {
            0 => Verdict::Refuse,
            1 => Verdict::MakeRoom {
                evictions: usize::from(small(&dice)),
                meanwhile: positions(&dice),
            },
            _ => Verdict::Spill(positions(&dice)),
        };
        dice.chance(80).then(|| OverflowProposal {
            revision: text(&dice),
            reason: text(&dice),
            verdict,
        })
    })
    .replicating(|object, _| {
        let dice = Dice::new(object.entropy);
        let addition = |backend| Addition {
            backend,
            priority: small(&dice),
            not_before_ms: dice.pick(&[0, 0, object.now_ms + 60_000, u64::MAX]),
        };
        CopiesProposal {
            revision: text(&dice),
            reason: text(&dice),
            add: positions(&dice).into_iter().map(addition).collect(),
            drop: positions(&dice),
        }
    })
    .routing(|read, _| {
        let dice = Dice::new(read.entropy);
        Route {
            order: positions(&dice),
            hedge_after: dice
                .chance(50)
                .then(|| Duration::from_micros(dice.below(9))),
        }
    })
}

fn world(seed: u64, rules: &Rules, notes: &Notes) -> World {
    let mut world = World::in_memory(seed, BACKENDS);
    let dice = Dice::new(seed);
    for number in 0..BACKENDS {
        let facts = world.facts(number);
        let residency = dice.pick(&[None, Some("eu"), Some("eu"), Some("ch"), Some("us")]);
        let domain = dice.pick(&[None, Some("x"), Some("y"), Some("z")]);
        facts.residency = residency.map(Into::into);
        facts.failure_domain = domain.map(Into::into);
        facts.bytes_max = dice.chance(70).then_some(4000);
        facts.read_only = dice.chance(10);
    }
    world.decider = Arc::new(anything(rules));
    world.observer = Arc::new(notes.clone());
    world
}

/// Whether a backend may hold a copy: what the configuration means, said once more.
fn admits(policy: &StoragePolicy, facts: &BackendFacts) -> bool {
    let Some(allowed) = &policy.constraints.residency else {
        return true;
    };
    facts
        .residency
        .as_ref()
        .is_some_and(|lies| allowed.iter().any(|a| a == lies))
}

/// Whether two backends may not both hold a good copy.
fn clash(policy: &StoragePolicy, one: &BackendFacts, other: &BackendFacts) -> bool {
    let fail_together = match (&one.failure_domain, &other.failure_domain) {
        (Some(one), Some(other)) => one == other,
        _ => one.id == other.id,
    };
    policy.constraints.distinct_failure_domains && fail_together
}

/// Checks records and bytes.
async fn require(world: &World, life: &Life, rules: &Rules) -> Result<(), String> {
    let facts = world.configured();
    let of = |id: &BackendId| facts.iter().find(|f| f.id == *id).expect("configured");
    let rule = |placement: &Placement| {
        let name = placement
            .storage_policy
            .as_deref()
            .expect("each has a name");
        rules.named(Some(name)).expect("each is configured")
    };
    let index = life.gateway.index();
    for blob in index.blobs(None, usize::MAX).await.expect("readable") {
        let policy = rule(&blob.placement);
        let named = blob.placement.candidates.iter().chain(&blob.placement.home);
        let lie = blob.copies.iter().map(|copy| &copy.backend);
        if let Some(id) = named.chain(lie).find(|id| !admits(&policy, of(id))) {
            return Err(format!("{id} may hold nothing of {blob:#?}"));
        }
        let good = blob.copies.iter().filter(|c| c.state == CopyState::Good);
        let good: Vec<&BackendFacts> = good.map(|copy| of(&copy.backend)).collect();
        for (at, one) in good.iter().enumerate() {
            if let Some(other) = good[..at].iter().find(|other| clash(&policy, one, other)) {
                return Err(format!("{} and {} clash: {blob:#?}", one.id, other.id));
            }
        }
        if blob.state == BlobState::Live && blob.copies.is_empty() {
            return Err(format!("it has no copy: {blob:#?}"));
        }
    }
    for number in 0..BACKENDS {
        for held in world.memory(number).contents() {
            let Some(tag) = held.bytes.first() else {
                continue;
            };
            let policy = rules
                .named(Some(POLICIES[usize::from(*tag)]))
                .expect("configured");
            let id = backend_id(number);
            if !admits(&policy, of(&id)) {
                return Err(format!("{id} holds bytes of {}: {}", policy.name, held.key));
            }
        }
    }
    Ok(())
}

/// A key with its policy and bytes.
type Model = BTreeMap<String, (usize, Vec<u8>)>;

async fn step(world: &World, life: &Life, model: &mut Model, dice: &Dice) {
    let client = &life.client;
    let key = format!("{}", dice.below(KEYS));
    let tag = usize::try_from(dice.below(4)).expect("small");
    let class = Some(POLICIES[tag]);
    match dice.below(10) {
        0..4 => {
            let mut bytes = dice.bytes(1 + dice.below(3000));
            bytes[0] = u8::try_from(tag).expect("small");
            let body = crate::support::body(&bytes);
            if client
                .put_as(client.putting(&key, class, body))
                .await
                .is_ok()
            {
                model.insert(key, (tag, bytes));
            }
        }
        4 => {
            // Into the policy that its bytes say.
            let Some((from, (tag, bytes))) = model.iter().next() else {
                return;
            };
            let (from, tag, bytes) = (from.clone(), *tag, bytes.clone());
            let copied = client.copy_as(&from, &key, Some(POLICIES[tag])).await;
            if copied.is_ok() {
                model.insert(key, (tag, bytes));
            }
        }
        5 => {
            let Ok(upload) = client.create_upload_as(&key, None, class).await else {
                return;
            };
            let mut bytes = dice.bytes(1000);
            bytes[0] = u8::try_from(tag).expect("small");
            if finish(life, &key, upload.upload_id, &bytes).await {
                model.insert(key, (tag, bytes));
            } else {
                client.abort(&key, upload.upload_id).await.expect("aborts");
            }
        }
        6 => {
            client.delete(&key, None).await.expect("is deleted");
            model.remove(&key);
        }
        7 => lose_one(world, life, &key, dice).await,
        _ => sleep(Duration::from_secs(dice.below(300))).await,
    }
    for (key, (_, bytes)) in &*model {
        let read = client
            .get(key)
            .await
            .expect("a good copy is never withheld");
        assert!(read.expect("is there").0 == *bytes, "{key} has other bytes");
    }
}

async fn finish(life: &Life, key: &str, upload: UploadId, bytes: &[u8]) -> bool {
    let Ok(part) = life.client.part(key, upload, 1, bytes).await else {
        return false;
    };
    let complete = life.client.completion(key, upload, &[(1, part.etag)]);
    life.client.complete(complete).await.is_ok()
}

/// One of several good copies vanishes, and somebody notices.
async fn lose_one(world: &World, life: &Life, key: &str, dice: &Dice) {
    let key = crate::support::object_key(key);
    let index = life.gateway.index();
    let found = index
        .lookup(&life.client.bucket, &key)
        .await
        .expect("readable");
    let Some(blob) = found.blob else { return };
    let good: Vec<_> = blob
        .copies
        .iter()
        .filter(|c| c.state == CopyState::Good)
        .collect();
    if good.len() < 2 {
        return;
    }
    let copy = good[usize::try_from(dice.below(good.len() as u64)).expect("small")];
    let number = (0..BACKENDS).find(|n| backend_id(*n) == copy.backend);
    // Half of the time it only looked so.
    if dice.chance(50) {
        world
            .memory(number.expect("one of them"))
            .lose(copy.key.as_str());
    }
    let mark = Mutation::MarkCopy {
        blob: blob.blob,
        backend: copy.backend.clone(),
        attempt: copy.attempt,
        state: CopyState::Suspect,
        now: life.now(),
    };
    index.apply(mark).await.expect("is marked");
}

#[test]
fn whatever_is_answered_no_copy_breaks_a_constraint() {
    let (mut copies, notes) = (0, Notes::default());
    for seed in 1..=40 {
        let rules = Rules::new(policies());
        let world = world(seed, &rules, &notes);
        world.live(CrashPoints::none(), async |life| {
            life.make_bucket().await;
            let background = life.start_background();
            let (dice, mut model) = (Dice::new(seed ^ 0xABCD), Model::new());
            for number in 0..STEPS {
                step(&world, &life, &mut model, &dice).await;
                if let Err(problem) = require(&world, &life, &rules).await {
                    panic!("seed {seed}, step {number}: {problem}");
                }
            }
            sleep(Duration::from_secs(3600)).await;
            if let Err(problem) = require(&world, &life, &rules).await {
                panic!("seed {seed}, at the end: {problem}");
            }
            let blobs = life.gateway.index().blobs(None, usize::MAX).await;
            for blob in blobs.expect("readable") {
                copies += usize::from(blob.copies.len() > 1);
            }
            background.stop().await;
        });
    }
    // Otherwise it would show nothing.
    assert!(copies > 40, "{copies} blobs have several copies");
    let spilled = notes.overflows();
    let spilled = spilled.iter().filter(|o| **o == Overflow::Spilled);
    assert!(spilled.count() > 40, "few objects spill");
    for what in [
        Clamped::Ack,
        Clamped::Copies,
        Clamped::Forbidden,
        Clamped::Kept,
        Clamped::Postponed,
    ] {
        assert!(notes.clamped(what) > 40, "{what:?} is rare");
    }
}

/// Where the process dies.
const POINTS: [&str; 9] = [
    "put:intent-written",
    "put:bytes-written",
    "put:committed",
    "replicate:intent-written",
    "replicate:bytes-written",
    "replicate:recorded",
    "repair:absolved",
    "repair:restored",
    "copy:before-share",
];

/// What clients find: whether a write that was under way is there, nobody knows beforehand.
async fn found(life: &Life) -> Model {
    let mut model = Model::new();
    for key in 0..KEYS {
        let key = key.to_string();
        let read = life.client.get(&key).await.expect("a good copy is there");
        if let Some((bytes, _)) = read {
            model.insert(key, (usize::from(bytes[0]), bytes));
        }
    }
    model
}

#[test]
fn nor_does_one_after_any_crash() {
    let mut deaths = 0;
    for seed in 1..=20 {
        let rules = Rules::new(policies());
        let world = world(seed, &rules, &Notes::default());
        let dice = Dice::new(seed ^ 0xDEAD);
        for number in 0..12 {
            let plan = DieAt::new(dice.pick(&POINTS), 1 + dice.below(6));
            world.live(plan.points(), async |life| {
                life.make_bucket().await;
                if let Err(problem) = require(&world, &life, &rules).await {
                    panic!("seed {seed}, life {number}: {problem}");
                }
                let mut model = found(&life).await;
                let background = life.start_background();
                let steps = async {
                    for _ in 0..30 {
                        step(&world, &life, &mut model, &dice).await;
                    }
                };
                tokio::select! {
                    () = plan.death() => deaths += 1,
                    () = steps => background.stop().await,
                }
            });
        }
    }
    assert!(deaths > 100, "only {deaths} deaths");
}
