//! Actions of operators on rollouts. Each is checked here and leaves an audit entry in the same transaction as its
//! changes.

mod approval;
mod error;
mod pin;
mod rollback;
mod rollout;

use flotilla_shared::approval::SignedApproval;
use flotilla_shared::id::{ApplicationName, ClusterName, EnvironmentName, RepositoryName};
use flotilla_shared::revision::Commit;
use flotilla_status::AuditAction;
use jiff::Timestamp;

pub use error::ActionError;

use super::Fleet;
use super::environment::{Mark, Pin, Scope};
use super::event::{AuditEntry, Effect};
use crate::spec::Objects;

/// A cluster or an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    Cluster(ClusterName),
    /// A whole environment.
    Environment(EnvironmentName),
}

/// An action of an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Pause: start no further cluster.
    Pause(EnvironmentName),
    /// Resume; also ends a hold of automatic promotions.
    Resume(EnvironmentName),
    /// Retry failed clusters.
    Retry(EnvironmentName),
    /// Abort the rollout; touched clusters go back to the last good commits.
    Abort(EnvironmentName),
    /// Pin a cluster or an environment to a commit.
    Pin {
        subject: Subject,
        /// The commit; none: the present one.
        commit: Option<Commit>,
        /// The repository of the commit; none: the only one.
        repository: Option<RepositoryName>,
        /// When the pin expires; none: never.
        expires_at: Option<Timestamp>,
        /// A signed approval of a rollback, for the agents.
        approval: Option<Box<SignedApproval>>,
        /// Whether the operator may override gates.
        overriding: GateOverride,
    },
    /// Unpin.
    Unpin(Subject),
    /// Suspend a cluster: its agent writes nothing.
    Suspend(ClusterName),
    /// End the suspension of a cluster.
    Unsuspend(ClusterName),
    /// Announce the removal of an application in the fleet file, for the audit log. It is removed when the file says so
    /// and rollouts have brought that to the clusters.
    Remove {
        application: ApplicationName,
        /// The environment; none: everywhere.
        environment: Option<EnvironmentName>,
        /// What happens to its objects.
        objects: Objects,
    },
    /// Approve a commit.
    Approve {
        environment: EnvironmentName,
        /// The repository of the commit; none: the one that has it.
        repository: Option<RepositoryName>,
        commit: Commit,
        /// Scope of the approval: the commit, a wave, or an override of its gates.
        scope: Scope,
    },
    /// Announce the promotion of a commit, for the audit log. Its rollout begins when the branch has moved.
    Promote {
        environment: EnvironmentName,
        commit: Commit,
    },
    /// Announce a rollback commit: it passes the gates once the hub has verified that it has the content of a good
    /// commit. For an admin this is not verified.
    Rollback {
        environment: EnvironmentName,
        /// The repository of the commit; none: the one that has it.
        repository: Option<RepositoryName>,
        /// The rollback commit.
        commit: Commit,
        /// The commit whose content it has; none: any good one.
        to: Option<Commit>,
        /// Whether the operator may override gates.
        overriding: GateOverride,
    },
}

/// Whether an operator may override gates, as admins may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GateOverride {
    Denied,
    Allowed,
}

impl From<bool> for GateOverride {
    fn from(administers: bool) -> Self {
        match administers {
            true => Self::Allowed,
            false => Self::Denied,
        }
    }
}

impl Action {
    /// Sets whether the operator may override gates: only while the action is performed is it known whether it does.
    #[must_use]
    pub fn with_overriding(mut self, allowed: GateOverride) -> Self {
        if let Self::Pin { overriding, .. } | Self::Rollback { overriding, .. } = &mut self {
            *overriding = allowed;
        }
        self
    }

    /// The word for it, as the audit log has it.
    #[must_use]
    pub fn word(&self) -> AuditAction {
        match self {
            Self::Pause(_) => AuditAction::Pause,
            Self::Resume(_) | Self::Unsuspend(_) => AuditAction::Resume,
            Self::Retry(_) => AuditAction::Retry,
            Self::Abort(_) => AuditAction::Abort,
            Self::Pin { .. } => AuditAction::Pin,
            Self::Unpin(_) => AuditAction::Unpin,
            Self::Suspend(_) => AuditAction::Suspend,
            Self::Remove { .. } => AuditAction::RemoveApplication,
            Self::Approve {
                scope: Scope::Override,
                ..
            } => AuditAction::Override,
            Self::Approve { .. } => AuditAction::Approve,
            Self::Promote { .. } => AuditAction::Promote,
            Self::Rollback { .. } => AuditAction::Rollback,
        }
    }
}

/// Result of an action.
#[derive(Debug, Clone, PartialEq)]
pub struct ActionOutcome {
    /// Message for the operator, as in the audit log.
    pub answer: String,
    /// Effects, including the audit entry.
    pub effects: Vec<Effect>,
}

impl Fleet {
    /// Returns the environment of an action, for the check of rights.
    #[must_use]
    pub fn environment_of_action(&self, action: &Action) -> Option<EnvironmentName> {
        match action {
            Action::Pause(name)
            | Action::Resume(name)
            | Action::Retry(name)
            | Action::Abort(name)
            | Action::Pin {
                subject: Subject::Environment(name),
                ..
            }
            | Action::Unpin(Subject::Environment(name))
            | Action::Approve {
                environment: name, ..
            }
            | Action::Promote {
                environment: name, ..
            }
            | Action::Rollback {
                environment: name, ..
            } => Some(name.clone()),
            Action::Pin {
                subject: Subject::Cluster(name),
                ..
            }
            | Action::Unpin(Subject::Cluster(name))
            | Action::Suspend(name)
            | Action::Unsuspend(name) => self.environment_of(name),
            Action::Remove { environment, .. } => environment.clone(),
        }
    }

    /// Performs an action; [`Fleet::advance`] draws its consequences.
    ///
    /// # Errors
    /// When there is nothing to act on; then nothing has changed.
    pub fn act(
        &mut self,
        action: &Action,
        by: &str,
        reason: &str,
        now: Timestamp,
    ) -> Result<ActionOutcome, ActionError> {
        let mark = Mark {
            by: by.to_owned(),
            reason: reason.to_owned(),
            at: now,
        };
        self.pass(now);
        let mut effects = Vec::new();
        let answer = self.carry_out(action, &mark, now, &mut effects)?;
        effects.push(Effect::Audit(self.entry(action, mark, &answer)));
        Ok(ActionOutcome { answer, effects })
    }

    /// Carries an action out. Returns the message for the operator.
    fn carry_out(
        &mut self,
        action: &Action,
        mark: &Mark,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) -> Result<String, ActionError> {
        Ok(match action {
            Action::Pause(name) => {
                self.steers(name)?;
                let before = self.environments.get(name);
                let before = before.and_then(|state| state.paused.clone());
                self.decide(name, effects, |state| state.paused = Some(mark.clone()));
                before.map_or_else(String::new, |before| {
                    format!(
                        "replaces the earlier pause by {}: {}",
                        before.by, before.reason
                    )
                })
            }
            Action::Resume(name) => {
                self.known(name)?;
                let state = self.environments.get(name);
                if state.is_none_or(|state| state.paused.is_none() && state.hold.is_none()) {
                    let text = format!("{name} is neither paused nor held");
                    return Err(ActionError::Nothing(text));
                }
                self.decide(name, effects, |state| {
                    state.paused = None;
                    state.hold = None;
                })
            }
            Action::Retry(name) => self.retry(name, now, effects)?,
            Action::Abort(name) => self.abort(name, mark, now, effects)?,
            Action::Pin {
                subject,
                commit,
                repository,
                expires_at,
                approval,
                overriding,
            } => {
                let commits = self.pinned_commits(subject, commit.as_ref(), repository.as_ref())?;
                let unproven = commit.is_some() && self.is_unproven(subject, &commits);
                let mut text =
                    self.admit_pin(subject, &commits, unproven.then_some(*overriding))?;
                text.push_str(&self.replaced_pin(subject, &commits, now));
                let pin = Pin {
                    commits,
                    mark: mark.clone(),
                    epoch: self.epoch.0,
                    expires_at: *expires_at,
                    approval: approval.clone(),
                    unproven,
                    in_place: commit.is_none(),
                };
                self.set_pin(subject, Some(pin), now, effects)?;
                text
            }
            Action::Unpin(subject) => {
                self.set_pin(subject, None, now, effects)?;
                String::new()
            }
            Action::Suspend(name) => self.suspend(name, Some(mark.clone()), now, effects)?,
            Action::Unsuspend(name) => self.suspend(name, None, now, effects)?,
            Action::Remove {
                application,
                environment,
                objects,
            } => self.announce_removal(application, environment.as_ref(), *objects)?,
            Action::Approve {
                environment,
                repository,
                commit,
                scope,
            } => {
                let asked = (repository.as_ref(), commit);
                self.approve(environment, asked, scope, mark.clone(), effects)?
            }
            Action::Promote { environment, .. } => {
                self.known(environment)?;
                "announced: takes effect when the branch moves; the Git server may still refuse \
                 the push"
                    .to_owned()
            }
            Action::Rollback {
                environment,
                repository,
                commit,
                to,
                overriding,
            } => {
                let going = (repository.as_ref(), commit, to.as_ref());
                self.go_back(environment, going, *overriding, mark.clone(), effects)?
            }
        })
    }

    /// Makes the audit entry of an action.
    fn entry(&self, action: &Action, mark: Mark, answer: &str) -> AuditEntry {
        let (clusters, commit) = match action {
            Action::Pin {
                subject: Subject::Cluster(name),
                commit,
                ..
            } => (vec![name.to_string()], commit.clone()),
            Action::Unpin(Subject::Cluster(name))
            | Action::Suspend(name)
            | Action::Unsuspend(name) => (vec![name.to_string()], None),
            Action::Pin { commit, .. } => (Vec::new(), commit.clone()),
            Action::Approve { commit, .. }
            | Action::Promote { commit, .. }
            | Action::Rollback { commit, .. } => (Vec::new(), Some(commit.clone())),
            _ => (Vec::new(), None),
        };
        let environment = self.environment_of_action(action);
        AuditEntry {
            at: mark.at,
            actor: mark.by,
            action: action.word(),
            environment: environment.map(|name| name.to_string()).unwrap_or_default(),
            clusters,
            commit: commit.map(|commit| commit.to_string()).unwrap_or_default(),
            reason: mark.reason,
            detail: answer.to_owned(),
            rollout: None,
        }
    }

    /// Refuses actions on rollouts where there are none. A running rollout can be steered to its end even if the
    /// strategy is no longer in the file.
    fn steers(&self, name: &EnvironmentName) -> Result<(), ActionError> {
        self.known(name)?;
        let environment = self.spec().environment(name);
        if environment.is_some_and(|environment| self.has_waves(environment)) {
            return Ok(());
        }
        let subject = Subject::Environment(name.clone());
        let instead = match self.pinned_commits(&subject, None, None) {
            Ok(_) => {
                format!(". To keep the current commits: flotilla pin --env {name} --reason TEXT")
            }
            Err(_) => String::new(),
        };
        Err(ActionError::NoStrategy(name.clone(), instead))
    }
}
