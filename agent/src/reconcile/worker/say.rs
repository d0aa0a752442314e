//! The reports of a worker about its application.

use std::time::Duration;

use flotilla_shared::health::{Health, SyncState};
use flotilla_shared::reason::Reason;
use jiff::Timestamp;
use tokio::time::Instant;

use super::{Task, Worker};
use crate::cluster::PassOutcome;
use crate::events::Event;
use crate::report::{self, Sources};

/// Health is given this long where the application says nothing.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(300);

impl Worker {
    /// Updates the report after a pass, or after whatever took its place.
    pub(super) fn update_report(
        &mut self,
        task: &Task,
        outcome: Option<PassOutcome>,
        suspended: Option<&str>,
    ) {
        let under_way = self.fetch.is_some();
        let exact = self.refusal.is_none() && !under_way;
        let revision = task.application().map(|application| &application.revision);
        let runs = self.set.made_for.as_ref();
        let runs = runs.map(|desired| desired.application.revision.clone());
        let rendered = self.set.rendered.as_ref().map(|rendered| Sources {
            digest: rendered.source_digest,
            paths: rendered.source_paths.clone(),
            tip: rendered.tip.clone(),
        });
        let outcome = outcome.map(|outcome| self.judge_time(task, outcome));
        let outcome = outcome.map(|outcome| self.warn(outcome));
        let usable = outcome.as_ref().is_some_and(|o| o.usable) && exact;
        // A set that is refused as a whole is reported inside the cluster as well (I10). The same
        // message is not repeated within minutes.
        if let Some(outcome) = &outcome
            && outcome.sync == SyncState::Refused
            && let Some(reason) = outcome.reason
        {
            let event = Event::warning(reason, &outcome.message);
            self.shared.cluster.tell(self.name.as_str(), event);
        }
        let nothing_yet = outcome.is_none();
        report::update(
            &mut self.report,
            outcome,
            self.refusal.as_ref(),
            (revision.filter(|_| exact && !nothing_yet), runs.as_ref()),
            rendered,
            Timestamp::now(),
        );
        if under_way && self.refusal.is_none() {
            // The previous commit is still running.
            self.report.sync = SyncState::Applying;
        }
        self.publish(Some(usable), suspended);
    }

    /// Health that does not come in its time is called so.
    fn judge_time(&mut self, task: &Task, mut outcome: PassOutcome) -> PassOutcome {
        let is_waiting = matches!(outcome.health, Health::InProgress | Health::Terminating);
        if !is_waiting {
            self.waiting_since = None;
            return outcome;
        }
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let seconds = task.application().map_or(0, |application| {
            application.sync_policy.health_timeout_seconds
        });
        let limit = match seconds {
            0 => HEALTH_TIMEOUT,
            seconds => Duration::from_secs(u64::from(seconds)),
        };
        if since.elapsed() > limit && outcome.reason.is_none() {
            let slowest = outcome
                .objects
                .iter()
                .find(|object| object.health == outcome.health)
                .map(|object| format!("{}: {}", object.object, object.message));
            outcome.reason = Some(Reason::HealthTimeout);
            outcome.message = format!(
                "not healthy after {} seconds: {}",
                limit.as_secs(),
                slowest.unwrap_or_default()
            );
        }
        outcome
    }

    /// Warnings of the render, unless there is a message already.
    fn warn(&self, mut outcome: PassOutcome) -> PassOutcome {
        let warnings = self
            .set
            .rendered
            .as_ref()
            .map(|rendered| rendered.warnings.as_slice());
        if let (None, Some([first, more @ ..])) = (outcome.reason, warnings) {
            outcome.reason = Some(first.reason);
            outcome.message = match more.len() {
                0 => first.message.clone(),
                more => format!("{} (and {more} more)", first.message),
            };
        }
        outcome
    }

    pub(super) fn publish(&self, usable: Option<bool>, suspended: Option<&str>) {
        self.shared
            .registry
            .report(&self.name, &self.report, usable, suspended, &self.standing);
    }
}
