//! From events of a parser to values, within limits.

use std::collections::HashMap;
use std::rc::Rc;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput};
use serde_json::{Map, Value};

use super::{Document, DuplicateKeys, Limits, Positions, YamlError};
use crate::scalar;

/// An anchored value with the number of values it is made of.
struct Anchor {
    value: Rc<Value>,
    nodes: usize,
}

pub(super) struct Loader<'t> {
    parser: Parser<'t, StrInput<'t>>,
    /// Length in characters of a text whose last line is not ended: a block scalar that goes on to it
    /// does not end with a line break, though the parser gives it one.
    open_end: Option<usize>,
    limits: &'t Limits,
    anchors: HashMap<usize, Anchor>,
    nodes: usize,
    positions: Option<Positions>,
    path: String,
}

fn error_at(span: Span, message: impl Into<String>) -> YamlError {
    YamlError {
        line: span.start.line(),
        column: span.start.col() + 1,
        message: message.into(),
    }
}

impl<'t> Loader<'t> {
    pub(super) fn new(text: &'t str, limits: &'t Limits, spanned: bool) -> Result<Self, YamlError> {
        if text.len() > limits.bytes {
            let message = format!(
                "{} bytes are more than the {} allowed",
                text.len(),
                limits.bytes
            );
            return Err(YamlError {
                line: 1,
                column: 1,
                message,
            });
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Ok(Self {
            parser: Parser::new_from_str(text),
            open_end: (!text.ends_with('\n')).then(|| text.chars().count()),
            limits,
            anchors: HashMap::new(),
            nodes: 0,
            positions: spanned.then(Positions::default),
            path: String::new(),
        })
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), YamlError> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(YamlError {
                line: error.marker().line(),
                column: error.marker().col() + 1,
                message: error.info().to_owned(),
            }),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    pub(super) fn documents(mut self) -> Result<(Vec<Document>, Positions), YamlError> {
        let mut documents = Vec::new();
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::DocumentStart(_) => {
                    if documents.len() >= self.limits.documents {
                        let limit = self.limits.documents;
                        return Err(error_at(span, format!("more than {limit} documents")));
                    }
                    self.anchors.clear();
                    let (event, span) = self.next()?;
                    if matches!(event, Event::DocumentEnd) {
                        documents.push(Document {
                            value: Value::Null,
                            line: span.start.line(),
                        });
                        continue;
                    }
                    self.mark(span);
                    let value = self.value(event, span, 0)?;
                    documents.push(Document {
                        value,
                        line: span.start.line(),
                    });
                }
                _ => {}
            }
        }
        Ok((documents, self.positions.unwrap_or_default()))
    }

    /// Remembers where the value of the present path is.
    fn mark(&mut self, span: Span) {
        if let Some(positions) = &mut self.positions {
            positions
                .0
                .entry(self.path.clone())
                .or_insert((span.start.line(), span.start.col() + 1));
        }
    }

    fn count(&mut self, nodes: usize, span: Span) -> Result<(), YamlError> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > self.limits.nodes {
            let limit = self.limits.nodes;
            return Err(error_at(
                span,
                format!("more than {limit} values, aliases written out"),
            ));
        }
        Ok(())
    }

    fn anchor(&mut self, id: usize, value: &Value, nodes_before: usize) {
        if id > 0 {
            let nodes = self.nodes - nodes_before;
            self.anchors.insert(
                id,
                Anchor {
                    value: Rc::new(value.clone()),
                    nodes,
                },
            );
        }
    }

    fn value(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Value, YamlError> {
        if depth > self.limits.depth {
            let limit = self.limits.depth;
            return Err(error_at(span, format!("nested deeper than {limit} levels")));
        }
        let nodes_before = self.nodes;
        self.count(1, span)?;
        match event {
            Event::Alias(id) => {
                let Some(anchor) = self.anchors.get(&id) else {
                    return Err(error_at(
                        span,
                        "the alias names no earlier anchor of this document",
                    ));
                };
                let (value, nodes) = (Rc::clone(&anchor.value), anchor.nodes);
                self.count(nodes, span)?;
                Ok((*value).clone())
            }
            Event::Scalar(text, style, id, tag) => {
                let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                let text = if block && self.open_end.is_some_and(|end| span.end.index() >= end) {
                    text.trim_end_matches('\n').to_owned().into()
                } else {
                    text
                };
                let value = match tag {
                    Some(tag) if tag.is_yaml_core_schema() => scalar::tagged(&tag.suffix, &text),
                    // The non-specific tag `!` makes any scalar a string.
                    Some(tag) if tag.handle.is_empty() && tag.suffix == "!" => {
                        Ok(Value::String(text.into_owned()))
                    }
                    Some(_) => Err(scalar::NotJson("the tag is not known to Kubernetes")),
                    None if style == ScalarStyle::Plain => scalar::resolve(&text),
                    None => Ok(Value::String(text.into_owned())),
                }
                .map_err(|error| error_at(span, error.0))?;
                self.anchor(id, &value, nodes_before);
                Ok(value)
            }
            Event::SequenceStart(id, _) => {
                let mut items = Vec::new();
                loop {
                    let (event, span) = self.next()?;
                    if matches!(event, Event::SequenceEnd) {
                        break;
                    }
                    let parent = self.path.len();
                    if self.positions.is_some() {
                        self.path.push_str(&format!("[{}]", items.len()));
                        self.mark(span);
                    }
                    items.push(self.value(event, span, depth + 1)?);
                    self.path.truncate(parent);
                }
                let value = Value::Array(items);
                self.anchor(id, &value, nodes_before);
                Ok(value)
            }
            Event::MappingStart(id, _) => {
                let value = Value::Object(self.mapping(depth)?);
                self.anchor(id, &value, nodes_before);
                Ok(value)
            }
            _ => Err(error_at(span, "a value was expected")),
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Map<String, Value>, YamlError> {
        let mut map = Map::new();
        let mut merged: Vec<Map<String, Value>> = Vec::new();
        loop {
            let (event, key_span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let is_merge = matches!(
                &event,
                Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<"
            );
            let key = key_text(self.value(event, key_span, depth + 1)?, key_span)?;
            let parent = self.path.len();
            if self.positions.is_some() {
                if parent > 0 {
                    self.path.push('.');
                }
                self.path.push_str(&key);
                self.mark(key_span);
            }
            let (event, span) = self.next()?;
            let value = self.value(event, span, depth + 1)?;
            self.path.truncate(parent);
            if is_merge {
                merge_sources(value, span, &mut merged)?;
            } else if self.limits.duplicate_keys == DuplicateKeys::Refuse && map.contains_key(&key)
            {
                return Err(error_at(key_span, format!("key {key:?} is already there")));
            } else {
                map.insert(key, value);
            }
        }
        // Explicit keys win over merged ones, and earlier merge sources over later ones.
        for source in merged {
            for (key, value) in source {
                map.entry(key).or_insert(value);
            }
        }
        Ok(map)
    }
}

/// Keys become strings as sigs.k8s.io/yaml makes them.
fn key_text(key: Value, span: Span) -> Result<String, YamlError> {
    match key {
        Value::String(text) => Ok(text),
        Value::Bool(true) => Ok("true".to_owned()),
        Value::Bool(false) => Ok("false".to_owned()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Null => Ok("null".to_owned()),
        Value::Array(_) | Value::Object(_) => {
            Err(error_at(span, "a mapping or sequence cannot be a key"))
        }
    }
}

fn merge_sources(
    value: Value,
    span: Span,
    merged: &mut Vec<Map<String, Value>>,
) -> Result<(), YamlError> {
    let wrong = || {
        error_at(
            span,
            "a merge key takes a mapping or a sequence of mappings",
        )
    };
    match value {
        Value::Object(map) => merged.push(map),
        Value::Array(items) => {
            for item in items {
                match item {
                    Value::Object(map) => merged.push(map),
                    _ => return Err(wrong()),
                }
            }
        }
        _ => return Err(wrong()),
    }
    Ok(())
}
