//! Pins of clusters and environments.

use flotilla_shared::id::{ClusterName, RepositoryName};
use flotilla_shared::report::{MAX_MESSAGE_BYTES, plain_line};
use flotilla_shared::revision::Commit;
use jiff::Timestamp;

use super::super::Fleet;
use super::super::environment::{Approval, MAX_APPROVALS, Pin, Scope, push};
use super::super::event::Effect;
use super::super::rollout::{Commits, title};
use super::{ActionError, GateOverride, Subject};
use crate::suggestion::missing;

impl Fleet {
    pub(super) fn pinned_commits(
        &self,
        subject: &Subject,
        commit: Option<&Commit>,
        repository: Option<&RepositoryName>,
    ) -> Result<Commits, ActionError> {
        let nothing = |text: String| ActionError::Nothing(text);
        match subject {
            Subject::Cluster(name) if !self.clusters.contains_key(name) => {
                return Err(self.no_cluster(name));
            }
            Subject::Environment(name) => self.known(name)?,
            Subject::Cluster(_) => {}
        }
        if let Some(repository) = repository
            && !self.spec().repositories.contains_key(repository)
        {
            let names = self.spec().repositories.keys().map(RepositoryName::as_str);
            return Err(nothing(missing("repository", repository.as_str(), names)));
        }
        let requested = |name: &RepositoryName| repository.is_none_or(|only| only == name);
        if let Some(commit) = commit {
            let mut names = self
                .spec()
                .repositories
                .keys()
                .filter(|name| requested(name));
            return match (names.next(), names.next()) {
                (Some(name), None) => Ok([(name.clone(), commit.clone())].into()),
                _ => Err(nothing(
                    "this fleet has several repositories: specify the one of the commit".to_owned(),
                )),
            };
        }
        let present: Commits = match subject {
            Subject::Cluster(name) if self.reported(name).is_some() => {
                self.reported(name).unwrap_or_default()
            }
            Subject::Cluster(name) => {
                let cluster = self.clusters.get(name);
                let assigned = cluster.and_then(|cluster| cluster.assigned.as_ref());
                assigned
                    .iter()
                    .flat_map(|assigned| assigned.assignment.applications.values())
                    .map(|app| (app.revision.repository.clone(), app.revision.commit.clone()))
                    .collect()
            }
            Subject::Environment(name) => self
                .spec()
                .environment(name)
                .map(|environment| self.good(environment))
                .unwrap_or_default(),
        };
        let present: Commits = present
            .into_iter()
            .filter(|(name, _)| requested(name))
            .collect();
        if present.is_empty() {
            return Err(nothing(
                "it runs no commit yet that it could be pinned to".to_owned(),
            ));
        }
        Ok(present)
    }

    /// Returns whether a pin names a commit that has not passed the gates where it would run.
    pub(super) fn is_unproven(&self, subject: &Subject, commits: &Commits) -> bool {
        let name = match subject {
            Subject::Environment(name) => Some(name.clone()),
            Subject::Cluster(name) => self.environment_of(name),
        };
        let environment = name.as_ref().and_then(|name| self.spec().environment(name));
        // Without rollouts there are no gates.
        let Some(environment) = environment.filter(|environment| self.has_waves(environment))
        else {
            return false;
        };
        let state = self.environments.get(&environment.name);
        let runs = |repository: &RepositoryName, commit: &Commit| match subject {
            Subject::Environment(_) => false,
            Subject::Cluster(name) => {
                let cluster = self.clusters.get(name);
                let assigned = cluster.and_then(|cluster| cluster.assigned.as_ref());
                let mut applications = assigned
                    .into_iter()
                    .flat_map(|assigned| assigned.assignment.applications.values());
                applications.any(|app| {
                    app.revision.repository == *repository && app.revision.commit == *commit
                })
            }
        };
        !commits.iter().all(|(repository, commit)| {
            state.is_some_and(|state| state.was_good(repository, commit))
                || runs(repository, commit)
        })
    }

    /// Checks whether a pin is allowed; `past_gates`: it overrides gates, and whether the operator may do that. Returns
    /// a description of the pin.
    pub(super) fn admit_pin(
        &self,
        subject: &Subject,
        commits: &Commits,
        past_gates: Option<GateOverride>,
    ) -> Result<String, ActionError> {
        let text = title(commits);
        match (past_gates, subject) {
            (None, _) => Ok(text),
            (Some(GateOverride::Denied), subject) => {
                let (name, flag) = match subject {
                    Subject::Environment(name) => (name.to_string(), "--env"),
                    Subject::Cluster(name) => (name.to_string(), "--cluster"),
                };
                let instead = match self.pinned_commits(subject, None, None) {
                    Ok(_) => format!(
                        " (a commit that was good there, or the current one, does not: flotilla \
                         pin {flag} {name} --reason TEXT)"
                    ),
                    Err(_) => String::new(),
                };
                Err(ActionError::NeedsAdmin(format!(
                    "{text} has not passed the gates of {name}; pinning it overrides them and \
                     needs an admin{instead}"
                )))
            }
            (Some(GateOverride::Allowed), Subject::Environment(_)) => Ok(format!(
                "{text}, which has not passed the gates: they are overridden, and it rolls out \
                 in waves"
            )),
            (Some(GateOverride::Allowed), Subject::Cluster(_)) => Ok(format!(
                "{text}, which has not passed the gates: they are overridden for this cluster"
            )),
        }
    }

    /// Returns a note on the pin that a new one replaces.
    pub(super) fn replaced_pin(
        &self,
        subject: &Subject,
        commits: &Commits,
        now: Timestamp,
    ) -> String {
        let before = match subject {
            Subject::Cluster(name) => {
                let cluster = self.clusters.get(name);
                cluster.and_then(|cluster| cluster.record.pin.as_ref())
            }
            Subject::Environment(name) => {
                let state = self.environments.get(name);
                state.and_then(|state| state.pin.as_ref())
            }
        };
        let Some(before) = before.filter(|pin| pin.holds(now)) else {
            return String::new();
        };
        let to = match before.commits == *commits {
            true => String::new(),
            false => format!(" to {}", title(&before.commits)),
        };
        format!(
            " (replaces the earlier pin{to} by {}: {})",
            before.mark.by,
            plain_line(&before.mark.reason, MAX_MESSAGE_BYTES / 2)
        )
    }

    pub(super) fn set_pin(
        &mut self,
        subject: &Subject,
        pin: Option<Pin>,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) -> Result<(), ActionError> {
        let unpinned = |what: String| ActionError::Nothing(format!("{what} is not pinned"));
        match subject {
            Subject::Cluster(name) => {
                let is_pinned = self.record_of(name).map(|record| record.pin.is_some());
                let Some(is_pinned) = is_pinned else {
                    return Err(self.no_cluster(name));
                };
                let is_let_go = pin.is_none() && self.let_go(name, effects);
                if pin.is_none() && !is_pinned && !is_let_go {
                    return Err(unpinned(name.to_string()));
                }
                self.change_record(name, effects, |record| record.pin = pin);
                self.assign(name, now, effects);
            }
            Subject::Environment(name) => {
                self.known(name)?;
                let is_there = |cluster: &&ClusterName| self.belongs_to(cluster, name);
                let members: Vec<ClusterName> =
                    self.clusters.keys().filter(is_there).cloned().collect();
                let mut let_go = false;
                for member in members.iter().filter(|_| pin.is_none()) {
                    let_go |= self.let_go(member, effects);
                }
                let state = self.environments.get(name);
                let is_pinned = state.is_some_and(|state| state.pin.is_some());
                if pin.is_none() && !is_pinned && !let_go {
                    return Err(unpinned(name.to_string()));
                }
                self.decide(name, effects, |state| {
                    for approval in pin.iter().flat_map(overrides) {
                        push(&mut state.approvals, MAX_APPROVALS, approval);
                    }
                    state.pin = pin;
                });
                self.assign_later(|environment| environment.name == *name);
            }
        }
        Ok(())
    }
}

/// Returns the overrides that a pin implies.
fn overrides(pin: &Pin) -> Vec<Approval> {
    let commits = pin.commits.iter().filter(|_| pin.unproven);
    let overrides = commits.map(|(repository, commit)| Approval {
        repository: Some(repository.clone()),
        commit: commit.clone(),
        scope: Scope::Override,
        mark: pin.mark.clone(),
    });
    overrides.collect()
}
