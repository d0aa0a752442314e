//! Polling of branches: one task per repository, so that a failing one delays no other.

mod headings;
mod missing;
mod trees;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flotilla_git::{Access, Error, Limits, Remote};
use flotilla_shared::backoff::Backoff;
use flotilla_shared::id::RepositoryName;
use flotilla_shared::problem::Problem;
use flotilla_shared::reason::Reason;
use flotilla_shared::revision::{BranchName, Commit, RepositoryUrl};
use rand::Rng;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;

use crate::driver::Handle;
use crate::fleet::Event;
use crate::metrics::Metrics;
use crate::spec::Spec;

use headings::Headings;
use missing::Reader;
use trees::Trees;

/// Time limit of one poll of a repository; a blocking thread that hangs longer is left behind and ends by its own
/// time-outs.
const LOOK_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest time between two polls of a failing repository.
const MAX_BACKOFF: Duration = Duration::from_secs(300);

/// Delay of retries of a failing repository, at least the normal interval.
fn retries(interval: Duration) -> Backoff {
    Backoff::new(interval, MAX_BACKOFF.max(interval))
}

/// Adds jitter, so that repositories that were polled together do not stay in step.
fn about(interval: Duration, rng: &mut impl Rng) -> Duration {
    interval.mul_f64(rng.random_range(0.9..1.1))
}

#[derive(Clone, PartialEq)]
struct Target {
    url: RepositoryUrl,
    branches: Vec<BranchName>,
    interval: Duration,
    /// Directory of credentials.
    credentials: Option<PathBuf>,
}

/// The pollers of all repositories of the fleet file.
pub struct Pollers {
    handle: Handle,
    cache: PathBuf,
    interval: Option<Duration>,
    credentials: Option<PathBuf>,
    metrics: Metrics,
    running: BTreeMap<RepositoryName, (Target, Arc<Notify>, JoinHandle<()>)>,
}

impl Pollers {
    /// Makes an empty set. `interval` overrides the fleet file; `credentials` is a directory for [`Access::read`].
    #[must_use]
    pub fn new(
        handle: Handle,
        cache: PathBuf,
        interval: Option<Duration>,
        credentials: Option<PathBuf>,
        metrics: Metrics,
    ) -> Self {
        Self {
            handle,
            cache,
            interval,
            credentials,
            metrics,
            running: BTreeMap::new(),
        }
    }

    /// Starts and stops pollers to match the fleet file.
    pub fn fit(&mut self, spec: &Spec) {
        let mut branches = spec.branches();
        self.running.retain(|name, (_, _, task)| {
            let keep = spec.repositories.contains_key(name);
            if !keep {
                task.abort();
            }
            keep
        });
        for (name, repository) in &spec.repositories {
            let target = Target {
                url: repository.url.clone(),
                branches: branches
                    .remove(name)
                    .unwrap_or_default()
                    .into_iter()
                    .collect(),
                interval: self.interval.unwrap_or(repository.poll_interval),
                credentials: self.credentials.clone(),
            };
            if let Some((current, _, task)) = self.running.get(name) {
                if *current == target {
                    continue;
                }
                task.abort();
            }
            let hint = Arc::new(Notify::new());
            let watcher = Watcher {
                name: name.clone(),
                target: target.clone(),
                place: RepositorySource {
                    url: target.url.clone(),
                    cache: self.cache.join(name.as_str()),
                    credentials: target.credentials.clone(),
                },
                handle: self.handle.clone(),
                metrics: self.metrics.clone(),
                hint: Arc::clone(&hint),
            };
            self.running
                .insert(name.clone(), (target, hint, tokio::spawn(watcher.run())));
        }
    }

    /// Wakes every poller.
    pub fn hint(&self) {
        for (_, hint, _) in self.running.values() {
            hint.notify_one();
        }
    }
}

impl Drop for Pollers {
    fn drop(&mut self) {
        for (_, _, task) in self.running.values() {
            task.abort();
        }
    }
}

struct Watcher {
    name: RepositoryName,
    target: Target,
    place: RepositorySource,
    handle: Handle,
    metrics: Metrics,
    hint: Arc<Notify>,
}

impl Watcher {
    async fn run(self) {
        let wake = Arc::new(Notify::new());
        let shown = Arc::new(Notify::new());
        let headings = Reader {
            name: self.name.clone(),
            place: self.place.clone(),
            handle: self.handle.clone(),
            wake: Arc::clone(&shown),
            kind: Headings,
        };
        let trees = Reader {
            name: self.name.clone(),
            place: self.place.clone(),
            handle: self.handle.clone(),
            wake: Arc::clone(&wake),
            kind: Trees::new(self.metrics.clone()),
        };
        // Aborted when this task ends.
        let _trees = AbortOnDropHandle::new(tokio::spawn(trees.run()));
        let _headings = AbortOnDropHandle::new(tokio::spawn(headings.run()));
        let interval = self.target.interval;
        let mut backoff = retries(interval);
        loop {
            let began = tokio::time::Instant::now();
            let looked = self.look().await;
            let outcome = match &looked {
                Ok(_) => "ok",
                Err(problem) => problem.reason.as_str(),
            };
            self.metrics.polled(&self.name, outcome, began.elapsed());
            let event = match looked {
                Ok(found) => {
                    backoff.reset();
                    Event::HeadsRead {
                        repository: self.name.clone(),
                        asked: self.target.branches.clone(),
                        found,
                    }
                }
                Err(problem) => {
                    let Problem { reason, message } = &problem;
                    tracing::warn!(repository = %self.name, %reason, message, "cannot read branches");
                    Event::HeadsFailed {
                        repository: self.name.clone(),
                        asked: self.target.branches.clone(),
                        problem,
                    }
                }
            };
            let failed = matches!(event, Event::HeadsFailed { .. });
            if self.handle.event(event).await.is_err() {
                return;
            }
            if !failed {
                wake.notify_one();
                shown.notify_one();
            }
            let delay = {
                let mut rng = rand::rng();
                let usual = about(interval, &mut rng);
                if failed {
                    usual.max(backoff.next_delay(&mut rng))
                } else {
                    usual
                }
            };
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = self.hint.notified() => {}
            }
        }
    }

    async fn look(&self) -> Result<BTreeMap<BranchName, Commit>, Problem> {
        let branches = self.target.branches.clone();
        let place = self.place.clone();
        place
            .read("its branches", LOOK_TIMEOUT, move |remote| {
                remote.tips(&branches)
            })
            .await
    }
}

/// A repository's URL and its directory in the cache.
#[derive(Clone)]
struct RepositorySource {
    url: RepositoryUrl,
    cache: PathBuf,
    /// Directory of credentials.
    credentials: Option<PathBuf>,
}

impl RepositorySource {
    /// Runs the blocking `read` on its own thread. A read that hangs is abandoned after twice the time limit of each of
    /// its calls.
    async fn read<T: Send + 'static>(
        self,
        what: &'static str,
        timeout: Duration,
        read: impl FnOnce(&Remote) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Problem> {
        let read = tokio::task::spawn_blocking(move || {
            let limits = Limits {
                timeout,
                ..Limits::default()
            };
            let access = Access::read(self.credentials.as_deref(), &self.url)?;
            read(&Remote::open(&self.cache, self.url, limits, access)?)
        });
        match tokio::time::timeout(timeout * 2, read).await {
            Ok(Ok(read)) => read.map_err(|error| Problem::new(error.reason(), error.to_string())),
            Ok(Err(_)) => Err(Problem::new(
                Reason::CorruptRepository,
                format!("reading {what} failed unexpectedly"),
            )),
            Err(_) => Err(Problem::new(
                Reason::RepositoryUnavailable,
                format!("reading {what} timed out"),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    /// Returns the seconds of an hour in which a repository is polled that fails from the beginning.
    fn asked(seed: u64) -> Vec<u64> {
        const HOUR: Duration = Duration::from_secs(3600);
        let interval = Duration::from_secs(30);
        let mut rng = StdRng::seed_from_u64(seed);
        let mut backoff = retries(interval);
        let (mut seconds, mut at) = (Vec::new(), Duration::ZERO);
        loop {
            let usual = about(interval, &mut rng);
            at += usual.max(backoff.next_delay(&mut rng));
            if at >= HOUR {
                return seconds;
            }
            seconds.push(at.as_secs());
        }
    }

    /// Fleet #3486: 40 broken repositories used up all calls that a provider allows in an hour.
    #[test]
    fn g03_forty_broken_repositories_are_asked_seldom_and_not_together() {
        let hours: Vec<Vec<u64>> = (0..40).map(asked).collect();
        for (seed, hour) in hours.iter().enumerate() {
            let calls = hour.len();
            assert!((10..=40).contains(&calls), "{seed}: {calls} looks");
        }
        let mut seconds: BTreeMap<u64, usize> = BTreeMap::new();
        for second in hours.iter().flatten() {
            *seconds.entry(*second).or_default() += 1;
        }
        let most = seconds.values().max().unwrap();
        assert!(*most <= 25, "{most} of 40 in one second");
    }
}
