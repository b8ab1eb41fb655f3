//! The gateway against a plain model: random operations, one after the other and a few at a
//! time, must be answered as the model says. A failure is shrunk before it is told.

mod reference;
mod step;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use weir_types::crash::CrashPoints;
use weir_types::id::UploadId;
use weir_types::operation::{ListMultipartUploads, Operation, Outcome};

use crate::support::{Dice, Life, World, come_to_rest, object_key, require_laws, scatter};
use reference::Reference;
use step::{Answer, Step};

const STEPS: usize = 10_000;

#[test]
fn the_gateway_does_what_the_model_does() {
    for seed in [1, 2] {
        let dice = Dice::new(seed);
        let steps: Vec<Step> = (0..STEPS).map(|_| Step::random(&dice)).collect();
        if let Err(problem) = sequential(seed, &steps) {
            let (steps, problem) = shrink(seed, steps, problem);
            panic!(
                "seed {seed}, {} steps are enough: {steps:#?}\n{problem}",
                steps.len()
            );
        }
    }
}

/// Uploads are never too old here: the model knows no time.
fn world(seed: u64) -> World {
    let mut world = World::in_memory(seed, 3);
    world.decider = Arc::new(scatter());
    world.settings.upload_age_max = Duration::from_secs(u64::from(u32::MAX));
    world.settings.memory_of_deletes = world.settings.upload_age_max;
    world
}

/// Plays the steps on a fresh world and a fresh model.
fn sequential(seed: u64, steps: &[Step]) -> Result<(), String> {
    let world = world(seed);
    world.live(CrashPoints::none(), async |life| {
        let background = life.start_background();
        let mut model = Reference::default();
        for (number, step) in steps.iter().enumerate() {
            let given = step.run(&life, &model).await;
            let wanted = model.answer(step, &given);
            if given != wanted {
                return Err(format!(
                    "step {number}, {step:?}: answered {given:?}, the model says {wanted:?}"
                ));
            }
        }
        settle(&life, &model).await?;
        background.stop().await;
        Ok(())
    })
}

/// Finally everything must be as the model has it, and at rest.
async fn settle(life: &Life, model: &Reference) -> Result<(), String> {
    for bucket in model.buckets() {
        let mut client = life.client.clone();
        client.bucket = step::bucket_name(bucket);
        let listed = client
            .list_all("", None, 3)
            .await
            .map_err(|e| e.to_string())?;
        let listed: Vec<_> = listed.into_iter().map(|(key, _)| key).collect();
        let wanted: Vec<_> = model.keys(bucket).map(ToOwned::to_owned).collect();
        if listed != wanted {
            return Err(format!(
                "bucket {bucket} lists {listed:?}, the model {wanted:?}"
            ));
        }
        require_tombstones(life, model, bucket).await?;
        let mut listed = abort_uploads(life, bucket).await?;
        let open = model.open_uploads().filter(|((at, _), _)| *at == bucket);
        let mut wanted: Vec<UploadId> = open.map(|(_, id)| id).collect();
        listed.sort_unstable();
        wanted.sort_unstable();
        if listed != wanted {
            return Err(format!(
                "bucket {bucket} has uploads {listed:?}, the model {wanted:?}"
            ));
        }
    }
    come_to_rest(life).await;
    require_laws(life).await
}

/// Every delete is remembered.
async fn require_tombstones(life: &Life, model: &Reference, bucket: usize) -> Result<(), String> {
    let index = life.gateway.index();
    let found = index
        .bucket(&step::bucket_name(bucket))
        .await
        .map_err(|e| e.to_string())?;
    let life_of_bucket = found.ok_or("the bucket is gone")?.incarnation;
    for key in model.deleted(bucket) {
        let found = index.tombstone(life_of_bucket, &object_key(key)).await;
        if found.map_err(|e| e.to_string())?.is_none() {
            return Err(format!("nothing tells that {key} was deleted"));
        }
    }
    Ok(())
}

/// Gives up every upload of a bucket, and tells which there were.
async fn abort_uploads(life: &Life, bucket: usize) -> Result<Vec<UploadId>, String> {
    let mut client = life.client.clone();
    client.bucket = step::bucket_name(bucket);
    let list = ListMultipartUploads {
        bucket: client.bucket.clone(),
        prefix: String::new(),
        delimiter: None,
        after: None,
        limit: usize::MAX,
    };
    let listed = client.run(Operation::ListMultipartUploads(list)).await;
    let Outcome::Uploads(page) = listed.map_err(|e| e.to_string())? else {
        return Err("not a list of uploads".into());
    };
    for upload in &page.uploads {
        let aborted = client.abort(upload.key.as_str(), upload.upload_id).await;
        aborted.map_err(|e| e.to_string())?;
    }
    Ok(page
        .uploads
        .into_iter()
        .map(|upload| upload.upload_id)
        .collect())
}

/// Drops steps for as long as the rest still fails.
fn shrink(seed: u64, mut steps: Vec<Step>, mut problem: String) -> (Vec<Step>, String) {
    let mut chunk = steps.len() / 2;
    while chunk > 0 {
        let mut at = 0;
        while at < steps.len() {
            let mut fewer = steps.clone();
            fewer.drain(at..(at + chunk).min(fewer.len()));
            match sequential(seed, &fewer) {
                Err(found) => (steps, problem) = (fewer, found),
                Ok(()) => at += chunk,
            }
        }
        chunk /= 2;
    }
    (steps, problem)
}

/// Rounds of the concurrent test, each with a few steps at once on one key.
const ROUNDS: usize = 1500;

#[test]
fn what_happens_at_once_happens_in_some_order() {
    for seed in [1, 2, 3] {
        let mut world = world(seed);
        world.hesitation = Some(seed);
        world.slow_down(seed);
        world.live(CrashPoints::none(), async |life| {
            let background = life.start_background();
            let dice = Dice::new(seed);
            let mut models = vec![Reference::with_bucket()];
            life.make_bucket().await;
            for round in 0..ROUNDS {
                let count = 2 + usize::from(dice.chance(50));
                let steps = (0..count)
                    .map(|position| Step::random_at_once(&dice, position).fixed(&models[0]));
                let steps = step::without_the_unknown(steps.collect());
                let running = steps.iter().map(|step| step.run(&life, &models[0]));
                let given: Vec<Answer> = join_all(running).await;
                models = reference::orders(&models, &steps, &given);
                assert!(
                    !models.is_empty(),
                    "seed {seed}, round {round}: no order of {steps:#?} gives {given:#?}"
                );
            }
            world.calm();
            abort_uploads(&life, 0).await.expect("are given up");
            come_to_rest(&life).await;
            background.stop().await;
            require_laws(&life).await.expect("the laws hold");
        });
    }
}
