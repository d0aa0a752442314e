//! A document whose keys keep their order, which the MAC depends on.

use flotilla_yaml::events::{Event, Events, Properties, ScalarStyle};
use flotilla_yaml::resolve_plain;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::{Error, number};

/// Most values of one file, and how deep they may lie.
pub(crate) const MAX_NODES: usize = 50_000;
const MAX_DEPTH: usize = 64;
pub(crate) const MAX_BYTES: usize = 8 << 20;

#[derive(Clone, PartialEq)]
pub(crate) enum Node {
    Map(Vec<(String, Node)>),
    List(Vec<Node>),
    Leaf(Value),
    /// Decrypted bytes that are not UTF-8; only a whole file may be so.
    Bytes(Zeroizing<Vec<u8>>),
    /// A decrypted comment: SOPS stores comments of lists as items. It is dropped, and never becomes a value.
    Comment,
}

impl Node {
    /// Removes an entry from a mapping, and returns it.
    pub(crate) fn take(&mut self, name: &str) -> Option<Self> {
        let Self::Map(entries) = self else {
            return None;
        };
        let at = entries.iter().position(|(key, _)| key == name)?;
        Some(entries.remove(at).1)
    }

    pub(crate) fn into_value(self) -> Value {
        match self {
            Self::Map(entries) => {
                let entries = entries.into_iter();
                Value::Object(
                    entries
                        .map(|(key, node)| (key, node.into_value()))
                        .collect(),
                )
            }
            Self::List(items) => Value::Array(items.into_iter().map(Self::into_value).collect()),
            Self::Leaf(value) => value,
            Self::Bytes(_) | Self::Comment => Value::Null,
        }
    }
}

/// The notation of scalars: the same text is read in different ways, and the MAC covers the value that was
/// read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scalars {
    /// As yaml.v3 does for SOPS.
    Yaml,
    /// All numbers are of floating point.
    Json,
}

/// All documents of a text. SOPS writes neither anchors nor tags nor keys other than text.
pub(crate) fn read(text: &str, scalars: Scalars) -> Result<Vec<Node>, Error> {
    if text.len() > MAX_BYTES {
        return Err(Error::Syntax(format!("more than {MAX_BYTES} bytes")));
    }
    let mut reader = Reader {
        events: Events::new(text).map_err(syntax)?,
        nodes: 0,
        scalars,
    };
    let mut documents = Vec::new();
    loop {
        match reader.next()? {
            Event::StreamEnd => return Ok(documents),
            Event::DocumentStart => {
                let first = reader.next()?;
                documents.push(reader.node(first, 0)?);
            }
            _ => {}
        }
    }
}

/// Anchors and tags are in no file of SOPS.
fn bare(properties: &Properties<'_>) -> bool {
    *properties == Properties::default()
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "it is handed to map_err, which passes values"
)]
fn syntax(error: flotilla_yaml::YamlError) -> Error {
    Error::Syntax(format!("line {}: {}", error.line, error.message))
}

struct Reader<'t> {
    events: Events<'t>,
    nodes: usize,
    scalars: Scalars,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<Event<'t>, Error> {
        let (event, _) = self.events.next_event().map_err(syntax)?;
        Ok(event)
    }

    fn node(&mut self, event: Event<'t>, depth: usize) -> Result<Node, Error> {
        let refuse = |why: &str| Err(Error::Syntax(why.to_owned()));
        self.nodes += 1;
        if self.nodes > MAX_NODES || depth > MAX_DEPTH {
            return refuse("it has too many values, or they are nested too deeply");
        }
        match event {
            Event::Scalar(scalar) if bare(&scalar.properties) => {
                if scalar.style != ScalarStyle::Plain {
                    return Ok(Node::Leaf(Value::String(scalar.text.into_owned())));
                }
                let value = resolve(&scalar.text, self.scalars)
                    .map_err(|why| Error::Syntax(why.to_owned()))?;
                Ok(Node::Leaf(value))
            }
            Event::SequenceStart(properties) if bare(&properties) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        Event::SequenceEnd => return Ok(Node::List(items)),
                        event => items.push(self.node(event, depth + 1)?),
                    }
                }
            }
            Event::MappingStart(properties) if bare(&properties) => {
                let mut entries: Vec<(String, Node)> = Vec::new();
                loop {
                    let key = match self.next()? {
                        Event::MappingEnd => return Ok(Node::Map(entries)),
                        Event::Scalar(key) if key.text == "<<" && !bare(&key.properties) => {
                            return refuse(
                                "merge keys (`<<`) are not supported in encrypted files",
                            );
                        }
                        Event::Scalar(key) if bare(&key.properties) => key.text.into_owned(),
                        _ => return refuse("a key is not a string"),
                    };
                    if entries.iter().any(|(known, _)| *known == key) {
                        return refuse("a key occurs twice");
                    }
                    let event = self.next()?;
                    entries.push((key, self.node(event, depth + 1)?));
                }
            }
            _ => refuse("anchors, aliases and tags are not supported in encrypted files"),
        }
    }
}

fn resolve(text: &str, scalars: Scalars) -> Result<Value, &'static str> {
    if scalars == Scalars::Yaml {
        // Words of YAML 1.1 that yaml.v3 reads as text.
        let words = ["y", "n", "yes", "no", "on", "off"];
        if words.iter().any(|word| text.eq_ignore_ascii_case(word)) {
            return Ok(Value::String(text.to_owned()));
        }
        if let Some(time) = time(text) {
            return Ok(Value::String(time));
        }
    }
    let value = resolve_plain(text).map_err(|error| error.as_str())?;
    match (scalars, value.as_f64()) {
        (Scalars::Json, Some(float)) => number::number(float).ok_or("a number is too large"),
        _ => Ok(value),
    }
}

/// A text that yaml.v3 takes for a time, as RFC 3339.
fn time(text: &str) -> Option<String> {
    let starts_as_date =
        text.get(..4)?.bytes().all(|b| b.is_ascii_digit()) && text.as_bytes().get(4) == Some(&b'-');
    if !starts_as_date || text.len() > 40 {
        return None;
    }
    let (date, clock) = match text.find(['T', 't', ' ']) {
        Some(at) => (text.get(..at)?, text.get(at..)?),
        None => (text, ""),
    };
    let mut parts = date.splitn(3, '-').map(|part| part.parse::<u32>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=days).contains(&day) {
        return None;
    }
    let date = format!("{year:04}-{month:02}-{day:02}");
    if clock.is_empty() {
        return Some(format!("{date}T00:00:00Z"));
    }
    let has_space = clock.starts_with(' ');
    let clock = clock.get(1..)?;
    let zone_at = clock.find(['Z', '+', '-']);
    let (clock, zone) = match (has_space, zone_at) {
        (false, Some(at)) => clock.split_at_checked(at)?,
        (true, None) => (clock, "Z"),
        _ => return None,
    };
    let zone_fits = zone == "Z" || {
        let zone = zone.as_bytes();
        zone.len() == 6 && zone[3] == b':' && zone[1].is_ascii_digit() && zone[5].is_ascii_digit()
    };
    let zone = if zone == "+00:00" || zone == "-00:00" {
        "Z"
    } else {
        zone
    };
    let mut parts = clock.splitn(3, ':');
    let hour: u32 = parts.next()?.parse().ok()?;
    let minute: u32 = parts.next()?.parse().ok()?;
    let (second, fraction) = match parts.next()? {
        rest if rest.contains('.') => rest.split_once('.')?,
        rest => (rest, ""),
    };
    let second: u32 = second.parse().ok()?;
    let fits = zone_fits && hour < 24 && minute < 60 && second < 60 && fraction.len() <= 9;
    if !fits || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let dot = if fraction.is_empty() { "" } else { "." };
    Some(format!(
        "{date}T{hour:02}:{minute:02}:{second:02}{dot}{fraction}{zone}"
    ))
}
