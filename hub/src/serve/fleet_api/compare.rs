//! Comparison of a fleet file with what is in force.

use std::time::Duration;

use flotilla_proto::v1;
use flotilla_shared::report::plain_line;
use tokio::sync::Semaphore;
use tokio_stream::StreamExt as _;
use tonic::{Request, Response, Status, Streaming};

use super::super::access::Need;
use super::Operators;
use crate::fleet::{ClusterChange, EnvironmentChange};
use crate::spec;

/// Highest number of errors of a file that are returned.
const MAX_ERRORS: usize = 20;
/// Longest text of an error, bytes.
const MAX_LINE: usize = 400;

/// Longest time of an upload.
const ON_ITS_WAY: Duration = Duration::from_secs(30);

/// Limits parallel comparisons: a file takes memory and CPU time.
static COMPARING: Semaphore = Semaphore::const_new(2);

pub(super) async fn compare_fleet_file(
    api: &Operators,
    request: Request<Streaming<v1::CompareFleetFileRequest>>,
) -> Result<Response<v1::CompareFleetFileResponse>, Status> {
    api.allow(&request, Need::See)?;
    let busy = |_| Status::resource_exhausted("too many comparisons are running; try again");
    let permit = COMPARING.try_acquire().map_err(busy)?;
    let text = tokio::time::timeout(ON_ITS_WAY, text(request.into_inner()))
        .await
        .map_err(|_| Status::deadline_exceeded("the upload of the fleet file timed out"))??;
    let in_force = api.ask(|fleet, _| fleet.in_force()).await?;
    // Comparing thousands of clusters takes a while, so it runs on a blocking thread.
    let compared = tokio::task::spawn_blocking(move || {
        let spec = spec::parse("the fleet file", &text).map_err(|errors| {
            let lines = errors.iter().take(MAX_ERRORS);
            let lines: Vec<String> = lines
                .map(|error| plain_line(&error.to_string(), MAX_LINE))
                .collect();
            Status::invalid_argument(lines.join("; "))
        })?;
        Ok::<_, Status>(in_force.compare(&spec))
    });
    let compared = compared
        .await
        .map_err(|_| Status::internal("comparing failed; the hub's log says why"))?;
    drop(permit);
    let compared = compared?;
    let environments = compared.iter().map(environment);
    let environments = environments.map(Into::into).collect();
    Ok(Response::new(v1::CompareFleetFileResponse { environments }))
}

async fn text(mut parts: Streaming<v1::CompareFleetFileRequest>) -> Result<String, Status> {
    let mut text = Vec::new();
    while let Some(part) = parts.next().await {
        let part = part?.part;
        if text.len() + part.len() > spec::MAX_FILE_BYTES {
            return Err(Status::invalid_argument(format!(
                "the fleet file is larger than the {} bytes that a hub accepts",
                spec::MAX_FILE_BYTES
            )));
        }
        text.extend_from_slice(&part);
    }
    String::from_utf8(text)
        .map_err(|_| Status::invalid_argument("the fleet file is not UTF-8 text"))
}

/// Converts it for operators.
fn environment(change: &EnvironmentChange) -> flotilla_status::EnvironmentDifference {
    flotilla_status::EnvironmentDifference {
        environment: change.environment.to_string(),
        changes: change.changes.clone(),
        clusters: change.clusters.iter().map(cluster).collect(),
        more_clusters: u32::try_from(change.more_clusters).unwrap_or(u32::MAX),
        in_waves: change.in_waves,
        rollout: change.rollout.clone().unwrap_or_default(),
    }
}

fn cluster(change: &ClusterChange) -> flotilla_status::ClusterDifference {
    let names = |all: &[flotilla_shared::id::ApplicationName]| {
        all.iter().map(ToString::to_string).collect()
    };
    flotilla_status::ClusterDifference {
        cluster: change.cluster.to_string(),
        moves_from: change
            .moves_from
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        gains: names(&change.gains),
        loses: names(&change.loses),
        changes: names(&change.changes),
    }
}
