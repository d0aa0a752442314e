//! Converts requests of operators to actions.

use std::time::Duration;

use flotilla_proto::v1::{self, SteerAction as Wire};
use flotilla_shared::id::{EnvironmentName, NameError, RepositoryName};
use flotilla_shared::report::{MAX_MESSAGE_BYTES, plain_line};
use flotilla_shared::revision::Commit;
use flotilla_shared::wire::approval_from_wire;
use jiff::Timestamp;
use tonic::Status;

use super::bad_name;
use crate::fleet::{Action, GateOverride, Scope, Subject};
use crate::serve::access::Need;
use crate::spec::Objects;

/// An action with the right that it needs.
#[derive(Debug)]
pub(super) struct Steer {
    pub(super) action: Action,
    pub(super) need: Need,
    pub(super) reason: String,
}

fn parse<T: std::str::FromStr<Err = NameError>>(text: &str) -> Result<T, Status> {
    text.parse().map_err(|error| bad_name(&error))
}

/// Like [`parse`]; none: the text is empty.
fn optional<T: std::str::FromStr<Err = NameError>>(text: &str) -> Result<Option<T>, Status> {
    (!text.is_empty()).then(|| parse(text)).transpose()
}

/// Reads a request.
pub(super) fn read(request: &v1::SteerRequest, now: Timestamp) -> Result<Steer, Status> {
    let (action, need) = SteerFields(request).action(now)?;
    let reason = plain_line(&request.reason, MAX_MESSAGE_BYTES);
    let reasoned = matches!(
        request.action(),
        Wire::Pause | Wire::Abort | Wire::Pin | Wire::Override | Wire::Rollback | Wire::Suspend
    );
    if reasoned && reason.trim().is_empty() {
        return Err(Status::invalid_argument(format!(
            "{} needs a reason",
            action.word()
        )));
    }
    Ok(Steer {
        action,
        need,
        reason,
    })
}

/// A request, with its fields read as an action needs them.
struct SteerFields<'r>(&'r v1::SteerRequest);

impl SteerFields<'_> {
    /// Returns the action, and the right that it needs.
    fn action(&self, now: Timestamp) -> Result<(Action, Need), Status> {
        let request = self.0;
        Ok(match request.action() {
            Wire::Unspecified => {
                return Err(Status::invalid_argument("the hub does not know the action"));
            }
            Wire::Pause => (Action::Pause(self.environment()?), Need::Promote),
            Wire::Resume if !request.cluster.is_empty() => {
                (Action::Unsuspend(parse(&request.cluster)?), Need::Promote)
            }
            Wire::Suspend => (Action::Suspend(parse(&request.cluster)?), Need::Promote),
            Wire::RemoveApplication => (self.removal()?, Need::Promote),
            Wire::Resume => (Action::Resume(self.environment()?), Need::Promote),
            Wire::Retry => (Action::Retry(self.environment()?), Need::Promote),
            Wire::Abort => (Action::Abort(self.environment()?), Need::Promote),
            Wire::Pin => (self.pin(now)?, Need::Promote),
            Wire::Unpin => (Action::Unpin(self.subject()?), Need::Promote),
            Wire::Approve if request.wave.is_empty() => {
                (self.approval(Scope::Commit)?, Need::Approve)
            }
            Wire::Approve => {
                let scope = Scope::Wave(request.wave.clone());
                (self.approval(scope)?, Need::Approve)
            }
            Wire::Override => (self.approval(Scope::Override)?, Need::Administer),
            Wire::Rollback => (self.rollback()?, Need::Promote),
            Wire::Promote => (self.promotion()?, Need::Promote),
        })
    }

    /// Returns the environment, which has to be given.
    fn environment(&self) -> Result<EnvironmentName, Status> {
        parse(&self.0.environment)
    }

    /// Returns the repository; none: not given.
    fn repository(&self) -> Result<Option<RepositoryName>, Status> {
        optional(&self.0.repository)
    }

    /// Returns the commit, which has to be given in full.
    fn commit(&self) -> Result<Commit, Status> {
        parse(&self.0.commit)
    }

    /// Returns the cluster, if one is named, or else the environment.
    fn subject(&self) -> Result<Subject, Status> {
        if self.0.cluster.is_empty() {
            Ok(Subject::Environment(self.environment()?))
        } else {
            Ok(Subject::Cluster(parse(&self.0.cluster)?))
        }
    }

    /// Makes the removal of an application, in one environment or everywhere.
    fn removal(&self) -> Result<Action, Status> {
        Ok(Action::Remove {
            application: parse(&self.0.application)?,
            environment: optional(&self.0.environment)?,
            objects: Objects::from(self.0.keep_objects),
        })
    }

    /// Makes a pin, which expires after a time from now, or never.
    fn pin(&self, now: Timestamp) -> Result<Action, Status> {
        let request = self.0;
        let life = Duration::from_secs(u64::from(request.expires_seconds));
        Ok(Action::Pin {
            subject: self.subject()?,
            commit: optional(&request.commit)?,
            repository: self.repository()?,
            overriding: GateOverride::Denied,
            expires_at: (!life.is_zero())
                .then(|| now.saturating_add(life).unwrap_or(Timestamp::MAX)),
            approval: request
                .approval
                .clone()
                .map(approval_from_wire)
                .transpose()
                .map(|approval| approval.map(Box::new))
                .map_err(|error| Status::invalid_argument(error.to_string()))?,
        })
    }

    /// Makes an approval of a commit, with this scope.
    fn approval(&self, scope: Scope) -> Result<Action, Status> {
        Ok(Action::Approve {
            environment: self.environment()?,
            repository: self.repository()?,
            commit: self.commit()?,
            scope,
        })
    }

    /// Makes the announcement of a rollback commit.
    fn rollback(&self) -> Result<Action, Status> {
        Ok(Action::Rollback {
            environment: self.environment()?,
            repository: self.repository()?,
            commit: self.commit()?,
            to: optional(&self.0.to_commit)?,
            overriding: GateOverride::Denied,
        })
    }

    /// Makes the announcement of a promotion.
    fn promotion(&self) -> Result<Action, Status> {
        Ok(Action::Promote {
            environment: self.environment()?,
            commit: self.commit()?,
        })
    }
}
