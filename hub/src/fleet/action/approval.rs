//! Approvals of commits and waves.

use flotilla_shared::id::{EnvironmentName, RepositoryName};
use flotilla_shared::revision::Commit;
use flotilla_status::{AuditAction, HUB_ACTOR};
use jiff::Timestamp;

use super::super::Fleet;
use super::super::environment::{Approval, MAX_APPROVALS, Mark, Scope, push};
use super::super::event::{AuditEntry, Effect};
use super::super::rollout::{Rollout, State};
use super::ActionError;
use crate::spec::{Members, WhenEmpty};
use crate::suggestion::missing;

impl Fleet {
    /// Adds an approval of a commit.
    pub(super) fn approve(
        &mut self,
        environment: &EnvironmentName,
        (repository, commit): (Option<&RepositoryName>, &Commit),
        scope: &Scope,
        mark: Mark,
        effects: &mut Vec<Effect>,
    ) -> Result<String, ActionError> {
        self.is_asked_for(environment, scope)?;
        let repository = self.repository_of(environment, repository, commit)?;
        let approval = Approval {
            repository: Some(repository.clone()),
            commit: commit.clone(),
            scope: scope.clone(),
            mark,
        };
        self.decide(environment, effects, |state| {
            push(&mut state.approvals, MAX_APPROVALS, approval);
        });
        Ok(match scope {
            Scope::Wave(wave) => format!("{repository}, wave {wave}"),
            Scope::Commit | Scope::Override => {
                match self.would_end_a_halt(environment, (&repository, commit)) {
                    Some(halt) => format!("{repository}; {halt}"),
                    None => repository.to_string(),
                }
            }
        })
    }

    /// Returns what happens to a halted rollout that the commit supersedes, where the rollout does not include it.
    fn would_end_a_halt(
        &self,
        environment: &EnvironmentName,
        (repository, commit): (&RepositoryName, &Commit),
    ) -> Option<String> {
        let rollout = self.rollouts.running(environment)?;
        let brings = rollout.target.get(repository) == Some(commit);
        if rollout.state != State::Halted || brings {
            return None;
        }
        // Of several commits it is not known which is at fault, so each is tried alone.
        let alone = rollout.changed().len() == 1;
        let failed = match alone && rollout.is_to_blame() {
            true => "; the commit that failed will not be retried",
            false => "",
        };
        let id = &rollout.id;
        Some(format!(
            "{id} is halted; this commit supersedes it once its gates are open{failed}"
        ))
    }

    /// Returns the repository of a commit: the given one, or the only possible one.
    pub(super) fn repository_of(
        &self,
        name: &EnvironmentName,
        named: Option<&RepositoryName>,
        commit: &Commit,
    ) -> Result<RepositoryName, ActionError> {
        self.known(name)?;
        let fleet_file = std::iter::once(RepositoryName::fleet_file());
        let names = || self.spec().repositories.keys().chain(fleet_file.clone());
        if let Some(named) = named {
            if names().any(|name| name == named) {
                return Ok(named.clone());
            }
            let text = missing(
                "repository",
                named.as_str(),
                names().map(RepositoryName::as_str),
            );
            return Err(ActionError::Nothing(text));
        }
        let environment = self.spec().environment(name);
        let used: Vec<&RepositoryName> = names()
            .filter(|repository| {
                repository.is_fleet_file()
                    || environment.is_some_and(|environment| self.uses(environment, repository))
            })
            .collect();
        let state = self.environments.get(name);
        let newest = environment
            .map(|environment| self.newest(environment))
            .unwrap_or_default();
        let has = |repository: &RepositoryName| {
            let target = self.rollouts.get(name).map(|rollout| &rollout.target);
            let queued = state.into_iter().flat_map(|state| &state.queue);
            let failed = state.into_iter().flat_map(|state| &state.quarantined);
            std::iter::once(&newest)
                .chain(target)
                .chain(queued)
                .chain(failed.map(|quarantine| &quarantine.commits))
                .any(|commits| commits.get(repository) == Some(commit))
        };
        let mut having: Vec<&RepositoryName> = used
            .iter()
            .copied()
            .filter(|repository| has(repository))
            .collect();
        if having.is_empty() {
            // Until the branch moves, only the environment before has the commit.
            let source = environment.and_then(|environment| environment.promotes_from.as_ref());
            let source = source.and_then(|source| self.spec().environment(source));
            let comes = |repository: &RepositoryName| {
                let head = source.and_then(|source| self.head(repository, &source.branch));
                head.is_some_and(|head| head.commit.as_ref() == Some(commit))
            };
            having.extend(used.iter().copied().filter(|repository| comes(repository)));
        }
        match (having.as_slice(), used.as_slice()) {
            // With one repository, a commit that the hub does not know can only be from that one.
            ([repository], _) | ([], [repository, _]) => Ok((*repository).clone()),
            _ => Err(ActionError::Nothing(format!(
                "cannot tell which repository of {name} has commit {}: specify it with \
                 --repository",
                commit.short()
            ))),
        }
    }

    /// Withdraws the approvals of a person who may no longer approve.
    pub(in crate::fleet) fn demoted(
        &mut self,
        person: &str,
        environments: &[EnvironmentName],
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        for name in environments {
            let counts = |approval: &Approval| {
                approval.mark.by != person || approval.scope == Scope::Override
            };
            let state = self.environments.get(name).into_iter();
            let approvals = state.flat_map(|state| &state.approvals);
            let gone = approvals.filter(|approval| !counts(approval)).count();
            if gone == 0 {
                continue;
            }
            self.decide(name, effects, |state| state.approvals.retain(counts));
            effects.push(Effect::Audit(AuditEntry {
                at: now,
                actor: HUB_ACTOR.to_owned(),
                action: AuditAction::ApprovalsWithdrawn,
                environment: name.to_string(),
                detail: format!("{gone} of {person}, who may no longer approve there"),
                ..AuditEntry::default()
            }));
        }
    }

    /// Returns whether a rollout waits at a wave in which no cluster takes part.
    fn asks_without_clusters(rollout: &Rollout, wave: &str) -> bool {
        let index = rollout.waves.iter().position(|name| name == wave);
        !rollout.state.is_over()
            && index.is_some_and(|index| {
                let mut all = rollout.clusters.values();
                !all.any(|progress| progress.wave == index && progress.phase.takes_part())
            })
    }

    /// Refuses an approval that nothing requires: it would suggest that something continues.
    pub(super) fn is_asked_for(
        &self,
        name: &EnvironmentName,
        scope: &Scope,
    ) -> Result<(), ActionError> {
        self.known(name)?;
        let environment = self.spec().environment(name);
        let rollout = self.rollouts.running(name);
        // A rollout asks for the approvals of the strategy that it began with.
        let strategy = rollout.and_then(|rollout| rollout.strategy.as_deref());
        let waves = strategy
            .or(environment.and_then(|environment| environment.strategy.as_ref()))
            .map(|strategy| strategy.waves.as_slice())
            .unwrap_or_default();
        let asking: Vec<&str> = waves
            .iter()
            .filter(|wave| wave.approvals > 0)
            .map(|wave| wave.name.as_str())
            .collect();
        let others = match asking.as_slice() {
            [] => String::new(),
            [name] => format!("; wave {name} does: add --wave {name}"),
            some => format!("; waves {} do: add --wave NAME", some.join(", ")),
        };
        let text = match scope {
            Scope::Override => return Ok(()),
            Scope::Wave(wave) => match waves.iter().find(|candidate| candidate.name == *wave) {
                Some(declared) if declared.approvals > 0 => return Ok(()),
                Some(declared)
                    if declared.when_empty == WhenEmpty::Ask
                        && declared.members != Members::Rest
                        && rollout
                            .is_some_and(|rollout| Self::asks_without_clusters(rollout, wave)) =>
                {
                    return Ok(());
                }
                Some(_) => format!("wave {wave} of {name} does not require approval{others}"),
                None => {
                    let names = waves.iter().map(|wave| wave.name.as_str());
                    format!("{name}: {}", missing("wave", wave, names))
                }
            },
            Scope::Commit
                if environment.is_some_and(|environment| environment.gates.approvals > 0) =>
            {
                return Ok(());
            }
            Scope::Commit => format!("{name} does not require approval of commits{others}"),
        };
        Err(ActionError::Nothing(text))
    }
}
