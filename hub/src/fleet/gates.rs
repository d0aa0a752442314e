//! The gates of an environment: which there are, and their evidence.

use flotilla_shared::id::{EnvironmentName, RepositoryName};
use flotilla_shared::revision::Commit;
use flotilla_shared::words::counted;
use jiff::{SignedDuration, Timestamp};

use super::Fleet;
use super::environment::{CheckResult, EnvironmentState, Scope};
use super::gate::{Gate, GateKind, Open, OtherGates};
use super::rollout::{Commits, changed};
use crate::spec::Environment;

/// Time for which the result of a check is valid.
const FRESH: SignedDuration = SignedDuration::from_secs(60);

/// Returns whether a rollout waits for a gate. Evidence of the environment before is only advice where the fleet file
/// demands no proof.
fn is_enforced(environment: &Environment, gate: &Gate) -> bool {
    gate.gate != GateKind::Health || environment.gates.proof.is_some()
}

impl Fleet {
    /// Returns every gate between an environment and these commits. Gates belong to a repository and its commit: each
    /// commit that changes needs its own proof, approvals or override.
    #[must_use]
    pub fn gates(&self, environment: &Environment, target: &Commits, now: Timestamp) -> Vec<Gate> {
        let mut gates = Vec::new();
        let empty = EnvironmentState::default();
        let state = self.environments.get(&environment.name).unwrap_or(&empty);
        let changed = changed(&state.approved, target);
        for entry in &changed {
            // With one repository its name says nothing.
            let subject = if changed.len() > 1 || entry.0.is_fleet_file() {
                entry.0.as_str()
            } else {
                ""
            };
            gates.extend(self.commit_gates(environment, state, entry, subject, now));
        }
        if !state.overridden(&changed) {
            gates.extend(self.standing_gates(environment, now));
        }
        if !environment.gates.jobs.is_empty() {
            let holds = |gate: &Gate| gate.holds_back() && is_enforced(environment, gate);
            let others = match gates.iter().any(holds) {
                true => OtherGates::Closed,
                false => OtherGates::Open,
            };
            let waiting = state.not_overridden(&changed);
            gates.extend(self.job_gates(environment, &waiting, others, now));
        }
        gates
    }

    /// Returns the gates of one commit that people and the environment before open, or its override.
    fn commit_gates(
        &self,
        environment: &Environment,
        state: &EnvironmentState,
        (repository, commit): (&RepositoryName, &Commit),
        subject: &str,
        now: Timestamp,
    ) -> Vec<Gate> {
        if let Some(given) = state.override_of(repository, commit) {
            let mark = &given.mark;
            let text = format!(
                "{} overrode all gates for {}: {}",
                mark.by,
                commit.short(),
                mark.reason
            );
            let mut gate = Gate::new(GateKind::Override, mark.by.clone(), Open::Skipped, text);
            gate.at = Some(mark.at);
            return vec![gate];
        }
        let mut gates = Vec::new();
        let way = state.going_back.iter().rev();
        let mut way = way.filter(|way| way.commit == *commit && way.repository == *repository);
        if let Some(way) = way.next() {
            let why = self.unread(repository);
            let why = why.map(|problem| format!(" ({})", problem.message));
            let text = format!(
                "{} announced it as a rollback, and the hub has not verified its content yet{}",
                way.mark.by,
                why.as_deref().unwrap_or_default()
            );
            let mut gate = Gate::new(GateKind::Rollback, subject, Open::NotYet, text);
            // A commit that cannot be read may never be, so it must not block a newer one.
            gate.lasting = why.is_some();
            gates.push(gate);
        }
        if let Some(source) = &environment.promotes_from {
            gates.extend(if repository.is_fleet_file() {
                self.proof_of_declared(environment, source, commit, now)
            } else {
                self.proof(environment, source, (repository, commit), now)
            });
        }
        let needed = environment.gates.approvals as usize;
        if needed > 0 {
            let people = state.approvers(repository, commit, &Scope::Commit);
            let open = if people.len() >= needed {
                Open::Yes
            } else {
                Open::NotYet
            };
            let by = if people.is_empty() {
                String::new()
            } else {
                format!(" ({})", people.join(", "))
            };
            let needed = counted(needed, "approval");
            let text = format!("{} of {needed}{by}", people.len());
            gates.push(Gate::new(GateKind::Approval, subject, open, text));
        }
        for gate in &mut gates {
            gate.commit = Some(commit.clone());
        }
        gates
    }

    /// Returns the closed gates of one commit: all except times and checks, which belong to the environment.
    pub(super) fn own_gates(
        &self,
        environment: &Environment,
        entry: (&RepositoryName, &Commit),
        now: Timestamp,
    ) -> Vec<Gate> {
        let empty = EnvironmentState::default();
        let state = self.environments.get(&environment.name).unwrap_or(&empty);
        let mut gates = self.commit_gates(environment, state, entry, entry.0.as_str(), now);
        if !environment.gates.jobs.is_empty() {
            let only = Commits::from([(entry.0.clone(), entry.1.clone())]);
            let waiting = state.not_overridden(&only);
            gates.extend(self.job_gates(environment, &waiting, OtherGates::Open, now));
        }
        gates.retain(|gate| gate.holds_back() && is_enforced(environment, gate));
        gates
    }

    /// Returns the gates that a rollout waits for.
    pub(super) fn enforced_gates(
        &self,
        environment: &Environment,
        target: &Commits,
        now: Timestamp,
    ) -> Vec<Gate> {
        let mut gates = self.gates(environment, target, now);
        gates.retain(|gate| is_enforced(environment, gate));
        gates
    }

    /// Returns the gates that apply throughout a rollout: times and checks.
    #[must_use]
    pub fn standing_gates(&self, environment: &Environment, now: Timestamp) -> Vec<Gate> {
        let mut gates = Vec::new();
        let rules = &environment.gates;
        for freeze in &rules.freezes {
            if freeze.is_on(now) {
                let colon = if freeze.reason.is_empty() { "" } else { ": " };
                let zone = freeze.zone.iana_name().unwrap_or("UTC");
                let end = freeze.to.strftime("%Y-%m-%d %H:%M");
                let text = format!("frozen until {end} {zone}{colon}{}", freeze.reason);
                let mut gate = Gate::new(GateKind::Freeze, "", Open::NotYet, text);
                let end = freeze.to.to_zoned(freeze.zone.clone()).ok();
                gate.opens_at = end.map(|end| end.timestamp());
                gates.push(gate);
            }
        }
        if !rules.windows.is_empty() {
            let open = rules.windows.iter().any(|window| window.is_open(now));
            let (open, text, opens_at) = if open {
                (Open::Yes, "a change window is open".to_owned(), None)
            } else {
                let next = rules
                    .windows
                    .iter()
                    .filter_map(|window| window.opens_after(now));
                let next = next.min();
                let text = match &next {
                    Some(next) => format!(
                        "no change window is open; the next opens {}",
                        next.strftime("%A, %Y-%m-%d %H:%M %Q")
                    ),
                    None => "no change window is open, and none opens within a week".to_owned(),
                };
                (Open::NotYet, text, next.map(|next| next.timestamp()))
            };
            let mut gate = Gate::new(GateKind::Window, "", open, text);
            gate.opens_at = opens_at;
            gates.push(gate);
        }
        let rollout = self.asking_for(&environment.name);
        for check in &rules.checks {
            let result = self.rollouts.answer(&environment.name, &check.name);
            // An answer from before the rollout began says nothing about its commits.
            let fresh = result.filter(|result| {
                now.duration_since(result.at).abs() <= FRESH && result.rollout == rollout
            });
            let (open, text) = match fresh {
                Some(result) if result.good => (Open::Yes, result.text.clone()),
                Some(result) => (Open::No, result.text.clone()),
                None => (Open::NotYet, "no answer yet".to_owned()),
            };
            let mut gate = Gate::new(GateKind::Check, check.name.clone(), open, text);
            gate.at = result.map(|result| result.at);
            gates.push(gate);
        }
        gates
    }

    /// Returns whether a freeze, or a missing window, holds back commits without an override.
    pub(super) fn is_shut(&self, environment: &Environment, now: Timestamp) -> bool {
        let gates = self.standing_gates(environment, now);
        let mut times = gates.iter().filter(|gate| gate.gate != GateKind::Check);
        times.any(Gate::holds_back)
    }

    /// Handles the result of an external check.
    pub(super) fn checked(
        &mut self,
        environment: EnvironmentName,
        check: String,
        result: CheckResult,
    ) {
        self.rollouts.answered(&environment, check, result);
        self.environments.mark_dirty([environment]);
    }

    /// Returns the rollout that external checks are run for now; empty: none runs.
    #[must_use]
    pub fn asking_for(&self, environment: &EnvironmentName) -> &str {
        let rollout = self.rollouts.running(environment);
        rollout.map_or("", |rollout| rollout.id.as_str())
    }
}
