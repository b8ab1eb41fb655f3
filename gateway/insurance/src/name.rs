//! How what lies on a backend is named.
//!
//! | file | what |
//! |---|---|
//! | `part-<number>-<part>.<try>` | a piece of the snapshot at a log number |
//! | `snap-<number>-<parts>-<began>.<try>` | its manifest: the snapshot is whole |
//! | `log-<first>-<last>.<try>` | entries of the log |
//!
//! Numbers are hexadecimal with leading zeros, so that a listing is in their order; `began` is
//! when the stream was first shipped, in milliseconds since the Unix epoch; `try` is random, so
//! that no key is ever written twice. The parts of a snapshot share the `try` of its manifest.

use std::fmt;

use weir_index::log::StreamId;
use weir_types::clock::Timestamp;
use weir_types::id::{BackendKey, InvalidName, SiteId};

/// What one index keeps on backends.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The site.
    pub site: SiteId,
    /// Epoch of the index.
    pub epoch: String,
    /// Stream of its log.
    pub stream: StreamId,
}

/// One file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum File {
    /// A piece of a snapshot.
    Part {
        /// Log number of the snapshot.
        number: u64,
        /// Which piece, from 0.
        part: u32,
        /// Which try.
        tried: u32,
    },
    /// The manifest of a snapshot.
    Snapshot {
        /// Log number of the snapshot.
        number: u64,
        /// How many pieces it has.
        parts: u32,
        /// When the stream was first shipped.
        began: Timestamp,
        /// Which try.
        tried: u32,
    },
    /// Entries of the log.
    Log {
        /// The first number.
        first: u64,
        /// The last number.
        last: u64,
        /// Which try.
        tried: u32,
    },
}

impl Place {
    /// What the keys of all indexes of a site begin with.
    pub fn site_prefix(site: &SiteId) -> String {
        BackendKey::index_prefix(site)
    }

    /// What the keys of all streams of this epoch begin with.
    pub fn epoch_prefix(&self) -> String {
        format!("{}{}/", Self::site_prefix(&self.site), self.epoch)
    }

    /// What the keys of this stream begin with.
    pub fn prefix(&self) -> String {
        format!("{}{}/", self.epoch_prefix(), self.stream)
    }

    /// The key of a file.
    pub fn key(&self, file: File) -> Result<BackendKey, InvalidName> {
        let name = format!("{}/{file}", self.stream);
        BackendKey::of_index(&self.site, &self.epoch, &name)
    }

    /// Reads what [`Place::key`] made; `None` for anything else.
    pub fn parse(site: &SiteId, key: &str) -> Option<(Self, File)> {
        let rest = key.strip_prefix(&Self::site_prefix(site))?;
        let mut elements = rest.split('/');
        let (epoch, stream, file) = (elements.next()?, elements.next()?, elements.next()?);
        let place = Self {
            site: site.clone(),
            epoch: epoch.to_owned(),
            stream: StreamId::parse(stream)?,
        };
        let file = File::parse(file)?;
        let same = place.key(file).ok()?;
        (same.as_str() == key).then_some((place, file))
    }
}

impl File {
    fn parse(text: &str) -> Option<Self> {
        let (name, tried) = text.split_once('.')?;
        let tried = u32::from_str_radix(tried, 16).ok()?;
        let mut fields = name.split('-');
        let kind = fields.next()?;
        let mut hex = || u64::from_str_radix(fields.next()?, 16).ok();
        let file = match kind {
            "part" => Self::Part {
                number: hex()?,
                part: hex()?.try_into().ok()?,
                tried,
            },
            "snap" => Self::Snapshot {
                number: hex()?,
                parts: hex()?.try_into().ok()?,
                began: Timestamp::from_millis(hex()?),
                tried,
            },
            "log" => Self::Log {
                first: hex()?,
                last: hex()?,
                tried,
            },
            _ => return None,
        };
        Some(file)
    }
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Part {
                number,
                part,
                tried,
            } => write!(f, "part-{number:016x}-{part:06x}.{tried:08x}"),
            Self::Snapshot {
                number,
                parts,
                began,
                tried,
            } => {
                let began = began.as_millis();
                write!(f, "snap-{number:016x}-{parts:06x}-{began:012x}.{tried:08x}")
            }
            Self::Log { first, last, tried } => {
                write!(f, "log-{first:016x}-{last:016x}.{tried:08x}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_were_made_and_nothing_else_is() {
        let site = SiteId::parse("here").expect("a valid site");
        let place = Place {
            site: site.clone(),
            epoch: "0f".into(),
            stream: StreamId([0xAB; 16]),
        };
        for file in [
            File::Part {
                number: 7,
                part: 1,
                tried: 0xFFFF_FFFF,
            },
            File::Snapshot {
                number: u64::MAX,
                parts: 3,
                began: Timestamp::from_millis(99),
                tried: 0,
            },
            File::Log {
                first: 1,
                last: 2,
                tried: 3,
            },
        ] {
            let key = place.key(file).expect("a valid name");
            assert!(key.as_str().starts_with(&place.prefix()), "{key}");
            assert_eq!(
                Place::parse(&site, key.as_str()),
                Some((place.clone(), file))
            );
            let other = SiteId::parse("her").expect("a valid site");
            assert_eq!(Place::parse(&other, key.as_str()), None);
            for spoilt in [
                format!("{key}0"),
                format!("{key}/x"),
                key.as_str().replace("w1-index", "w1"),
                key.as_str().to_uppercase(),
                key.as_str().replace(".0", "."),
            ] {
                if spoilt != key.as_str() {
                    assert_eq!(Place::parse(&site, &spoilt), None, "{spoilt}");
                }
            }
        }
        let hostile = Place {
            epoch: "../../w1".into(),
            ..place
        };
        let file = File::Log {
            first: 1,
            last: 1,
            tried: 1,
        };
        assert!(hostile.key(file).is_err());
    }
}
