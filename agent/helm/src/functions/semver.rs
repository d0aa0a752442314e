//! Versions and constraints as the Masterminds library reads them, which Helm uses for charts, too.

mod constraint;
mod version;

pub use constraint::Constraint;
pub use version::Version;

use super::{Function, Type, lossy, pure};
use crate::value::Value;

use Type::Str as S;

/// Whether the version is in the range; a malformed one of either is in none.
pub(crate) fn compatible(range: &str, version: &str) -> bool {
    match (Constraint::parse(range), Version::parse(version)) {
        (Ok(range), Ok(version)) => range.matches(&version),
        _ => false,
    }
}

/// A text is not a version, or not a range of versions, in the library's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SemverError {
    /// It is not numbers separated by dots, with an optional suffix.
    #[error("invalid semantic version")]
    Invalid,
    /// A number is larger than 64 bits hold; quoted as Go does.
    #[error("error parsing version segment: strconv.ParseUint: parsing {0}: value out of range")]
    OutOfRange(String),
    /// A number of a pre-release begins with a zero.
    #[error("version segment starts with 0")]
    LeadingZero,
    /// A range does not consist of operators and versions; quoted as Go does.
    #[error("improper constraint: {0}")]
    Improper(String),
    /// A range contains something that is not a version.
    #[error("constraint parser error")]
    Constraint,
}

fn version(arguments: &[Value], at: usize) -> Result<Version, String> {
    Version::parse(&lossy(arguments, at)).map_err(|error| error.to_string())
}

pub(super) const FUNCTIONS: &[Function] = &[
    pure("semver", &[S], |a| Ok(Value::host(version(a, 0)?))),
    pure("semverCompare", &[S, S], |a| {
        let constraint = Constraint::parse(&lossy(a, 0)).map_err(|error| error.to_string())?;
        Ok(Value::Bool(constraint.matches(&version(a, 1)?)))
    }),
];
