//! The thread that writes.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::Receiver;

use weir_policy::StaticFacts;
use weir_types::clock::Clock;

use super::row::{Decision, FORMAT, Header, Limits, Row};
use super::{Counts, Message};
use crate::config::model::RecordingConfig;
use crate::first_run::make_data_dir;

type Name = Arc<str>;

pub(super) struct Writer {
    folder: PathBuf,
    configs: HashMap<Name, RecordingConfig>,
    counts: HashMap<Name, Arc<Counts>>,
    facts: Arc<StaticFacts>,
    limits: Limits,
    clock: Arc<dyn Clock>,
    /// Settings by policy and revision.
    settings: HashMap<(Name, String), String>,
    open: HashMap<Name, Open>,
}

/// A file that is being written.
struct Open {
    file: BufWriter<File>,
    bytes: u64,
    /// Revisions whose settings stand in it.
    revisions: BTreeSet<String>,
}

impl Writer {
    pub(super) fn new(
        folder: PathBuf,
        configs: HashMap<Name, RecordingConfig>,
        counts: HashMap<Name, Arc<Counts>>,
        (facts, limits): (Arc<StaticFacts>, Limits),
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            folder,
            configs,
            counts,
            facts,
            limits,
            clock,
            settings: HashMap::new(),
            open: HashMap::new(),
        }
    }

    /// Writes until nobody can send any more. Whenever the queue is empty, what was written can
    /// be read.
    pub(super) fn run(mut self, messages: &Receiver<Message>) {
        while let Ok(message) = messages.recv() {
            self.take(message);
            while let Ok(message) = messages.try_recv() {
                self.take(message);
            }
            self.flush();
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Revision {
                policy,
                id,
                settings,
            } => {
                self.settings.insert((policy, id.to_string()), settings);
            }
            Message::Decision { policy, decision } => {
                let written = self.write(&policy, decision);
                let Some(counts) = self.counts.get(&policy) else {
                    return;
                };
                match written {
                    Ok(()) => counts.written.fetch_add(1, Relaxed),
                    Err(error) => {
                        // The next decision begins a new file.
                        self.open.remove(&policy);
                        tracing::warn!(%policy, %error, "a decision was not recorded");
                        counts.dropped.fetch_add(1, Relaxed)
                    }
                };
            }
        }
    }

    fn write(&mut self, policy: &Name, decision: Box<Decision>) -> io::Result<()> {
        let Some(config) = self.configs.get(policy).cloned() else {
            return Ok(());
        };
        let digits = decision.revision_digits().map(str::to_owned);
        let line = line(&Row::Decision(decision))?;
        let is_full = |open: &Open| open.bytes + line.len() as u64 > config.file_bytes_max;
        let mut open = match self.open.remove(policy) {
            Some(mut open) if is_full(&open) => {
                open.file.flush()?;
                self.begin(policy, &config)?
            }
            Some(open) => open,
            None => self.begin(policy, &config)?,
        };
        if let Some(id) = digits.filter(|id| !open.revisions.contains(id)) {
            if let Some(settings) = self.settings.get(&(Arc::clone(policy), id.clone())) {
                let row = Row::Revision {
                    id: id.clone(),
                    settings: settings.clone(),
                };
                open.append(&self::line(&row)?)?;
            }
            open.revisions.insert(id);
        }
        open.append(&line)?;
        self.open.insert(Arc::clone(policy), open);
        Ok(())
    }

    /// Begins a new file; the oldest go, so that there are not too many.
    fn begin(&self, policy: &str, config: &RecordingConfig) -> io::Result<Open> {
        let folder = self.folder.join(policy);
        make_data_dir(&folder)?;
        let mut numbers = numbers(&folder)?;
        let number = numbers.last().map_or(1, |last| last + 1);
        let kept = config.files_max.saturating_sub(1);
        let gone = numbers.len().saturating_sub(kept);
        for number in numbers.drain(..gone) {
            fs::remove_file(file_name(&folder, number))?;
        }
        let mut options = OpenOptions::new();
        let file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(file_name(&folder, number))?;
        let mut open = Open {
            file: BufWriter::new(file),
            bytes: 0,
            revisions: BTreeSet::new(),
        };
        let header = Header {
            format: FORMAT,
            policy: policy.to_owned(),
            started_at: self.clock.now().to_string(),
            share_permille: config.share_permille,
            limits: self.limits,
            facts: StaticFacts::clone(&self.facts),
        };
        open.append(&line(&Row::Header(Box::new(header)))?)?;
        Ok(open)
    }

    fn flush(&mut self) {
        for (policy, open) in &mut self.open {
            if let Err(error) = open.file.flush() {
                tracing::warn!(%policy, %error, "a recording was not written to its end");
            }
        }
    }
}

impl Open {
    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        self.file.write_all(line)?;
        self.bytes += line.len() as u64;
        Ok(())
    }
}

fn line(row: &Row) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(row)?;
    line.push(b'\n');
    Ok(line)
}

/// The numbers of the files in a folder, in order.
pub(super) fn numbers(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        numbers.extend(
            name.strip_suffix(".jsonl")
                .and_then(|n| n.parse::<u64>().ok()),
        );
    }
    numbers.sort_unstable();
    Ok(numbers)
}

pub(super) fn file_name(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:08}.jsonl"))
}
