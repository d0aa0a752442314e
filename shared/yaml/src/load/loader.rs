//! From events of a parser to values, within limits.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use serde_json::{Map, Value};

use super::{Document, DuplicateKeys, Limits, Positions};
use crate::error::YamlError;
use crate::events::{Event, Events, Scalar, ScalarStyle, Span};
use crate::scalar;

/// An anchored value with the number of values it is made of.
struct Anchor {
    value: Rc<Value>,
    nodes: usize,
}

pub(super) struct Loader<'t> {
    events: Events<'t>,
    limits: &'t Limits,
    anchors: HashMap<&'t str, Anchor>,
    nodes: usize,
    positions: Option<Positions>,
    path: String,
}

fn error_at(span: Span, message: impl Into<String>) -> YamlError {
    YamlError {
        line: span.start.line(),
        column: span.start.column(),
        message: message.into(),
    }
}

impl<'t> Loader<'t> {
    /// Creates a loader, which records positions if `positions` is given.
    pub(super) fn new(
        text: &'t str,
        limits: &'t Limits,
        positions: Option<Positions>,
    ) -> Result<Self, YamlError> {
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
        Ok(Self {
            events: Events::new(text)?,
            limits,
            anchors: HashMap::new(),
            nodes: 0,
            positions,
            path: String::new(),
        })
    }

    pub(super) fn documents(mut self) -> Result<(Vec<Document>, Positions), YamlError> {
        let mut documents = Vec::new();
        loop {
            let (event, span) = self.events.next_event()?;
            match event {
                Event::StreamEnd => break,
                Event::DocumentStart => {
                    if documents.len() >= self.limits.documents {
                        let limit = self.limits.documents;
                        return Err(error_at(span, format!("more than {limit} documents")));
                    }
                    self.anchors.clear();
                    let (event, span) = self.events.next_event()?;
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

    /// Records the position of the value at the current path.
    fn mark(&mut self, span: Span) {
        if let Some(positions) = &mut self.positions {
            positions
                .0
                .entry(self.path.clone())
                .or_insert((span.start.line(), span.start.column()));
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

    fn anchor(&mut self, name: Option<&'t str>, value: &Value, nodes_before: usize) {
        if let Some(name) = name {
            let nodes = self.nodes - nodes_before;
            let value = Rc::new(value.clone());
            self.anchors.insert(name, Anchor { value, nodes });
        }
    }

    /// Makes an anchor unknown within its own value: a value cannot contain itself.
    fn forget(&mut self, name: Option<&'t str>) {
        if let Some(name) = name {
            self.anchors.remove(name);
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
            Event::Alias(name) => {
                let Some(anchor) = self.anchors.get(name) else {
                    return Err(error_at(
                        span,
                        "the alias names no earlier anchor of this document",
                    ));
                };
                let (value, nodes) = (Rc::clone(&anchor.value), anchor.nodes);
                self.count(nodes, span)?;
                Ok((*value).clone())
            }
            Event::Scalar(scalar) => {
                let anchor = scalar.properties.anchor;
                let value = meaning(scalar).map_err(|error| error_at(span, error.0))?;
                self.anchor(anchor, &value, nodes_before);
                Ok(value)
            }
            Event::SequenceStart(properties) => {
                self.forget(properties.anchor);
                let mut items = Vec::new();
                loop {
                    let (event, span) = self.events.next_event()?;
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
                self.anchor(properties.anchor, &value, nodes_before);
                Ok(value)
            }
            Event::MappingStart(properties) => {
                self.forget(properties.anchor);
                let value = Value::Object(self.mapping(depth)?);
                self.anchor(properties.anchor, &value, nodes_before);
                Ok(value)
            }
            _ => Err(error_at(span, "a value was expected")),
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Map<String, Value>, YamlError> {
        let mut map = Map::new();
        // Keys that came only from merges, not from entries of the mapping itself.
        let mut merged: HashSet<String> = HashSet::new();
        loop {
            let (event, key_span) = self.events.next_event()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let is_merge = is_merge_key(&event);
            let key = key_text(self.value(event, key_span, depth + 1)?, key_span)?;
            let parent = self.path.len();
            if self.positions.is_some() {
                if parent > 0 {
                    self.path.push('.');
                }
                self.path.push_str(&key);
                self.mark(key_span);
            }
            let (event, span) = self.events.next_event()?;
            let value = self.value(event, span, depth + 1)?;
            self.path.truncate(parent);
            if is_merge {
                for (key, value) in merge_sources(value, span)? {
                    if map.insert(key.clone(), value).is_none() {
                        merged.insert(key);
                    }
                }
            } else {
                let is_known = map.contains_key(&key) && !merged.remove(&key);
                if is_known && self.limits.duplicate_keys == DuplicateKeys::Refuse {
                    return Err(error_at(key_span, format!("key {key:?} is already there")));
                }
                map.insert(key, value);
            }
        }
        Ok(map)
    }
}

/// Returns whether it is a plain `<<`; in quotes it is an ordinary key.
fn is_merge_key(event: &Event<'_>) -> bool {
    let Event::Scalar(scalar) = event else {
        return false;
    };
    let fits = match scalar.properties.tag.as_deref() {
        None => scalar.style == ScalarStyle::Plain,
        Some(tag) => tag == "tag:yaml.org,2002:merge",
    };
    fits && scalar.text == "<<"
}

fn meaning(scalar: Scalar<'_>) -> Result<Value, scalar::NotJson> {
    match scalar.properties.tag {
        Some(tag) => scalar::tagged(&tag, &scalar.text),
        None if scalar.style == ScalarStyle::Plain => scalar::resolve_plain(&scalar.text),
        None => Ok(Value::String(scalar.text.into_owned())),
    }
}

/// Converts a key to a string as sigs.k8s.io/yaml does.
fn key_text(key: Value, span: Span) -> Result<String, YamlError> {
    match key {
        Value::String(text) => Ok(text),
        Value::Bool(true) => Ok("true".to_owned()),
        Value::Bool(false) => Ok("false".to_owned()),
        Value::Number(number) => Ok(scalar::number_as_key(&number)),
        Value::Null => Err(error_at(
            span,
            "the key is null, which JSON does not have; quote it if it is a name",
        )),
        Value::Array(_) | Value::Object(_) => {
            Err(error_at(span, "a mapping or sequence cannot be a key"))
        }
    }
}

/// Returns the entries of a merge key, in the order in which go-yaml sets them: a later entry wins, whether merged or
/// of the mapping itself; of several sources the first one wins.
fn merge_sources(value: Value, span: Span) -> Result<Vec<(String, Value)>, YamlError> {
    let wrong = || {
        error_at(
            span,
            "a merge key takes a mapping or a sequence of mappings",
        )
    };
    match value {
        Value::Object(map) => Ok(map.into_iter().collect()),
        Value::Array(items) => {
            let mut all = Vec::new();
            for item in items.into_iter().rev() {
                match item {
                    Value::Object(map) => all.extend(map),
                    _ => return Err(wrong()),
                }
            }
            Ok(all)
        }
        _ => Err(wrong()),
    }
}
