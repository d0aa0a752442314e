//! Commits that go back: let past the gates because they hold what was good, which the hub sees for itself.

use flotilla_shared::id::{EnvironmentName, RepositoryName};
use flotilla_shared::revision::Commit;
use jiff::Timestamp;

use super::super::Fleet;
use super::super::environment::{
    Approval, Hold, MAX_APPROVALS, MAX_GOING_BACK, Mark, Scope, WayBack, push,
};
use super::super::event::{AuditEntry, Effect};
use super::super::settle::HUB;
use super::ActionError;

/// Good commits that a commit is compared with, where nobody said to which of them it goes back.
const MAX_COMPARED: usize = 3;

impl Fleet {
    /// Notes that a commit goes back.
    pub(super) fn go_back(
        &mut self,
        environment: &EnvironmentName,
        (repository, commit, to): (Option<&RepositoryName>, &Commit, Option<&Commit>),
        admin: bool,
        mark: Mark,
        effects: &mut Vec<Effect>,
    ) -> Result<String, ActionError> {
        let repository = self.repository_of(environment, repository, commit)?;
        let state = self.environments.entry(environment.clone()).or_default();
        if !admin
            && let Some(to) = to
            && !state.was_good(&repository, to)
        {
            return Err(ActionError::NeedsAdmin(format!(
                "{} of {repository} was never good in {environment}, so that going back to it overrides the \
                 gates: that takes an admin",
                to.short()
            )));
        }
        let detail = if admin {
            let approval = Approval {
                repository: Some(repository.clone()),
                commit: commit.clone(),
                scope: Scope::Override,
                mark: mark.clone(),
            };
            push(&mut state.approvals, MAX_APPROVALS, approval);
            format!("{repository}, its gates are overridden")
        } else {
            let to = match to {
                Some(to) => vec![to.clone()],
                None => state.good_of(&repository, MAX_COMPARED),
            };
            let way = WayBack {
                repository: repository.clone(),
                commit: commit.clone(),
                to,
                mark: mark.clone(),
            };
            push(&mut state.going_back, MAX_GOING_BACK, way);
            format!("{repository}, if it holds what was good")
        };
        state.hold = Some(Hold {
            mark,
            rolled_back: String::new(),
        });
        self.touched(environment, effects);
        Ok(detail)
    }

    /// Compares commits that are said to go back with what was good, as far as both have been read.
    pub(in crate::fleet) fn judge_ways_back(
        &mut self,
        name: &EnvironmentName,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let Some(state) = self.environments.get_mut(name) else {
            return;
        };
        if state.going_back.is_empty() {
            return;
        }
        let before = state.going_back.len();
        let mut judged = Vec::new();
        state.going_back.retain(|way| {
            let same = |to: &Commit| self.trees.same(&way.repository, &way.commit, to);
            let found = way.to.iter().find(|to| same(to) == Some(true));
            let other = way.to.iter().all(|to| same(to) == Some(false));
            if found.is_none() && !other {
                return true;
            }
            judged.push((way.clone(), found.cloned()));
            false
        });
        if state.going_back.len() == before {
            return;
        }
        for (way, found) in judged {
            let (action, detail) = match &found {
                Some(to) => {
                    let mark = Mark {
                        reason: format!("it goes back to {}: {}", to.short(), way.mark.reason),
                        ..way.mark.clone()
                    };
                    let approval = Approval {
                        repository: Some(way.repository.clone()),
                        commit: way.commit.clone(),
                        scope: Scope::Override,
                        mark,
                    };
                    push(&mut state.approvals, MAX_APPROVALS, approval);
                    ("rollback proven", format!("it holds what {to} held"))
                }
                None => (
                    "rollback refused",
                    format!(
                        "it does not hold what was good in {name}, and goes through the gates like any other"
                    ),
                ),
            };
            effects.push(Effect::Audit(AuditEntry {
                at: now,
                actor: HUB.to_owned(),
                action: action.to_owned(),
                environment: name.to_string(),
                commit: way.commit.to_string(),
                reason: format!("{}: {}", way.mark.by, way.mark.reason),
                detail: format!("{}: {detail}", way.repository),
                ..AuditEntry::default()
            }));
        }
        self.touched(name, effects);
    }
}
