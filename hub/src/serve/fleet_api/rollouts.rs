//! Rollouts: their display and operators' actions on them.

use flotilla_proto::v1;
use jiff::Timestamp;
use tonic::{Request, Response, Status};

use super::super::access::Need;
use super::super::store_error;
use super::{Operators, refused_status, steer as action};
use crate::fleet::rollout::Rollout;
use crate::status::{self, Detail};
use crate::suggestion::missing;

pub(super) async fn list_rollouts(
    api: &Operators,
    request: Request<v1::ListRolloutsRequest>,
) -> Result<Response<v1::ListRolloutsResponse>, Status> {
    api.allow(&request, Need::See)?;
    let request = request.into_inner();
    let limit = match request.limit {
        0 => 20,
        limit => i64::from(limit.min(200)),
    };
    let rows = api.0.store.rollouts(&request.environment, limit).await;
    let rows = rows.map_err(|error| store_error(&error))?;
    if rows.is_empty() {
        api.known_environment(&request.environment).await?;
    }
    let rollouts = rows
        .iter()
        .map(|row| status::past_rollout(row, Detail::Summary).into())
        .collect();
    Ok(Response::new(v1::ListRolloutsResponse { rollouts }))
}

pub(super) async fn get_rollout(
    api: &Operators,
    request: Request<v1::GetRolloutRequest>,
) -> Result<Response<v1::GetRolloutResponse>, Status> {
    api.allow(&request, Need::See)?;
    let subject = request.into_inner().subject;
    let asked = subject.clone();
    let found = api
        .ask(move |fleet, now| {
            let present =
                |rollout: &Rollout| rollout.environment.as_str() == asked || rollout.id == asked;
            let rollout = fleet.rollouts().values().find(|rollout| present(rollout));
            let environment = match rollout {
                Some(rollout) => fleet.spec().environment(&rollout.environment),
                None => asked
                    .parse()
                    .ok()
                    .and_then(|name| fleet.spec().environment(&name)),
            };
            let environment = environment.ok_or_else(|| {
                let ids = fleet.rollouts().values().map(|rollout| rollout.id.as_str());
                let names = fleet.spec().environment_names().chain(ids);
                missing("rollout or environment", &asked, names)
            })?;
            Ok((
                rollout.map(|rollout| status::rollout(fleet, rollout, Detail::Full, now)),
                status::decisions(fleet, environment, now),
            ))
        })
        .await?;
    let unknown: String = match found {
        Ok((rollout, decisions)) => {
            return Ok(Response::new(v1::GetRolloutResponse {
                rollout: rollout.map(Into::into),
                decisions: Some(decisions.into()),
            }));
        }
        Err(unknown) => unknown,
    };
    let past = api.0.store.rollout(&subject).await;
    let past = past
        .map_err(|error| store_error(&error))?
        .ok_or_else(|| Status::not_found(unknown))?;
    Ok(Response::new(v1::GetRolloutResponse {
        rollout: Some(status::past_rollout(&past, Detail::Full).into()),
        decisions: None,
    }))
}

pub(super) async fn steer(
    api: &Operators,
    request: Request<v1::SteerRequest>,
) -> Result<Response<v1::SteerResponse>, Status> {
    let operator = api.allow_anywhere(&request)?;
    let steer = action::read(request.get_ref(), Timestamp::now())?;
    let action = steer.action.clone();
    let environment = api
        .ask(move |fleet, _| fleet.environment_of_action(&action))
        .await?;
    api.0
        .access
        .check(&operator, steer.need, environment.as_ref())?;
    let administers = api
        .0
        .access
        .check(&operator, Need::Administer, environment.as_ref())
        .is_ok();
    let detail = api
        .0
        .handle
        .act(
            steer.action.with_overriding(administers.into()),
            &operator.to_string(),
            &steer.reason,
        )
        .await?
        .map_err(|refused| refused_status(&refused))?;
    Ok(Response::new(v1::SteerResponse { detail }))
}
