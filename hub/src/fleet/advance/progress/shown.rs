//! Input of a rollout's step: its clusters, its gates and the decisions of operators.

use std::collections::BTreeMap;

use flotilla_shared::id::ClusterName;
use jiff::Timestamp;

use crate::fleet::environment::{EnvironmentState, Scope};
use crate::fleet::rollout::{Changes, Commits, Observation, Rollout, World};
use crate::fleet::{Fleet, acts, gate};
use crate::spec::{Environment, Strategy};

/// Context of a rollout's step.
pub(super) struct StepContext<'s> {
    pub(super) environment: &'s Environment,
    /// Decisions about the environment.
    pub(super) state: EnvironmentState,
    /// The commits that the rollout changes.
    pub(super) changed: Commits,
    pub(super) now: Timestamp,
}

impl StepContext<'_> {
    /// Returns why an operator stopped the rollout, by a pause or by a pin of the whole environment; none: not stopped.
    fn stopped(&self) -> Option<String> {
        let (name, state) = (&self.environment.name, &self.state);
        let paused = state.paused.as_ref().map(|mark| {
            format!(
                "{}: {}; to continue: flotilla resume {name}",
                mark.by, mark.reason
            )
        });
        let pinned = state.pin.as_ref();
        let pinned = pinned.filter(|pin| pin.holds(self.now) && !pin.unproven);
        let pinned = pinned.map(|pin| {
            format!(
                "the environment is pinned: {}; to continue: flotilla unpin --env {name}",
                pin.mark.reason
            )
        });
        paused.or(pinned)
    }

    /// Returns the number of people who approved each wave, for all commits that the rollout changes; without such
    /// commits no approval is needed.
    fn approvals(&self, strategy: &Strategy) -> BTreeMap<String, u32> {
        strategy
            .waves
            .iter()
            .map(|wave| {
                let scope = Scope::Wave(wave.name.clone());
                let people = self.state.approvers_of_all(&self.changed, &scope);
                let people = people.map_or(usize::MAX, |people| people.len());
                (wave.name.clone(), u32::try_from(people).unwrap_or(u32::MAX))
            })
            .collect()
    }
}

/// What holds a rollout back, see the fields of [`World`]; none: nothing does.
pub(super) struct Barriers {
    closed: Option<String>,
    held: Option<String>,
    failing: Option<String>,
    unanswered: Option<String>,
}

impl Fleet {
    /// Evaluates the gates of a rollout's environment: all of them until it has started, then those that apply
    /// throughout a rollout.
    pub(super) fn barriers(&self, setting: &StepContext<'_>, rollout: &Rollout) -> Barriers {
        let (environment, state, now) = (setting.environment, &setting.state, setting.now);
        let checks = self.standing_gates(environment, now);
        let overridden = state.overridden(&setting.changed);
        let waiting = state.not_overridden(&setting.changed);
        let barrier = |gates: &[gate::Gate]| acts::closed(gates, &environment.name, &waiting);
        let closed = match rollout.started_at {
            None => barrier(&self.enforced_gates(environment, &rollout.target, now)),
            Some(_) => None,
        };
        let closed = self.kept_out(rollout, now).or(closed);
        let held = (!overridden).then(|| barrier(&checks)).flatten();
        let asked = |open| {
            let asked = checks.iter();
            let asked =
                asked.filter(|gate| gate.gate == gate::GateKind::Check && gate.open == open);
            gate::closed(&asked.cloned().collect::<Vec<_>>()).filter(|_| !overridden)
        };
        let (failing, unanswered) = (asked(gate::Open::No), asked(gate::Open::NotYet));
        Barriers {
            closed,
            held,
            failing,
            unanswered,
        }
    }

    /// Lets a rollout take its step, with its present environment and strategy.
    pub(super) fn take_step(
        &mut self,
        setting: &StepContext<'_>,
        barriers: Barriers,
        strategy: &Strategy,
        rollout: &mut Rollout,
    ) -> Changes {
        let clusters = self.observe_members(setting, strategy, rollout);
        let paused = setting.stopped();
        let approvals = setting.approvals(strategy);
        // Only an environment without clusters reports how many are joining.
        let joining = match clusters.is_empty() {
            true => self.joining(&setting.environment.name),
            false => 0,
        };
        let world = World {
            strategy,
            clusters: &clusters,
            joining,
            closed: barriers.closed,
            held: barriers.held,
            paused,
            failing: barriers.failing,
            unanswered: barriers.unanswered,
            approvals: &approvals,
        };
        rollout.waves = strategy
            .waves
            .iter()
            .map(|wave| wave.name.clone())
            .collect();
        rollout.advance(&world, setting.now)
    }

    /// Returns the observations of the clusters of a rollout's environment. What was found out about its commits is
    /// kept for the next step.
    fn observe_members(
        &mut self,
        setting: &StepContext<'_>,
        strategy: &Strategy,
        rollout: &Rollout,
    ) -> Vec<(ClusterName, Observation)> {
        let (environment, now) = (setting.environment, setting.now);
        let members = self
            .clusters
            .members(self.declarations.spec(), environment, strategy);
        let name = &environment.name;
        let mut answers = self.sources.trees.take_answers(name, &rollout.target);
        let clusters = self.observe(rollout, &members, answers.as_mut(), now);
        self.sources.trees.put_answers(name, answers);
        clusters
    }
}
