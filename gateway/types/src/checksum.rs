//! S3's additional checksums (AWS, "Checking object integrity in Amazon S3").

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// The algorithms that S3 names in `x-amz-checksum-…` headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ChecksumAlgorithm {
    /// CRC-32 (ISO-HDLC).
    Crc32,
    /// CRC-32C (Castagnoli).
    Crc32c,
    /// CRC-64/NVME.
    Crc64Nvme,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

impl ChecksumAlgorithm {
    /// All of them, for tables and loops.
    pub const ALL: [Self; 5] = [
        Self::Crc32,
        Self::Crc32c,
        Self::Crc64Nvme,
        Self::Sha1,
        Self::Sha256,
    ];

    /// The name in `x-amz-checksum-algorithm` and in XML.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// The header (and trailer) that carries a value.
    pub const fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// The length of a value in bytes.
    pub const fn value_bytes(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// By its name, in any case, as SDKs send it.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|a| a.name().eq_ignore_ascii_case(name))
    }

    /// By the header that carries it (lowercase).
    pub fn from_header(header: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.header() == header)
    }

    /// What a multipart upload gets when its client names no type: the SHAs cannot be
    /// combined, CRC64NVME is always of the full object.
    pub const fn default_multipart_kind(self) -> ChecksumKind {
        match self {
            Self::Crc64Nvme => ChecksumKind::FullObject,
            _ => ChecksumKind::Composite,
        }
    }

    /// Whether a multipart object can carry this algorithm with this type.
    pub const fn allows_multipart(self, kind: ChecksumKind) -> bool {
        !matches!(
            (self, kind),
            (Self::Sha1 | Self::Sha256, ChecksumKind::FullObject)
                | (Self::Crc64Nvme, ChecksumKind::Composite)
        )
    }
}

/// What a checksum was taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ChecksumKind {
    /// All bytes of the object.
    FullObject,
    /// The binary checksums of the parts, one after another.
    Composite,
}

impl ChecksumKind {
    /// The name in `x-amz-checksum-type`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FullObject => "FULL_OBJECT",
            Self::Composite => "COMPOSITE",
        }
    }

    /// By its name, in any case.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::FullObject, Self::Composite]
            .into_iter()
            .find(|k| k.name().eq_ignore_ascii_case(name))
    }
}

/// A checksum of some bytes: algorithm and value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Checksum {
    /// How it was computed.
    pub algorithm: ChecksumAlgorithm,
    /// The value, [`ChecksumAlgorithm::value_bytes`] long, big endian for the CRCs.
    pub value: Vec<u8>,
}

impl Checksum {
    /// Reads the base64 form of a header or XML element; `None` when it is not base64 of
    /// the right length.
    pub fn parse(algorithm: ChecksumAlgorithm, text: &str) -> Option<Self> {
        let value = STANDARD.decode(text.trim()).ok()?;
        (value.len() == algorithm.value_bytes()).then_some(Self { algorithm, value })
    }
}

impl fmt::Display for Checksum {
    /// Base64, as headers carry it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(&self.value))
    }
}

/// The checksum of a whole version.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ObjectChecksum {
    /// Algorithm and value.
    pub checksum: Checksum,
    /// Over the bytes, or over the parts' checksums.
    pub kind: ChecksumKind,
    /// Number of parts, for [`ChecksumKind::Composite`]: the value is then shown as `base64-N`.
    pub parts: Option<u16>,
}

impl fmt::Display for ObjectChecksum {
    /// As `x-amz-checksum-…` carries it: base64, with `-N` for composites.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, self.parts) {
            (ChecksumKind::Composite, Some(parts)) => write!(f, "{}-{parts}", self.checksum),
            _ => write!(f, "{}", self.checksum),
        }
    }
}
