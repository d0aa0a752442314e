//! Versions and constraints as the Masterminds library reads them, which Helm uses for charts, too.

mod constraint;
mod version;

pub use constraint::Constraint;
pub use version::Version;

use super::{Function, Type, lossy, pure};
use crate::value::Value;

use Type::Str as S;

pub(super) const FUNCTIONS: &[Function] = &[
    pure("semver", &[S], |a| {
        Ok(Value::host(Version::parse(&lossy(a, 0))?))
    }),
    pure("semverCompare", &[S, S], |a| {
        let constraint = Constraint::parse(&lossy(a, 0))?;
        let version = Version::parse(&lossy(a, 1))?;
        Ok(Value::Bool(constraint.matches(&version)))
    }),
];
