//! Clusters: shown, let in, unlocked, removed.

use flotilla_proto::v1;
use flotilla_shared::id::{ApplicationName, ClusterName};
use flotilla_shared::report::{MAX_MESSAGE_BYTES, plain_line};
use flotilla_shared::wire::labels_from_wire;
use jiff::Timestamp;
use tonic::{Request, Response, Status};

use super::super::access::Need;
use super::{Operators, bad_name, entry, no_cluster};
use crate::fleet::{AuditEntry, ClusterRecord, Event};
use crate::status::{self, Filter};
use crate::suggestion::missing;

/// Clusters of one page, unless asked otherwise, and at most.
const PAGE: usize = 500;
const MAX_PAGE: usize = 1000;

pub(super) async fn list_clusters(
    api: &Operators,
    request: Request<v1::ListClustersRequest>,
) -> Result<Response<v1::ListClustersResponse>, Status> {
    api.allow(&request, Need::See)?;
    let request = request.into_inner();
    let filter = Filter::parse(request.filter)
        .map_err(|error| Status::invalid_argument(error.to_string()))?;
    let size = match request.page_size as usize {
        0 => PAGE,
        size => size.min(MAX_PAGE),
    };
    let (after, summary) = (request.page_token, request.summary);
    let response = api
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
            Ok(v1::ListClustersResponse {
                clusters: page
                    .iter()
                    .filter_map(|name| status::cluster(fleet, name, now, summary))
                    .collect(),
                next_page_token: match page.last() {
                    Some(last) if more => last.to_string(),
                    _ => String::new(),
                },
            })
        })
        .await??;
    Ok(Response::new(response))
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
            status::cluster(fleet, &name, now, false)
                .ok_or_else(|| Status::not_found(no_cluster(fleet, name.as_str())))
        })
        .await??;
    Ok(Response::new(v1::GetClusterResponse {
        cluster: Some(cluster),
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
        let text = "whose removal? Name one application";
        return Err(Status::invalid_argument(text));
    }
    let name = cluster.clone();
    let application = request.application.clone();
    api.ask(move |fleet, _| {
        if !fleet.clusters().contains_key(&name) {
            return Err(Status::not_found(no_cluster(fleet, name.as_str())));
        }
        let declared = &fleet.spec().applications;
        // What is no longer in the fleet file may still run there.
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
    let result = api
        .0
        .relay
        .ask(&cluster, request.application, request.removal)
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
            "{name} was accepted before"
        )));
    };
    if !request.fingerprint.is_empty() && request.fingerprint != pending {
        return Err(Status::failed_precondition(format!(
            "{name} waits with key {pending}, not with the one you named: somebody else may have \
             used its token"
        )));
    }
    let record = ClusterRecord {
        environment: environment.or(record.environment),
        labels: record.labels.into_iter().chain(labels).collect(),
        pending: None,
        // Who was accepted again after a long absence has a fresh span to come back in.
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
        environment: record
            .environment
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        clusters: vec![name.to_string()],
        detail: format!("key {pending}"),
        ..entry(&operator, "cluster accept")
    };
    api.commit(Event::ClusterPut(name.clone(), record), accepted)
        .await?;
    let cluster = api
        .ask(move |fleet, now| status::cluster(fleet, &name, now, true))
        .await?;
    Ok(Response::new(v1::AcceptClusterResponse { cluster }))
}

pub(super) async fn remove_cluster(
    api: &Operators,
    request: Request<v1::RemoveClusterRequest>,
) -> Result<Response<v1::RemoveClusterResponse>, Status> {
    let operator = api.allow(&request, Need::Administer)?;
    let request = request.into_inner();
    let name: ClusterName = request.name.parse().map_err(|e| bad_name(&e))?;
    let lookup = name.clone();
    api.ask(move |fleet, _| match fleet.clusters().get(&lookup) {
        Some(_) => Ok(()),
        None => Err(Status::not_found(no_cluster(fleet, lookup.as_str()))),
    })
    .await??;
    let removed = AuditEntry {
        clusters: vec![name.to_string()],
        reason: plain_line(&request.reason, MAX_MESSAGE_BYTES),
        ..entry(&operator, "cluster remove")
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
    let record = api
        .ask(move |fleet, _| {
            let cluster = fleet.clusters().get(&lookup);
            let record = cluster.map(|cluster| ClusterRecord::clone(&cluster.record));
            record.ok_or_else(|| Status::not_found(no_cluster(fleet, lookup.as_str())))
        })
        .await??;
    let Some(lock) = record.credential.locked else {
        return Err(Status::failed_precondition(format!("{name} is not locked")));
    };
    let unlocked = AuditEntry {
        clusters: vec![name.to_string()],
        reason: plain_line(&request.reason, MAX_MESSAGE_BYTES),
        detail: lock.why,
        ..entry(&operator, "cluster unlock")
    };
    api.commit(Event::Unlocked(name), unlocked).await?;
    Ok(Response::new(v1::UnlockClusterResponse {}))
}
