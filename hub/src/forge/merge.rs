//! When the hub merges the pull request of a promotion: once its forge would and the gates are open, at exactly the
//! commit that was proven. Pure; [`run`] asks and acts.
//!
//! ```text
//!   candidates(fleet) -> the open pull request -> says(fleet, commit) -> decide(what the forge says)
//!                                                       |                        |
//!                                                       +---- a Wait, shown -----+--> take
//! ```

mod part;
pub mod run;

use flotilla_forge::{
    Approval, Check, Error, Kind, NotReady, PullRequest, Repository, Required, Rewrites, marker,
    ready,
};
use flotilla_shared::id::{EnvironmentName, RepositoryName};
use flotilla_shared::revision::{BranchName, Commit, RepositoryUrl};
use jiff::Timestamp;

use super::status::context;
use crate::fleet::Fleet;
use crate::promote::{PromotionBlock, kept_out};

/// A promotion that may have a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The environment's name.
    pub environment: EnvironmentName,
    /// The repository's name.
    pub repository: RepositoryName,
    /// URL of the repository.
    pub url: RepositoryUrl,
    /// The environment's branch.
    pub branch: BranchName,
    /// Head of the branch; none: it does not exist yet.
    pub head: Option<Commit>,
    /// Commits that its head may be: some forges shorten commits.
    pub known: Vec<Commit>,
}

impl Candidate {
    /// Returns the branch that `flotilla promote --pull-request` pushes.
    #[must_use]
    pub fn asks(&self) -> String {
        format!("flotilla/promote-{}", self.environment)
    }

    /// Returns its pull request among the open ones.
    #[must_use]
    pub fn ours<'p>(&self, kind: Kind, pulls: &'p [PullRequest]) -> Option<&'p PullRequest> {
        let mark = marker(kind, &format!("promote:{}", self.environment));
        let head = self.asks();
        pulls.iter().find(|pull| {
            pull.open
                && !pull.from_fork
                && pull.head == head
                && pull.base == self.branch.as_str()
                && pull.body.contains(&mark)
        })
    }

    /// Returns the full commit for what a forge reports.
    #[must_use]
    pub fn whole(&self, text: &str) -> Option<Commit> {
        let same = |commit: &&Commit| text.len() >= 12 && commit.as_str().starts_with(text);
        text.parse()
            .ok()
            .or_else(|| self.known.iter().find(same).cloned())
    }
}

/// Returns promotions that may be merged: the environment is configured so, its branch was read since this process
/// started, and the environment before has another commit.
#[must_use]
pub fn candidates(fleet: &Fleet) -> Vec<Candidate> {
    let spec = fleet.spec();
    let mut all = Vec::new();
    for target in spec
        .environments
        .iter()
        .filter(|environment| environment.merge.is_some())
    {
        let from = target.promotes_from.as_ref();
        let Some(source) = from.and_then(|from| spec.environment(from)) else {
            continue;
        };
        let good = fleet.good(source);
        for (name, repository) in &spec.repositories {
            if !fleet.uses(target, name) {
                continue;
            }
            let head = fleet.head(name, &target.branch);
            // A head from the store may be from before the branch moved, so it must have been read by this process.
            let Some(head) = head.filter(|head| head.checked_at.is_some()) else {
                continue;
            };
            let ahead = fleet.head(name, &source.branch);
            let ahead = ahead.and_then(|head| head.commit.as_ref());
            let known = good.get(name).into_iter().chain(ahead);
            let mut known: Vec<Commit> = known.cloned().collect();
            if known
                .iter()
                .all(|commit| head.commit.as_ref() == Some(commit))
            {
                continue;
            }
            let state = fleet.environments().get(&target.name);
            let proven = state.into_iter().flat_map(|state| &state.proven);
            known.extend(proven.filter_map(|good| good.commits.get(name).cloned()));
            all.push(Candidate {
                environment: target.name.clone(),
                repository: name.clone(),
                url: repository.url.clone(),
                branch: target.branch.clone(),
                head: head.commit.clone(),
                known,
            });
        }
    }
    all
}

/// Why a pull request is not merged yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Wait {
    /// Its forge is not configured.
    #[error("the hub has no credential for the forge of {0}: add it to its --forge-file")]
    NoForge(RepositoryName),
    /// There is no open pull request.
    #[error(
        "no pull request is open; to open it: flotilla promote {0} --pull-request \
         --forge-token-file FILE"
    )]
    NoPull(EnvironmentName),
    /// A decision of an operator, or a running rollout, holds it back.
    #[error("{0}")]
    Held(String),
    /// A gate is closed.
    #[error("{0}")]
    Gate(String),
    /// Another commit with the same files was proven.
    #[error(
        "another commit with the same files was proven, not this one; promote again to move its \
         branch to the proven one"
    )]
    Twin,
    /// Its forge would not merge it, or it is not approved.
    #[error("{0}")]
    NotReady(#[from] NotReady),
    /// A merge there would create another commit.
    #[error("{0}")]
    MergeMethod(Rewrites),
    /// The forge does not answer, or it refuses.
    #[error("{0}")]
    Forge(#[from] Error),
}

impl Wait {
    /// Returns a code from a fixed set.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoForge(_) => "noForge",
            Self::NoPull(_) => "noPull",
            Self::Held(_) => "held",
            Self::Gate(_) => "gate",
            Self::Twin => "twin",
            Self::NotReady(NotReady::Approvals { .. }) => "approvals",
            Self::NotReady(NotReady::Check(_)) => "check",
            Self::NotReady(_) => "notReady",
            Self::MergeMethod(_) => "mergeMethod",
            Self::Forge(error) => error.code(),
        }
    }

    /// Returns whether something has to be fixed first.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::NoForge(_) | Self::MergeMethod(_) | Self::Twin => true,
            Self::Forge(error) => !error.passes(),
            Self::NotReady(why) => matches!(
                why,
                NotReady::Fork | NotReady::OtherCommit | NotReady::Squash
            ),
            Self::NoPull(_) | Self::Held(_) | Self::Gate(_) => false,
        }
    }
}

/// Checks whether the fleet admits a commit into an environment now.
///
/// # Errors
/// Why it is not admitted.
pub fn says(
    fleet: &Fleet,
    environment: &EnvironmentName,
    (repository, commit): (&RepositoryName, &Commit),
    now: Timestamp,
) -> Result<(), Wait> {
    let target = fleet.spec().environment(environment);
    let Some(target) = target.filter(|target| target.merge.is_some()) else {
        let text = "the fleet file no longer asks the hub to merge it";
        return Err(Wait::Held(text.to_owned()));
    };
    match kept_out(fleet, target, (repository, commit), now) {
        Some(PromotionBlock::Held(why)) => return Err(Wait::Held(why)),
        Some(PromotionBlock::Gate(why)) => return Err(Wait::Gate(why)),
        None => {}
    }
    if !fleet.is_proof_its_own(environment, repository, commit) {
        return Err(Wait::Twin);
    }
    Ok(())
}

/// State of a pull request at its forge.
#[derive(Debug, Clone, Default)]
pub struct PullState {
    pub pull: PullRequest,
    /// Requirements of its target branch.
    pub required: Required,
    /// Its approvals.
    pub approvals: Vec<Approval>,
    /// Checks of its commit.
    pub checks: Vec<Check>,
    /// Why a merge there would create another commit, if it would.
    pub rewrites: Option<Rewrites>,
}

/// Checks whether a pull request can be merged at this commit, which the fleet admits. Returns who approved it.
///
/// # Errors
/// Why it is not merged yet.
pub fn decide(
    at: &Repository,
    environment: &EnvironmentName,
    commit: &Commit,
    mut found: PullState,
) -> Result<Vec<String>, Wait> {
    if let Some(rewrites) = found.rewrites {
        return Err(Wait::MergeMethod(rewrites));
    }
    // The hub's own status is ignored: it only repeats the gates, which were checked before, and it does not succeed
    // before the merge.
    let own = at.check_name(&context(environment));
    found.required.checks.retain(|name| *name != own);
    found.checks.retain(|check| check.name != own);
    // Approvals must be of this commit: one pull request carries many commits over time.
    found.required.fresh = true;
    let mut people = ready(
        &found.pull,
        commit,
        &found.required,
        &found.approvals,
        &found.checks,
    )?;
    people.sort();
    Ok(people)
}

/// Returns whether a forge merges a pull request at a given commit only; otherwise its branch may move between the
/// check and the merge.
#[must_use]
pub fn is_exact(kind: Kind) -> bool {
    kind != Kind::Bitbucket
}

#[cfg(test)]
mod tests;
