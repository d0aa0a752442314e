//! `check`: what an operator can see of the whole way to the fleet. Facts in, findings out: pure.

mod certificate;
mod judge;
#[cfg(test)]
mod tests;

use flotilla_status::{Cluster, Environment, Hub};
use jiff::Timestamp;

pub(crate) use certificate::{Validity, validities};
pub(crate) use judge::judge;

/// A thing that could not be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Missing {
    /// Why, for a person.
    pub(crate) why: String,
    /// What to do; empty: nothing is known.
    pub(crate) hint: String,
}

/// What a thing is, or why it could not be had.
pub(crate) type Fact<T> = Result<T, Missing>;

/// What the context file says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ContextFacts {
    /// The context's name.
    pub(crate) name: String,
    /// Where the hub is.
    pub(crate) hub: String,
    /// The operator's certificate; none: a person logged in.
    pub(crate) certificate: Option<Validity>,
    /// The roots that the context trusts.
    pub(crate) roots: Vec<Validity>,
}

/// What the hub said of itself, and when.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HubFacts {
    /// Its own answer about itself and the fleet file.
    pub(crate) hub: Hub,
    /// The roots that it hands out.
    pub(crate) roots: Vec<Validity>,
    /// Our clock before and after the question.
    pub(crate) asked: (Timestamp, Timestamp),
}

/// A fleet file that somebody named.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FleetFile {
    /// The path as it was given.
    pub(crate) path: String,
    /// SHA-256 of its text.
    pub(crate) digest: String,
}

/// Everything that is looked at.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CheckFacts {
    pub(crate) now: Timestamp,
    /// This program's version.
    pub(crate) version: &'static str,
    /// The context file.
    pub(crate) context: Fact<ContextFacts>,
    /// The hub; none: it was not asked, since there is no context.
    pub(crate) hub: Option<Fact<HubFacts>>,
    /// All environments; none: the hub did not answer before.
    pub(crate) environments: Option<Fact<Vec<Environment>>>,
    /// All clusters; none: the hub did not answer before.
    pub(crate) clusters: Option<Fact<Vec<Cluster>>>,
    /// The fleet file to compare; none: none was named.
    pub(crate) fleet_file: Option<Fact<FleetFile>>,
}
