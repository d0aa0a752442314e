use super::SemverError;
use super::version::{Version, compare_pre, digits, suffix};

/// Ranges of versions: groups joined by `||`, of which one must hold whole.
#[derive(Clone, Debug)]
pub struct Constraint {
    groups: Vec<Group>,
}

#[derive(Clone, Debug)]
struct Group {
    ranges: Vec<Range>,
    /// One of them names a pre-release, so that pre-releases can match.
    pre: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    TildeOrEqual,
    NotEqual,
    Greater,
    Less,
    GreaterOrEqual,
    LessOrEqual,
    Tilde,
    Caret,
}

#[derive(Clone, Debug)]
struct Range {
    operator: Operator,
    version: Version,
    /// Some part was left out or is `x`.
    dirty: bool,
    minor_dirty: bool,
    patch_dirty: bool,
}

/// A version in a constraint, as written.
struct PartialVersion<'t> {
    parts: [Option<&'t str>; 3],
    pre: &'t str,
    text: &'t str,
}

impl Constraint {
    /// Reads a constraint.
    ///
    /// # Errors
    ///
    /// The library's words for what is wrong.
    pub fn parse(text: &str) -> Result<Self, SemverError> {
        let text = rewrite_ranges(text);
        let groups = text.split("||").map(group).collect::<Result<_, _>>()?;
        Ok(Self { groups })
    }

    /// Whether the version is inside.
    #[must_use]
    pub fn matches(&self, version: &Version) -> bool {
        self.groups.iter().any(|group| {
            group
                .ranges
                .iter()
                .all(|range| (version.pre.is_empty() || group.pre) && range.holds(version))
        })
    }
}

fn group(text: &str) -> Result<Group, SemverError> {
    let improper = || SemverError::Improper(crate::fmt::quote(text.as_bytes()));
    let mut ranges = Vec::new();
    let mut rest = skip_space(text);
    loop {
        let (operator, after) = operator(rest);
        let (written, after) = written(skip_space(after)).ok_or_else(improper)?;
        ranges.push(range(operator, &written)?);
        let next = skip_space(after);
        if next.is_empty() {
            break;
        }
        rest = match next.strip_prefix(',') {
            Some(next) => skip_space(next),
            None if next.len() < after.len() => next,
            None => return Err(improper()),
        };
    }
    let pre = ranges.iter().any(|range| !range.version.pre.is_empty());
    Ok(Group { ranges, pre })
}

fn skip_space(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', '\n', '\r', '\x0c'])
}

fn operator(text: &str) -> (Operator, &str) {
    const ALL: [(&str, Operator); 11] = [
        (">=", Operator::GreaterOrEqual),
        ("=>", Operator::GreaterOrEqual),
        ("<=", Operator::LessOrEqual),
        ("=<", Operator::LessOrEqual),
        ("!=", Operator::NotEqual),
        ("~>", Operator::Tilde),
        ("~", Operator::Tilde),
        ("^", Operator::Caret),
        (">", Operator::Greater),
        ("<", Operator::Less),
        ("=", Operator::TildeOrEqual),
    ];
    for (sign, operator) in ALL {
        if let Some(rest) = text.strip_prefix(sign) {
            return (operator, rest);
        }
    }
    (Operator::TildeOrEqual, text)
}

/// Digits or placeholders.
fn part(text: &str) -> (&str, &str) {
    let end = text.find(|letter: char| !letter.is_ascii_digit() && !"|xX*".contains(letter));
    text.split_at(end.unwrap_or(text.len()))
}

fn written(text: &str) -> Option<(PartialVersion<'_>, &str)> {
    let mut rest = text.strip_prefix('v').unwrap_or(text);
    let mut parts = [None; 3];
    for (index, slot) in parts.iter_mut().enumerate() {
        let body = if index == 0 {
            rest
        } else {
            match rest.strip_prefix('.') {
                Some(body) => body,
                None => break,
            }
        };
        let (found, after) = part(body);
        if found.is_empty() {
            if index == 0 {
                return None;
            }
            break;
        }
        *slot = Some(found);
        rest = after;
    }
    let (pre, rest) = suffix(rest, '-');
    let (_, rest) = suffix(rest, '+');
    let text = &text[..text.len() - rest.len()];
    Some((PartialVersion { parts, pre, text }, rest))
}

fn is_open(part: Option<&str>) -> bool {
    matches!(part, None | Some("x" | "X" | "*"))
}

fn range(operator: Operator, written: &PartialVersion<'_>) -> Result<Range, SemverError> {
    let [major, minor, patch] = written.parts;
    let minor_dirty = !is_open(major) && is_open(minor);
    let patch_dirty = !is_open(major) && !is_open(minor) && is_open(patch);
    let number = |part: Option<&str>| -> Result<u64, SemverError> {
        let text = part.unwrap_or("0");
        match digits(text) {
            (found, "") => found.parse().map_err(|_| SemverError::Constraint),
            _ => Err(SemverError::Constraint),
        }
    };
    let mut numbers = [0; 3];
    if !is_open(major) {
        numbers[0] = number(major)?;
        if !minor_dirty {
            numbers[1] = number(minor)?;
            if !patch_dirty {
                numbers[2] = number(patch)?;
            }
        }
    }
    let [a, b, c] = numbers;
    let pre = if written.pre.is_empty() {
        String::new()
    } else {
        format!("-{}", written.pre)
    };
    let version =
        Version::parse(&format!("{a}.{b}.{c}{pre}")).map_err(|_| SemverError::Constraint)?;
    Ok(Range {
        operator,
        version,
        dirty: is_open(major) || minor_dirty || patch_dirty,
        minor_dirty,
        patch_dirty,
    })
}

impl Range {
    fn holds(&self, version: &Version) -> bool {
        let order = version.compare(&self.version);
        match self.operator {
            Operator::TildeOrEqual if self.dirty => self.tilde(version),
            Operator::TildeOrEqual => order.is_eq(),
            Operator::NotEqual => self.differs(version),
            Operator::Greater => self.greater(version),
            Operator::Less => order.is_lt(),
            Operator::GreaterOrEqual => order.is_ge(),
            Operator::LessOrEqual => self.less_or_equal(version),
            Operator::Tilde => self.tilde(version),
            Operator::Caret => self.caret(version),
        }
    }

    fn differs(&self, version: &Version) -> bool {
        let own = &self.version;
        if self.dirty {
            if own.major != version.major || own.minor != version.minor && !self.minor_dirty {
                return true;
            }
            if self.minor_dirty {
                return false;
            }
            if own.patch != version.patch && !self.patch_dirty {
                return true;
            }
            if self.patch_dirty {
                return compare_pre(&version.pre, &own.pre).is_ne();
            }
        }
        version.compare(own).is_ne()
    }

    fn greater(&self, version: &Version) -> bool {
        let own = &self.version;
        if self.dirty {
            if version.major != own.major {
                return version.major > own.major;
            }
            if self.minor_dirty {
                return false;
            }
            if self.patch_dirty {
                return version.minor > own.minor;
            }
        }
        version.compare(own).is_gt()
    }

    fn less_or_equal(&self, version: &Version) -> bool {
        let own = &self.version;
        if !self.dirty {
            return version.compare(own).is_le();
        }
        let same = version.major == own.major;
        !(version.major > own.major || same && version.minor > own.minor && !self.minor_dirty)
    }

    fn tilde(&self, version: &Version) -> bool {
        let own = &self.version;
        if version.compare(own).is_lt() {
            return false;
        }
        let zero = (own.major, own.minor, own.patch) == (0, 0, 0);
        if zero && !self.minor_dirty && !self.patch_dirty {
            return true;
        }
        version.major == own.major && (version.minor == own.minor || self.minor_dirty)
    }

    fn caret(&self, version: &Version) -> bool {
        let own = &self.version;
        if version.compare(own).is_lt() {
            return false;
        }
        if own.major > 0 || self.minor_dirty {
            return version.major == own.major;
        }
        if version.major > 0 {
            return false;
        }
        if own.minor > 0 || self.patch_dirty {
            return version.minor == own.minor;
        }
        version.minor == 0 && version.patch == own.patch
    }
}

/// Rewrites `1.2 - 3.4` as bounds, both inclusive.
fn rewrite_ranges(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    'text: while !rest.is_empty() {
        for (start, _) in rest.char_indices() {
            if let Some((low, high, after)) = hyphenated(&rest[start..]) {
                out.push_str(&rest[..start]);
                out.push_str(&format!(">= {low}, <= {high} "));
                rest = after;
                continue 'text;
            }
        }
        break;
    }
    out.push_str(rest);
    out
}

fn hyphenated(text: &str) -> Option<(&str, &str, &str)> {
    let (low, after) = written(skip_space(text))?;
    let spaced = skip_space(after);
    if spaced.len() == after.len() {
        return None;
    }
    let after = spaced.strip_prefix('-')?;
    let spaced = skip_space(after);
    if spaced.len() == after.len() {
        return None;
    }
    let (high, after) = written(spaced)?;
    Some((low.text, high.text, skip_space(after)))
}
