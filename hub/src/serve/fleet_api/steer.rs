//! What a person asks for, from the wire to an action.

use std::time::Duration;

use flotilla_proto::v1;
use flotilla_shared::id::{EnvironmentName, NameError};
use flotilla_shared::report::{MAX_MESSAGE_BYTES, plain_line};
use flotilla_shared::wire::approval_from_wire;
use jiff::Timestamp;
use tonic::Status;

use super::bad_name;
use crate::fleet::{Action, Scope, Subject};
use crate::serve::access::Need;

/// An action with what it asks of whoever takes it.
#[derive(Debug)]
pub(super) struct Steer {
    pub(super) action: Action,
    pub(super) need: Need,
    pub(super) reason: String,
}

fn parse<T: std::str::FromStr<Err = NameError>>(text: &str) -> Result<T, Status> {
    text.parse().map_err(|error| bad_name(&error))
}

/// Reads a request.
pub(super) fn read(request: &v1::SteerRequest, now: Timestamp) -> Result<Steer, Status> {
    use v1::SteerAction as Wire;
    let environment = || parse::<EnvironmentName>(&request.environment);
    let commit = || parse(&request.commit);
    let subject = || -> Result<Subject, Status> {
        if request.cluster.is_empty() {
            Ok(Subject::Environment(environment()?))
        } else {
            Ok(Subject::Cluster(parse(&request.cluster)?))
        }
    };
    let optional = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let repository = || {
        optional(&request.repository)
            .map(|name| parse(&name))
            .transpose()
    };
    let approve = |scope| -> Result<Action, Status> {
        Ok(Action::Approve {
            environment: environment()?,
            repository: repository()?,
            commit: commit()?,
            scope,
        })
    };
    let (action, need) = match request.action() {
        Wire::Unspecified => return Err(Status::invalid_argument("no action that this hub knows")),
        Wire::Pause => (Action::Pause(environment()?), Need::Promote),
        Wire::Resume if !request.cluster.is_empty() => {
            (Action::Unsuspend(parse(&request.cluster)?), Need::Promote)
        }
        Wire::Suspend => (Action::Suspend(parse(&request.cluster)?), Need::Promote),
        Wire::RemoveApplication => {
            let action = Action::Remove {
                application: parse(&request.application)?,
                environment: optional(&request.environment)
                    .map(|name| parse(&name))
                    .transpose()?,
                keep_objects: request.keep_objects,
            };
            (action, Need::Promote)
        }
        Wire::Resume => (Action::Resume(environment()?), Need::Promote),
        Wire::Retry => (Action::Retry(environment()?), Need::Promote),
        Wire::Abort => (Action::Abort(environment()?), Need::Promote),
        Wire::Pin => {
            let life = Duration::from_secs(u64::from(request.expires_seconds));
            let action = Action::Pin {
                subject: subject()?,
                commit: optional(&request.commit).map(|c| parse(&c)).transpose()?,
                repository: repository()?,
                admin: false,
                expires_at: (!life.is_zero())
                    .then(|| now.saturating_add(life).unwrap_or(Timestamp::MAX)),
                approval: request
                    .approval
                    .clone()
                    .map(approval_from_wire)
                    .transpose()
                    .map(|approval| approval.map(Box::new))
                    .map_err(|error| Status::invalid_argument(error.to_string()))?,
            };
            (action, Need::Promote)
        }
        Wire::Unpin => (Action::Unpin(subject()?), Need::Promote),
        Wire::Approve if request.wave.is_empty() => (approve(Scope::Commit)?, Need::Approve),
        Wire::Approve => (approve(Scope::Wave(request.wave.clone()))?, Need::Approve),
        Wire::Override => (approve(Scope::Override)?, Need::Administer),
        Wire::Rollback => {
            let action = Action::Rollback {
                environment: environment()?,
                repository: repository()?,
                commit: commit()?,
                to: optional(&request.to_commit)
                    .map(|commit| parse(&commit))
                    .transpose()?,
                admin: false,
            };
            (action, Need::Promote)
        }
        Wire::Promote => {
            let action = Action::Promote {
                environment: environment()?,
                commit: commit()?,
            };
            (action, Need::Promote)
        }
    };
    let reason = plain_line(&request.reason, MAX_MESSAGE_BYTES);
    let reasoned = matches!(
        request.action(),
        Wire::Pause | Wire::Abort | Wire::Pin | Wire::Override | Wire::Rollback | Wire::Suspend
    );
    if reasoned && reason.trim().is_empty() {
        return Err(Status::invalid_argument(format!(
            "{} needs a reason: somebody will ask for it later",
            action.as_str()
        )));
    }
    Ok(Steer {
        action,
        need,
        reason,
    })
}
