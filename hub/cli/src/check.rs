//! `check`: the whole way from the operator to the fleet. Facts in, findings out: pure.

mod certificate;
mod judge;
#[cfg(test)]
mod tests;

use flotilla_status::{Cluster, Environment, Hub};
use jiff::Timestamp;

pub(crate) use certificate::{Validity, validities};
pub(crate) use judge::judge;

/// Why a fact is not available.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FactError {
    /// Cause, for the operator.
    pub(crate) why: String,
    /// How to resolve it; empty: not known.
    pub(crate) hint: String,
}

/// A fact, or why it is not available.
pub(crate) type Fact<T> = Result<T, FactError>;

/// Facts of the context file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ContextFacts {
    /// The context's name.
    pub(crate) name: String,
    /// `host:port` of the hub.
    pub(crate) hub: String,
    /// The operator's certificate; none: a login.
    pub(crate) certificate: Option<Validity>,
    /// The roots that the context trusts.
    pub(crate) roots: Vec<Validity>,
}

/// Answers of the hub, and when they came.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HubFacts {
    /// Its answer about itself and the fleet file.
    pub(crate) hub: Hub,
    /// The roots that it distributes.
    pub(crate) roots: Vec<Validity>,
    /// Local time before and after the question.
    pub(crate) asked: (Timestamp, Timestamp),
}

/// A fleet file on this machine.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FleetFile {
    /// The path as given.
    pub(crate) path: String,
    /// SHA-256 of its text.
    pub(crate) digest: String,
}

/// All facts that are judged.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CheckFacts {
    pub(crate) now: Timestamp,
    /// This program's version.
    pub(crate) version: &'static str,
    /// Facts of the context file.
    pub(crate) context: Fact<ContextFacts>,
    /// Facts of the hub; none: not asked, since there is no context.
    pub(crate) hub: Option<Fact<HubFacts>>,
    /// All environments; none: an earlier question failed.
    pub(crate) environments: Option<Fact<Vec<Environment>>>,
    /// All clusters; none: an earlier question failed.
    pub(crate) clusters: Option<Fact<Vec<Cluster>>>,
    /// The fleet file to compare; none: not given.
    pub(crate) fleet_file: Option<Fact<FleetFile>>,
}
