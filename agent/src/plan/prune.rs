//! What leaves: by inventory and UID only, each reason not to delete with its own name.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_shared::object::ObjectRef;
use flotilla_shared::reason::Reason;

use super::order::kind_phase;
use super::{Inputs, Plan, Step};
use crate::inventory::Entry;

pub(super) fn plan(inputs: &Inputs<'_>, plan: &mut Plan) {
    let desired: BTreeSet<&ObjectRef> = inputs.desired.iter().map(|d| &d.object).collect();
    let leaving: Vec<&Entry> = inputs
        .inventory
        .entries()
        .filter(|entry| !desired.contains(&entry.object))
        .collect();
    let mut deletes: Vec<(ObjectRef, String)> = Vec::new();
    for entry in leaving {
        match decide(inputs, entry) {
            Step::Prune(object, uid) => deletes.push((object, uid)),
            step => plan.rest.push(step),
        }
    }
    if inputs
        .policy
        .over_budget(deletes.len(), inputs.inventory.len())
    {
        let names: Vec<String> = deletes.iter().take(5).map(|(o, _)| o.to_string()).collect();
        let message = format!(
            "{} of {} objects would be deleted, more than the agent's policy allows at once: {}{}",
            deletes.len(),
            inputs.inventory.len(),
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

/// The filters, in the order of what they know least about.
fn decide(inputs: &Inputs<'_>, entry: &Entry) -> Step {
    let object = entry.object.clone();
    let hold = |reason, message: &str| Step::Hold(object.clone(), reason, message.to_owned());
    if inputs.claims.owners.contains_key(&object) {
        // Handed over in the same commit: the other application takes it as it stands.
        return Step::Forget(object);
    }
    if !inputs.observed.complete {
        return hold(
            Reason::PartialDiscovery,
            "the API server could not be read completely; nothing is deleted this turn",
        );
    }
    if !inputs.claims.complete {
        return hold(
            Reason::InventoryUnavailable,
            "another application's objects are not known this turn, and this one may have moved there",
        );
    }
    let Some(live) = inputs.observed.live.get(&object) else {
        return Step::Forget(object);
    };
    // Made again by somebody else, or marked as another application's: not ours to delete (P16, P17).
    let is_ours = if entry.uid.is_empty() {
        live.application == inputs.application
    } else {
        live.uid == entry.uid
    };
    if !is_ours || (!live.application.is_empty() && live.application != inputs.application) {
        return Step::Forget(object);
    }
    if live.terminating {
        return hold(
            Reason::WaitingForFinalizer,
            "it is being deleted and waits for its finalizers",
        );
    }
    if !inputs.prune_enabled {
        return hold(
            Reason::PruneDisabled,
            "it left the commit, and pruning is off here",
        );
    }
    if inputs
        .policy
        .object(&object, inputs.own_namespace)
        .is_some()
    {
        return hold(
            Reason::ProtectedObject,
            "the agent's policy does not let it be touched",
        );
    }
    if let Some((reason, message)) = forbids(&live.prune, inputs.policy.is_protected(&object)) {
        return hold(reason, message);
    }
    Step::Prune(object, live.uid.clone())
}

/// Whether an object's own word (`flotilla.dev/prune`), or its kind, keeps it from being deleted. Asked
/// again of the live object right before its delete: a confirmation may have been withdrawn.
#[must_use]
pub fn forbids(word: &str, is_protected: bool) -> Option<(Reason, &'static str)> {
    match word {
        "disabled" => Some((
            Reason::PruneDisabled,
            "it says flotilla.dev/prune: disabled",
        )),
        "confirmed" => None,
        "confirm" => Some((
            Reason::ConfirmationRequired,
            "it left the commit; annotate it flotilla.dev/prune=confirmed to delete it",
        )),
        _ if is_protected => Some((
            Reason::ProtectedKind,
            "it left the commit; annotate it flotilla.dev/prune=confirmed to delete it",
        )),
        _ => None,
    }
}
