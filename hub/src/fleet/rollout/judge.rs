//! Judgement of clusters by their reports.

use std::time::Duration;

use flotilla_shared::digest::Digest;
use flotilla_shared::problem::Problem;
use flotilla_shared::reason::Reason;
use jiff::Timestamp;

use super::blame::is_outside;
use super::{Changes, Observation, Phase, Progress, Rollout, Verdict, World};
use crate::spec::Strategy;

impl Rollout {
    /// Judges each cluster by its report; `passed` since the last step.
    pub(super) fn judge(
        &mut self,
        world: &World<'_>,
        passed: Duration,
        now: Timestamp,
        changes: &mut Changes,
    ) {
        for ((name, progress), (_, seen)) in self.clusters.iter_mut().zip(world.clusters) {
            // An offline cluster is neither healthy nor failed, and its time does not count.
            if !progress.phase.is_touched() || !seen.online {
                continue;
            }
            let stored = marked(progress, world.strategy);
            count(progress, seen, passed);
            let before = progress.clone();
            step(progress, seen, world.strategy, now);
            if progress.asked_at.is_some() && before.asked_at.is_none() {
                changes.asked.insert(name.clone());
            }
            if *progress != before || marked(progress, world.strategy) != stored {
                changes.clusters.insert(name.clone());
            }
        }
    }
}

/// Returns how many marks the counted time has passed; it is stored at each of them, so that a crash of the hub loses
/// little of a long soak.
fn marked(progress: &Progress, strategy: &Strategy) -> u64 {
    let mark = (strategy.soak(progress.wave).as_secs() / 8).max(60);
    progress.counted.as_secs() / mark
}

fn count(progress: &mut Progress, seen: &Observation, passed: Duration) {
    let counts = match progress.phase {
        Phase::Started | Phase::Unavailable => true,
        Phase::Soaking => seen.heard_at.is_some() && matches!(seen.verdict, Verdict::Healthy(_)),
        _ => false,
    };
    if counts {
        progress.counted = progress.counted.saturating_add(passed);
    }
}

/// Judges one started, online cluster.
fn step(progress: &mut Progress, seen: &Observation, strategy: &Strategy, now: Timestamp) {
    let fail = |progress: &mut Progress, problem: Problem| {
        if progress.phase != Phase::Failed {
            progress.enter(Phase::Failed, now);
        }
        progress.reason = Some(problem.reason);
        progress.message = problem.message;
        progress.blameless = seen.blameless;
    };
    let nothing_new = |progress: &Progress, from: &Digest| {
        let aside = seen.aside.as_ref();
        (*from == progress.rendered_from && !from.is_none())
            || aside.is_some_and(|aside| aside.leaves_nothing)
    };
    match (&seen.verdict, progress.phase) {
        (Verdict::Healthy(from), Phase::Started) if nothing_new(progress, from) => {
            // The commits change nothing that this cluster renders, so no soak is needed.
            progress.enter(Phase::Done, now);
            progress.unchanged = true;
            progress.content = *from;
            progress.message = match &seen.aside {
                Some(aside) => format!("brings nothing new here, {}", aside.text("here")),
                None => "renders from the same files as before".to_owned(),
            };
        }
        (Verdict::Healthy(from), Phase::Started | Phase::Unavailable | Phase::Failed) => {
            // It changed after all, or became unhealthy meanwhile: it soaks like any other.
            let begun = progress.phase == Phase::Started;
            let carried = progress
                .carried
                .as_ref()
                .filter(|carried| begun && carried.content == *from && !carried.content.is_none());
            let counted = carried.map(|carried| carried.counted);
            progress.unchanged = false;
            progress.enter(Phase::Soaking, now);
            progress.counted = counted.unwrap_or_default();
            progress.content = *from;
        }
        // The content is not the one that soaked.
        (Verdict::Healthy(from), Phase::Soaking | Phase::Done) if *from != progress.content => {
            progress.unchanged = false;
            progress.enter(Phase::Soaking, now);
            progress.content = *from;
        }
        (Verdict::Healthy(_), _) => {}
        (Verdict::Failed(problem), _) => {
            if progress.message != problem.message || progress.phase != Phase::Failed {
                fail(progress, problem.clone());
            }
        }
        (Verdict::NotYet | Verdict::Progressing(..), Phase::Soaking | Phase::Done) => {
            progress.enter(Phase::Unavailable, now);
            if let Verdict::Progressing(problem) = &seen.verdict {
                progress.reason = Some(problem.reason);
                progress.message.clone_from(&problem.message);
            }
        }
        (verdict, Phase::Started | Phase::Unavailable) => {
            let text = match verdict {
                Verdict::Progressing(problem) if !problem.message.is_empty() => {
                    problem.message.clone()
                }
                _ => "no report on these commits".to_owned(),
            };
            if progress.counted > strategy.progress_deadline {
                let seconds = strategy.progress_deadline.as_secs();
                let outside =
                    matches!(verdict, Verdict::Progressing(problem) if is_outside(problem.reason));
                let nothing_of_it = if outside {
                    ", for a cause outside the rollout"
                } else {
                    ""
                };
                let message = format!("not healthy within {seconds} s{nothing_of_it}: {text}");
                fail(progress, Problem::new(Reason::ProgressDeadline, message));
                progress.outside = outside;
            }
        }
        (Verdict::NotYet | Verdict::Progressing(..), _) => {}
    }
    if let Some(aside) = &seen.aside
        && progress.message.is_empty()
        && progress.phase == Phase::Soaking
    {
        progress.message = aside.text("here");
    }
    let soak = strategy.soak(progress.wave);
    if progress.phase == Phase::Soaking && progress.counted >= soak {
        finish(progress, seen, soak, now);
    }
}

/// Finishes the soak: the cluster is done if a new report confirms it.
fn finish(progress: &mut Progress, seen: &Observation, soak: Duration, now: Timestamp) {
    let asked = progress.asked_at.filter(|asked| *asked <= now);
    // A timestamp in the future is from before the clock was set back.
    let heard_at = seen.heard_at.filter(|heard| *heard <= now);
    let heard = match asked {
        _ if soak.is_zero() => true,
        Some(asked) => heard_at.is_some_and(|heard| heard >= asked),
        None => heard_at.is_some_and(|heard| heard >= now),
    };
    if heard {
        let counted = progress.counted;
        let message = std::mem::take(&mut progress.message);
        progress.enter(Phase::Done, now);
        progress.counted = counted;
        progress.message = message;
    } else if asked.is_none() {
        progress.asked_at = Some(now);
    }
}
