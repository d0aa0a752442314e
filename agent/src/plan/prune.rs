//! Which objects leave: by inventory, UID and the live object's own marks, with a distinct reason for
//! each that is not deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flotilla_shared::object::ObjectRef;
use flotilla_shared::reason::Reason;
use flotilla_shared::words::counted;

use super::order::kind_phase;
use super::{Desired, Inputs, Intent, Plan, Step, unplaced};
use crate::inventory::Entry;
use crate::policy::Policy;

pub(super) fn plan(inputs: &Inputs<'_>, plan: &mut Plan) {
    let desired: BTreeSet<&ObjectRef> = inputs.desired.iter().map(|d| &d.object).collect();
    // The same object, as far as can be said while its kind is unknown.
    let may_stay = |object: &ObjectRef| desired.contains(&unplaced(object));
    // This may last for as long as the commit stays, so it is reported.
    let is_unserved =
        |object: &ObjectRef| inputs.observed.unknown_kinds.contains(&unplaced(object));
    let leaving: Vec<&Entry> = inputs
        .inventory
        .entries()
        .filter(|entry| {
            let object = &entry.object;
            !desired.contains(object) && (!may_stay(object) || is_unserved(object))
        })
        .collect();
    let mut deletes: Vec<(ObjectRef, String)> = Vec::new();
    for entry in leaving {
        match decide(inputs, entry) {
            Some(Step::Prune(object, _)) if may_stay(&object) => {
                let message = unserved("the commit");
                plan.rest
                    .push(Step::Hold(object, Reason::InventoryUnavailable, message));
            }
            Some(Step::Prune(object, uid)) => deletes.push((object, uid)),
            step => plan.rest.extend(step),
        }
    }
    if is_over_budget(inputs, deletes.len()) {
        let names: Vec<String> = deletes.iter().take(5).map(|(o, _)| o.to_string()).collect();
        let message = format!(
            "{} of {} objects would be deleted, more than the agent's policy allows at once{}: {}{}",
            deletes.len(),
            inputs.inventory.len(),
            match inputs.intent {
                Intent::Remove => format!(
                    " (to confirm the removal in the cluster: kubectl -n {} annotate configmap \
                     flotilla-inventory-{}-0 flotilla.dev/remove=confirmed)",
                    inputs.own_namespace, inputs.application
                ),
                _ => String::new(),
            },
            names.join(", "),
            if deletes.len() > names.len() {
                ", ..."
            } else {
                ""
            }
        );
        for (object, _) in deletes {
            plan.rest
                .push(Step::Hold(object, Reason::DeleteBudget, message.clone()));
        }
        return;
    }
    let mut phases: BTreeMap<i64, Vec<Step>> = BTreeMap::new();
    for (object, uid) in deletes {
        phases
            .entry(-kind_phase(&object.kind))
            .or_default()
            .push(Step::Prune(object, uid));
    }
    plan.prune = phases.into_values().collect();
}

/// Returns the deletion of a finished hook or helper that is to be deleted, by the same rules as for pruning.
/// None: it is deleted already, or may not be deleted.
pub(super) fn over(inputs: &Inputs<'_>, desired: &Desired) -> Option<Step> {
    let entry = inputs.inventory.get(&desired.object)?;
    match decide(inputs, entry)? {
        step @ Step::Prune(..) => Some(step),
        _ => None,
    }
}

/// Whether deletions exceed the delete budget. For a removal, which deletes everything, only the number counts.
fn is_over_budget(inputs: &Inputs<'_>, deletes: usize) -> bool {
    match inputs.intent {
        Intent::Remove if inputs.removal_confirmed => false,
        Intent::Remove => deletes > inputs.policy.delete_budget.count as usize,
        _ => inputs.policy.over_budget(deletes, inputs.inventory.len()),
    }
}

/// Ownership marks of a live object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marks<'a> {
    /// The application that it is marked with; empty: none.
    pub application: &'a str,
    /// Some of its fields were applied under the agent's name.
    pub applied_by_us: bool,
}

impl Marks<'_> {
    /// Whether it names another application as its owner.
    #[must_use]
    pub fn names_another(&self, application: &str) -> bool {
        !self.application.is_empty() && self.application != application
    }

    /// Whether it shows that the agent applied it for this application. An inventory alone proves nothing:
    /// other clients can write it.
    #[must_use]
    pub fn show(&self, application: &str) -> bool {
        self.applied_by_us && !self.names_another(application)
    }
}

/// Decides what to do with an object that left the desired state. None: it is kept, and nothing is reported.
fn decide(inputs: &Inputs<'_>, entry: &Entry) -> Option<Step> {
    let object = entry.object.clone();
    let hold = |reason, message: &str| {
        let step = Step::Hold(object.clone(), reason, message.to_owned());
        Some(step)
    };
    let live = inputs.observed.live.get(&object);
    let marks = live.map(|live| Marks {
        application: &live.application,
        applied_by_us: live.applied_by_us,
    });
    let claimant = |object: &ObjectRef| inputs.claims.claimant(object, inputs.application);
    if let Some(other) = claimant(&object) {
        // Another application takes the object over as it is; it stays in this inventory until then.
        return match marks {
            Some(marks) if !marks.names_another(inputs.application) => match inputs.intent {
                Intent::Remove | Intent::Release => hold(
                    Reason::DependencyNotReady,
                    &format!("kept; waiting for application {other} to take it over"),
                ),
                Intent::Run | Intent::Orphan => None,
            },
            None if !inputs.observed.complete => None,
            _ => Some(Step::Forget(object)),
        };
    }
    if !inputs.observed.complete {
        return hold(
            Reason::PartialDiscovery,
            &partly_read(&inputs.observed.stale_groups),
        );
    }
    let (Some(live), Some(marks)) = (live, marks) else {
        return Some(Step::Forget(object));
    };
    // Created again by others, or marked by another application: it must not be deleted here (P16, P17).
    let is_it = if entry.uid.is_empty() {
        marks.application == inputs.application
    } else {
        live.uid == entry.uid
    };
    if !is_it || marks.names_another(inputs.application) {
        return Some(Step::Forget(object));
    }
    if !marks.show(inputs.application) {
        return Some(Step::Disown(object));
    }
    match inputs.intent {
        Intent::Release => return Some(Step::Forget(object)),
        Intent::Orphan => return hold(Reason::NotAssigned, "no longer assigned; it is kept"),
        Intent::Run | Intent::Remove => {}
    }
    if !inputs.claims.complete {
        return hold(
            Reason::InventoryUnavailable,
            &not_known(&inputs.claims.unresolved),
        );
    }
    if let Some(other) = claimant(&unplaced(&object)) {
        return hold(
            Reason::InventoryUnavailable,
            &unserved(&format!("application {other}")),
        );
    }
    if !inputs.inventory_proven {
        return hold(
            Reason::InventoryChanged,
            "the agent's inventory was changed by another client; nothing is deleted by it",
        );
    }
    if live.terminating {
        return hold(
            Reason::WaitingForFinalizer,
            "being deleted; waiting for its finalizers",
        );
    }
    if !inputs.prune_enabled {
        return hold(
            Reason::PruneDisabled,
            "removed from Git, but pruning is disabled for this application",
        );
    }
    if let Some(other) = inputs.waits_for {
        let message = format!("removed from Git; waiting for application {other}");
        return hold(Reason::DependencyNotReady, &message);
    }
    if inputs
        .policy
        .object(&object, inputs.own_namespace)
        .is_some()
    {
        return hold(Reason::ProtectedObject, "protected by the agent's policy");
    }
    if let Some((reason, message)) = forbids(&live.prune, inputs.policy, &object) {
        // Custom resources that a confirmation would delete along with their definition (P11).
        return match inputs.observed.custom_resources.get(&object) {
            Some(count) if reason != Reason::PruneDisabled => {
                let along = counted(*count, "custom resource");
                hold(reason, &format!("{message}, and with it {along}"))
            }
            _ => hold(reason, message),
        };
    }
    Some(Step::Prune(object, live.uid.clone()))
}

/// Why nothing is deleted while discovery is incomplete; `groups`: those that are known to be missing.
fn partly_read(groups: &[String]) -> String {
    let named: Vec<&str> = groups.iter().take(5).map(String::as_str).collect();
    let of = match named.as_slice() {
        [] => String::new(),
        named => format!(
            " (no answer from the server of API group {}{})",
            named.join(", "),
            if groups.len() > named.len() {
                ", ..."
            } else {
                ""
            }
        ),
    };
    format!("the API server could not be read completely{of}; nothing is deleted this pass")
}

/// Why nothing is deleted while the desired objects of others are not known; `unresolved`: the applications
/// that only the hub can resolve.
fn not_known(unresolved: &[Arc<str>]) -> String {
    match unresolved {
        [] => "another application's objects are not known this pass, and this one may have moved there"
            .to_owned(),
        names => format!(
            "kept, since it may have moved to what is declared for this cluster and cannot be assigned yet: {}{} \
             (flotilla explain says why)",
            names[..names.len().min(5)].join(", "),
            if names.len() > 5 { ", ..." } else { "" }
        ),
    }
}

/// Why an object is kept that an application may desire while its kind is not served.
fn unserved(claimant: &str) -> String {
    format!(
        "kept, since {claimant} may want it, too: it has such an object without a namespace, in a version of the \
         kind that the API server does not serve now"
    )
}

/// Whether an object's own annotation (`flotilla.dev/prune`), or its kind, protects it from deletion.
/// Checked again on the live object right before the delete: a confirmation may have been withdrawn.
#[must_use]
pub fn forbids(word: &str, policy: &Policy, object: &ObjectRef) -> Option<(Reason, &'static str)> {
    match word {
        "disabled" => Some((
            Reason::PruneDisabled,
            "it is annotated flotilla.dev/prune: disabled",
        )),
        "confirmed" => None,
        "confirm" => Some((
            Reason::ConfirmationRequired,
            "removed from Git; annotate it flotilla.dev/prune=confirmed to delete it",
        )),
        _ if policy.is_protected(object) => Some((
            Reason::ProtectedKind,
            "removed from Git; annotate it flotilla.dev/prune=confirmed to delete it",
        )),
        _ => None,
    }
}
