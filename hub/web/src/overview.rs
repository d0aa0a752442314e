//! What the first screen says to everybody: made once for each state of the fleet, however many read it.

use jiff::Timestamp;

use crate::attention::{MOST, Need, needs};
use crate::difference::{Group, groups};
use crate::lane::{Lane, lanes};
use crate::mirror::Mirror;

/// It, before anybody's rights are asked.
#[derive(Debug, Clone)]
pub struct Overview {
    /// What waits for a person.
    pub needs: Vec<Need>,
    /// How much more does.
    pub more_needs: usize,
    /// One for each environment, in the order of promotion.
    pub lanes: Vec<Lane>,
    /// Clusters that are not ready, by what they have in common.
    pub groups: Vec<Group>,
    /// All clusters of the fleet, however they stand.
    pub total: usize,
    /// Those that are current.
    pub fine: usize,
}

impl Overview {
    /// From what is known.
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
