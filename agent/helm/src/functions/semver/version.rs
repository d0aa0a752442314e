use std::any::Any;
use std::cmp::Ordering;

use super::SemverError;
use crate::value::{Host, UintKind, Value};

/// A version, read forgivingly: `v` before it, and missing parts are zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The first number.
    pub major: u64,
    /// The second number.
    pub minor: u64,
    /// The third number.
    pub patch: u64,
    /// Pre-release part, after `-`.
    pub pre: String,
    /// Build metadata, after `+`.
    pub metadata: String,
    original: String,
}

/// The digits that the text begins with, and the rest.
pub(super) fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|letter: char| !letter.is_ascii_digit());
    text.split_at(end.unwrap_or(text.len()))
}

/// Splits off the `a.b-c` after this sign, and returns it with the rest.
pub(super) fn suffix(text: &str, sign: char) -> (&str, &str) {
    let Some(body) = text.strip_prefix(sign) else {
        return ("", text);
    };
    let mut end = 0;
    loop {
        let part = body[end..]
            .find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-')
            .unwrap_or(body.len() - end);
        if part == 0 {
            // A trailing dot is not part of the suffix.
            end = end.saturating_sub(1);
            break;
        }
        end += part;
        if !body[end..].starts_with('.') {
            break;
        }
        end += 1;
    }
    if end == 0 {
        return ("", text);
    }
    body.split_at(end)
}

impl Version {
    /// Reads a version.
    ///
    /// # Errors
    ///
    /// The library's words for what is wrong.
    pub fn parse(text: &str) -> Result<Self, SemverError> {
        let mut rest = text.strip_prefix('v').unwrap_or(text);
        let mut numbers = [0_u64; 3];
        for (index, number) in numbers.iter_mut().enumerate() {
            if index > 0 {
                match rest.strip_prefix('.') {
                    Some(after) => rest = after,
                    None => break,
                }
            }
            let (found, after) = digits(rest);
            if found.is_empty() {
                return Err(SemverError::Invalid);
            }
            let too_large = || SemverError::OutOfRange(crate::fmt::quote(found.as_bytes()));
            *number = found.parse().map_err(|_| too_large())?;
            rest = after;
        }
        let (pre, rest) = suffix(rest, '-');
        let (metadata, rest) = suffix(rest, '+');
        if !rest.is_empty() {
            return Err(SemverError::Invalid);
        }
        for part in pre.split('.') {
            let number = part.bytes().all(|byte| byte.is_ascii_digit());
            if number && part.len() > 1 && part.starts_with('0') {
                return Err(SemverError::LeadingZero);
            }
        }
        Ok(Self {
            major: numbers[0],
            minor: numbers[1],
            patch: numbers[2],
            pre: pre.to_owned(),
            metadata: metadata.to_owned(),
            original: text.to_owned(),
        })
    }

    /// Compares two versions; build metadata does not count.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Ordering {
        let one = (self.major, self.minor, self.patch);
        one.cmp(&(other.major, other.minor, other.patch))
            .then_with(|| match (self.pre.as_str(), other.pre.as_str()) {
                ("", "") => Ordering::Equal,
                ("", _) => Ordering::Greater,
                (_, "") => Ordering::Less,
                (one, other) => compare_pre(one, other),
            })
    }

    fn bumped(&self, major: u64, minor: u64, patch: u64) -> Value {
        let text = format!("{major}.{minor}.{patch}");
        let original = if self.original.starts_with('v') {
            format!("v{text}")
        } else {
            text
        };
        Value::host(Self {
            major,
            minor,
            patch,
            pre: String::new(),
            metadata: String::new(),
            original,
        })
    }
}

pub(super) fn compare_pre(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one.split('.'), other.split('.'));
    loop {
        let (left, right) = match (one.next(), other.next()) {
            (None, None) => return Ordering::Equal,
            (left, right) => (left.unwrap_or(""), right.unwrap_or("")),
        };
        let order = match (left.parse::<u64>(), right.parse::<u64>()) {
            _ if left == right => Ordering::Equal,
            _ if left.is_empty() => Ordering::Less,
            _ if right.is_empty() => Ordering::Greater,
            (Ok(left), Ok(right)) => left.cmp(&right),
            (Ok(_), Err(_)) => Ordering::Less,
            (Err(_), Ok(_)) => Ordering::Greater,
            (Err(_), Err(_)) => left.cmp(right),
        };
        if order.is_ne() {
            return order;
        }
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        if !self.pre.is_empty() {
            write!(f, "-{}", self.pre)?;
        }
        if !self.metadata.is_empty() {
            write!(f, "+{}", self.metadata)?;
        }
        Ok(())
    }
}

const METHODS: [&str; 14] = [
    "Major",
    "Minor",
    "Patch",
    "Prerelease",
    "Metadata",
    "Original",
    "String",
    "Compare",
    "Equal",
    "GreaterThan",
    "LessThan",
    "IncMajor",
    "IncMinor",
    "IncPatch",
];

impl Host for Version {
    fn type_name(&self) -> &str {
        "*semver.Version"
    }

    fn kind(&self) -> &str {
        "ptr"
    }

    fn has_method(&self, name: &str) -> bool {
        METHODS.contains(&name)
    }

    fn call(&self, name: &str, arguments: &[Value]) -> Result<Value, String> {
        let number = |number: u64| Ok(Value::Uint(number, UintKind::Uint64));
        match name {
            "Major" => return number(self.major),
            "Minor" => return number(self.minor),
            "Patch" => return number(self.patch),
            "Prerelease" => return Ok(Value::from(self.pre.as_str())),
            "Metadata" => return Ok(Value::from(self.metadata.as_str())),
            "Original" => return Ok(Value::from(self.original.as_str())),
            "String" => return Ok(Value::from(self.to_string())),
            "IncMajor" => return Ok(self.bumped(self.major.saturating_add(1), 0, 0)),
            "IncMinor" => return Ok(self.bumped(self.major, self.minor.saturating_add(1), 0)),
            // A pre-release precedes the release of its number, so the patch number stays.
            "IncPatch" => {
                let step = u64::from(self.pre.is_empty());
                return Ok(self.bumped(self.major, self.minor, self.patch.saturating_add(step)));
            }
            _ => {}
        }
        let other = match arguments {
            [Value::Host(other)] => {
                let other: &dyn Any = other.as_ref();
                other.downcast_ref::<Self>()
            }
            _ => None,
        };
        let Some(other) = other else {
            return Err(format!("{name} expects one version"));
        };
        let order = self.compare(other);
        Ok(match name {
            "Compare" => Value::int(order as i64),
            "Equal" => Value::Bool(order.is_eq()),
            "GreaterThan" => Value::Bool(order.is_gt()),
            _ => Value::Bool(order.is_lt()),
        })
    }

    fn display(&self) -> String {
        self.to_string()
    }
}
