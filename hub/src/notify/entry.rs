//! Which audit entries people may be told of. Pure.

use flotilla_notify::{Event, Kind};

use crate::fleet::AuditEntry;

/// The event that comes with an entry, if any.
#[must_use]
pub fn of_entry(entry: &AuditEntry) -> Option<Event> {
    let kind = match entry.action.as_str() {
        "rollout started" => Kind::RolloutStarted,
        "rollout waits" => Kind::RolloutWaits,
        "rollout paused" => Kind::RolloutPaused,
        "rollout halted" => Kind::RolloutHalted,
        "rollout rolled back" => Kind::RolloutRolledBack,
        "rollout succeeded" => Kind::RolloutSucceeded,
        "rollout superseded" => Kind::RolloutSuperseded,
        "override" => Kind::OverrideUsed,
        _ => return None,
    };
    let commits = entry
        .commit
        .split(' ')
        .map(|commit| commit.get(..7).unwrap_or(commit));
    Some(Event {
        kind,
        at: entry.at,
        environment: entry.environment.clone(),
        rollout: entry.rollout.clone().unwrap_or_default(),
        commit: commits.collect::<Vec<_>>().join("+"),
        clusters: Vec::new(),
        count: 0,
        actor: match entry.actor.as_str() {
            "hub" => String::new(),
            actor => actor.to_owned(),
        },
        reason: entry.reason.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_of_rollouts_and_overrides_are_told_with_their_names() {
        let entry = |action: &str, actor: &str| AuditEntry {
            action: action.to_owned(),
            actor: actor.to_owned(),
            environment: "prod".to_owned(),
            commit: format!("{} {}", "a".repeat(40), "b".repeat(40)),
            detail: "prod-7 to aaaaaaa+bbbbbbb, wave 1 of 2".to_owned(),
            reason: "2 of 1 failed".to_owned(),
            rollout: action.starts_with("rollout ").then(|| "prod-7".to_owned()),
            ..AuditEntry::default()
        };
        let event = of_entry(&entry("rollout halted", "hub")).unwrap();
        assert_eq!(
            (event.kind, event.rollout.as_str()),
            (Kind::RolloutHalted, "prod-7")
        );
        assert_eq!(
            (event.commit.as_str(), event.actor.as_str()),
            ("aaaaaaa+bbbbbbb", "")
        );
        let event = of_entry(&entry("override", "ann")).unwrap();
        assert_eq!(
            (event.kind, event.rollout.as_str()),
            (Kind::OverrideUsed, "")
        );
        assert_eq!(event.actor, "ann");
        for action in [
            "rollout wave",
            "rollout soaks",
            "rollout created",
            "pause",
            "token create",
            "",
        ] {
            assert_eq!(of_entry(&entry(action, "hub")), None, "{action}");
        }
    }
}
