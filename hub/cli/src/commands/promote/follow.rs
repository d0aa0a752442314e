//! What follows a promotion: its rollout, or its clusters one by one.

use std::collections::BTreeMap;

use flotilla_proto::v1;
use flotilla_status::{Cluster, Connectivity, Promotion, RepositoryCommit};
use tokio::time::Instant;

use super::super::patience::{LOOK, Patience};
use super::super::rollout;
use crate::args::{Output, Promote};
use crate::client::{Client, Detail};
use crate::error::Error;
use crate::printer::Printer;
use crate::reader;

/// Whether a cluster runs what was promoted, healthy.
fn arrived(cluster: &Cluster, promotion: &Promotion) -> bool {
    cluster.is_current()
        && promotion.moves.iter().all(|one| {
            cluster
                .applications
                .iter()
                .filter_map(|app| app.revision.as_ref())
                .filter(|revision| revision.repository == one.repository)
                .all(|revision| revision.commit == one.to_commit)
        })
}

/// What the environment's branches hold already, as if they had just been moved there.
pub(super) async fn already_moved(
    client: &Client,
    nothing: &Promotion,
) -> Result<Promotion, Error> {
    let environments = client.environments().await?;
    let environment = environments
        .iter()
        .find(|one| one.name == nothing.environment)
        .ok_or(Error::Answer("the environment"))?;
    // Where nothing was ever approved, it is a repository that nobody uses there.
    let used = environment.branches.iter();
    let used = used.filter(|branch| !branch.approved.is_empty());
    let moves = used.filter_map(|branch| branch.revision.as_ref());
    let moves = moves.map(|revision| v1::PromotionMove {
        repository: revision.repository.clone(),
        target_branch: revision.branch.clone(),
        to_commit: revision.commit.clone(),
        ..v1::PromotionMove::default()
    });
    Ok(Promotion::from(&v1::PreviewPromotionResponse {
        environment: nothing.environment.clone(),
        promotes_from: nothing.promotes_from.clone(),
        moves: moves.collect(),
        ..v1::PreviewPromotionResponse::default()
    }))
}

/// Waits until the environment's clusters run what was promoted.
pub(super) async fn until_there(
    client: &Client,
    promotion: &Promotion,
    args: &Promote,
    deadline: Instant,
    printer: &Printer,
) -> Result<(), Error> {
    // The promotion was one document; what follows is talk about it.
    let output = match args.output.output {
        Output::Json | Output::Yaml => Output::Json,
        output => output,
    };
    let mut over: Option<String> = None;
    loop {
        let after = over.as_deref();
        let Some(id) = begun(client, promotion, args, (after, deadline), printer).await? else {
            return follow(client, promotion, args, deadline, printer).await;
        };
        rollout::watch(client, &id, output, Some(deadline), printer).await?;
        let left = left(client, promotion, &id).await?;
        if left.is_empty() {
            return Ok(());
        }
        printer.say(&format!(
            "{id} is through without {}: no cluster that runs something of it has proven the commit; waiting for \
             the rollout that brings it alone",
            left.join(", ")
        ));
        over = Some(id);
    }
}

/// Repositories of a promotion that are where they were good before a rollout that is over.
async fn left(client: &Client, promotion: &Promotion, id: &str) -> Result<Vec<String>, Error> {
    let (Some(rollout), _) = rollout::get(client, id).await? else {
        return Ok(Vec::new());
    };
    let environments = client.environments().await?;
    let here = environments
        .iter()
        .find(|one| one.name == promotion.environment);
    let branches = here.into_iter().flat_map(|one| &one.branches);
    let stayed = branches.filter_map(|branch| {
        let repository = &branch.revision.as_ref()?.repository;
        let before = rollout
            .from
            .iter()
            .find(|one| one.repository == *repository)?;
        let mut moves = promotion.moves.iter();
        let moved = moves.find(|one| one.repository == *repository)?;
        let stays = branch.approved == before.commit && before.commit != moved.to_commit;
        stays.then(|| repository.clone())
    });
    Ok(stayed.collect())
}

/// The rollout that the promotion began, after one that left some of it where it was; none where the environment
/// has no strategy.
async fn begun(
    client: &Client,
    promotion: &Promotion,
    args: &Promote,
    (after, deadline): (Option<&str>, Instant),
    printer: &Printer,
) -> Result<Option<String>, Error> {
    let mut patience = Patience::default();
    loop {
        match rollout::get(client, args.environment.as_str()).await {
            Ok((Some(rollout), decisions)) => {
                patience.answered(printer);
                let ours = promotion.moves.iter().all(|one| {
                    rollout
                        .target
                        .iter()
                        .any(|target| target.commit == one.to_commit)
                });
                if ours && after != Some(rollout.id.as_str()) {
                    return Ok(Some(rollout.id));
                }
                // Nothing will begin, however long one waits.
                if let Some(one) = decisions.quarantined.iter().find(|one| {
                    promotion.moves.iter().all(|moved| {
                        let same = |at: &RepositoryCommit| at.commit == moved.to_commit;
                        one.commits.iter().any(same)
                    })
                }) {
                    return Err(Error::not_yet(
                        format!(
                            "the branch moved, and its commit is not tried again since {}: {}",
                            one.rollout, one.reason
                        ),
                        "push and promote a newer commit",
                    ));
                }
            }
            Ok((None, _)) => return Ok(None),
            Err(Error::Hub {
                code: tonic::Code::Unimplemented,
                ..
            }) => return Ok(None),
            Err(error) => patience.wait(error, printer).await?,
        }
        if Instant::now() >= deadline {
            return Err(Error::not_yet(
                "the branch moved, and its rollout has not begun",
                format!("`flotilla explain {}` says why", args.environment),
            ));
        }
        reader::pause(LOOK).await?;
    }
}

/// Waits until the environment's clusters run what was promoted, where no rollout tells it.
async fn follow(
    client: &Client,
    promotion: &Promotion,
    args: &Promote,
    deadline: Instant,
    printer: &Printer,
) -> Result<(), Error> {
    let mut patience = Patience::default();
    let filter = v1::ClusterFilter {
        environments: vec![args.environment.to_string()],
        ..v1::ClusterFilter::default()
    };
    let mut shown = BTreeMap::<String, String>::new();
    loop {
        // A hub that restarts meanwhile does not end the wait.
        match client.clusters(&filter, Detail::Summary).await {
            Ok(wire) => {
                patience.answered(printer);
                let clusters: Vec<Cluster> = wire
                    .iter()
                    .map(Cluster::from)
                    // Nothing is sent to a cluster that nobody has accepted.
                    .filter(|cluster| cluster.connection != Connectivity::Pending)
                    .collect();
                let missing: Vec<&Cluster> = clusters
                    .iter()
                    .filter(|cluster| !arrived(cluster, promotion))
                    .collect();
                for cluster in &clusters {
                    let state = if arrived(cluster, promotion) {
                        "done".to_owned()
                    } else {
                        format!("{}, {}", cluster.sync, cluster.health)
                    };
                    if shown.get(&cluster.name) != Some(&state) {
                        printer.say(&format!("{}: {state}", cluster.name));
                        shown.insert(cluster.name.clone(), state);
                    }
                }
                if missing.is_empty() {
                    if args.output.output.is_structured() {
                        return Ok(());
                    }
                    let all = flotilla_shared::words::counted(clusters.len(), "cluster");
                    printer.say(&format!("{} runs it: {all}", args.environment));
                    return Ok(());
                }
                if Instant::now() >= deadline {
                    let names: Vec<&str> = missing.iter().map(|one| one.name.as_str()).collect();
                    return Err(Error::not_yet(
                        format!(
                            "the branch moved, and these clusters do not run it yet: {}",
                            names.join(", ")
                        ),
                        format!(
                            "`flotilla explain {}` says why",
                            names.first().unwrap_or(&"")
                        ),
                    ));
                }
            }
            Err(error) if Instant::now() >= deadline => return Err(error),
            Err(error) => patience.wait(error, printer).await?,
        }
        reader::pause(LOOK).await?;
    }
}
