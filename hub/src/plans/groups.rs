//! Equal answers in one place.

use std::collections::BTreeMap;

use flotilla_shared::digest::Digest;
use flotilla_shared::id::ClusterName;
use flotilla_shared::plan::ClusterPlan;
use flotilla_shared::reason::Reason;

/// Most different answers of which is kept what would change.
const MAX_ANSWERS: usize = 64;
/// Most memory for them, bytes, about.
const MAX_BYTES: usize = 1 << 20;

/// What a cluster's answer comes to. The order is that in which groups are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Something would change, and nothing is in the way.
    Changes,
    /// Something of it would not be taken, or needs a person.
    Conflict,
    /// The agent's own rules do not let the commit in, or it cannot read it.
    Refused,
    /// The agent could not find out, or does not know the question.
    Failed,
    /// No answer in time.
    TimedOut,
    /// No agent is connected.
    Offline,
    /// Nothing would change.
    Nothing,
}

/// Clusters with the same answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// What it comes to.
    pub verdict: Verdict,
    /// Sorted by name once the plan is shown.
    pub clusters: Vec<ClusterName>,
    /// What would change; none: nothing is known, or there was no room.
    pub plan: Option<ClusterPlan>,
    /// Why there is no plan.
    pub reason: Option<Reason>,
    /// For a person, as the first of them said it.
    pub message: String,
    /// There was no room to keep what would change.
    pub folded: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    verdict: Verdict,
    reason: Option<Reason>,
    /// Of nothing yet: there is no plan, or no room for it.
    digest: Digest,
}

/// All of a plan's answers.
#[derive(Debug, Default)]
pub struct Groups {
    all: BTreeMap<Key, Group>,
    answers: usize,
    bytes: usize,
}

impl Groups {
    /// Takes in one more answer.
    pub(super) fn add(
        &mut self,
        cluster: &ClusterName,
        verdict: Verdict,
        reason: Option<Reason>,
        message: String,
        plan: Option<ClusterPlan>,
    ) {
        let digest = plan.as_ref().map(ClusterPlan::digest);
        let mut key = Key {
            verdict,
            reason,
            digest: digest.unwrap_or_default(),
        };
        let mut kept = plan;
        let mut folded = false;
        if let Some(plan) = &kept
            && !self.all.contains_key(&key)
        {
            let weight = plan.weight();
            if self.answers >= MAX_ANSWERS || self.bytes + weight > MAX_BYTES {
                key.digest = Digest::default();
                kept = None;
                folded = true;
            } else {
                self.answers += 1;
                self.bytes += weight;
            }
        }
        let group = self.all.entry(key).or_insert_with(|| Group {
            verdict,
            clusters: Vec::new(),
            plan: kept,
            reason,
            message,
            folded,
        });
        group.folded |= folded;
        group.clusters.push(cluster.clone());
    }

    /// In the order in which they are shown: by verdict, and the largest first.
    #[must_use]
    pub fn shown(&self) -> Vec<Group> {
        let mut all: Vec<Group> = self.all.values().cloned().collect();
        for group in &mut all {
            group.clusters.sort();
        }
        all.sort_by(|a, b| {
            let size = |group: &Group| std::cmp::Reverse(group.clusters.len());
            (a.verdict, size(a), &a.clusters).cmp(&(b.verdict, size(b), &b.clusters))
        });
        all
    }
}
