//! Clusters that are not current, grouped by environment and reason. Current clusters are never listed.

use std::collections::BTreeMap;

use crate::lane::{State, state};
use crate::mirror::Mirror;

/// Clusters of one environment that differ for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The environment; empty: none.
    pub environment: String,
    /// Their state.
    pub state: State,
    /// Reason, for the operator.
    pub words: String,
    /// Number of clusters, at least 1.
    pub count: usize,
    /// The first of them by name.
    pub first: String,
    /// Path of the page that lists them.
    pub link: String,
}

/// Returns all groups: the worst state first, and within a state the largest.
#[must_use]
pub fn groups(mirror: &Mirror) -> Vec<Group> {
    let mut groups: BTreeMap<(&str, State, String), (usize, &str)> = BTreeMap::new();
    for cluster in mirror.clusters.values() {
        let (state, _, words) = state(cluster);
        if state != State::Ok {
            let key = (cluster.environment.as_str(), state, words);
            groups.entry(key).or_insert((0, &cluster.name)).0 += 1;
        }
    }
    let mut all: Vec<Group> = groups
        .into_iter()
        .map(|((environment, state, words), (count, first))| Group {
            link: format!("/clusters?env={environment}&state={state}"),
            environment: environment.to_owned(),
            state,
            words,
            count,
            first: first.to_owned(),
        })
        .collect();
    all.sort_by_key(|group| (severity(group.state), std::cmp::Reverse(group.count)));
    all
}

fn severity(state: State) -> u8 {
    match state {
        State::Failed => 0,
        State::Locked => 1,
        State::Offline => 2,
        State::Pending => 3,
        State::Busy => 4,
        State::Pinned | State::Suspended | State::Ok => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::groups;
    use crate::mirror::{Change, Mirror};
    use crate::samples::{cluster, moment};

    #[test]
    fn the_fine_are_not_listed_and_equal_trouble_is_one_line() {
        let mut mirror = Mirror::default();
        for number in 0..5 {
            let mut changed = cluster(&format!("c{number}"), "prod");
            if number > 1 {
                changed.refused = true;
                changed.reason = "SignatureMissing".to_owned();
            }
            mirror.apply(Change::Cluster(Box::new(changed)), moment(0));
        }
        let all = groups(&mirror);
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].count, all[0].first.as_str()), (3, "c2"));
        assert!(all[0].words.contains("SignatureMissing"));
    }
}
