//! `weir index restore --from-backends`.
//!
//! The order makes it safe to be wrong about the old gateway being gone:
//! 1. What lies on the backends is read and checked. If it cannot be restored, nothing has
//!    changed.
//! 2. The backends' owner markers are given the epoch of the index to be. A gateway that still
//!    works with the old one looks at them every few seconds, finds that they name another, and
//!    writes, deletes and ships no more.
//! 3. After a wait that is longer than that, what was shipped meanwhile is read too.
//! 4. The index is made, as the successor of the old one: backends that did not answer are
//!    taken over by it when they do.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use weir_backend::Metered;
use weir_index::{EmbeddedIndex, IndexOptions};
use weir_insurance::Target;
use weir_insurance::restore::{Candidate, Collected, Survey, collect, survey};
use weir_types::backend::Backend;
use weir_types::clock::{Clock, SystemClock};
use weir_types::entropy::{Entropy, SystemEntropy};
use weir_types::id::{BackendId, SiteId};
use weir_types::index::{Index, IndexIdentity, ListQuery, Mutation};
use weir_types::record::{Intent, IntentPurpose, IntentState};

use super::OWNER_LOOK_INTERVAL;
use crate::config::Sources;
use crate::config::model::Config;
use crate::error::Failure;
use crate::owner::{Owned, Ownership};
use crate::site::{INDEX_FILE, open_backend};
use crate::verify::{self, Finding, Progress};

/// For so long a gateway with the old index may go on before it sees that it is not wanted.
const WAIT: Duration = Duration::from_secs(OWNER_LOOK_INTERVAL.as_secs() * 2 + 2);
/// Keys per page when objects are counted.
const PAGE: usize = 1000;

/// What is wanted.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Say what would be restored, and change nothing.
    pub dry_run: bool,
    /// Where part of the log is missing, restore what comes before it.
    pub up_to_gap: bool,
    /// This stream instead of the newest one.
    pub stream: Option<String>,
    /// Do not wait for a gateway that might still be at work with the old index.
    pub no_wait: bool,
}

/// What was restored, or would be.
#[derive(Debug)]
pub struct Report {
    is_dry: bool,
    index: PathBuf,
    epoch: String,
    successor: String,
    stream: String,
    snapshot: (u64, String),
    reached: (u64, String),
    gap: Option<(u64, u64)>,
    damaged: Vec<String>,
    unreachable: Vec<(BackendId, String)>,
    others: Vec<String>,
    foreign: Vec<String>,
    buckets: usize,
    objects: u64,
    under_way: usize,
    verified: verify::Report,
}

struct Restoration<'a> {
    config: &'a Config,
    sources: &'a Sources,
    wanted: &'a Wanted,
    tell: Progress<'a>,
    site: SiteId,
    target: PathBuf,
    backends: Vec<(BackendId, Arc<Metered>)>,
}

/// Restores the index of the configured site from its backends.
pub async fn restore(
    config: &Config,
    sources: &Sources,
    wanted: &Wanted,
    tell: Progress<'_>,
) -> Result<Report, Failure> {
    let target = config.data_dir.join(INDEX_FILE);
    if target.exists() && !wanted.dry_run {
        return Err(Failure::new(format!(
            "there is an index {} already; it is left alone",
            target.display()
        )));
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy::default());
    let mut backends = Vec::new();
    for (name, backend) in &config.backends {
        backends.push(open_backend(name, backend, sources, &clock, &entropy)?);
    }
    let restoration = Restoration {
        site: SiteId::parse(&config.site.id).map_err(Failure::of)?,
        config,
        sources,
        wanted,
        tell,
        target,
        backends,
    };
    restoration.run(&entropy).await
}

impl Restoration<'_> {
    async fn run(&self, entropy: &Arc<dyn Entropy>) -> Result<Report, Failure> {
        let (mut found, mut collected) = self.bring().await?;
        let successor = self.successor(&**entropy)?;
        let mut foreign = Vec::new();
        if !self.wanted.dry_run {
            foreign = self.claim(&collected.place.epoch, &successor).await?;
            if !self.wanted.no_wait {
                let seconds = WAIT.as_secs();
                (self.tell)(format!(
                    "waiting {seconds} s, for a gateway that may still be at work with the old index"
                ));
                tokio::time::sleep(WAIT).await;
                drop(collected);
                (found, collected) = self.bring().await?;
            }
        }
        let index = if self.wanted.dry_run {
            self.config.data_dir.join(format!("{INDEX_FILE}.dry-run"))
        } else {
            self.target.clone()
        };
        let _trial = self.wanted.dry_run.then(|| Trial(index.clone()));
        self.make(&index, &found, collected, foreign, successor, entropy)
            .await
    }

    fn targets(&self) -> Vec<Target> {
        let target = |(id, meter): &(BackendId, Arc<Metered>)| Target {
            id: id.clone(),
            backend: Arc::<Metered>::clone(meter),
        };
        self.backends.iter().map(target).collect()
    }

    /// What there is, and what is needed of it on this machine.
    async fn bring(&self) -> Result<(Survey, Collected), Failure> {
        let targets = self.targets();
        let key = super::key(self.config, self.sources)?;
        (self.tell)("looking at what lies on the backends".into());
        let found = survey(&self.site, &targets, key.as_ref()).await;
        for (id, error) in &found.unreachable {
            (self.tell)(format!("backend {id} does not answer: {error}"));
        }
        let stream = match &self.wanted.stream {
            None => None,
            Some(text) => {
                let parsed = weir_index::log::StreamId::parse(text);
                Some(parsed.ok_or_else(|| Failure::new(format!("{text:?} is no stream")))?)
            }
        };
        let chosen = found.choose(&self.site, stream).map_err(Failure::of)?;
        let folder = &self.config.data_dir;
        let collected = collect(chosen, &targets, key.as_ref(), folder, self.tell);
        let collected = collected.await.map_err(Failure::of)?;
        match &collected.gap {
            Some(gap) if !self.wanted.up_to_gap && !self.wanted.dry_run => {
                Err(Failure::new(format!(
                    "changes from number {} on are missing, though changes up to number {} lie on \
                     the backends{}{}. Nothing was restored. Bring back what is missing, or \
                     restore what comes before it with --up-to-gap",
                    gap.first,
                    gap.beyond,
                    listed("; damaged: ", &collected.damaged),
                    listed("; not reached: ", &named(&found.unreachable)),
                )))
            }
            _ => Ok((found, collected)),
        }
    }

    /// File with the epoch that the index is to have, until it has it: an attempt that was cut
    /// short has written it into markers already.
    fn note(&self) -> PathBuf {
        self.config.data_dir.join(format!("{INDEX_FILE}.successor"))
    }

    fn successor(&self, entropy: &dyn Entropy) -> Result<String, Failure> {
        let note = self.note();
        if let Ok(epoch) = std::fs::read_to_string(&note)
            && epoch.len() == 32
        {
            return Ok(epoch);
        }
        let epoch = format!("{:032x}", entropy.u128());
        if !self.wanted.dry_run {
            crate::first_run::write_private(&note, epoch.as_bytes()).map_err(Failure::of)?;
        }
        Ok(epoch)
    }

    /// The index has its epoch now.
    fn forget_successor(&self) {
        let note = self.note();
        if let Err(error) = std::fs::remove_file(&note) {
            tracing::debug!(%error, path = %note.display(), "not removed");
        }
    }

    /// Gives the backends that belonged to the old index to the new one; names those that
    /// belong to neither.
    async fn claim(&self, old: &str, successor: &str) -> Result<Vec<String>, Failure> {
        let identity = IndexIdentity {
            site: self.site.clone(),
            epoch: successor.to_owned(),
        };
        let mut foreign = Vec::new();
        for (id, meter) in &self.backends {
            let raw: Arc<dyn Backend> = Arc::<Metered>::clone(meter);
            let owned = Owned::new(id.clone(), raw, &identity);
            match owned.succeeding(vec![old.to_owned()]).ownership().await {
                Ownership::Ours => {}
                Ownership::Unknown(error) => {
                    (self.tell)(format!(
                        "backend {id} is taken over when it answers: {error}"
                    ));
                }
                Ownership::Foreign(message) => foreign.push(message),
            }
        }
        Ok(foreign)
    }

    async fn make(
        &self,
        path: &Path,
        found: &Survey,
        collected: Collected,
        foreign: Vec<String>,
        successor: String,
        entropy: &Arc<dyn Entropy>,
    ) -> Result<Report, Failure> {
        (self.tell)(format!(
            "making the index, up to number {}",
            collected.reached.number
        ));
        let (target, epoch, entropy) = (path.to_owned(), successor.clone(), Arc::clone(entropy));
        let building = tokio::task::spawn_blocking(move || {
            let built = collected.build(&target, epoch, entropy, &mut |_| {});
            built.map(|_| collected)
        });
        let collected = building.await.map_err(Failure::of)?.map_err(Failure::of)?;
        let log = match self.wanted.dry_run {
            true => None,
            false => super::log_options(self.config, self.sources)?,
        };
        let (target, site) = (path.to_owned(), self.site.clone());
        let opening = tokio::task::spawn_blocking(move || {
            let options = IndexOptions {
                log,
                ..IndexOptions::default()
            };
            EmbeddedIndex::open(&target, site, options)
        });
        let index = Arc::new(opening.await.map_err(Failure::of)?.map_err(Failure::of)?);
        if !self.wanted.dry_run {
            self.forget_successor();
        }
        let under_way = keep_what_came_after(&*index).await?;
        let (buckets, objects) = count(&*index).await?;
        let backends: Vec<verify::Target> = self
            .backends
            .iter()
            .map(|(id, meter)| (id.clone(), Arc::<Metered>::clone(meter) as Arc<dyn Backend>))
            .collect();
        let verified = verify::verify(&index, &backends, self.tell)
            .await
            .map_err(Failure::of)?;
        let is_other = |c: &&Candidate| c.place != collected.place;
        let others = found.candidates.iter().filter(is_other).map(in_words);
        Ok(Report {
            is_dry: self.wanted.dry_run,
            index: self.target.clone(),
            epoch: collected.place.epoch.clone(),
            successor,
            stream: collected.place.stream.to_string(),
            snapshot: (collected.from.number, collected.taken_at.to_string()),
            reached: (collected.reached.number, collected.up_to.to_string()),
            gap: collected.gap.as_ref().map(|gap| (gap.first, gap.beyond)),
            damaged: collected.damaged.clone(),
            unreachable: found.unreachable.clone(),
            others: others.collect(),
            foreign,
            buckets,
            objects,
            under_way,
            verified,
        })
    }
}

/// An index that nobody is to keep.
struct Trial(PathBuf);

impl Drop for Trial {
    fn drop(&mut self) {
        for extension in ["", ".lock", ".new"] {
            let mut path = self.0.clone().into_os_string();
            path.push(extension);
            let _it_may_not_be_there = std::fs::remove_file(path);
        }
    }
}

/// Lets go of writes that were under way, and tells how many. Whether they were committed in what
/// was not shipped, this index cannot know; with their intents the reaper would take their bytes
/// away. So the bytes stay, as keys that are not known.
async fn keep_what_came_after(index: &dyn Index) -> Result<usize, Failure> {
    let mut count = 0;
    let mut after = None;
    loop {
        let page = index.intents(after, PAGE).await.map_err(Failure::of)?;
        let Some(last) = page.last() else {
            return Ok(count);
        };
        after = Some(last.intent);
        let is_write = |intent: &&Intent| {
            intent.purpose == IntentPurpose::Put && intent.state == IntentState::Open
        };
        let intents: Vec<_> = page
            .iter()
            .filter(is_write)
            .map(|intent| intent.intent)
            .collect();
        count += intents.len();
        let forget = index.apply(Mutation::DropIntents { intents });
        forget.await.map_err(Failure::of)?;
    }
}

async fn count(index: &dyn Index) -> Result<(usize, u64), Failure> {
    let buckets = index.buckets().await.map_err(Failure::of)?;
    let mut objects = 0;
    for bucket in &buckets {
        let mut after = None;
        loop {
            let query = ListQuery {
                bucket: bucket.incarnation,
                prefix: String::new(),
                delimiter: None,
                after: after.take(),
                limit: PAGE,
            };
            let page = index.list(query).await.map_err(Failure::of)?;
            objects += page.entries.len() as u64;
            let last = page.entries.last().map(|entry| match entry {
                weir_types::index::ListEntry::Object(key, _) => key.as_str().to_owned(),
                weir_types::index::ListEntry::Prefix(prefix) => prefix.clone(),
            });
            if !page.more || last.is_none() {
                break;
            }
            after = last;
        }
    }
    Ok((buckets.len(), objects))
}

fn in_words(candidate: &Candidate) -> String {
    let backends: Vec<_> = candidate.backends.iter().map(BackendId::as_str).collect();
    let reached = match &candidate.reached {
        Ok(time) => format!("reached {time}"),
        Err(reason) => reason.to_string(),
    };
    format!(
        "stream {} of epoch {} on {}: number {}, {reached}",
        candidate.place.stream,
        candidate.place.epoch,
        backends.join(", "),
        candidate.last
    )
}

fn named(unreachable: &[(BackendId, String)]) -> Vec<String> {
    unreachable.iter().map(|(id, _)| id.to_string()).collect()
}

fn listed(before: &str, all: &[String]) -> String {
    if all.is_empty() {
        return String::new();
    }
    format!("{before}{}", all.join(", "))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_dry {
            writeln!(f, "this would be restored; nothing was changed")?;
        } else {
            writeln!(f, "{}: restored", self.index.display())?;
        }
        writeln!(f, "  stream {} of epoch {}", self.stream, self.epoch)?;
        if !self.is_dry {
            writeln!(f, "  the index has epoch {} now", self.successor)?;
        }
        writeln!(
            f,
            "  snapshot at number {}, of {}",
            self.snapshot.0, self.snapshot.1
        )?;
        writeln!(
            f,
            "  changes up to number {}: all that was committed before {}",
            self.reached.0, self.reached.1
        )?;
        writeln!(
            f,
            "  {} bucket(s), {} object(s)",
            self.buckets, self.objects
        )?;
        writeln!(
            f,
            "  {} write(s) were under way; their bytes, where there are any, stay as unknown keys",
            self.under_way
        )?;
        match self.gap {
            None => writeln!(f, "  nothing that was shipped is missing")?,
            Some((first, beyond)) => writeln!(
                f,
                "  MISSING: changes from number {first} on, though changes up to number {beyond} \
                 lie there"
            )?,
        }
        for file in &self.damaged {
            writeln!(f, "  damaged, not used: {file}")?;
        }
        for (id, error) in &self.unreachable {
            writeln!(f, "  backend {id} did not answer: {error}")?;
        }
        for message in &self.foreign {
            writeln!(f, "  {message}")?;
        }
        for other in &self.others {
            writeln!(f, "  also there: {other}")?;
        }
        writeln!(
            f,
            "\nwhat the index and the backends say of each other; `unknown` came after the last \
             shipped change, or was on its way out"
        )?;
        write!(f, "{}", self.verified)
    }
}

impl Report {
    /// Whether every copy that the index has is there.
    pub fn has_every_copy(&self) -> bool {
        let missing = |finding: &Finding| !matches!(finding, Finding::Unknown { .. });
        let all = self.verified.backends.iter();
        self.gap.is_none()
            && self.verified.index_problems_count == 0
            && all
                .flat_map(|b| &b.findings)
                .all(|finding| !missing(finding))
    }
}
