//! What the store holds and has seen.

use std::collections::HashMap;

use bytes::Bytes;
use http::{HeaderValue, Method};

use crate::objects::{PATTERN, etag};

/// Objects by request path. Those of the bench are a beginning of the pattern and shared, so
/// that hundreds of thousands of them fit.
#[derive(Default)]
pub(super) struct Store {
    objects: HashMap<Box<str>, (Bytes, HeaderValue)>,
    /// Tags of the beginnings of the pattern, by length.
    tags: HashMap<usize, HeaderValue>,
    gets: u64,
    puts: u64,
    authorization: Option<HeaderValue>,
}

impl Store {
    pub(super) fn get(&self, path: &str) -> Option<(Bytes, HeaderValue)> {
        self.objects.get(path).cloned()
    }

    /// Stores `body` and answers its entity tag.
    pub(super) fn put(&mut self, path: &str, body: &Bytes) -> HeaderValue {
        let (content, tag) = if PATTERN.starts_with(body) {
            let tag = self.tags.entry(body.len()).or_insert_with(|| tag(body));
            (PATTERN.slice(..body.len()), tag.clone())
        } else {
            (body.clone(), tag(body))
        };
        self.objects.insert(path.into(), (content, tag.clone()));
        tag
    }

    pub(super) fn remove(&mut self, path: &str) {
        self.objects.remove(path);
    }

    /// Counts a request.
    pub(super) fn note(&mut self, method: &Method, authorization: Option<&HeaderValue>) {
        match *method {
            Method::GET => self.gets += 1,
            Method::PUT => self.puts += 1,
            _ => {}
        }
        self.authorization = authorization.cloned();
    }

    /// `GETS PUTS ACCESS_KEY`, the last `-` for an unsigned request.
    pub(super) fn seen(&self) -> String {
        let key = self
            .authorization
            .as_ref()
            .and_then(|value| {
                let (_, credential) = value.to_str().ok()?.split_once("Credential=")?;
                Some(credential.split_once('/')?.0)
            })
            .unwrap_or("-");
        format!("{} {} {key}", self.gets, self.puts)
    }
}

fn tag(body: &[u8]) -> HeaderValue {
    etag(body)
        .parse()
        .expect("hexadecimal digits in quotes make a header value")
}
