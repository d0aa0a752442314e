//! Events that notifications are about.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::severity::Severity;

macro_rules! kinds {
    ($($name:ident $word:literal $severity:ident $title:literal,)*) => {
        /// Kind of an event, from a fixed list: the words that `events` of a target may have.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub enum Kind {
            $(#[doc = $title] $name,)*
        }

        impl Kind {
            /// All kinds, in the order in which they are declared.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Returns the word in files and messages.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// Returns the severity.
            #[must_use]
            pub fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)* }
            }

            /// Returns the title.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

kinds! {
    RolloutStarted "rolloutStarted" Info "Rollout started",
    RolloutWaits "rolloutWaits" Info "Rollout waiting",
    RolloutPaused "rolloutPaused" Warning "Rollout paused",
    RolloutHalted "rolloutHalted" Critical "Rollout halted",
    RolloutRolledBack "rolloutRolledBack" Critical "Rolled back",
    RolloutSucceeded "rolloutSucceeded" Info "Rollout succeeded",
    RolloutSuperseded "rolloutSuperseded" Info "Rollout superseded",
    ApprovalNeeded "approvalNeeded" Warning "Approval needed",
    ClusterPending "clusterPending" Warning "Clusters waiting for acceptance",
    ClusterOffline "clusterOffline" Warning "Clusters offline",
    ClusterBack "clusterBack" Info "Clusters back online",
    ClusterLocked "clusterLocked" Critical "Clusters locked",
    DeleteHeld "deleteHeld" Warning "Deletes held",
    Fight "fight" Warning "Competing writers",
    BranchAhead "branchAhead" Warning "Branch ahead of the proven commit",
    OverrideUsed "overrideUsed" Warning "Gates overridden",
    FleetFileInvalid "fleetFileInvalid" Critical "Fleet file invalid",
    BranchUnreadable "branchUnreadable" Warning "Branch cannot be read",
    CertificateEnds "certificateEnds" Warning "Certificate expires soon",
    StoreFailing "storeFailing" Critical "Store failing",
}

impl Kind {
    /// Returns whether it is a step of a rollout, which has one message that is updated.
    #[must_use]
    pub fn is_of_rollout(self) -> bool {
        matches!(
            self,
            Self::RolloutStarted
                | Self::RolloutWaits
                | Self::RolloutPaused
                | Self::RolloutHalted
                | Self::RolloutRolledBack
                | Self::RolloutSucceeded
                | Self::RolloutSuperseded
                | Self::ApprovalNeeded
        )
    }

    /// Returns whether it ends its subject.
    #[must_use]
    pub fn ends(self) -> bool {
        matches!(
            self,
            Self::RolloutRolledBack | Self::RolloutSucceeded | Self::RolloutSuperseded
        )
    }
}

/// An event. None of its texts contains data of a Secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Its kind, which determines the severity.
    pub kind: Kind,
    /// When it happened, by the hub's clock; for gathered events, the end of the gathering.
    pub at: Timestamp,
    /// Name of the environment; empty: the whole fleet.
    #[serde(default)]
    pub environment: String,
    /// Id of the rollout; empty: none.
    #[serde(default)]
    pub rollout: String,
    /// The commits, shortened.
    #[serde(default)]
    pub commit: String,
    /// Names of affected clusters, not necessarily all.
    #[serde(default)]
    pub clusters: Vec<String>,
    /// Number of affected clusters.
    #[serde(default)]
    pub count: usize,
    /// Who caused it; empty: no person.
    #[serde(default)]
    pub actor: String,
    /// The reason, as a message for people.
    #[serde(default)]
    pub reason: String,
}

/// An event on its way to targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Its position in the outbox; the same after a restart.
    pub id: i64,
    /// The event, which [`Target::wants`](crate::Target::wants) filters.
    pub event: Event,
    /// URL of a page about it; empty: none.
    pub link: String,
    /// Whether it may have been sent before: the process ended between sending and recording it.
    pub repeated: bool,
}

impl Event {
    /// Returns its subject, by which repeated events are grouped: a rollout, or a kind in an environment.
    #[must_use]
    pub fn subject(&self) -> String {
        match self.rollout.as_str() {
            "" => format!("{}/{}", self.kind.as_str(), self.environment),
            rollout => format!("rollout/{rollout}"),
        }
    }

    /// Returns the command that shows more.
    #[must_use]
    pub fn command(&self) -> String {
        let word = |text: &str| {
            let plain = text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
            plain && !text.is_empty()
        };
        match self.kind {
            Kind::ApprovalNeeded if word(&self.environment) => {
                format!("flotilla explain {}", self.environment)
            }
            _ if word(&self.rollout) => format!("flotilla rollout show {}", self.rollout),
            Kind::FleetFileInvalid | Kind::StoreFailing => "flotilla hub".to_owned(),
            _ if word(&self.environment) => {
                format!("flotilla status --env {} --not-ready", self.environment)
            }
            _ => "flotilla status --not-ready".to_owned(),
        }
    }
}
