//! Problems of a cluster before a rollout started there, which do not count against it.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_shared::assignment::{ApplicationAssignment, Assignment};
use flotilla_shared::id::{ApplicationName, RepositoryName};
use flotilla_shared::reason::Reason;
use flotilla_shared::report::Report;
use flotilla_shared::wire::specified;

use super::cluster::Cluster;
use super::environment::{Pin, pinned_or};
use super::rollout::{Exemptions, PriorProblems, Progress, Rollout};
use crate::spec::ClusterImpact;

/// Returns the problems of a cluster that a rollout has not started on yet.
pub(super) fn before(cluster: &Cluster, rollout: &Rollout, pin: Option<&Pin>) -> PriorProblems {
    let assigned = cluster.assigned.as_ref();
    let report = cluster.report.as_ref();
    // A report on another assignment, or on other declarations, says nothing about the good commits. A report with the
    // same declarations counts: a cluster that was just unpinned, or is in a new epoch, has not reported again yet.
    let report = report.zip(assigned).filter(|(report, assigned)| {
        let is_of_this =
            report.assignment == assigned.reference && cluster.accepted == assigned.reference;
        is_of_this || declares_the_same(report, &assigned.assignment)
    });
    // Taken from the assignment, which survives a restart.
    let is_unresolved = |name: &ApplicationName| {
        assigned.is_some_and(|assigned| assigned.assignment.unresolved.contains(name))
    };
    let declared = rollout.from.get(RepositoryName::fleet_file());
    let specified = cluster.specified.as_ref();
    let report = report.filter(|_| specified.is_none() || specified == declared);
    let is_well = |name: &ApplicationName| {
        let Some((report, assigned)) = report else {
            return false;
        };
        let Some((report, assigned)) = report
            .applications
            .get(name)
            .zip(assigned.assignment.applications.get(name))
        else {
            return false;
        };
        let good = pinned_or(pin, &rollout.from, &assigned.revision.repository);
        let runs = report.revision.as_ref().map(|revision| &revision.commit);
        let placed = cluster.placed.get(name);
        good == Some(&assigned.revision.commit)
            && runs == good
            && report.is_well()
            && placed.is_none_or(|placed| placed.problem.is_none())
            && !is_unresolved(name)
    };
    let given = assigned.iter().flat_map(|assigned| {
        let assigned = &assigned.assignment;
        assigned.applications.keys().chain(&assigned.unresolved)
    });
    let names: BTreeSet<&ApplicationName> = cluster.placed.keys().chain(given).collect();
    let unhealthy = names.into_iter().filter(|name| !is_well(name)).cloned();
    let refused = cluster.refusal.as_ref().map(|refusal| refusal.reason);
    PriorProblems::of(unhealthy.collect(), refused)
}

/// Returns whether a report is of an assignment with the same declarations as this one, apart from commits. An older
/// agent does not report that.
fn declares_the_same(report: &Report, assigned: &Assignment) -> bool {
    !report.specified.is_none()
        && report.suspended.is_empty()
        && report.specified == specified(&assigned.applications, &assigned.labels)
}

/// Returns which applications do not count for a rollout: those for which it brings nothing new. `touches`: its effect
/// there; `takes`: the applications that it removes, which do not count either where their removal waits only for
/// these. An application of a pinned repository gets nothing new.
pub(super) fn aside(
    cluster: &Cluster,
    progress: &Progress,
    rollout: &Rollout,
    (touches, takes): (
        &BTreeMap<&ApplicationName, ClusterImpact>,
        &BTreeSet<ApplicationName>,
    ),
    pin: Option<&Pin>,
) -> Option<Exemptions> {
    let assigned = cluster.assigned.as_ref()?;
    let applications = &assigned.assignment.applications;
    let brings = |name: &ApplicationName| {
        let repository = applications.get(name).map(|app| &app.revision.repository);
        if repository
            .is_some_and(|repository| pin.is_some_and(|pin| pin.commits.contains_key(repository)))
        {
            return false;
        }
        touches.contains_key(name)
            || repository.is_some_and(|repository| {
                rollout.from.get(repository) != rollout.target.get(repository)
            })
    };
    let unhealthy = progress.before.unhealthy.iter();
    let aside: BTreeSet<ApplicationName> =
        unhealthy.filter(|name| !brings(name)).cloned().collect();
    if aside.is_empty() {
        return None;
    }
    let mut counted = applications.keys().filter(|name| !aside.contains(*name));
    let leaves_nothing = touches.is_empty() && !counted.any(brings);
    let later = cluster.loses_later();
    let later = later.filter(|name| takes.contains(*name));
    let waits = match assigned.assignment.unresolved.is_subset(&aside) {
        true => later.cloned().collect(),
        false => BTreeSet::new(),
    };
    Some(Exemptions {
        applications: aside,
        waits,
        leaves_nothing,
    })
}

/// Returns whether the problem that keeps a cluster from a rollout existed before it: the agent refused an assignment
/// for the same reason, or an application waits for one that was not healthy before.
pub(super) fn is_as_before(
    cluster: &Cluster,
    progress: &Progress,
    aside: &BTreeSet<ApplicationName>,
) -> bool {
    if let Some(refusal) = &cluster.refusal {
        return progress.before.refused == Some(refusal.reason);
    }
    if aside.is_empty() {
        return false;
    }
    let (Some(assigned), Some(report)) = (&cluster.assigned, &cluster.report) else {
        return false;
    };
    let applications = &assigned.assignment.applications;
    let ill = report.applications.iter().filter(|(name, report)| {
        applications.contains_key(*name) && !aside.contains(*name) && !report.is_well()
    });
    let mut ill = ill.peekable();
    ill.peek().is_some()
        && ill.all(|(name, report)| {
            report.reason == Some(Reason::DependencyNotReady)
                && depends_on(name, aside, applications)
        })
}

/// Returns whether an application depends on one of `others`, directly or indirectly.
fn depends_on(
    name: &ApplicationName,
    others: &BTreeSet<ApplicationName>,
    applications: &BTreeMap<ApplicationName, Box<ApplicationAssignment>>,
) -> bool {
    let (mut seen, mut next) = (BTreeSet::from([name]), vec![name]);
    while let Some(name) = next.pop() {
        let Some(application) = applications.get(name) else {
            continue;
        };
        for dependency in &application.depends_on {
            if others.contains(dependency) {
                return true;
            }
            if seen.insert(dependency) {
                next.push(dependency);
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_goes_through_what_is_in_between_and_ends_in_circles() {
        let name = |text: &str| -> ApplicationName { text.parse().unwrap() };
        let depending = |on: &[&str]| {
            let depends_on = on.iter().map(|text| name(text)).collect();
            Box::new(ApplicationAssignment {
                depends_on,
                ..crate::fleet::tests::application()
            })
        };
        let all = [
            ("a", depending(&["b"])),
            ("b", depending(&["c", "a"])),
            ("c", depending(&[])),
            ("d", depending(&["e"])),
            ("e", depending(&["d"])),
        ];
        let all = all
            .into_iter()
            .map(|(text, application)| (name(text), application))
            .collect();
        let ill = BTreeSet::from([name("c")]);
        let waits = |text: &str| depends_on(&name(text), &ill, &all);
        assert!(waits("a") && waits("b"));
        assert!(!waits("c") && !waits("d") && !waits("e"));
    }
}
