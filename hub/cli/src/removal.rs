//! What the removal of an application would do, cluster by cluster.

use flotilla_status::{ApplicationPlan, PlannedAction};

/// Where an application is, and what becomes of it there.
pub(crate) struct Place {
    pub(crate) cluster: String,
    pub(crate) environment: String,
    pub(crate) outcome: Outcome,
}

/// What is known of a removal in one cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// What its agent would do, a line each, and how many objects it would delete.
    Planned(Vec<(Fate, String)>, usize),
    /// Its objects stay.
    Kept,
    /// Nobody could be asked, and why.
    Unknown(String),
}

/// What becomes of the object that a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fate {
    /// It is about those that are not told.
    Untold,
    Deleted,
    Stays,
}

impl Outcome {
    /// As an agent's plan says.
    pub(crate) fn of(plan: &ApplicationPlan) -> Self {
        let mut deletes = 0;
        let mut lines: Vec<(Fate, String)> = plan
            .changes
            .iter()
            .map(|change| {
                let fate = match change.action {
                    PlannedAction::Delete => Fate::Deleted,
                    _ => Fate::Stays,
                };
                deletes += usize::from(fate == Fate::Deleted);
                let why = match (change.reason.as_str(), change.message.as_str()) {
                    ("", _) => String::new(),
                    (reason, message) => format!("  ({reason}: {message})"),
                };
                (fate, format!("{}{why}", change.object))
            })
            .collect();
        if plan.truncated {
            lines.push((Fate::Untold, "... and more".to_owned()));
        }
        Self::Planned(lines, deletes)
    }

    /// How many objects would go, as far as that is known.
    pub(crate) fn deletes(&self) -> usize {
        match self {
            Self::Planned(_, deletes) => *deletes,
            Self::Kept | Self::Unknown(_) => 0,
        }
    }
}
