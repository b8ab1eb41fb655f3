//! Listing current versions, with common prefixes folded.

use weir_types::id::ObjectKey;
use weir_types::index::{IndexError, ListEntry, ListPage, ListQuery};

use crate::keys;
use crate::rows;
use crate::store::{Reader, Step, Table};

/// See [`weir_types::index::Index::list`]. A page with `limit` 0 is empty and the last.
pub(crate) fn list(reader: &dyn Reader, query: &ListQuery) -> Result<ListPage, IndexError> {
    let mut page = ListPage::default();
    let fold = Fold::new(&query.prefix, query.delimiter.as_deref());
    let Some(start) = fold.start_after(query.after.as_deref()) else {
        return Ok(page);
    };
    if query.limit == 0 {
        return Ok(page);
    }
    let bucket = keys::incarnation(query.bucket);
    let from = [bucket.as_slice(), &start].concat();
    reader.scan(Table::Current, &from, &mut |row, value| {
        let Some(key) = row.strip_prefix(bucket.as_slice()) else {
            return Ok(Step::Stop);
        };
        let key = text(key)?;
        if !key.starts_with(&query.prefix) {
            return Ok(Step::Stop);
        }
        if page.entries.len() >= query.limit {
            page.more = true;
            return Ok(Step::Stop);
        }
        let Some(common) = fold.common_prefix(key) else {
            let name = ObjectKey::parse(key).map_err(|error| rows::damaged(error.0))?;
            page.entries
                .push(ListEntry::Object(name, Box::new(rows::decode(value)?)));
            return Ok(Step::Next);
        };
        page.entries.push(ListEntry::Prefix(common.to_owned()));
        Ok(beyond(&bucket, common))
    })?;
    Ok(page)
}

/// How keys fold under a prefix and a delimiter.
pub(super) struct Fold<'q> {
    prefix: &'q str,
    delimiter: Option<&'q str>,
}

impl<'q> Fold<'q> {
    pub(super) fn new(prefix: &'q str, delimiter: Option<&'q str>) -> Self {
        Self {
            prefix,
            delimiter: delimiter.filter(|delimiter| !delimiter.is_empty()),
        }
    }

    /// The common prefix beneath which `key` lies: up to and with the first delimiter after
    /// the prefix.
    pub(super) fn common_prefix<'k>(&self, key: &'k str) -> Option<&'k str> {
        let delimiter = self.delimiter?;
        let at = key.strip_prefix(self.prefix)?.find(delimiter)?;
        Some(&key[..self.prefix.len() + at + delimiter.len()])
    }

    /// The least key text that a page after `after` may hold; `None` when there is none.
    ///
    /// Whatever lies beneath a common prefix folds into that prefix, which is not greater
    /// than `after` when `after` lies beneath it or is it: then everything there is skipped.
    pub(super) fn start_after(&self, after: Option<&str>) -> Option<Vec<u8>> {
        let after = after.unwrap_or_default();
        if let Some(common) = self.common_prefix(after) {
            return keys::after_prefix(common.as_bytes());
        }
        if after < self.prefix {
            return Some(self.prefix.as_bytes().to_vec());
        }
        Some(keys::just_after(after.as_bytes().to_vec()))
    }
}

/// Skips everything beneath a common prefix.
pub(super) fn beyond(bucket: &[u8], common: &str) -> Step {
    match keys::after_prefix(&[bucket, common.as_bytes()].concat()) {
        Some(next) => Step::Seek(next),
        None => Step::Stop,
    }
}

fn text(key: &[u8]) -> Result<&str, IndexError> {
    std::str::from_utf8(key).map_err(|_| rows::damaged("a key is not text"))
}
