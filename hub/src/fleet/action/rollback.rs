//! Rollback commits: they pass the gates because they have the content of good commits, which the hub verifies.

use flotilla_shared::id::{EnvironmentName, RepositoryName};
use flotilla_shared::revision::Commit;
use flotilla_status::{AuditAction, HUB_ACTOR};
use jiff::Timestamp;

use super::super::Fleet;
use super::super::environment::{
    AnnouncedRollback, Approval, Hold, MAX_APPROVALS, MAX_GOING_BACK, Mark, Scope, push,
};
use super::super::event::{AuditEntry, Effect};
use super::super::trees::Contents;
use super::{ActionError, GateOverride};

/// Highest number of good commits that a rollback commit is compared with, where its target was not given.
const MAX_COMPARED: usize = 3;

impl Fleet {
    /// Notes a rollback commit.
    pub(super) fn go_back(
        &mut self,
        environment: &EnvironmentName,
        (repository, commit, to): (Option<&RepositoryName>, &Commit, Option<&Commit>),
        overriding: GateOverride,
        mark: Mark,
        effects: &mut Vec<Effect>,
    ) -> Result<String, ActionError> {
        let repository = self.repository_of(environment, repository, commit)?;
        let state = self.environments.get(environment);
        let was_good = |to: &Commit| state.is_some_and(|state| state.was_good(&repository, to));
        if overriding == GateOverride::Denied
            && let Some(to) = to
            && !was_good(to)
        {
            return Err(ActionError::NeedsAdmin(format!(
                "{} of {repository} was never good in {environment}; rolling back to it \
                 overrides the gates and needs an admin",
                to.short()
            )));
        }
        self.decide(environment, effects, |state| {
            if overriding == GateOverride::Allowed {
                let approval = Approval {
                    repository: Some(repository.clone()),
                    commit: commit.clone(),
                    scope: Scope::Override,
                    mark: mark.clone(),
                };
                push(&mut state.approvals, MAX_APPROVALS, approval);
            } else {
                let to = match to {
                    Some(to) => vec![to.clone()],
                    None => state.good_of(&repository, MAX_COMPARED),
                };
                let way = AnnouncedRollback {
                    repository: repository.clone(),
                    commit: commit.clone(),
                    to,
                    mark: mark.clone(),
                };
                push(&mut state.going_back, MAX_GOING_BACK, way);
            }
            state.hold_promotions(Hold::of(mark, String::new(), [&repository]));
        });
        Ok(match overriding {
            GateOverride::Allowed => format!("{repository}, gates overridden"),
            GateOverride::Denied => {
                format!("{repository}, if its content is that of a good commit")
            }
        })
    }

    /// Compares announced rollback commits with good commits, as far as both have been read.
    pub(in crate::fleet) fn judge_ways_back(
        &mut self,
        name: &EnvironmentName,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let Some(state) = self.environments.get(name) else {
            return;
        };
        let mut judged = Vec::new();
        for (place, way) in state.going_back.iter().enumerate() {
            let compare = |to: &Commit| match way.repository.is_fleet_file() {
                // A revision is the digest of its content, so comparing the digests is enough.
                true if way.commit == *to => Contents::Same,
                true => Contents::Different,
                false => self.sources.trees.compare(&way.repository, &way.commit, to),
            };
            let found = way.to.iter().find(|to| compare(to) == Contents::Same);
            let other = way.to.iter().all(|to| compare(to) == Contents::Different);
            if found.is_some() || other {
                judged.push((place, way.clone(), found.cloned()));
            }
        }
        if judged.is_empty() {
            return;
        }
        let mut approvals = Vec::new();
        for (_, way, found) in &judged {
            let (action, detail) = match found {
                Some(to) => {
                    let mark = Mark {
                        reason: format!("rolls back to {}: {}", to.short(), way.mark.reason),
                        ..way.mark.clone()
                    };
                    let approval = Approval {
                        repository: Some(way.repository.clone()),
                        commit: way.commit.clone(),
                        scope: Scope::Override,
                        mark,
                    };
                    approvals.push(approval);
                    (
                        AuditAction::RollbackProven,
                        format!("its content is that of {to}"),
                    )
                }
                None => (
                    AuditAction::RollbackRefused,
                    format!(
                        "its content is not that of a commit that was good in {name}; it has to \
                         pass the gates like any other commit"
                    ),
                ),
            };
            effects.push(Effect::Audit(AuditEntry {
                at: now,
                actor: HUB_ACTOR.to_owned(),
                action,
                environment: name.to_string(),
                commit: way.commit.to_string(),
                reason: format!("{}: {}", way.mark.by, way.mark.reason),
                detail: format!("{}: {detail}", way.repository),
                ..AuditEntry::default()
            }));
        }
        self.decide(name, effects, |state| {
            for (place, _, _) in judged.iter().rev() {
                state.going_back.remove(*place);
            }
            for approval in approvals {
                push(&mut state.approvals, MAX_APPROVALS, approval);
            }
        });
    }
}
