//! Finds pull requests that request a plan, plans them, and maintains one comment on each.

use std::sync::Arc;

use flotilla_forge::{Error, PullRequest, Right, given_by};
use flotilla_shared::id::{EnvironmentName, RepositoryName};
use flotilla_shared::revision::{BranchName, Commit, RepositoryUrl, Revision};
use flotilla_status::plan_comment::markdown;
use futures::{StreamExt as _, stream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::config::{ForgeRepository, Forges};
use super::super::rounds::{Round, Rounds};
use super::super::send::Sender;
use super::super::waits::Waits;
use super::{
    AGAIN, Denial, PlanFailure, Planner, PreviewRequest, PreviewState, PreviewStates, is_enough,
    key, mark, refusal,
};
use crate::driver::{Handle, Stopped};
use crate::spec::Preview;

/// Number of plans at a time; the rest of the hub's limit is left to operators.
const AT_ONCE: usize = 2;
/// Highest number of pages of a pull request's events that are read: the last event counts, and is on the last page.
const EVENTS: u32 = 10;
/// Highest number of pages of comments that are read.
const COMMENTS: u32 = 30;

/// Why heads of forks are not planned although forges keep them in the target repository (`refs/pull/N/head`,
/// `refs/merge-requests/N/head`): policies trust branches by name.
const FORK: &str = "it comes from a fork: agents plan branches of this repository only, since a fork can be \
                    written by anybody; after a review, a person with push access can push it to a branch here \
                    and open a pull request from that branch";

/// Setup of previews.
pub struct PreviewSetup {
    pub handle: Handle,
    /// Forges and credentials.
    pub forges: Forges,
    pub sender: Arc<Sender>,
    pub planner: Arc<dyn Planner>,
}

/// Memory of this process; all of it may be lost.
#[derive(Default)]
struct Memory {
    told: PreviewStates,
    waits: Waits<(EnvironmentName, RepositoryName, BranchName)>,
}

/// Runs until stopped.
pub(in crate::forge) async fn run(
    previewing: PreviewSetup,
    mut rounds: Rounds,
    stop: CancellationToken,
) {
    let mut memory = Memory::default();
    while let Some(round) = stop.run_until_cancelled(rounds.next()).await {
        let done = previewing.round(&round, &mut memory);
        let Some(Ok(())) = stop.run_until_cancelled(done).await else {
            return;
        };
    }
}

impl PreviewSetup {
    async fn round(&self, round: &Round, memory: &mut Memory) -> Result<(), Stopped> {
        let declared = self.handle.query(|fleet| {
            let spec = fleet.spec();
            let all = spec.previews.iter().filter_map(|preview| {
                let repository = spec.repositories.get(&preview.repository)?;
                Some((preview.clone(), repository.url.clone()))
            });
            all.collect::<Vec<(Preview, RepositoryUrl)>>()
        });
        let declared = declared.await?;
        let previews: Vec<Preview> = declared
            .iter()
            .map(|(preview, _)| preview.clone())
            .collect();
        memory.told.retain(&previews);
        let place = |preview: &Preview| {
            (
                preview.environment.clone(),
                preview.repository.clone(),
                preview.branch.clone(),
            )
        };
        memory
            .waits
            .retain(|key| previews.iter().any(|preview| place(preview) == *key));
        for (preview, url) in &declared {
            let key = place(preview);
            if !round.has(&preview.repository) || memory.waits.holds(&key, Instant::now()) {
                continue;
            }
            let looked = match self.forges.of(&preview.repository, url) {
                Some(place) if preview.label.is_some() && !place.at.kind().has_labels() => {
                    Err(Error::Unsupported(
                        "Bitbucket Cloud has no labels: use only role in the fleet file",
                    ))
                }
                Some(place) => self.look(preview, &place, &mut memory.told).await,
                None => Err(Error::NoAnswer(
                    "the hub has no credential for the forge: add it to its --forge-file"
                        .to_owned(),
                )),
            };
            match looked {
                Ok(()) => memory.waits.ended(&key),
                Err(error) => {
                    if memory.waits.failed(&key, &error, Instant::now()) {
                        let (environment, repository, branch) = &key;
                        tracing::warn!(%environment, %repository, %branch, %error, "cannot read pull requests; will retry");
                    }
                }
            }
        }
        Ok(())
    }

    /// Handles the open pull requests once. A failure that concerns only one of them is retried later, and does not
    /// delay the others.
    async fn look(
        &self,
        preview: &Preview,
        place: &ForgeRepository,
        told: &mut PreviewStates,
    ) -> Result<(), Error> {
        let open = place.at.open_pulls(&preview.branch);
        let open = self.sender.ask(place, &open).await?;
        let due = told.due(preview, open, Instant::now().into_std());
        let due = due.into_iter().map(|pull| {
            let before = told.0.get(&key(preview, pull.number));
            let comment = before.and_then(|known| known.comment);
            (pull, comment)
        });
        let due: Vec<(PullRequest, Option<u64>)> = due.collect();
        let mut works = stream::iter(due)
            .map(|(pull, comment)| async move {
                let done = self.one(preview, place, &pull, comment).await;
                (pull, comment, done)
            })
            .buffer_unordered(AT_ONCE);
        let mut unwell = Ok(());
        while let Some((pull, comment, done)) = works.next().await {
            let known = match done {
                Ok(Some(known)) => known,
                // No plan yet: it is retried in the next round.
                Ok(None) => continue,
                Err(error) if error.passes() => {
                    unwell = Err(error);
                    continue;
                }
                Err(error) => {
                    let number = pull.number;
                    tracing::warn!(number, %error, "cannot plan a pull request");
                    PreviewState {
                        head: pull.head_commit,
                        comment,
                        again: Some(Instant::now().into_std() + AGAIN),
                    }
                }
            };
            told.0.insert(key(preview, pull.number), known);
        }
        unwell
    }

    /// Plans a pull request and comments the result; none: to be retried next time.
    async fn one(
        &self,
        preview: &Preview,
        place: &ForgeRepository,
        pull: &PullRequest,
        comment: Option<u64>,
    ) -> Result<Option<PreviewState>, Error> {
        let environment = &preview.environment;
        let kind = place.at.kind();
        let refused = |why: &str| refusal(environment, &pull.head_commit, why, kind);
        let mut known = PreviewState {
            head: pull.head_commit.clone(),
            comment,
            again: None,
        };
        let body = match self.asked_by(preview, place, pull).await? {
            Err(denied) => {
                known.again = Some(Instant::now().into_std() + AGAIN);
                if !denied.is_told() {
                    return Ok(Some(known));
                }
                refused(&denied.to_string())
            }
            Ok(by) => match self.revision(preview, place, pull).await? {
                Err(why) => refused(why),
                Ok(revision) => {
                    let by = if by.is_empty() { &pull.author } else { &by };
                    let ask = PreviewRequest {
                        environment: environment.clone(),
                        revision,
                        why: format!(
                            "pull request {} ({}), asked by {by}",
                            pull.number, pull.link
                        ),
                    };
                    match self.planner.plan(ask).await {
                        Ok(plan) => markdown(&plan, kind),
                        Err(PlanFailure::Later) => return Ok(None),
                        Err(PlanFailure::Never(why)) => refused(&why),
                    }
                }
            },
        };
        let id = self.write(preview, place, pull.number, &body, comment);
        known.comment = Some(id.await?);
        Ok(Some(known))
    }

    /// Returns the commit and branch for agents, or why they cannot find it.
    async fn revision(
        &self,
        preview: &Preview,
        place: &ForgeRepository,
        pull: &PullRequest,
    ) -> Result<Result<Revision, &'static str>, Error> {
        if pull.from_fork {
            return Ok(Err(FORK));
        }
        let head = match place.at.whole_commit(&pull.head_commit) {
            None => pull.head_commit.clone(),
            Some(call) => match self.sender.ask(place, &call).await {
                Ok(whole) if whole.starts_with(&pull.head_commit) => whole,
                // The head was replaced by a push since; the next round reads the new one.
                Ok(_) | Err(Error::NotFound(_)) => String::new(),
                Err(error) => return Err(error),
            },
        };
        let (Ok(commit), Ok(branch)) = (head.parse::<Commit>(), pull.head.parse()) else {
            return Ok(Err("the forge does not report its full commit ID"));
        };
        Ok(Ok(Revision {
            repository: preview.repository.clone(),
            branch,
            commit,
        }))
    }

    /// Returns who requested a plan, where the fleet file requires it; empty: not required.
    async fn asked_by(
        &self,
        preview: &Preview,
        place: &ForgeRepository,
        pull: &PullRequest,
    ) -> Result<Result<String, Denial>, Error> {
        let Some(role) = preview.role else {
            return Ok(Ok(String::new()));
        };
        let by = match &preview.label {
            None => pull.author.clone(),
            Some(label) => match self.giver(place, pull.number, label).await? {
                Some(by) => by,
                None => return Ok(Err(Denial::Unsaid(label.clone()))),
            },
        };
        let rights = match place.at.rights(&by) {
            Some(call) => self.sender.ask(place, &call).await?,
            None => Vec::new(),
        };
        let own = rights.into_iter().find(|(name, _)| *name == by);
        let right = own.map_or(Right::None, |(_, right)| right);
        if is_enough(right, role) {
            return Ok(Ok(by));
        }
        Ok(Err(match preview.label.clone() {
            Some(label) => Denial::Giver { label, by, role },
            None => Denial::Author { by, role },
        }))
    }

    async fn giver(
        &self,
        place: &ForgeRepository,
        number: u64,
        label: &str,
    ) -> Result<Option<String>, Error> {
        let mut all = Vec::new();
        for page in 1..=EVENTS {
            let Some(call) = place.at.labellings(number, page) else {
                return Ok(None);
            };
            let page = self.sender.ask(place, &call).await?;
            all.extend(page.items);
            if !page.more {
                return Ok(given_by(&all, label).map(str::to_owned));
            }
        }
        // The last event is on a page that is not read.
        Ok(None)
    }

    /// Updates the hub's comment, or creates the first one; returns its id. Comments of others under the same marker,
    /// which the hub may not change, are left alone.
    async fn write(
        &self,
        preview: &Preview,
        place: &ForgeRepository,
        number: u64,
        body: &str,
        known: Option<u64>,
    ) -> Result<u64, Error> {
        let (at, sender) = (&place.at, &self.sender);
        if let Some(id) = known {
            match sender
                .ask(place, &at.update_comment(number, id, body))
                .await
            {
                Ok(_) => return Ok(id),
                // The comment was deleted: a new one is written.
                Err(Error::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let mark = mark(&preview.environment, at.kind());
        let mut ours = Vec::new();
        for page in 1..=COMMENTS {
            let page = sender.ask(place, &at.comments(number, page)).await?;
            let marked = page
                .items
                .iter()
                .filter(|comment| comment.body.starts_with(&mark));
            ours.extend(marked.map(|comment| comment.id));
            if !page.more {
                break;
            }
        }
        for id in ours {
            match sender
                .ask(place, &at.update_comment(number, id, body))
                .await
            {
                Ok(_) => return Ok(id),
                Err(Error::Forbidden(_) | Error::NotFound(_) | Error::Unauthorized(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let new = sender.ask(place, &at.create_comment(number, body)).await?;
        Ok(new.id)
    }
}

#[cfg(test)]
mod tests;
