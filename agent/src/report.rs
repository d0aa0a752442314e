//! Turns outcomes into reports. Pure.

use flotilla_shared::digest::Digest;
use flotilla_shared::health::{Health, SyncState};
use flotilla_shared::object::Action;
use flotilla_shared::report::{
    ApplicationReport, MAX_MESSAGE_BYTES, MAX_OBJECTS_SHOWN, ObjectCounts, plain_line,
};
use flotilla_shared::revision::{Commit, Revision};
use flotilla_shared::source::SourcePaths;
use jiff::Timestamp;

use crate::cluster::PassOutcome;
use crate::policy::Refusal;

/// What the reported render was made from.
pub struct Sources {
    /// Over the files that were read.
    pub digest: Digest,
    /// The directories that decide over them.
    pub paths: SourcePaths,
    /// The branch's tip at that time.
    pub tip: Commit,
}

/// Brings an application's report up to date after a pass.
///
/// `revision` is the assigned one, or none if it could not be rendered and the pass enforced an older one;
/// `runs` is the revision of the pass; `outcome` is none if nothing was ever rendered.
pub fn update(
    report: &mut ApplicationReport,
    outcome: Option<PassOutcome>,
    refusal: Option<&Refusal>,
    (revision, runs): (Option<&Revision>, Option<&Revision>),
    rendered: Option<Sources>,
    now: Timestamp,
) {
    let before = (report.sync, report.health);
    let is_unseen = outcome.is_none();
    let outcome = outcome.unwrap_or_default();
    let mut counts = ObjectCounts::default();
    for object in &outcome.objects {
        // Objects that are leaving are listed, but do not count for the application's health.
        if !matches!(object.action, Action::Held | Action::Pruned) {
            counts.add(object.health);
        }
    }
    let mut objects = outcome.objects;
    objects.sort_by(|a, b| {
        let rank = |action| !matches!(action, Action::Failed | Action::Skipped | Action::Held);
        (rank(a.action), std::cmp::Reverse(a.health), &a.object).cmp(&(
            rank(b.action),
            std::cmp::Reverse(b.health),
            &b.object,
        ))
    });
    objects.truncate(MAX_OBJECTS_SHOWN);
    for object in &mut objects {
        object.message = plain_line(&object.message, MAX_MESSAGE_BYTES);
    }
    report.counts = counts;
    report.objects = objects;
    report.health = outcome.health;
    report.sync = outcome.sync;
    report.reason = outcome.reason;
    report.message = plain_line(&outcome.message, MAX_MESSAGE_BYTES);
    if let Some(sources) = rendered {
        report.source_digest = sources.digest;
        report.source_paths = sources.paths;
        report.observed_tip = Some(sources.tip);
    }
    report.attempted = revision.map(|revision| revision.commit.clone());
    if let Some(refusal) = refusal {
        report.sync = SyncState::Refused;
        report.reason = Some(refusal.reason);
        report.message = plain_line(&refusal.message, MAX_MESSAGE_BYTES);
        if is_unseen {
            report.health = Health::Unknown;
        }
    }
    let is_done = outcome.sync == SyncState::Synced;
    if let (true, Some(revision)) = (is_done, runs) {
        if report.revision.as_ref() != Some(revision) {
            report.applied_at = Some(now);
        }
        report.revision = Some(revision.clone());
    }
    // A pass without writes keeps the counts of the last pass that wrote.
    if outcome.written > 0 || outcome.pruned > 0 {
        report.written = outcome.written;
        report.pruned = outcome.pruned;
    }
    if before != (report.sync, report.health) || report.changed_at.is_none() {
        report.changed_at = Some(now);
    }
}
