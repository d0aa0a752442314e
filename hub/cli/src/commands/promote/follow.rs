//! Follows a promotion: its rollout, or its clusters one by one.

use std::collections::BTreeMap;

use flotilla_proto::v1;
use flotilla_status::{Cluster, Connectivity, Move, Promotion, RepositoryCommit};
use tokio::time::Instant;

use super::super::patience::{LOOK, Patience};
use super::super::rollout;
use crate::args::{Output, Promote};
use crate::client::{Client, Detail};
use crate::error::Error;
use crate::printer::Printer;
use crate::reader;

/// Whether a cluster runs the promoted commits and is healthy.
fn arrived(cluster: &Cluster, promotion: &Promotion) -> bool {
    cluster.is_current()
        && promotion.moves.iter().all(|moved| {
            cluster
                .applications
                .iter()
                .filter_map(|app| app.revision.as_ref())
                .filter(|revision| revision.repository == moved.repository)
                .all(|revision| revision.commit == moved.to_commit)
        })
}

/// Returns the current heads of the environment's branches, as if they had just moved.
pub(super) async fn already_moved(
    client: &Client,
    nothing: &Promotion,
) -> Result<Promotion, Error> {
    let environments = client.environments().await?;
    let environment = environments
        .iter()
        .find(|environment| environment.name == nothing.environment)
        .ok_or(Error::Answer("the environment"))?;
    let used = environment.branches.iter();
    let used = used.filter(|branch| environment.uses(&branch.repository));
    let moves = used.filter_map(|branch| branch.head.as_ref());
    let moves = moves.map(|head| Move {
        repository: head.repository.clone(),
        url: String::new(),
        source_branch: String::new(),
        target_branch: head.branch.clone(),
        from_commit: String::new(),
        to_commit: head.commit.clone(),
        applications: Vec::new(),
        commits: Vec::new(),
        commit_count: 0,
    });
    Ok(Promotion {
        environment: nothing.environment.clone(),
        promotes_from: nothing.promotes_from.clone(),
        moves: moves.collect(),
        clusters: Vec::new(),
        gates: Vec::new(),
    })
}

/// A wait for the clusters to run a promotion, with its time limit.
pub(super) struct Arrival<'w> {
    pub(super) client: &'w Client,
    pub(super) promotion: &'w Promotion,
    pub(super) args: &'w Promote,
    pub(super) deadline: Instant,
    pub(super) printer: &'w Printer,
}

impl Arrival<'_> {
    /// Waits until the environment's clusters run what was promoted.
    pub(super) async fn until_there(&self) -> Result<(), Error> {
        // The promotion was one document, so structured output continues with one JSON document a line.
        let output = match self.args.output.output {
            Output::Json | Output::Yaml => Output::Json,
            output => output,
        };
        let mut over: Option<String> = None;
        loop {
            let after = over.as_deref();
            let Some(id) = self.begun(after).await? else {
                return self.follow().await;
            };
            rollout::watch(self.client, &id, output, Some(self.deadline), self.printer).await?;
            let left = self.left(&id).await?;
            if left.is_empty() {
                return Ok(());
            }
            self.printer.say(&format!(
                "{id} finished without {}: no cluster that runs it has proven the commit; \
                 waiting for its own rollout",
                left.join(", ")
            ));
            over = Some(id);
        }
    }

    /// Returns the repositories of a promotion that the ended rollout left at their last good commit.
    async fn left(&self, id: &str) -> Result<Vec<String>, Error> {
        let (Some(rollout), _) = rollout::get(self.client, id).await? else {
            return Ok(Vec::new());
        };
        let environments = self.client.environments().await?;
        let here = environments
            .iter()
            .find(|environment| environment.name == self.promotion.environment);
        let branches = here
            .into_iter()
            .flat_map(|environment| &environment.branches);
        let stayed = branches.filter_map(|branch| {
            let repository = &branch.repository;
            let before = rollout
                .from
                .iter()
                .find(|commit| commit.repository == *repository)?;
            let mut moves = self.promotion.moves.iter();
            let moved = moves.find(|moved| moved.repository == *repository)?;
            let is_there = branch.good.as_ref() == Some(&before.commit);
            let stays = is_there && before.commit != moved.to_commit;
            stays.then(|| repository.clone())
        });
        Ok(stayed.collect())
    }

    /// Returns the rollout of the promotion, after one that left some repositories behind; none where the environment
    /// has no strategy.
    async fn begun(&self, after: Option<&str>) -> Result<Option<String>, Error> {
        let mut patience = Patience::default();
        loop {
            match rollout::get(self.client, self.args.environment.as_str()).await {
                Ok((Some(rollout), decisions)) => {
                    patience.answered(self.printer);
                    let ours = self.promotion.moves.iter().all(|moved| {
                        rollout
                            .target
                            .iter()
                            .any(|target| target.commit == moved.to_commit)
                    });
                    if ours && after != Some(rollout.id.as_str()) {
                        return Ok(Some(rollout.id));
                    }
                    // A quarantined commit never starts a rollout, so waiting is pointless.
                    if let Some(failure) = decisions.quarantined.iter().find(|failure| {
                        self.promotion.moves.iter().all(|moved| {
                            let same = |at: &RepositoryCommit| at.commit == moved.to_commit;
                            failure.commits.iter().any(same)
                        })
                    }) {
                        return Err(Error::not_yet(
                            format!(
                                "the branch moved, but its commit is quarantined since {}: {}",
                                failure.rollout, failure.reason
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
                Err(error) => patience.wait(error, self.printer).await?,
            }
            if Instant::now() >= self.deadline {
                return Err(Error::not_yet(
                    "the branch moved, but its rollout has not begun",
                    format!("`flotilla explain {}` says why", self.args.environment),
                ));
            }
            reader::pause(LOOK).await?;
        }
    }

    /// Waits until the environment's clusters run the promoted commits, where there is no rollout.
    async fn follow(&self) -> Result<(), Error> {
        let mut patience = Patience::default();
        let filter = v1::ClusterFilter {
            environments: vec![self.args.environment.to_string()],
            ..v1::ClusterFilter::default()
        };
        let mut shown = BTreeMap::<String, String>::new();
        loop {
            // A restart of the hub does not end the wait.
            match self.client.clusters(&filter, Detail::Summary).await {
                Ok(mut clusters) => {
                    patience.answered(self.printer);
                    // A cluster that is not accepted gets no assignment.
                    clusters.retain(|cluster| cluster.connection != Connectivity::Pending);
                    let missing: Vec<&Cluster> = clusters
                        .iter()
                        .filter(|cluster| !arrived(cluster, self.promotion))
                        .collect();
                    for cluster in &clusters {
                        let state = if arrived(cluster, self.promotion) {
                            "done".to_owned()
                        } else {
                            format!("{}, {}", cluster.sync, cluster.health)
                        };
                        if shown.get(&cluster.name) != Some(&state) {
                            self.printer.say(&format!("{}: {state}", cluster.name));
                            shown.insert(cluster.name.clone(), state);
                        }
                    }
                    if missing.is_empty() {
                        if self.args.output.output.is_structured() {
                            return Ok(());
                        }
                        let all = flotilla_shared::words::counted(clusters.len(), "cluster");
                        self.printer
                            .say(&format!("{} runs it: {all}", self.args.environment));
                        return Ok(());
                    }
                    if Instant::now() >= self.deadline {
                        let names: Vec<&str> = missing
                            .iter()
                            .map(|cluster| cluster.name.as_str())
                            .collect();
                        return Err(Error::not_yet(
                            format!(
                                "the branch moved, but these clusters do not run it yet: {}",
                                names.join(", ")
                            ),
                            format!(
                                "`flotilla explain {}` says why",
                                names.first().unwrap_or(&"")
                            ),
                        ));
                    }
                }
                Err(error) if Instant::now() >= self.deadline => return Err(error),
                Err(error) => patience.wait(error, self.printer).await?,
            }
            reader::pause(LOOK).await?;
        }
    }
}
