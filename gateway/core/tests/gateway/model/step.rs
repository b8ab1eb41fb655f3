//! What a client of the model test does, and what it is answered.

use std::time::Duration;

use md5::{Digest as _, Md5};
use tokio::time::sleep;
use weir_types::etag::ETag;
use weir_types::id::{BucketName, UploadId};
use weir_types::index::WriteConditions;
use weir_types::operation::{CopyObject, DeleteObjects, Directive, Operation, Outcome, RangeSpec};
use weir_types::record::ContentHeaders;
use weir_types::{Error, ErrorCode};

use super::reference::Reference;
use crate::support::{Dice, Life, object_key};

/// Keys that fold in several ways, and one that is not ASCII.
pub(super) const KEYS: [&str; 8] = ["a", "a/", "a/b", "a/b/c", "a/b/d", "b", "b//x", "ö/z"];
const PREFIXES: [&str; 5] = ["", "a", "a/", "a/b/", "b"];
const BUCKETS: [&str; 2] = ["one", "two"];
/// Sizes at which something changes: memory or stream, one block or more, part too small.
const SIZES: [u64; 8] = [0, 1, 999, 1000, 1024, 1025, 262_144, 262_150];

pub(super) fn bucket_name(bucket: usize) -> BucketName {
    // The first is the one that clients of a life use by themselves.
    if bucket == 0 {
        crate::support::bucket()
    } else {
        BucketName::parse(BUCKETS[bucket]).expect("a valid name")
    }
}

/// One of a few contents, so that conditions on tags often hold.
pub(super) fn content(tag: usize) -> Vec<u8> {
    Dice::new(tag as u64).bytes(SIZES[tag])
}

pub(super) fn etag_of(bytes: &[u8]) -> ETag {
    ETag::from_md5(Md5::digest(bytes).into())
}

/// What must hold of the key that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Always,
    /// `If-None-Match: *`
    Absent,
    /// `If-Match` with the tag of a content.
    Is(usize),
}

impl When {
    fn random(dice: &Dice) -> Self {
        match dice.below(6) {
            0 => Self::Absent,
            1 => Self::Is(tag(dice)),
            _ => Self::Always,
        }
    }

    pub(super) fn conditions(self) -> WriteConditions {
        WriteConditions {
            if_match: match self {
                Self::Is(tag) => Some(etag_of(&content(tag))),
                _ => None,
            },
            if_none_match: self == Self::Absent,
        }
    }
}

/// Which parts a Complete names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    All,
    ButTheLast,
    Descending,
    WithOneWrong,
    None,
}

/// Which upload a step is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// Counted back from the newest.
    Recent(usize),
    Id(UploadId),
}

/// Bucket and key.
pub(super) type At = (usize, usize);

#[derive(Debug, Clone)]
pub(super) enum Step {
    MakeBucket(usize),
    DropBucket(usize),
    Put(At, usize, When),
    Get(At, Option<RangeSpec>),
    Delete(At, Option<usize>),
    DeleteMany(usize, Vec<usize>),
    Copy {
        from: At,
        to: At,
        user: u64,
        when: When,
    },
    List {
        bucket: usize,
        prefix: usize,
        fold: bool,
        limit: usize,
    },
    Begin(At),
    Part {
        upload: Which,
        number: u16,
        tag: usize,
    },
    PartCopy {
        upload: Which,
        number: u16,
        from: At,
    },
    /// With the parts that are named, once that is fixed.
    Complete {
        upload: Which,
        choice: Choice,
        named: Option<Vec<(u16, ETag)>>,
        when: When,
    },
    Abort {
        upload: Which,
    },
    Wait(u64),
}

/// What a step is answered, as far as clients can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Done,
    Made(ETag),
    Got {
        etag: ETag,
        md5: ETag,
        size: u64,
        user: Option<u64>,
        parts: Option<u16>,
    },
    Begun(UploadId),
    Each(Vec<Option<ErrorCode>>),
    Listed(Vec<(String, Option<(ETag, u64)>)>),
    Refused(ErrorCode),
    /// There is nothing that the step could be about.
    Idle,
}

fn at(dice: &Dice) -> At {
    // Mostly one bucket; mostly few keys.
    let bucket = usize::from(dice.chance(15));
    let key = if dice.chance(50) {
        dice.below(3)
    } else {
        dice.below(KEYS.len() as u64)
    };
    (bucket, usize::try_from(key).expect("small"))
}

fn tag(dice: &Dice) -> usize {
    usize::try_from(dice.below(SIZES.len() as u64)).expect("small")
}

impl Step {
    pub(super) fn random(dice: &Dice) -> Self {
        let upload = Which::Recent(usize::try_from(dice.below(4)).expect("small"));
        let number = u16::try_from(1 + dice.below(3)).expect("small");
        match dice.below(100) {
            0..=2 => Self::MakeBucket(usize::from(dice.chance(50))),
            3 => Self::DropBucket(usize::from(dice.chance(90))),
            4..=23 => Self::Put(at(dice), tag(dice), When::random(dice)),
            24..=38 => Self::Get(at(dice), range(dice)),
            39..=46 => Self::Delete(at(dice), dice.chance(30).then(|| tag(dice))),
            47..=49 => {
                let keys = (0..1 + dice.below(4)).map(|_| at(dice).1).collect();
                Self::DeleteMany(at(dice).0, keys)
            }
            50..=58 => Self::Copy {
                from: at(dice),
                to: at(dice),
                user: dice.below(1000),
                when: When::random(dice),
            },
            59..=66 => Self::List {
                bucket: at(dice).0,
                prefix: usize::try_from(dice.below(PREFIXES.len() as u64)).expect("small"),
                fold: dice.chance(50),
                limit: usize::try_from(1 + dice.below(4)).expect("small"),
            },
            67..=72 => Self::Begin(at(dice)),
            73..=86 => Self::Part {
                upload,
                number,
                tag: tag(dice).max(2),
            },
            87..=89 => Self::PartCopy {
                upload,
                number,
                from: at(dice),
            },
            90..=95 => Self::Complete {
                upload,
                choice: dice.pick(&[
                    Choice::All,
                    Choice::All,
                    Choice::All,
                    Choice::ButTheLast,
                    Choice::Descending,
                    Choice::WithOneWrong,
                    Choice::None,
                ]),
                named: None,
                when: When::random(dice),
            },
            96..=97 => Self::Abort { upload },
            _ => Self::Wait(dice.below(3 * 3600)),
        }
    }

    /// A step that others run beside, on one of two keys. A copy is not atomic: it goes from
    /// there to a key where nobody else writes.
    pub(super) fn random_at_once(dice: &Dice, position: usize) -> Self {
        let at = || (0, usize::try_from(dice.below(2)).expect("small"));
        let upload = Which::Recent(usize::try_from(dice.below(2)).expect("small"));
        match dice.below(100) {
            0..=24 => Self::Put(at(), tag(dice), When::random(dice)),
            25..=39 => Self::Get(at(), None),
            40..=48 => Self::Delete(at(), dice.chance(50).then(|| tag(dice))),
            49..=56 => Self::Copy {
                from: at(),
                to: (0, 2 + position),
                user: dice.below(1000),
                when: When::Always,
            },
            57..=60 => Self::List {
                bucket: 0,
                prefix: 0,
                fold: false,
                limit: 1000,
            },
            61..=69 => Self::Begin(at()),
            70..=87 => Self::Part {
                upload,
                number: 1,
                tag: tag(dice),
            },
            _ => Self::Complete {
                upload,
                choice: Choice::All,
                named: None,
                when: When::Always,
            },
        }
    }

    /// Whether it may be refused because a Complete is under way at once.
    pub(super) fn may_conflict_with(&self, all: &[Self]) -> bool {
        let is_conditional = match self {
            Self::Put(_, _, when) | Self::Copy { when, .. } => *when != When::Always,
            Self::Delete(_, when) => when.is_some(),
            _ => false,
        };
        is_conditional && all.iter().any(|step| matches!(step, Self::Complete { .. }))
    }

    /// The same step, about exactly what it would be about in the present state.
    pub(super) fn fixed(&self, model: &Reference) -> Self {
        let mut fixed = self.clone();
        let upload = match &mut fixed {
            Self::Part { upload, .. }
            | Self::PartCopy { upload, .. }
            | Self::Complete { upload, .. }
            | Self::Abort { upload } => upload,
            _ => return fixed,
        };
        let Some(found) = model.upload(*upload) else {
            return Self::Wait(0);
        };
        *upload = Which::Id(found.id);
        if let Self::Complete { choice, named, .. } = &mut fixed {
            *named = Some(found.named(*choice));
        }
        fixed
    }

    /// Asks the gateway. What a step means in the present state (which upload, which parts)
    /// is looked up in the model.
    pub(super) async fn run(&self, life: &Life, model: &Reference) -> Answer {
        self.try_run(life, model)
            .await
            .unwrap_or_else(|error| Answer::Refused(error.code))
    }

    async fn try_run(&self, life: &Life, model: &Reference) -> Result<Answer, Error> {
        let client = |bucket: usize| {
            let mut client = life.client.clone();
            client.bucket = bucket_name(bucket);
            client
        };
        match self {
            Self::MakeBucket(bucket) => {
                let bucket = bucket_name(*bucket);
                life.client
                    .run(Operation::CreateBucket {
                        bucket,
                        location: None,
                    })
                    .await?;
                Ok(Answer::Done)
            }
            Self::DropBucket(bucket) => {
                let bucket = bucket_name(*bucket);
                life.client.run(Operation::DeleteBucket { bucket }).await?;
                Ok(Answer::Done)
            }
            Self::Put((bucket, key), tag, when) => {
                let bytes = content(*tag);
                let put = client(*bucket)
                    .put_if(KEYS[*key], &bytes, when.conditions())
                    .await?;
                Ok(Answer::Made(put.etag))
            }
            Self::Get((bucket, key), range) => {
                let found = client(*bucket).get_part(KEYS[*key], *range, None).await?;
                let Some((bytes, info)) = found else {
                    return Err(ErrorCode::NoSuchKey.into());
                };
                let user = info
                    .version
                    .user_metadata
                    .iter()
                    .find(|(name, _)| name == "user");
                Ok(Answer::Got {
                    etag: info.version.etag,
                    md5: etag_of(&bytes),
                    size: info.version.size,
                    user: user.and_then(|(_, value)| value.parse().ok()),
                    parts: info.version.parts,
                })
            }
            Self::Delete((bucket, key), tag) => {
                let tag = tag.map(|tag| etag_of(&content(tag)));
                client(*bucket).delete(KEYS[*key], tag).await?;
                Ok(Answer::Done)
            }
            Self::DeleteMany(bucket, keys) => {
                let delete = DeleteObjects {
                    bucket: bucket_name(*bucket),
                    keys: keys
                        .iter()
                        .map(|key| (object_key(KEYS[*key]), None))
                        .collect(),
                    quiet: false,
                };
                let outcome = life.client.run(Operation::DeleteObjects(delete)).await?;
                let Outcome::DeletedKeys(keys) = outcome else {
                    panic!("not deleted keys")
                };
                Ok(Answer::Each(
                    keys.into_iter().map(|k| k.error.map(|e| e.code)).collect(),
                ))
            }
            Self::Copy {
                from,
                to,
                user,
                when,
            } => {
                let copy = CopyObject {
                    bucket: bucket_name(to.0),
                    key: object_key(KEYS[to.1]),
                    source: client(from.0).source(KEYS[from.1]),
                    metadata: Directive::Replace((
                        ContentHeaders::default(),
                        vec![("user".into(), user.to_string())],
                    )),
                    tagging: Directive::Copy,
                    storage_class: None,
                    checksum: None,
                    conditions: when.conditions(),
                };
                let outcome = life
                    .client
                    .run(Operation::CopyObject(Box::new(copy)))
                    .await?;
                let Outcome::Copied(copied) = outcome else {
                    panic!("not a copy")
                };
                Ok(Answer::Made(copied.etag))
            }
            Self::List {
                bucket,
                prefix,
                fold,
                limit,
            } => {
                let delimiter = fold.then_some("/");
                let prefix = PREFIXES[*prefix];
                let listed = client(*bucket).list_all(prefix, delimiter, *limit).await?;
                Ok(Answer::Listed(listed))
            }
            Self::Begin((bucket, key)) => {
                let upload = client(*bucket).create_upload(KEYS[*key], None).await?;
                Ok(Answer::Begun(upload.upload_id))
            }
            Self::Part {
                upload,
                number,
                tag,
            } => {
                let Some(upload) = model.upload(*upload) else {
                    return Ok(Answer::Idle);
                };
                let (bucket, key) = upload.at;
                let bytes = content(*tag);
                let part = client(bucket)
                    .part(KEYS[key], upload.id, *number, &bytes)
                    .await?;
                Ok(Answer::Made(part.etag))
            }
            Self::PartCopy {
                upload,
                number,
                from,
            } => {
                let Some(upload) = model.upload(*upload) else {
                    return Ok(Answer::Idle);
                };
                let (bucket, key) = upload.at;
                let source = client(from.0).source(KEYS[from.1]);
                let client = client(bucket);
                let part = client
                    .part_copy(KEYS[key], upload.id, *number, source, None)
                    .await?;
                Ok(Answer::Made(part.etag))
            }
            Self::Complete {
                upload,
                choice,
                named,
                when,
            } => {
                let Some(upload) = model.upload(*upload) else {
                    return Ok(Answer::Idle);
                };
                let (bucket, key) = upload.at;
                let client = client(bucket);
                let named = named.clone().unwrap_or_else(|| upload.named(*choice));
                let mut complete = client.completion(KEYS[key], upload.id, &named);
                complete.conditions = when.conditions();
                Ok(Answer::Made(client.complete(complete).await?.etag))
            }
            Self::Abort { upload } => {
                let Some(upload) = model.upload(*upload) else {
                    return Ok(Answer::Idle);
                };
                let (bucket, key) = upload.at;
                client(bucket).abort(KEYS[key], upload.id).await?;
                Ok(Answer::Done)
            }
            Self::Wait(seconds) => {
                sleep(Duration::from_secs(*seconds)).await;
                Ok(Answer::Done)
            }
        }
    }

    pub(super) fn prefix(prefix: usize) -> &'static str {
        PREFIXES[prefix]
    }
}

/// Leaves out what the model does not know. While a part is replaced, even by the same bytes, a
/// Complete finds none. And a copy reads first and writes later: who lists in between may see
/// what came after the one and before the other.
pub(super) fn without_the_unknown(mut steps: Vec<Step>) -> Vec<Step> {
    let named: Vec<ETag> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Complete { named, .. } => named.clone(),
            _ => None,
        })
        .flatten()
        .map(|(_, etag)| etag)
        .collect();
    let copies = steps.iter().any(|step| matches!(step, Step::Copy { .. }));
    for step in &mut steps {
        let unknown = match step {
            Step::Part { tag, .. } => named.contains(&etag_of(&content(*tag))),
            Step::List { .. } => copies,
            _ => false,
        };
        if unknown {
            *step = Step::Wait(0);
        }
    }
    steps
}

fn range(dice: &Dice) -> Option<RangeSpec> {
    let near = |dice: &Dice| {
        dice.pick(&SIZES)
            .saturating_add(dice.below(3))
            .saturating_sub(1)
    };
    match dice.below(6) {
        0 => {
            let first = near(dice);
            Some(RangeSpec::FromTo(first, Some(first + dice.below(3000))))
        }
        1 => Some(RangeSpec::FromTo(near(dice), None)),
        2 => Some(RangeSpec::Last(near(dice))),
        _ => None,
    }
}
