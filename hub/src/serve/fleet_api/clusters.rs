//! Clusters: showing, accepting, unlocking and removing.

use flotilla_proto::v1;
use flotilla_shared::id::{ApplicationName, ClusterName, EnvironmentName};
use flotilla_shared::report::{MAX_MESSAGE_BYTES, plain_line};
use flotilla_shared::wire::labels_from_wire;
use flotilla_status::AuditAction;
use jiff::Timestamp;
use tonic::{Request, Response, Status};

use super::super::access::Need;
use super::super::relay::Preview;
use super::{Operators, bad_name, entry, filter, no_cluster};
use crate::fleet::{AuditEntry, ClusterRecord, Event};
use crate::status::{self, Detail};
use crate::suggestion::missing;

/// Clusters of one page, by default and at most.
const PAGE: usize = 500;
const MAX_PAGE: usize = 1000;

/// Longest key in a request, characters: the length of a fingerprint.
const MAX_NAMED_KEY: usize = 64;

pub(super) async fn list_clusters(
    api: &Operators,
    request: Request<v1::ListClustersRequest>,
) -> Result<Response<v1::ListClustersResponse>, Status> {
    api.allow(&request, Need::See)?;
    let request = request.into_inner();
    let filter = filter(request.filter)?;
    let size = match request.page_size as usize {
        0 => PAGE,
        size => size.min(MAX_PAGE),
    };
    let detail = match request.summary {
        true => Detail::Summary,
        false => Detail::Full,
    };
    let after = request.page_token;
    let (clusters, next_page_token) = api
        .ask(move |fleet, now| {
            if let Some(unknown) = filter.unknown(fleet) {
                return Err(Status::not_found(unknown));
            }
            let mut names = fleet
                .clusters()
                .keys()
                .filter(|name| after.is_empty() || name.as_str() > after.as_str())
                .filter(|name| filter.matches(fleet, name, now));
            let page: Vec<&ClusterName> = names.by_ref().take(size).collect();
            let more = names.next().is_some();
            let shown = page.iter();
            let shown = shown.filter_map(|name| status::cluster(fleet, name, now, detail));
            let next = page.last().filter(|_| more);
            let next = next.map(ToString::to_string).unwrap_or_default();
            Ok((shown.collect::<Vec<_>>(), next))
        })
        .await??;
    Ok(Response::new(v1::ListClustersResponse {
        clusters: clusters.into_iter().map(Into::into).collect(),
        next_page_token,
    }))
}

pub(super) async fn get_cluster(
    api: &Operators,
    request: Request<v1::GetClusterRequest>,
) -> Result<Response<v1::GetClusterResponse>, Status> {
    api.allow(&request, Need::See)?;
    let text = request.into_inner().name;
    let name: ClusterName = text.parse().map_err(|e| bad_name(&e))?;
    let cluster = api
        .ask(move |fleet, now| {
            status::cluster(fleet, &name, now, Detail::Full)
                .ok_or_else(|| Status::not_found(no_cluster(fleet, name.as_str())))
        })
        .await??;
    Ok(Response::new(v1::GetClusterResponse {
        cluster: Some(cluster.into()),
    }))
}

pub(super) async fn diff(
    api: &Operators,
    request: Request<v1::DiffRequest>,
) -> Result<Response<v1::DiffResponse>, Status> {
    api.allow(&request, Need::See)?;
    let request = request.into_inner();
    let cluster: ClusterName = request.cluster.parse().map_err(|e| bad_name(&e))?;
    if !request.application.is_empty() {
        let parsed = request.application.parse::<ApplicationName>();
        parsed.map_err(|e| bad_name(&e))?;
    }
    if request.removal && request.application.is_empty() {
        let text = "application name is required for a removal";
        return Err(Status::invalid_argument(text));
    }
    let name = cluster.clone();
    let application = request.application.clone();
    api.ask(move |fleet, _| {
        if !fleet.clusters().contains_key(&name) {
            return Err(Status::not_found(no_cluster(fleet, name.as_str())));
        }
        let declared = &fleet.spec().applications;
        // An application that is no longer in the fleet file may still run there.
        if application.is_empty()
            || declared.contains_key(application.as_str())
            || status::reports(fleet, &name, &application)
        {
            return Ok(());
        }
        let names = declared.keys().map(ApplicationName::as_str);
        Err(Status::not_found(missing(
            "application",
            &application,
            names,
        )))
    })
    .await??;
    let preview = match request.removal {
        true => Preview::Removal,
        false => Preview::Assigned,
    };
    let result = api
        .0
        .relay
        .ask(&cluster, request.application, preview)
        .await?;
    Ok(Response::new(v1::DiffResponse {
        applications: result.applications,
    }))
}

pub(super) async fn accept_cluster(
    api: &Operators,
    request: Request<v1::AcceptClusterRequest>,
) -> Result<Response<v1::AcceptClusterResponse>, Status> {
    let operator = api.allow(&request, Need::Administer)?;
    let request = request.into_inner();
    let name: ClusterName = request.name.parse().map_err(|e| bad_name(&e))?;
    let environment = api.environment(&request.environment).await?;
    let labels = labels_from_wire(request.labels)
        .map_err(|error| Status::invalid_argument(error.to_string()))?;
    let lookup = name.clone();
    let (record, declared) = api
        .ask(move |fleet, _| {
            let record = fleet
                .clusters()
                .get(&lookup)
                .map(|cluster| ClusterRecord::clone(&cluster.record));
            let declared = fleet.spec().clusters.contains_key(&lookup);
            (
                record.ok_or_else(|| no_cluster(fleet, lookup.as_str())),
                declared,
            )
        })
        .await?;
    let record = record.map_err(Status::not_found)?;
    let Some(pending) = record.pending.clone() else {
        return Err(Status::failed_precondition(format!(
            "{name} is already accepted"
        )));
    };
    if !request.fingerprint.is_empty() && request.fingerprint != pending {
        // Audited, because it is evidence of a stolen token.
        let refused = AuditEntry {
            environment: audited(record.environment.as_ref()),
            clusters: vec![name.to_string()],
            detail: format!(
                "key {pending} waits, key {} was given",
                plain_line(&request.fingerprint, MAX_NAMED_KEY)
            ),
            ..entry(&operator, AuditAction::ClusterAcceptRefused)
        };
        api.record(refused).await?;
        return Err(Status::failed_precondition(format!(
            "{name} waits with key {pending}, not with the key that you gave: another agent may \
             have used its token"
        )));
    }
    let elsewhere = elsewhere(&record, environment.as_ref());
    let record = ClusterRecord {
        environment: environment.or(record.environment),
        labels: record.labels.into_iter().chain(labels).collect(),
        pending: None,
        // A cluster that was accepted again gets a new period in which it may recover.
        certificate_expires_at: record
            .certificate_expires_at
            .map(|end| end.max(Timestamp::now())),
        ..record
    };
    if record.environment.is_none() && !declared {
        return Err(Status::failed_precondition(format!(
            "{name} belongs to no environment yet: give --env, or list it in the fleet file"
        )));
    }
    let accepted = AuditEntry {
        environment: audited(record.environment.as_ref()),
        clusters: vec![name.to_string()],
        detail: match elsewhere.as_str() {
            "" => format!("key {pending}"),
            elsewhere => format!("key {pending}; {elsewhere}"),
        },
        ..entry(&operator, AuditAction::ClusterAccept)
    };
    api.commit(Event::ClusterPut(name.clone(), record), accepted)
        .await?;
    let cluster = api
        .ask(move |fleet, now| status::cluster(fleet, &name, now, Detail::Summary))
        .await?;
    Ok(Response::new(v1::AcceptClusterResponse {
        cluster: cluster.map(Into::into),
        detail: elsewhere,
    }))
}

fn audited(environment: Option<&EnvironmentName>) -> String {
    environment.map(ToString::to_string).unwrap_or_default()
}

/// Returns a note for the operator where a cluster is accepted into `chosen` and was meant for another environment;
/// empty: no note.
fn elsewhere(record: &ClusterRecord, chosen: Option<&EnvironmentName>) -> String {
    match (&record.environment, chosen) {
        (Some(before), Some(chosen)) if before != chosen => {
            // A cluster that had a certificate waits because of a long absence, so its environment is not from a token.
            match record.certificate_expires_at {
                Some(_) => format!("previously in {before}"),
                None => format!("its token was for {before}"),
            }
        }
        _ => String::new(),
    }
}

pub(super) async fn remove_cluster(
    api: &Operators,
    request: Request<v1::RemoveClusterRequest>,
) -> Result<Response<v1::RemoveClusterResponse>, Status> {
    let operator = api.allow(&request, Need::Administer)?;
    let request = request.into_inner();
    let name: ClusterName = request.name.parse().map_err(|e| bad_name(&e))?;
    let lookup = name.clone();
    let environment = api
        .ask(move |fleet, _| match fleet.clusters().get(&lookup) {
            Some(_) => Ok(fleet.environment_of(&lookup)),
            None => Err(Status::not_found(no_cluster(fleet, lookup.as_str()))),
        })
        .await??;
    let removed = AuditEntry {
        environment: audited(environment.as_ref()),
        clusters: vec![name.to_string()],
        reason: plain_line(&request.reason, MAX_MESSAGE_BYTES),
        ..entry(&operator, AuditAction::ClusterRemove)
    };
    api.commit(Event::ClusterRemoved(name), removed).await?;
    Ok(Response::new(v1::RemoveClusterResponse {}))
}

pub(super) async fn unlock_cluster(
    api: &Operators,
    request: Request<v1::UnlockClusterRequest>,
) -> Result<Response<v1::UnlockClusterResponse>, Status> {
    let operator = api.allow(&request, Need::Administer)?;
    let request = request.into_inner();
    let name: ClusterName = request.name.parse().map_err(|e| bad_name(&e))?;
    let lookup = name.clone();
    let (record, environment) = api
        .ask(move |fleet, _| {
            let cluster = fleet.clusters().get(&lookup);
            let record = cluster.map(|cluster| ClusterRecord::clone(&cluster.record));
            let record = record.ok_or_else(|| {
                let text = no_cluster(fleet, lookup.as_str());
                Status::not_found(text)
            })?;
            Ok::<_, Status>((record, fleet.environment_of(&lookup)))
        })
        .await??;
    let Some(lock) = record.credential.locked else {
        return Err(Status::failed_precondition(format!("{name} is not locked")));
    };
    let unlocked = AuditEntry {
        environment: audited(environment.as_ref()),
        clusters: vec![name.to_string()],
        reason: plain_line(&request.reason, MAX_MESSAGE_BYTES),
        detail: lock.why,
        ..entry(&operator, AuditAction::ClusterUnlock)
    };
    api.commit(Event::Unlocked(name), unlocked).await?;
    Ok(Response::new(v1::UnlockClusterResponse {}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acceptance_elsewhere_says_what_the_cluster_was_meant_for() {
        let environment = |name: &str| name.parse::<EnvironmentName>().unwrap();
        let (dev, prod) = (environment("dev"), environment("prod"));
        let waiting = |environment| ClusterRecord {
            environment,
            pending: Some("k".to_owned()),
            ..ClusterRecord::default()
        };
        let by_token = waiting(Some(prod.clone()));
        assert_eq!(elsewhere(&by_token, Some(&dev)), "its token was for prod");
        assert_eq!(elsewhere(&by_token, Some(&prod)), "");
        assert_eq!(elsewhere(&by_token, None), "");
        assert_eq!(elsewhere(&waiting(None), Some(&dev)), "");
        let away = ClusterRecord {
            certificate_expires_at: Some(Timestamp::UNIX_EPOCH),
            ..by_token
        };
        assert_eq!(elsewhere(&away, Some(&dev)), "previously in prod");
    }
}
