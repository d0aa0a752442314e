//! What a rollout is shown of its clusters, its gates and what people decided, when it takes a step.

use std::collections::BTreeMap;

use flotilla_shared::id::ClusterName;
use jiff::Timestamp;

use crate::fleet::environment::{EnvironmentState, Scope};
use crate::fleet::rollout::{Changes, Commits, Observation, Rollout, World};
use crate::fleet::{Fleet, acts, gates};
use crate::spec::{Environment, Strategy};

/// Where and when a rollout takes a step.
pub(super) struct StepContext<'s> {
    pub(super) environment: &'s Environment,
    /// What people decided there.
    pub(super) state: EnvironmentState,
    /// The commits that the rollout changes.
    pub(super) changed: Commits,
    pub(super) now: Timestamp,
}

impl StepContext<'_> {
    /// Why a person stopped the rollout, by a pause or by a pin of the whole environment; none: nobody did.
    fn stopped(&self) -> Option<String> {
        let (name, state) = (&self.environment.name, &self.state);
        let paused = state.paused.as_ref().map(|mark| {
            format!(
                "{}: {}; flotilla resume {name} goes on",
                mark.by, mark.reason
            )
        });
        let pinned = state.pin.as_ref();
        let pinned = pinned.filter(|pin| pin.holds(self.now) && !pin.unproven);
        let pinned = pinned.map(|pin| {
            format!(
                "the environment is pinned: {}; flotilla unpin --env {name} lets it go on",
                pin.mark.reason
            )
        });
        paused.or(pinned)
    }

    /// How many people let each wave begin, each of them for all commits that the rollout changes; without such
    /// commits nobody is asked.
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

/// What gates say against a rollout, each in the words of [`World`]; none: nothing.
pub(super) struct Barriers {
    closed: Option<String>,
    held: Option<String>,
    failing: Option<String>,
    unanswered: Option<String>,
}

impl Fleet {
    /// Asks the gates of a rollout's environment: those at its start until it has started, and those that hold
    /// again and again.
    pub(super) fn barriers(&self, setting: &StepContext<'_>, rollout: &Rollout) -> Barriers {
        let (environment, state, now) = (setting.environment, &setting.state, setting.now);
        let checks = self.standing_gates(environment, now);
        let overridden = state.overridden(&setting.changed);
        let waiting = state.not_overridden(&setting.changed);
        let barrier = |gates: &[gates::Gate]| acts::closed(gates, &environment.name, &waiting);
        let closed = match rollout.started_at {
            None => barrier(&self.enforced_gates(environment, &rollout.target, now)),
            Some(_) => None,
        };
        let closed = self.kept_out(rollout, now).or(closed);
        let held = (!overridden).then(|| barrier(&checks)).flatten();
        let asked = |open| {
            let asked = checks.iter();
            let asked =
                asked.filter(|gate| gate.gate == gates::GateKind::Check && gate.open == open);
            gates::closed(&asked.cloned().collect::<Vec<_>>()).filter(|_| !overridden)
        };
        let (failing, unanswered) = (asked(gates::Open::No), asked(gates::Open::NotYet));
        Barriers {
            closed,
            held,
            failing,
            unanswered,
        }
    }

    /// Shows a rollout its environment as it is now, and lets it take its step by a strategy.
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
        // Asked only where it is told.
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

    /// How the clusters of a rollout's environment stand to it. What was found out of its commits is kept for
    /// the next step.
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
