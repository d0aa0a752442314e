//! Join tokens.

use flotilla_proto::v1;
use flotilla_shared::wire::labels_from_wire;
use flotilla_status::AuditAction;
use jiff::{SignedDuration, Timestamp};
use tonic::{Request, Response, Status};

use super::super::access::Need;
use super::super::store_error;
use super::{Operators, bad_name, entry, refused_status};
use crate::enrolment::{NewToken, Token};
use crate::fleet::{AuditEntry, Effect};

/// Longest life of a join token.
const MAX_TOKEN_LIFE: SignedDuration = SignedDuration::from_hours(24 * 30);

pub(super) async fn create_token(
    api: &Operators,
    request: Request<v1::CreateTokenRequest>,
) -> Result<Response<v1::CreateTokenResponse>, Status> {
    let operator = api.allow(&request, Need::Administer)?;
    let request = request.into_inner();
    let optional = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let life = match request.lifetime_seconds {
        0 => SignedDuration::from_hours(1),
        seconds => SignedDuration::from_secs(i64::from(seconds)).min(MAX_TOKEN_LIFE),
    };
    let now = Timestamp::now();
    let new = NewToken {
        cluster: optional(&request.cluster)
            .map(|name| name.parse())
            .transpose()
            .map_err(|e| bad_name(&e))?,
        environment: api.environment(&request.environment).await?,
        labels: labels_from_wire(request.labels)
            .map_err(|error| Status::invalid_argument(error.to_string()))?,
        expires_at: now.saturating_add(life).unwrap_or(now),
        auto_accept: request.auto_accept,
        created_by: operator.to_string(),
    };
    let (token, kept) = api
        .0
        .store
        .create_token(&new)
        .await
        .map_err(|error| store_error(&error))?;
    api.record(AuditEntry {
        environment: request.environment.clone(),
        detail: match request.cluster.as_str() {
            "" => format!("token {}", kept.id),
            cluster => format!("token {} for {cluster}", kept.id),
        },
        ..entry(&operator, AuditAction::TokenCreate)
    })
    .await?;
    let new = flotilla_status::NewToken {
        token,
        status: shown(&kept),
        trust_bundle: api.0.certificates.authority().trust_bundle().to_owned(),
        hub_address: api.0.address.clone(),
    };
    Ok(Response::new(new.into()))
}

pub(super) async fn list_tokens(
    api: &Operators,
    request: Request<v1::ListTokensRequest>,
) -> Result<Response<v1::ListTokensResponse>, Status> {
    api.allow(&request, Need::See)?;
    let tokens = api
        .0
        .store
        .tokens()
        .await
        .map_err(|error| store_error(&error))?;
    let tokens = tokens.iter().map(|token| shown(token).into()).collect();
    Ok(Response::new(v1::ListTokensResponse { tokens }))
}

pub(super) async fn revoke_token(
    api: &Operators,
    request: Request<v1::RevokeTokenRequest>,
) -> Result<Response<v1::RevokeTokenResponse>, Status> {
    let operator = api.allow(&request, Need::Administer)?;
    let id = request.into_inner().id;
    let tokens = api.0.store.tokens().await;
    let tokens = tokens.map_err(|error| store_error(&error))?;
    if !tokens.iter().any(|token| token.id == id) {
        return Err(Status::not_found("there is no such token"));
    }
    let revoked = AuditEntry {
        at: Timestamp::now(),
        detail: format!("token {id}"),
        ..entry(&operator, AuditAction::TokenRevoke)
    };
    // In one step with whatever else is decided about it.
    api.0
        .handle
        .change(move |fleet, now| {
            let mut effects = fleet.revoke_token(&id, now);
            effects.push(Effect::Audit(AuditEntry { at: now, ..revoked }));
            ((), effects)
        })
        .await?
        .map_err(|refused| refused_status(&refused))?;
    Ok(Response::new(v1::RevokeTokenResponse {}))
}

/// Converts it for operators.
fn shown(token: &Token) -> flotilla_status::Token {
    let new = &token.new;
    flotilla_status::Token {
        id: token.id.clone(),
        cluster: new
            .cluster
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        environment: new
            .environment
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        labels: new.labels.clone(),
        expires_at: Some(new.expires_at),
        redeemed_at: token.redeemed.as_ref().map(|by| by.at),
        redeemed_by: token
            .redeemed
            .as_ref()
            .map(|by| by.cluster.to_string())
            .unwrap_or_default(),
        created_by: new.created_by.clone(),
        auto_accept: new.auto_accept,
    }
}
