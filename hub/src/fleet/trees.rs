//! Content of commits, as far as the hub has read it, and what follows: for which clusters a rollout changes nothing.
//! Not stored: it is read again, and until then no cluster is started early.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use flotilla_shared::digest::Digest;
use flotilla_shared::id::{EnvironmentName, RepositoryName};
use flotilla_shared::problem::Problem;
use flotilla_shared::report::Report;
use flotilla_shared::revision::Commit;
use flotilla_shared::source::{Directories, ROOT};
use jiff::Timestamp;

use super::environment::EnvironmentState;
use super::rollout::{Change, Commits};
use super::{Cluster, Fleet};

/// Highest number of commits of a repository whose directories are kept. One of 20,000 directories takes 2 MiB.
const MAX_COMMITS: usize = 8;

/// Highest number of proven commits that an unproven one is compared with, newest first.
const MAX_TWINS: usize = 3;

/// Highest number of answers kept for an environment; beyond that, they are computed again.
const MAX_ANSWERS: usize = 50_000;

/// Whether two commits have the same content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Contents {
    Same,
    Different,
    /// The directories of one of them have not been read.
    Unknown,
}

/// Directories by commit, and conclusions from them.
#[derive(Debug, Clone, Default)]
pub(super) struct Trees {
    known: BTreeMap<RepositoryName, BTreeMap<Commit, Arc<Directories>>>,
    /// Why the last read failed.
    problems: BTreeMap<RepositoryName, Problem>,
    answers: BTreeMap<EnvironmentName, Answers>,
}

/// Answers to what a rollout's commits change for clusters, by the paths these report to depend on: every step asks
/// again, for ten thousand of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Answers {
    target: Commits,
    by_reads: HashMap<Digest, Change>,
}

impl Trees {
    fn get(&self, repository: &RepositoryName, commit: &Commit) -> Option<&Directories> {
        let known = self.known.get(repository)?;
        known.get(commit).map(AsRef::as_ref)
    }

    /// Returns whether two commits have the same content.
    pub(super) fn compare(
        &self,
        repository: &RepositoryName,
        left: &Commit,
        right: &Commit,
    ) -> Contents {
        let root = |commit| self.get(repository, commit)?.get(ROOT);
        match root(left).zip(root(right)) {
            Some((left, right)) if left == right => Contents::Same,
            Some(_) => Contents::Different,
            None => Contents::Unknown,
        }
    }

    /// Takes the answers for an environment's rollout; none where nothing is known that could give one.
    pub(super) fn take_answers(
        &mut self,
        environment: &EnvironmentName,
        target: &Commits,
    ) -> Option<Answers> {
        if self.known.is_empty() {
            return None;
        }
        let answers = self.answers.remove(environment);
        let fits =
            |answers: &Answers| answers.target == *target && answers.by_reads.len() <= MAX_ANSWERS;
        Some(answers.filter(fits).unwrap_or_else(|| Answers {
            target: target.clone(),
            by_reads: HashMap::new(),
        }))
    }

    /// Keeps answers for the next step.
    pub(super) fn put_answers(&mut self, environment: &EnvironmentName, answers: Option<Answers>) {
        if let Some(answers) = answers {
            self.answers.insert(environment.clone(), answers);
        }
    }

    /// Records the content of a commit; of its repository only the commits that are `needed` are kept.
    fn read(
        &mut self,
        repository: &RepositoryName,
        commit: Commit,
        directories: Arc<Directories>,
        needed: &[Commit],
    ) {
        let known = self.known.entry(repository.clone()).or_default();
        known.retain(|commit, _| needed.contains(commit));
        if needed.contains(&commit) {
            known.insert(commit, directories);
        }
        self.problems.remove(repository);
        self.answers.clear();
    }

    /// Notes why a read failed. Returns whether that is new.
    fn failed(&mut self, repository: RepositoryName, problem: Problem) -> bool {
        let is_news = self.problems.get(&repository) != Some(&problem);
        if is_news {
            self.problems.insert(repository, problem);
        }
        is_news
    }

    /// Deletes all other repositories, with the conclusions from them.
    pub(super) fn keep_only(&mut self, is_kept: impl Fn(&RepositoryName) -> bool) {
        self.known.retain(|name, _| is_kept(name));
        self.problems.retain(|name, _| is_kept(name));
        self.answers.clear();
    }

    /// Returns what the target changes for a cluster that is healthy on exactly what is assigned; for any other one
    /// that is not known.
    pub(super) fn change(&self, cluster: &Cluster, answers: &mut Answers) -> Change {
        let (Some(reads), Some(report)) = (cluster.reads, &cluster.report) else {
            return Change::Unknown;
        };
        if cluster.current_since.is_none() || report.assignment != cluster.assigned_ref() {
            return Change::Unknown;
        }
        let target = &answers.target;
        let answer = answers.by_reads.entry(reads);
        *answer.or_insert_with(|| self.change_since(report, target))
    }

    /// Returns what the target changes for a cluster that runs what the report says.
    fn change_since(&self, report: &Report, target: &Commits) -> Change {
        let mut worst = Change::Nothing;
        for application in report.applications.values() {
            let Some(revision) = &application.revision else {
                return Change::Unknown;
            };
            let Some(commit) = target.get(&revision.repository) else {
                return Change::Unknown;
            };
            if *commit == revision.commit {
                continue;
            }
            let trees =
                [commit, &revision.commit].map(|commit| self.get(&revision.repository, commit));
            match trees {
                [Some(new), Some(old)] if application.source_paths.is_known() => {
                    if !old.agree(new, &application.source_paths) {
                        return Change::Something;
                    }
                }
                _ => worst = Change::Unknown,
            }
        }
        worst
    }
}

impl Fleet {
    /// Returns the commits of a repository whose directories should be read and are not known, the most useful first:
    /// targets of rollouts, commits of environments, other commits of their clusters, and queued ones.
    #[must_use]
    pub fn missing_trees(&self, repository: &RepositoryName) -> Vec<Commit> {
        let mut needed = self.needed_trees(repository);
        let known = self.sources.trees.known.get(repository);
        needed.retain(|commit| known.is_none_or(|known| !known.contains_key(commit)));
        needed
    }

    fn needed_trees(&self, repository: &RepositoryName) -> Vec<Commit> {
        let mut applications = self.spec().applications.values();
        if !applications.any(|application| application.repository == *repository) {
            return Vec::new();
        }
        let (mut targets, mut good, mut queued) = (Vec::new(), Vec::new(), Vec::new());
        let mut run = BTreeMap::new();
        for environment in &self.spec().environments {
            if environment.strategy.is_none() {
                continue;
            }
            let head = self.head(repository, &environment.branch);
            let head = head.and_then(|head| head.commit.as_ref());
            let state = self.environments.get(&environment.name);
            let ways = state.into_iter().flat_map(|state| &state.going_back);
            for way in ways.filter(|way| way.repository == *repository) {
                // Before the branch moves there is nothing to compare.
                if head == Some(&way.commit) {
                    targets.push(&way.commit);
                    targets.extend(&way.to);
                }
            }
            let rollout = self.rollouts.running(&environment.name);
            let target = rollout.and_then(|rollout| rollout.target.get(repository));
            if let (Some(rollout), Some(target)) = (rollout, target) {
                targets.push(target);
                if let Some(state) = state
                    && environment.gates.proof.is_some()
                    && state.proof_of(repository, target).is_none()
                {
                    // One of them may have the same files.
                    targets.extend(state.proven_of(repository).take(MAX_TWINS));
                }
                let waiting = rollout.clusters.iter();
                let waiting = waiting.filter(|(_, progress)| !progress.phase.is_touched());
                for (name, _) in waiting {
                    let cluster = self.clusters.get(name);
                    let assigned = cluster.and_then(|cluster| cluster.assigned.as_ref());
                    let applications = assigned
                        .iter()
                        .flat_map(|assigned| assigned.assignment.applications.values());
                    for revision in applications.map(|application| &application.revision) {
                        if revision.repository == *repository {
                            *run.entry(&revision.commit).or_insert(0usize) += 1;
                        }
                    }
                }
            }
            if let Some(state) = self.environments.get(&environment.name) {
                queued.extend(state.queue.iter().filter_map(|next| next.get(repository)));
                good.extend(state.approved.get(repository));
            }
        }
        let mut run: Vec<(&Commit, usize)> = run.into_iter().collect();
        run.sort_by_key(|(_, clusters)| std::cmp::Reverse(*clusters));
        let run = run.into_iter().map(|(commit, _)| commit);
        let mut needed: Vec<Commit> = Vec::new();
        for commit in targets.into_iter().chain(good).chain(run).chain(queued) {
            if needed.len() < MAX_COMMITS && !needed.contains(commit) {
                needed.push(commit.clone());
            }
        }
        needed
    }

    /// Returns a commit that the environment before has proven and that has the same files as this one: renders depend
    /// on files alone, so that a merge of proven content is proven, too.
    pub(super) fn twin<'s>(
        &self,
        state: &'s EnvironmentState,
        repository: &RepositoryName,
        commit: &Commit,
    ) -> Option<(&'s Commit, Timestamp)> {
        let mut all = state.proven.iter().rev();
        all.find_map(|good| {
            let proven = good.commits.get(repository)?;
            let contents = self.sources.trees.compare(repository, proven, commit);
            (contents == Contents::Same).then_some((proven, good.at))
        })
    }

    /// Returns why it is not known which clusters a repository's commits change; none: it is known, or was not tried.
    #[must_use]
    pub fn unread(&self, repository: &RepositoryName) -> Option<&Problem> {
        self.sources.trees.problems.get(repository)
    }

    pub(super) fn trees_read(
        &mut self,
        repository: &RepositoryName,
        commit: Commit,
        directories: Arc<Directories>,
    ) {
        let needed = self.needed_trees(repository);
        let trees = &mut self.sources.trees;
        trees.read(repository, commit, directories, &needed);
        // Waiting clusters may be let through now.
        self.look_again();
    }

    pub(super) fn trees_failed(&mut self, repository: RepositoryName, problem: Problem) {
        if self.sources.trees.failed(repository, problem) {
            self.touch_environments();
        }
    }

    fn look_again(&mut self) {
        let spec = self.declarations.spec();
        let with = spec
            .environments
            .iter()
            .filter(|environment| environment.strategy.is_some());
        self.environments
            .mark_dirty(with.map(|environment| environment.name.clone()));
        self.touch_environments();
    }
}
