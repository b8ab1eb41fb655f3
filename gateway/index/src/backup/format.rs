//! Reading and writing the blocks of a backup.

use std::io::{self, Read, Write};

use crc_fast::CrcAlgorithm;

use super::Progress;
use crate::store::Table;

/// Version of the backup format that this binary writes.
pub const BACKUP_VERSION: u32 = 1;

const MAGIC: &[u8; 8] = b"WEIRIDXB";
const HEADER_BYTES: u64 = 12;
const BLOCK_HEADER_BYTES: u64 = 16;
/// A block is written once its payload is this long.
const BLOCK_BYTES_MIN: usize = 256 << 10;
/// A longer payload is damage: the longest row is a few MiB of part numbers.
const BLOCK_BYTES_MAX: usize = 64 << 20;

/// Writes rows as blocks.
pub(super) struct Writer<W> {
    out: W,
    payload: Vec<u8>,
    rows_before: u64,
    progress: Progress,
}

impl<W: Write> Writer<W> {
    /// Begins a backup.
    pub(super) fn new(mut out: W) -> io::Result<Self> {
        out.write_all(MAGIC)?;
        out.write_all(&BACKUP_VERSION.to_le_bytes())?;
        let progress = Progress {
            rows: 0,
            bytes: HEADER_BYTES,
        };
        Ok(Self {
            out,
            payload: Vec::new(),
            rows_before: 0,
            progress,
        })
    }

    /// Adds a row; tells the progress when that filled a block.
    pub(super) fn row(
        &mut self,
        table: Table,
        key: &[u8],
        value: &[u8],
    ) -> io::Result<Option<Progress>> {
        self.payload.push(table.code());
        self.payload.extend(length(key)?);
        self.payload.extend(length(value)?);
        self.payload.extend(key);
        self.payload.extend(value);
        self.progress.rows += 1;
        if self.payload.len() < BLOCK_BYTES_MIN {
            return Ok(None);
        }
        self.block()?;
        Ok(Some(self.progress))
    }

    /// Ends the backup.
    pub(super) fn finish(mut self) -> io::Result<(W, Progress)> {
        if !self.payload.is_empty() {
            self.block()?;
        }
        self.block()?;
        Ok((self.out, self.progress))
    }

    fn block(&mut self) -> io::Result<()> {
        let header = header(&self.payload, self.rows_before)?;
        self.out.write_all(&header)?;
        self.out
            .write_all(&crc(&header, &self.payload).to_le_bytes())?;
        self.out.write_all(&self.payload)?;
        self.progress.bytes += BLOCK_HEADER_BYTES + self.payload.len() as u64;
        self.rows_before = self.progress.rows;
        self.payload.clear();
        Ok(())
    }
}

/// Why a backup cannot be read on.
#[derive(Debug)]
pub(super) enum ReadError {
    /// The file could not be read.
    Io(io::Error),
    /// A newer binary wrote it.
    TooNew(u32),
    /// It is not what was written.
    Damaged(String),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Damaged("it was cut short".into()),
            _ => Self::Io(error),
        }
    }
}

/// Reads blocks and checks them.
pub(super) struct BlockReader<R> {
    input: R,
    progress: Progress,
}

impl<R: Read> BlockReader<R> {
    /// Begins to read a backup.
    pub(super) fn new(mut input: R) -> Result<Self, ReadError> {
        let mut magic = [0; 8];
        input.read_exact(&mut magic)?;
        if magic != *MAGIC {
            return Err(ReadError::Damaged("it is not a backup of an index".into()));
        }
        match u32::from_le_bytes(read_array(&mut input)?) {
            found if found > BACKUP_VERSION => Err(ReadError::TooNew(found)),
            _ => Ok(Self {
                input,
                progress: Progress {
                    rows: 0,
                    bytes: HEADER_BYTES,
                },
            }),
        }
    }

    /// How much was read.
    pub(super) fn progress(&self) -> Progress {
        self.progress
    }

    /// Calls `visit` for each row of the next block; `false` after the last one.
    pub(super) fn block(
        &mut self,
        mut visit: impl FnMut(Table, &[u8], &[u8]),
    ) -> Result<bool, ReadError> {
        let header: [u8; 12] = read_array(&mut self.input)?;
        let expected = u32::from_le_bytes(read_array(&mut self.input)?);
        let (length, rows_before) = parse_header(&header);
        if length > BLOCK_BYTES_MAX {
            return Err(self.damaged("a block has an impossible length"));
        }
        let mut payload = vec![0; length];
        self.input.read_exact(&mut payload)?;
        if crc(&header, &payload) != expected {
            return Err(self.damaged("a checksum is wrong"));
        }
        if rows_before != self.progress.rows {
            return Err(self.damaged("a block is missing or out of place"));
        }
        self.progress.bytes += BLOCK_HEADER_BYTES + length as u64;
        if payload.is_empty() {
            return match self.input.read(&mut [0])? {
                0 => Ok(false),
                _ => Err(self.damaged("bytes follow its end")),
            };
        }
        let mut rest = payload.as_slice();
        while !rest.is_empty() {
            let row = take_row(&mut rest);
            let (table, key, value) = row.ok_or_else(|| self.damaged("a row cannot be read"))?;
            visit(table, key, value);
            self.progress.rows += 1;
        }
        Ok(true)
    }

    fn damaged(&self, what: &str) -> ReadError {
        ReadError::Damaged(format!("{what}, after {} rows", self.progress.rows))
    }
}

fn header(payload: &[u8], rows_before: u64) -> io::Result<[u8; 12]> {
    let mut header = [0; 12];
    header[..4].copy_from_slice(&length(payload)?);
    header[4..].copy_from_slice(&rows_before.to_le_bytes());
    Ok(header)
}

fn parse_header(header: &[u8; 12]) -> (usize, u64) {
    let [a, b, c, d, rows @ ..] = *header;
    (
        u32::from_le_bytes([a, b, c, d]) as usize,
        u64::from_le_bytes(rows),
    )
}

fn crc(header: &[u8], payload: &[u8]) -> u32 {
    let mut digest = crc_fast::Digest::new(CrcAlgorithm::Crc32Iscsi);
    digest.update(header);
    digest.update(payload);
    u32::try_from(digest.finalize()).expect("a CRC32C has 32 bits")
}

fn length(field: &[u8]) -> io::Result<[u8; 4]> {
    u32::try_from(field.len())
        .map(u32::to_le_bytes)
        .map_err(io::Error::other)
}

fn take_row<'b>(rest: &mut &'b [u8]) -> Option<(Table, &'b [u8], &'b [u8])> {
    let (code, after) = rest.split_first()?;
    let (key_bytes, after) = after.split_first_chunk::<4>()?;
    let (value_bytes, after) = after.split_first_chunk::<4>()?;
    let (key, after) = after.split_at_checked(u32::from_le_bytes(*key_bytes) as usize)?;
    let (value, after) = after.split_at_checked(u32::from_le_bytes(*value_bytes) as usize)?;
    *rest = after;
    Some((Table::from_code(*code)?, key, value))
}

fn read_array<const N: usize>(input: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}
