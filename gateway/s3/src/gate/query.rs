//! The query of a request, split and decoded; the raw form is kept for signing.

use std::borrow::Cow;

use weir_types::{Error, ErrorCode};

use crate::percent::{self, Plus, Slash};

/// Parameters of one request at most; the presigned form of a listing has about 20.
const PARAMS_MAX: usize = 128;

/// One `name=value`.
#[derive(Debug, Clone)]
pub(crate) struct Param<'a> {
    raw: (&'a str, &'a str),
    pub(crate) name: Cow<'a, str>,
    pub(crate) value: Cow<'a, str>,
}

/// All parameters in the order they were sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query<'a>(Vec<Param<'a>>);

impl<'a> Query<'a> {
    /// Splits at `&` and at the first `=`. `+` is a space, as S3 and every signer reads it.
    pub(crate) fn parse(raw: Option<&'a str>) -> Result<Self, Error> {
        let mut params = Vec::new();
        for piece in raw.unwrap_or("").split('&').filter(|p| !p.is_empty()) {
            if params.len() == PARAMS_MAX {
                return Err(Error::new(
                    ErrorCode::InvalidURI,
                    "There are too many parameters.",
                ));
            }
            let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
            params.push(Param {
                raw: (name, value),
                name: percent::decode_text(name, Plus::Space)?,
                value: percent::decode_text(value, Plus::Space)?,
            });
        }
        Ok(Self(params))
    }

    /// The parameters.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Param<'a>> {
        self.0.iter()
    }

    /// The canonical query string: encoded, sorted by name and value, without the parameter
    /// called `but` (in any case).
    pub(crate) fn canonical_onto(&self, out: &mut String, but: Option<&str>) {
        let wanted = |p: &&Param<'_>| !but.is_some_and(|but| p.name.eq_ignore_ascii_case(but));
        let mut pairs: Vec<_> = self
            .0
            .iter()
            .filter(wanted)
            .map(|p| (canonical(p.raw.0, &p.name), canonical(p.raw.1, &p.value)))
            .collect();
        pairs.sort_unstable();
        for (nth, (name, value)) in pairs.iter().enumerate() {
            if nth > 0 {
                out.push('&');
            }
            out.push_str(name);
            out.push('=');
            out.push_str(value);
        }
    }
}

fn canonical<'a>(raw: &'a str, decoded: &str) -> Cow<'a, str> {
    if percent::is_canonical(raw, Slash::Encode) {
        return Cow::Borrowed(raw);
    }
    let mut out = String::with_capacity(raw.len() + 8);
    percent::encode_onto(&mut out, decoded.as_bytes(), Slash::Encode);
    Cow::Owned(out)
}
