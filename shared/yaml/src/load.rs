//! From text to values: documents, budgets, anchors, merge keys, duplicate keys.

use std::collections::HashMap;
use std::rc::Rc;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput};
use serde_json::{Map, Value};

use crate::scalar;

/// What a text may cost its reader.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Longest text, bytes.
    pub bytes: usize,
    /// Deepest nesting.
    pub depth: usize,
    /// Most documents in one text.
    pub documents: usize,
    /// Most values over all documents, with aliases written out: what an alias bomb multiplies.
    pub nodes: usize,
    /// What a key that comes twice means.
    pub duplicate_keys: DuplicateKeys,
}

/// What a key that comes twice in one mapping means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DuplicateKeys {
    /// An error: one of the two is not what its author meant.
    #[default]
    Refuse,
    /// The last one counts, as with goyaml's lenient reader; for data that others keep.
    LastWins,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 32 << 20,
            depth: 100,
            documents: 10_000,
            nodes: 4_000_000,
            duplicate_keys: DuplicateKeys::Refuse,
        }
    }
}

/// Why a text cannot be read, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct YamlError {
    /// 1 is the first.
    pub line: usize,
    /// 1 is the first.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

/// One document of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Null where the document is empty or only comments.
    pub value: Value,
    /// The line its first value is on, 1 being the first.
    pub line: usize,
}

/// Where each value of a document was, by its path (`environments[1].name`).
#[derive(Debug, Clone, Default)]
pub struct Positions(HashMap<String, (usize, usize)>);

impl Positions {
    /// Line and column of a mapping entry's key or of a sequence's item; of the nearest parent that is
    /// known otherwise.
    #[must_use]
    pub fn nearest(&self, path: &str) -> (usize, usize) {
        let mut path = path;
        loop {
            if let Some(position) = self.0.get(path) {
                return *position;
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = path.get(..end).unwrap_or_default(),
                None => return self.0.get("").copied().unwrap_or((1, 1)),
            }
        }
    }
}

/// Reads all documents of a text.
///
/// # Errors
/// At the first thing that is malformed, refused or over a limit.
pub fn parse_documents(text: &str, limits: &Limits) -> Result<Vec<Document>, YamlError> {
    Loader::new(text, limits, false)?
        .documents()
        .map(|(documents, _)| documents)
}

/// Reads all documents of bytes that should be UTF-8; a byte order mark is skipped.
///
/// # Errors
/// See [`parse_documents`]; also when the bytes are not UTF-8.
pub fn parse_documents_bytes(bytes: &[u8], limits: &Limits) -> Result<Vec<Document>, YamlError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = 1 + good.iter().filter(|b| **b == b'\n').count();
        YamlError {
            line,
            column: 1,
            message: "the text is not valid UTF-8".to_owned(),
        }
    })?;
    parse_documents(text, limits)
}

/// Reads a text of one document and where its values were.
///
/// # Errors
/// See [`parse_documents`]; also when there is more than one document.
pub fn parse_spanned(text: &str, limits: &Limits) -> Result<(Value, Positions), YamlError> {
    let (mut documents, positions) = Loader::new(text, limits, true)?.documents()?;
    if documents.len() > 1 {
        let line = documents.get(1).map_or(1, |document| document.line);
        return Err(YamlError {
            line,
            column: 1,
            message: "only one document may be here".into(),
        });
    }
    Ok((
        documents
            .pop()
            .map_or(Value::Null, |document| document.value),
        positions,
    ))
}

/// An anchored value with the number of values it is made of.
struct Anchor {
    value: Rc<Value>,
    nodes: usize,
}

struct Loader<'t> {
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
    fn new(text: &'t str, limits: &'t Limits, spanned: bool) -> Result<Self, YamlError> {
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

    fn documents(mut self) -> Result<(Vec<Document>, Positions), YamlError> {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(text: &str) -> Result<Vec<Value>, YamlError> {
        parse_documents(text, &Limits::default()).map(|documents| {
            documents
                .into_iter()
                .map(|document| document.value)
                .collect()
        })
    }

    #[test]
    fn a_block_that_the_text_ends_in_has_no_line_break_of_its_own() {
        assert_eq!(parse("a: |\n  b").unwrap(), [json!({"a": "b"})]);
        assert_eq!(parse("a: |\n  b\n").unwrap(), [json!({"a": "b\n"})]);
        assert_eq!(parse("a: >\n  b\n  c").unwrap(), [json!({"a": "b c"})]);
        assert_eq!(
            parse("a: |\n  b\n---\nc: |\n  ä").unwrap(),
            [json!({"a": "b\n"}), json!({"c": "ä"})]
        );
        assert_eq!(
            parse("a: |\n  b\n\nc: d").unwrap(),
            [json!({"a": "b\n", "c": "d"})]
        );
    }

    #[test]
    fn documents_comments_and_byte_order_marks() {
        let text = "\u{feff}# head\na: 1\r\n---\n# only a comment\n---\nb: [x, 'yes', yes]\n...\n";
        assert_eq!(
            parse(text),
            Ok(vec![
                json!({"a": 1}),
                json!(null),
                json!({"b": ["x", "yes", true]})
            ])
        );
    }

    #[test]
    fn anchors_and_merge_keys() {
        let text = "base: &b {a: 1, b: 2}\nx:\n  <<: *b\n  b: 3\nz:\n  <<: [*b, {c: 4, a: 9}]\n";
        assert_eq!(
            parse(text),
            Ok(vec![json!({
                "base": {"a": 1, "b": 2},
                "x": {"a": 1, "b": 3},
                "z": {"a": 1, "b": 2, "c": 4}
            })])
        );
    }

    #[test]
    fn keys_become_strings() {
        assert_eq!(
            parse("1: a\ntrue: b\n"),
            Ok(vec![json!({"1": "a", "true": "b"})])
        );
    }

    #[test]
    fn r01_duplicate_keys_name_their_line() {
        let error = parse("a: 1\nb: 2\na: 3\n").unwrap_err();
        assert_eq!(
            (error.line, error.message.as_str()),
            (3, "key \"a\" is already there")
        );
    }

    #[test]
    fn r01_alias_bombs_depth_and_size_end_in_an_error() {
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..12 {
            let previous = format!("*a{}", level - 1);
            let items = vec![previous; 10].join(",");
            bomb.push_str(&format!("a{level}: &a{level} [{items}]\n"));
        }
        assert!(
            parse(&bomb)
                .unwrap_err()
                .message
                .contains("aliases written out")
        );
        let deep = "[".repeat(10_000);
        assert!(parse(&deep).is_err());
        let many = "---\na: 1\n".repeat(10_001);
        assert!(parse(&many).unwrap_err().message.contains("documents"));
        let limits = Limits {
            bytes: 10,
            ..Limits::default()
        };
        assert!(parse_documents("aaaaaaaaaaaaaaa", &limits).is_err());
    }

    #[test]
    fn r01_bad_utf8_tabs_and_tags() {
        assert_eq!(
            parse_documents_bytes(b"a: 1\nb: \xff\n", &Limits::default())
                .unwrap_err()
                .line,
            2
        );
        assert!(parse("a:\n\t- b\n").is_err());
        assert!(parse("a: !ruby/object x\n").is_err());
        assert_eq!(
            parse("a: !!str 12\nb: ! 12\n"),
            Ok(vec![json!({"a": "12", "b": "12"})])
        );
        assert!(parse("a: .inf\n").is_err());
        assert!(parse("a: *nothing\n").is_err());
        assert!(parse("a: {b\n").is_err());
    }

    #[test]
    fn positions_are_those_of_keys_and_items() {
        let (_, positions) = parse_spanned("a:\n  - b: 1\n    c: 2\n", &Limits::default()).unwrap();
        assert_eq!(positions.nearest("a[0].c"), (3, 5));
        assert_eq!(positions.nearest("a[0].nope"), (2, 5));
        assert_eq!(positions.nearest("zzz"), (1, 1));
    }

    proptest::proptest! {
        #[test]
        fn r01_arbitrary_text_never_panics(text: String) {
            let _ = parse(&text);
        }

        #[test]
        fn r01_yaml_like_text_never_panics(text in "[-a:&*<>!?|{}\\[\\],'\"# \n]{0,80}") {
            let _ = parse(&text);
        }
    }
}
