//! Writing XML that every XML 1.0 parser accepts, whatever the text.

use std::fmt::{Display, Write as _};

/// The declaration that starts every document.
pub(super) const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
/// The namespace of S3's answers.
const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// A document under construction, without its declaration.
pub(super) struct Xml(String);

impl Xml {
    /// A document with this root, in S3's namespace.
    pub(super) fn document(root: &str, inner: impl FnOnce(&mut Self)) -> String {
        let mut xml = Self(String::with_capacity(512));
        xml.0.push('<');
        xml.0.push_str(root);
        xml.0.push_str(" xmlns=\"");
        xml.0.push_str(NAMESPACE);
        xml.0.push_str("\">");
        inner(&mut xml);
        xml.close(root);
        xml.0
    }

    /// A document without a namespace: errors.
    pub(super) fn plain(root: &str, inner: impl FnOnce(&mut Self)) -> String {
        let mut xml = Self(String::with_capacity(512));
        xml.group(root, inner);
        xml.0
    }

    /// An element with elements in it.
    pub(super) fn group(&mut self, name: &str, inner: impl FnOnce(&mut Self)) {
        self.0.push('<');
        self.0.push_str(name);
        self.0.push('>');
        inner(self);
        self.close(name);
    }

    /// An element with text in it.
    pub(super) fn text(&mut self, name: &str, text: &str) {
        self.group(name, |xml| xml.escaped(text));
    }

    /// An element with something printable in it.
    pub(super) fn value(&mut self, name: &str, value: impl Display) {
        let mut text = String::new();
        write!(text, "{value}").expect("writing to a String cannot fail");
        self.text(name, &text);
    }

    /// As [`Self::text`], when there is something.
    pub(super) fn optional(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    /// Text of the element that is open.
    pub(super) fn escaped(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                // Parsers turn a plain CR into LF, and may trim or fold the others.
                '\r' => self.0.push_str("&#13;"),
                '\n' => self.0.push_str("&#10;"),
                '\t' => self.0.push_str("&#9;"),
                // Not characters of XML 1.0, in no spelling.
                '\0'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}' => self.0.push('\u{FFFD}'),
                c => self.0.push(c),
            }
        }
    }

    fn close(&mut self, name: &str) {
        self.0.push_str("</");
        self.0.push_str(name);
        self.0.push('>');
    }
}
