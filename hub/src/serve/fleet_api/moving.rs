//! The hub moves branches for an operator, with its own credential: by fast-forward, through open gates only.

use flotilla_proto::v1;
use flotilla_shared::id::EnvironmentName;
use flotilla_shared::report::{MAX_MESSAGE_BYTES, plain_line};
use jiff::Timestamp;
use tonic::{Request, Response, Status};

use super::super::access::Need;
use super::{Operators, bad_name, refused_status, unpromotable};
use crate::fleet::Fleet;
use crate::promote::{DuePromotion, MoveError};
use crate::status::{self, Move};

pub(super) async fn move_branches(
    api: &Operators,
    request: Request<v1::MoveBranchesRequest>,
) -> Result<Response<v1::MoveBranchesResponse>, Status> {
    let caller = api.allow_anywhere(&request)?;
    let request = request.into_inner();
    // Checked first, so that a caller without the right does not learn what exists.
    let environment: Option<EnvironmentName> = request.environment.parse().ok();
    let access = &api.0.access;
    access.check(&caller, Need::Promote, environment.as_ref())?;
    let Some(mover) = &api.0.mover else {
        return Err(Status::failed_precondition(format!(
            "the hub has no credential to push with; to move the branch with your own git: \
             flotilla promote {}",
            request.environment
        )));
    };
    let reason = plain_line(&request.reason, MAX_MESSAGE_BYTES);
    if reason.trim().is_empty() {
        return Err(Status::invalid_argument(
            "a promotion by the hub needs a reason",
        ));
    }
    let due = api
        .ask(move |fleet, now| due(fleet, &request, now))
        .await??;
    let who = caller.to_string();
    let mut moved = Vec::new();
    for promotion in &due {
        let result = mover.promote(&api.0.handle, promotion, &who, &reason).await;
        match result {
            Ok(()) => moved.push(format!(
                "{} of {} is now at {}",
                promotion.branch,
                promotion.url,
                promotion.commit.short()
            )),
            Err(error) => return Err(stays(promotion, &moved, error)),
        }
    }
    Ok(Response::new(v1::MoveBranchesResponse {
        detail: moved.join("; "),
    }))
}

fn stays(due: &DuePromotion, moved: &[String], error: MoveError) -> Status {
    let before = match moved {
        [] => String::new(),
        moved => format!("{}; but ", moved.join("; ")),
    };
    match error {
        MoveError::Unnoted(refused) => refused_status(&refused),
        MoveError::Stopping => Status::unavailable("the hub is stopping; try again"),
        MoveError::Push(why) => Status::failed_precondition(format!(
            "{before}{} of {} stays where it is: {why}",
            due.branch, due.url
        )),
    }
}

/// Returns the branches to push for the shown promotion, if it is still current and nothing holds it back. Pure.
fn due(
    fleet: &Fleet,
    request: &v1::MoveBranchesRequest,
    now: Timestamp,
) -> Result<Vec<DuePromotion>, Status> {
    let environment: EnvironmentName = request.environment.parse().map_err(|e| bad_name(&e))?;
    let promotion =
        status::promotion(fleet, &environment, None, None, now).map_err(unpromotable)?;
    let shown = |step: &Move| {
        let mut asked = request.moves.iter();
        asked.any(|asked| {
            asked.repository == step.repository.as_str() && asked.commit == step.to.as_str()
        })
    };
    if request.moves.is_empty()
        || request.moves.len() != promotion.moves.len()
        || !promotion.moves.iter().all(shown)
    {
        return Err(Status::failed_precondition(format!(
            "the promotion into {environment} has changed since it was shown: look at it again"
        )));
    }
    if let Some(closed) = promotion.gates.iter().find(|gate| gate.holds_back()) {
        return Err(Status::failed_precondition(format!(
            "{}: {}; nothing was moved",
            closed.gate, closed.text
        )));
    }
    let moves = promotion.moves.into_iter().map(|step| DuePromotion {
        environment: promotion.environment.clone(),
        url: step.url,
        source: step.source,
        branch: step.branch,
        commit: step.to,
    });
    Ok(moves.collect())
}
