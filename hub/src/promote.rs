//! Automatic promotion: where an environment is configured so and the hub has a credential, the hub fast-forwards its
//! branch to the commit that the environment before has proven.
//!
//! The hub reads Git in process; only for this it runs the system's `git`, in an empty environment and a bare
//! repository of its own, so that nothing of a repository or a user's configuration is ever executed. It never forces:
//! the Git server refuses what is not a fast-forward.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use flotilla_shared::id::{EnvironmentName, RepositoryName};
use flotilla_shared::report::{MAX_MESSAGE_BYTES, plain_line};
use flotilla_shared::revision::{BranchName, Commit, RepositoryUrl};
use flotilla_status::{AuditAction, HUB_ACTOR};
use jiff::Timestamp;
use tokio::process::Command;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::driver::{Handle, Rejection, Stopped};
use crate::fleet::gate::closed;
use crate::fleet::rollout::{Commits, Rollout};
use crate::fleet::stops::Stop;
use crate::fleet::{Action, AuditEntry, Event, Fleet};
use crate::spec::Environment;

/// Interval of checks.
const INTERVAL: Duration = Duration::from_secs(10);
/// Time limit of one run of git.
const TIMEOUT: Duration = Duration::from_secs(120);

/// The credentials for pushing: a file for `git-credential-store` (<https://git-scm.com/docs/git-credential-store>).
#[derive(Debug, Clone)]
pub struct Credential {
    path: PathBuf,
}

impl Credential {
    /// Opens a file that only its owner and group may read.
    ///
    /// # Errors
    /// When it does not exist, or others may read it.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        use std::os::unix::fs::PermissionsExt as _;
        let metadata = std::fs::metadata(path).with_context(|| path.display().to_string())?;
        anyhow::ensure!(
            metadata.permissions().mode() & 0o007 == 0,
            "{0} is readable by everyone: run `chmod o-rwx {0}`",
            path.display()
        );
        let path = path.canonicalize()?;
        Ok(Self { path })
    }
}

/// A branch of a repository that is to be moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DuePromotion {
    /// The environment's name.
    pub environment: EnvironmentName,
    pub url: RepositoryUrl,
    /// The branch of the environment before, which has the commit.
    pub source: BranchName,
    /// The branch that moves.
    pub branch: BranchName,
    /// The commit that it moves to.
    pub commit: Commit,
}

/// Returns what should be promoted now: proven, requested and not held. Pure.
#[must_use]
pub fn due(fleet: &Fleet, now: Timestamp) -> Vec<DuePromotion> {
    let spec = fleet.spec();
    let mut all = Vec::new();
    for target in spec
        .environments
        .iter()
        .filter(|environment| environment.auto_promote)
    {
        let Some(source) = target
            .promotes_from
            .as_ref()
            .and_then(|from| spec.environment(from))
        else {
            continue;
        };
        let heads = fleet.head_commits(target);
        for (repository, commit) in fleet.good(source) {
            if heads.get(&repository) == Some(&commit) || !fleet.uses(target, &repository) {
                continue;
            }
            if kept_out(fleet, target, (&repository, &commit), now).is_some() {
                continue;
            }
            if let Some(declared) = spec.repositories.get(&repository) {
                all.push(DuePromotion {
                    environment: target.name.clone(),
                    url: declared.url.clone(),
                    source: source.branch.clone(),
                    branch: target.branch.clone(),
                    commit,
                });
            }
        }
    }
    all
}

/// Why the hub does not promote a commit now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PromotionBlock {
    /// A decision of an operator, or a running rollout, holds it back.
    Held(String),
    /// A gate is closed.
    Gate(String),
}

/// Returns why the hub does not promote a commit by itself now; none: it may.
#[must_use]
pub fn kept_out(
    fleet: &Fleet,
    target: &Environment,
    (repository, commit): (&RepositoryName, &Commit),
    now: Timestamp,
) -> Option<PromotionBlock> {
    let mut commits = fleet.good(target);
    commits.insert(repository.clone(), commit.clone());
    if let Some(why) = held(fleet, target, repository, &commits) {
        return Some(PromotionBlock::Held(why));
    }
    // A running rollout completes first; one that has not begun is replaced.
    let rollout = fleet.rollouts().get(&target.name);
    let runs = |rollout: &&Rollout| rollout.started_at.is_some() && !rollout.state.is_over();
    if let Some(rollout) = rollout.filter(runs) {
        return Some(PromotionBlock::Held(format!("{} is under way", rollout.id)));
    }
    closed(&fleet.gates(target, &commits, now)).map(PromotionBlock::Gate)
}

/// Returns what holds a promotion back apart from gates: decisions of operators and failures.
fn held(
    fleet: &Fleet,
    target: &Environment,
    repository: &RepositoryName,
    commits: &Commits,
) -> Option<String> {
    let name = &target.name;
    let resume = format!("to let commits in again: flotilla resume {name}");
    // Decisions of operators are reported before failures.
    let (failures, decided): (Vec<Stop<'_>>, Vec<Stop<'_>>) = fleet
        .stops(name, commits)
        .into_iter()
        .partition(|stop| matches!(stop, Stop::Failure(..)));
    decided.into_iter().chain(failures).find_map(|stop| {
        Some(match stop {
            Stop::Hold(hold) if !hold.is_of(repository) => return None,
            Stop::Hold(hold) => {
                let (why, by) = (&hold.mark.reason, &hold.mark.by);
                format!("{name} was rolled back ({by}): {why}; {resume}")
            }
            Stop::Pause(mark) => format!("{} paused {name}: {}; {resume}", mark.by, mark.reason),
            Stop::Pin(pin) => {
                let (by, why) = (&pin.mark.by, &pin.mark.reason);
                format!("{by} pinned {name}: {why}")
            }
            Stop::Failure(quarantine, _) => format!("it failed in {name}: {}", quarantine.reason),
        })
    })
}

/// Moves branches with the hub's credential, one at a time.
pub struct Mover {
    credential: Credential,
    refresh: Arc<Notify>,
    one_at_a_time: tokio::sync::Mutex<()>,
}

/// Why a branch was not moved.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// The move cannot be recorded, so it is not made.
    #[error(transparent)]
    Unnoted(#[from] Rejection),
    /// The Git server refused, or was not reached; this is in the audit log, too.
    #[error("{0}")]
    Push(String),
    /// The hub is stopping.
    #[error("the hub is stopping")]
    Stopping,
}

impl From<Stopped> for MoveError {
    fn from(_: Stopped) -> Self {
        Self::Stopping
    }
}

impl Mover {
    /// Makes a mover. `refresh` is notified when a branch has moved.
    #[must_use]
    pub fn new(credential: Credential, refresh: Arc<Notify>) -> Self {
        Self {
            credential,
            refresh,
            one_at_a_time: tokio::sync::Mutex::default(),
        }
    }

    /// Records who moves a branch and why, and moves it; a refusal of the Git server is recorded as well.
    ///
    /// # Errors
    /// Why the branch was not moved.
    pub async fn promote(
        &self,
        handle: &Handle,
        due: &DuePromotion,
        by: &str,
        why: &str,
    ) -> Result<(), MoveError> {
        let _turn = self.one_at_a_time.lock().await;
        let action = Action::Promote {
            environment: due.environment.clone(),
            commit: due.commit.clone(),
        };
        handle.act(action, by, why).await??;
        let environment = &due.environment;
        match push(&self.credential, due).await {
            Ok(()) => {
                tracing::info!(%environment, commit = due.commit.short(), by, "promoted");
                self.refresh.notify_one();
                Ok(())
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(%environment, error, by, "cannot promote");
                let entry = refusal(due, &error, Timestamp::now());
                if let Err(error) = handle.commit(Event::Tick, entry).await? {
                    tracing::warn!(%error, "cannot record a refusal");
                }
                Err(MoveError::Push(error))
            }
        }
    }
}

/// Promotes until stopped.
pub async fn run(handle: Handle, mover: Arc<Mover>, stop: CancellationToken) {
    let mut refused: Vec<DuePromotion> = Vec::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = stop.cancelled() => return,
        }
        let Ok(due) = handle.query(|fleet| due(fleet, Timestamp::now())).await else {
            return;
        };
        // A promotion that the server rejected is not tried again until it changes.
        refused.retain(|known| due.contains(known));
        for promotion in due {
            if refused.contains(&promotion) {
                continue;
            }
            let why = "proven in the environment before";
            match mover.promote(&handle, &promotion, HUB_ACTOR, why).await {
                Ok(()) => {}
                Err(MoveError::Push(_)) => refused.push(promotion),
                Err(MoveError::Unnoted(error)) => tracing::warn!(%error, "cannot record promotion"),
                Err(MoveError::Stopping) => return,
            }
        }
    }
}

/// Makes the audit entry of an announced promotion that did not happen.
fn refusal(due: &DuePromotion, error: &str, now: Timestamp) -> AuditEntry {
    AuditEntry {
        at: now,
        actor: HUB_ACTOR.to_owned(),
        action: AuditAction::PromotionRefused,
        environment: due.environment.to_string(),
        commit: due.commit.to_string(),
        reason: plain_line(error, MAX_MESSAGE_BYTES),
        detail: format!(
            "branch {} of {} stays where it is; will retry when the proven commit or the branch \
             changes",
            due.branch, due.url
        ),
        ..AuditEntry::default()
    }
}

async fn push(credential: &Credential, due: &DuePromotion) -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let place = directory.path();
    git(
        place,
        credential,
        &["init", "--quiet", "--bare", "--template="],
    )
    .await?;
    let source = format!("+{}:refs/flotilla/source", due.source.full_ref());
    let fetch = [
        "fetch",
        "--quiet",
        "--no-tags",
        "--no-recurse-submodules",
        "--",
    ];
    let mut arguments = fetch.to_vec();
    arguments.extend([due.url.as_str(), source.as_str()]);
    git(place, credential, &arguments).await?;
    // Agents require the same: a promoted commit is on the branch where it was proven.
    let on_branch = [
        "merge-base",
        "--is-ancestor",
        due.commit.as_str(),
        "refs/flotilla/source",
    ];
    git(place, credential, &on_branch).await?;
    let to = format!("{}:{}", due.commit, due.branch.full_ref());
    let push = [
        "push",
        "--quiet",
        "--no-follow-tags",
        "--",
        due.url.as_str(),
        to.as_str(),
    ];
    git(place, credential, &push).await
}

async fn git(place: &Path, credential: &Credential, arguments: &[&str]) -> anyhow::Result<()> {
    let what = arguments.first().copied().unwrap_or_default();
    let mut command = Command::new("git");
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", place)
        .env("LC_ALL", "C")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_ALLOW_PROTOCOL", "https:http:file")
        .arg("-C")
        .arg(place)
        .args([
            "-c",
            "core.hooksPath=/dev/null",
            "-c",
            "http.followRedirects=false",
        ])
        .arg("-c")
        .arg(format!(
            "credential.helper=store --file='{}'",
            credential.path.display().to_string().replace('\'', r"'\''")
        ))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let output = tokio::time::timeout(TIMEOUT, command.output())
        .await
        .with_context(|| format!("git {what} timed out"))?
        .with_context(|| "cannot start git")?;
    if !output.status.success() {
        let text = plain_line(&String::from_utf8_lossy(&output.stderr), 500);
        anyhow::bail!("git {what} failed: {text}");
    }
    Ok(())
}
