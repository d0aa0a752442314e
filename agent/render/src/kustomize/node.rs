//! Values as the YAML had them: scalars keep their text, because Kustomize copies, splits and joins
//! the text (`1.10` stays `1.10` in an annotation), and mapping keys are sorted, because their order
//! means nothing to Kubernetes.

use std::sync::Arc;

use serde_json::{Map as JsonMap, Number, Value};

use super::failure::{Failure, Outcome};

/// A mapping key; shared, since documents repeat a few keys thousands of times.
pub(crate) type Key = Arc<str>;

/// What a scalar's text means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tag {
    /// `null`, `~` or nothing at all.
    Null,
    /// `true` or `false`.
    Bool,
    /// An integer in any notation.
    Integer,
    /// A float in any notation.
    Float,
    /// A date or time, which Go's YAML reads as such.
    Time,
    /// Text.
    Text,
}

/// Text with its meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scalar {
    /// See [`Tag`].
    pub(crate) tag: Tag,
    /// As written, without quotes.
    pub(crate) text: Box<str>,
}

/// A mapping, sorted by key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Map(Vec<(Key, Node)>);

/// A YAML value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    /// Null, a flag, a number or text.
    Scalar(Scalar),
    /// A mapping.
    Map(Map),
    /// A sequence.
    Sequence(Vec<Node>),
}

// === impl Map ===

impl Map {
    /// From entries in any order; a key that comes twice is returned.
    pub(crate) fn from_entries(mut entries: Vec<(Key, Node)>) -> Result<Self, Key> {
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        for pair in entries.windows(2) {
            if let [a, b] = pair
                && a.0 == b.0
            {
                return Err(Arc::clone(&a.0));
            }
        }
        Ok(Self(entries))
    }

    /// From entries that are sorted and distinct already.
    pub(crate) fn from_sorted(entries: Vec<(Key, Node)>) -> Self {
        debug_assert!(
            entries
                .windows(2)
                .all(|pair| matches!(pair, [a, b] if a.0 < b.0))
        );
        Self(entries)
    }

    fn position(&self, key: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|entry| (*entry.0).cmp(key))
    }

    /// The value at a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        let at = self.position(key).ok()?;
        self.0.get(at).map(|entry| &entry.1)
    }

    /// The value at a key, to change it.
    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        let at = self.position(key).ok()?;
        self.0.get_mut(at).map(|entry| &mut entry.1)
    }

    /// Sets a key.
    pub(crate) fn insert(&mut self, key: &str, value: Node) {
        match self.position(key) {
            Ok(at) => {
                if let Some(entry) = self.0.get_mut(at) {
                    entry.1 = value;
                }
            }
            Err(at) => self.0.insert(at, (Arc::from(key), value)),
        }
    }

    /// Takes a key away.
    pub(crate) fn remove(&mut self, key: &str) -> Option<Node> {
        let at = self.position(key).ok()?;
        Some(self.0.remove(at).1)
    }

    /// The value at a key, made first where it is missing.
    pub(crate) fn entry(&mut self, key: &str, missing: impl FnOnce() -> Node) -> &mut Node {
        let at = match self.position(key) {
            Ok(at) => at,
            Err(at) => {
                self.0.insert(at, (Arc::from(key), missing()));
                at
            }
        };
        // `at` is a valid place by construction.
        &mut self.0[at].1
    }

    /// Entries by key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Key, &Node)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// Entries by key, values to be changed.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&Key, &mut Node)> {
        self.0.iter_mut().map(|(key, value)| (&*key, value))
    }

    /// Entries by key.
    pub(crate) fn into_entries(self) -> Vec<(Key, Node)> {
        self.0
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

// === impl Scalar ===

impl Scalar {
    /// Text, whatever it looks like.
    pub(crate) fn text(text: &str) -> Self {
        Self {
            tag: Tag::Text,
            text: text.into(),
        }
    }

    /// An unquoted scalar, as go.yaml.in/yaml/v3 resolves it (`resolve.go`): YAML 1.2 words, 1.1
    /// numbers, dates.
    pub(crate) fn plain(text: &str) -> Self {
        Self {
            tag: plain_tag(text),
            text: text.into(),
        }
    }
}

/// What an unquoted scalar means to yaml/v3.
pub(crate) fn plain_tag(text: &str) -> Tag {
    let Some(first) = text.bytes().next() else {
        return Tag::Null;
    };
    match first {
        b'~' | b'n' | b'N' if matches!(text, "~" | "null" | "Null" | "NULL") => Tag::Null,
        b't' | b'T' | b'f' | b'F'
            if matches!(text, "true" | "True" | "TRUE" | "false" | "False" | "FALSE") =>
        {
            Tag::Bool
        }
        b'+' | b'-' | b'.' | b'0'..=b'9' => {
            if first.is_ascii_digit() && is_time(text) {
                return Tag::Time;
            }
            match flotilla_yaml::resolve_plain(text) {
                Ok(Value::Number(number)) if number.is_f64() || is_float_notation(text) => {
                    Tag::Float
                }
                Ok(Value::Number(_)) => Tag::Integer,
                // Infinity and not-a-number: floats without a JSON form.
                Err(_) => Tag::Float,
                Ok(_) => Tag::Text,
            }
        }
        _ => Tag::Text,
    }
}

/// Whether a number is written as a float although its value is whole (`1.0`, `1e3`).
fn is_float_notation(text: &str) -> bool {
    let unsigned = text.trim_start_matches(['+', '-']);
    !unsigned.starts_with("0x") && !unsigned.starts_with("0X") && text.contains(['.', 'e', 'E'])
}

/// The forms of yaml/v3's `allowedTimestampFormats`: a date, or a date and a time.
fn is_time(text: &str) -> bool {
    time_text(text).is_some()
}

/// A date or time as Go's JSON encoder writes it (RFC 3339).
fn time_text(text: &str) -> Option<String> {
    let digits = |part: &str, least: usize, most: usize| {
        (part.len() >= least && part.len() <= most && part.bytes().all(|b| b.is_ascii_digit()))
            .then(|| part.parse::<u32>().ok())
            .flatten()
    };
    // Four digits of year come first, which rules almost everything out at once.
    if text.len() < 8 || text.as_bytes().get(4) != Some(&b'-') {
        return None;
    }
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (
            text.get(..at)?,
            Some((text.get(at..at + 1)?, text.get(at + 1..)?)),
        ),
        None => (text, None),
    };
    let mut parts = date.split('-');
    let year = digits(parts.next()?, 4, 4)?;
    let month = digits(parts.next()?, 1, 2)?;
    let day = digits(parts.next()?, 1, 2)?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if parts.next().is_some() || day == 0 || day > days {
        return None;
    }
    let Some((separator, time)) = time else {
        return Some(format!("{year:04}-{month:02}-{day:02}T00:00:00Z"));
    };
    let zone_at = time.find(['Z', '+', '-']);
    let (clock, zone) = match zone_at {
        Some(at) => (time.get(..at)?, time.get(at..)?),
        None => (time, ""),
    };
    // With a space there is no zone, with a `T` there must be one.
    if (separator == " ") != zone.is_empty() {
        return None;
    }
    let (clock, fraction) = match clock.split_once('.') {
        Some((clock, fraction)) => {
            digits(fraction, 1, 9)?;
            (clock, fraction.trim_end_matches('0'))
        }
        None => (clock, ""),
    };
    let mut parts = clock.split(':');
    let hour = digits(parts.next()?, 1, 2).filter(|hour| *hour < 24)?;
    let minute = digits(parts.next()?, 1, 2).filter(|minute| *minute < 60)?;
    let second = digits(parts.next()?, 1, 2).filter(|second| *second < 60)?;
    if parts.next().is_some() {
        return None;
    }
    let zone = match zone {
        "" | "Z" | "+00:00" | "-00:00" => "Z",
        zone => {
            let (hours, minutes) = zone.get(1..)?.split_once(':')?;
            digits(hours, 2, 2)?;
            digits(minutes, 2, 2)?;
            zone
        }
    };
    let point = if fraction.is_empty() { "" } else { "." };
    Some(format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{point}{fraction}{zone}"
    ))
}

// === impl Node ===

impl Node {
    /// Text, whatever it looks like.
    pub(crate) fn text(text: &str) -> Self {
        Self::Scalar(Scalar::text(text))
    }

    /// An unquoted scalar.
    pub(crate) fn plain(text: &str) -> Self {
        Self::Scalar(Scalar::plain(text))
    }

    /// An explicit null.
    pub(crate) fn null() -> Self {
        Self::plain("null")
    }

    /// An empty mapping.
    pub(crate) fn map() -> Self {
        Self::Map(Map::default())
    }

    /// Whether it is null.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Scalar(Scalar { tag: Tag::Null, .. }))
    }

    /// Whether it is null or a collection without members.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Scalar(scalar) => scalar.tag == Tag::Null,
            Self::Map(map) => map.is_empty(),
            Self::Sequence(items) => items.is_empty(),
        }
    }

    /// A scalar's text whatever its meaning; empty for collections, as with yaml/v3's `Node.Value`.
    pub(crate) fn scalar_text(&self) -> &str {
        match self {
            Self::Scalar(scalar) => &scalar.text,
            Self::Map(_) | Self::Sequence(_) => "",
        }
    }

    /// As a mapping.
    pub(crate) fn as_map(&self) -> Option<&Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// As a mapping, to change it.
    pub(crate) fn as_map_mut(&mut self) -> Option<&mut Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// A mapping's field.
    pub(crate) fn field(&self, name: &str) -> Option<&Self> {
        self.as_map()?.get(name)
    }

    /// A mapping's field, to change it.
    pub(crate) fn field_mut(&mut self, name: &str) -> Option<&mut Self> {
        self.as_map_mut()?.get_mut(name)
    }

    /// What kind of node, for messages.
    pub(crate) fn kind_name(&self) -> &'static str {
        match self {
            Self::Scalar(_) => "a scalar",
            Self::Map(_) => "a mapping",
            Self::Sequence(_) => "a sequence",
        }
    }

    /// Whether two nodes are of one shape: both scalars, mappings or sequences.
    pub(crate) fn same_shape(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// Bytes and members it is made of: what a copy of it costs.
    pub(crate) fn weight(&self) -> usize {
        // A node with its key and allocations.
        const NODE: usize = 64;
        match self {
            Self::Scalar(scalar) => NODE + scalar.text.len(),
            Self::Map(map) => map
                .iter()
                .map(|(key, value)| key.len() + value.weight())
                .fold(NODE, usize::saturating_add),
            Self::Sequence(items) => items
                .iter()
                .map(Self::weight)
                .fold(NODE, usize::saturating_add),
        }
    }

    /// From JSON.
    pub(crate) fn from_json(value: Value) -> Self {
        match value {
            Value::Null => Self::null(),
            Value::Bool(flag) => Self::plain(if flag { "true" } else { "false" }),
            Value::Number(number) => {
                let tag = if number.is_f64() {
                    Tag::Float
                } else {
                    Tag::Integer
                };
                Self::Scalar(Scalar {
                    tag,
                    text: number.to_string().into(),
                })
            }
            Value::String(text) => Self::Scalar(Scalar {
                tag: Tag::Text,
                text: text.into(),
            }),
            Value::Array(items) => Self::Sequence(items.into_iter().map(Self::from_json).collect()),
            Value::Object(map) => Self::Map(Map::from_sorted(
                map.into_iter()
                    .map(|(key, value)| (Key::from(key), Self::from_json(value)))
                    .collect(),
            )),
        }
    }

    /// To JSON, as Kustomize's output reads back.
    ///
    /// # Errors
    /// When a scalar's text is not what its tag says, or has no JSON form.
    pub(crate) fn into_json(self) -> Outcome<Value> {
        Ok(match self {
            Self::Scalar(scalar) => scalar.into_json()?,
            Self::Sequence(items) => Value::Array(
                items
                    .into_iter()
                    .map(Self::into_json)
                    .collect::<Outcome<_>>()?,
            ),
            Self::Map(map) => {
                let mut object = JsonMap::new();
                for (key, value) in map.into_entries() {
                    object.insert(key.to_string(), value.into_json()?);
                }
                Value::Object(object)
            }
        })
    }
}

impl Scalar {
    fn into_json(self) -> Outcome<Value> {
        match self.tag {
            Tag::Null => Ok(Value::Null),
            Tag::Text => Ok(Value::String(self.text.into())),
            Tag::Time => time_text(&self.text)
                .map(Value::String)
                .ok_or_else(|| self.misread("a date")),
            Tag::Bool => match self.text.to_ascii_lowercase().as_str() {
                "true" => Ok(Value::Bool(true)),
                "false" => Ok(Value::Bool(false)),
                _ => Err(self.misread("true or false")),
            },
            // Decimal integers are nearly all numbers there are.
            Tag::Integer if plain_tag(&self.text) != Tag::Integer => {
                Err(self.misread("an integer"))
            }
            Tag::Integer if self.text.len() < 18 && !self.text.starts_with(['0', '+']) => self
                .text
                .parse::<i64>()
                .map(|number| Value::Number(Number::from(number)))
                .or_else(|_| self.number()),
            Tag::Integer | Tag::Float => self.number(),
        }
    }

    fn number(&self) -> Outcome<Value> {
        match flotilla_yaml::resolve_plain(&self.text) {
            Ok(value @ Value::Number(_)) => Ok(value),
            Ok(_) => Err(self.misread("a number")),
            Err(why) => Err(Failure::render(format!("{:?}: {why}", self.text))),
        }
    }

    fn misread(&self, wanted: &str) -> Failure {
        // Never the value itself: it may have come from a Secret.
        Failure::render(format!(
            "a value that replaced {wanted} is {} characters that are not {wanted}; quote the \
             field's value in the manifest to make it text",
            self.text.chars().count()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_mean_what_they_mean_to_go_yaml_v3() {
        for (text, tag) in [
            ("", Tag::Null),
            ("~", Tag::Null),
            ("yes", Tag::Text),
            ("on", Tag::Text),
            ("True", Tag::Bool),
            ("tRue", Tag::Text),
            ("12", Tag::Integer),
            ("0x1f", Tag::Integer),
            ("0777", Tag::Integer),
            ("1_000", Tag::Integer),
            ("1.10", Tag::Float),
            ("1e3", Tag::Float),
            ("1.0", Tag::Float),
            ("1.2.3", Tag::Text),
            (".5", Tag::Float),
            ("2001-01-01", Tag::Time),
            ("2001-13-01", Tag::Text),
            ("2001-01-01T10:00:00Z", Tag::Time),
            ("12:30:45", Tag::Text),
            ("-", Tag::Text),
        ] {
            assert_eq!(plain_tag(text), tag, "{text:?}");
        }
        assert_eq!(
            Scalar::plain("2001-1-2").into_json().ok(),
            Some(Value::String("2001-01-02T00:00:00Z".into()))
        );
        assert_eq!(Scalar::plain("1.0").into_json().ok(), Some(Value::from(1)));
    }
}
