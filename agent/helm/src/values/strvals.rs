//! The language of `--set` and its variants.

use crate::message::Message;
use crate::value::{Map, Value};
use crate::yaml::json;

const MAX_INDEX: i64 = 65536;
const MAX_NESTING: usize = 30;

/// What kind of values an expression holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `--set`: words and numbers are typed.
    Typed,
    /// `--set-string`: text only.
    Text,
    /// `--set-json`: `key=JSON`.
    Json,
    /// `--set-literal`: all after `=`, as it is.
    Literal,
}

/// Why parsing stopped.
enum Stop {
    End,
    Wrong(String),
}

impl From<String> for Stop {
    fn from(message: String) -> Self {
        Self::Wrong(message)
    }
}

/// Turns the text of a value into the value.
type Reader<'a> = dyn FnMut(&str) -> Result<Value, String> + 'a;

/// Writes an expression's values into `values`.
///
/// # Errors
///
/// Helm's words for what is wrong with the expression.
pub fn parse_into(expression: &str, kind: Kind, values: &Map) -> Result<(), Message> {
    let whole = expression.trim();
    if kind == Kind::Json && whole.starts_with('{') {
        let parsed = json::parse(whole.as_bytes())?;
        for (key, value) in parsed.as_map().map(Map::entries).unwrap_or_default() {
            let value = match (values.get(&key), value) {
                (Some(Value::Map(below)), Value::Map(above)) => {
                    Value::Map(super::merge(&below, &above))
                }
                (_, value) => value,
            };
            values.insert(key, value);
        }
        return Ok(());
    }
    run(expression, kind, values, &mut |text| {
        Ok(match kind {
            Kind::Typed => typed(text),
            _ => Value::from(text),
        })
    })
}

/// `--set-file`: values are paths, of which `read` gives the content.
///
/// # Errors
///
/// As [`parse_into`], and what `read` says.
pub fn parse_files_into<F>(expression: &str, values: &Map, mut read: F) -> Result<(), Message>
where
    F: FnMut(&str) -> Result<Value, String>,
{
    run(expression, Kind::Text, values, &mut read)
}

fn run(expression: &str, kind: Kind, values: &Map, reader: &mut Reader<'_>) -> Result<(), Message> {
    let mut parser = Parser {
        rest: expression,
        kind,
        reader,
    };
    loop {
        match parser.key(values, 0) {
            Ok(()) => {}
            Err(Stop::End) => return Ok(()),
            Err(Stop::Wrong(message)) => return Err(message.into()),
        }
    }
}

/// Returns the typed value of a text, as `--set` reads it.
fn typed(text: &str) -> Value {
    if text.eq_ignore_ascii_case("true") {
        return Value::Bool(true);
    }
    if text.eq_ignore_ascii_case("false") {
        return Value::Bool(false);
    }
    if text.eq_ignore_ascii_case("null") {
        return Value::Nil;
    }
    if text == "0" {
        return Value::int64(0);
    }
    if !text.starts_with('0')
        && let Ok(number) = text.parse::<i64>()
    {
        return Value::int64(number);
    }
    Value::from(text)
}

fn set(values: &Map, key: &str, value: impl Into<Value>) {
    if !key.is_empty() {
        values.insert(key, value);
    }
}

fn set_index(list: &mut Vec<Value>, index: i64, value: Value) -> Result<(), String> {
    if index > MAX_INDEX {
        return Err(format!(
            "index of {index} is greater than maximum supported index of {MAX_INDEX}"
        ));
    }
    let at = usize::try_from(index).map_err(|_| negative(index))?;
    if list.len() <= at {
        list.resize(at + 1, Value::Nil);
    }
    list[at] = value;
    Ok(())
}

fn negative(index: i64) -> String {
    format!("negative {index} index not allowed")
}

/// Go's panic of a wrong type, which Helm passes on.
fn conversion(value: &Value, expected: &str) -> String {
    let found = match value {
        Value::Nil => "nil",
        Value::Str(_) => "string",
        Value::Bool(_) => "bool",
        Value::Float(_) => "float64",
        Value::Int(..) | Value::Uint(..) => "int64",
        Value::List(_) => "[]interface {}",
        _ => "map[string]interface {}",
    };
    format!("unable to parse key: interface conversion: interface {{}} is {found}, not {expected}")
}

fn as_list(value: Option<Value>) -> Result<Vec<Value>, String> {
    match value {
        None => Ok(Vec::new()),
        Some(Value::List(list)) => Ok(list.items().to_vec()),
        Some(other) => Err(conversion(&other, "[]interface {}")),
    }
}

struct Parser<'a, 'r> {
    rest: &'a str,
    kind: Kind,
    reader: &'r mut Reader<'r>,
}

impl Parser<'_, '_> {
    /// The text up to one of these characters, and that character; `None` at the end.
    fn until(&mut self, stops: &[char]) -> (String, Option<char>) {
        let mut text = String::new();
        let mut characters = self.rest.chars();
        let found = loop {
            match characters.next() {
                None => break None,
                Some(stop) if stops.contains(&stop) => break Some(stop),
                Some('\\') if self.kind != Kind::Literal => match characters.next() {
                    None => break None,
                    Some(escaped) => text.push(escaped),
                },
                Some(other) => text.push(other),
            }
        };
        self.rest = characters.as_str();
        (text, found)
    }

    fn key(&mut self, values: &Map, nesting: usize) -> Result<(), Stop> {
        let stops: &[char] = if self.kind == Kind::Literal {
            &['=', '[', '.']
        } else {
            &['=', '[', ',', '.']
        };
        let (key, stop) = self.until(stops);
        match stop {
            None if key.is_empty() => Err(Stop::End),
            None => Err(Stop::Wrong(format!("key {key:?} has no value"))),
            Some('[') => {
                let index = self.index()?;
                let mut list = as_list(values.get(&key))?;
                let result = self.item(&mut list, index, nesting);
                set(values, &key, Value::list(list));
                result
            }
            Some('=') => self.after_equals(values, &key),
            Some(',') => {
                set(values, &key, "");
                Err(Stop::Wrong(format!(
                    "key {key:?} has no value (cannot end with ,)"
                )))
            }
            Some(_) => {
                let nesting = deeper(nesting)?;
                let inner = match values.get(&key) {
                    None => Map::new(),
                    Some(Value::Map(map)) => map,
                    Some(other) => {
                        return Err(conversion(&other, "map[string]interface {}").into());
                    }
                };
                let result = self.key(&inner, nesting);
                if result.is_ok() && inner.is_empty() {
                    return Err(Stop::Wrong(format!("key map {key:?} has no value")));
                }
                if !inner.is_empty() {
                    set(values, &key, inner);
                }
                result
            }
        }
    }

    fn after_equals(&mut self, values: &Map, key: &str) -> Result<(), Stop> {
        let (value, end) = match self.kind {
            Kind::Literal => (Value::from(std::mem::take(&mut self.rest)), false),
            Kind::Json => (self.json()?, false),
            _ if self.rest.is_empty() => (Value::from(""), true),
            _ => (self.value()?, false),
        };
        set(values, key, value);
        if end { Err(Stop::End) } else { Ok(()) }
    }

    /// A list in braces, or text up to a comma.
    fn value(&mut self) -> Result<Value, Stop> {
        if let Some(inner) = self.rest.strip_prefix('{') {
            self.rest = inner;
            let mut items = Vec::new();
            loop {
                let (text, stop) = self.until(&[',', '}']);
                if stop.is_none() {
                    return Err(Stop::Wrong("list must terminate with '}'".to_owned()));
                }
                items.push((self.reader)(&text)?);
                if stop == Some('}') {
                    self.rest = self.rest.strip_prefix(',').unwrap_or(self.rest);
                    return Ok(Value::list(items));
                }
            }
        }
        let (text, _) = self.until(&[',']);
        Ok((self.reader)(&text)?)
    }

    /// Returns whether only spaces follow up to a comma or the end: there is no value.
    fn no_value(&mut self) -> bool {
        let rest = self.rest.trim_start();
        match rest.strip_prefix(',') {
            Some(after) => {
                self.rest = after;
                true
            }
            None => {
                self.rest = rest;
                rest.is_empty()
            }
        }
    }

    fn json(&mut self) -> Result<Value, Stop> {
        if self.no_value() {
            return Ok(Value::Nil);
        }
        let (value, length) = json::parse_first(self.rest.as_bytes())?;
        self.rest = self.rest.get(length..).unwrap_or_default();
        self.no_value();
        Ok(value)
    }

    fn index(&mut self) -> Result<i64, Stop> {
        let (text, stop) = self.until(&[']']);
        if stop.is_none() {
            // Helm treats the end of the text as a normal end, wherever it occurs.
            return Err(Stop::End);
        }
        text.parse::<i64>().map_err(|_| {
            Stop::Wrong(format!(
                "error parsing index: strconv.Atoi: parsing {text:?}: invalid syntax"
            ))
        })
    }

    /// Parses the part after `[index]`.
    fn item(&mut self, list: &mut Vec<Value>, index: i64, nesting: usize) -> Result<(), Stop> {
        let at = usize::try_from(index).map_err(|_| negative(index))?;
        let (text, stop) = self.until(&['[', '.', '=']);
        if !text.is_empty() {
            return Err(Stop::Wrong(format!(
                "unexpected data at end of array index: {text:?}"
            )));
        }
        match stop {
            None => Err(Stop::End),
            Some('=') => {
                let value = match self.kind {
                    Kind::Literal => Value::from(std::mem::take(&mut self.rest)),
                    Kind::Json => self.json()?,
                    _ if self.rest.is_empty() => Value::from(""),
                    _ => self.value()?,
                };
                Ok(set_index(list, index, value)?)
            }
            Some('[') => {
                let nesting = deeper(nesting)?;
                let next = self.index()?;
                let existing = list.get(at).filter(|value| !value.is_nil()).cloned();
                let mut inner = as_list(existing)?;
                self.item(&mut inner, next, nesting)?;
                Ok(set_index(list, index, Value::list(inner))?)
            }
            Some(_) => {
                let inner = match list.get(at) {
                    Some(Value::Map(map)) => map.clone(),
                    _ => Map::new(),
                };
                if let Some(slot) = list.get_mut(at) {
                    *slot = Value::Map(inner.clone());
                }
                let result = self.key(&inner, deeper(nesting)?);
                match result {
                    Ok(()) => Ok(set_index(list, index, Value::Map(inner))?),
                    Err(stop) => Err(stop),
                }
            }
        }
    }
}

fn deeper(nesting: usize) -> Result<usize, String> {
    if nesting < MAX_NESTING {
        return Ok(nesting + 1);
    }
    Err(format!(
        "value name nested level is greater than maximum supported nested level of {MAX_NESTING}"
    ))
}
