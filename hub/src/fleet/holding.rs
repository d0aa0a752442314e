//! What a rollout waits for: closed gates, and approvals of its present wave.

use jiff::Timestamp;

use super::Fleet;
use super::environment::Scope;
use super::gate::Gate;
use super::rollout::Rollout;

/// Approvals of a wave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaveApproval {
    pub wave: String,
    /// Number of people who have to approve.
    pub needed: u32,
    /// Names of those who approved.
    pub people: Vec<String>,
}

impl WaveApproval {
    /// Returns whether enough people approved.
    #[must_use]
    pub fn is_given(&self) -> bool {
        self.people.len() >= self.needed as usize
    }
}

impl Fleet {
    /// Returns the needed and given approvals of a rollout's present wave; none: no approval is needed.
    #[must_use]
    pub fn wave_approval(&self, rollout: &Rollout) -> Option<WaveApproval> {
        // Without changed commits there is nothing to approve.
        if rollout.state.is_over() || rollout.changed().is_empty() {
            return None;
        }
        let environment = self.spec().environment(&rollout.environment);
        let strategy = rollout
            .strategy
            .as_deref()
            .or(environment.and_then(|environment| environment.strategy.as_ref()))?;
        let wave = strategy.waves.get(rollout.wave)?;
        if wave.approvals == 0 {
            return None;
        }
        let scope = Scope::Wave(wave.name.clone());
        let state = self.environments.get(&rollout.environment);
        let people = state.and_then(|state| state.approvers_of_all(&rollout.changed(), &scope));
        let people = people.unwrap_or_default();
        Some(WaveApproval {
            wave: wave.name.clone(),
            needed: wave.approvals,
            people: people.into_iter().map(ToOwned::to_owned).collect(),
        })
    }

    /// Returns the gates that hold a rollout back now: all before it has started, and those that apply throughout a
    /// rollout afterwards.
    #[must_use]
    pub fn closed_gates(&self, rollout: &Rollout, now: Timestamp) -> Vec<Gate> {
        let environment = self.spec().environment(&rollout.environment);
        let Some(environment) = environment.filter(|_| !rollout.state.is_over()) else {
            return Vec::new();
        };
        let state = self.environments.get(&rollout.environment);
        let overridden = state.is_some_and(|state| state.overridden(&rollout.changed()));
        let mut gates = match rollout.started_at {
            None => self.enforced_gates(environment, &rollout.target, now),
            Some(_) if overridden => Vec::new(),
            Some(_) => self.standing_gates(environment, now),
        };
        gates.retain(Gate::holds_back);
        gates
    }
}
