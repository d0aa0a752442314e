//! What happens, in bounded words.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::severity::Severity;

macro_rules! kinds {
    ($($name:ident $word:literal $severity:ident $title:literal,)*) => {
        /// What happened, in a closed list: the words that `events` of a target may have.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub enum Kind {
            $(#[doc = $title] $name,)*
        }

        impl Kind {
            /// All of them, in the order in which they are declared.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The word, as files and messages have it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// How bad it is.
            #[must_use]
            pub fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)* }
            }

            /// What a person reads first.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

kinds! {
    RolloutStarted "rolloutStarted" Info "Rollout started",
    RolloutWaits "rolloutWaits" Info "Rollout waits",
    RolloutPaused "rolloutPaused" Warning "Rollout paused",
    RolloutHalted "rolloutHalted" Critical "Rollout halted",
    RolloutRolledBack "rolloutRolledBack" Critical "Rolled back",
    RolloutSucceeded "rolloutSucceeded" Info "Rollout succeeded",
    RolloutSuperseded "rolloutSuperseded" Info "Rollout superseded",
    ApprovalNeeded "approvalNeeded" Warning "Approval needed",
    ClusterPending "clusterPending" Warning "Clusters wait to be accepted",
    ClusterOffline "clusterOffline" Warning "Clusters offline",
    ClusterBack "clusterBack" Info "Clusters back",
    ClusterLocked "clusterLocked" Critical "Clusters locked",
    DeleteHeld "deleteHeld" Warning "Deletes held",
    Fight "fight" Warning "Two writers fight",
    BranchAhead "branchAhead" Warning "Branch is ahead of what is proven",
    OverrideUsed "overrideUsed" Warning "Gates overridden",
    FleetFileInvalid "fleetFileInvalid" Critical "Fleet file not valid",
    BranchUnreadable "branchUnreadable" Warning "Branch cannot be read",
    CertificateEnds "certificateEnds" Warning "Certificate ends soon",
    StoreFailing "storeFailing" Critical "Store failing",
}

impl Kind {
    /// Whether it is a step of a rollout, which has one message that changes.
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

    /// Whether nothing more follows of it.
    #[must_use]
    pub fn ends(self) -> bool {
        matches!(
            self,
            Self::RolloutRolledBack | Self::RolloutSucceeded | Self::RolloutSuperseded
        )
    }
}

/// Something that people may be told of. No text of it holds anything of a Secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Decides how severe it is.
    pub kind: Kind,
    /// By the hub's clock; of what was gathered, when that ended.
    pub at: Timestamp,
    /// Where; empty: in the whole fleet.
    #[serde(default)]
    pub environment: String,
    /// Of which rollout; empty: of none.
    #[serde(default)]
    pub rollout: String,
    /// With which commits, shortened.
    #[serde(default)]
    pub commit: String,
    /// Which clusters, not all of them.
    #[serde(default)]
    pub clusters: Vec<String>,
    /// How many there are.
    #[serde(default)]
    pub count: usize,
    /// Who did it; empty: nobody, it happened.
    #[serde(default)]
    pub actor: String,
    /// Why, for a person.
    #[serde(default)]
    pub reason: String,
}

/// An event on its way to targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Its place in the order of all; the same after a restart.
    pub id: i64,
    /// What each target is asked about: [`Target::wants`](crate::Target::wants).
    pub event: Event,
    /// A page about it; empty: there is none.
    pub link: String,
    /// It may have been told before: the process ended between telling and noting that.
    pub repeated: bool,
}

impl Event {
    /// By which it is told apart from others that come again: a rollout, or a kind in an environment.
    #[must_use]
    pub fn subject(&self) -> String {
        match self.rollout.as_str() {
            "" => format!("{}/{}", self.kind.as_str(), self.environment),
            rollout => format!("rollout/{rollout}"),
        }
    }

    /// What a person types to see more.
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
