//! Groups of equal answers.

use std::collections::BTreeMap;

use flotilla_shared::digest::Digest;
use flotilla_shared::id::ClusterName;
use flotilla_shared::plan::ClusterPlan;
use flotilla_shared::reason::Reason;
use flotilla_status::PlanVerdict;

/// Highest number of different answers whose changes are kept.
const MAX_ANSWERS: usize = 64;
/// Approximate limit of memory for them, bytes.
const MAX_BYTES: usize = 1 << 20;

/// Clusters with the same answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Its result.
    pub verdict: PlanVerdict,
    /// Its clusters, sorted by name once the plan is shown.
    pub clusters: Vec<ClusterName>,
    /// The changes; none: not known, or left out for lack of room.
    pub plan: Option<ClusterPlan>,
    /// Why there is no plan.
    pub reason: Option<Reason>,
    /// Message for operators, from the first cluster of the group.
    pub message: String,
    /// Whether the changes were left out for lack of room.
    pub folded: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    verdict: PlanVerdict,
    reason: Option<Reason>,
    /// Digest of the plan; none: there is no plan, or no room for it.
    digest: Digest,
}

/// All answers of a plan.
#[derive(Debug, Default)]
pub struct Groups {
    all: BTreeMap<Key, Group>,
    answers: usize,
    bytes: usize,
}

impl Groups {
    /// Adds an answer.
    pub(super) fn add(
        &mut self,
        cluster: &ClusterName,
        verdict: PlanVerdict,
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

    /// Returns the groups in the order in which they are shown: by verdict, and the largest first.
    #[must_use]
    pub fn shown(&self) -> Vec<Group> {
        let mut all: Vec<Group> = self.all.values().cloned().collect();
        for group in &mut all {
            group.clusters.sort();
        }
        all.sort_by(|a, b| {
            let size = |group: &Group| std::cmp::Reverse(group.clusters.len());
            let (first, second) = (turn(a.verdict), turn(b.verdict));
            (first, size(a), &a.clusters).cmp(&(second, size(b), &b.clusters))
        });
        all
    }
}

/// Returns the rank of a verdict in that order: changes first, clusters without changes last.
fn turn(verdict: PlanVerdict) -> u8 {
    match verdict {
        PlanVerdict::Changes => 0,
        PlanVerdict::Conflict => 1,
        PlanVerdict::Refused => 2,
        PlanVerdict::Failed => 3,
        PlanVerdict::TimedOut => 4,
        PlanVerdict::Offline => 5,
        PlanVerdict::Unknown => 6,
        PlanVerdict::Nothing => 7,
    }
}
