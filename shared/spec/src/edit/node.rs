//! YAML nodes with their positions in the text.

use flotilla_yaml::events::{Event, Events, Properties, Span};

use super::{EditError, unusual};

/// Highest nesting depth, deeper than any fleet file.
const MAX_DEPTH: usize = 64;

/// A node, from its first byte to the end of its content.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) start: usize,
    pub(super) end: usize,
    /// Number of characters before it on its line.
    pub(super) column: usize,
    pub(super) value: Value,
}

#[derive(Debug)]
pub(super) enum Value {
    Scalar(String),
    Sequence {
        items: Vec<Node>,
        is_flow: bool,
    },
    Mapping {
        pairs: Vec<(Node, Node)>,
        is_flow: bool,
    },
}

impl Node {
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(text) => Some(text),
            _ => None,
        }
    }

    /// Returns a key of a mapping with its value.
    pub(super) fn get(&self, key: &str) -> Option<(&Self, &Self)> {
        let Value::Mapping { pairs, .. } = &self.value else {
            return None;
        };
        let found = pairs.iter().find(|(name, _)| name.text() == Some(key));
        found.map(|(name, value)| (name, value))
    }
}

/// Reads the first document of a text.
pub(super) fn read(text: &str) -> Result<Node, EditError> {
    let skipped = text.len() - text.trim_start_matches('\u{feff}').len();
    let mut reader = Reader {
        text,
        events: Events::new(text).map_err(|error| unusual(error.to_string()))?,
        skipped,
    };
    reader.next()?;
    let (event, span) = reader.next()?;
    reader.node(event, span, 0)
}

struct Reader<'t> {
    text: &'t str,
    events: Events<'t>,
    /// Number of bytes that the parser's offsets do not include.
    skipped: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), EditError> {
        let event = self.events.next_event();
        event.map_err(|error| unusual(error.to_string()))
    }

    fn begins_with(&self, at: usize, bracket: char) -> bool {
        self.text
            .get(at..)
            .is_some_and(|rest| rest.starts_with(bracket))
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, EditError> {
        if depth > MAX_DEPTH {
            return Err(unusual(format!("it is nested deeper than {MAX_DEPTH}")));
        }
        let (start, end) = (
            span.start.offset() + self.skipped,
            span.end.offset() + self.skipped,
        );
        let column = span.start.column() - 1;
        let plain = |properties: &Properties<'_>| match properties.anchor {
            Some(_) => Err(unusual("it has anchors")),
            None => Ok(()),
        };
        let (value, end) = match event {
            Event::Scalar(scalar) => {
                plain(&scalar.properties)?;
                (Value::Scalar(scalar.text.into_owned()), end)
            }
            Event::SequenceStart(properties) => {
                plain(&properties)?;
                self.sequence(start, depth)?
            }
            Event::MappingStart(properties) => {
                plain(&properties)?;
                self.mapping(start, depth)?
            }
            Event::Alias(_) => return Err(unusual("it has aliases")),
            _ => return Err(unusual("a node is missing")),
        };
        Ok(Node {
            start,
            end: end.max(start),
            column,
            value,
        })
    }

    fn sequence(&mut self, start: usize, depth: usize) -> Result<(Value, usize), EditError> {
        let is_flow = self.begins_with(start, '[');
        let mut items = Vec::new();
        let mut last = start;
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                let end = if is_flow {
                    span.end.offset() + self.skipped
                } else {
                    last
                };
                return Ok((Value::Sequence { items, is_flow }, end));
            }
            let item = self.node(event, span, depth + 1)?;
            last = item.end;
            items.push(item);
        }
    }

    fn mapping(&mut self, start: usize, depth: usize) -> Result<(Value, usize), EditError> {
        let is_flow = self.begins_with(start, '{');
        let mut pairs = Vec::new();
        let mut last = start;
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                let end = if is_flow {
                    span.end.offset() + self.skipped
                } else {
                    last
                };
                return Ok((Value::Mapping { pairs, is_flow }, end));
            }
            let key = self.node(event, span, depth + 1)?;
            let (event, span) = self.next()?;
            let mut value = self.node(event, span, depth + 1)?;
            // The parser places a missing value at the next token.
            if value.text() == Some("") && value.start == value.end {
                value.start = key.end;
                value.end = key.end;
            }
            last = value.end;
            pairs.push((key, value));
        }
    }
}
