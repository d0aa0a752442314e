//! Operators: their roles and certificates.

use flotilla_proto::v1;
use flotilla_shared::id::{EnvironmentName, OperatorName};
use flotilla_shared::identity::Identity;
use flotilla_shared::report::{MAX_MESSAGE_BYTES, plain_line};
use flotilla_shared::wire::timestamp_to_wire;
use flotilla_status::AuditAction;
use jiff::Timestamp;
use tonic::{Request, Response, Status};

use super::super::access::{Need, Principal};
use super::super::store_error;
use super::{Operators, bad_name, entry};
use crate::authority::{Error, OPERATOR_LIFE, Request as KeyRequest};
use crate::fleet::{AuditEntry, Event};
use crate::store::{Grant, Role};
use crate::suggestion::missing;

pub(super) async fn list_operators(
    api: &Operators,
    request: Request<v1::ListOperatorsRequest>,
) -> Result<Response<v1::ListOperatorsResponse>, Status> {
    api.allow(&request, Need::See)?;
    let grants = api.0.access.grants();
    let operators = grants.iter().map(|grant| shown(grant).into()).collect();
    Ok(Response::new(v1::ListOperatorsResponse { operators }))
}

pub(super) async fn set_operator(
    api: &Operators,
    request: Request<v1::SetOperatorRequest>,
) -> Result<Response<v1::SetOperatorResponse>, Status> {
    let caller = api.allow(&request, Need::Administer)?;
    let request = request.into_inner();
    let now = Timestamp::now();
    let grant = Grant {
        name: request.name.parse().map_err(|e| bad_name(&e))?,
        role: request.role.parse().map_err(Status::invalid_argument)?,
        environments: request
            .environments
            .iter()
            .map(|name| name.parse().map_err(|e| bad_name(&e)))
            .collect::<Result<_, _>>()?,
        changed_by: caller.to_string(),
        changed_at: now,
    };
    for environment in &request.environments {
        api.known_environment(environment).await?;
    }
    let own = match &caller {
        Principal::Operator(name) => Some(name),
        Principal::Person(_) | Principal::Hub => None,
    };
    if own == Some(&grant.name) && grant.role != Role::Admin {
        return Err(Status::failed_precondition(
            "you cannot remove your own admin role: ask another admin",
        ));
    }
    let key = match request.csr.as_slice() {
        [] => None,
        csr => Some(
            KeyRequest::from_der(csr)
                .map_err(|error| Status::invalid_argument(error.to_string()))?,
        ),
    };
    let (_changes, current) = api.0.access.change(&caller).await?;
    let mut grants = Vec::new();
    // The first grant ends the rule that everyone is an admin, so the granting operator becomes one explicitly.
    if let Some(own) = own
        && current.is_empty()
        && grant.name != *own
    {
        grants.push(Grant::admin(own, now));
    }
    grants.push(grant.clone());
    for grant in grants {
        let kept = api.0.store.grant(&grant).await;
        kept.map_err(|error| store_error(&error))?;
        // The right changes before the audit entry is written.
        api.0.access.put(grant.clone());
        api.record(AuditEntry {
            detail: granted(&grant),
            ..entry(&caller, AuditAction::OperatorSet)
        })
        .await?;
        take_back(api, &Principal::Operator(grant.name)).await?;
    }
    let certificate_chain = match key {
        Some(key) => {
            let identity = Identity::Operator(grant.name.clone());
            let authority = api.0.certificates.authority();
            let signed = authority.sign(&identity, &key, OPERATOR_LIFE, 0, now);
            signed.map_err(|error| cannot_sign(&error))?.chain_pem
        }
        None => String::new(),
    };
    Ok(Response::new(v1::SetOperatorResponse {
        operator: Some(shown(&grant).into()),
        certificate_chain,
        trust_bundle: api.0.certificates.authority().trust_bundle().to_owned(),
    }))
}

/// Withdraws approvals of an operator that are no longer allowed.
async fn take_back(api: &Operators, operator: &Principal) -> Result<(), Status> {
    let environments = api
        .ask(|fleet, _| {
            let all = fleet.spec().environments.iter();
            all.map(|environment| environment.name.clone())
                .collect::<Vec<_>>()
        })
        .await?;
    let lost = environments.into_iter().filter(|environment| {
        let access = &api.0.access;
        let check = access.check(operator, Need::Approve, Some(environment));
        check.is_err()
    });
    let event = Event::Demoted(operator.to_string(), lost.collect());
    api.0.handle.event(event).await?;
    Ok(())
}

pub(super) async fn remove_operator(
    api: &Operators,
    request: Request<v1::RemoveOperatorRequest>,
) -> Result<Response<v1::RemoveOperatorResponse>, Status> {
    let caller = api.allow(&request, Need::Administer)?;
    let request = request.into_inner();
    let name: OperatorName = request.name.parse().map_err(|e| bad_name(&e))?;
    let (_changes, grants) = api.0.access.change(&caller).await?;
    let Some(grant) = grants.iter().find(|grant| grant.name == name) else {
        let names = grants.iter().map(|grant| grant.name.as_str());
        return Err(Status::not_found(missing("operator", name.as_str(), names)));
    };
    may_be_removed(&caller, &name, grants.len()).map_err(Status::failed_precondition)?;
    let kept = api.0.store.ungrant(&name).await;
    kept.map_err(|error| store_error(&error))?;
    // The right ends before the audit entry is written.
    api.0.access.remove(&name);
    api.record(AuditEntry {
        reason: plain_line(&request.reason, MAX_MESSAGE_BYTES),
        detail: format!("no longer: {}", granted(grant)),
        ..entry(&caller, AuditAction::OperatorRemove)
    })
    .await?;
    take_back(api, &Principal::Operator(name)).await?;
    Ok(Response::new(v1::RemoveOperatorResponse {}))
}

/// Checks whether all rights may be removed from an operator.
fn may_be_removed(
    caller: &Principal,
    operator: &OperatorName,
    grants: usize,
) -> Result<(), &'static str> {
    if matches!(caller, Principal::Operator(own) if own == operator) {
        return Err("you cannot remove yourself: ask another admin");
    }
    if grants <= 1 {
        return Err(
            "this is the last operator with a role: without any, everyone with a certificate may do \
             everything; set another one first",
        );
    }
    Ok(())
}

pub(super) async fn renew_operator(
    api: &Operators,
    request: Request<v1::RenewOperatorRequest>,
) -> Result<Response<v1::RenewOperatorResponse>, Status> {
    let caller = api.allow(&request, Need::See)?;
    // A person's membership of a group may end earlier than a certificate, so people get none.
    let Principal::Operator(operator) = &caller else {
        return Err(Status::permission_denied(
            "people who log in have no certificate to renew: run flotilla login again",
        ));
    };
    let key = KeyRequest::from_der(&request.get_ref().csr)
        .map_err(|error| Status::invalid_argument(error.to_string()))?;
    let authority = api.0.certificates.authority();
    let identity = Identity::Operator(operator.clone());
    let now = Timestamp::now();
    let issued = authority
        .sign(&identity, &key, OPERATOR_LIFE, 0, now)
        .map_err(|error| cannot_sign(&error))?;
    api.record(AuditEntry {
        detail: format!("key {}", key.fingerprint),
        ..entry(&caller, AuditAction::OperatorRenew)
    })
    .await?;
    Ok(Response::new(v1::RenewOperatorResponse {
        certificate_chain: issued.chain_pem,
        trust_bundle: authority.trust_bundle().to_owned(),
        expires_at: Some(timestamp_to_wire(issued.expires_at)),
    }))
}

/// Describes a grant for the audit log.
fn granted(grant: &Grant) -> String {
    let places: Vec<&str> = grant
        .environments
        .iter()
        .map(EnvironmentName::as_str)
        .collect();
    let place = match places.as_slice() {
        [] => String::new(),
        some => format!(" in {}", some.join(", ")),
    };
    format!("{} is {}{place}", grant.name, grant.role.as_str())
}

/// Converts it for operators.
fn shown(grant: &Grant) -> flotilla_status::Operator {
    flotilla_status::Operator {
        name: grant.name.to_string(),
        role: grant.role.as_str().to_owned(),
        environments: grant.environments.iter().map(ToString::to_string).collect(),
        changed_by: grant.changed_by.clone(),
        changed_at: Some(grant.changed_at),
    }
}

fn cannot_sign(error: &Error) -> Status {
    if matches!(error, Error::NoIssuer) {
        return Status::failed_precondition(error.to_string());
    }
    tracing::error!(%error, "cannot sign an operator's certificate");
    Status::internal("cannot issue the certificate; the hub's log says why")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_removes_themselves_or_the_last_one() {
        let (ada, carl) = ("ada".parse().unwrap(), "carl".parse().unwrap());
        let by = Principal::Operator(ada);
        assert_eq!(may_be_removed(&by, &carl, 2), Ok(()));
        let own = "ada".parse().unwrap();
        assert!(may_be_removed(&by, &own, 2).is_err());
        // With an issuer the last admin need not be among the grants.
        assert!(may_be_removed(&Principal::Hub, &carl, 1).is_err());
    }

    #[test]
    fn a_grant_is_told_with_its_place() {
        let name = "carl".parse().unwrap();
        let mut grant = Grant::admin(&name, Timestamp::UNIX_EPOCH);
        assert_eq!(granted(&grant), "carl is admin");
        grant.environments = ["stage", "prod"].map(|name| name.parse().unwrap()).into();
        grant.role = Role::Viewer;
        assert_eq!(granted(&grant), "carl is viewer in prod, stage");
    }
}
