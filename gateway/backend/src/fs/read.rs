//! Reads: of one file, or through a manifest over many.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use weir_types::backend::{BackendError, BackendErrorKind, Fetched, Stored};
use weir_types::body::GetStream;
use weir_types::codec::Record as _;
use weir_types::id::BackendKey;

use super::jobs::Jobs;
use super::layer::{FileLayer, LayerFile};
use super::manifest::{MANIFEST_BYTES_MAX, Manifest};
use super::{FsBackend, layout};
use crate::io_error::{io_error, read_error};

/// Bytes read in one hop; one such piece is read ahead of the one being sent.
const PIECE_BYTES: u64 = 256 << 10;

/// Bytes still to be read from one file.
struct Segment {
    path: String,
    /// Kept open from the first piece on.
    file: Option<Box<dyn LayerFile>>,
    rest: Range<u64>,
}

/// An object that was found: what it is made of.
pub(super) struct Found {
    size: u64,
    segments: Vec<Segment>,
}

impl Found {
    /// What is said about it.
    pub(super) fn stored(&self) -> Stored {
        Stored::new(self.size, "")
    }

    /// Keeps only what lies in `range`.
    fn clip(self, range: &Range<u64>) -> Result<VecDeque<Segment>, BackendError> {
        if range.start >= range.end || range.end > self.size {
            let message = format!(
                "fs: range {}..{} of {} bytes",
                range.start, range.end, self.size
            );
            return Err(BackendError::new(BackendErrorKind::Rejected, message));
        }
        let mut start = 0;
        let mut kept = VecDeque::new();
        for mut segment in self.segments {
            let bytes = segment.rest.end;
            let end = start + bytes;
            if range.start < end && start < range.end {
                segment.rest = range.start.saturating_sub(start)..bytes.min(range.end - start);
                kept.push_back(segment);
            }
            start = end;
        }
        Ok(kept)
    }
}

/// Looks `key` up; `None` when there is nothing under it.
pub(super) fn find(layer: &dyn FileLayer, key: &BackendKey) -> Result<Option<Found>, BackendError> {
    match layer.open(key.as_str()) {
        Ok(file) => {
            let size = file.len().map_err(|e| io_error("stat", &e))?;
            let path = key.as_str().to_owned();
            let segment = Segment {
                path,
                file: Some(file),
                rest: 0..size,
            };
            return Ok(Some(Found {
                size,
                segments: vec![segment],
            }));
        }
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        Err(e) => return Err(io_error("open", &e)),
    }
    let folder = layout::parts_folder(key);
    let Some(manifest) = read_manifest(layer, &folder)? else {
        return confirm_root(layer).map(|()| None);
    };
    let size = manifest
        .size()
        .ok_or_else(|| corrupt("a manifest's sizes overflow"))?;
    let segments = manifest
        .parts
        .iter()
        .map(|(number, bytes)| Segment {
            path: format!("{folder}/{}", layout::part_name(*number)),
            file: None,
            rest: 0..*bytes,
        })
        .collect();
    Ok(Some(Found { size, segments }))
}

/// The manifest in a folder of parts; `None` when there is no such folder or none in it.
pub(super) fn read_manifest(
    layer: &dyn FileLayer,
    folder: &str,
) -> Result<Option<Manifest>, BackendError> {
    let path = format!("{folder}/{}", layout::MANIFEST);
    let file = match layer.open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io_error("open manifest", &e)),
    };
    let size = file.len().map_err(|e| io_error("stat manifest", &e))?;
    if size > MANIFEST_BYTES_MAX {
        return Err(corrupt("a manifest is too large"));
    }
    let mut bytes = vec![0; usize::try_from(size).map_err(|e| corrupt(e.to_string()))?];
    let read = file
        .read_at(&mut bytes, 0)
        .map_err(|e| io_error("read manifest", &e))?;
    bytes.truncate(read);
    Manifest::decode(&bytes)
        .map(Some)
        .map_err(|e| corrupt(e.to_string()))
}

/// Tells "nothing under this key" from "the directory itself is gone", as when a disk was
/// unmounted: the folder of temporary files is always there.
pub(super) fn confirm_root(layer: &dyn FileLayer) -> Result<(), BackendError> {
    match layer.len(layout::TMP) {
        Ok(_) => Ok(()),
        Err(e) => Err(io_error(
            "the directory is not what it was when it was opened",
            &e,
        )),
    }
}

fn corrupt(message: impl std::fmt::Display) -> BackendError {
    BackendError::new(BackendErrorKind::Corrupt, format!("fs: {message}"))
}

/// Reads the next piece; `None` at the end.
fn next_piece(
    layer: &dyn FileLayer,
    segments: &mut VecDeque<Segment>,
) -> Result<Option<Bytes>, BackendError> {
    while segments.front().is_some_and(|s| s.rest.is_empty()) {
        segments.pop_front();
    }
    let Some(segment) = segments.front_mut() else {
        return Ok(None);
    };
    let file = match &mut segment.file {
        Some(file) => file,
        unopened => {
            let file = layer.open(&segment.path).map_err(|e| match e.kind() {
                ErrorKind::NotFound => corrupt(format!("part {} is missing", segment.path)),
                _ => io_error("open part", &e),
            })?;
            unopened.insert(file)
        }
    };
    let wanted = PIECE_BYTES.min(segment.rest.end - segment.rest.start);
    let mut buffer = vec![0; usize::try_from(wanted).map_err(|e| corrupt(e.to_string()))?];
    let read = file
        .read_at(&mut buffer, segment.rest.start)
        .map_err(|e| read_error("read", &e))?;
    if read < buffer.len() {
        return Err(corrupt(format!("{} is shorter than it was", segment.path)));
    }
    segment.rest.start += wanted;
    if segment.rest.is_empty() {
        segments.pop_front();
    }
    Ok(Some(buffer.into()))
}

/// A read in progress.
struct Reader {
    layer: Arc<dyn FileLayer>,
    segments: VecDeque<Segment>,
}

type Step = Result<(Option<Bytes>, Reader), BackendError>;

impl Reader {
    fn step(mut self) -> Step {
        let piece = next_piece(&*self.layer, &mut self.segments)?;
        Ok((piece, self))
    }

    /// The rest as a stream: while one piece is on its way, the next is being read.
    fn stream(self, jobs: Jobs, first: Option<Bytes>) -> GetStream {
        let Some(first) = first else {
            return Box::pin(futures_util::stream::empty());
        };
        let first = futures_util::stream::once(async move { Ok(first) });
        if self.segments.is_empty() {
            return Box::pin(first);
        }
        let ahead = move |reader: Self| {
            let jobs = jobs.clone();
            async move { jobs.run(move || reader.step()).await }
        };
        let rest = futures_util::stream::try_unfold(Some(self), move |reader| {
            let step = reader.map(&ahead);
            async move {
                let Some(step) = step else { return Ok(None) };
                let (piece, reader) = step.await?;
                Ok(piece.map(|piece| (piece, Some(reader))))
            }
        });
        Box::pin(first.chain(rest))
    }
}

impl FsBackend {
    /// Opens, finds and reads the first piece in one hop.
    pub(super) async fn read(
        &self,
        key: &BackendKey,
        range: Option<Range<u64>>,
    ) -> Result<Fetched, BackendError> {
        let (layer, key) = (Arc::clone(&self.layer), key.clone());
        let (stored, first, reader) = self
            .jobs
            .run(move || {
                let found = find(&*layer, &key)?.ok_or_else(|| {
                    BackendError::new(BackendErrorKind::NotFound, format!("fs: no {key}"))
                })?;
                let stored = found.stored();
                let segments = match range {
                    Some(range) => found.clip(&range)?,
                    None => found.segments.into(),
                };
                let (first, reader) = Reader { layer, segments }.step()?;
                Ok((stored, first, reader))
            })
            .await?;
        let body = reader.stream(self.jobs.clone(), first);
        Ok(Fetched {
            size: stored.size,
            etag: stored.etag,
            body,
        })
    }
}
