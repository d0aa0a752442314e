//! Text to [`Node`]s, with go.yaml.in/yaml/v3's reading of scalars.

use std::collections::{HashMap, HashSet};

use flotilla_yaml::YamlError;
use flotilla_yaml::events::{CORE_TAG, Event, Events, Scalar as ScalarEvent, ScalarStyle, Span};

use super::budget::Budget;
use super::failure::{Failure, Outcome};
use super::node::{Key, Map, Node, Scalar, Tag, plain_tag};

/// One document of a file.
#[derive(Debug)]
pub(crate) struct Document {
    /// Its value; null for an empty document.
    pub(crate) node: Node,
    /// The line on which its value starts, 1 being the first.
    pub(crate) line: usize,
}

/// Where and why a text is not YAML.
#[derive(Debug)]
pub(crate) struct Malformed {
    /// 1 is the first.
    pub(crate) line: usize,
    /// What is wrong.
    pub(crate) message: String,
}

/// Reads all documents of a text.
///
/// # Errors
/// At the first thing that is malformed, refused or over a limit.
pub(crate) fn documents(
    text: &str,
    limits: &flotilla_yaml::Limits,
    budget: &Budget,
) -> Result<Vec<Document>, Malformed> {
    if text.len() > limits.bytes {
        return Err(Malformed {
            line: 1,
            message: format!("{} bytes are more than {}", text.len(), limits.bytes),
        });
    }
    let mut reader = Reader {
        events: Events::new(text)?,
        limits,
        budget,
        anchors: HashMap::new(),
        keys: HashSet::new(),
        nodes: 0,
    };
    let mut documents = Vec::new();
    loop {
        let (event, span) = reader.events.next_event()?;
        match event {
            Event::StreamEnd => break,
            Event::DocumentStart => {
                if documents.len() >= limits.documents {
                    return Err(wrong(
                        span,
                        format!("more than {} documents", limits.documents),
                    ));
                }
                reader.anchors.clear();
                let (event, span) = reader.events.next_event()?;
                let node = reader.value(event, span, 0)?;
                documents.push(Document {
                    node,
                    line: span.start.line(),
                });
            }
            _ => {}
        }
    }
    Ok(documents)
}

/// Reads a text that must be one value.
///
/// # Errors
/// See [`documents`].
pub(crate) fn value(text: &str, limits: &flotilla_yaml::Limits, budget: &Budget) -> Outcome<Node> {
    let mut all = documents(text, limits, budget)
        .map_err(|error| Failure::render(format!("line {}: {}", error.line, error.message)))?;
    match (all.pop(), all.is_empty()) {
        (None, _) => Ok(Node::null()),
        (Some(document), true) => Ok(document.node),
        (Some(_), false) => Err(Failure::render("only one document may be here")),
    }
}

struct Reader<'t> {
    events: Events<'t>,
    limits: &'t flotilla_yaml::Limits,
    budget: &'t Budget,
    /// Anchored values with the number of values that they contain.
    anchors: HashMap<&'t str, (Node, usize)>,
    keys: HashSet<Key>,
    nodes: usize,
}

impl From<YamlError> for Malformed {
    fn from(error: YamlError) -> Self {
        Self {
            line: error.line,
            message: error.message,
        }
    }
}

fn wrong(span: Span, message: impl Into<String>) -> Malformed {
    Malformed {
        line: span.start.line().max(1),
        message: message.into(),
    }
}

impl<'t> Reader<'t> {
    fn count(&mut self, nodes: usize, span: Span) -> Result<(), Malformed> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > self.limits.nodes {
            let limit = self.limits.nodes;
            return Err(wrong(
                span,
                format!("more than {limit} values, aliases written out"),
            ));
        }
        if self.budget.nodes(nodes) {
            return Ok(());
        }
        let limit = self.budget.node_limit();
        Err(wrong(
            span,
            format!("more than {limit} values in all files of this render"),
        ))
    }

    fn key(&mut self, text: &str) -> Key {
        if let Some(key) = self.keys.get(text) {
            return Key::clone(key);
        }
        let key = Key::from(text);
        // Long keys are seldom repeated, and the table must not become a second copy of the document.
        if text.len() <= 64 && self.keys.len() < 100_000 {
            self.keys.insert(Key::clone(&key));
        }
        key
    }

    fn remember(&mut self, name: Option<&'t str>, node: &Node, before: usize) {
        if let Some(name) = name {
            self.anchors
                .insert(name, (node.clone(), self.nodes - before));
        }
    }

    /// Within the value of an anchor, its name is undefined: a value cannot contain itself.
    fn forget(&mut self, name: Option<&'t str>) {
        if let Some(name) = name {
            self.anchors.remove(name);
        }
    }

    fn value(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, Malformed> {
        if depth > self.limits.depth {
            let limit = self.limits.depth;
            return Err(wrong(span, format!("nested deeper than {limit} levels")));
        }
        let before = self.nodes;
        self.count(1, span)?;
        let (node, anchor) = match event {
            Event::Alias(name) => {
                let Some((_, nodes)) = self.anchors.get(name) else {
                    return Err(wrong(
                        span,
                        "the alias names no earlier anchor of this document",
                    ));
                };
                // Counted before the copy is made: an alias bomb consists of these copies.
                let nodes = *nodes;
                self.count(nodes, span)?;
                let node = self.anchors.get(name).map(|anchor| anchor.0.clone());
                (node.unwrap_or_else(Node::null), None)
            }
            Event::Scalar(scalar) => {
                let anchor = scalar.properties.anchor;
                let node = self.scalar(scalar, span)?;
                (Node::Scalar(node), anchor)
            }
            Event::SequenceStart(properties) => {
                self.forget(properties.anchor);
                let mut items = Vec::new();
                loop {
                    let (event, span) = self.events.next_event()?;
                    if matches!(event, Event::SequenceEnd) {
                        break;
                    }
                    items.push(self.value(event, span, depth + 1)?);
                }
                items.shrink_to_fit();
                (Node::Sequence(items), properties.anchor)
            }
            Event::MappingStart(properties) => {
                self.forget(properties.anchor);
                let map = self.mapping(span, depth)?;
                (Node::Map(map), properties.anchor)
            }
            _ => return Err(wrong(span, "a value was expected")),
        };
        self.remember(anchor, &node, before);
        Ok(node)
    }

    fn scalar(&self, scalar: ScalarEvent<'t>, span: Span) -> Result<Scalar, Malformed> {
        let text = scalar.text;
        let is_plain = scalar.style == ScalarStyle::Plain;
        let tag = match scalar.properties.tag.as_deref() {
            Some("!") => Tag::Text,
            Some(tag) => match tag.strip_prefix(CORE_TAG) {
                Some(suffix) => tagged(suffix, &text)
                    .ok_or_else(|| wrong(span, "the value does not match its tag"))?,
                None => return Err(wrong(span, "the tag is not known to Kubernetes")),
            },
            None if is_plain => plain_tag(&text),
            None => Tag::Text,
        };
        Ok(Scalar {
            tag,
            text: text.into_owned().into_boxed_str(),
            quoted: !is_plain,
        })
    }

    fn mapping(&mut self, start: Span, depth: usize) -> Result<Map, Malformed> {
        let mut entries = Vec::new();
        let mut merged: Vec<Map> = Vec::new();
        loop {
            let (event, key_span) = self.events.next_event()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let is_merge = matches!(
                &event,
                Event::Scalar(scalar) if scalar.text == "<<"
                    && scalar.style == ScalarStyle::Plain
                    && scalar.properties.tag.is_none()
            );
            let Node::Scalar(key) = self.value(event, key_span, depth + 1)? else {
                return Err(wrong(key_span, "a mapping or sequence cannot be a key"));
            };
            if key.tag != Tag::Text && !is_merge {
                // Kustomize cannot write such a key either.
                let short: String = key.text.chars().take(80).collect();
                return Err(wrong(
                    key_span,
                    format!("key {short} is not text; quote it"),
                ));
            }
            let (event, span) = self.events.next_event()?;
            let value = self.value(event, span, depth + 1)?;
            if is_merge {
                merge_sources(value, span, &mut merged)?;
            } else {
                let key = self.key(&key.text);
                entries.push((key, value));
            }
        }
        entries.shrink_to_fit();
        let mut map = Map::from_entries(entries).map_err(|key| {
            wrong(
                start,
                format!("key {key:?} occurs twice in the mapping that begins here"),
            )
        })?;
        // Explicit keys take precedence over merged ones, and earlier merge sources over later ones.
        for source in merged {
            for (key, value) in source.into_entries() {
                map.entry(&key, || value);
            }
        }
        Ok(map)
    }
}

fn merge_sources(value: Node, span: Span, merged: &mut Vec<Map>) -> Result<(), Malformed> {
    let refuse = || {
        wrong(
            span,
            "a merge key takes a mapping or a sequence of mappings",
        )
    };
    match value {
        Node::Map(map) => merged.push(map),
        Node::Sequence(items) => {
            for item in items {
                match item {
                    Node::Map(map) => merged.push(map),
                    _ => return Err(refuse()),
                }
            }
        }
        Node::Scalar(_) => return Err(refuse()),
    }
    Ok(())
}

/// The meaning of an explicit core-schema tag.
fn tagged(suffix: &str, text: &str) -> Option<Tag> {
    let resolved = plain_tag(text);
    match (suffix, resolved) {
        ("str", _) => Some(Tag::Text),
        ("null", Tag::Null) => Some(Tag::Null),
        ("bool", Tag::Bool) => Some(Tag::Bool),
        ("int", Tag::Integer) => Some(Tag::Integer),
        ("float", Tag::Integer | Tag::Float) => Some(Tag::Float),
        ("timestamp", Tag::Time) => Some(Tag::Time),
        _ => None,
    }
}
