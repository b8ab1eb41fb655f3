//! Identifiers that the gateway mints, and numbers with a range.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::names::InvalidName;
use crate::entropy::Entropy;

macro_rules! counter {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
        )]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

counter!(
    /// Commit sequence: assigned inside the commit transaction, strictly rising; it orders.
    Seq
);
counter!(
    /// One life of a bucket name: the [`Seq`] of its creation. A bucket deleted and made
    /// again is another incarnation, so a late commit into the old one is refused.
    Incarnation
);
counter!(
    /// Number of an entry in the outbox; rising, never reused.
    OutboxId
);

macro_rules! random128 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub struct $name(pub u128);

        impl $name {
            /// Mints a new one from 128 random bits.
            pub fn mint(entropy: &dyn Entropy) -> Self {
                Self(entropy.u128())
            }

            /// Parses the 32 lowercase hex digits that [`fmt::Display`] prints.
            pub fn parse(text: &str) -> Result<Self, InvalidName> {
                const WHAT: InvalidName = InvalidName("32 lowercase hex digits");
                let plain = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
                if text.len() != 32 || !text.bytes().all(plain) {
                    return Err(WHAT);
                }
                u128::from_str_radix(text, 16).map(Self).map_err(|_| WHAT)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }
    };
}

random128!(
    /// Opaque name of one version; minted before the first byte; it never orders.
    VersionId
);
random128!(
    /// A client's multipart upload.
    UploadId
);
random128!(
    /// A durable note that bytes may come to lie under one backend key.
    IntentId
);

/// A part number of a multipart upload: 1 to 10,000 (AWS, "Multipart upload limits").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct PartNumber(u16);

impl PartNumber {
    /// The first part, and the only segment of an object that was put whole.
    pub const FIRST: Self = Self(1);
    /// The greatest part number.
    pub const MAX: u16 = 10_000;

    /// Accepts 1 to 10,000.
    pub fn new(number: u16) -> Result<Self, InvalidName> {
        if (1..=Self::MAX).contains(&number) {
            Ok(Self(number))
        } else {
            Err(InvalidName("a part number is between 1 and 10000"))
        }
    }

    /// The number.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for PartNumber {
    type Error = InvalidName;
    fn try_from(number: u16) -> Result<Self, InvalidName> {
        Self::new(number)
    }
}

impl From<PartNumber> for u16 {
    fn from(number: PartNumber) -> u16 {
        number.0
    }
}

impl fmt::Display for PartNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
