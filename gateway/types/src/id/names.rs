//! Names that people choose: buckets, keys, backends, sites, principals.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a name was refused. The text is fit to be shown to the person who chose it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidName(pub &'static str);

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Parses the name; the error says which rule it breaks.
            pub fn parse(text: &str) -> Result<Self, InvalidName> {
                $check(text)?;
                Ok(Self(Arc::from(text)))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::parse(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

name_type!(
    /// A bucket name by the rules for general purpose buckets
    /// (AWS, "General purpose bucket naming rules"): 3 to 63 of `a-z 0-9 . -`,
    /// starting and ending with a letter or digit, no `..`, not an IPv4 address.
    BucketName,
    check_bucket
);

name_type!(
    /// An object key: 1 to 1,024 bytes of UTF-8 without NUL, kept byte for byte.
    /// Never used as a path or as a backend key.
    ObjectKey,
    check_key
);

name_type!(
    /// The operator's name for a backend: 1 to 32 of `a-z 0-9 -`.
    BackendId,
    check_label
);

name_type!(
    /// The operator's name for a site: 1 to 32 of `a-z 0-9 -`. Part of every backend key.
    SiteId,
    check_label
);

name_type!(
    /// Who is calling: the access key id of a verified credential.
    Principal,
    check_principal
);

fn check_bucket(text: &str) -> Result<(), InvalidName> {
    let bytes = text.as_bytes();
    if !(3..=63).contains(&bytes.len()) {
        return Err(InvalidName("a bucket name has 3 to 63 characters"));
    }
    let plain = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    if !bytes.iter().all(|b| plain(b) || *b == b'.' || *b == b'-') {
        return Err(InvalidName(
            "a bucket name has only lowercase letters, digits, dots and hyphens",
        ));
    }
    let ends_plain = bytes.first().is_some_and(plain) && bytes.last().is_some_and(plain);
    if !ends_plain {
        return Err(InvalidName(
            "a bucket name starts and ends with a letter or digit",
        ));
    }
    if text.contains("..") {
        return Err(InvalidName("a bucket name has no two dots in a row"));
    }
    if text.parse::<std::net::Ipv4Addr>().is_ok() {
        return Err(InvalidName("a bucket name is not an IP address"));
    }
    Ok(())
}

/// The longest key S3 accepts, in bytes of UTF-8 (AWS, "Naming Amazon S3 objects").
pub const KEY_BYTES_MAX: usize = 1024;

fn check_key(text: &str) -> Result<(), InvalidName> {
    if text.is_empty() {
        return Err(InvalidName("an object key is not empty"));
    }
    if text.len() > KEY_BYTES_MAX {
        return Err(InvalidName("an object key has at most 1024 bytes"));
    }
    if text.contains('\0') {
        return Err(InvalidName("an object key has no NUL character"));
    }
    Ok(())
}

fn check_label(text: &str) -> Result<(), InvalidName> {
    let fits = (1..=32).contains(&text.len());
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if !fits || !text.bytes().all(plain) {
        return Err(InvalidName("1 to 32 lowercase letters, digits and hyphens"));
    }
    Ok(())
}

fn check_principal(text: &str) -> Result<(), InvalidName> {
    let fits = (1..=128).contains(&text.len());
    if !fits || !text.bytes().all(|b| b.is_ascii_graphic() && b != b'/') {
        return Err(InvalidName(
            "an access key id has 1 to 128 visible ASCII characters and no slash",
        ));
    }
    Ok(())
}
