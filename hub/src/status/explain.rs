//! Why a cluster runs what it runs: the chain from branch head to the agent's last word.

use flotilla_proto::v1;
use flotilla_shared::health::{Health, Sync};
use flotilla_shared::id::{ApplicationName, ClusterName, EnvironmentName};
use flotilla_shared::reason::Reason;
use flotilla_shared::wire::{reason_to_wire, timestamp_to_wire};
use jiff::Timestamp;

use crate::fleet::gates::{Gate, Open};
use crate::fleet::rollout::{Phase, State, title};
use crate::fleet::{Cluster, Connection, Fleet, OFFLINE_AFTER};
use crate::spec::Environment;

struct Steps(Vec<v1::ExplainStep>);

impl Steps {
    fn add(
        &mut self,
        step: &str,
        subject: &str,
        state: v1::StepState,
        text: String,
        reason: Option<Reason>,
        at: Option<Timestamp>,
    ) {
        self.0.push(v1::ExplainStep {
            step: step.to_owned(),
            subject: subject.to_owned(),
            state: state.into(),
            text,
            reason: reason_to_wire(reason),
            at: at.map(timestamp_to_wire),
        });
    }
}

/// A gate as a step.
#[must_use]
pub fn gate_step(gate: Gate) -> v1::ExplainStep {
    v1::ExplainStep {
        step: gate.gate.to_owned(),
        subject: gate.subject,
        state: match gate.open {
            Open::Yes => v1::StepState::Ok,
            Open::NotYet => v1::StepState::Waiting,
            Open::No => v1::StepState::Failed,
            Open::Skipped => v1::StepState::Skipped,
        }
        .into(),
        text: gate.text,
        reason: reason_to_wire(gate.reason),
        at: gate.at.map(timestamp_to_wire),
    }
}

/// Gates, rollout and what people decided: why a head is, or is not yet, where clusters run it.
fn rollout(fleet: &Fleet, environment: &Environment, now: Timestamp, steps: &mut Steps) {
    use v1::StepState::{Failed, Ok, Skipped, Waiting};
    let state = fleet.environments().get(&environment.name);
    if let Some(pin) = state.and_then(|state| state.pin.as_ref()) {
        let text = format!(
            "the environment is pinned to {} by {}: {}",
            title(&pin.commits),
            pin.mark.by,
            pin.mark.reason
        );
        let at = Some(pin.mark.at);
        steps.add(
            "pin",
            environment.name.as_str(),
            Waiting,
            text,
            Some(Reason::Pinned),
            at,
        );
    }
    let heads = fleet.head_commits(environment);
    if let Some(quarantine) = state.and_then(|state| state.quarantine(&heads)) {
        let text = format!(
            "{} is not tried again: {}; a newer commit is",
            title(&heads),
            quarantine.reason
        );
        let (reason, at) = (Some(Reason::Quarantined), Some(quarantine.at));
        steps.add("quarantine", &quarantine.rollout, Failed, text, reason, at);
    }
    let Some(rollout) = fleet.rollouts().get(&environment.name) else {
        return;
    };
    if rollout.started_at.is_none() && !rollout.state.is_over() {
        let gates = fleet.gates(environment, &rollout.target, now);
        steps.0.extend(gates.into_iter().map(gate_step));
    } else if !rollout.state.is_over() {
        let gates = fleet.standing_gates(environment, now);
        steps.0.extend(gates.into_iter().map(gate_step));
    }
    let wave = rollout.waves.get(rollout.wave).map_or("", String::as_str);
    let (step_state, reason) = match rollout.state {
        State::Succeeded => (Ok, None),
        State::Superseded => (Skipped, None),
        State::Halted | State::RolledBack => (Failed, Some(Reason::Unhealthy)),
        State::Paused => (Waiting, Some(Reason::Paused)),
        State::Pending | State::Running | State::Soaking => {
            (Waiting, Some(Reason::WaitsForRollout))
        }
    };
    let mut text = format!("{} to {}", rollout.state, rollout.title());
    if !rollout.state.is_over() && !wave.is_empty() {
        text.push_str(&format!(", wave {wave}"));
    }
    if !rollout.note.is_empty() {
        text.push_str(&format!(": {}", rollout.note));
    }
    let at = rollout
        .ended_at
        .or(rollout.started_at)
        .or(Some(rollout.created_at));
    let taking_part = || {
        let all = rollout.clusters.values();
        all.filter(|one| one.phase != Phase::Pinned)
    };
    let unchanged = taking_part().filter(|one| one.unchanged).count();
    if unchanged > 0 {
        let all = taking_part().count();
        text.push_str(&format!("; changes {} of {all} clusters", all - unchanged));
    }
    steps.add("rollout", &rollout.id, step_state, text, reason, at);
    if let Some((reason, why)) = super::unread(fleet, rollout) {
        let text = format!(
            "whom it changes is not known beforehand, so that all wait for their waves: {why}"
        );
        steps.add(
            "directories",
            &rollout.id,
            Skipped,
            text,
            Some(reason),
            None,
        );
    }
}

/// Where one cluster stands in its environment's rollout.
fn wave(
    fleet: &Fleet,
    name: &ClusterName,
    cluster: &Cluster,
    environment: &Environment,
    steps: &mut Steps,
) {
    use v1::StepState::{Failed, Ok, Waiting};
    if let Some(pin) = &cluster.record.pin {
        let text = format!(
            "pinned to {} by {}: {}",
            title(&pin.commits),
            pin.mark.by,
            pin.mark.reason
        );
        steps.add(
            "pin",
            name.as_str(),
            Waiting,
            text,
            Some(Reason::Pinned),
            Some(pin.mark.at),
        );
    }
    let rollout = fleet.rollouts().get(&environment.name);
    let Some(rollout) = rollout.filter(|rollout| !rollout.state.is_over()) else {
        return;
    };
    let Some(progress) = rollout.clusters.get(name) else {
        return;
    };
    let wave = rollout.waves.get(progress.wave).map_or("", String::as_str);
    let state = match progress.phase {
        Phase::Done => Ok,
        Phase::Failed => Failed,
        _ => Waiting,
    };
    let mut text = format!("{} in wave {wave}", progress.phase.as_str());
    if progress.unchanged && progress.message.is_empty() {
        text.push_str(", changes nothing here");
    }
    if !progress.message.is_empty() {
        text.push_str(&format!(": {}", progress.message));
    }
    steps.add(
        "wave",
        &rollout.id,
        state,
        text,
        progress.reason,
        Some(progress.since),
    );
}

/// Explains a cluster or an environment; none where there is neither.
#[must_use]
pub fn explain(fleet: &Fleet, subject: &str, now: Timestamp) -> Option<Vec<v1::ExplainStep>> {
    let mut steps = Steps(Vec::new());
    if let Ok(name) = subject.parse::<ClusterName>()
        && let Some(cluster) = fleet.clusters().get(&name)
    {
        explain_cluster(fleet, &name, cluster, now, &mut steps);
        return Some(steps.0);
    }
    let name: EnvironmentName = subject.parse().ok()?;
    let environment = fleet.spec().environment(&name)?;
    heads(fleet, environment, &mut steps);
    rollout(fleet, environment, now, &mut steps);
    for (name, cluster) in fleet.clusters() {
        if fleet.environment_of(name).as_ref() == Some(&environment.name) {
            let summary = super::summary(cluster, now);
            let state = if summary.current {
                v1::StepState::Ok
            } else {
                v1::StepState::Waiting
            };
            let text = format!("{} / {}", summary.sync, summary.health);
            steps.add(
                "cluster",
                name.as_str(),
                state,
                text,
                None,
                cluster.reported_at,
            );
        }
    }
    Some(steps.0)
}

fn heads(fleet: &Fleet, environment: &Environment, steps: &mut Steps) {
    for repository in fleet.spec().repositories.keys() {
        let subject = format!("{repository}/{}", environment.branch);
        let head = fleet
            .head(repository, &environment.branch)
            .cloned()
            .unwrap_or_default();
        let short = head
            .commit
            .as_ref()
            .map_or("no commit", |commit| commit.short())
            .to_owned();
        match (&head.problem, &head.commit) {
            (Some((reason, message)), _) => steps.add(
                "branch-head",
                &subject,
                v1::StepState::Failed,
                format!("{short} is kept; the last look failed: {message}"),
                Some(*reason),
                head.checked_at,
            ),
            (None, Some(_)) => {
                let text = format!("the head is {short}");
                steps.add(
                    "branch-head",
                    &subject,
                    v1::StepState::Ok,
                    text,
                    None,
                    head.seen_at,
                );
            }
            (None, None) => {
                let text = "not read yet".to_owned();
                let reason = Some(Reason::NoRevision);
                steps.add(
                    "branch-head",
                    &subject,
                    v1::StepState::Waiting,
                    text,
                    reason,
                    None,
                );
            }
        }
    }
}

fn explain_cluster(
    fleet: &Fleet,
    name: &ClusterName,
    cluster: &Cluster,
    now: Timestamp,
    steps: &mut Steps,
) {
    use v1::StepState::{Failed, Ok, Skipped, Waiting};
    if cluster.record.pending.is_some() {
        let text = format!("waits for a person: flotilla cluster accept {name}");
        steps.add("acceptance", "", Waiting, text, Some(Reason::Pending), None);
        return;
    }
    if let Some(lock) = &cluster.record.credential.locked {
        let reason = Some(Reason::IdentityInUse);
        let text = format!("locked: {}; no new assignments", lock.why);
        steps.add("identity", "", Failed, text, reason, Some(lock.at));
    }
    let environment = fleet
        .environment_of(name)
        .and_then(|e| fleet.spec().environment(&e).cloned());
    match &environment {
        Some(environment) => {
            let text = format!(
                "environment {}, branch {}",
                environment.name, environment.branch
            );
            steps.add("placement", "", Ok, text, None, None);
            heads(fleet, environment, steps);
            rollout(fleet, environment, now, steps);
            wave(fleet, name, cluster, environment, steps);
        }
        None => {
            let text = "in no environment; it keeps its last assignment".to_owned();
            steps.add(
                "placement",
                "",
                Failed,
                text,
                Some(Reason::NoEnvironment),
                None,
            );
        }
    }
    for (app, placed) in &cluster.placed {
        if let Some(problem) = &placed.problem {
            let (text, reason) = (problem.message.clone(), Some(problem.reason));
            steps.add("placement", app.as_str(), Failed, text, reason, None);
        }
    }
    match &cluster.assigned {
        Some(assigned) => {
            let reference = assigned.reference;
            let text = format!(
                "epoch {} generation {}: {} applications",
                reference.epoch,
                reference.generation,
                assigned.assignment.applications.len()
            );
            steps.add(
                "assignment",
                "",
                Ok,
                text,
                None,
                Some(assigned.assignment.issued_at),
            );
        }
        None => steps.add(
            "assignment",
            "",
            Waiting,
            "nothing yet".to_owned(),
            None,
            None,
        ),
    }
    let (state, text, at) = match cluster.connection(now, OFFLINE_AFTER) {
        Connection::Online { since } => (Ok, "the agent is connected", Some(since)),
        Connection::Offline => (Waiting, "the agent is offline", cluster.last_seen),
        Connection::Pending | Connection::NeverSeen => {
            (Waiting, "the agent has never connected", None)
        }
    };
    let reason = (state != Ok).then_some(Reason::Offline);
    steps.add("delivery", "", state, text.to_owned(), reason, at);
    match (&cluster.refusal, cluster.accepted == cluster.assigned_ref()) {
        (Some((reason, message)), _) => {
            steps.add(
                "acceptance",
                "",
                Failed,
                message.clone(),
                Some(*reason),
                None,
            );
        }
        (None, true) => {
            let text = format!(
                "the agent runs on generation {}",
                cluster.accepted.generation
            );
            steps.add("acceptance", "", Ok, text, None, None);
        }
        (None, false) => {
            let text = format!(
                "the agent runs on generation {}",
                cluster.accepted.generation
            );
            steps.add("acceptance", "", Waiting, text, None, None);
        }
    }
    let reported = cluster
        .report
        .iter()
        .flat_map(|report| &report.applications);
    for (app, report) in reported {
        let assigned = assigned_commit(cluster, app);
        let runs = report
            .revision
            .as_ref()
            .map(|revision| revision.commit.short().to_owned());
        let exact = report
            .revision
            .as_ref()
            .map(|revision| revision.commit.as_str())
            == assigned;
        let state = match report.sync {
            Sync::Synced if exact => Ok,
            Sync::Synced | Sync::Applying | Sync::OutOfSync | Sync::Unknown => Waiting,
            Sync::Suspended | Sync::Orphaned => Skipped,
            Sync::Refused => Failed,
        };
        let text = match (&runs, report.message.as_str()) {
            (Some(runs), "") => format!("{} at {runs}", report.sync),
            (Some(runs), message) => format!("{} at {runs}: {message}", report.sync),
            (None, message) => format!("{}: {message}", report.sync),
        };
        steps.add(
            "apply",
            app.as_str(),
            state,
            text,
            report.reason,
            report.applied_at,
        );
        let state = match report.health {
            Health::Current => Ok,
            Health::Failed | Health::NotFound => Failed,
            _ => Waiting,
        };
        let counts = &report.counts;
        let text = format!(
            "{}: {} of {} objects current",
            report.health, counts.current, counts.total
        );
        steps.add("health", app.as_str(), state, text, None, report.changed_at);
    }
}

fn assigned_commit<'c>(cluster: &'c Cluster, app: &ApplicationName) -> Option<&'c str> {
    let assigned = cluster.assigned.as_ref()?;
    Some(
        assigned
            .assignment
            .applications
            .get(app)?
            .revision
            .commit
            .as_str(),
    )
}
