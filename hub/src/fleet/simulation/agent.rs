//! A simulated agent, as far as a hub can see it.

use flotilla_shared::report::SUSPENDED_BY_HUB;

use flotilla_shared::assignment::{ApplicationAssignment, Assignment};

use super::commits::MISSING;
use super::file::Definition;
use super::*;

/// What an application's objects were made from.
pub(super) type Content = (TreeId, Definition);

/// Returns what they should be made from.
pub(super) fn desired(application: &ApplicationAssignment) -> Content {
    let tree = tree(&application.revision.commit, application.path.as_str());
    (tree, Definition::of(application))
}

/// An agent that keeps what it accepted, applies it after a while, and reports.
#[derive(Default)]
pub(super) struct Agent {
    pub(super) session: Option<SessionId>,
    pub(super) accepted: AssignmentRef,
    pub(super) assignment: Option<Arc<DecodedAssignment>>,
    pub(super) applied_at: Option<Timestamp>,
    /// Assignments that it ran with all applications healthy.
    pub(super) ran: BTreeSet<AssignmentRef>,
    /// Assignments that it ran with unhealthy applications, and which these were.
    pub(super) ill: BTreeMap<AssignmentRef, BTreeSet<ApplicationName>>,
    pub(super) report: Report,
    pub(super) digest: Digest,
    /// The network between it and the hub is cut.
    pub(super) cut: bool,
    /// It is an older agent, which does not report what its renders depend on.
    pub(super) is_old: bool,
    /// The objects in the cluster, by application, including applications that are no longer assigned.
    pub(super) live: BTreeMap<ApplicationName, Content>,
    /// What it applied last.
    applied: AssignmentRef,
    /// Applications whose objects it deleted since the last check.
    pub(super) deleted: Vec<ApplicationName>,
}

impl Agent {
    /// Changes objects by hand.
    pub(super) fn change_by_hand(&mut self) {
        if let Some((tree, _)) = self.live.values_mut().next() {
            *tree = TreeId::default();
        }
    }

    /// Applies the assignment. Returns the applications that had been changed by hand.
    fn apply(
        &mut self,
        assignment: &Assignment,
        reference: AssignmentRef,
    ) -> BTreeSet<ApplicationName> {
        let again = std::mem::replace(&mut self.applied, reference) == reference;
        let mut drifted = BTreeSet::new();
        for (name, application) in &assignment.applications {
            if application.path.as_str().starts_with(MISSING) {
                continue;
            }
            let desired = desired(application);
            // Objects that are declared under another name now are handed over.
            self.live.retain(|other, (_, definition)| {
                other == name
                    || assignment.applications.contains_key(other)
                    || (&definition.repository, &definition.path)
                        != (&desired.1.repository, &desired.1.path)
            });
            let had = self.live.insert(name.clone(), desired.clone());
            if again && had.is_some_and(|had| had != desired) {
                drifted.insert(name.clone());
            }
        }
        for (name, tombstone) in &assignment.tombstones {
            if self.live.remove(name).is_some() && tombstone.delete_objects {
                self.deleted.push(name.clone());
            }
        }
        drifted
    }

    pub(super) fn look(&mut self, now: Timestamp) {
        let Some(decoded) = self.assignment.clone() else {
            return;
        };
        if decoded.assignment.suspended {
            self.tell_of_suspension(&decoded);
            return;
        }
        let ready = self
            .applied_at
            .is_some_and(|at| now.duration_since(at) >= SignedDuration::from_secs(3));
        let drifted = match ready {
            true => self.apply(&decoded.assignment, decoded.reference),
            false => BTreeSet::new(),
        };
        let look = Inspection {
            assignment: &decoded.assignment,
            ready,
            drifted,
            is_old: self.is_old,
        };
        let applications = look.applications(&self.live);
        let ill = ill_of(&applications);
        if ready && ill.is_empty() {
            self.ran.insert(decoded.reference);
        } else if ready {
            self.ill.insert(decoded.reference, ill);
        }
        self.tell(&decoded, applications, now);
    }

    /// Makes a new report, unless it equals the last one.
    fn tell(
        &mut self,
        decoded: &DecodedAssignment,
        applications: BTreeMap<ApplicationName, Box<ApplicationReport>>,
        now: Timestamp,
    ) {
        let was_suspended = !self.report.suspended.is_empty();
        if applications != self.report.applications
            || self.report.assignment != decoded.reference
            || was_suspended
        {
            self.report = Report {
                sequence: self.report.sequence + 1,
                assignment: decoded.reference,
                observed_at: now,
                applications,
                suspended: String::new(),
                gate_jobs: Vec::new(),
                specified: specified(&decoded.assignment.applications, &decoded.assignment.labels),
            };
            self.digest = Digest::of(format!("{:?}", self.report).as_bytes());
        }
    }

    /// Reports the present state and the assignment as suspended, and applies nothing.
    fn tell_of_suspension(&mut self, decoded: &DecodedAssignment) {
        if self.report.assignment != decoded.reference {
            self.report.sequence += 1;
            self.report.assignment = decoded.reference;
            let assignment = &decoded.assignment;
            self.report.specified = specified(&assignment.applications, &assignment.labels);
            for name in assignment.applications.keys() {
                let known = self.report.applications.entry(name.clone());
                known.or_insert_with(|| {
                    Box::new(ApplicationReport {
                        sync: SyncState::OutOfSync,
                        health: Health::Unknown,
                        reason: Some(Reason::SuspendedByHub),
                        ..ApplicationReport::default()
                    })
                });
            }
            self.report.suspended = SUSPENDED_BY_HUB.to_owned();
            self.digest = Digest::of(format!("{:?}", self.report).as_bytes());
        }
    }
}

/// What an agent sees when it checks an assignment.
struct Inspection<'a> {
    assignment: &'a Assignment,
    /// Whether it has had the time to apply.
    ready: bool,
    /// Applications that had been changed by hand.
    drifted: BTreeSet<ApplicationName>,
    is_old: bool,
}

impl Inspection<'_> {
    /// Reports each application: those assigned, those to be removed, and those left in the cluster.
    fn applications(
        &self,
        live: &BTreeMap<ApplicationName, Content>,
    ) -> BTreeMap<ApplicationName, Box<ApplicationReport>> {
        let assignment = self.assignment;
        let applications = assignment
            .applications
            .iter()
            .map(|(name, app)| (name.clone(), self.assigned(name, app)));
        let removed = assignment.tombstones.keys().map(|name| {
            let report = ApplicationReport {
                sync: SyncState::Synced,
                health: Health::Current,
                reason: self.ready.then_some(Reason::Removed),
                ..ApplicationReport::default()
            };
            (name.clone(), Box::new(report))
        });
        let left = live.keys().filter(|name| {
            !assignment.applications.contains_key(*name)
                && !assignment.tombstones.contains_key(*name)
        });
        let left = left.map(|name| {
            let report = ApplicationReport {
                sync: SyncState::Orphaned,
                health: Health::Current,
                ..ApplicationReport::default()
            };
            (name.clone(), Box::new(report))
        });
        applications.chain(removed).chain(left).collect()
    }

    /// Reports an assigned application.
    fn assigned(
        &self,
        name: &ApplicationName,
        app: &ApplicationAssignment,
    ) -> Box<ApplicationReport> {
        if self.ready && app.path.as_str().starts_with(MISSING) {
            let report = ApplicationReport {
                sync: SyncState::Refused,
                health: Health::Unknown,
                reason: Some(Reason::PathNotFound),
                ..ApplicationReport::default()
            };
            return Box::new(report);
        }
        let (commit, path) = (&app.revision.commit, app.path.as_str());
        let bad = is_bad(commit, path);
        let report = ApplicationReport {
            revision: self.ready.then(|| app.revision.clone()),
            sync: match self.ready {
                true if self.drifted.contains(name) => SyncState::OutOfSync,
                true => SyncState::Synced,
                false => SyncState::Applying,
            },
            health: match (self.ready, bad) {
                (true, true) => Health::Failed,
                (true, false) => Health::Current,
                _ => Health::InProgress,
            },
            source_digest: Digest::of(&tree(commit, path)),
            // Older agents do not report them.
            source_paths: SourcePaths::new((!self.is_old).then_some(path)),
            ..ApplicationReport::default()
        };
        Box::new(report)
    }
}

/// Returns the applications that are not healthy.
fn ill_of(
    applications: &BTreeMap<ApplicationName, Box<ApplicationReport>>,
) -> BTreeSet<ApplicationName> {
    let is_well = |app: &ApplicationReport| {
        app.health == Health::Current && matches!(app.sync, SyncState::Synced | SyncState::Orphaned)
    };
    let ill = applications.iter().filter(|(_, app)| !is_well(app));
    ill.map(|(name, _)| name.clone()).collect()
}
