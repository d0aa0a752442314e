//! Commits on the command line: the first digits that tables show, completed by what the hub knows or, if that fails,
//! by the branch itself.

use std::collections::BTreeSet;

use flotilla_proto::v1;
use flotilla_shared::id::ClusterName;
use flotilla_shared::revision::{BranchName, Commit, RepositoryUrl};
use flotilla_status::RepositoryCommit;

use super::rollout;
use crate::args::CommitPrefix;
use crate::client::Client;
use crate::error::Error;
use crate::git::Workspace;
use crate::printer::Printer;

/// Scope in which a commit is searched.
#[derive(Debug)]
pub(super) struct CommitScope<'a> {
    /// The environment: its branch, and that of the environment before it.
    pub(super) environment: &'a str,
    /// Only this repository; none: any.
    pub(super) repository: Option<&'a str>,
}

/// Returns the full id of a commit.
pub(super) async fn whole(
    client: &Client,
    place: &CommitScope<'_>,
    prefix: &CommitPrefix,
) -> Result<Commit, Error> {
    if let Some(commit) = prefix.whole() {
        return Ok(commit);
    }
    if let Some(commit) = one(prefix, &known(client, place).await?)? {
        return Ok(commit);
    }
    let mut found = BTreeSet::new();
    for (workspace, heads) in branches(client, place).await? {
        for head in heads {
            found.extend(workspace.find(prefix.as_str(), &head).await?);
        }
    }
    one(prefix, &found)?.ok_or_else(|| {
        Error::refused(
            format!("no commit {prefix} is known in {}", place.environment),
            "give more of its id, or all 40 digits",
        )
    })
}

/// Rejects a commit that agents would reject: one that is not on the environment's branch. If Git cannot be asked,
/// warns and accepts the commit.
pub(super) async fn on_branch(
    client: &Client,
    place: &CommitScope<'_>,
    commit: &Commit,
    printer: &Printer,
) -> Result<(), Error> {
    if known(client, place).await?.contains(commit) {
        return Ok(());
    }
    let read = match branches(client, place).await {
        Ok(read) => read,
        Err(error) => {
            printer.warn(&format!(
                "cannot tell whether {} is on the branch ({error}); agents refuse it if it is not",
                commit.short()
            ));
            return Ok(());
        }
    };
    for (workspace, heads) in read {
        if !workspace.has(commit).await? {
            continue;
        }
        for head in heads {
            if workspace.is_ancestor(commit, &head).await? {
                return Ok(());
            }
        }
    }
    Err(Error::refused(
        format!(
            "commit {} is not on the branch of {}",
            commit.short(),
            place.environment
        ),
        "agents accept only commits of their branch; `flotilla history` lists earlier ones",
    ))
}

/// Returns the environment of a cluster.
pub(super) async fn environment_of(client: &Client, name: &ClusterName) -> Result<String, Error> {
    let request = client.request(v1::GetClusterRequest {
        name: name.to_string(),
    });
    let answer = client.api().get_cluster(request).await?.into_inner();
    Ok(answer.cluster.unwrap_or_default().environment)
}

/// Returns the only commit with this prefix, if any.
pub(super) fn one<'c>(
    prefix: &CommitPrefix,
    of: impl IntoIterator<Item = &'c Commit>,
) -> Result<Option<Commit>, Error> {
    let matching: Vec<&Commit> = of
        .into_iter()
        .filter(|commit| commit.as_str().starts_with(prefix.as_str()))
        .collect();
    match matching.as_slice() {
        [] => Ok(None),
        [commit] => Ok(Some((*commit).clone())),
        several => {
            let several: Vec<&str> = several.iter().map(|commit| commit.as_str()).collect();
            Err(Error::refused(
                format!("{prefix} could be {}", several.join(" or ")),
                "give more of its id",
            ))
        }
    }
}

/// Returns the commits in the hub's answers about the environment.
async fn known(client: &Client, place: &CommitScope<'_>) -> Result<BTreeSet<Commit>, Error> {
    let mut all = Vec::new();
    let environments = client.environments().await?.into_iter();
    let own = environments.filter(|environment| environment.name == place.environment);
    let heads = own
        .flat_map(|environment| environment.branches)
        .filter_map(|branch| branch.head);
    all.extend(heads.map(|head| RepositoryCommit {
        repository: head.repository,
        commit: head.commit,
    }));
    let (rollout, decisions) = rollout::get(client, place.environment).await?;
    if let Some(rollout) = rollout {
        all.extend(rollout.target.into_iter().chain(rollout.from));
        let apart = rollout.apart.into_iter();
        all.extend(apart.map(|waiting| waiting.commit));
    }
    all.extend(decisions.good.into_iter().flat_map(|good| good.commits));
    let quarantined = decisions.quarantined.into_iter();
    all.extend(quarantined.flat_map(|failure| failure.commits));
    Ok(all
        .into_iter()
        .filter(|commit| {
            place
                .repository
                .is_none_or(|only| commit.repository == only)
        })
        // The hub's text may be anything.
        .filter_map(|commit| commit.commit.parse().ok())
        .collect())
}

/// Fetches the heads of the environment's branch and of the one before it, from every repository in question.
async fn branches(
    client: &Client,
    place: &CommitScope<'_>,
) -> Result<Vec<(Workspace, Vec<Commit>)>, Error> {
    let environments = client.environments().await?;
    let named = |name: &str| {
        environments
            .iter()
            .find(|environment| environment.name == name)
    };
    let own = named(place.environment);
    let before = own.and_then(|own| named(&own.promotes_from));
    let mut names: Vec<BranchName> = Vec::new();
    for environment in own.into_iter().chain(before) {
        names.push(environment.branch.parse()?);
    }
    let request = client.request(v1::ListRepositoriesRequest {});
    let repositories = client.api().list_repositories(request).await?.into_inner();
    let mut read = Vec::new();
    for repository in repositories.repositories {
        if place.repository.is_some_and(|only| repository.name != only) {
            continue;
        }
        let url: RepositoryUrl = repository.url.parse()?;
        let workspace = Workspace::new(None).await?;
        let mut heads = Vec::new();
        for name in &names {
            if workspace.remote_head(&url, name).await?.is_some() {
                heads.push(workspace.fetch(&url, name).await?);
            }
        }
        read.push((workspace, heads));
    }
    Ok(read)
}
