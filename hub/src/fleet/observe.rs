//! Observations of clusters for rollouts.

use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::iter::Peekable;

use flotilla_shared::assignment::ApplicationAssignment;
use flotilla_shared::digest::Digest;
use flotilla_shared::health::{Health, SyncState};
use flotilla_shared::id::{ApplicationName, ClusterName, RepositoryName};
use flotilla_shared::problem::Problem;
use flotilla_shared::reason::Reason;
use flotilla_shared::report::{ApplicationReport, Report};

use super::cluster::Cluster;
use super::environment::{Pin, pinned_or};
use super::removed::is_removed;
use super::rendered::rendered_without;
use super::rollout::{Exemptions, Rollout, Verdict};

/// Refusals that may pass with time: an agent cannot reach Git, or the branch has not moved yet where it reads it.
const PASSING: &[Reason] = &[
    Reason::RepositoryUnavailable,
    Reason::AuthenticationFailed,
    Reason::BranchNotFound,
    Reason::CommitNotFound,
    Reason::CommitNotOnBranch,
    Reason::ClusterUnavailable,
    Reason::PartialDiscovery,
    Reason::Throttled,
    Reason::DependencyNotReady,
    Reason::LedgerUnavailable,
    Reason::HeldAfterRestore,
    Reason::WebhookUnavailable,
    Reason::Unauthorized,
    Reason::ChangedMeanwhile,
];

/// Target of a cluster.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'r> {
    pub(super) rollout: &'r Rollout,
    /// The pin of the cluster, if any.
    pub(super) pin: Option<&'r Pin>,
}

/// Judges what a cluster reports on exactly these commits. Only a report of the present assignment counts, and of that
/// only the commits that are in it: an application that waits for a commit of any other repository belongs to another
/// rollout.
/// Where a pin keeps the cluster on a repository's commit, it has to run that one.
/// `takes`: applications that the rollout removes; `left`: what does not count; `brings`: whether it has a commit of an
/// application's repository.
pub(super) fn verdict(
    cluster: &Cluster,
    Target { rollout, pin }: Target<'_>,
    takes: &BTreeSet<ApplicationName>,
    left: &Exemptions,
    brings: impl Fn(&ApplicationName) -> bool,
) -> Verdict {
    let (target, aside, waits) = (&rollout.target, &left.applications, &left.waits);
    let Some(assigned) = &cluster.assigned else {
        return Verdict::NotYet;
    };
    for (name, placed) in &cluster.placed {
        let Some(problem) = &placed.problem else {
            continue;
        };
        if aside.contains(name) {
            continue;
        }
        if !placed.lacks_commit() {
            return Verdict::Failed(Problem::clone(problem));
        }
        // The target has a commit for it, which it was not given yet.
        if brings(name) {
            return Verdict::NotYet;
        }
    }
    let applications = &assigned.assignment.applications;
    let on_target = |app: &ApplicationAssignment| {
        pinned_or(pin, target, &app.revision.repository)
            .is_none_or(|commit| *commit == app.revision.commit)
    };
    if !applications.values().all(|app| on_target(app)) {
        return Verdict::NotYet;
    }
    // Another specification may have assigned the same commits before.
    let by_this = |name: &ApplicationName, app: &ApplicationAssignment| {
        let placed = cluster.placed.get(name);
        let kept = placed.is_none_or(|placed| placed.problem.is_some());
        kept || app.rollout.is_empty() || app.rollout == rollout.id
    };
    if !applications.iter().all(|(name, app)| by_this(name, app)) {
        return Verdict::NotYet;
    }
    if let Some(problem) = &cluster.refusal {
        if PASSING.contains(&problem.reason) {
            return Verdict::Progressing(problem.clone());
        }
        let text = format!("refused: {}", problem.message);
        return Verdict::Failed(Problem::new(problem.reason, text));
    }
    let Some(report) = &cluster.report else {
        return Verdict::NotYet;
    };
    if report.assignment != assigned.reference || cluster.accepted != assigned.reference {
        return Verdict::NotYet;
    }
    if !report.suspended.is_empty() {
        let problem = Problem::new(Reason::Frozen, report.suspended.as_str());
        return Verdict::Progressing(problem);
    }
    let mut worst = None;
    let counted = applications.iter();
    for (name, app) in counted.filter(|(name, _)| !aside.contains(*name)) {
        let verdict = match report.applications.get(name) {
            Some(report) => application(name, app, report),
            None => Verdict::NotYet,
        };
        match verdict {
            Verdict::Failed(..) => return verdict,
            Verdict::Healthy(_) => {}
            Verdict::NotYet | Verdict::Progressing(..) => worst = worst.or(Some(verdict)),
        }
    }
    // A removal by an earlier rollout does not count here: a delete that waits for the cluster's own administrators
    // must not block a newer commit.
    let tombstones = assigned.assignment.tombstones.keys();
    let rendered = if aside.is_empty() {
        cluster.rendered_from
    } else {
        let specification = target.get(RepositoryName::fleet_file());
        rendered_without(aside, report, assigned, specification)
    };
    let mut taken = vec![rendered.as_bytes().as_slice()];
    for name in tombstones.filter(|name| takes.contains(*name)) {
        taken.push(name.as_str().as_bytes());
        if !is_removed(Some(report), name) {
            worst = worst.or(Some(leaving(name, report)));
        }
    }
    // These removals are still withheld. The rollout is not done there until they are carried out, unless it brings
    // nothing to the applications that they wait for.
    let later = cluster.loses_later();
    for name in later.filter(|name| takes.contains(*name) && !waits.contains(*name)) {
        worst = worst.or_else(|| Some(withheld(name, cluster, aside)));
    }
    let from = match taken.as_slice() {
        [_] => rendered,
        // The rest renders as before, but something was removed, so the cluster soaks.
        _ => Digest::of_parts(taken),
    };
    worst.unwrap_or(Verdict::Healthy(from))
}

/// Explains why the removal of an application is withheld from a cluster.
fn withheld(
    name: &ApplicationName,
    cluster: &Cluster,
    aside: &BTreeSet<ApplicationName>,
) -> Verdict {
    let problems = cluster.placed.iter();
    let problems = problems.filter(|(app, _)| !aside.contains(*app));
    let mut problems = problems.filter_map(|(app, placed)| Some((app, placed.problem.as_ref()?)));
    let (reason, why) = match problems.next() {
        Some((app, problem)) => (problem.reason, format!("{app}: {}", problem.message)),
        None => (Reason::NoRevision, "it lacks what is declared".to_owned()),
    };
    let text = format!(
        "{name} is not removed yet: its objects may belong to another application that is declared here and cannot \
         be assigned: {why}"
    );
    Verdict::Progressing(Problem::new(reason, text))
}

/// Returns what delays the removal of an application.
fn leaving(name: &ApplicationName, report: &Report) -> Verdict {
    let report = report.applications.get(name);
    let message = report.map_or("", |report| report.message.as_str());
    let reason = report.and_then(|report| report.reason);
    let text = match message {
        "" => format!("{name} is being removed"),
        message => format!("{name} is being removed: {message}"),
    };
    let reason = reason.unwrap_or(Reason::WaitingForFinalizer);
    Verdict::Progressing(Problem::new(reason, text))
}

fn application(
    name: &ApplicationName,
    assigned: &ApplicationAssignment,
    report: &ApplicationReport,
) -> Verdict {
    let text = |what: &str| {
        let object = report.objects.iter().find(|object| {
            matches!(
                object.health,
                Health::Failed | Health::InProgress | Health::NotFound | Health::Suspended
            )
        });
        match (object, report.message.as_str()) {
            (Some(object), _) => {
                let subject = &object.object;
                let place = if subject.namespace.is_empty() {
                    subject.name.clone()
                } else {
                    format!("{}/{}", subject.namespace, subject.name)
                };
                format!(
                    "{name} {what}: {} {place}: {}",
                    subject.kind, object.message
                )
            }
            (None, "") => format!("{name} {what}"),
            (None, message) => format!("{name} {what}: {message}"),
        }
    };
    let reason = report.reason.unwrap_or(Reason::Unhealthy);
    if report.sync == SyncState::Refused && !PASSING.contains(&reason) {
        return Verdict::Failed(Problem::new(reason, text("refused")));
    }
    // A final refusal by the API server is a failure before the deadline.
    let attempted = report.attempted.as_ref() == Some(&assigned.revision.commit);
    if attempted && report.sync == SyncState::OutOfSync && reason.is_final() {
        let text = format!("{name}: {}", report.message);
        return Verdict::Failed(Problem::new(reason, text));
    }
    let exact = report
        .revision
        .as_ref()
        .is_some_and(|revision| revision.commit == assigned.revision.commit);
    if exact && report.health == Health::Failed {
        return Verdict::Failed(Problem::new(reason, text("failed")));
    }
    if exact && report.is_well() {
        return Verdict::Healthy(Digest::default());
    }
    Verdict::Progressing(Problem::new(reason, text("is not ready")))
}

/// Looks up names in ascending order: side by side where most of a map is asked for, one by one where little of it is.
pub(super) enum Lookup<'m, V> {
    Walk(Peekable<btree_map::Iter<'m, ClusterName, V>>),
    Search(&'m BTreeMap<ClusterName, V>),
}

impl<'m, V> Lookup<'m, V> {
    /// Makes a lookup in `map` for the names of `asked`.
    pub(super) fn new<T>(
        map: &'m BTreeMap<ClusterName, V>,
        asked: &BTreeMap<ClusterName, T>,
    ) -> Self {
        // A search among ten thousand costs about as much as eight steps of a walk.
        if asked.len().saturating_mul(8) < map.len() {
            Self::Search(map)
        } else {
            Self::Walk(map.iter().peekable())
        }
    }

    /// Returns the value of a name that is not before those asked for earlier.
    pub(super) fn get(&mut self, name: &ClusterName) -> Option<&'m V> {
        match self {
            Self::Search(map) => map.get(name),
            Self::Walk(walk) => {
                // Most names share one allocation, so that comparing them for equality is cheap.
                while walk.peek().is_some_and(|(at, _)| *at != name && *at < name) {
                    walk.next();
                }
                let (_, value) = walk.next_if(|(at, _)| *at == name)?;
                Some(value)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use flotilla_shared::revision::Commit;

    use super::*;

    #[test]
    fn a08_what_time_does_not_cure_fails_at_once_and_only_for_the_commit_that_was_tried() {
        let commit = |digit: &str| -> Commit { digit.repeat(40).parse().unwrap() };
        let name: ApplicationName = "web".parse().unwrap();
        let mut assigned = crate::fleet::tests::application();
        assigned.revision.commit = commit("a");
        let judge = |reason, attempted| {
            let report = ApplicationReport {
                sync: SyncState::OutOfSync,
                reason: Some(reason),
                message: "ConfigMap shop/a: .data.port: expected string, got 8080".to_owned(),
                attempted,
                ..ApplicationReport::default()
            };
            application(&name, &assigned, &report)
        };
        let Verdict::Failed(problem) = judge(Reason::Invalid, Some(commit("a"))) else {
            panic!("it has not failed");
        };
        assert_eq!(problem.reason, Reason::Invalid);
        assert!(problem.message.contains(".data.port"), "{problem:?}");
        for (reason, attempted) in [
            (Reason::Invalid, None),
            (Reason::Invalid, Some(commit("b"))),
            (Reason::WebhookUnavailable, Some(commit("a"))),
            (Reason::Drifted, Some(commit("a"))),
        ] {
            let verdict = judge(reason, attempted);
            assert!(matches!(verdict, Verdict::Progressing(..)), "{verdict:?}");
        }
    }

    #[test]
    fn both_ways_to_look_names_up_find_the_same() {
        let name = |index: usize| -> ClusterName { format!("c{index:03}").parse().unwrap() };
        let map: BTreeMap<ClusterName, usize> = (0..200).step_by(3).map(|i| (name(i), i)).collect();
        for step in [1, 2, 3, 5, 60] {
            let asked: BTreeMap<ClusterName, ()> =
                (0..220).step_by(step).map(|i| (name(i), ())).collect();
            let mut lookup = Lookup::new(&map, &asked);
            assert_eq!(matches!(lookup, Lookup::Search(_)), step == 60);
            for path in asked.keys() {
                assert_eq!(lookup.get(path), map.get(path), "{path}");
            }
        }
    }
}
