//! An environment's part of the chain: gates, the progress of its rollout, decisions of operators, and the state of its
//! clusters.

use flotilla_shared::health::{Health, SyncState};
use flotilla_shared::id::{ClusterName, RepositoryName};
use flotilla_shared::reason::Reason;
use flotilla_shared::words::{self, counted};
use flotilla_status::{StepKind, StepState};
use jiff::Timestamp;

use super::steps::{Step, Steps};
use crate::fleet::gate::Gate;
use crate::fleet::rollout::{Commits, Phase, Progress, Rollout, State, title};
use crate::fleet::stops::{self, Stop};
use crate::fleet::{Cluster, Connectivity, Fleet, OFFLINE_AFTER, Pin, acts};
use crate::spec::Environment;

/// Highest number of an environment's clusters that are shown one by one, healthy ones and others each.
const MAX_CLUSTERS: usize = 50;

/// Explains gates, rollout and decisions: why a head is, or is not yet, where clusters run it.
pub(super) fn rollout(fleet: &Fleet, environment: &Environment, now: Timestamp, steps: &mut Steps) {
    use flotilla_status::StepState::{Failed, Ok, Skipped, Waiting};
    let state = fleet.environments().get(&environment.name);
    let newest = fleet.newest(environment);
    // Failures and holds come first in the chain, pauses and pins last.
    let (failed, decided): (Vec<Stop<'_>>, Vec<Stop<'_>>) = fleet
        .stops(&environment.name, &newest)
        .into_iter()
        .partition(|stop| matches!(stop, Stop::Failure(..) | Stop::Hold(_)));
    for stop in failed {
        stopped(stop, environment, now, steps);
    }
    for (repository, merging, since) in fleet.mergings(&environment.name) {
        let subject = match &merging.pull {
            Some((number, _)) => format!("{repository}, pull request {number}"),
            None => repository.to_string(),
        };
        let state = if merging.refused { Failed } else { Waiting };
        let mut text = merging.text.clone();
        if let Some((_, link)) = &merging.pull {
            text.push_str(&format!(" ({link})"));
        }
        steps.add(
            Step::new(StepKind::Merge, state, text)
                .of(&subject)
                .at(since),
        );
    }
    if let Some(rollout) = fleet.rollouts().get(&environment.name) {
        let changed = rollout.changed();
        let waiting = state.map_or_else(|| changed.clone(), |state| state.not_overridden(&changed));
        for gate in gates(fleet, environment, rollout, now) {
            let text = match acts::act(&gate, &environment.name, &waiting) {
                Some(act) => format!("{}; {act}", gate.text),
                None => gate.text.clone(),
            };
            steps.add_gate(gate, text);
        }
        beside(fleet, environment, rollout, now, steps);
        let (step_state, reason) = match rollout.state {
            State::Succeeded => (Ok, None),
            State::Superseded => (Skipped, None),
            State::Halted | State::RolledBack => (Failed, Some(Reason::Unhealthy)),
            State::Paused => (Waiting, Some(Reason::Paused)),
            State::Pending | State::Running | State::Soaking => (Waiting, None),
        };
        let at = rollout
            .ended_at
            .or(rollout.started_at)
            .or(Some(rollout.created_at));
        let step = Step::new(StepKind::Rollout, step_state, progress(rollout)).of(&rollout.id);
        steps.add(step.because(reason).at(at));
        if let Some(problem) = crate::status::unread(fleet, rollout) {
            let text = format!(
                "which clusters it changes is not known beforehand, so all wait for their \
                 waves: {}",
                problem.message
            );
            let step = Step::new(StepKind::Directories, Skipped, text).of(&rollout.id);
            steps.add(step.because(problem.reason));
        }
        wave_approval(fleet, environment, rollout, steps);
    }
    for stop in decided {
        stopped(stop, environment, now, steps);
    }
}

/// Explains what keeps commits out, whatever the gates say.
fn stopped(stop: Stop<'_>, environment: &Environment, now: Timestamp, steps: &mut Steps) {
    use flotilla_status::StepState::Waiting;
    let name = &environment.name;
    match stop {
        Stop::Failure(quarantine, commit) => {
            let failed = super::super::rollout::quarantine(quarantine);
            let told = failed.told(name.as_str(), Some(commit.as_str()));
            let text = format!("{told}; reason: {}", quarantine.reason);
            steps.add_gate(stops::of_failure(quarantine), text);
        }
        Stop::Hold(hold) => {
            // The rollout's own step explains why it was rolled back.
            let why = match hold.rolled_back.as_str() {
                "" => hold.mark.reason.clone(),
                id => format!("{id} was rolled back"),
            };
            let text = format!(
                "no automatic promotion{} comes in: {why} ({}); flotilla resume {name} lets them in \
                 again",
                words::of_repositories(hold.repositories.iter().map(RepositoryName::as_str)),
                hold.mark.by
            );
            steps.add(Step::new(StepKind::Hold, Waiting, text).at(hold.mark.at));
        }
        Stop::Pause(mark) => {
            let gate = stops::of_pause(mark);
            let act = acts::act(&gate, name, &Commits::new());
            let text = format!(
                "no further cluster is started: {} ({}); {}",
                mark.reason,
                mark.by,
                act.unwrap_or_default()
            );
            // The text names the operator.
            let subject = String::new();
            steps.add_gate(Gate { subject, ..gate }, text);
        }
        Stop::Pin(pin) if !pin.holds(now) => {}
        Stop::Pin(pin) => {
            let text = format!("the whole environment {}", pinned(pin));
            let step = Step::new(StepKind::Pin, Waiting, text).of(name.as_str());
            steps.add(step.because(Reason::Pinned).at(pin.mark.at));
        }
    }
}

/// Explains what a rollout in progress does not include: commits that wait at their own gates, and those that wait for
/// its end.
fn beside(
    fleet: &Fleet,
    environment: &Environment,
    rollout: &Rollout,
    now: Timestamp,
    steps: &mut Steps,
) {
    if rollout.state.is_over() {
        return;
    }
    let apart = fleet.apart(environment, now);
    for commit in &apart {
        let waiting = commit.waiting();
        for gate in &commit.gates {
            let mut text = commit.text(&gate.text);
            if let Some(act) = acts::act(gate, &environment.name, &waiting) {
                text.push_str(&format!("; {act}"));
            }
            steps.add_gate(gate.clone(), text);
        }
    }
    let state = fleet.environments().get(&environment.name);
    let waits = match state.and_then(|state| state.queue.back()) {
        Some(waiting) => waiting.clone(),
        None => {
            let heads = fleet.head_commits(environment);
            let mut heads = match state {
                // A failed commit waits for nothing.
                Some(state) => state.without_failed(&heads),
                None => heads,
            };
            let good = fleet.good(environment);
            heads.retain(|name, head| {
                good.get(name) != Some(head)
                    && rollout.target.get(name) != Some(head)
                    && !apart.iter().any(|own| own.repository == *name)
            });
            heads
        }
    };
    if !waits.is_empty() {
        let text = format!("{} waits until {} has ended", title(&waits), rollout.id);
        let step = Step::new(StepKind::Queue, StepState::Waiting, text);
        steps.add(step.because(Reason::WaitsForRollout));
    }
}

/// Explains the gates of a rollout's commits, and what holds it back now.
fn gates(
    fleet: &Fleet,
    environment: &Environment,
    rollout: &Rollout,
    now: Timestamp,
) -> impl Iterator<Item = Gate> {
    let over = rollout.state.is_over();
    let all = fleet.gates(environment, &rollout.target, now);
    let standing = fleet.standing_gates(environment, now);
    all.into_iter().filter(move |gate| {
        if over {
            // Times and checks apply to now, and not to when it began.
            return !gate.holds_back() && !standing.contains(gate);
        }
        rollout.started_at.is_none() || !gate.holds_back() || standing.contains(gate)
    })
}

/// Describes the progress of a rollout in a sentence.
fn progress(rollout: &Rollout) -> String {
    let word = match rollout.state {
        State::RolledBack => "rolled back",
        state => state.as_str(),
    };
    let mut text = format!("{word}: {}", rollout.title());
    let from = rollout.from.iter().any(|(name, _)| !name.is_fleet_file());
    if from && rollout.from != rollout.target {
        text.push_str(&format!(" over {}", title(&rollout.from)));
    }
    for change in &rollout.changes {
        text.push_str(&format!("; {change}"));
    }
    if !rollout.state.is_over() {
        let total = rollout.taking_part();
        text.push_str(&format!(
            ", wave {} of {}, {} of {} done",
            (rollout.wave + 1).min(rollout.waves.len()),
            rollout.waves.len(),
            rollout.count(Phase::Done),
            counted(total, "cluster")
        ));
    }
    let part = || {
        let all = rollout.clusters.values();
        all.filter(|progress| progress.phase.takes_part())
    };
    let unchanged = part().filter(|progress| progress.unchanged).count();
    if unchanged > 0 {
        let all = part().count();
        let clusters = counted(all, "cluster");
        text.push_str(&format!("; changes {} of {clusters}", all - unchanged));
    }
    if !rollout.note.is_empty() {
        text.push_str(&format!("; {}", rollout.why()));
    }
    text
}

/// Explains whether the present wave has the approvals it needs.
fn wave_approval(fleet: &Fleet, environment: &Environment, rollout: &Rollout, steps: &mut Steps) {
    let Some(asked) = fleet.wave_approval(rollout) else {
        return;
    };
    let people = asked.people.join(", ");
    let needed = counted(asked.needed as usize, "approval");
    let text = format!("{} of {needed}", asked.people.len());
    if asked.is_given() {
        let text = format!("{text}: {people}");
        steps.add(Step::new(StepKind::WaveApproval, StepState::Ok, text).of(&asked.wave));
        return;
    }
    let by = match people.as_str() {
        "" => String::new(),
        people => format!(" ({people})"),
    };
    let text = format!(
        "{text}{by}; to approve: flotilla approve {} --wave {}",
        environment.name, asked.wave
    );
    let step = Step::new(StepKind::WaveApproval, StepState::Waiting, text).of(&asked.wave);
    steps.add(step.because(Reason::ApprovalNeeded));
}

/// Describes a pin: commits, who, why and until when.
fn pinned(pin: &Pin) -> String {
    let end = match pin.expires_at {
        Some(end) => format!(", until {}", end.strftime("%Y-%m-%d %H:%M UTC")),
        None => String::new(),
    };
    format!(
        "is pinned to {} by {}{end}: {}",
        title(&pin.commits),
        pin.mark.by,
        pin.mark.reason
    )
}

/// Explains the phase of one cluster in its environment's rollout.
pub(super) fn wave(
    fleet: &Fleet,
    name: &ClusterName,
    cluster: &Cluster,
    environment: &Environment,
    now: Timestamp,
    steps: &mut Steps,
) {
    use flotilla_status::StepState::{Failed, Ok, Waiting};
    if let Some((rollout, progress)) = part(fleet, name, environment) {
        let state = match progress.phase {
            Phase::Done => Ok,
            Phase::Failed => Failed,
            _ => Waiting,
        };
        let step = Step::new(StepKind::Wave, state, phase(rollout, progress)).of(&rollout.id);
        steps.add(step.because(progress.reason).at(progress.since));
    }
    if let Some(pin) = cluster.record.pin.as_ref().filter(|pin| pin.holds(now)) {
        let step = Step::new(StepKind::Pin, Waiting, pinned(pin)).of(name.as_str());
        steps.add(step.because(Reason::Pinned).at(pin.mark.at));
    }
}

/// Returns a cluster's progress in a rollout that is not over.
fn part<'f>(
    fleet: &'f Fleet,
    name: &ClusterName,
    environment: &Environment,
) -> Option<(&'f Rollout, &'f Progress)> {
    let rollout = fleet.rollouts().get(&environment.name)?;
    let progress = rollout.clusters.get(name)?;
    (!rollout.state.is_over()).then_some((rollout, progress))
}

fn phase(rollout: &Rollout, progress: &Progress) -> String {
    let wave = rollout.waves.get(progress.wave).map_or("", String::as_str);
    let mut text = format!("{} in wave {wave}", progress.phase.as_str());
    if progress.phase == Phase::Waiting && progress.wave > rollout.wave {
        let before = progress.wave - rollout.wave;
        let waves = if before == 1 { "wave is" } else { "waves are" };
        text.push_str(&format!(", {before} {waves} before it"));
    }
    if progress.unchanged && progress.message.is_empty() {
        text.push_str(", changes nothing here");
    }
    if !progress.message.is_empty() {
        text.push_str(&format!(": {}", progress.message));
    }
    text
}

/// Explains an environment's clusters, those that are not ready first.
pub(super) fn clusters(
    fleet: &Fleet,
    environment: &Environment,
    now: Timestamp,
    steps: &mut Steps,
) {
    let mut well = Vec::new();
    let mut shown = 0usize;
    let mut left = 0usize;
    for (name, cluster) in fleet.clusters() {
        if !fleet.belongs_to(name, &environment.name) {
            continue;
        }
        let summary = crate::status::summary(cluster, now);
        let part = part(fleet, name, environment);
        let on_the_way = part.is_some_and(|(_, progress)| progress.phase != Phase::Done);
        if summary.current && !on_the_way {
            well.push((name, cluster.reported_at));
            continue;
        }
        if shown >= MAX_CLUSTERS {
            left += 1;
            continue;
        }
        shown += 1;
        let failed = summary.health == Health::Failed
            || summary.sync == SyncState::Refused
            || part.is_some_and(|(_, progress)| progress.phase == Phase::Failed);
        let state = if failed {
            StepState::Failed
        } else {
            StepState::Waiting
        };
        let mut text = format!("{} / {}", summary.sync, summary.health);
        let connection = cluster.connection(now, OFFLINE_AFTER);
        match connection {
            Connectivity::Online { .. } => {}
            Connectivity::Pending => text = "waits to be accepted".to_owned(),
            Connectivity::NeverSeen => text = "its agent has never connected".to_owned(),
            Connectivity::Offline => text.push_str(", offline"),
        }
        if let Some((rollout, progress)) = part {
            text.push_str(&format!(", {}", phase(rollout, progress)));
        }
        let step = Step::new(StepKind::Cluster, state, text).of(name.as_str());
        steps.add(step.at(cluster.reported_at));
    }
    if left > 0 {
        let text = format!("{left} more are not ready; see flotilla status --not-ready");
        steps.add(Step::new(StepKind::Cluster, StepState::Waiting, text));
    }
    if well.len() > MAX_CLUSTERS {
        let text = format!("{} run the desired state, synced and healthy", well.len());
        steps.add(Step::new(StepKind::Cluster, StepState::Ok, text));
        return;
    }
    for (name, at) in well {
        let text = "runs the desired state, synced and healthy".to_owned();
        let step = Step::new(StepKind::Cluster, StepState::Ok, text).of(name.as_str());
        steps.add(step.at(at));
    }
}
