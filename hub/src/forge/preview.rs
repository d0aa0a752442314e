//! Pull requests that are planned, and who may request that. Pure; [`run`] calls the forge.

pub mod run;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use flotilla_forge::{Kind, PullRequest, Right, comment, marker};
use flotilla_shared::id::{EnvironmentName, RepositoryName};
use flotilla_shared::report::{MAX_MESSAGE_BYTES, plain_line};
use flotilla_shared::revision::{BranchName, Revision};
use flotilla_status::markdown::plain;
use flotilla_status::{FleetPlan, digits};
use futures::future::BoxFuture;

use crate::spec::{Preview, Role};

/// Number of pull requests of a preview that are handled at a time; the others follow.
const PER_TURN: usize = 4;
/// Time after which a request that was refused or could not be answered is checked again.
const AGAIN: Duration = Duration::from_secs(300);

/// A request for a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviewRequest {
    pub environment: EnvironmentName,
    /// The commit and its branch.
    pub revision: Revision,
    /// Reason for the audit log.
    pub why: String,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlanFailure {
    /// Not now: too many plans are running.
    Later,
    /// Not possible; message for the pull request.
    Never(String),
}

/// Plans commits with agents.
pub trait Planner: Send + Sync {
    /// Requests a plan and waits for its end.
    fn plan(&self, ask: PreviewRequest) -> BoxFuture<'_, Result<FleetPlan, PlanFailure>>;
}

/// Key of a pull request: environment, repository, target branch and number.
type Key = (EnvironmentName, RepositoryName, BranchName, u64);

/// State of a pull request after its last check.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PreviewState {
    /// Its head commit at that time.
    head: String,
    /// Id of the hub's comment; none: none yet.
    comment: Option<u64>,
    /// When it is checked again with an unchanged head; none: never.
    again: Option<Instant>,
}

/// All pull requests that this process handled; after a restart each is handled once more.
#[derive(Debug, Default)]
struct PreviewStates(BTreeMap<Key, PreviewState>);

impl PreviewStates {
    /// Returns the open pull requests to handle now. Forgets those that no longer request a plan, so that setting the
    /// label again requests a new one.
    fn due(&mut self, preview: &Preview, open: Vec<PullRequest>, now: Instant) -> Vec<PullRequest> {
        let asking: Vec<PullRequest> = open
            .into_iter()
            .filter(|pull| asks(preview, pull))
            .collect();
        self.0
            .retain(|(environment, repository, branch, number), _| {
                let is_other = *environment != preview.environment
                    || *repository != preview.repository
                    || *branch != preview.branch;
                is_other || asking.iter().any(|pull| pull.number == *number)
            });
        let due = asking.into_iter().filter(|pull| {
            self.0.get(&key(preview, pull.number)).is_none_or(|known| {
                known.head != pull.head_commit || known.again.is_some_and(|at| at <= now)
            })
        });
        due.take(PER_TURN).collect()
    }

    /// Forgets pull requests without a preview.
    fn retain(&mut self, previews: &[Preview]) {
        self.0.retain(|(environment, repository, branch, _), _| {
            previews.iter().any(|preview| {
                preview.environment == *environment
                    && preview.repository == *repository
                    && preview.branch == *branch
            })
        });
    }
}

fn key(preview: &Preview, number: u64) -> Key {
    (
        preview.environment.clone(),
        preview.repository.clone(),
        preview.branch.clone(),
        number,
    )
}

/// Returns whether a pull request requests a plan.
fn asks(preview: &Preview, pull: &PullRequest) -> bool {
    let label = preview.label.as_ref();
    pull.open
        && pull.base == preview.branch.as_str()
        && label.is_none_or(|label| pull.labels.contains(label))
}

/// Returns whether the access is sufficient for the role in the fleet file.
fn is_enough(right: Right, role: Role) -> bool {
    right
        >= match role {
            Role::Read => Right::Read,
            Role::Write => Right::Write,
            Role::Admin => Right::Admin,
        }
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Denial {
    #[error("the forge does not report who added label {0}")]
    Unsaid(String),
    #[error(
        "label {label} was added by {by}, who may not request plans: that needs {} access to \
         this repository",
        .role.as_str()
    )]
    Giver {
        label: String,
        by: String,
        role: Role,
    },
    #[error("{by} may not request plans: that needs {} access to this repository", .role.as_str())]
    Author { by: String, role: Role },
}

impl Denial {
    /// Returns whether the refusal is commented: not everyone who opens a pull request gets an answer.
    fn is_told(&self) -> bool {
        !matches!(self, Self::Author { .. })
    }
}

/// Makes a comment that says why there is no plan.
fn refusal(environment: &EnvironmentName, head: &str, why: &str, kind: Kind) -> String {
    let text = format!(
        "**Flotilla plan for {} {}**\n\n- ⚠ no plan: {}",
        plain(environment.as_str(), MAX_MESSAGE_BYTES),
        plain(digits(head), MAX_MESSAGE_BYTES),
        plain(&plain_line(why, MAX_MESSAGE_BYTES), MAX_MESSAGE_BYTES)
    );
    comment(kind.into(), &purpose(environment), &text, &[])
}

/// Returns the marker of the comment, which `flotilla plan --comment` uses, too.
fn mark(environment: &EnvironmentName, kind: Kind) -> String {
    marker(kind, &purpose(environment))
}

fn purpose(environment: &EnvironmentName) -> String {
    format!("plan:{environment}")
}

#[cfg(test)]
mod tests;
