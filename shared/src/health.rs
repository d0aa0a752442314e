//! The words for how things are: kstatus health and sync state.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Health of an object or of a set of them, in the words of kstatus (sigs.k8s.io/cli-utils).
///
/// Ordered from best to worst, so that the health of a set is the maximum of its members'.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub enum Health {
    /// The object does what its specification says.
    Current,
    /// It waits for a person: its specification or its controller holds it.
    Suspended,
    /// It is on its way there.
    InProgress,
    /// It is being deleted.
    Terminating,
    /// Not looked at, or not known how to judge.
    #[default]
    Unknown,
    /// It should be there and is not.
    NotFound,
    /// It will not get there without a change.
    Failed,
}

impl Health {
    /// All of them, from best to worst.
    pub const ALL: [Self; 7] = [
        Self::Current,
        Self::Suspended,
        Self::InProgress,
        Self::Terminating,
        Self::Unknown,
        Self::NotFound,
        Self::Failed,
    ];

    /// The worst of several; [`Health::Current`] of none, since an empty set lacks nothing.
    #[must_use]
    pub fn worst(all: impl IntoIterator<Item = Self>) -> Self {
        all.into_iter().max().unwrap_or(Self::Current)
    }

    /// The word itself.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Current => "Current",
            Self::Suspended => "Suspended",
            Self::InProgress => "InProgress",
            Self::Terminating => "Terminating",
            Self::Unknown => "Unknown",
            Self::NotFound => "NotFound",
            Self::Failed => "Failed",
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How an application's live objects relate to its assigned commit. Ordered from best to worst.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub enum SyncState {
    /// Live state equals the rendered commit in every field we own.
    Synced,
    /// A reconcile pass is running.
    Applying,
    /// No longer assigned; its objects are kept and not reconciled.
    Orphaned,
    /// A local freeze or a suspension stops all writes.
    Suspended,
    /// Nothing is known yet.
    #[default]
    Unknown,
    /// Live state differs and waits for a retry, a hold or a person.
    OutOfSync,
    /// The agent will not apply this; the reason says why.
    Refused,
}

impl SyncState {
    /// All of them, from best to worst.
    pub const ALL: [Self; 7] = [
        Self::Synced,
        Self::Applying,
        Self::Orphaned,
        Self::Suspended,
        Self::Unknown,
        Self::OutOfSync,
        Self::Refused,
    ];

    /// The worst of several; [`SyncState::Synced`] of none.
    #[must_use]
    pub fn worst(all: impl IntoIterator<Item = Self>) -> Self {
        all.into_iter().max().unwrap_or(Self::Synced)
    }

    /// The word itself.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Synced => "Synced",
            Self::Applying => "Applying",
            Self::Orphaned => "Orphaned",
            Self::Suspended => "Suspended",
            Self::Unknown => "Unknown",
            Self::OutOfSync => "OutOfSync",
            Self::Refused => "Refused",
        }
    }
}

impl fmt::Display for SyncState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_wins() {
        assert_eq!(
            Health::worst([Health::Current, Health::Failed, Health::InProgress]),
            Health::Failed
        );
        assert_eq!(Health::worst([]), Health::Current);
        assert_eq!(
            SyncState::worst([SyncState::Synced, SyncState::Applying]),
            SyncState::Applying
        );
    }
}
