//! Content of the first screen for all readers: made once for each state of the fleet, however many read it.

use jiff::Timestamp;

use crate::attention::{MOST, Need, needs};
use crate::difference::{Group, groups};
use crate::lane::{Lane, lanes};
use crate::mirror::Mirror;

/// The first screen, before the reader's rights apply.
#[derive(Debug, Clone)]
pub struct Overview {
    /// Decisions that wait for a person.
    pub needs: Vec<Need>,
    /// Number of further ones.
    pub more_needs: usize,
    /// A lane for each environment, in the order of promotion.
    pub lanes: Vec<Lane>,
    /// Clusters that are not current, grouped by reason.
    pub groups: Vec<Group>,
    /// Number of all clusters.
    pub total: usize,
    /// Number of current clusters.
    pub fine: usize,
}

impl Overview {
    /// Makes the overview of the mirror.
    #[must_use]
    pub fn new(mirror: &Mirror, now: Timestamp) -> Self {
        let mut needs = needs(mirror);
        let more_needs = needs.len().saturating_sub(MOST);
        needs.truncate(MOST);
        let total = mirror.clusters.len();
        let groups = groups(mirror);
        let different: usize = groups.iter().map(|group| group.count).sum();
        Self {
            needs,
            more_needs,
            lanes: lanes(mirror, now),
            groups,
            total,
            fine: total.saturating_sub(different),
        }
    }
}
