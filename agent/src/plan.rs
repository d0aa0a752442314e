//! What is to be done about one application: desired against live against inventory, as a value.
//!
//! Pure. A [`Plan`] is printable, comparable, and carries a reason for everything that is not done;
//! executing it decides nothing.

mod matches;
mod order;
mod prune;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use flotilla_shared::object::ObjectRef;
use flotilla_shared::reason::Reason;
use serde_json::Value;

pub use matches::is_subset;
pub use order::weight;

use crate::inventory::Inventory;
use crate::policy::Policy;

/// Marks every object that we apply with the application it belongs to.
pub const APPLICATION_ANNOTATION: &str = "flotilla.dev/application";
/// `disabled`: never deleted by us. `confirm`: only after `confirmed` was set on the live object.
pub const PRUNE_ANNOTATION: &str = "flotilla.dev/prune";

/// An object as the commit wants it, ready to be applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    /// Which object, its namespace filled in.
    pub object: ObjectRef,
    /// API version without the group.
    pub version: String,
    /// What to apply, marked and stripped of what is the server's.
    pub value: Value,
}

/// An object as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Live {
    /// `metadata.uid`.
    pub uid: String,
    /// The application that its mark names; empty: none.
    pub application: String,
    /// `metadata.annotations[flotilla.dev/prune]`; empty: none.
    pub prune: String,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// Whether every field we want is as we want it.
    pub matches: bool,
}

/// What is known of the cluster this turn.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// Live objects among those desired or in the inventory. An object that is not here was looked
    /// for and is not there, unless [`Observed::complete`] is false.
    pub live: BTreeMap<ObjectRef, Live>,
    /// Whether discovery and every list succeeded. While it is false nothing is pruned (P14).
    pub complete: bool,
    /// Kinds that the API server does not serve.
    pub unknown_kinds: BTreeSet<ObjectRef>,
}

/// What all applications of the cluster want, for hand-over between them (P3).
#[derive(Debug, Clone, Default)]
pub struct Claims {
    /// Who wants which object.
    pub owners: BTreeMap<ObjectRef, String>,
    /// Whether every application's wish is known; while it is not, an object that seems to be leaving
    /// may be on its way to another application, so nothing is pruned.
    pub complete: bool,
}

/// One thing to do, or not to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Apply; the flag says that it is not there yet.
    Apply {
        /// Index into the desired objects.
        index: usize,
        /// Whether it is new.
        create: bool,
    },
    /// As it should be.
    Unchanged(ObjectRef),
    /// Delete, if the live object still has this UID.
    Prune(ObjectRef, String),
    /// Take it out of the inventory: it is gone, or belongs to somebody else now.
    Forget(ObjectRef),
    /// Not applied.
    Skip(ObjectRef, Reason, String),
    /// Not deleted, and kept in the inventory.
    Hold(ObjectRef, Reason, String),
}

/// What to do, in phases: everything of one phase may happen at once, and all of it before the next.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// Applies by weight.
    pub apply: Vec<Vec<Step>>,
    /// Deletes, in reverse order of weight.
    pub prune: Vec<Vec<Step>>,
    /// Everything that needs no request.
    pub rest: Vec<Step>,
    /// Why the application as a whole is refused; then nothing is applied or pruned.
    pub refused: Option<(Reason, String)>,
}

impl Plan {
    /// Whether the plan writes nothing.
    #[must_use]
    pub fn is_noop(&self) -> bool {
        self.apply.is_empty() && self.prune.is_empty()
    }
}

/// Everything a plan depends on.
pub struct Inputs<'a> {
    /// The application.
    pub application: &'a str,
    /// What its commit wants.
    pub desired: &'a [Desired],
    /// What is.
    pub observed: &'a Observed,
    /// What was applied before.
    pub inventory: &'a Inventory,
    /// The agent's rules.
    pub policy: &'a Policy,
    /// Where the agent lives.
    pub own_namespace: &'a str,
    /// What the others want.
    pub claims: &'a Claims,
    /// Whether objects that left the set are deleted at all.
    pub prune_enabled: bool,
}

/// Makes the plan.
#[must_use]
pub fn plan(inputs: &Inputs<'_>) -> Plan {
    let mut plan = Plan::default();
    if inputs.desired.is_empty() && !inputs.inventory.is_empty() {
        plan.refused = Some((
            Reason::EmptyRender,
            format!(
                "the commit renders to nothing, and {} objects run; remove the application if that is \
                 meant",
                inputs.inventory.len()
            ),
        ));
        return plan;
    }
    let mut phases: BTreeMap<i64, Vec<Step>> = BTreeMap::new();
    for (index, desired) in inputs.desired.iter().enumerate() {
        match apply_step(inputs, index, desired) {
            step @ Step::Apply { .. } => phases.entry(weight(desired)).or_default().push(step),
            step => plan.rest.push(step),
        }
    }
    plan.apply = phases.into_values().collect();
    prune::plan(inputs, &mut plan);
    plan
}

fn apply_step(inputs: &Inputs<'_>, index: usize, desired: &Desired) -> Step {
    let object = &desired.object;
    if let Some((reason, message)) = inputs.policy.object(object, inputs.own_namespace) {
        return Step::Skip(object.clone(), reason, message);
    }
    if let Some(owner) = inputs.claims.owners.get(object)
        && owner != inputs.application
    {
        return Step::Skip(
            object.clone(),
            Reason::OwnedByAnotherApplication,
            format!("application {owner} has {object} too; keep it in one of them"),
        );
    }
    if inputs.observed.unknown_kinds.contains(object) {
        return Step::Skip(
            object.clone(),
            Reason::UnknownKind,
            format!(
                "the API server does not serve {} {}",
                desired.version, object
            ),
        );
    }
    match inputs.observed.live.get(object) {
        Some(live) if live.matches && live.application == inputs.application => {
            Step::Unchanged(object.clone())
        }
        Some(_) => Step::Apply {
            index,
            create: false,
        },
        None => Step::Apply {
            index,
            create: true,
        },
    }
}
