//! Which pull requests the hub says something about beforehand, and who may ask for that. Pure; [`run`] asks
//! and writes.

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

/// Pull requests of one preview that are taken up at one look; the others follow.
const PER_TURN: usize = 4;
/// Who was not allowed to ask, or could not be told, is looked at again after this.
const AGAIN: Duration = Duration::from_secs(300);

/// What is asked of agents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    pub environment: EnvironmentName,
    /// About which commit, and on which branch it is.
    pub revision: Revision,
    /// For the log.
    pub why: String,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unplanned {
    /// Not now: others are under way.
    Later,
    /// Not at all; for a person.
    Never(String),
}

/// Who asks agents.
pub trait Planner: Send + Sync {
    /// Asks them, and waits for the end of it.
    fn plan(&self, ask: Ask) -> BoxFuture<'_, Result<FleetPlan, Unplanned>>;
}

/// Which preview of which pull request.
type Key = (EnvironmentName, RepositoryName, BranchName, u64);

/// What was done about a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    /// The commit at its end then.
    head: String,
    /// Our comment; none: there is none yet.
    comment: Option<u64>,
    /// It is looked at again from this moment on, though its end is the same; none: never.
    again: Option<Instant>,
}

/// What was done about all of them, by this process: one that begins anew does it once more.
#[derive(Debug, Default)]
struct Told(BTreeMap<Key, Known>);

impl Told {
    /// Whom to take up now of what is open, and forgets those that do not ask any more: whoever marks one
    /// again asks again.
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

    /// Forgets what no preview is for any more.
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

/// Whether a pull request asks at all.
fn asks(preview: &Preview, pull: &PullRequest) -> bool {
    let label = preview.label.as_ref();
    pull.open
        && pull.base == preview.branch.as_str()
        && label.is_none_or(|label| pull.labels.contains(label))
}

/// Whether somebody may do what the fleet file demands.
fn is_enough(right: Right, role: Role) -> bool {
    right
        >= match role {
            Role::Read => Right::Read,
            Role::Write => Right::Write,
            Role::Admin => Right::Admin,
        }
}

/// Why who asked is not listened to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Denied {
    #[error("the forge does not say who gave label {0}")]
    Unsaid(String),
    #[error(
        "label {label} was given by {by}, who may not ask: it takes {} to this repository",
        .role.as_str()
    )]
    Giver {
        label: String,
        by: String,
        role: Role,
    },
    #[error("{by} may not ask: it takes {} to this repository", .role.as_str())]
    Author { by: String, role: Role },
}

impl Denied {
    /// Whether it is said in the pull request: whoever may open one is not answered each time.
    fn is_told(&self) -> bool {
        !matches!(self, Self::Author { .. })
    }
}

/// A comment that says why there is no plan.
fn refusal(environment: &EnvironmentName, head: &str, why: &str, kind: Kind) -> String {
    let text = format!(
        "**Flotilla plan for {} {}**\n\n- ⚠ no plan: {}",
        plain(environment.as_str(), MAX_MESSAGE_BYTES),
        plain(digits(head), MAX_MESSAGE_BYTES),
        plain(&plain_line(why, MAX_MESSAGE_BYTES), MAX_MESSAGE_BYTES)
    );
    comment(kind.into(), &purpose(environment), &text, &[])
}

/// By which the comment is found again; `flotilla plan --comment` writes the same one.
fn mark(environment: &EnvironmentName, kind: Kind) -> String {
    marker(kind, &purpose(environment))
}

fn purpose(environment: &EnvironmentName) -> String {
    format!("plan:{environment}")
}

#[cfg(test)]
mod tests;
