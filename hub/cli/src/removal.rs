//! Effect of the removal of an application, cluster by cluster.

use flotilla_status::{ApplicationPlan, PlannedAction};

/// A cluster that has an application, and the effect there.
pub(crate) struct ClusterRemoval {
    pub(crate) cluster: String,
    pub(crate) environment: String,
    pub(crate) outcome: Outcome,
}

/// Effect in one cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// The agent's plan, a line for each object, and the number of deleted objects.
    Planned(Vec<(Fate, String)>, usize),
    /// Objects are kept.
    Kept,
    /// The agent could not be asked; the reason.
    Unknown(String),
}

/// Effect on the object of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fate {
    /// The line stands for objects that are left out.
    Untold,
    Deleted,
    Stays,
}

impl Outcome {
    /// Converts an agent's plan.
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

    /// Returns the number of deleted objects, as far as it is known.
    pub(crate) fn deletes(&self) -> usize {
        match self {
            Self::Planned(_, deletes) => *deletes,
            Self::Kept | Self::Unknown(_) => 0,
        }
    }
}
