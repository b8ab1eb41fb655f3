//! Bodies on their way into a temporary file.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use weir_types::ErrorCode;
use weir_types::backend::{BackendError, BackendErrorKind};
use weir_types::body::PutStream;

use super::layer::{FileLayer, LayerFile};
use super::{FsBackend, layout};
use crate::io_error::io_error;

/// Bytes gathered before they go to a thread: bodies up to here take one hop, larger ones
/// hold at most two such pieces.
const PIECE_BYTES: usize = 256 << 10;

/// Room set aside ahead of the bytes that have come.
const ALLOCATED_AHEAD_BYTES: u64 = 64 << 20;

/// A file in the folder of temporary files; removed when it is dropped before it was moved.
pub(super) struct TempFile {
    layer: Arc<dyn FileLayer>,
    path: Option<String>,
    file: Box<dyn LayerFile>,
    /// Bytes that will be in it, when room is set aside for them.
    whole: u64,
    /// Bytes that room is set aside for, or that are there.
    allocated: u64,
    written: u64,
}

impl TempFile {
    /// Makes an empty one at `path`.
    pub(super) fn create(layer: Arc<dyn FileLayer>, path: String) -> Result<Self, BackendError> {
        // A missing folder means that the whole directory is gone: never "not found".
        let file = layer.create(&path).map_err(|e| io_error("create", &e))?;
        Ok(Self {
            layer,
            path: Some(path),
            file,
            whole: 0,
            allocated: 0,
            written: 0,
        })
    }

    /// Finds out whether all that will be in it has room, and sets some aside. The rest follows
    /// as the bytes do: a body that was announced and never comes takes little from others.
    fn announce(&mut self, whole: u64) -> Result<(), BackendError> {
        self.whole = whole;
        self.allocate(0).map_err(|mut error| {
            if error.kind == BackendErrorKind::Full {
                // There may be room for others: that this one is too large says nothing
                // against the directory.
                error.kind = BackendErrorKind::DoesNotFit;
            }
            error
        })
    }

    /// Sets room aside for what was announced, up to `until` and somewhat further.
    fn allocate(&mut self, until: u64) -> Result<(), BackendError> {
        if until <= self.allocated && self.allocated > 0 || self.allocated >= self.whole {
            return Ok(());
        }
        let free = self.whole - self.allocated;
        let until = until.saturating_add(ALLOCATED_AHEAD_BYTES).min(self.whole);
        let allocated = self.file.allocate(until, free);
        allocated.map_err(|e| io_error("allocate", &e))?;
        self.allocated = until;
        Ok(())
    }

    /// Writes at the end.
    pub(super) fn append(&mut self, chunks: &[Bytes]) -> Result<(), BackendError> {
        let bytes: usize = chunks.iter().map(Bytes::len).sum();
        let until = self.written + bytes as u64;
        self.allocate(until)?;
        self.file
            .append(chunks)
            .map_err(|e| io_error("write", &e))?;
        self.written = until;
        Ok(())
    }

    /// Makes the content durable.
    pub(super) fn sync(&self, site: &'static str) -> Result<(), BackendError> {
        self.file.sync(site).map_err(|e| io_error("fsync", &e))
    }

    /// Gives it its final name. The name is not durable yet.
    pub(super) fn rename(mut self, to: &str) -> std::io::Result<()> {
        let from = self
            .path
            .take()
            .expect("a path is taken only by the rename, which consumes");
        let result = self.layer.rename(&from, to);
        if result.is_err() {
            self.path = Some(from);
        }
        result
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let Some(path) = self.path.take() else { return };
        let layer = Arc::clone(&self.layer);
        let remove = move || {
            if let Err(e) = layer.unlink(&path) {
                tracing::warn!(path, error = %e, "temporary file stays until the next start");
            }
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) if self.layer.blocks() => drop(runtime.spawn_blocking(remove)),
            _ => remove(),
        }
    }
}

/// Chunks for one write.
struct Piece {
    chunks: Vec<Bytes>,
    is_last: bool,
}

/// Takes exactly the announced number of bytes from a body.
struct Gather {
    body: PutStream,
    rest: u64,
}

impl Gather {
    async fn next(&mut self) -> Result<Piece, BackendError> {
        let mut chunks = Vec::new();
        let mut bytes = 0;
        // The end belongs to the last piece, so that a small body is one.
        while bytes < PIECE_BYTES || self.rest == 0 {
            let Some(chunk) = self
                .body
                .next()
                .await
                .transpose()
                .map_err(BackendError::source)?
            else {
                if self.rest == 0 {
                    return Ok(Piece {
                        chunks,
                        is_last: true,
                    });
                }
                return Err(wrong_length());
            };
            self.rest = self
                .rest
                .checked_sub(chunk.len() as u64)
                .ok_or_else(wrong_length)?;
            bytes += chunk.len();
            chunks.push(chunk);
        }
        Ok(Piece {
            chunks,
            is_last: false,
        })
    }
}

fn wrong_length() -> BackendError {
    BackendError::source(ErrorCode::IncompleteBody.into())
}

/// How a body becomes a durable file.
pub(super) struct Finish<F> {
    /// What follows the body in the file.
    pub(super) trailer: Bytes,
    /// The site of the fsync of the content.
    pub(super) sync_site: &'static str,
    /// Moves the file, whose content is durable, to its place. Runs on the blocking thread.
    pub(super) place: F,
}

impl<T, F: FnOnce(TempFile) -> Result<T, BackendError>> Finish<F> {
    /// Writes the last piece and all that follows.
    fn run(self, mut temp: TempFile, mut last: Piece) -> Result<T, BackendError> {
        last.chunks.push(self.trailer);
        temp.append(&last.chunks)?;
        temp.sync(self.sync_site)?;
        (self.place)(temp)
    }
}

impl FsBackend {
    /// Streams `size` bytes into a temporary file, makes them durable and has them placed.
    /// Leaves nothing when the body fails.
    ///
    /// A body that takes more than one hop is not touched before there is a file and room for
    /// all of it, so that whoever sent it can still take it elsewhere.
    pub(super) async fn store<T, F>(
        &self,
        size: u64,
        body: PutStream,
        finish: Finish<F>,
    ) -> Result<T, BackendError>
    where
        T: Send + 'static,
        F: FnOnce(TempFile) -> Result<T, BackendError> + Send + 'static,
    {
        let layer = Arc::clone(&self.layer);
        let path = layout::new_tmp(&*self.entropy);
        let mut gather = Gather { body, rest: size };
        if size <= PIECE_BYTES as u64 {
            let piece = gather.next().await?;
            let job = move || finish.run(TempFile::create(layer, path)?, piece);
            return self.jobs.run(job).await;
        }
        let bytes = size.saturating_add(finish.trailer.len() as u64);
        let made = self.jobs.run(move || {
            let mut temp = TempFile::create(layer, path)?;
            temp.announce(bytes)?;
            Ok(temp)
        });
        let mut temp = made.await?;
        let mut piece = gather.next().await?;
        while !piece.is_last {
            let written = self.jobs.run(move || {
                temp.append(&piece.chunks)?;
                Ok(temp)
            });
            // Whichever fails first ends both; the file goes with the other's result.
            (temp, piece) = futures_util::future::try_join(written, gather.next()).await?;
        }
        self.jobs.run(move || finish.run(temp, piece)).await
    }
}
