//! Promotions: which branches would move, and what holds them back.

use flotilla_shared::id::{ApplicationName, ClusterName, EnvironmentName, RepositoryName};
use flotilla_shared::revision::{BranchName, Commit, RepositoryUrl};
use jiff::Timestamp;

use super::gate_step;
use crate::fleet::Fleet;
use crate::fleet::gate::Gate;
use crate::suggestion::missing;

/// A computed promotion into an environment.
#[derive(Debug)]
pub struct Promotion {
    pub environment: EnvironmentName,
    /// The environment before.
    source: EnvironmentName,
    /// The moves; empty: nothing would move.
    pub moves: Vec<Move>,
    /// The environment's clusters.
    clusters: Vec<ClusterName>,
    pub gates: Vec<Gate>,
}

/// A branch that would move.
#[derive(Debug)]
pub struct Move {
    pub repository: RepositoryName,
    pub url: RepositoryUrl,
    /// The branch of the environment before.
    pub source: BranchName,
    pub branch: BranchName,
    /// Present commit of the branch; none: the branch does not exist, or was not read.
    from: Option<Commit>,
    pub to: Commit,
    /// Applications of it from that repository.
    applications: Vec<ApplicationName>,
}

/// Why no promotion can be computed; the text is for operators.
#[derive(Debug, PartialEq, Eq)]
pub enum PromotionError {
    /// The environment or repository does not exist.
    Missing(String),
    /// The environment has no environment before it.
    FromNone(String),
}

/// Computes a promotion of all commits of the environment before, of one commit, or of one repository only.
///
/// # Errors
/// When the environment or repository does not exist, or there is nothing to promote from.
pub fn promotion(
    fleet: &Fleet,
    name: &EnvironmentName,
    requested: Option<&Commit>,
    only: Option<&str>,
    now: Timestamp,
) -> Result<Promotion, PromotionError> {
    let spec = fleet.spec();
    let target = spec.environment(name).ok_or_else(|| {
        let names = spec.environment_names();
        PromotionError::Missing(missing("environment", name.as_str(), names))
    })?;
    let source = target
        .promotes_from
        .as_ref()
        .and_then(|from| spec.environment(from))
        .ok_or_else(|| {
            PromotionError::FromNone(format!(
                "environment {name} does not promote from another; commit to its branch directly"
            ))
        })?;
    if let Some(only) = only
        && !spec.repositories.contains_key(only)
    {
        let names = spec.repositories.keys().map(RepositoryName::as_str);
        return Err(PromotionError::Missing(missing("repository", only, names)));
    }
    let mut commits = fleet.good(target);
    let mut moves = Vec::new();
    let home = requested.and_then(|commit| home(fleet, commit));
    for (repository, declared) in &spec.repositories {
        if only.is_some_and(|only| only != repository.as_str()) {
            continue;
        }
        // Repositories that the environment does not use, or that lack the commit, have no branch to move.
        if only.is_none()
            && (!fleet.uses(target, repository) || home.is_some_and(|home| home != repository))
        {
            continue;
        }
        let commit = |branch| {
            let head = fleet.head(repository, branch);
            head.and_then(|head| head.commit.clone())
        };
        let Some(to) = requested.cloned().or_else(|| commit(&source.branch)) else {
            continue;
        };
        let from = commit(&target.branch);
        if from.as_ref() == Some(&to) {
            continue;
        }
        commits.insert(repository.clone(), to.clone());
        let applications = spec.applications.iter();
        let applications =
            applications.filter(|(_, application)| application.repository == *repository);
        moves.push(Move {
            repository: repository.clone(),
            url: declared.url.clone(),
            source: source.branch.clone(),
            branch: target.branch.clone(),
            from,
            to,
            applications: applications.map(|(name, _)| name.clone()).collect(),
        });
    }
    let clusters = fleet.clusters().keys();
    let clusters = clusters.filter(|cluster| fleet.belongs_to(cluster, name));
    let gates = fleet.all_gates(target, &commits, now);
    Ok(Promotion {
        environment: name.clone(),
        source: source.name.clone(),
        moves,
        clusters: clusters.cloned().collect(),
        gates,
    })
}

impl Promotion {
    /// Returns it for operators; the commits in between are known to clients with the repository.
    #[must_use]
    pub fn shown(self) -> flotilla_status::Promotion {
        flotilla_status::Promotion {
            environment: self.environment.to_string(),
            promotes_from: self.source.to_string(),
            moves: self.moves.into_iter().map(Move::shown).collect(),
            clusters: self.clusters.iter().map(ToString::to_string).collect(),
            gates: self.gates.into_iter().map(gate_step).collect(),
        }
    }
}

impl Move {
    fn shown(self) -> flotilla_status::Move {
        flotilla_status::Move {
            repository: self.repository.to_string(),
            url: self.url.to_string(),
            source_branch: self.source.to_string(),
            target_branch: self.branch.to_string(),
            from_commit: self
                .from
                .map(|commit| commit.to_string())
                .unwrap_or_default(),
            to_commit: self.to.to_string(),
            applications: self.applications.iter().map(ToString::to_string).collect(),
            commits: Vec::new(),
            commit_count: 0,
        }
    }
}

/// Returns the repository that has a commit at the head of a branch, if exactly one has.
#[must_use]
pub fn home<'f>(fleet: &'f Fleet, commit: &Commit) -> Option<&'f RepositoryName> {
    let mut having: Vec<&RepositoryName> = fleet
        .heads()
        .iter()
        .filter(|(_, head)| head.commit.as_ref() == Some(commit))
        .map(|((repository, _), _)| repository)
        .collect();
    having.dedup();
    match having.as_slice() {
        [only] => Some(only),
        _ => None,
    }
}
