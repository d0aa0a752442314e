//! What the applications of one cluster tell each other and the hub: their wishes and their reports.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flotilla_shared::assignment::AssignmentRef;
use flotilla_shared::health::Sync;
use flotilla_shared::id::ApplicationName;
use flotilla_shared::object::ObjectRef;
use flotilla_shared::reason::Reason;
use flotilla_shared::report::{ApplicationReport, Report};
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::metrics::Metrics;
use crate::plan::{Claims, Desired};

#[derive(Default)]
struct Wish {
    objects: BTreeSet<ObjectRef>,
    /// Whether this is what the assigned commit wants, and not what an older one did.
    exact: bool,
}

#[derive(Default)]
struct Inner {
    reference: AssignmentRef,
    suspended: String,
    reports: BTreeMap<ApplicationName, Box<ApplicationReport>>,
    wishes: BTreeMap<ApplicationName, Wish>,
    claims: Arc<Claims>,
}

/// Shared by the workers of all applications.
pub(super) struct Board {
    inner: Mutex<Inner>,
    reports: watch::Sender<Option<Arc<Report>>>,
    claims_changed: watch::Sender<u64>,
    metrics: Metrics,
}

impl Board {
    pub(super) fn new(reports: watch::Sender<Option<Arc<Report>>>, metrics: Metrics) -> Self {
        Self {
            inner: Mutex::default(),
            reports,
            claims_changed: watch::Sender::new(0),
            metrics,
        }
    }

    /// An assignment is in force: these applications, and no others, are spoken of. What those that
    /// `changed` want is not known from this moment on, before any of them takes a turn: an object may
    /// be on its way from one to another (P3).
    pub(super) fn assign(
        &self,
        reference: AssignmentRef,
        names: &BTreeSet<ApplicationName>,
        changed: &BTreeSet<ApplicationName>,
    ) {
        let mut inner = self.inner.lock();
        inner.reference = reference;
        inner.wishes.retain(|name, _| names.contains(name));
        for name in names {
            let wish = inner.wishes.entry(name.clone()).or_default();
            wish.exact &= !changed.contains(name);
        }
        // What is no longer spoken of is kept and shown, never deleted (P7, P10).
        for (name, report) in &mut inner.reports {
            if !names.contains(name) {
                report.sync = Sync::Orphaned;
                report.reason = Some(Reason::NotAssigned);
                report.message = "no longer assigned; its objects are kept".to_owned();
            }
        }
        self.settle_claims(&mut inner);
        self.publish(&mut inner);
    }

    /// An application was removed with all it had.
    pub(super) fn remove(&self, name: &ApplicationName) {
        let mut inner = self.inner.lock();
        inner.reports.remove(name);
        self.publish(&mut inner);
    }

    pub(super) fn claims_changed(&self) -> watch::Receiver<u64> {
        self.claims_changed.subscribe()
    }

    pub(super) fn claims(&self) -> Arc<Claims> {
        Arc::clone(&self.inner.lock().claims)
    }

    /// What an application wants; `exact`: it is what the assigned commit wants.
    pub(super) fn wish(&self, name: &ApplicationName, desired: &[Arc<Desired>], exact: bool) {
        let mut inner = self.inner.lock();
        let Some(wish) = inner.wishes.get_mut(name) else {
            return;
        };
        let is_same = wish.exact == exact
            && wish.objects.len() == desired.len()
            && desired.iter().all(|d| wish.objects.contains(&d.object));
        if is_same {
            return;
        }
        wish.exact = exact;
        wish.objects = desired.iter().map(|d| d.object.clone()).collect();
        self.settle_claims(&mut inner);
    }

    fn settle_claims(&self, inner: &mut Inner) {
        let mut claims = Claims {
            owners: BTreeMap::new(),
            complete: inner.wishes.values().all(|wish| wish.exact),
        };
        for (name, wish) in &inner.wishes {
            let owner: Arc<str> = name.as_str().into();
            for object in &wish.objects {
                // By name, as the wishes are.
                let owners = claims.owners.entry(object.clone());
                let owners = owners.or_insert_with(|| Vec::with_capacity(1));
                owners.push(Arc::clone(&owner));
            }
        }
        if *inner.claims != claims {
            inner.claims = Arc::new(claims);
            self.claims_changed.send_modify(|version| *version += 1);
        }
    }

    /// How another application is, for those that depend on it.
    pub(super) fn is_ready(&self, name: &ApplicationName) -> bool {
        let inner = self.inner.lock();
        inner.reports.get(name).is_some_and(|report| {
            report.sync == Sync::Synced && report.health == flotilla_shared::health::Health::Current
        })
    }

    pub(super) fn report(
        &self,
        name: &ApplicationName,
        report: &ApplicationReport,
        suspended: Option<&str>,
    ) {
        let mut inner = self.inner.lock();
        if !inner.wishes.contains_key(name) {
            return;
        }
        let before = inner.reports.insert(name.clone(), report.clone().into());
        let before = before.map(|b| (b.sync, b.health, b.reason.map(|r| r.to_string())));
        let (sync, health, reason) = before.unwrap_or_default();
        let before = (sync, health, reason.unwrap_or_default());
        self.metrics.application(name.as_str(), before, report);
        suspended
            .unwrap_or_default()
            .clone_into(&mut inner.suspended);
        self.publish(&mut inner);
    }

    fn publish(&self, inner: &mut Inner) {
        let next = Report {
            sequence: 0,
            assignment: inner.reference,
            observed_at: Timestamp::now(),
            applications: inner.reports.clone(),
            suspended: inner.suspended.clone(),
        };
        self.reports.send_if_modified(|current| {
            let sequence = current.as_ref().map_or(0, |report| report.sequence);
            let is_same = current.as_ref().is_some_and(|before| {
                before.assignment == next.assignment
                    && before.applications == next.applications
                    && before.suspended == next.suspended
            });
            if is_same {
                return false;
            }
            *current = Some(Arc::new(Report {
                sequence: sequence + 1,
                ..next
            }));
            true
        });
    }
}
