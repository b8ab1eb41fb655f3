//! Death at every named point, again and again: what was acknowledged is there, what was
//! deleted stays away, and nothing is left lying about.
//!
//! A case is a world that lives several lives. In each, clients write, copy and delete on
//! keys of their own while the background runs; the process dies at the case's point, or
//! somewhere else. The last life only recovers; then the laws are checked.

mod clients;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::sleep;
use weir_backend::Operation;
use weir_backend::fs::{SYNC_SITES, site};
use weir_backend::memory::{Call, Fault, FaultPlan};
use weir_types::backend::BackendErrorKind;
use weir_types::crash::CrashPoints;

use crate::support::{Dice, DieAt, Life, World, come_to_rest, require_laws, scatter};
use clients::{Knowledge, Role};

/// Every crash point of the gateway; that none is missing is checked below.
const POINTS: &[&str] = &[
    "abort:accepted",
    "abort:dropped",
    "abort:finished",
    "clean:decided",
    "clean:retired",
    "complete:accepted",
    "complete:assembled",
    "complete:committed",
    "complete:forgotten",
    "copy:before-share",
    "copy:committed",
    "copy:shared",
    "delete:committed",
    "discard:deleted",
    "discard:dropped",
    "discard:uploads-aborted",
    "part:earlier-forgotten",
    "part:recorded",
    "part:stored",
    "put:bytes-written",
    "put:committed",
    "put:intent-written",
    "reap:aborted",
    "reap:condemned",
    "repair:absolved",
    "repair:removed",
    "repair:restored",
    "replicate:assembled",
    "replicate:bytes-written",
    "replicate:intent-written",
    "replicate:part-written",
    "replicate:recorded",
    "replicate:upload-begun",
    "replicate:upload-noted",
    "upload:begun",
    "upload:intent-written",
    "upload:recorded",
];

/// How often each point must be died at.
const HITS: u64 = 10;

/// Points that need faults, which only backends in memory have.
const NEED_FAULTS: &[&str] = &["repair:absolved", "repair:removed", "repair:restored"];

const CLIENTS: u64 = 4;
const LIVES: u64 = 4;

#[test]
fn every_point_is_swept() {
    let mut found = BTreeSet::new();
    collect(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("src").as_path(),
        &mut found,
    );
    let swept: BTreeSet<String> = POINTS.iter().map(ToString::to_string).collect();
    assert_eq!(found, swept);
}

/// Finds the names of crash points in the source.
fn collect(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("the source is there") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            collect(&path, found);
        } else {
            let text = std::fs::read_to_string(&path).expect("the source is text");
            for rest in text.split("crash.pass(\"").skip(1) {
                found.extend(rest.split('"').next().map(ToOwned::to_owned));
            }
        }
    }
}

#[test]
fn nothing_is_lost_in_memory() {
    sweep(POINTS, "memory", &|seed| {
        scattering(World::in_memory(seed, 3))
    });
}

#[test]
fn nothing_is_lost_on_disks_that_forget() {
    let points: Vec<_> = POINTS
        .iter()
        .copied()
        .filter(|p| !NEED_FAULTS.contains(p))
        .collect();
    sweep(&points, "files", &|seed| {
        scattering(World::on_files(seed, 3))
    });
}

/// Sites of the owner marker, which the core never writes.
const NOT_OURS: &[&str] = &[site::OWNER_BYTES, site::OWNER_NAME];

/// Worlds in which one sync is missing are played until one goes wrong.
const CASES_MAX: u64 = 3000;

#[test]
fn without_any_one_sync_something_is_lost() {
    let sites = SYNC_SITES
        .iter()
        .copied()
        .filter(|site| !NOT_OURS.contains(site));
    for site in sites.map(Some).chain([None]) {
        let red = (0..CASES_MAX).find(|seed| !goes_well(*seed, |world| world.ignore_sync(site)));
        let red = red.unwrap_or_else(|| panic!("nobody misses the sync of {site:?}"));
        assert!(
            goes_well(red, |_| {}),
            "{site:?}: seed {red} is red with every sync"
        );
    }
}

/// Whether a case on disks goes well in a world that was changed.
fn goes_well(seed: u64, change: impl FnOnce(&World)) -> bool {
    let world = scattering(World::on_files(seed, 3));
    change(&world);
    let point = Dice::new(seed).pick(POINTS);
    let played = AssertUnwindSafe(|| case(&world, point, seed));
    matches!(catch_unwind(played), Ok(Ok(_)))
}

fn scattering(mut world: World) -> World {
    world.decider = Arc::new(scatter());
    world.hesitation = Some(7);
    world
}

fn sweep(points: &[&'static str], name: &str, world: &dyn Fn(u64) -> World) {
    let mut hits: BTreeMap<&str, u64> = BTreeMap::new();
    for (number, point) in (0_u64..).zip(points) {
        let mut seed = number * 1000;
        while hits.get(point).copied().unwrap_or(0) < HITS {
            seed += 1;
            assert!(
                seed < number * 1000 + 20 * HITS,
                "{name}: {point} is hardly ever reached"
            );
            let died = case(&world(seed), point, seed)
                .unwrap_or_else(|problem| panic!("{name}, {point}, seed {seed}: {problem}"));
            *hits.entry(point).or_default() += u64::from(died);
        }
    }
}

/// Plays one case; tells whether the process died at `point`.
pub(crate) fn case(world: &World, point: &'static str, seed: u64) -> Result<bool, String> {
    let dice = Dice::new(seed);
    let mut knowledge: Vec<Knowledge> = (0..CLIENTS).map(Knowledge::new).collect();
    let mut died = false;
    for life_number in 0..LIVES {
        // What is to be recovered from comes first: recovery has points of its own.
        let (at, nth) = match (life_number, died) {
            (0, _) if dice.chance(if point.starts_with("reap:") { 90 } else { 20 }) => {
                (dice.pick(POINTS), 1)
            }
            (_, false) => (point, 1 + dice.below(3)),
            (_, true) => ("nowhere", 1),
        };
        let plan = DieAt::new(at, nth);
        world.trouble(seed ^ life_number);
        let problems = world.live(plan.points(), async |life| {
            life.make_bucket().await;
            let background = life.start_background();
            let stories = knowledge.iter_mut().map(|known| {
                let role = Role {
                    life: &life,
                    plan: &plan,
                    dice: Dice::new(dice.below(u64::MAX)),
                };
                role.play(known)
            });
            // Some lives end at an instant of no account.
            let end = Duration::from_millis(1 + dice.below(1 + dice.below(20_000_000)));
            let problems = tokio::select! {
                biased;
                () = plan.death() => Ok(()),
                problems = join_all(stories) => problems.into_iter().collect(),
                () = sleep(end) => Ok(()),
            };
            drop(background);
            problems
        });
        problems?;
        died |= plan.is_dead() && at == point;
        // Later writes would cover up what the death has done.
        if died && dice.chance(50) {
            break;
        }
    }
    world.calm_all();
    world.live(CrashPoints::none(), async |life| {
        recover(&life, &mut knowledge).await
    })?;
    Ok(died)
}

/// The last life: everything comes to rest, and the laws hold.
async fn recover(life: &Life, knowledge: &mut [Knowledge]) -> Result<(), String> {
    life.make_bucket().await;
    let background = life.start_background();
    // Uploads that nobody will finish are given up after a while.
    sleep(life.gateway.settings().upload_age_max + Duration::from_secs(600)).await;
    come_to_rest(life).await;
    for known in knowledge {
        known.check(&life.client).await?;
    }
    // Reads may have raised suspicions.
    sleep(Duration::from_secs(1)).await;
    come_to_rest(life).await;
    background.stop().await;
    require_laws(life).await
}

/// Answers that do not come, come late, or are wrong.
pub(crate) struct Trouble {
    dice: Dice,
}

impl Trouble {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            dice: Dice::new(seed),
        }
    }
}

impl FaultPlan for Trouble {
    fn fault(&self, call: &Call<'_>) -> Option<Fault> {
        let unavailable = BackendErrorKind::Unavailable;
        match (call.operation, self.dice.below(100)) {
            (_, 0) => Some(Fault::Fail(unavailable)),
            (_, 1) => Some(Fault::FailAfter(unavailable)),
            (_, 2..=9) => Some(Fault::Slow(Duration::from_millis(
                1 + self.dice.below(3000),
            ))),
            (Operation::Get, 10..=15) => Some(Fault::Corrupt {
                offset: self.dice.below(1000),
            }),
            (Operation::Get, 16..=18) => Some(Fault::Truncate {
                after: self.dice.below(1000),
            }),
            _ => None,
        }
    }
}
