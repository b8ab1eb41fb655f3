//! The little XML that S3 answers, as a tree. Bounded by the size of the text and by depth.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, Event};

/// Elements within elements: S3's answers to what we ask are four deep.
const DEPTH_MAX: usize = 16;

/// An element: its name without prefix, its own text, its children.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) name: String,
    text: String,
    children: Vec<Element>,
}

impl Element {
    /// Children of a name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// Text of the first child of a name.
    pub(super) fn text_of(&self, name: &str) -> Option<&str> {
        self.children
            .iter()
            .find(|child| child.name == name)
            .map(|child| child.text.trim())
    }
}

/// The character or text that a reference stands for. Entities of one's own do not exist.
fn resolve(reference: &BytesRef<'_>) -> Result<String, String> {
    if let Some(c) = reference.resolve_char_ref().map_err(|e| e.to_string())? {
        return Ok(c.to_string());
    }
    let name: &str = reference;
    resolve_predefined_entity(name)
        .map(str::to_owned)
        .ok_or_else(|| "an entity that XML does not define".to_owned())
}

/// Reads a document; its root comes back. White space around it does not matter.
pub(super) fn parse(text: &str) -> Result<Element, String> {
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}').trim());
    let mut open: Vec<Element> = vec![Element::default()];
    loop {
        let event = reader.read_event().map_err(|e| e.to_string())?;
        match event {
            Event::Start(start) => {
                if open.len() > DEPTH_MAX {
                    return Err("elements are nested too deeply".to_owned());
                }
                let name = start.local_name().as_ref().to_owned();
                open.push(Element {
                    name,
                    ..Element::default()
                });
            }
            Event::Empty(start) => {
                let name = start.local_name().as_ref().to_owned();
                if let Some(parent) = open.last_mut() {
                    parent.children.push(Element {
                        name,
                        ..Element::default()
                    });
                }
            }
            Event::End(_) => {
                let closed = open.pop();
                match (closed, open.last_mut()) {
                    (Some(closed), Some(parent)) => parent.children.push(closed),
                    _ => return Err("an element is closed that was not opened".to_owned()),
                }
            }
            Event::Text(text) => {
                if let Some(element) = open.last_mut() {
                    element.text.push_str(&text.xml10_content());
                }
            }
            Event::CData(data) => {
                if let Some(element) = open.last_mut() {
                    element.text.push_str(&data.xml10_content());
                }
            }
            Event::GeneralRef(reference) => {
                let text = resolve(&reference)?;
                if let Some(element) = open.last_mut() {
                    element.text.push_str(&text);
                }
            }
            Event::DocType(_) => return Err("a DOCTYPE".to_owned()),
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
            Event::Eof => break,
        }
    }
    match (open.pop(), open.is_empty()) {
        (Some(document), true) => document
            .children
            .into_iter()
            .next()
            .ok_or_else(|| "no element".to_owned()),
        _ => Err("the document ends within an element".to_owned()),
    }
}

/// Text for an element.
pub(super) fn escape(text: &str) -> String {
    quick_xml::escape::escape(text).into_owned()
}
