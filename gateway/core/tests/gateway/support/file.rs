//! The file of an index, on a disk that forgets.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Dice;

/// What a disk writes wholly or not at all.
const SECTOR_BYTES: usize = 512;

/// A file that keeps, when power goes, what was synced, and of the rest whatever the dice say:
/// any subset of the written sectors, at any of the lengths it was given since. (A length is
/// set as one change, as on journaling file systems.) Handles from before fail from then on.
#[derive(Debug, Clone, Default)]
pub(crate) struct ForgetfulFile {
    state: Arc<Mutex<State>>,
    run: u64,
}

#[derive(Debug, Default)]
struct State {
    run: u64,
    /// Syncs do nothing, and say that they did.
    lies: bool,
    bytes: Vec<u8>,
    durable: Vec<u8>,
    /// Sectors written, and lengths set, since the last sync.
    sectors: std::collections::BTreeSet<usize>,
    lengths: Vec<usize>,
}

impl ForgetfulFile {
    /// The file as it is found after the power came back.
    pub(crate) fn crash(&self, seed: u64) -> Self {
        let dice = Dice::new(seed);
        let mut state = self.state.lock();
        let lengths = std::mem::take(&mut state.lengths);
        let kept = usize::try_from(dice.below(lengths.len() as u64 + 1)).expect("small");
        if let Some(length) = lengths[..kept].last() {
            state.durable.resize(*length, 0);
        }
        for sector in std::mem::take(&mut state.sectors) {
            if dice.chance(50) {
                state.keep(sector);
            }
        }
        state.bytes = state.durable.clone();
        state.run += 1;
        Self {
            state: Arc::clone(&self.state),
            run: state.run,
        }
    }

    /// From now on syncs do nothing.
    pub(crate) fn ignore_sync(&self) {
        self.state.lock().lies = true;
    }

    fn enter(&self) -> io::Result<parking_lot::MutexGuard<'_, State>> {
        let state = self.state.lock();
        if state.run == self.run {
            Ok(state)
        } else {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }
}

impl State {
    fn keep(&mut self, sector: usize) {
        let start = sector * SECTOR_BYTES;
        let end = (start + SECTOR_BYTES)
            .min(self.bytes.len())
            .min(self.durable.len());
        if start < end {
            self.durable[start..end].copy_from_slice(&self.bytes[start..end]);
        }
    }
}

impl redb::StorageBackend for ForgetfulFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.enter()?.bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let state = self.enter()?;
        let found = state.bytes.get(offset..offset + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(io::Error::other)?;
        let mut state = self.enter()?;
        state.bytes.resize(len, 0);
        state.lengths.push(len);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.enter()?;
        if state.lies {
            return Ok(());
        }
        state.lengths.clear();
        state.sectors.clear();
        state.durable = state.bytes.clone();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let end = start + data.len();
        let mut state = self.enter()?;
        let place = state
            .bytes
            .get_mut(start..end)
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        place.copy_from_slice(data);
        if start < end {
            state
                .sectors
                .extend(start / SECTOR_BYTES..=(end - 1) / SECTOR_BYTES);
        }
        Ok(())
    }
}
