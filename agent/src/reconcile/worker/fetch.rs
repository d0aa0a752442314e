//! The worker's way to manifests: one fetch at a time, refusals kept and tried again with backoff.

use std::sync::Arc;
use std::time::Duration;

use flotilla_shared::assignment::Renderer;
use flotilla_shared::backoff::Backoff;
use flotilla_shared::chart::Generated;
use flotilla_shared::health::SyncState;
use tokio::time::Instant;

use super::{Shared, Task, Worker};
use crate::cluster::DesiredState;
use crate::events::Event;
use crate::policy::Refusal;
use crate::source::{self, Ground, Rendered, Wanted};

/// What a chart has to know of the cluster; of what cannot be a chart nothing is asked. `writes`: the
/// agent's own secret is made where it is not there yet.
pub(in crate::reconcile) async fn ground(shared: &Shared, wanted: &Wanted, writes: bool) -> Ground {
    let application = &wanted.application;
    if matches!(application.renderer, Renderer::Plain | Renderer::Kustomize) {
        return Ground::default();
    }
    let said = application.helm.as_deref();
    let derives = said.is_some_and(|said| said.generated == Generated::Derived);
    // Nobody's Secrets are listed for what may be no chart at all.
    let is_chart = application.renderer == Renderer::Helm || said.is_some();
    let release = is_chart.then(|| (source::release_name(wanted), source::namespace(wanted)));
    let is_recorded = shared.source.has_release(&wanted.name);
    let name = wanted.name.as_str();
    shared
        .cluster
        .ground(name, release, is_recorded, derives.then_some(writes))
        .await
}

impl Worker {
    /// Whether the cluster serves something else by now than what the chart was told.
    pub(super) async fn is_on_other_ground(&self) -> bool {
        let Some(answers) = self.rendered.as_ref().and_then(|r| r.answers.as_ref()) else {
            return false;
        };
        match self.shared.cluster.capabilities().await {
            Ok(capabilities) => !capabilities.agrees(answers),
            // Not knowing is no news.
            Err(_) => false,
        }
    }

    pub(super) fn abort_fetch(&mut self) {
        if let Some((_, fetch)) = self.fetch.take() {
            fetch.abort();
        }
    }

    /// Begins to fetch what is assigned, unless it is there, or under way, or was refused just now.
    pub(super) fn begin_fetch(&mut self, task: &Task) {
        let Some(wanted) = task.wanted() else {
            self.abort_fetch();
            // What it wanted while it ran is not wanted any more; what is wanted now is nothing, and that
            // is known.
            self.settled_for = None;
            self.rendered = None;
            self.refusal = None;
            self.retry = None;
            self.desired_state = DesiredState {
                complete: true,
                ..DesiredState::default()
            };
            return;
        };
        if let Some((under_way, _)) = &self.fetch {
            if **under_way == *wanted {
                return;
            }
            self.abort_fetch();
        }
        if self.settled_for.as_deref() == Some(wanted) {
            let is_due = |until: Instant| Instant::now() >= until;
            match (&self.refusal, &self.retry) {
                (None, _) => return,
                (Some(_), Some((until, _))) if !is_due(*until) => return,
                _ => {}
            }
        } else {
            self.retry = None;
            self.waiting_since = None;
            // What is reported of the commit before is not to be read as being of this one.
            self.report.sync = SyncState::Applying;
            self.publish(None, None);
        }
        if let Some(refusal) = self.shared.policy.source(&wanted.application) {
            self.settled_for = Some(Box::new(wanted.clone()));
            self.refuse(refusal);
            return;
        }
        let shared = Arc::clone(&self.shared);
        let work = wanted.clone();
        let fetch = tokio::spawn(async move {
            let _slot = shared.fetches.acquire().await;
            let ground = ground(&shared, &work, true).await;
            let started = std::time::Instant::now();
            let result = shared.source.render(&work, ground).await;
            shared.metrics.rendered(started.elapsed());
            result
        });
        self.fetch = Some((Box::new(wanted.clone()), fetch));
    }

    pub(super) fn take(&mut self, result: Result<Rendered, Refusal>) {
        let Some((application, _)) = self.fetch.take() else {
            return;
        };
        self.settled_for = Some(application);
        match result {
            Ok(mut rendered) => {
                let warnings = rendered.warnings.iter();
                let warnings: Vec<_> = warnings
                    .map(|note| (note.reason, note.message.clone()))
                    .collect();
                let notes = std::mem::take(&mut rendered.notes);
                for (reason, message) in notes.into_iter().chain(warnings) {
                    tracing::warn!(application = %self.name, %reason, message);
                    let event = Event::warning(reason, &message);
                    self.shared.cluster.tell(self.name.as_str(), event);
                }
                let is_same = self
                    .rendered
                    .as_ref()
                    .is_some_and(|before| before.source_digest == rendered.source_digest);
                if !is_same || !self.desired_state.complete {
                    self.desired_state = DesiredState::default();
                }
                self.rendered = Some(rendered);
                self.refusal = None;
                self.retry = None;
            }
            Err(refusal) => self.refuse(refusal),
        }
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
            None => Backoff::new(Duration::from_secs(2), Duration::from_secs(120)),
        };
        let delay = backoff.next_delay(&mut rand::rng());
        self.retry = Some((Instant::now() + delay, backoff));
        self.refusal = Some(refusal);
    }
}
