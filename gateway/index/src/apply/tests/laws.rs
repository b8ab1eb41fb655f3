//! Random mutations on both engines: they answer alike, end up alike, keep the laws, and lose
//! nothing over a restart.

use weir_types::clock::Timestamp;
use weir_types::entropy::{Entropy, SeededEntropy};
use weir_types::id::{IntentId, OutboxId};
use weir_types::index::{CommitContent, Index, Mutation, WriteConditions};
use weir_types::record::{BlobRecord, CopyState, Intent, IntentState, Work};

use crate::testing::*;
use crate::{CommitMode, EmbeddedIndex, IndexOptions, MemoryIndex};

const STEPS: u64 = 1500;
const KEYS: [&str; 5] = ["a", "a/b", "a/c", "b", "c/d/e"];

/// Draws mutations that mostly fit the state of an index, and sometimes do not.
pub(crate) struct Generator<'i> {
    entropy: SeededEntropy,
    index: &'i MemoryIndex,
    made: u32,
    now: u64,
}

impl<'i> Generator<'i> {
    /// Draws by `seed`; looks at `index`, which is to be changed by what is drawn.
    pub(crate) fn new(index: &'i MemoryIndex, seed: u64) -> Self {
        Self {
            entropy: SeededEntropy::new(seed),
            index,
            made: 0,
            now: 100,
        }
    }

    fn below(&self, bound: u64) -> u64 {
        self.entropy.u64() % bound
    }

    fn number_below(&self, bound: u32) -> u32 {
        u32::try_from(self.below(u64::from(bound))).expect("below a u32")
    }

    fn pick<T>(&self, mut from: Vec<T>) -> Option<T> {
        if from.is_empty() {
            return None;
        }
        let at = usize::try_from(self.below(from.len() as u64)).expect("below a length");
        Some(from.swap_remove(at))
    }

    fn text(&self) -> &'static str {
        self.pick(KEYS.to_vec()).expect("there are keys")
    }

    fn now(&self) -> Timestamp {
        at(self.now)
    }

    fn later(&self) -> Timestamp {
        at(self.now + self.below(200))
    }

    fn intents(&self) -> Vec<Intent> {
        wait(self.index.intents(None, 1000)).expect("memory does not fail")
    }

    fn open_intent(&self) -> Option<Intent> {
        self.pick(self.intents())
            .filter(|intent| intent.state == IntentState::Open || self.below(4) == 0)
    }

    fn any_blob(&self) -> Option<BlobRecord> {
        self.pick(wait(self.index.blobs(None, 1000)).expect("memory does not fail"))
    }

    fn some_upload(&self) -> u32 {
        self.number_below(self.made + 1)
    }

    fn life(&self) -> weir_types::id::Incarnation {
        wait(self.index.bucket(&bucket_name()))
            .expect("memory does not fail")
            .map_or(LIFE, |b| b.incarnation)
    }

    fn conditions(&self) -> WriteConditions {
        match self.below(8) {
            0 => WriteConditions {
                if_match: Some(etag(self.some_upload())),
                if_none_match: false,
            },
            1 => WriteConditions {
                if_match: None,
                if_none_match: true,
            },
            _ => WriteConditions::default(),
        }
    }

    pub(crate) fn next(&mut self) -> Mutation {
        self.now += self.below(20);
        if self.below(12) == 0 {
            let some = 1 + self.below(4);
            return Mutation::All((0..some).filter_map(|_| self.one()).collect());
        }
        loop {
            if let Some(mutation) = self.one() {
                return mutation;
            }
        }
    }

    fn one(&mut self) -> Option<Mutation> {
        Some(match self.below(30) {
            0 if self.below(4) == 0 => Mutation::DeleteBucket {
                name: bucket_name(),
                now: self.now(),
            },
            0..2 => create_bucket(),
            2..6 => {
                self.made += 1;
                begin(self.made, self.below(1000))
            }
            6..10 => {
                let intent = self.open_intent()?;
                let wanted = 1 + u8::try_from(self.below(3)).expect("small");
                let mut commit = commit_of(self.text(), &intent, wanted);
                commit.incarnation = self.life();
                commit.conditions = self.conditions();
                (commit.now, commit.clean_at) = (self.now(), self.later());
                if let CommitContent::New { blob, crcs, .. } = &mut commit.content
                    && self.below(3) == 0
                {
                    blob.inline_crcs = None;
                    *crcs = vec![7; 5000];
                }
                Mutation::CommitVersion(Box::new(commit))
            }
            10..12 => {
                self.made += 1;
                let blob = self.any_blob()?;
                let mut commit = share(self.text(), self.made, 0);
                commit.content = CommitContent::Shared { blob: blob.blob };
                commit.incarnation = self.life();
                commit.conditions = self.conditions();
                (commit.now, commit.clean_at) = (self.now(), self.later());
                Mutation::CommitVersion(Box::new(commit))
            }
            12..14 => Mutation::DeleteCurrent {
                bucket: bucket_name(),
                key: key(self.text()),
                if_match: self.conditions().if_match,
                now: self.now(),
                clean_at: self.later(),
            },
            14 => Mutation::Condemn {
                intents: self
                    .intents()
                    .iter()
                    .take(2)
                    .map(|intent| intent.intent)
                    .collect(),
                last_look_at: self.later(),
                now: self.now(),
            },
            15 => Mutation::DropIntents {
                intents: vec![self.pick(self.intents())?.intent],
            },
            16 => {
                self.made += 1;
                Mutation::BeginReplica {
                    intent: intent_id(self.made),
                    blob: self.any_blob()?.blob,
                    backend: backend(1 + self.number_below(3)),
                    now: self.now(),
                }
            }
            17 => {
                let intent = self.open_intent()?;
                let copy = copy_of(&intent);
                Mutation::AddCopy {
                    blob: intent.blob,
                    copy,
                    intent: intent.intent,
                }
            }
            18 => {
                let blob = self.any_blob()?;
                let copy = self.pick(blob.copies)?;
                let state = [CopyState::Good, CopyState::Suspect][usize::from(self.below(2) == 0)];
                let (backend, attempt) = (copy.backend, copy.attempt);
                Mutation::MarkCopy {
                    blob: blob.blob,
                    backend,
                    attempt,
                    state,
                    now: self.now(),
                }
            }
            19 => {
                let blob = self.any_blob()?;
                let copy = self.pick(blob.copies)?;
                let (backend, attempt, now) = (copy.backend, copy.attempt, self.now());
                let discard_at = self.later();
                Mutation::RemoveCopy {
                    blob: blob.blob,
                    backend,
                    attempt,
                    now,
                    discard_at,
                }
            }
            20 => Mutation::RetireBlob {
                blob: self.any_blob()?.blob,
                now: self.now(),
            },
            21 => {
                self.made += 1;
                let mut upload = upload(self.text(), self.made);
                upload.incarnation = self.life();
                let upload = Mutation::CreateUpload {
                    upload: Box::new(upload),
                };
                Mutation::All(vec![begin(self.made, 0), upload])
            }
            22..24 => {
                let number = 1 + u16::try_from(self.below(3)).expect("small");
                put_part(
                    self.some_upload(),
                    number,
                    self.below(100),
                    1,
                    vec![1; 4097],
                )
            }
            24 if self.below(2) == 0 => Mutation::DropPart {
                upload: upload_id(self.some_upload()),
                number: part_number(1),
            },
            24..26 => begin_complete(
                self.some_upload(),
                &[(1, 1), (2, 1), (3, 1)][..1 + self.below(2) as usize],
            ),
            26 => {
                let of = self.some_upload();
                let upload =
                    wait(self.index.upload(upload_id(of))).expect("memory does not fail")?;
                let mut commit = commit_upload(upload.key.as_str(), of);
                commit.incarnation = upload.incarnation;
                commit.now = self.now();
                Mutation::CommitVersion(Box::new(commit))
            }
            27 => Mutation::AbortUpload {
                upload: upload_id(self.some_upload()),
                only_open: self.below(2) == 0,
                now: self.now(),
            },
            28 => Mutation::FinishAbort {
                upload: upload_id(self.some_upload()),
                last_look_at: self.later(),
                now: self.now(),
            },
            _ => self.about_work()?,
        })
    }

    fn about_work(&self) -> Option<Mutation> {
        let due = wait(self.index.due(self.now(), 20)).expect("memory does not fail");
        let id = self.pick(due).map_or(OutboxId(1), |entry| entry.id);
        Some(match self.below(5) {
            0 => Mutation::Enqueue {
                work: Work::Discard {
                    intent: IntentId(1),
                },
                now: self.now(),
                not_before: self.later(),
            },
            1 => Mutation::DeferWork {
                id,
                not_before: self.later(),
                error: Some("no".into()),
            },
            2 => Mutation::Expire {
                before: at(self.now.saturating_sub(300)),
                limit: 3,
            },
            _ => Mutation::FinishWork { id },
        })
    }
}

fn embedded(file: &FragileFile) -> EmbeddedIndex {
    let options = IndexOptions {
        commit: CommitMode::Inline,
        ..IndexOptions::default()
    };
    EmbeddedIndex::open_on(Box::new(file.clone()), site(), options).expect("the file opens")
}

#[test]
fn random_mutations_keep_the_laws_on_both_engines_and_over_restarts() {
    for seed in 0..6 {
        announce(seed);
        let memory = MemoryIndex::new(site());
        let mut file = FragileFile::default();
        let mut disk = Some(embedded(&file));
        let mut generator = Generator::new(&memory, seed);
        let mut accepted = 0_u64;
        for step in 0..STEPS {
            let mutation = generator.next();
            let context = format!("seed {seed}, step {step}: {mutation:?}");
            let in_memory = run(&memory, mutation.clone());
            let on_disk = run(disk.as_ref().expect("it is open"), mutation);
            assert_eq!(in_memory, on_disk, "{context}");
            accepted += u64::from(in_memory.is_ok());
            if step % 10 == 0 {
                audit(&memory, &context);
            }
            if step % 150 == 149 {
                // Half of the restarts lose everything that was not synced.
                if step % 300 == 299 {
                    let found = file.after_crash();
                    drop(disk.take());
                    file = found;
                } else {
                    drop(disk.take());
                }
                let reopened = embedded(&file);
                let same = without_identity(dump(&memory)) == without_identity(dump(&reopened));
                assert!(same, "{context}: the engines differ");
                disk = Some(reopened);
            }
        }
        assert!(
            accepted > STEPS / 3,
            "seed {seed}: only {accepted} were accepted"
        );
    }
}

/// The epoch is random.
fn without_identity(mut dump: Dump) -> Dump {
    dump.retain(|(_, key, _)| key != crate::rows::IDENTITY);
    dump
}
