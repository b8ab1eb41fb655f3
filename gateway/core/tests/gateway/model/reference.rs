//! The model: what S3 promises, in as few words as possible.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use md5::{Digest as _, Md5};
use weir_types::ErrorCode;
use weir_types::etag::ETag;
use weir_types::id::UploadId;
use weir_types::operation::RangeSpec;

use super::step::{Answer, At, Choice, KEYS, Step, When, Which, content, etag_of};

/// Parts before the last have at least so many bytes in the worlds of these tests.
const PART_BYTES_MIN: usize = 1000;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Object {
    bytes: Arc<[u8]>,
    etag: ETag,
    user: Option<u64>,
    parts: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Upload {
    pub(super) id: UploadId,
    pub(super) at: At,
    /// Which life of its bucket it belongs to.
    life: u64,
    parts: BTreeMap<u16, (Arc<[u8]>, ETag)>,
    state: State,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Open,
    Aborted,
    /// Became an object with this tag.
    Completed(ETag),
}

impl Upload {
    /// The parts that a Complete names.
    pub(super) fn named(&self, choice: Choice) -> Vec<(u16, ETag)> {
        let mut all: Vec<_> = self
            .parts
            .iter()
            .map(|(n, (_, tag))| (*n, tag.clone()))
            .collect();
        match choice {
            Choice::All => {}
            Choice::ButTheLast => drop(all.pop()),
            Choice::Descending => all.reverse(),
            Choice::WithOneWrong => {
                if let Some(last) = all.last_mut() {
                    last.1 = ETag::from_md5([7; 16]);
                }
            }
            Choice::None => all.clear(),
        }
        all
    }
}

/// Everything that clients can know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Reference {
    /// Buckets with the number of their life.
    lives: BTreeMap<usize, u64>,
    lived: u64,
    objects: BTreeMap<(usize, &'static str), Object>,
    /// Keys whose object was deleted and not put again.
    deleted: BTreeSet<(usize, &'static str)>,
    uploads: Vec<Upload>,
}

type Answered = Result<Answer, ErrorCode>;

impl Reference {
    /// A model in which the first bucket is there.
    pub(super) fn with_bucket() -> Self {
        let mut model = Self::default();
        model.answer(&Step::MakeBucket(0), &Answer::Done);
        model
    }

    pub(super) fn buckets(&self) -> impl Iterator<Item = usize> {
        self.lives.keys().copied()
    }

    pub(super) fn keys(&self, bucket: usize) -> impl Iterator<Item = &str> {
        self.objects
            .keys()
            .filter(move |(b, _)| *b == bucket)
            .map(|(_, key)| *key)
    }

    /// Keys of a bucket whose object was deleted and not put again.
    pub(super) fn deleted(&self, bucket: usize) -> impl Iterator<Item = &str> {
        self.deleted
            .iter()
            .filter(move |(b, _)| *b == bucket)
            .map(|(_, key)| *key)
    }

    pub(super) fn upload(&self, which: Which) -> Option<&Upload> {
        self.position(which).map(|position| &self.uploads[position])
    }

    /// Uploads that are still open.
    pub(super) fn open_uploads(&self) -> impl Iterator<Item = (At, UploadId)> {
        let open = self
            .uploads
            .iter()
            .filter(|upload| upload.state == State::Open);
        open.map(|upload| (upload.at, upload.id))
    }

    /// Does the step and says what it must be answered. From `given` it learns what only the
    /// gateway can know: ids, and which of two allowed tags a copy has.
    pub(super) fn answer(&mut self, step: &Step, given: &Answer) -> Answer {
        self.perform(step, given).unwrap_or_else(Answer::Refused)
    }

    fn perform(&mut self, step: &Step, given: &Answer) -> Answered {
        match step {
            Step::MakeBucket(bucket) => {
                if self.lives.contains_key(bucket) {
                    return Err(ErrorCode::BucketAlreadyOwnedByYou);
                }
                self.lived += 1;
                self.lives.insert(*bucket, self.lived);
                Ok(Answer::Done)
            }
            Step::DropBucket(bucket) => {
                self.life(*bucket)?;
                if self.keys(*bucket).next().is_some() {
                    return Err(ErrorCode::BucketNotEmpty);
                }
                let life = self.lives.remove(bucket);
                self.deleted.retain(|(b, _)| b != bucket);
                for upload in &mut self.uploads {
                    if Some(upload.life) == life && upload.state == State::Open {
                        upload.state = State::Aborted;
                    }
                }
                Ok(Answer::Done)
            }
            Step::Put(at, tag, when) => {
                self.life(at.0)?;
                self.check(*at, *when)?;
                let bytes = content(*tag);
                let etag = etag_of(&bytes);
                let object = Object {
                    bytes: bytes.into(),
                    etag: etag.clone(),
                    user: None,
                    parts: None,
                };
                self.store(place(*at), object);
                Ok(Answer::Made(etag))
            }
            Step::Get(at, range) => self.get(*at, *range),
            Step::Delete(at, tag) => {
                self.life(at.0)?;
                self.check(*at, tag.map_or(When::Always, When::Is))?;
                self.remove(place(*at));
                Ok(Answer::Done)
            }
            Step::DeleteMany(bucket, keys) => {
                self.life(*bucket)?;
                for key in keys {
                    self.remove(place((*bucket, *key)));
                }
                Ok(Answer::Each(vec![None; keys.len()]))
            }
            Step::Copy {
                from,
                to,
                user,
                when,
            } => self.copy(*from, *to, *user, *when, given),
            Step::List {
                bucket,
                prefix,
                fold,
                ..
            } => {
                self.life(*bucket)?;
                Ok(Answer::Listed(self.list(
                    *bucket,
                    Step::prefix(*prefix),
                    *fold,
                )))
            }
            Step::Begin(at) => {
                let life = self.life(at.0)?;
                let Answer::Begun(id) = given else {
                    return Ok(Answer::Begun(UploadId(0)));
                };
                let parts = BTreeMap::new();
                self.uploads.push(Upload {
                    id: *id,
                    at: *at,
                    life,
                    parts,
                    state: State::Open,
                });
                Ok(Answer::Begun(*id))
            }
            Step::Part {
                upload,
                number,
                tag,
            } => self.part(*upload, *number, |_| Ok(content(*tag).into())),
            Step::PartCopy {
                upload,
                number,
                from,
            } => {
                let from = *from;
                self.part(*upload, *number, |model| {
                    model.life(from.0)?;
                    let source = model
                        .objects
                        .get(&place(from))
                        .ok_or(ErrorCode::NoSuchKey)?;
                    let fits = source.bytes.len() <= 1024 * 1024;
                    if fits {
                        Ok(Arc::clone(&source.bytes))
                    } else {
                        Err(ErrorCode::InvalidRequest)
                    }
                })
            }
            Step::Complete {
                upload,
                choice,
                named,
                when,
            } => {
                let Some(position) = self.position(*upload) else {
                    return Ok(Answer::Idle);
                };
                let upload = &self.uploads[position];
                let named = named.clone().unwrap_or_else(|| upload.named(*choice));
                self.complete(position, &named, *when)
            }
            Step::Abort { upload } => {
                let Some(position) = self.position(*upload) else {
                    return Ok(Answer::Idle);
                };
                self.open(position)?;
                self.uploads[position].state = State::Aborted;
                Ok(Answer::Done)
            }
            Step::Wait(_) => Ok(Answer::Done),
        }
    }

    fn store(&mut self, place: (usize, &'static str), object: Object) {
        self.deleted.remove(&place);
        self.objects.insert(place, object);
    }

    fn remove(&mut self, place: (usize, &'static str)) {
        if self.objects.remove(&place).is_some() {
            self.deleted.insert(place);
        }
    }

    /// In which order uploads were begun at once makes no difference.
    fn forget_order(&mut self) {
        let old = self.uploads.len().saturating_sub(RECENT_UPLOADS);
        self.uploads.drain(..old);
        self.uploads.sort_by_key(|upload| upload.id);
    }

    fn life(&self, bucket: usize) -> Result<u64, ErrorCode> {
        self.lives
            .get(&bucket)
            .copied()
            .ok_or(ErrorCode::NoSuchBucket)
    }

    fn check(&self, at: At, when: When) -> Result<(), ErrorCode> {
        match (when, self.objects.get(&place(at))) {
            (When::Absent, Some(_)) => Err(ErrorCode::PreconditionFailed),
            (When::Is(_), None) => Err(ErrorCode::NoSuchKey),
            (When::Is(tag), Some(object)) if object.etag != etag_of(&content(tag)) => {
                Err(ErrorCode::PreconditionFailed)
            }
            _ => Ok(()),
        }
    }

    fn get(&self, at: At, range: Option<RangeSpec>) -> Answered {
        self.life(at.0)?;
        let object = self.objects.get(&place(at)).ok_or(ErrorCode::NoSuchKey)?;
        let size = object.bytes.len();
        let clamp = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(size);
        let span = match range {
            None => 0..size,
            Some(RangeSpec::FromTo(first, last)) => {
                clamp(first)..last.map_or(size, |last| clamp(last.saturating_add(1)))
            }
            Some(RangeSpec::Last(count)) => size - clamp(count)..size,
        };
        if range.is_some() && span.is_empty() {
            return Err(ErrorCode::InvalidRange);
        }
        Ok(Answer::Got {
            etag: object.etag.clone(),
            md5: etag_of(&object.bytes[span]),
            size: size as u64,
            user: object.user,
            parts: object.parts,
        })
    }

    fn copy(&mut self, from: At, to: At, user: u64, when: When, given: &Answer) -> Answered {
        self.life(from.0)?;
        let source = self
            .objects
            .get(&place(from))
            .ok_or(ErrorCode::NoSuchKey)?
            .clone();
        if source.bytes.len() > 1024 * 1024 {
            return Err(ErrorCode::InvalidRequest);
        }
        self.check(to, when)?;
        self.life(to.0)?;
        // A copy that shares the bytes keeps tag and parts; one that moves them is put whole.
        let plain = etag_of(&source.bytes);
        let shared = *given == Answer::Made(source.etag.clone());
        let (etag, parts) = if shared {
            (source.etag, source.parts)
        } else {
            (plain, None)
        };
        let object = Object {
            bytes: source.bytes,
            etag: etag.clone(),
            user: Some(user),
            parts,
        };
        self.store(place(to), object);
        Ok(Answer::Made(etag))
    }

    fn list(&self, bucket: usize, prefix: &str, fold: bool) -> Vec<(String, Option<(ETag, u64)>)> {
        let mut listed: Vec<(String, Option<(ETag, u64)>)> = Vec::new();
        for ((_, key), object) in self.objects.iter().filter(|((b, _), _)| *b == bucket) {
            let Some(rest) = key.strip_prefix(prefix) else {
                continue;
            };
            let folded = rest.find('/').filter(|_| fold);
            let entry = match folded {
                Some(slash) => (key[..=prefix.len() + slash].to_owned(), None),
                None => {
                    let size = object.bytes.len() as u64;
                    ((*key).to_owned(), Some((object.etag.clone(), size)))
                }
            };
            if listed.last() != Some(&entry) {
                listed.push(entry);
            }
        }
        listed
    }

    fn position(&self, which: Which) -> Option<usize> {
        match which {
            Which::Recent(recent) => self.uploads.len().checked_sub(recent + 1),
            Which::Id(id) => self.uploads.iter().position(|upload| upload.id == id),
        }
    }

    /// Refuses unless the upload takes parts.
    fn open(&self, position: usize) -> Result<(), ErrorCode> {
        let upload = &self.uploads[position];
        let life = self.life(upload.at.0)?;
        let open = upload.life == life && upload.state == State::Open;
        if open {
            Ok(())
        } else {
            Err(ErrorCode::NoSuchUpload)
        }
    }

    fn part(
        &mut self,
        upload: Which,
        number: u16,
        bytes: impl FnOnce(&Self) -> Result<Arc<[u8]>, ErrorCode>,
    ) -> Answered {
        let Some(position) = self.position(upload) else {
            return Ok(Answer::Idle);
        };
        self.open(position)?;
        let bytes = bytes(self)?;
        let etag = etag_of(&bytes);
        self.uploads[position]
            .parts
            .insert(number, (bytes, etag.clone()));
        Ok(Answer::Made(etag))
    }

    fn complete(&mut self, position: usize, named: &[(u16, ETag)], when: When) -> Answered {
        let upload = self.uploads[position].clone();
        if named.is_empty() {
            return Err(ErrorCode::MalformedXML);
        }
        if !named.is_sorted_by(|a, b| a.0 < b.0) {
            return Err(ErrorCode::InvalidPartOrder);
        }
        let life = self.life(upload.at.0)?;
        let etag = multipart_tag(named.iter().map(|(_, etag)| etag));
        match &upload.state {
            State::Completed(made) if upload.life == life && *made == etag => {
                return Ok(Answer::Made(etag));
            }
            State::Open if upload.life == life => {}
            _ => return Err(ErrorCode::NoSuchUpload),
        }
        let known = |(number, etag): &(u16, ETag)| {
            upload
                .parts
                .get(number)
                .filter(|(_, known)| known == etag)
                .map(|(bytes, _)| bytes)
        };
        let parts: Option<Vec<_>> = named.iter().map(known).collect();
        let parts = parts.ok_or(ErrorCode::InvalidPart)?;
        if parts[..parts.len() - 1]
            .iter()
            .any(|part| part.len() < PART_BYTES_MIN)
        {
            return Err(ErrorCode::EntityTooSmall);
        }
        self.check(upload.at, when)?;
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        let object = Object {
            bytes: bytes.into(),
            etag: etag.clone(),
            user: None,
            parts: u16::try_from(named.len()).ok(),
        };
        self.store(place(upload.at), object);
        self.uploads[position].state = State::Completed(etag.clone());
        Ok(Answer::Made(etag))
    }
}

fn place((bucket, key): At) -> (usize, &'static str) {
    (bucket, KEYS[key])
}

fn multipart_tag<'a>(parts: impl ExactSizeIterator<Item = &'a ETag>) -> ETag {
    let count = parts.len();
    let mut all = Md5::new();
    for part in parts {
        all.update(part.as_md5().expect("tags of parts are MD5s"));
    }
    ETag::from_multipart(all.finalize().into(), count)
}

/// Uploads that the concurrent test may still name.
const RECENT_UPLOADS: usize = 8;

/// The models that some order of these steps, given these answers, leads to. What the steps are
/// about is fixed.
pub(super) fn orders(models: &[Reference], steps: &[Step], given: &[Answer]) -> Vec<Reference> {
    let mut reached: Vec<Reference> = Vec::new();
    for model in models {
        follow(
            model,
            steps,
            given,
            &mut vec![false; steps.len()],
            &mut reached,
        );
    }
    reached
}

fn follow(
    model: &Reference,
    steps: &[Step],
    given: &[Answer],
    taken: &mut Vec<bool>,
    reached: &mut Vec<Reference>,
) {
    if taken.iter().all(|taken| *taken) {
        let mut model = model.clone();
        model.forget_order();
        if !reached.contains(&model) {
            reached.push(model);
        }
        return;
    }
    for next in 0..steps.len() {
        if taken[next] {
            continue;
        }
        let mut after = model.clone();
        let may_be = steps[next].may_conflict_with(steps)
            && given[next] == Answer::Refused(ErrorCode::ConditionalRequestConflict);
        if may_be || after.answer(&steps[next], &given[next]) == given[next] {
            taken[next] = true;
            follow(&after, steps, given, taken, reached);
            taken[next] = false;
        }
    }
}
