//! Small XML documents, read in bounded time and memory.
//!
//! The documents of S3 are two or three levels deep and carry text only in their leaves. What
//! goes beyond that is refused: DTDs and entities, nesting, many attributes, unknown roots.
//! Namespaces and the order of elements do not matter.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use weir_types::{Error, ErrorCode};

/// Root, item, field.
const DEPTH_MAX: usize = 3;
/// `xmlns` and two more.
const ATTRIBUTE_BYTES_MAX: usize = 1024;

/// What a reader is told about, in the order of the document's end tags.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Node<'a> {
    /// An element without elements in it.
    Leaf {
        /// The element around it.
        parent: &'a str,
        /// Its local name.
        name: &'a str,
        /// Its text, entities resolved.
        text: &'a str,
    },
    /// The end of an item that had elements in it.
    End(&'a str),
}

#[derive(Default)]
struct Open {
    name: String,
    text: String,
    has_children: bool,
}

/// Reads a document whose root is `root`.
pub(super) fn read(
    bytes: &[u8],
    root: &str,
    mut visit: impl FnMut(Node<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let text = std::str::from_utf8(bytes).map_err(|_| malformed("The XML is not UTF-8."))?;
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Open> = Vec::new();
    let mut done = false;
    loop {
        match reader
            .read_event()
            .map_err(|_| malformed("The XML is not well formed."))?
        {
            Event::Start(start) => push(&mut open, &start, root, done)?,
            Event::Empty(start) => {
                push(&mut open, &start, root, done)?;
                done = pop(&mut open, &mut visit)?;
            }
            Event::End(_) => done = pop(&mut open, &mut visit)?,
            Event::Text(text) => add_text(&mut open, &text.xml10_content())?,
            Event::CData(text) => add_text(&mut open, &text.xml10_content())?,
            Event::GeneralRef(entity) => {
                let resolved = match entity.resolve_char_ref() {
                    Ok(Some(c)) => Some(c),
                    Ok(None) => predefined(&entity.into_inner()),
                    Err(_) => None,
                };
                let c = resolved.ok_or(malformed("The XML uses an unknown entity."))?;
                add_text(&mut open, c.encode_utf8(&mut [0; 4]))?;
            }
            Event::DocType(_) => return Err(malformed("The XML must not have a DTD.")),
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
            Event::Eof if done => return Ok(()),
            Event::Eof => return Err(malformed("The XML ends early.")),
        }
    }
}

fn push(open: &mut Vec<Open>, start: &BytesStart<'_>, root: &str, done: bool) -> Result<(), Error> {
    let name = start.local_name();
    let name: &str = name.as_ref();
    if done || (open.is_empty() && name != root) {
        return Err(malformed("The XML has another root than expected."));
    }
    if open.len() == DEPTH_MAX {
        return Err(malformed("The XML is nested too deeply."));
    }
    if start.attributes_raw().len() > ATTRIBUTE_BYTES_MAX {
        return Err(malformed("The XML has too many attributes."));
    }
    if let Some(parent) = open.last_mut() {
        if !parent.text.trim_ascii().is_empty() {
            return Err(malformed("The XML has text between elements."));
        }
        parent.has_children = true;
        parent.text.clear();
    }
    open.push(Open {
        name: name.to_owned(),
        ..Open::default()
    });
    Ok(())
}

/// Closes the innermost element; `true` when that was the root.
fn pop(
    open: &mut Vec<Open>,
    visit: &mut impl FnMut(Node<'_>) -> Result<(), Error>,
) -> Result<bool, Error> {
    let closed = open.pop().ok_or(malformed("The XML is not well formed."))?;
    let Some(parent) = open.last() else {
        if !closed.has_children && !closed.text.trim_ascii().is_empty() {
            return Err(malformed("The XML has text in its root."));
        }
        return Ok(true);
    };
    if closed.has_children {
        visit(Node::End(&closed.name))?;
    } else {
        visit(Node::Leaf {
            parent: &parent.name,
            name: &closed.name,
            text: &closed.text,
        })?;
    }
    Ok(false)
}

fn add_text(open: &mut [Open], text: &str) -> Result<(), Error> {
    match open.last_mut() {
        Some(element) if !element.has_children => element.text.push_str(text),
        _ if text.trim_ascii().is_empty() => {}
        _ => return Err(malformed("The XML has text between elements.")),
    }
    Ok(())
}

fn predefined(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => return None,
    })
}

/// [`ErrorCode::MalformedXML`] with what is wrong.
pub(super) fn malformed(message: &'static str) -> Error {
    Error::new(ErrorCode::MalformedXML, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(xml: &str) -> Result<Vec<String>, ErrorCode> {
        let mut found = Vec::new();
        read(xml.as_bytes(), "Delete", |node| {
            found.push(match node {
                Node::Leaf { parent, name, text } => format!("{parent}/{name}={text}"),
                Node::End(name) => format!("/{name}"),
            });
            Ok(())
        })
        .map(|()| found)
        .map_err(|e| e.code)
    }

    #[test]
    fn reads_what_clients_send() {
        let xml = "\u{FEFF}<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- c -->\
            <s3:Delete xmlns:s3=\"http://s3.amazonaws.com/doc/2006-03-01/\">\r\n\
            <s3:Object><Key> a&amp;b&#x20AC;&lt;\r</Key></s3:Object><Quiet/>\
            <Object><Key><![CDATA[<x>&amp;]]></Key></Object></s3:Delete>\n";
        assert_eq!(
            leaves(xml),
            Ok([
                "Object/Key= a&b€<\n",
                "/Object",
                "Delete/Quiet=",
                "Object/Key=<x>&amp;",
                "/Object"
            ]
            .map(str::to_owned)
            .to_vec())
        );
        assert_eq!(leaves("<Delete/>"), Ok(Vec::new()));
    }

    #[test]
    fn refuses_what_could_hurt() {
        let attributes = format!("<Delete {}/>", "a='1' ".repeat(100_000));
        let deep = format!(
            "{}{}",
            "<Delete>".repeat(100_000),
            "</Delete>".repeat(100_000)
        );
        let bomb = "<!DOCTYPE d [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]><Delete>&b;</Delete>";
        for xml in [
            "",
            " ",
            "x",
            "<",
            "<Delete>",
            "</Delete>",
            "<Delete></Other>",
            "<Other/>",
            "<Delete/><Delete/>",
            "<Delete>text</Delete>",
            "<Delete><a/>text</Delete>",
            "<Delete>&unknown;</Delete>",
            "<Delete><a>&unknown;</a></Delete>",
            "<Delete><a>&#0;&#xFFFFFFFF;</a></Delete>",
            "<Delete><a>&amp</a></Delete>",
            "<!DOCTYPE x><Delete/>",
            "<!DOCTYPE x SYSTEM \"file:///etc/passwd\"><Delete/>",
            bomb,
            "<Delete/>trailing",
            &attributes,
            &deep,
        ] {
            let shown: String = xml.chars().take(60).collect();
            assert_eq!(leaves(xml), Err(ErrorCode::MalformedXML), "{shown}");
        }
    }
}
