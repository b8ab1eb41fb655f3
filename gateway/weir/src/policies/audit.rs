//! The audit trail: who changed which policy, when, from what to what.
//!
//! One JSON object per line in `audit.jsonl`, on disk before the step that it tells of takes
//! effect. A full file becomes `audit.jsonl.1`, the one before it `audit.jsonl.2`, and so on.
//! Numbers go on over all of them and over restarts. A last line that a crash has torn was
//! never answered for, and is cut off when the trail is opened.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::store::Digest;

/// Longest line that is read back.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// A component was compiled, configured and kept; it decides nothing yet.
    Load,
    /// A component was examined.
    Check,
    /// A revision decides beside the active one, and is not listened to; or no longer does.
    Shadow,
    /// A revision decides for a share of the keys; or no longer does.
    Canary,
    /// A revision decides from now on.
    Activate,
    /// The revision before decides again.
    Rollback,
    /// A component or a step was refused; nothing changed.
    Refuse,
    /// A start found that an earlier step had been recorded and was not carried out.
    Resolve,
}

impl Step {
    /// In one word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Check => "check",
            Self::Shadow => "shadow",
            Self::Canary => "canary",
            Self::Activate => "activate",
            Self::Rollback => "rollback",
            Self::Refuse => "refuse",
            Self::Resolve => "resolve",
        }
    }
}

/// On whose behalf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    /// Somebody with the admin token.
    AdminToken,
    /// The configuration, at a start.
    Configuration,
    /// A watched file that changed.
    FileWatcher,
}

impl Who {
    /// In one word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AdminToken => "admin-token",
            Self::Configuration => "configuration",
            Self::FileWatcher => "file-watcher",
        }
    }
}

/// A revision as the trail names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// Its id.
    pub revision: String,
    /// Digest of its component.
    pub component: Digest,
    /// Digest of its settings.
    pub settings: Digest,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Counts all lines there ever were, from 1.
    pub seq: u64,
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// On whose behalf.
    pub who: Who,
    /// Which policy.
    pub policy: String,
    /// What.
    pub step: Step,
    /// What it was before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Named>,
    /// What it is from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Named>,
    /// Of how many of a thousand decisions or keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_permille: Option<u16>,
    /// `ok`, or why not.
    pub result: String,
}

/// How a step ended, where it did as it should.
pub const OK: &str = "ok";

/// The trail, open for appending.
#[derive(Debug)]
pub struct Audit {
    path: PathBuf,
    file: File,
    bytes: u64,
    file_bytes_max: u64,
    files_max: usize,
    seq: u64,
}

impl Audit {
    /// Opens the trail at `path`; makes it when it is missing. A torn last line goes.
    pub fn open(path: PathBuf, file_bytes_max: u64, files_max: usize) -> io::Result<Self> {
        let mut file = append_to(&path)?;
        let whole = cut_torn_line(&mut file)?;
        let mut seq = last_seq(&mut file)?;
        if seq == 0 {
            // Cut off right after a rotation: the numbers go on from the file before.
            if let Ok(mut before) = File::open(numbered(&path, 1)) {
                seq = last_seq(&mut before)?;
            }
        }
        sync_folder(&path)?;
        Ok(Self {
            path,
            file,
            bytes: whole,
            file_bytes_max,
            files_max,
            seq,
        })
    }

    /// The number of the last line.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Appends a line, whose number is set here; on disk when this returns. After an error
    /// there is no such line.
    pub fn append(&mut self, mut record: Record) -> io::Result<u64> {
        record.seq = self.seq + 1;
        let mut line = serde_json::to_vec(&record)?;
        line.push(b'\n');
        if self.bytes > 0 && self.bytes + line.len() as u64 > self.file_bytes_max {
            self.rotate()?;
        }
        let written = self
            .file
            .write_all(&line)
            .and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Half a line would run into the next one.
            self.file.set_len(self.bytes)?;
            return Err(error);
        }
        self.bytes += line.len() as u64;
        self.seq = record.seq;
        Ok(self.seq)
    }

    fn rotate(&mut self) -> io::Result<()> {
        for number in (0..self.files_max).rev() {
            let from = numbered(&self.path, number);
            let moved = if number + 1 == self.files_max {
                fs::remove_file(&from)
            } else {
                fs::rename(&from, numbered(&self.path, number + 1))
            };
            match moved {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.file = append_to(&self.path)?;
        self.bytes = 0;
        sync_folder(&self.path)
    }

    /// The last lines, oldest first, at most `max`; of one policy when it is given.
    pub fn last(&self, policy: Option<&str>, max: usize) -> io::Result<Vec<Record>> {
        let mut found = Vec::new();
        for number in 0..self.files_max {
            let content = match fs::read_to_string(numbered(&self.path, number)) {
                Ok(content) => content,
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(error) => return Err(error),
            };
            let records = content
                .lines()
                .rev()
                .filter_map(|line| serde_json::from_str(line).ok());
            let wanted = |record: &Record| policy.is_none_or(|policy| record.policy == policy);
            found.extend(records.filter(wanted).take(max - found.len()));
            if found.len() >= max {
                break;
            }
        }
        found.reverse();
        Ok(found)
    }
}

/// `path` itself, `path.1`, `path.2`…
fn numbered(path: &Path, number: usize) -> PathBuf {
    if number == 0 {
        return path.to_owned();
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

fn append_to(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Cuts what stands behind the last line that is whole; gives the length that is left.
fn cut_torn_line(file: &mut File) -> io::Result<u64> {
    let tail = tail(file)?;
    let length = file.metadata()?.len();
    // Only what follows the last line break can be torn: a line is appended in one piece.
    let torn = match tail.iter().rposition(|byte| *byte == b'\n') {
        Some(end) => tail.len() - end - 1,
        None => tail.len(),
    };
    let whole = length - torn as u64;
    if torn > 0 {
        file.set_len(whole)?;
        file.sync_all()?;
    }
    Ok(whole)
}

fn last_seq(file: &mut File) -> io::Result<u64> {
    let tail = tail(file)?;
    let text = String::from_utf8_lossy(&tail);
    let mut records = text.lines().rev();
    let seq = records.find_map(|line| Some(serde_json::from_str::<Record>(line).ok()?.seq));
    Ok(seq.unwrap_or(0))
}

/// The end of a file, long enough for the longest line.
fn tail(file: &mut File) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LINE_BYTES_MAX)))?;
    let mut tail = Vec::new();
    file.take(LINE_BYTES_MAX).read_to_end(&mut tail)?;
    Ok(tail)
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
