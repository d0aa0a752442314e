//! What an operator can do to let a rollout continue, where its note does not say so already.

use flotilla_status::Wave;
use jiff::Timestamp;

use crate::fleet::gate::Gate;
use crate::fleet::rollout::{Rollout, State};
use crate::fleet::{Fleet, acts};

/// Adds the next command. `closed` are the gates that hold the rollout back now.
pub(super) fn add(
    fleet: &Fleet,
    rollout: &Rollout,
    closed: &[Gate],
    now: Timestamp,
    status: &mut flotilla_status::Rollout,
) {
    let environment = &rollout.environment;
    if let Some(wave) = wave_to_approve(status).map(|wave| wave.name.clone()) {
        status.next = format!("flotilla approve {environment} --wave {wave}");
        status.wave_to_approve = wave;
    } else if waits_for_gates_alone(fleet, rollout, closed, now) {
        status.next = format!("to see each gate: flotilla explain {environment}");
    }
}

/// Returns the wave that needs approvals now.
fn wave_to_approve(rollout: &flotilla_status::Rollout) -> Option<&Wave> {
    let (present, passed) = rollout.waves.get(..=rollout.wave)?.split_last()?;
    // A wave that was passed without a cluster asks for its approval once clusters return to it.
    let waits = rollout.waves.iter().any(|wave| wave.waiting > 0);
    let passed = passed.iter().filter(|wave| waits && wave.done == 0);
    let mut asking = passed.chain([present]);
    asking.find(|wave| rollout.state.is_under_way() && lacks_approval(wave))
}

/// Returns whether a wave needs approvals before it begins, and has too few.
fn lacks_approval(wave: &Wave) -> bool {
    let touched = wave.started + wave.soaking + wave.unavailable + wave.done + wave.failed;
    // Clusters that were let through do not begin a wave, so the hub still asks for its approval.
    let begun = touched.saturating_sub(wave.unchanged) > 0;
    !begun && wave.approved_by.len() < wave.approvals as usize
}

/// Returns whether it has not begun because of gates that only time or a pending answer opens: otherwise its note names
/// the command.
fn waits_for_gates_alone(
    fleet: &Fleet,
    rollout: &Rollout,
    closed: &[Gate],
    now: Timestamp,
) -> bool {
    if rollout.state != State::Pending || closed.is_empty() || rollout.taking_part() == 0 {
        return false;
    }
    let changed = rollout.changed();
    let waiting = match fleet.environments().get(&rollout.environment) {
        Some(state) => state.not_overridden(&changed),
        None => changed,
    };
    let mut gates = closed.iter();
    let opens = gates.any(|gate| acts::act(gate, &rollout.environment, &waiting).is_some());
    !opens && fleet.kept_out(rollout, now).is_none()
}

#[cfg(test)]
mod tests {
    use flotilla_status::{Rollout, RolloutState};

    use super::super::wave;
    use super::*;

    fn rollout(wave: Wave) -> Rollout {
        Rollout {
            id: "prod-1".to_owned(),
            environment: "prod".to_owned(),
            state: RolloutState::Running,
            target: Vec::new(),
            from: Vec::new(),
            waves: vec![Wave {
                approvals: 1,
                ..wave
            }],
            wave: 0,
            created_at: None,
            started_at: None,
            ended_at: None,
            note: String::new(),
            unread: String::new(),
            changes: Vec::new(),
            budgets: Vec::new(),
            gates: Vec::new(),
            more_gates: 0,
            apart: Vec::new(),
            clusters: Vec::new(),
            next: String::new(),
            wave_to_approve: String::new(),
        }
    }

    fn asked(rollout: &Rollout) -> Option<String> {
        wave_to_approve(rollout).map(|wave| wave.name.clone())
    }

    #[test]
    fn a_wave_that_nobody_was_in_is_asked_for_while_somebody_waits_behind_it() {
        let mut shown = rollout(Wave {
            suspended: 1,
            ..wave("all")
        });
        shown.waves.push(Wave {
            waiting: 1,
            ..wave("rest")
        });
        shown.wave = 1;
        assert_eq!(asked(&shown).as_deref(), Some("all"));
        let mut taken = shown.clone();
        taken.waves[0].done = 1;
        taken.waves[0].unchanged = 1;
        assert_eq!(asked(&taken), None, "it was passed by who is in it");
        let mut stopped = shown.clone();
        stopped.state = RolloutState::Paused;
        assert_eq!(asked(&stopped), None, "it does not go on");
        shown.waves[1].waiting = 0;
        assert_eq!(asked(&shown), None, "nobody waits for it");
    }

    #[test]
    fn clusters_that_nothing_changes_for_do_not_begin_a_wave() {
        let passed = Wave {
            waiting: 2,
            started: 1,
            done: 2,
            unchanged: 3,
            ..wave("all")
        };
        assert!(asked(&rollout(passed.clone())).is_some());
        let begun = Wave {
            soaking: 1,
            ..passed.clone()
        };
        assert_eq!(asked(&rollout(begun)), None, "one of them was started");
        let given = Wave {
            approved_by: vec!["bob".to_owned()],
            ..passed
        };
        assert_eq!(asked(&rollout(given)), None);
    }
}
