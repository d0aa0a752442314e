//! What a cluster's word means for its part.

use flotilla_shared::reason::Reason;
use jiff::Timestamp;

use super::{Changes, Observation, Phase, Progress, Rollout, Verdict, World};
use crate::spec::Strategy;

impl Rollout {
    pub(super) fn judge(&mut self, world: &World<'_>, now: Timestamp, changes: &mut Changes) {
        for ((name, progress), (_, seen)) in self.clusters.iter_mut().zip(world.clusters) {
            // An offline cluster says nothing, neither good nor bad.
            if !progress.phase.is_touched() || !seen.online {
                continue;
            }
            let before = progress.clone();
            step(progress, seen, world.strategy, now);
            if *progress != before {
                changes.clusters.insert(name.clone());
            }
        }
    }
}

/// One touched, online cluster.
fn step(progress: &mut Progress, seen: &Observation, strategy: &Strategy, now: Timestamp) {
    let waited = |since: Timestamp| now.duration_since(since).unsigned_abs();
    let late = |since: Timestamp| now > since && waited(since) > strategy.progress_deadline;
    let fail = |progress: &mut Progress, reason: Reason, message: String| {
        if progress.phase != Phase::Failed {
            progress.enter(Phase::Failed, now);
        }
        progress.reason = Some(reason);
        progress.message = message;
    };
    match (&seen.verdict, progress.phase) {
        (Verdict::Healthy(from), Phase::Started)
            if *from == progress.rendered_from && !from.is_none() =>
        {
            // The commit changes nothing that this cluster renders: there is nothing to watch.
            progress.enter(Phase::Done, now);
            progress.unchanged = true;
            progress.message = "renders from the same files as before".to_owned();
        }
        (Verdict::Healthy(_), Phase::Started | Phase::Unavailable | Phase::Failed) => {
            // Something changed after all, or it fell ill meanwhile: it is watched like any other.
            progress.unchanged = false;
            progress.enter(Phase::Soaking, now);
        }
        (Verdict::Healthy(_), _) => {}
        (Verdict::Failed(reason, message), _) => {
            if progress.message != *message || progress.phase != Phase::Failed {
                fail(progress, *reason, message.clone());
            }
        }
        (Verdict::NotYet | Verdict::Progressing(..), Phase::Soaking | Phase::Done) => {
            progress.enter(Phase::Unavailable, now);
            if let Verdict::Progressing(reason, message) = &seen.verdict {
                progress.reason = Some(*reason);
                progress.message.clone_from(message);
            }
        }
        (verdict, Phase::Started | Phase::Unavailable) => {
            let text = match verdict {
                Verdict::Progressing(_, text) if !text.is_empty() => text.clone(),
                _ => "no report of these commits".to_owned(),
            };
            if late(progress.since) {
                let seconds = strategy.progress_deadline.as_secs();
                let message = format!("not healthy within {seconds} s: {text}");
                fail(progress, Reason::ProgressDeadline, message);
            }
        }
        (Verdict::NotYet | Verdict::Progressing(..), _) => {}
    }
    if progress.phase == Phase::Soaking
        && now >= progress.since
        && waited(progress.since) >= strategy.soak(progress.wave)
    {
        progress.enter(Phase::Done, now);
    }
}
