//! Hashes over a stream of bytes.

use aws_lc_rs::digest;
use md5::{Digest as _, Md5};
use weir_types::checksum::{Checksum, ChecksumAlgorithm};
use weir_types::record::BLOCK_BYTES;

/// MD5 over everything and CRC32C over each block of [`BLOCK_BYTES`].
#[derive(Default)]
pub(crate) struct BlockDigests {
    md5: Md5,
    block: Option<crc_fast::Digest>,
    block_bytes: u64,
    crcs: Vec<u32>,
}

impl BlockDigests {
    /// Takes further bytes.
    pub(crate) fn update(&mut self, mut data: &[u8]) {
        self.md5.update(data);
        while !data.is_empty() {
            let left =
                usize::try_from(BLOCK_BYTES - self.block_bytes).expect("a block fits into memory");
            let (now, later) = data.split_at(left.min(data.len()));
            let block = self.block.get_or_insert_with(crc32c);
            block.update(now);
            self.block_bytes += now.len() as u64;
            if self.block_bytes == BLOCK_BYTES {
                self.end_block();
            }
            data = later;
        }
    }

    fn end_block(&mut self) {
        if let Some(block) = self.block.take() {
            self.crcs.push(finish_crc32c(&block));
            self.block_bytes = 0;
        }
    }

    /// MD5 of everything, CRC32C of each block.
    pub(crate) fn finish(mut self) -> ([u8; 16], Vec<u32>) {
        self.end_block();
        (self.md5.finalize().into(), self.crcs)
    }
}

/// A running CRC32C.
pub(crate) fn crc32c() -> crc_fast::Digest {
    crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi)
}

/// The value of a CRC32C.
pub(crate) fn finish_crc32c(digest: &crc_fast::Digest) -> u32 {
    u32::try_from(digest.finalize()).expect("a CRC32C has 32 bits")
}

/// A running checksum of any of S3's algorithms.
pub(crate) struct ChecksumDigest {
    algorithm: ChecksumAlgorithm,
    state: State,
}

enum State {
    Crc(Box<crc_fast::Digest>),
    Sha(digest::Context),
}

impl ChecksumDigest {
    /// Starts a checksum.
    pub(crate) fn new(algorithm: ChecksumAlgorithm) -> Self {
        use crc_fast::CrcAlgorithm::{Crc32Iscsi, Crc32IsoHdlc, Crc64Nvme};
        let crc = |algorithm| State::Crc(Box::new(crc_fast::Digest::new(algorithm)));
        let state = match algorithm {
            ChecksumAlgorithm::Crc32 => crc(Crc32IsoHdlc),
            ChecksumAlgorithm::Crc32c => crc(Crc32Iscsi),
            ChecksumAlgorithm::Crc64Nvme => crc(Crc64Nvme),
            ChecksumAlgorithm::Sha1 => {
                State::Sha(digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY))
            }
            ChecksumAlgorithm::Sha256 => State::Sha(digest::Context::new(&digest::SHA256)),
        };
        Self { algorithm, state }
    }

    /// Takes further bytes.
    pub(crate) fn update(&mut self, data: &[u8]) {
        match &mut self.state {
            State::Crc(crc) => crc.update(data),
            State::Sha(sha) => sha.update(data),
        }
    }

    /// The value.
    pub(crate) fn finish(self) -> Checksum {
        let value = match self.state {
            State::Crc(crc) => {
                let all = crc.finalize().to_be_bytes();
                all[all.len() - self.algorithm.value_bytes()..].to_vec()
            }
            State::Sha(sha) => sha.finish().as_ref().to_vec(),
        };
        Checksum {
            algorithm: self.algorithm,
            value,
        }
    }
}
