//! Names that cannot be mixed up: each is its own type and exists only if it parsed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {name:?} is not valid: {why}")]
pub struct NameError {
    /// Kind of the name, such as `cluster name`.
    pub what: &'static str,
    /// The refused text, cut to 80 characters.
    pub name: String,
    /// The rule that it breaks.
    pub why: &'static str,
}

impl NameError {
    pub(crate) fn new(what: &'static str, name: &str, why: &'static str) -> Self {
        Self {
            what,
            name: name.chars().take(80).collect(),
            why,
        }
    }
}

/// Checks an RFC 1123 label, which Kubernetes requires of a namespace, so that every name can become part of one. The
/// error contains `what`, the kind of name.
///
/// # Errors
/// The rule that it breaks.
pub fn dns_label(what: &'static str, name: &str) -> Result<(), NameError> {
    let error = |why| Err(NameError::new(what, name, why));
    if name.is_empty() {
        return error("it is empty");
    }
    if name.len() > 63 {
        return error("it is longer than 63 characters");
    }
    if !name
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    {
        return error("only a-z, 0-9 and - may be used");
    }
    if name.starts_with('-') || name.ends_with('-') {
        return error("it may not begin or end with -");
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(std::sync::Arc<str>);

        impl $type {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;

            fn from_str(name: &str) -> Result<Self, NameError> {
                dns_label($what, name)?;
                Ok(Self(name.into()))
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;

            fn try_from(name: String) -> Result<Self, NameError> {
                name.parse()
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.as_str().to_owned()
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::borrow::Borrow<str> for $type {
            fn borrow(&self) -> &str {
                self.as_str()
            }
        }
    };
}

name!(
    /// One Kubernetes cluster. An RFC 1123 label.
    ClusterName,
    "cluster name"
);
name!(
    /// An environment such as `dev` or `prod`. An RFC 1123 label.
    EnvironmentName,
    "environment name"
);
name!(
    /// An application of the fleet file. An RFC 1123 label.
    ApplicationName,
    "application name"
);
name!(
    /// A repository of the fleet file. An RFC 1123 label.
    RepositoryName,
    "repository name"
);
/// Name of the fleet file as a source of revisions, beside the repositories: the declaration of an
/// environment's applications has a digest that is rolled out like a commit.
static FLEET_FILE: std::sync::LazyLock<RepositoryName> =
    std::sync::LazyLock::new(|| RepositoryName("fleet-file".into()));

impl RepositoryName {
    /// Returns the name of the fleet file as a source of revisions. No repository may have this name.
    #[must_use]
    pub fn fleet_file() -> &'static Self {
        &FLEET_FILE
    }

    /// Whether this is the fleet file and not a repository.
    #[must_use]
    pub fn is_fleet_file(&self) -> bool {
        *self == *FLEET_FILE
    }
}

name!(
    /// A named gate of an environment. An RFC 1123 label.
    GateName,
    "gate name"
);
name!(
    /// A person or program that steers the fleet. An RFC 1123 label.
    OperatorName,
    "operator name"
);

/// Grows when a hub is restored from a backup, so that older state is never mistaken for newer state.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(pub u64);

/// Grows with each change of one cluster's assignment, within an epoch.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dns_labels() {
        for good in ["a", "prod-eu-1", "0"] {
            assert_eq!(
                good.parse::<ClusterName>().map(|n| n.to_string()),
                Ok(good.to_owned())
            );
        }
        let long = "a".repeat(64);
        for bad in [
            "",
            "-a",
            "a-",
            "A",
            "a_b",
            "a.b",
            "ä",
            "a/b",
            "..",
            long.as_str(),
        ] {
            assert!(bad.parse::<ClusterName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_refusal_names_the_kind_and_the_rule() {
        let error = "Prod".parse::<EnvironmentName>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "environment name \"Prod\" is not valid: only a-z, 0-9 and - may be used"
        );
    }
}
