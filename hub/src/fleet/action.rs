//! What a person may do to rollouts. Each is checked here and leaves an audit entry in the same
//! transaction as what it changes.

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
    /// All of an environment.
    Environment(EnvironmentName),
}

/// What a person does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Start no further cluster.
    Pause(EnvironmentName),
    /// Go on; also lets automatic promotions in again.
    Resume(EnvironmentName),
    /// Give failed clusters another chance.
    Retry(EnvironmentName),
    /// End the rollout; touched clusters go back to the last good commits.
    Abort(EnvironmentName),
    /// Keep a cluster or an environment on a commit.
    Pin {
        subject: Subject,
        /// On which commit; none: the one it is on.
        commit: Option<Commit>,
        /// Of which repository; none: the only one.
        repository: Option<RepositoryName>,
        /// End by itself.
        expires_at: Option<Timestamp>,
        /// A signed approval to go back, for the agents.
        approval: Option<Box<SignedApproval>>,
        /// Whether whoever pins may override gates.
        overriding: Overriding,
    },
    /// End a pin.
    Unpin(Subject),
    /// Ask a cluster to write nothing.
    Suspend(ClusterName),
    /// Let it write again.
    Unsuspend(ClusterName),
    /// An application is about to be taken away in the fleet file: only noted. It is gone when the file says
    /// so and rollouts have brought that to the clusters.
    Remove {
        application: ApplicationName,
        /// Where; none: everywhere.
        environment: Option<EnvironmentName>,
        /// What becomes of its objects.
        objects: Objects,
    },
    /// Approve a commit.
    Approve {
        environment: EnvironmentName,
        /// Of which repository; none: the one that has it.
        repository: Option<RepositoryName>,
        commit: Commit,
        /// For the commit, for a wave of it, or past its gates.
        scope: Scope,
    },
    /// A commit is about to be promoted: only noted. Its rollout begins when the branch has moved.
    Promote {
        environment: EnvironmentName,
        commit: Commit,
    },
    /// A commit that goes back was made: it comes in whatever the gates say, once the hub has seen that it
    /// holds what a good commit held. An admin's word is enough.
    Rollback {
        environment: EnvironmentName,
        /// Of which repository; none: the one that has it.
        repository: Option<RepositoryName>,
        /// The commit that goes back.
        commit: Commit,
        /// The commit whose content it has; none: any that was good.
        to: Option<Commit>,
        /// Whether whoever goes back may override gates.
        overriding: Overriding,
    },
}

/// Whether whoever acts may override the gates where they act, which admins may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overriding {
    Denied,
    Allowed,
}

impl From<bool> for Overriding {
    fn from(administers: bool) -> Self {
        match administers {
            true => Self::Allowed,
            false => Self::Denied,
        }
    }
}

impl Action {
    /// Notes whether whoever takes it may override gates where it acts: some actions do, and which ones is
    /// known only where they are taken.
    #[must_use]
    pub fn with_overriding(mut self, allowed: Overriding) -> Self {
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

/// What an action came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Taken {
    /// For the person, as in the audit log.
    pub answer: String,
    /// What is to be done about it; the audit entry is among it.
    pub effects: Vec<Effect>,
}

impl Fleet {
    /// The environment that an action touches, for the question of who may take it.
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

    /// Takes an action; [`Fleet::advance`] draws its consequences.
    ///
    /// # Errors
    /// When there is nothing to act on; then nothing has changed.
    pub fn act(
        &mut self,
        action: &Action,
        by: &str,
        reason: &str,
        now: Timestamp,
    ) -> Result<Taken, ActionError> {
        let mark = Mark {
            by: by.to_owned(),
            reason: reason.to_owned(),
            at: now,
        };
        self.pass(now);
        let mut effects = Vec::new();
        let answer = self.carry_out(action, &mark, now, &mut effects)?;
        effects.push(Effect::Audit(self.entry(action, mark, &answer)));
        Ok(Taken { answer, effects })
    }

    /// Does it. What it came to, for the person.
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
                        "it was paused before, by {}: {}; that reason is replaced",
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
                "announced: it has happened once the branch has moved, which the Git server may refuse"
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

    /// What the audit log says of it.
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

    /// Refuses what steers rollouts where there are none. One that runs can be steered to its end, whatever became
    /// of the strategy in the file.
    fn steers(&self, name: &EnvironmentName) -> Result<(), ActionError> {
        self.known(name)?;
        let environment = self.spec().environment(name);
        if environment.is_some_and(|environment| self.has_waves(environment)) {
            return Ok(());
        }
        let subject = Subject::Environment(name.clone());
        let instead = match self.pinned_commits(&subject, None, None) {
            Ok(_) => {
                format!(". To keep them on their commits: flotilla pin --env {name} --reason TEXT")
            }
            Err(_) => String::new(),
        };
        Err(ActionError::NoStrategy(name.clone(), instead))
    }
}
