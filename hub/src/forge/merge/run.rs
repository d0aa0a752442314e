//! Finds pull requests of promotions, and merges those that are ready. One task; level-triggered: everything is read
//! again, so that a restart loses nothing that matters.

mod tell;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use flotilla_forge::{Check, Error, PullRequest};
use flotilla_shared::id::{EnvironmentName, RepositoryName};
use flotilla_shared::report::{MAX_MESSAGE_BYTES, plain_line};
use flotilla_shared::revision::{BranchName, Commit};
use flotilla_status::{AuditAction, HUB_ACTOR};
use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::config::{ForgeRepository, Forges};
use super::super::rounds::{Round, Rounds};
use super::super::send::Sender;
use super::super::waits::Waits;
use super::part::PullSection;
use super::{Candidate, PullState, Wait, candidates, decide, is_exact, says};
use crate::driver::{Handle, Stopped};
use crate::fleet::{Action, AuditEntry, Event, PendingMerge};
use tell::TextHistory;

/// Highest number of pages of a commit's checks that are read.
const CHECKS: u32 = 20;
/// Number of pull requests that are read concurrently.
const AT_ONCE: usize = 4;
/// Time in which a moved branch must have been read.
const SEEN_WITHIN: Duration = Duration::from_secs(600);

type Key = (EnvironmentName, RepositoryName);

/// Setup of merges.
pub struct MergeSetup {
    pub handle: Handle,
    /// Forges and credentials.
    pub forges: Forges,
    pub sender: Arc<Sender>,
    /// Wakes the pollers.
    pub refresh: Arc<Notify>,
}

/// Memory of this process; all of it may be lost.
#[derive(Default)]
struct Memory {
    waits: Waits<Key>,
    /// Promotions that were reported to the fleet.
    reported: BTreeSet<Key>,
    /// Promotions in the audit log.
    announced: BTreeSet<(Key, Commit, u64)>,
    /// Refusals in the audit log.
    refused: BTreeMap<Key, (Commit, String)>,
    /// Branches that were moved and have not been read since.
    moved: BTreeMap<Key, (Commit, Instant)>,
    /// Texts written into pull requests, with times.
    told: TextHistory,
}

/// Result of one check.
struct CheckedCandidate {
    pull: Option<PullRequest>,
    commit: Option<Commit>,
    /// Who approved it, or why it waits.
    outcome: Result<Vec<String>, Wait>,
}

/// Merges until stopped.
pub(in crate::forge) async fn run(taking: MergeSetup, mut rounds: Rounds, stop: CancellationToken) {
    let mut memory = Memory::default();
    while let Some(round) = stop.run_until_cancelled(rounds.next()).await {
        let done = taking.round(&round, &mut memory);
        let Some(Ok(())) = stop.run_until_cancelled(done).await else {
            return;
        };
    }
}

impl MergeSetup {
    async fn round(&self, round: &Round, memory: &mut Memory) -> Result<(), Stopped> {
        let all = self.handle.query(candidates).await?;
        let keys: BTreeSet<Key> = all.iter().map(key).collect();
        memory.waits.retain(|key| keys.contains(key));
        memory.refused.retain(|key, _| keys.contains(key));
        memory.told.retain(&keys);
        memory.announced.retain(|(key, ..)| keys.contains(key));
        memory
            .moved
            .retain(|key, (_, at)| keys.contains(key) && at.elapsed() < SEEN_WITHIN);
        for gone in memory.reported.difference(&keys) {
            self.say(gone, None).await?;
        }
        memory.reported.retain(|key| keys.contains(key));
        let now = Instant::now();
        let due = all.into_iter().filter(|candidate| {
            round.has(&candidate.repository)
                && !memory.waits.holds(&key(candidate), now)
                && !memory.moved.contains_key(&key(candidate))
        });
        let due: Vec<Candidate> = due.collect();
        let mut looks = stream::iter(due)
            .map(|candidate| async move {
                let looked = self.look(&candidate).await?;
                Ok((candidate, looked))
            })
            .buffer_unordered(AT_ONCE);
        while let Some(looked) = looks.next().await {
            let (candidate, looked) = looked?;
            self.conclude(&candidate, looked, memory).await?;
        }
        Ok(())
    }

    /// Checks a promotion with as few calls as possible: the fleet knows closed gates without asking the forge.
    async fn look(&self, candidate: &Candidate) -> Result<CheckedCandidate, Stopped> {
        let mut looked = CheckedCandidate {
            pull: None,
            commit: None,
            outcome: Err(Wait::NoForge(candidate.repository.clone())),
        };
        let Some(place) = self.forges.of(&candidate.repository, &candidate.url) else {
            return Ok(looked);
        };
        match self.find(&place, candidate).await {
            Ok(pull) => looked.pull = Some(pull),
            Err(wait) => {
                looked.outcome = Err(wait);
                return Ok(looked);
            }
        }
        let Some(pull) = &looked.pull else {
            return Ok(looked);
        };
        let Some(commit) = candidate.whole(&pull.head_commit) else {
            looked.outcome = Err(flotilla_forge::NotReady::OtherCommit.into());
            return Ok(looked);
        };
        looked.commit = Some(commit.clone());
        let (environment, repository) = key(candidate);
        let asked = commit.clone();
        let takes = self
            .handle
            .query(move |fleet| says(fleet, &environment, (&repository, &asked), Timestamp::now()));
        looked.outcome = match takes.await? {
            Err(wait) => Err(wait),
            Ok(()) => match self.ask(&place, candidate, pull.number, &commit).await {
                Ok(found) => decide(&place.at, &candidate.environment, &commit, found),
                Err(error) => Err(error.into()),
            },
        };
        Ok(looked)
    }

    /// Finds the open pull request.
    async fn find(
        &self,
        place: &ForgeRepository,
        candidate: &Candidate,
    ) -> Result<PullRequest, Wait> {
        let none = || Wait::NoPull(candidate.environment.clone());
        let asks: BranchName = candidate.asks().parse().map_err(|_| none())?;
        let call = place.at.find_pulls(&asks, &candidate.branch);
        let open = self.sender.ask(place, &call).await?;
        candidate
            .ours(place.at.kind(), &open)
            .cloned()
            .ok_or_else(none)
    }

    /// Reads its state at the forge.
    async fn ask(
        &self,
        place: &ForgeRepository,
        candidate: &Candidate,
        number: u64,
        commit: &Commit,
    ) -> Result<PullState, Error> {
        let (at, sender) = (&place.at, &self.sender);
        let mut found = PullState {
            pull: sender.ask(place, &at.pull(number)).await?,
            approvals: sender.ask(place, &at.approvals(number)).await?,
            ..PullState::default()
        };
        for call in at.required(&candidate.branch) {
            let required = sender.ask(place, &call).await?;
            found.required = found.required.and(required);
        }
        found.checks = self.checks(place, commit).await?;
        if let Some(call) = at.rewrites() {
            found.rewrites = sender.ask(place, &call).await?;
        }
        Ok(found)
    }

    async fn checks(&self, place: &ForgeRepository, commit: &Commit) -> Result<Vec<Check>, Error> {
        let mut all = Vec::new();
        for number in 1..=CHECKS {
            let mut more = false;
            for call in place.at.checks(commit, number) {
                let page = self.sender.ask(place, &call).await?;
                all.extend(page.items);
                more |= page.more;
            }
            if !more {
                return Ok(all);
            }
        }
        // A failed check may be on a page that is not read.
        Err(Error::Unreadable(format!(
            "more than {CHECKS} pages of checks"
        )))
    }

    /// Merges what is ready, and shows what is not.
    async fn conclude(
        &self,
        candidate: &Candidate,
        looked: CheckedCandidate,
        memory: &mut Memory,
    ) -> Result<(), Stopped> {
        let key = key(candidate);
        let mut part = None;
        let wait = match (looked.outcome, &looked.pull, &looked.commit) {
            (Ok(people), Some(pull), Some(commit)) => {
                let wait = self.take(candidate, pull, commit, &people, memory).await?;
                if wait.is_none() {
                    part = Some(PullSection::taken(commit, &people));
                }
                wait
            }
            (Err(wait), ..) => Some(wait),
            _ => None,
        };
        match &wait {
            Some(Wait::Forge(error)) => {
                if memory.waits.failed(&key, error, Instant::now()) {
                    let (environment, repository) = &key;
                    tracing::warn!(%environment, %repository, %error, "cannot merge the pull request of a promotion; will retry");
                }
            }
            _ => memory.waits.ended(&key),
        }
        let pull = looked.pull.as_ref();
        let merging = wait.as_ref().map(|wait| PendingMerge {
            commit: looked.commit,
            pull: pull.map(|pull| (pull.number, pull.link.clone())),
            refused: wait.is_refusal(),
            word: wait.code(),
            text: plain_line(&wait.to_string(), MAX_MESSAGE_BYTES),
        });
        // A failing forge says nothing about the pull request, and gets no further calls.
        let passes = matches!(&wait, Some(Wait::Forge(error)) if error.passes());
        if !passes {
            part = part.or(merging.as_ref().map(PullSection::waits));
        }
        memory.reported.insert(key.clone());
        self.say(&key, merging).await?;
        if let (Some(part), Some(pull)) = (part, pull) {
            self.tell(candidate, pull, &part, &mut memory.told).await;
        }
        Ok(())
    }

    /// Moves the branch; returns why, if it did not move.
    async fn take(
        &self,
        candidate: &Candidate,
        pull: &PullRequest,
        commit: &Commit,
        people: &[String],
        memory: &mut Memory,
    ) -> Result<Option<Wait>, Stopped> {
        let key = key(candidate);
        let Some(place) = self.forges.of(&candidate.repository, &candidate.url) else {
            return Ok(Some(Wait::NoForge(candidate.repository.clone())));
        };
        let announcement = (key.clone(), commit.clone(), pull.number);
        if let Err(wait) = self
            .announce(candidate, &announcement, pull, people, memory)
            .await?
        {
            return Ok(Some(wait));
        }
        memory.announced.insert(announcement);
        let call = place.at.fast_forward(pull, commit);
        match self.sender.ask(&place, &call).await {
            Ok(()) => {
                let (environment, commit_word) = (&candidate.environment, commit.short());
                let exact = is_exact(place.at.kind());
                tracing::info!(%environment, commit = commit_word, pull = pull.number, exact, "merged the pull request of a promotion");
                memory.moved.insert(key, (commit.clone(), Instant::now()));
                self.refresh.notify_one();
                Ok(None)
            }
            Err(error) => {
                let told = (commit.clone(), error.to_string());
                if memory.refused.get(&key) != Some(&told) {
                    let entry = refusal(candidate, pull, &told, Timestamp::now());
                    if let Err(error) = self.handle.commit(Event::Tick, entry).await? {
                        tracing::warn!(%error, "cannot record a refusal");
                    }
                    memory.refused.insert(key, told);
                }
                Ok(Some(error.into()))
            }
        }
    }

    /// Announces a merge in the audit log, in one step with the last check of the fleet.
    async fn announce(
        &self,
        candidate: &Candidate,
        announcement: &(Key, Commit, u64),
        pull: &PullRequest,
        people: &[String],
        memory: &Memory,
    ) -> Result<Result<(), Wait>, Stopped> {
        let is_news = !memory.announced.contains(announcement);
        let reason = format!(
            "pull request {} ({}), approved by {}",
            pull.number,
            pull.link,
            people.join(", ")
        );
        let reason = plain_line(&reason, MAX_MESSAGE_BYTES);
        let ((environment, repository), commit) = (key(candidate), announcement.1.clone());
        let noted = self.handle.change(move |fleet, now| {
            if let Err(wait) = says(fleet, &environment, (&repository, &commit), now) {
                return (Err(wait), Vec::new());
            }
            if !is_news {
                return (Ok(()), Vec::new());
            }
            let action = Action::Promote {
                environment,
                commit,
            };
            match fleet.act(&action, HUB_ACTOR, &reason, now) {
                Ok(taken) => (Ok(()), taken.effects),
                Err(error) => (Err(Wait::Held(error.to_string())), Vec::new()),
            }
        });
        Ok(match noted.await? {
            Ok(result) => result,
            Err(error) => Err(Wait::Held(error.to_string())),
        })
    }

    async fn say(&self, key: &Key, waits: Option<PendingMerge>) -> Result<(), Stopped> {
        let (environment, repository) = key.clone();
        let event = Event::MergeLooked {
            environment,
            repository,
            waits: waits.map(Box::new),
        };
        self.handle.event(event).await
    }
}

fn key(candidate: &Candidate) -> Key {
    (candidate.environment.clone(), candidate.repository.clone())
}

/// Makes the audit entry of an announced promotion that did not happen.
fn refusal(
    candidate: &Candidate,
    pull: &PullRequest,
    (commit, error): &(Commit, String),
    now: Timestamp,
) -> AuditEntry {
    AuditEntry {
        at: now,
        actor: HUB_ACTOR.to_owned(),
        action: AuditAction::PromotionRefused,
        environment: candidate.environment.to_string(),
        commit: commit.to_string(),
        reason: plain_line(error, MAX_MESSAGE_BYTES),
        detail: format!(
            "pull request {}; branch {} of {} stays where it is; will retry",
            pull.number, candidate.branch, candidate.url
        ),
        ..AuditEntry::default()
    }
}

#[cfg(test)]
mod tests;
