//! Health (kstatus) and sync states.

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
    /// Suspended by its specification or controller; it waits for an operator.
    Suspended,
    /// Progressing towards its specification.
    InProgress,
    /// Being deleted.
    Terminating,
    /// Not read, or no rule for its health.
    #[default]
    Unknown,
    /// Desired, but missing.
    NotFound,
    /// Will not become healthy without a change.
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

    /// Returns the name of the value.
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
    /// Live state equals the rendered commit in every managed field.
    Synced,
    /// A reconcile pass is running.
    Applying,
    /// No longer assigned; its objects are kept and not reconciled.
    Orphaned,
    /// A local freeze or a suspension stops all writes.
    Suspended,
    /// Not known yet.
    #[default]
    Unknown,
    /// Live state differs and waits for a retry, a hold or an operator.
    OutOfSync,
    /// Refused by the agent; the reason says why.
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

    /// Returns the name of the value.
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
