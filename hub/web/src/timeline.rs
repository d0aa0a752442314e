//! Timeline of a rollout: decisions and their actors, and start and end of its waves. Oldest first.

use std::collections::BTreeMap;

use flotilla_status::{Decisions, Entry, HUB_ACTOR, Phase, Rollout};
use jiff::Timestamp;

/// Highest number of rows; older ones are in the audit log.
const MOST: usize = 200;

/// A row of the timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// Time, by the hub's clock; events without a time are left out.
    pub at: Timestamp,
    /// Name of the person, or `hub`.
    pub who: String,
    /// `wave canary approved`, or an audit entry's action and detail.
    pub what: String,
    /// Reason or outcome.
    pub why: String,
}

/// Summary of a wave's clusters.
#[derive(Default)]
struct Span {
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    total: usize,
    done: usize,
    failed: usize,
}

/// Returns all known events of a rollout. `entries` are those of its environment, in any order.
#[must_use]
pub fn timeline(rollout: &Rollout, decisions: &Decisions, entries: &[Entry]) -> Vec<Moment> {
    let mut all = Vec::new();
    let mut add = |at: Option<Timestamp>, who: &str, what: String, why: &str| {
        if let Some(at) = at {
            all.push(Moment {
                at,
                who: who.to_owned(),
                what,
                why: why.to_owned(),
            });
        }
    };
    add(rollout.created_at, "hub", "commits seen".to_owned(), "");
    add(
        rollout.started_at,
        "hub",
        "gates open, begun".to_owned(),
        "",
    );
    let spans = spans(rollout);
    for (index, wave) in rollout.waves.iter().enumerate() {
        let Some(span) = spans.get(wave.name.as_str()) else {
            continue;
        };
        let what = format!("wave {}: first cluster started", wave.name);
        add(span.first, "hub", what, "");
        let through = index < rollout.wave || rollout.is_over();
        if through && span.done + span.failed > 0 {
            let outcome = format!(
                "{} of {} done, {} failed",
                span.done, span.total, span.failed
            );
            let what = format!("wave {}: last cluster through", wave.name);
            add(span.last, "hub", what, &outcome);
        }
    }
    let began = rollout.created_at;
    let is_within = |at: Timestamp| {
        began.is_none_or(|began| began <= at) && rollout.ended_at.is_none_or(|end| at <= end)
    };
    let mut told = std::collections::BTreeSet::new();
    for entry in entries {
        // The hub's own entries about the rollout are already included above.
        let by_people = entry.actor != HUB_ACTOR;
        if let Some(at) = entry.at.filter(|at| by_people && is_within(*at)) {
            told.insert((at.as_second(), entry.actor.as_str()));
            let what = match entry.detail.as_str() {
                "" => entry.action.to_string(),
                detail => format!("{}: {detail}", entry.action),
            };
            add(Some(at), &entry.actor, what, &entry.reason);
        }
    }
    for approval in &decisions.approvals {
        let Some(mark) = &approval.mark else {
            continue;
        };
        let ours = rollout
            .target
            .iter()
            .any(|target| target.commit == approval.commit);
        let known = mark
            .at
            .is_some_and(|at| told.contains(&(at.as_second(), mark.by.as_str())));
        if !ours || known {
            continue;
        }
        let what = match (approval.r#override, approval.wave.as_str()) {
            (true, _) => "gates overridden".to_owned(),
            (false, "") => "commit approved".to_owned(),
            (false, wave) => format!("wave {wave} approved"),
        };
        add(mark.at, &mark.by, what, &mark.reason);
    }
    if rollout.is_over() {
        add(
            rollout.ended_at,
            "hub",
            rollout.state.to_string(),
            &rollout.note,
        );
    }
    all.sort_by_key(|moment| moment.at);
    let old = all.len().saturating_sub(MOST);
    all.split_off(old)
}

fn spans(rollout: &Rollout) -> BTreeMap<&str, Span> {
    let mut spans: BTreeMap<&str, Span> = BTreeMap::new();
    for cluster in &rollout.clusters {
        let span = spans.entry(cluster.wave.as_str()).or_default();
        span.total += 1;
        if let Some(at) = cluster.started_at {
            span.first = Some(span.first.map_or(at, |first| first.min(at)));
        }
        let through = match cluster.phase {
            Phase::Done => &mut span.done,
            Phase::Failed => &mut span.failed,
            _ => continue,
        };
        *through += 1;
        span.last = span.last.max(cluster.since);
    }
    spans
}

#[cfg(test)]
mod tests {
    use flotilla_proto::v1;
    use flotilla_status::{Approval, Decisions, Entry, Mark, Rollout};

    use super::timeline;
    use crate::samples::moment;

    fn wire(seconds: i64) -> Option<prost_types::Timestamp> {
        Some(prost_types::Timestamp {
            seconds: 1_800_000_000 + seconds,
            nanos: 0,
        })
    }

    fn rollout() -> Rollout {
        let cluster = |name: &str, wave: &str, start, since, phase: &str| v1::ClusterProgress {
            cluster: name.to_owned(),
            wave: wave.to_owned(),
            phase: phase.to_owned(),
            started_at: wire(start),
            since: wire(since),
            ..v1::ClusterProgress::default()
        };
        let wave = |name: &str| v1::WaveStatus {
            name: name.to_owned(),
            ..v1::WaveStatus::default()
        };
        Rollout::from(&v1::RolloutStatus {
            id: "prod-4".to_owned(),
            state: "running".to_owned(),
            target: vec![v1::RepositoryCommit {
                repository: "fleet".to_owned(),
                commit: "3f2a".to_owned(),
            }],
            waves: vec![wave("canary"), wave("rest")],
            wave: 1,
            created_at: wire(0),
            started_at: wire(10),
            clusters: vec![
                cluster("a", "canary", 11, 20, "done"),
                cluster("b", "canary", 12, 30, "failed"),
                cluster("c", "rest", 40, 41, "started"),
            ],
            ..v1::RolloutStatus::default()
        })
    }

    fn entry(seconds: i64, actor: &str, action: &str) -> Entry {
        Entry::from(&v1::AuditEntry {
            at: wire(seconds),
            actor: actor.to_owned(),
            action: action.to_owned(),
            reason: "because".to_owned(),
            ..v1::AuditEntry::default()
        })
    }

    #[test]
    fn it_says_in_order_who_decided_what_and_how_waves_went() {
        let approval = |commit: &str, seconds: i64, by: &str| Approval {
            commit: commit.to_owned(),
            wave: String::new(),
            r#override: false,
            mark: Some(Mark {
                by: by.to_owned(),
                reason: String::new(),
                at: Some(moment(seconds)),
                rolled_back: String::new(),
                repositories: Vec::new(),
            }),
            repository: String::new(),
        };
        let decisions = Decisions {
            approvals: vec![
                approval("3f2a", -5, "bob"),
                approval("3f2a", 35, "ada"),
                approval("other", 1, "eve"),
            ],
            ..Decisions::default()
        };
        let entries = [
            entry(35, "ada", "approve"),
            entry(-100, "ada", "pause"),
            entry(15, "hub", "rollout"),
        ];
        let told: Vec<String> = timeline(&rollout(), &decisions, &entries)
            .into_iter()
            .map(|moment| format!("{} {}", moment.who, moment.what))
            .collect();
        assert_eq!(
            told,
            [
                "bob commit approved",
                "hub commits seen",
                "hub gates open, begun",
                "hub wave canary: first cluster started",
                "hub wave canary: last cluster through",
                "ada approve",
                "hub wave rest: first cluster started",
            ]
        );
    }

    #[test]
    fn a_long_story_keeps_its_end() {
        let entries: Vec<Entry> = (0..500).map(|at| entry(at, "ada", "pause")).collect();
        let told = timeline(&rollout(), &Decisions::default(), &entries);
        assert_eq!(told.len(), super::MOST);
        assert_eq!(told.last().map(|moment| moment.at), Some(moment(499)));
    }
}
