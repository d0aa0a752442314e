//! What a rollout waits for: gates that are closed, and people's approval of its present wave.

use jiff::Timestamp;

use super::Fleet;
use super::environment::Scope;
use super::gates::Gate;
use super::rollout::Rollout;

/// A wave that begins with people's approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaveApproval {
    pub wave: String,
    /// How many people have to.
    pub needed: u32,
    /// Who approved.
    pub people: Vec<String>,
}

impl WaveApproval {
    /// Whether enough people did.
    #[must_use]
    pub fn is_given(&self) -> bool {
        self.people.len() >= self.needed as usize
    }
}

impl Fleet {
    /// What people have to say, and said, of a rollout's present wave; none: nobody is asked.
    #[must_use]
    pub fn wave_approval(&self, rollout: &Rollout) -> Option<WaveApproval> {
        // What brings nothing new has nothing that anybody could approve.
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

    /// The gates that hold a rollout back now: all before it has begun, from then on those that hold again
    /// and again.
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
