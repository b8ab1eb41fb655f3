//! Clients that know what they were promised.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use weir_types::clock::Timestamp;
use weir_types::etag::ETag;
use weir_types::id::UploadId;
use weir_types::{Error, ErrorCode};

use crate::support::{Client, Dice, DieAt, Life};

const KEYS: u64 = 3;
const STEPS: u64 = 14;

/// The reaper comes within this time.
const REAPED_WITHIN: Duration = Duration::from_secs(120);

/// What one copy may carry in these worlds.
const COPIED_BYTES_MAX: usize = 1024 * 1024;

type Bytes = Arc<[u8]>;

/// What a client knows about its own keys, over all lives.
pub(super) struct Knowledge {
    name: u64,
    keys: BTreeMap<String, Known>,
    /// Uploads with acknowledged parts, to be completed in another life.
    pending: Vec<Pending>,
}

/// An upload that lacks nothing but its Complete.
struct Pending {
    key: String,
    upload: UploadId,
    begun_at: Timestamp,
    parts: Vec<(u16, ETag)>,
    whole: Bytes,
}

/// What may stand under a key.
#[derive(Default)]
struct Known {
    /// What the last acknowledged change made of it.
    is: Option<Bytes>,
    /// What the change that was under way at the death would have made of it.
    may_be: Option<Option<Bytes>>,
    /// What a Complete that was not answered may still make of it, at any time.
    may_become: Vec<Bytes>,
}

impl Known {
    fn allows(&self, found: Option<&[u8]>) -> bool {
        let same = |wanted: Option<&Bytes>| wanted.map(|bytes| &bytes[..]) == found;
        same(self.is.as_ref())
            || self.may_be.as_ref().is_some_and(|may| same(may.as_ref()))
            || self.may_become.iter().any(|may| same(Some(may)))
    }

    fn tell(&self) -> String {
        let size = |bytes: Option<&Bytes>| bytes.map(|bytes| bytes.len());
        let may_be = self.may_be.as_ref().map(|may| size(may.as_ref()));
        let may_become: Vec<_> = self.may_become.iter().map(|b| b.len()).collect();
        format!(
            "is {:?}, may be {may_be:?}, may become {may_become:?}",
            size(self.is.as_ref())
        )
    }
}

impl Knowledge {
    pub(super) fn new(name: u64) -> Self {
        Self {
            name,
            keys: BTreeMap::new(),
            pending: Vec::new(),
        }
    }

    /// Compares what stands with what may stand. What the death left in doubt is settled by
    /// what is found: it can never change again.
    pub(super) async fn check(&mut self, client: &Client) -> Result<(), String> {
        for (key, known) in &mut self.keys {
            let found = client
                .get(key)
                .await
                .map_err(|error| format!("{key}: {error}"))?;
            known.settle(key, found.map(|(bytes, _)| bytes))?;
        }
        Ok(())
    }
}

impl Known {
    fn settle(&mut self, key: &str, found: Option<Vec<u8>>) -> Result<(), String> {
        if !self.allows(found.as_deref()) {
            let found = found.map(|bytes| bytes.len());
            return Err(format!("{key} has {found:?} bytes, but {}", self.tell()));
        }
        self.is = found.map(Into::into);
        self.may_be = None;
        Ok(())
    }
}

/// One client in one life.
pub(super) struct Role<'a> {
    pub(super) life: &'a Life,
    pub(super) plan: &'a Arc<DieAt>,
    pub(super) dice: Dice,
}

impl Role<'_> {
    /// Does this and that until there is nothing left to do or the process has died.
    pub(super) async fn play(self, known: &mut Knowledge) -> Result<(), String> {
        for (key, known) in &mut known.keys {
            // A backend may fail a read here; then the doubt stays.
            match self.life.client.get(key).await {
                Ok(found) => known.settle(key, found.map(|(bytes, _)| bytes))?,
                Err(error) => require_backend_fault(&error)?,
            }
        }
        for pending in std::mem::take(&mut known.pending) {
            self.take_up(known, pending).await?;
        }
        for _ in 0..STEPS {
            let name = known.name;
            let key = format!("c{name}/k{}", self.dice.below(KEYS));
            // A copy comes from another key of the same client.
            let from = format!("c{name}/k{}", self.dice.below(KEYS));
            let source = known.keys.get(&from).and_then(|known| {
                let sure = known.may_become.is_empty() && known.may_be.is_none();
                known
                    .is
                    .clone()
                    .filter(|bytes| sure && bytes.len() <= COPIED_BYTES_MAX)
            });
            let entry = known.keys.entry(key.clone()).or_default();
            if entry.may_be.is_some() {
                // In doubt since a read failed.
                continue;
            }
            let left = self.step(&key, entry, &from, source).await?;
            known.pending.extend(left);
        }
        Ok(())
    }

    /// Completes what another life began. Its parts were acknowledged: they must be there.
    async fn take_up(&self, known: &mut Knowledge, pending: Pending) -> Result<(), String> {
        let Pending {
            key,
            upload,
            begun_at,
            parts,
            whole,
        } = pending;
        let entry = known.keys.entry(key.clone()).or_default();
        let done = self.finish(&key, entry, upload, &parts, whole).await;
        let age = self.life.now().since(begun_at);
        let expired = age + REAPED_WITHIN > self.life.gateway.settings().upload_age_max;
        match done {
            Err(error) if error.code == ErrorCode::NoSuchUpload && expired => {
                // It never became anything, and never will.
                entry.may_become.pop();
                Ok(())
            }
            Err(error) => require_backend_fault(&error),
            Ok(()) => Ok(()),
        }
    }

    async fn step(
        &self,
        key: &str,
        known: &mut Known,
        from: &str,
        source: Option<Bytes>,
    ) -> Result<Option<Pending>, String> {
        let client = &self.life.client;
        match self.dice.below(100) {
            0..=29 => {
                let bytes = self.content();
                known.may_be = Some(Some(bytes.clone()));
                let done = client.put(key, &bytes).await.map(drop);
                self.learn(known, done, Some(bytes)).map(|()| None)
            }
            30..=41 => {
                known.may_be = Some(None);
                let done = client.delete(key, None).await;
                self.learn(known, done, None).map(|()| None)
            }
            42..=53 => {
                let Some(bytes) = source else { return Ok(None) };
                known.may_be = Some(Some(bytes.clone()));
                let done = client.copy(from, key).await.map(drop);
                self.learn(known, done, Some(bytes)).map(|()| None)
            }
            54..=77 => self.multipart(key, known, from, source).await,
            78..=91 => match client.get(key).await {
                Ok(found) => {
                    let found = found.map(|(bytes, _)| bytes);
                    if known.allows(found.as_deref()) || self.plan.is_dead() {
                        return Ok(None);
                    }
                    let found = found.map(|bytes| bytes.len());
                    Err(format!("{key} reads {found:?} bytes, but {}", known.tell()))
                }
                Err(error) => require_backend_fault(&error).map(|()| None),
            },
            92..=94 => {
                sleep(Duration::from_secs(self.dice.below(9000))).await;
                Ok(None)
            }
            _ => {
                sleep(Duration::from_millis(self.dice.below(5000))).await;
                Ok(None)
            }
        }
    }

    /// Few bytes mostly; sometimes more than a block, which travel as a stream.
    fn content(&self) -> Bytes {
        let size = match self.dice.below(10) {
            0 => 262_144 + self.dice.below(60_000),
            1 => 0,
            _ => self.dice.below(3000),
        };
        self.dice.bytes(size).into()
    }

    /// Notes what an answer means. Answers of the dead were never given.
    fn learn(
        &self,
        known: &mut Known,
        done: Result<(), Error>,
        made: Option<Bytes>,
    ) -> Result<(), String> {
        if self.plan.is_dead() {
            return Ok(());
        }
        known.may_be = None;
        match done {
            Ok(()) => {
                known.is = made;
                Ok(())
            }
            Err(error) => require_backend_fault(&error),
        }
    }

    async fn multipart(
        &self,
        key: &str,
        known: &mut Known,
        from: &str,
        source: Option<Bytes>,
    ) -> Result<Option<Pending>, String> {
        match self.try_multipart(key, known, from, source).await {
            Ok(left) => Ok(left),
            Err(error) => require_backend_fault(&error).map(|()| None),
        }
    }

    async fn try_multipart(
        &self,
        key: &str,
        known: &mut Known,
        from: &str,
        source: Option<Bytes>,
    ) -> Result<Option<Pending>, Error> {
        let client = &self.life.client;
        let begun = client.create_upload(key, None).await?;
        let (upload, begun_at) = (begun.upload_id, begun.created_at);
        let mut parts: Vec<(u16, ETag)> = Vec::new();
        let mut whole = Vec::new();
        for number in 1..=1 + self.dice.below(3) {
            let number = u16::try_from(number).expect("small");
            let mut bytes = self.dice.bytes(1000 + self.dice.below(1000));
            let mut part = client.part(key, upload, number, &bytes).await?;
            if self.dice.chance(25) {
                bytes = self.dice.bytes(1000 + self.dice.below(300_000));
                part = client.part(key, upload, number, &bytes).await?;
            }
            let long = source.as_ref().filter(|bytes| bytes.len() > 1000);
            if let Some(source) = long.filter(|_| self.dice.chance(30)) {
                part = client
                    .part_copy(key, upload, number, client.source(from), None)
                    .await?;
                bytes = source.to_vec();
            }
            parts.push((number, part.etag));
            whole.extend(bytes);
        }
        let whole: Bytes = whole.into();
        match self.dice.below(10) {
            0 => client.abort(key, upload).await?,
            // Left for the reaper.
            1 => {}
            2 | 3 => {
                let key = key.to_owned();
                return Ok(Some(Pending {
                    key,
                    upload,
                    begun_at,
                    parts,
                    whole,
                }));
            }
            _ => self.finish(key, known, upload, &parts, whole).await?,
        }
        Ok(None)
    }

    /// Completes an upload, with one more try when the answer is an error.
    async fn finish(
        &self,
        key: &str,
        known: &mut Known,
        upload: UploadId,
        parts: &[(u16, ETag)],
        whole: Bytes,
    ) -> Result<(), Error> {
        let client = &self.life.client;
        known.may_become.push(Arc::clone(&whole));
        let complete = client.completion(key, upload, parts);
        let mut done = client.complete(complete.clone()).await;
        if done.is_err() {
            done = client.complete(complete).await;
        }
        if self.plan.is_dead() {
            return Ok(());
        }
        done?;
        known.may_become.pop();
        known.may_be = None;
        known.is = Some(whole);
        Ok(())
    }
}

/// Errors that a client may meet while backends misbehave.
fn require_backend_fault(error: &Error) -> Result<(), String> {
    match error.code {
        ErrorCode::ServiceUnavailable | ErrorCode::OperationAborted => Ok(()),
        _ => Err(format!("an answer that nothing explains: {error}")),
    }
}
