//! The status page, as data and as text.

use std::fmt;
use std::net::SocketAddr;

use serde::Serialize;
use weir_core::observe::OperationClass;
use weir_types::clock::Timestamp;
use weir_types::index::{Index, IndexError};
use weir_types::record::LedgerRecord;

use crate::metrics::{BackendUse, Scrape, WORK_KINDS};
use crate::policies::PolicyStatus;
use crate::scrub::BackendScrub;
use crate::site::Site;

/// How the gateway is.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// Version of the binary.
    pub version: &'static str,
    /// The site.
    pub site: String,
    /// Epoch of the index.
    pub index_epoch: String,
    /// When the process started.
    pub started_at: String,
    /// Where S3 clients connect.
    pub s3: Vec<SocketAddr>,
    /// Whether the disk under the index is nearly full.
    pub index_read_only: bool,
    /// The backends.
    pub backends: Vec<BackendStatus>,
    /// Where the index is shipped to, and how that stands; `None` when it is not.
    pub insurance: Option<Vec<(String, String)>>,
    /// Work that waits, by kind.
    pub outbox: Vec<(&'static str, u64)>,
    /// For how long the oldest of it is due; 0 while all of it waits for its time.
    pub outbox_oldest_seconds: Option<u64>,
    /// Number of buckets.
    pub buckets: usize,
    /// The policies.
    pub policies: Vec<PolicyStatus>,
    /// The policy that decides where no bucket says otherwise.
    pub default_policy: String,
    /// Copies where no bucket says otherwise.
    pub factor: u8,
    /// What an operator should look at.
    pub problems: Vec<(String, String)>,
}

/// How a backend is.
#[derive(Debug, Clone, Serialize)]
pub struct BackendStatus {
    /// Its id.
    pub id: String,
    /// `fs`, `s3`.
    pub kind: &'static str,
    /// Takes no new bytes.
    pub read_only: bool,
    /// Whether its breakers are closed.
    pub reads: &'static str,
    /// The same for writes.
    pub writes: &'static str,
    /// Whether its owner marker has been seen to be ours.
    pub owner_confirmed: bool,
    /// Copies there.
    pub copies: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes reserved.
    pub reserved_bytes: u64,
    /// Limit.
    pub bytes_max: Option<u64>,
    /// Smoothed time to the first byte of reads.
    pub latency_us: Option<u64>,
    /// How far the verification of its copies has come.
    pub scrub: Option<BackendScrub>,
}

impl Site {
    /// How the site is now.
    pub async fn status(
        &self,
        s3: &[SocketAddr],
        started_at: Timestamp,
    ) -> Result<Status, IndexError> {
        let scrape = self.scrape().await?;
        let identity = self.index.identity();
        let (depth, oldest, _) = scrape.outbox;
        let scrub = self.scrub().await?.backends;
        let backend = |(used, ours): (&BackendUse, &crate::site::SiteBackend)| {
            let handle = self.gateway.backends().get(&used.backend);
            let latency = handle.and_then(|handle| handle.latency());
            let word = |closed: bool| if closed { "ok" } else { "broken" };
            BackendStatus {
                id: used.backend.to_string(),
                kind: handle.map_or("", |handle| handle.backend().kind()),
                read_only: handle.is_some_and(|handle| handle.facts().read_only),
                reads: word(used.closed.0),
                writes: word(used.closed.1),
                owner_confirmed: ours.owner.is_confirmed(),
                copies: used.copies,
                bytes: used.copy_bytes,
                reserved_bytes: used.reserved_bytes,
                bytes_max: used.bytes_max,
                scrub: scrub
                    .iter()
                    .find(|s| s.id == used.backend.as_str())
                    .cloned(),
                latency_us: latency.map(|l| u64::try_from(l.as_micros()).unwrap_or(u64::MAX)),
            }
        };
        Ok(Status {
            version: crate::VERSION,
            site: identity.site.to_string(),
            index_epoch: identity.epoch,
            started_at: started_at.to_string(),
            s3: s3.to_vec(),
            index_read_only: scrape.index_read_only,
            backends: scrape
                .ledger
                .iter()
                .zip(&self.backends)
                .map(backend)
                .collect(),
            insurance: self.insurance.get().map(|watch| {
                let line = |status: &weir_insurance::TargetStatus| {
                    (
                        status.backend.to_string(),
                        crate::insurance::in_words(status),
                    )
                };
                watch.status().iter().map(line).collect()
            }),
            outbox: WORK_KINDS.into_iter().zip(depth).collect(),
            outbox_oldest_seconds: oldest.map(|age| age.as_secs()),
            buckets: self.index.buckets().await?.len(),
            policies: self.policies.status(),
            default_policy: self.config.placement.policy.clone(),
            factor: self.config.placement.factor,
            problems: self.problems.all().into_iter().collect(),
        })
    }

    /// What the metrics need beside their own counters.
    pub async fn scrape(&self) -> Result<Scrape, IndexError> {
        let ledger = self.index.ledger().await?;
        let nothing = LedgerRecord::default();
        let used = |handle: &std::sync::Arc<weir_core::backends::BackendHandle>| {
            let record = ledger.iter().find(|(id, _)| id == handle.id());
            let record = record.map_or(&nothing, |(_, record)| record);
            BackendUse {
                backend: handle.id().clone(),
                copies: record.used_objects,
                copy_bytes: record.used_bytes,
                reserved_bytes: record.reserved_bytes,
                bytes_max: handle.room().bytes_max(),
                closed: (
                    handle.is_healthy(OperationClass::Read),
                    handle.is_healthy(OperationClass::Write),
                ),
            }
        };
        if let Some(watch) = self.insurance.get() {
            self.metrics.set_insurance(watch);
        }
        let outbox = self.index.outbox_stats().await?;
        let now = self.clock.now();
        let age = |since: Option<Timestamp>| since.map(|since| now.since(since));
        let meter = |b: &crate::site::SiteBackend| (b.id.clone(), b.meter.snapshot());
        Ok(Scrape {
            meters: self.backends.iter().map(meter).collect(),
            ledger: self.gateway.backends().iter().map(used).collect(),
            outbox: (
                outbox.depth,
                age(outbox.oldest),
                age(outbox.oldest_replicate),
            ),
            scrub: self.gateway.scrub_status().await?,
            policies: self.policies.host().metrics(),
            stages: self.policies.host().status(),
            recorded: self.policies.recorder().counts(),
            index_read_only: self.index.is_read_only(),
            problems: self.problems.all().len(),
        })
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "weir {} · site {} · since {}",
            self.version, self.site, self.started_at
        )?;
        let s3: Vec<_> = self.s3.iter().map(ToString::to_string).collect();
        writeln!(f, "s3 on {} · {} bucket(s)", s3.join(", "), self.buckets)?;
        if self.index_read_only {
            writeln!(
                f,
                "READ-ONLY: the disk under the index is nearly full; reads and deletes work"
            )?;
        }
        writeln!(f, "\nbackends")?;
        for b in &self.backends {
            let limit = b
                .bytes_max
                .map_or("no limit".to_owned(), |max| format!("limit {max}"));
            writeln!(
                f,
                "  {} ({}{}): reads {}, writes {}{} · {} copies, {} bytes, {} reserved, {limit}",
                b.id,
                b.kind,
                if b.read_only { ", read-only" } else { "" },
                b.reads,
                b.writes,
                if b.owner_confirmed {
                    ""
                } else {
                    ", owner not confirmed yet"
                },
                b.copies,
                b.bytes,
                b.reserved_bytes,
            )?;
            if let Some(scrub) = b.scrub.as_ref().filter(|s| s.is_worth_a_word()) {
                writeln!(f, "    scrub: {scrub}")?;
            }
        }
        match &self.insurance {
            None => writeln!(
                f,
                "\nindex insurance is OFF: the index is the only record of what lies there"
            )?,
            Some(targets) => {
                writeln!(f, "\nindex insurance")?;
                for (backend, line) in targets {
                    writeln!(f, "  {backend}: {line}")?;
                }
            }
        }
        writeln!(f, "\nwork that waits")?;
        let waiting: Vec<_> = self
            .outbox
            .iter()
            .map(|(kind, n)| format!("{kind} {n}"))
            .collect();
        writeln!(f, "  {}", waiting.join(", "))?;
        if let Some(seconds) = self.outbox_oldest_seconds {
            writeln!(f, "  oldest due for {seconds} s")?;
        }
        writeln!(
            f,
            "\npolicies (default {}, {} copies)",
            self.default_policy, self.factor
        )?;
        for policy in &self.policies {
            writeln!(f, "  {policy}")?;
        }
        if self.problems.is_empty() {
            return writeln!(f, "\nno problems");
        }
        writeln!(f, "\nPROBLEMS")?;
        for (what, why) in &self.problems {
            writeln!(f, "  {what}: {}", why.escape_debug())?;
        }
        Ok(())
    }
}
