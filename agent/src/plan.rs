//! What to do about one application: desired against live against inventory, as a value.
//!
//! Pure. A [`Plan`] is printable, comparable, and carries a reason for everything that is not done;
//! executing it decides nothing.

mod compare;
mod contest;
mod gate;
mod hook;
mod order;
mod prune;
mod quantity;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flotilla_shared::assignment::Drift;
use flotilla_shared::digest::Digest;
use flotilla_shared::health::Health;
use flotilla_shared::object::{ObjectNames, ObjectRef};
use flotilla_shared::problem::Problem;
use flotilla_shared::reason::Reason;
use serde_json::Value;

pub use compare::{differences, is_subset};
pub use contest::Contests;
pub use gate::DEPENDS_ON_ANNOTATION;
pub use hook::{
    CREATE_ONLY_ANNOTATION, DEADLINE_ANNOTATION, HELPER_ANNOTATION, HOOK_ANNOTATION,
    HOOK_DELETE_ANNOTATION, Hook, HookError, deadline,
};
pub use order::{WAIT_ANNOTATION, WAVE_ANNOTATION, weight};
pub use prune::{Marks, forbids};

use crate::inventory::Inventory;
use crate::policy::Policy;

/// Annotation of every applied object with its application.
pub const APPLICATION_ANNOTATION: &str = "flotilla.dev/application";
/// `disabled`: never deleted by the agent. `confirm`: only after `confirmed` was set on the live object.
pub const PRUNE_ANNOTATION: &str = "flotilla.dev/prune";
/// `true` on an object in Git: its fields are taken over from other managers.
pub const FORCE_ANNOTATION: &str = "flotilla.dev/force-conflicts";
/// `recreate` on an object in Git: if an immutable field differs, the object is deleted and recreated.
pub const IMMUTABLE_ANNOTATION: &str = "flotilla.dev/on-immutable";

/// A desired object, ready to be applied. Kept as bytes: thousands of them are held for as long as they are assigned.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    /// The object, with its namespace.
    pub object: ObjectRef,
    /// API version without the group.
    pub version: String,
    /// The object to apply, marked and stripped of fields that the server owns; JSON.
    pub body: Box<[u8]>,
    /// The digest over `body`.
    pub digest: Digest,
    /// Its `flotilla.dev/` annotations, but for the mark.
    pub directives: BTreeMap<String, String>,
}

impl Desired {
    /// From the whole object.
    #[must_use]
    pub fn new(object: ObjectRef, version: String, value: &Value) -> Self {
        let body = value.to_string().into_bytes().into_boxed_slice();
        let directives = value
            .pointer("/metadata/annotations")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .filter(|(key, _)| key.starts_with("flotilla.dev/") && *key != APPLICATION_ANNOTATION)
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect();
        Self {
            object,
            version,
            digest: Digest::of(&body),
            body,
            directives,
        }
    }

    /// The object itself.
    #[must_use]
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// A `flotilla.dev/` annotation of the object in Git; empty: none.
    #[must_use]
    pub fn directive(&self, key: &str) -> &str {
        self.directives.get(key).map_or("", String::as_str)
    }

    /// The digest as an inventory keeps it.
    #[must_use]
    pub fn short_digest(&self) -> String {
        let mut text = self.digest.to_string();
        text.truncate(16);
        text
    }
}

/// Whether a live object equals the desired one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fit {
    /// Equal in every managed field.
    Equal,
    /// Not in these fields (RFC 6901 pointers, the first few).
    Differs {
        fields: Vec<String>,
        /// Last field manager of the fields; empty: not known.
        manager: String,
    },
    /// Not compared with the current desired object.
    Unknown,
}

/// A live object.
#[derive(Debug, Clone, PartialEq)]
pub struct Live {
    /// `metadata.uid`.
    pub uid: String,
    /// The application named by its mark; empty: none.
    pub application: String,
    /// Some of its fields were applied under the agent's name, which is not true for a copy of the object.
    pub applied_by_us: bool,
    /// `metadata.annotations[flotilla.dev/prune]`; empty: none.
    pub prune: String,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// Whether every managed field is as desired.
    pub fit: Fit,
    /// Health of the object.
    pub health: Health,
    /// Whether a hook has been running longer than it may.
    pub overdue: bool,
}

/// Observed state of the cluster in this pass.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// Live objects among those desired or in the inventory. An object that is not here was looked
    /// for and is not there, unless [`Observed::complete`] is false.
    pub live: BTreeMap<ObjectRef, Live>,
    /// Whether discovery and every list succeeded. While it is false nothing is pruned (P14).
    pub complete: bool,
    /// Kinds that the API server does not serve.
    pub unknown_kinds: BTreeSet<ObjectRef>,
    /// Objects that could not be read: they may or may not exist.
    pub unseen: BTreeSet<ObjectRef>,
    /// Number of custom resources of definitions that left the commit, if known.
    pub custom_resources: BTreeMap<ObjectRef, usize>,
    pub problem: Option<Problem>,
    /// API groups whose server was away when discovery was read.
    pub stale_groups: Vec<String>,
}

/// Desired objects of all applications of the cluster, for hand-over between them (P3).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Claims {
    /// Applications that desire each object, sorted by name; nearly always one.
    pub owners: BTreeMap<ObjectRef, Vec<Arc<str>>>,
    /// Whether the desired state of every application is known. If not, an object that seems to leave may be on its way
    /// to another application, so nothing is pruned.
    pub complete: bool,
    /// Applications declared for this cluster that the hub cannot assign yet: with any of them, it is incomplete.
    pub unresolved: Vec<Arc<str>>,
}

impl Claims {
    /// Returns the claims of a cluster with one application, whose desired state is complete.
    #[must_use]
    pub fn of_one(application: &str, desired: &[Arc<Desired>]) -> Self {
        let owner: Arc<str> = application.into();
        let claim = |desired: &Arc<Desired>| (desired.object.clone(), vec![Arc::clone(&owner)]);
        Self {
            owners: desired.iter().map(claim).collect(),
            complete: true,
            unresolved: Vec::new(),
        }
    }

    /// The claims if these were the desired states of these applications, and the others kept theirs.
    #[must_use]
    pub fn as_if(&self, states: &BTreeMap<Arc<str>, Arc<Vec<Arc<Desired>>>>) -> Self {
        let mut owners = self.owners.clone();
        owners.retain(|_, names| {
            names.retain(|name| !states.contains_key(name));
            !names.is_empty()
        });
        for (name, desired) in states {
            for entry in desired.iter() {
                let names = owners.entry(entry.object.clone()).or_default();
                let place = names.binary_search(name);
                if let Err(place) = place {
                    names.insert(place, Arc::clone(name));
                }
            }
        }
        Self {
            owners,
            complete: self.complete,
            unresolved: self.unresolved.clone(),
        }
    }

    /// Whether another application than this one wants an object, or may want it.
    #[must_use]
    pub fn desired_by_another(&self, object: &ObjectRef, application: &str) -> bool {
        let claimant = |object: &ObjectRef| self.claimant(object, application);
        claimant(object).is_some() || claimant(&unplaced(object)).is_some()
    }

    /// The first of the others that want exactly this.
    fn claimant(&self, object: &ObjectRef, application: &str) -> Option<&str> {
        let mut claimants = self.owners.get(object)?.iter();
        let other = claimants.find(|name| ***name != *application);
        other.map(AsRef::as_ref)
    }

    /// Which of several applications gets an object: the one that has it, otherwise the first by name. So a new
    /// application never takes a running object, and two do not take it from each other in turns (P19).
    #[must_use]
    pub fn owner(&self, object: &ObjectRef, mark: &str) -> Option<&str> {
        let claimants = self.owners.get(object)?;
        let holder = claimants.iter().find(|claimant| ***claimant == *mark);
        holder.or_else(|| claimants.first()).map(AsRef::as_ref)
    }
}

/// An object as it is desired while it is not known whether its kind is namespaced: it is the same object (P14).
fn unplaced(object: &ObjectRef) -> ObjectRef {
    ObjectRef::from(ObjectNames {
        namespace: String::new(),
        ..object.clone().into()
    })
}

/// What to do with the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Intent {
    /// The application is assigned: objects that left its commit may be pruned.
    #[default]
    Run,
    /// Removed on purpose, with its objects.
    Remove,
    /// Removed on purpose, and its objects are released: no inventory lists them.
    Release,
    /// The application is not assigned and was not removed: its objects are kept and remembered, except for those that
    /// another application took over.
    Orphan,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Applies an object.
    Apply {
        /// Index into the desired objects.
        index: usize,
        /// Whether the object is created.
        create: bool,
        /// Whether it corrects drift.
        drift: bool,
    },
    /// The object is up to date.
    Unchanged(ObjectRef),
    /// Delete, if the live object still has this UID.
    Prune(ObjectRef, String),
    /// Removes it from the inventory: it was deleted, or belongs to another owner now.
    Forget(ObjectRef),
    /// Removes it from the inventory with an Event: the live object has no ownership mark of this agent.
    Disown(ObjectRef),
    /// Leaves the object unchanged, for this reason.
    Skip(ObjectRef, Reason, String),
    /// The object is not deleted, and stays in the inventory.
    Hold(ObjectRef, Reason, String),
}

/// Steps in phases: all steps of one phase may run concurrently, and finish before the next phase.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// Applies by weight.
    pub apply: Vec<Vec<Step>>,
    /// Deletes, in reverse order of weight.
    pub prune: Vec<Vec<Step>>,
    /// Everything that needs no request.
    pub rest: Vec<Step>,
    /// Reason why the whole application is refused; then nothing is applied or pruned.
    pub refused: Option<Problem>,
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
    pub application: &'a str,
    /// Desired objects of its commit.
    pub desired: &'a [Arc<Desired>],
    pub observed: &'a Observed,
    /// Inventory of applied objects.
    pub inventory: &'a Inventory,
    /// The agent's rules.
    pub policy: &'a Policy,
    /// The agent's own namespace.
    pub own_namespace: &'a str,
    /// Desired objects of the other applications.
    pub claims: &'a Claims,
    /// Whether objects that left the set are deleted at all.
    pub prune_enabled: bool,
    /// How drift is handled.
    pub drift: Drift,
    /// Objects that are contested and held for now, with a message for each.
    pub contested: &'a BTreeMap<ObjectRef, String>,
    /// Hooks of this content that have finished, whether or not their Jobs still exist.
    pub finished_hooks: &'a BTreeSet<ObjectRef>,
    /// What to do with the application.
    pub intent: Intent,
    /// Whether the inventory is as the agent wrote it; nothing is pruned by one that is not.
    pub inventory_proven: bool,
    /// The cluster's own people let this removal go over the delete budget.
    pub removal_confirmed: bool,
    /// An application that has to be healthy before anything of this one changes.
    pub waits_for: Option<&'a str>,
}

/// Makes the plan.
#[must_use]
pub fn plan(inputs: &Inputs<'_>) -> Plan {
    let mut plan = Plan::default();
    if let Some((object, count)) = twice(inputs.desired) {
        plan.refused = Some(Problem::new(
            Reason::DuplicateObject,
            format!(
                "{object} is in the commit {count} times, counted with the default namespace; \
                 keep one"
            ),
        ));
        return plan;
    }
    if inputs.desired.is_empty() && !inputs.inventory.is_empty() && inputs.intent == Intent::Run {
        plan.refused = Some(Problem::new(
            Reason::EmptyRender,
            format!(
                "the commit renders to nothing, but the application has {} here; remove the \
                 application if that is intended",
                flotilla_shared::words::counted(inputs.inventory.len(), "object")
            ),
        ));
        return plan;
    }
    let gates = gate::Gates::new(inputs);
    let mut phases: BTreeMap<i64, Vec<Step>> = BTreeMap::new();
    let mut through = Vec::new();
    for (index, desired) in inputs.desired.iter().enumerate() {
        if gates.is_over(desired) {
            through.extend(prune::over(inputs, desired));
            continue;
        }
        match apply_step(inputs, &gates, index, desired) {
            Some(step @ Step::Apply { .. }) => {
                phases.entry(weight(desired)).or_default().push(step);
            }
            Some(step) => plan.rest.push(step),
            None => {}
        }
    }
    plan.apply = phases.into_values().collect();
    prune::plan(inputs, &mut plan);
    if !through.is_empty() {
        plan.prune.insert(0, through);
    }
    plan
}

/// An object that is desired more than once: with and without the default namespace it looks like two objects in the
/// files, but is one in the cluster.
fn twice(desired: &[Arc<Desired>]) -> Option<(&ObjectRef, usize)> {
    let mut counts: BTreeMap<&ObjectRef, usize> = BTreeMap::new();
    for entry in desired {
        *counts.entry(&entry.object).or_default() += 1;
    }
    counts.into_iter().find(|(_, count)| *count > 1)
}

/// Returns the step for one desired object; none: nothing to do or report.
fn apply_step(
    inputs: &Inputs<'_>,
    gates: &gate::Gates<'_>,
    index: usize,
    desired: &Desired,
) -> Option<Step> {
    let object = &desired.object;
    let skip = |reason, message| Some(Step::Skip(object.clone(), reason, message));
    if let Some(problem) = inputs.policy.object(object, inputs.own_namespace) {
        return skip(problem.reason, problem.message);
    }
    if let Err(error) = Hook::of(desired) {
        return skip(Reason::Invalid, error.to_string());
    }
    let live = inputs.observed.live.get(object);
    let mark = live.map_or("", |live| live.application.as_str());
    if let Some(owner) = inputs.claims.owner(object, mark)
        && owner != inputs.application
    {
        return skip(
            Reason::OwnedByAnotherApplication,
            format!("application {owner} has {object} too; keep it in one of them"),
        );
    }
    if inputs.observed.unknown_kinds.contains(object) {
        return skip(
            Reason::UnknownKind,
            format!(
                "the API server does not serve {} {}",
                desired.version, object
            ),
        );
    }
    // An object that could not be read may exist, changed or scaled by others: it is not created.
    if inputs.observed.unseen.contains(object) {
        let problem = inputs.observed.problem.clone();
        let Problem { reason, message } =
            problem.unwrap_or_else(|| Problem::new(Reason::ClusterUnavailable, "no answer"));
        return skip(
            reason,
            format!("not applied, since it cannot be read: {message}"),
        );
    }
    if let Some(hook) = desired.hook() {
        // A hook that exists runs or has run: it runs once per content.
        if live.is_some() || inputs.finished_hooks.contains(object) {
            return Some(Step::Unchanged(object.clone()));
        }
        if hook == Hook::OnFailure && !gates.has_failed() {
            return None;
        }
    }
    let is_ours = mark == inputs.application;
    if let Some(live) = live
        && ((live.fit == Fit::Equal && is_ours) || desired.is_create_only())
    {
        return Some(Step::Unchanged(object.clone()));
    }
    if let Some(problem) = gates.wait(index) {
        return skip(problem.reason, problem.message);
    }
    // Exactly this desired state was applied before, so the object was changed by others since.
    let is_drift = live.is_some()
        && is_ours
        && inputs
            .inventory
            .get(object)
            .is_some_and(|entry| entry.applied == desired.short_digest());
    if is_drift {
        if let Some(message) = inputs.contested.get(object) {
            return skip(Reason::Contested, message.clone());
        }
        if inputs.drift == Drift::Report {
            let message = match live.map(|live| &live.fit) {
                Some(Fit::Differs { fields, manager }) => drifted(fields, manager),
                _ => "it was changed".to_owned(),
            };
            return skip(Reason::Drifted, message);
        }
    }
    // A gate between applications holds back changes only: drift is corrected in spite of it.
    if let (Some(other), false) = (inputs.waits_for, is_drift) {
        return skip(
            Reason::DependencyNotReady,
            format!("waiting for application {other}"),
        );
    }
    Some(Step::Apply {
        index,
        create: live.is_none(),
        drift: is_drift,
    })
}

/// Message about drift: names fields only, never values.
#[must_use]
pub fn drifted(fields: &[String], manager: &str) -> String {
    let by = match manager {
        "" => String::new(),
        manager => format!(" by manager {manager:?}"),
    };
    format!("changed{by}: {}", fields.join(", "))
}
