//! Reading recordings back.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use weir_policy::OwnedInput;

use super::row::{Decision, FORMAT, Header, Row};
use super::write::{file_name, numbers};
use crate::error::Failure;

/// Longest line that is read.
const LINE_BYTES_MAX: u64 = 4 << 20;

/// A recording: one file, or the files of a folder in their order.
#[derive(Debug)]
pub struct Recording {
    /// The header of the first file.
    pub header: Header,
    /// Settings by revision.
    pub settings: BTreeMap<String, String>,
    /// Decisions, oldest first.
    pub decisions: Vec<Decision>,
}

impl Recording {
    /// Reads a file or a folder. All files must have been recorded with the same facts: a
    /// decision of other backends cannot be compared. A last line that is not whole, because
    /// it is being written, is left out.
    pub fn read(path: &Path, progress: &dyn Fn(String)) -> Result<Self, Failure> {
        let mut files = files(path)?.into_iter();
        let Some(first) = files.next() else {
            return Err(Failure::new(format!(
                "{}: there is no recording",
                path.display()
            )));
        };
        let mut recording = Self::read_one(&first)?;
        for file in files {
            let next = Self::read_one(&file)?;
            if next.header.facts != recording.header.facts {
                progress(format!(
                    "{}: recorded with other backends than the files before; only what follows counts",
                    file.display()
                ));
                recording = next;
                continue;
            }
            recording.settings.extend(next.settings);
            recording.decisions.extend(next.decisions);
            let count = recording.decisions.len();
            progress(format!("{}: {count} decisions so far", file.display()));
        }
        Ok(recording)
    }

    /// Settings of the revision that decided last, as far as they were recorded.
    pub fn settings_in_force(&self) -> &str {
        let deciders = self
            .decisions
            .iter()
            .rev()
            .filter_map(Decision::revision_digits);
        let mut known = deciders.filter_map(|digits| self.settings.get(digits));
        known.next().map_or("{}", String::as_str)
    }

    fn read_one(path: &Path) -> Result<Self, Failure> {
        let named =
            |why: &dyn std::fmt::Display| Failure::new(format!("{}: {why}", path.display()));
        let mut lines = BufReader::new(File::open(path).map_err(|e| named(&e))?);
        let mut header = None;
        let mut settings = BTreeMap::new();
        let mut decisions = Vec::new();
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let mut limited = (&mut lines).take(LINE_BYTES_MAX);
            limited
                .read_until(b'\n', &mut line)
                .map_err(|e| named(&e))?;
            if line.last() != Some(&b'\n') {
                if line.len() as u64 == LINE_BYTES_MAX {
                    return Err(named(&format!(
                        "line {number}: longer than {LINE_BYTES_MAX} bytes"
                    )));
                }
                break;
            }
            let row = serde_json::from_slice(&line);
            let row = row.map_err(|error| named(&format!("line {number}: {error}")))?;
            match (row, &header) {
                (Row::Header(first), None) if first.format > FORMAT => {
                    let why = format!(
                        "written by a newer version of Weir (format {})",
                        first.format
                    );
                    return Err(named(&why));
                }
                (Row::Header(first), None) => header = Some(*first),
                (_, None) => return Err(named(&"it does not begin with a header")),
                (Row::Header(_), Some(_)) => {
                    return Err(named(&format!("line {number}: a second header")));
                }
                (Row::Revision { id, settings: own }, Some(_)) => {
                    settings.insert(id, own);
                }
                (Row::Decision(decision), Some(_)) => decisions.push(*decision),
            }
        }
        let header = header.ok_or_else(|| named(&"it is empty"))?;
        Ok(Self {
            header,
            settings,
            decisions,
        })
    }
}

fn files(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let numbers = numbers(path);
    let numbers = numbers.map_err(|e| Failure::new(format!("{}: {e}", path.display())))?;
    Ok(numbers
        .into_iter()
        .map(|number| file_name(path, number))
        .collect())
}

/// The latest questions in a folder of recordings, at most `max`; none when there are none or
/// they cannot be read.
pub fn latest_inputs(folder: &Path, max: usize) -> Vec<OwnedInput> {
    let Some(last) = files(folder).ok().and_then(|mut files| files.pop()) else {
        return Vec::new();
    };
    let Ok(recording) = Recording::read_one(&last) else {
        return Vec::new();
    };
    let mut decisions = recording.decisions;
    decisions.drain(..decisions.len().saturating_sub(max));
    decisions
        .into_iter()
        .map(|decision| decision.input)
        .collect()
}
