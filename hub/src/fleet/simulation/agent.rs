//! An agent as far as a hub can tell.

use flotilla_shared::report::SUSPENDED_BY_HUB;

use super::*;

/// An agent: keeps what it accepted, applies after a while, reports.
#[derive(Default)]
pub(super) struct Agent {
    pub(super) session: Option<SessionId>,
    pub(super) accepted: AssignmentRef,
    pub(super) assignment: Option<Arc<DecodedAssignment>>,
    pub(super) applied_at: Option<Timestamp>,
    /// Assignments that it ran, all of it healthy.
    pub(super) ran: BTreeSet<AssignmentRef>,
    pub(super) report: Report,
    pub(super) digest: Digest,
    /// The network between it and the hub is cut.
    pub(super) cut: bool,
    /// It does not tell what its renders depend on.
    pub(super) is_old: bool,
}

impl Agent {
    pub(super) fn look(&mut self, now: Timestamp) {
        let Some(decoded) = &self.assignment else {
            return;
        };
        if decoded.assignment.suspended {
            // It says what it was, and does nothing.
            if self.report.assignment != decoded.reference {
                self.report.sequence += 1;
                self.report.assignment = decoded.reference;
                self.report.suspended = SUSPENDED_BY_HUB.to_owned();
                self.digest = Digest::of(format!("{:?}", self.report).as_bytes());
            }
            return;
        }
        let ready = self
            .applied_at
            .is_some_and(|at| now.duration_since(at) >= SignedDuration::from_secs(3));
        let applications = decoded.assignment.applications.iter().map(|(name, app)| {
            let (commit, path) = (&app.revision.commit, app.path.as_str());
            let bad = is_bad(commit, path);
            let report = ApplicationReport {
                revision: ready.then(|| app.revision.clone()),
                sync: if ready {
                    SyncState::Synced
                } else {
                    SyncState::Applying
                },
                health: match (ready, bad) {
                    (true, true) => Health::Failed,
                    (true, false) => Health::Current,
                    _ => Health::InProgress,
                },
                source_digest: Digest::of(&tree(commit, path)),
                // Older agents do not know.
                source_paths: SourcePaths::new((!self.is_old).then_some(path)),
                ..ApplicationReport::default()
            };
            (name.clone(), Box::new(report))
        });
        let removed = decoded.assignment.tombstones.keys().map(|name| {
            let report = ApplicationReport {
                sync: SyncState::Synced,
                health: Health::Current,
                reason: ready.then_some(Reason::Removed),
                ..ApplicationReport::default()
            };
            (name.clone(), Box::new(report))
        });
        let applications: BTreeMap<ApplicationName, Box<ApplicationReport>> =
            applications.chain(removed).collect();
        if ready
            && applications
                .values()
                .all(|app| app.health == Health::Current)
        {
            self.ran.insert(decoded.reference);
        }
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
                specified: specified(&decoded.assignment.applications),
            };
            self.digest = Digest::of(format!("{:?}", self.report).as_bytes());
        }
    }
}
