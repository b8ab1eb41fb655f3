//! `weir index restore --from-backends`.
//!
//! The order makes it safe to be wrong about the old gateway being gone:
//! 1. What lies on the backends is read and checked. If it cannot be restored, if a backend does
//!    not answer that has to, or if an owner marker names another index, nothing has changed.
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

use futures_util::future::join_all;
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

use super::{OWNER_LOOK_INTERVAL, OWNER_LOOK_TIMEOUT};
use crate::config::Sources;
use crate::config::model::Config;
use crate::error::Failure;
use crate::owner::{Owned, Ownership};
use crate::site::{INDEX_FILE, open_backend};
use crate::verify::{self, Finding, Progress};

/// For so long a gateway with the old index may go on before it sees that it is not wanted. In
/// the worst case a look has read the old marker right before the new one was written, and ends
/// only at its time limit, for another backend's sake: 5 s. Then come the pause, 5 s, and a look
/// that takes as long as it may, 5 s: 15 s. The rest is for what is being sent at that moment.
const WAIT: Duration =
    Duration::from_secs(OWNER_LOOK_TIMEOUT.as_secs() * 2 + OWNER_LOOK_INTERVAL.as_secs() + 3);
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
    /// Backends that need not answer.
    pub without: Vec<String>,
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
    /// Why it would be refused.
    refusals: Vec<String>,
    foreign: Vec<String>,
    buckets: usize,
    objects: u64,
    under_way: usize,
    verified: verify::Report,
}

/// What is needed, on this machine, and what was found with it.
struct Brought {
    found: Survey,
    collected: Collected,
    /// Why it is refused; only a dry run goes on.
    refusals: Vec<String>,
}

/// The epoch that the index is to have, and the one that it succeeds.
struct Successor {
    epoch: String,
    of: Option<String>,
}

/// Whom a backend's owner marker names.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Owner {
    backend: BackendId,
    /// Site and epoch; `None`: this version cannot read it.
    index: Option<(String, String)>,
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
    let is_there = |name: &&String| config.backends.contains_key(*name);
    if let Some(name) = wanted.without.iter().find(|name| !is_there(name)) {
        return Err(Failure::new(format!(
            "there is no backend {name:?} in the configuration"
        )));
    }
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
        let mut brought = self.bring().await?;
        let successor = self.successor(&**entropy, &brought.collected.place.epoch)?;
        let mut foreign = Vec::new();
        if !self.wanted.dry_run {
            let old = &brought.collected.place.epoch;
            foreign = self.claim(old, &successor).await?;
            if !foreign.is_empty() && self.wanted.stream.is_none() {
                return Err(Failure::new(foreign.join("\n")));
            }
            if !self.wanted.no_wait {
                let seconds = WAIT.as_secs();
                (self.tell)(format!(
                    "waiting {seconds} s, for a gateway that may still be at work with the old index"
                ));
                tokio::time::sleep(WAIT).await;
                drop(brought);
                brought = self.bring().await?;
            }
        }
        let index = if self.wanted.dry_run {
            self.config.data_dir.join(format!("{INDEX_FILE}.dry-run"))
        } else {
            self.target.clone()
        };
        let _trial = self.wanted.dry_run.then(|| Trial(index.clone()));
        self.make(&index, brought, foreign, successor, entropy)
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
    async fn bring(&self) -> Result<Brought, Failure> {
        let targets = self.targets();
        let key = super::key(self.config, self.sources)?;
        (self.tell)("looking at what lies on the backends".into());
        let mut found = survey(&self.site, &targets, key.as_ref()).await;
        let owners = self.owners(&mut found).await;
        for (id, error) in &found.unreachable {
            (self.tell)(format!("backend {id} does not answer: {error}"));
        }
        let mut refusals = Vec::new();
        refusals.extend(missed(&found.unreachable, &self.wanted.without));
        self.refuse(&refusals)?;
        let stream = match &self.wanted.stream {
            None => None,
            Some(text) => {
                let parsed = weir_index::log::StreamId::parse(text);
                Some(parsed.ok_or_else(|| Failure::new(format!("{text:?} is no stream")))?)
            }
        };
        let epochs: Vec<_> = owners.iter().filter_map(|o| o.index.as_ref()).collect();
        let epochs: Vec<_> = epochs.iter().map(|(_, epoch)| epoch.clone()).collect();
        let chosen = found.choose(&self.site, stream, &epochs);
        let chosen = chosen.map_err(Failure::of)?;
        if stream.is_none() {
            refusals.extend(contradicted(&self.site, chosen, &owners));
            self.refuse(&refusals)?;
        }
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
            _ => Ok(Brought {
                found,
                collected,
                refusals,
            }),
        }
    }

    fn refuse(&self, refusals: &[String]) -> Result<(), Failure> {
        match refusals {
            [] => Ok(()),
            _ if self.wanted.dry_run => Ok(()),
            reasons => Err(Failure::new(reasons.join("\n"))),
        }
    }

    /// Whom the markers of the backends that answer name. A marker that an attempt which was cut
    /// short has written stands for the index that it was to succeed.
    async fn owners(&self, found: &mut Survey) -> Vec<Owner> {
        let answers = |id: &BackendId| found.unreachable.iter().all(|(other, _)| other != id);
        let asked: Vec<_> = self.backends.iter().filter(|(id, _)| answers(id)).collect();
        let markers = join_all(asked.iter().map(|(_, meter)| meter.read_owner())).await;
        let noted = self.noted();
        let mut owners = Vec::new();
        for ((backend, _), marker) in asked.into_iter().zip(markers) {
            let mut index = match marker {
                Ok(None) => continue,
                Ok(Some(marker)) => crate::owner::named(&marker),
                Err(error) => {
                    found.unreachable.push((backend.clone(), error.to_string()));
                    continue;
                }
            };
            if let (Some((_, epoch)), Some(noted)) = (&mut index, &noted)
                && *epoch == noted.epoch
            {
                match &noted.of {
                    Some(of) => epoch.clone_from(of),
                    None => continue,
                }
            }
            let backend = backend.clone();
            owners.push(Owner { backend, index });
        }
        owners
    }

    /// File with the epoch that the index is to have, until it has it: an attempt that was cut
    /// short has written it into markers already.
    fn note(&self) -> PathBuf {
        self.config.data_dir.join(format!("{INDEX_FILE}.successor"))
    }

    fn noted(&self) -> Option<Successor> {
        let note = std::fs::read_to_string(self.note()).ok()?;
        let (epoch, of) = match note.split_once(' ') {
            Some((epoch, of)) => (epoch, Some(of.to_owned())),
            None => (note.as_str(), None),
        };
        let epoch = epoch.to_owned();
        (epoch.len() == 32).then_some(Successor { epoch, of })
    }

    fn successor(&self, entropy: &dyn Entropy, old: &str) -> Result<String, Failure> {
        let noted = self.noted();
        let is_noted = noted.as_ref().and_then(|n| n.of.as_deref()) == Some(old);
        let epoch = match noted {
            Some(noted) => noted.epoch,
            None => format!("{:032x}", entropy.u128()),
        };
        if !self.wanted.dry_run && !is_noted {
            let note = format!("{epoch} {old}");
            crate::first_run::write_private(&self.note(), note.as_bytes()).map_err(Failure::of)?;
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
                    let unreachable = [(id.clone(), error.to_string())];
                    if let Some(refusal) = missed(&unreachable, &self.wanted.without) {
                        return Err(Failure::new(refusal));
                    }
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
        brought: Brought,
        foreign: Vec<String>,
        successor: String,
        entropy: &Arc<dyn Entropy>,
    ) -> Result<Report, Failure> {
        let Brought {
            found,
            collected,
            refusals,
        } = brought;
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
            refusals,
            foreign,
            buckets,
            objects,
            under_way,
            verified,
        })
    }
}

/// What is said when backends do not answer that have to.
fn missed(unreachable: &[(BackendId, String)], without: &[String]) -> Option<String> {
    let needed = unreachable
        .iter()
        .filter(|(id, _)| !without.iter().any(|name| name == id.as_str()));
    let needed: Vec<_> = needed.cloned().collect();
    if needed.is_empty() {
        return None;
    }
    Some(format!(
        "not reached: {}. What only these have would be missing, and nothing would tell. No index \
         was made. Bring them back, or go on without: --without {}",
        needed
            .iter()
            .map(|(id, error)| format!("{id} ({error})"))
            .collect::<Vec<_>>()
            .join(", "),
        named(&needed).join(" --without ")
    ))
}

/// What is said when markers name another index than the one that `chosen` is of.
fn contradicted(site: &SiteId, chosen: &Candidate, owners: &[Owner]) -> Option<String> {
    let (stream, epoch) = (chosen.place.stream, &chosen.place.epoch);
    let others = owners.iter().filter_map(|owner| match &owner.index {
        None => Some(format!("that of {} cannot be read", owner.backend)),
        Some((of, at)) if of == site.as_str() && at == epoch => None,
        Some((of, at)) => Some(format!(
            "that of {} names site {of:?}, epoch {at:?}",
            owner.backend
        )),
    });
    let others: Vec<_> = others.collect();
    if others.is_empty() {
        return None;
    }
    Some(format!(
        "the newest stream that can be restored is {stream}, of epoch {epoch:?}, but the owner \
         markers say otherwise: {}. An index of another epoch has been at work there since, or \
         still is, and may know more. No index was made. Start with that index, or bring back the \
         backends that have what it shipped; only when it is gone for good, restore this one with \
         --stream {stream}",
        others.join("; ")
    ))
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
            None if self.unreachable.is_empty() => {
                writeln!(f, "  nothing that was shipped is missing")?;
            }
            None => writeln!(
                f,
                "  what was shipped only to backends that did not answer is MISSING"
            )?,
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
        for refusal in &self.refusals {
            writeln!(f, "  IT WOULD BE REFUSED: {refusal}")?;
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
            && self.refusals.is_empty()
            && self.verified.index_problems_count == 0
            && all
                .flat_map(|b| &b.findings)
                .all(|finding| !missing(finding))
    }
}

#[cfg(test)]
mod tests;
