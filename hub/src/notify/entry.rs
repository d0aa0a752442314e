//! Audit entries that become notifications. Pure.

use flotilla_notify::{Event, Kind};
use flotilla_status::{AuditAction, HUB_ACTOR};

use crate::fleet::AuditEntry;

/// Returns the event of an entry, if any.
#[must_use]
pub fn of_entry(entry: &AuditEntry) -> Option<Event> {
    let kind = match entry.action {
        AuditAction::RolloutStarted => Kind::RolloutStarted,
        AuditAction::RolloutWaits => Kind::RolloutWaits,
        AuditAction::RolloutPaused => Kind::RolloutPaused,
        AuditAction::RolloutHalted => Kind::RolloutHalted,
        AuditAction::RolloutRolledBack => Kind::RolloutRolledBack,
        AuditAction::RolloutSucceeded => Kind::RolloutSucceeded,
        AuditAction::RolloutSuperseded => Kind::RolloutSuperseded,
        AuditAction::Override => Kind::OverrideUsed,
        _ => return None,
    };
    let commits = entry
        .commits()
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
            HUB_ACTOR => String::new(),
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
        let entry = |action: AuditAction, actor: &str| AuditEntry {
            rollout: action
                .as_str()
                .starts_with("rollout ")
                .then(|| "prod-7".to_owned()),
            action,
            actor: actor.to_owned(),
            environment: "prod".to_owned(),
            commit: format!("{} {}", "a".repeat(40), "b".repeat(40)),
            detail: "prod-7 to aaaaaaa+bbbbbbb, wave 1 of 2".to_owned(),
            reason: "2 of 1 failed".to_owned(),
            ..AuditEntry::default()
        };
        let event = of_entry(&entry(AuditAction::RolloutHalted, HUB_ACTOR)).unwrap();
        assert_eq!(
            (event.kind, event.rollout.as_str()),
            (Kind::RolloutHalted, "prod-7")
        );
        assert_eq!(
            (event.commit.as_str(), event.actor.as_str()),
            ("aaaaaaa+bbbbbbb", "")
        );
        let event = of_entry(&entry(AuditAction::Override, "ann")).unwrap();
        assert_eq!(
            (event.kind, event.rollout.as_str()),
            (Kind::OverrideUsed, "")
        );
        assert_eq!(event.actor, "ann");
        for action in [
            AuditAction::RolloutWave,
            AuditAction::RolloutSoaks,
            AuditAction::RolloutCreated,
            AuditAction::Pause,
            AuditAction::TokenCreate,
            AuditAction::default(),
        ] {
            let text = action.to_string();
            assert_eq!(of_entry(&entry(action, HUB_ACTOR)), None, "{text}");
        }
    }
}
