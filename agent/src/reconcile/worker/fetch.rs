//! How the worker obtains manifests: one fetch at a time, refusals remembered and retried with backoff.

use std::sync::Arc;
use std::time::Duration;

use flotilla_shared::assignment::Renderer;
use flotilla_shared::backoff::Backoff;
use flotilla_shared::chart::Generated;
use flotilla_shared::health::SyncState;
use flotilla_shared::problem::Problem;
use tokio::time::Instant;

use super::{Fetch, FetchTarget, Set, Shared, Task, Worker};
use crate::cluster::{DesiredState, PassOutcome, RanBefore, WhenMissing};
use crate::events::Event;
use crate::policy::Refusal;
use crate::source::{self, ChartContext, DesiredApplication, Rendered};

/// What a chart needs to know about the cluster; for anything else nothing is read. `secret`: whether
/// the agent's own secret is created if it does not exist yet.
pub(in crate::reconcile) async fn ground(
    shared: &Shared,
    desired: &DesiredApplication,
    secret: WhenMissing,
) -> ChartContext {
    let application = &desired.application;
    if !application.renderer.may_be(Renderer::Helm) {
        return ChartContext::default();
    }
    let options = application.helm.as_deref();
    let derives = options.is_some_and(|options| options.generated == Generated::Derived);
    // Secrets are listed only for an application that may be a chart.
    let is_chart = application.renderer == Renderer::Helm || options.is_some();
    let release = is_chart.then(|| (source::release_name(desired), source::namespace(desired)));
    let ran_before = match shared.source.has_release(&desired.name) {
        true => RanBefore::Recorded,
        false => RanBefore::Unrecorded,
    };
    let name = desired.name.as_str();
    shared
        .cluster
        .ground(name, release, ran_before, derives.then_some(secret))
        .await
}

/// When something that was refused is tried again: its provider may be down, or want less.
fn retries() -> Backoff {
    Backoff::new(Duration::from_secs(2), Duration::from_secs(120))
}

impl Worker {
    /// Whether the cluster now answers the questions of the chart differently.
    pub(super) async fn is_on_other_ground(&self) -> bool {
        let Some(answers) = self.set.rendered.as_ref().and_then(|r| r.answers.as_ref()) else {
            return false;
        };
        match self.shared.cluster.capabilities().await {
            Ok(capabilities) => !capabilities.agrees(answers),
            // Unknown capabilities do not count as a change.
            Err(_) => false,
        }
    }

    pub(super) fn abort_fetch(&mut self) {
        if let Some(fetch) = self.fetch.take() {
            fetch.work.abort();
        }
    }

    /// Starts to fetch the assigned commit, unless it is present, under way, or was refused recently.
    pub(super) fn begin_fetch(&mut self, task: &Task) {
        let Some(desired) = task.desired() else {
            self.abort_fetch();
            // The task that desired something is over. Now nothing is desired, which is known
            // without a fetch.
            self.handled = None;
            self.taken_before = None;
            self.refusal = None;
            self.refusal_before = None;
            self.shared.source.let_go(&self.name);
            self.retry = None;
            self.set = Set {
                desired_state: DesiredState {
                    complete: true,
                    ..DesiredState::default()
                },
                ..Set::default()
            };
            return;
        };
        let is_handled = self.handled.as_deref() == Some(desired);
        if let Some(fetch) = &self.fetch {
            let is_for_it = match fetch.of {
                FetchTarget::AcceptedBefore => is_handled,
                FetchTarget::Assigned => *fetch.desired == *desired,
            };
            if is_for_it {
                return;
            }
            self.abort_fetch();
        }
        if is_handled {
            let is_due = |until: Instant| Instant::now() >= until;
            match (&self.refusal, &self.retry) {
                (None, _) => return,
                (Some(_), Some((until, _))) if !is_due(*until) => return,
                _ => {}
            }
        } else {
            self.retry = None;
            self.waiting_since = None;
            // The report of the previous commit must not be read as one of this commit.
            self.report.sync = SyncState::Applying;
            self.publish(None, None);
        }
        if let Some(refusal) = self.shared.policy.source(&desired.application) {
            self.handled = Some(Box::new(desired.clone()));
            self.refuse(refusal);
            return;
        }
        self.fetch(Box::new(desired.clone()), FetchTarget::Assigned);
    }

    fn fetch(&mut self, desired: Box<DesiredApplication>, of: FetchTarget) {
        let shared = Arc::clone(&self.shared);
        let work = desired.clone();
        let work = tokio::spawn(async move {
            let _slot = shared.fetches.acquire().await;
            let ground = ground(&shared, &work, WhenMissing::Make).await;
            let started = std::time::Instant::now();
            let result = shared.source.render(&work, ground).await;
            shared.metrics.rendered(started.elapsed());
            result
        });
        self.fetch = Some(Fetch { desired, of, work });
    }

    /// Continues with the set that was accepted before this process started, if the assigned one is
    /// refused and there is no other set to enforce. The current policy judges it as well. A set whose objects a
    /// definition has outdated is rendered again, as often as the refused one is tried.
    fn go_on(&mut self) {
        if self.fetch.is_some() {
            return;
        }
        if self.set.rendered.is_some() {
            let accepted = self.set.made_for.clone();
            let outdated = accepted.filter(|_| self.set.is_outdated && !self.set.is_superseded);
            if let Some(accepted) = outdated {
                self.fetch(accepted, FetchTarget::AcceptedBefore);
            }
            return;
        }
        let Some(before) = self.shared.source.before(&self.name) else {
            return;
        };
        if self.report.revision.is_none() {
            self.report.revision = before.ran;
        }
        let Some(desired) = before.desired else {
            return;
        };
        match self.shared.policy.source(&desired.application) {
            Some(refusal) => self.cannot_go_on(refusal),
            None => self.fetch(desired, FetchTarget::AcceptedBefore),
        }
    }

    fn cannot_go_on(&mut self, refusal: Refusal) {
        let is_told = [&self.refusal_before, &self.refusal].contains(&&Some(refusal.clone()));
        if !is_told {
            let Refusal { reason, message } = &refusal;
            let message = format!("drift of the last commit is not corrected either: {message}");
            tracing::warn!(application = %self.name, %reason, message, "refused");
            let event = Event::warning(*reason, &message);
            self.shared.cluster.tell(self.name.as_str(), event);
        }
        self.refusal_before = Some(refusal);
    }

    pub(super) fn take(&mut self, result: Result<Rendered, Refusal>) {
        let Some(Fetch { desired, of, .. }) = self.fetch.take() else {
            return;
        };
        if of == FetchTarget::Assigned {
            self.handled = Some(desired.clone());
        }
        match result {
            Ok(mut rendered) => {
                let warnings = rendered.warnings.iter();
                let warnings: Vec<_> = warnings
                    .map(|note| Problem::new(note.reason, note.message.clone()))
                    .collect();
                let notes = std::mem::take(&mut rendered.notes);
                for Problem { reason, message } in notes.into_iter().chain(warnings) {
                    tracing::warn!(application = %self.name, %reason, message);
                    let event = Event::warning(reason, &message);
                    self.shared.cluster.tell(self.name.as_str(), event);
                }
                let is_same = self
                    .set
                    .rendered
                    .as_ref()
                    .is_some_and(|before| before.source_digest == rendered.source_digest);
                if !is_same {
                    self.set_aside();
                } else if !self.set.desired_state.complete || self.set.is_outdated {
                    self.set.desired_state = DesiredState::default();
                    self.set.is_outdated = false;
                }
                self.set.rendered = Some(rendered);
                self.set.made_for = Some(desired);
                self.refusal_before = None;
                if of == FetchTarget::Assigned {
                    // The backoff continues until a pass accepts the set, because the pass may refuse it as a
                    // whole.
                    self.refusal = None;
                }
            }
            Err(refusal) if of == FetchTarget::AcceptedBefore => self.cannot_go_on(refusal),
            Err(refusal) => self.refuse(refusal),
        }
    }

    /// Makes room for another set. A set that a pass accepted is kept until the next one is accepted.
    fn set_aside(&mut self) {
        let set = std::mem::take(&mut self.set);
        if set.is_taken && set.rendered.is_some() {
            self.taken_before = Some(set);
        }
    }

    /// A pass accepted the set, so that the one before it is no longer needed.
    pub(super) fn was_taken(&mut self) {
        self.set.is_taken = true;
        self.taken_before = None;
        if self.refusal.is_none() {
            self.retry = None;
        }
    }

    /// A set that a pass refused as a whole is replaced by the one before it, which is enforced as when a
    /// commit cannot be rendered. Returns whether there is another one, or may be soon.
    pub(super) fn refuse_set(&mut self, outcome: &PassOutcome) -> bool {
        let Some(reason) = outcome.reason else {
            return false;
        };
        let refusal = Refusal::new(reason, outcome.message.clone());
        if let Some(before) = self.taken_before.take() {
            self.set = before;
            self.set.is_superseded = true;
            self.refuse(refusal);
            return true;
        }
        // This process started with the refused set; another one may have been accepted before.
        let is_another = |refused: &DesiredApplication| self.shared.source.has_another(refused);
        if !self.set.made_for.as_deref().is_some_and(is_another) {
            return false;
        }
        self.set = Set::default();
        self.refuse(refusal);
        true
    }

    fn refuse(&mut self, refusal: Refusal) {
        let reason = refusal.reason;
        if self.refusal.as_ref() != Some(&refusal) {
            tracing::warn!(application = %self.name, %reason, message = refusal.message, "refused");
            let event = Event::warning(reason, &refusal.message);
            self.shared.cluster.tell(self.name.as_str(), event);
        }
        let mut backoff = match self.retry.take() {
            Some((_, backoff)) => backoff,
            None => retries(),
        };
        let delay = backoff.next_delay(&mut rand::rng());
        self.retry = Some((Instant::now() + delay, backoff));
        self.refusal = Some(refusal);
        self.go_on();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    /// The seconds of an hour of outage in which a cluster repeats a request that failed at the start.
    fn asks(cluster: u64) -> Vec<u64> {
        const HOUR: Duration = Duration::from_secs(3600);
        let mut rng = StdRng::seed_from_u64(cluster);
        let mut backoff = retries();
        let (mut seconds, mut at) = (Vec::new(), Duration::ZERO);
        loop {
            at += backoff.next_delay(&mut rng);
            if at >= HOUR {
                return seconds;
            }
            seconds.push(at.as_secs());
        }
    }

    /// Beside this each application looks at its branch every two minutes, as ever (`freeze.rs`).
    #[test]
    fn g03_an_hour_of_outage_is_at_most_ninety_tries_and_clusters_do_not_keep_step() {
        let hours: Vec<Vec<u64>> = (0..200).map(asks).collect();
        for (cluster, hour) in hours.iter().enumerate() {
            let tries = hour.len();
            assert!((40..=90).contains(&tries), "{cluster}: {tries} tries");
        }
        for two in hours.windows(2) {
            let together = two[0].iter().filter(|second| two[1].contains(second));
            let together = together.count();
            assert!(together <= 15, "{together} times in the same second");
        }
        // After the first retries, which are close together.
        let mut seconds: BTreeMap<u64, usize> = BTreeMap::new();
        for second in hours.iter().flatten().filter(|second| **second >= 120) {
            *seconds.entry(*second).or_default() += 1;
        }
        let most = seconds.values().max().unwrap();
        assert!(*most <= 20, "{most} of 200 clusters in one second");
    }
}
