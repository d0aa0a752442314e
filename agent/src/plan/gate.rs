//! Which object has to wait for which: hooks, explicit waves, `depends-on`. Pure.
//!
//! A gate holds back changes only. It never touches an object that is as desired, and every pass
//! judges again, so that nothing depends on memory.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_shared::health::Health;
use flotilla_shared::object::{ObjectNames, ObjectRef};
use flotilla_shared::problem::Problem;
use flotilla_shared::reason::Reason;

use super::hook::{Helper, Hook};
use super::order::{WaitRule, awaited, wave};
use super::{Desired, Fit, Inputs, Live};

/// Objects of the same application that must be healthy first: `Kind/name`, `Kind.group/name` or
/// `Kind.group/namespace/name`, separated by commas.
pub const DEPENDS_ON_ANNOTATION: &str = "flotilla.dev/depends-on";

/// Progress of an object.
#[derive(Debug, Clone, PartialEq)]
enum Progress {
    Done,
    Waiting(String),
    Failed(String),
}

/// Per desired object, why its change has to wait.
pub(super) struct Gates<'a> {
    inputs: &'a Inputs<'a>,
    by_object: BTreeMap<&'a ObjectRef, usize>,
    /// The first stage that is not done, and why.
    blocked: Option<((u8, i32), Problem)>,
    circular: BTreeSet<usize>,
    /// A part of the application failed, which failure hooks wait for.
    failed: bool,
}

fn stage(desired: &Desired) -> (u8, i32) {
    let phase = match (desired.hook(), desired.helper()) {
        (None, Some(Helper::First)) => return (0, i32::MIN),
        (Some(Hook::PreSync), _) | (None, Some(Helper::Both | Helper::Of(Hook::PreSync))) => 0,
        (Some(Hook::PostSync | Hook::OnFailure), _) | (None, Some(Helper::Of(_))) => 2,
        (None, None) => 1,
    };
    (phase, wave(desired))
}

impl<'a> Gates<'a> {
    pub(super) fn new(inputs: &'a Inputs<'a>) -> Self {
        let by_object = inputs
            .desired
            .iter()
            .enumerate()
            .map(|(index, desired)| (&desired.object, index))
            .collect();
        let mut gates = Self {
            inputs,
            by_object,
            blocked: None,
            circular: BTreeSet::new(),
            failed: false,
        };
        gates.circular = gates.circles();
        let mut late_failure = false;
        for desired in inputs.desired {
            if desired.hook() == Some(Hook::OnFailure) || gates.is_over(desired) {
                continue;
            }
            let is_placed = gates.is_placed(desired);
            let (reason, why) = match gates.progress(desired) {
                Progress::Done => continue,
                Progress::Waiting(why) => (Reason::DependencyNotReady, why),
                // The failure counts only once everything is there that the object may need.
                Progress::Failed(why) if is_placed => {
                    late_failure = true;
                    (Reason::DependencyNotReady, why)
                }
                Progress::Failed(why) => {
                    gates.failed = true;
                    (Reason::HookFailed, why)
                }
            };
            let stage = match is_placed {
                // After every wave, and before the objects that come after all waves.
                true => (1, i32::MAX),
                false => stage(desired),
            };
            let is_first = gates
                .blocked
                .as_ref()
                .is_none_or(|(first, _)| stage < *first);
            if is_first {
                let reason = match desired.hook() {
                    Some(_) => reason,
                    None => Reason::DependencyNotReady,
                };
                gates.blocked = Some((stage, Problem::new(reason, why)));
            }
        }
        let is_last = |(stage, _): &((u8, i32), Problem)| *stage >= (1, i32::MAX);
        gates.failed |= late_failure && gates.blocked.as_ref().is_none_or(is_last);
        gates
    }

    /// Whether an object that later waves do not wait for exists as desired.
    fn is_placed(&self, desired: &Desired) -> bool {
        let live = self.inputs.observed.live.get(&desired.object);
        desired.hook().is_none()
            && awaited(desired) != WaitRule::Always
            && live.is_some_and(|live| live.fit == Fit::Equal)
    }

    /// Whether an object is a finished hook, or a helper of finished hooks only, and is to be deleted then.
    pub(super) fn is_over(&self, desired: &Desired) -> bool {
        if !desired.goes_after() {
            return false;
        }
        let is_through = |hook: &Desired| self.progress(hook) == Progress::Done;
        match (desired.hook(), desired.helper()) {
            (Some(_), _) => is_through(desired),
            (None, Some(helper)) => {
                let desired = self.inputs.desired.iter();
                let mut hooks = desired
                    .filter(|desired| desired.hook().is_some_and(|hook| helper.is_with(hook)))
                    .peekable();
                hooks.peek().is_some() && hooks.all(|hook| is_through(hook))
            }
            (None, None) => false,
        }
    }

    fn progress(&self, desired: &Desired) -> Progress {
        let object = &desired.object;
        let hook = desired.hook();
        if hook.is_some() && self.inputs.finished_hooks.contains(object) {
            return Progress::Done;
        }
        let name = match hook {
            Some(hook) => format!("{} hook {object}", hook.as_str()),
            None => object.to_string(),
        };
        match self.inputs.observed.live.get(object) {
            None => Progress::Waiting(format!("{name} does not exist yet")),
            Some(live) if awaited(desired) == WaitRule::Never && live.fit == Fit::Equal => {
                Progress::Done
            }
            // As Helm treats a hook that is neither a Job nor a Pod.
            Some(live) if is_placed_helper(desired) && live.fit == Fit::Equal => Progress::Done,
            // A create-only object is in the care of others once it exists, so its health is all that counts.
            Some(live) if desired.is_create_only() && live.health == Health::Current => {
                Progress::Done
            }
            Some(live) if live.health == Health::Failed => {
                Progress::Failed(format!("{name} failed"))
            }
            Some(live) if hook.is_some() && live.overdue => {
                Progress::Failed(format!("{name} exceeded its deadline"))
            }
            // A running hook is not compared: the template of a Job is immutable anyway.
            Some(Live {
                health: Health::Current,
                fit,
                ..
            }) if hook.is_some() || *fit == Fit::Equal => Progress::Done,
            // An object that Git itself suspends cannot get any further.
            Some(Live {
                health: Health::Suspended,
                fit: Fit::Equal,
                ..
            }) if crate::health::is_held(&desired.value()) => Progress::Done,
            Some(live) if live.fit == Fit::Equal || hook.is_some() => {
                Progress::Waiting(format!("{name} is {}", live.health))
            }
            Some(_) => Progress::Waiting(format!("{name} is not up to date yet")),
        }
    }

    /// Returns why the change of the desired object at `index` has to wait; none: it may proceed.
    pub(super) fn wait(&self, index: usize) -> Option<Problem> {
        let desired = self.inputs.desired.get(index)?;
        if self.circular.contains(&index) {
            return Some(Problem::new(
                Reason::Cycle,
                format!("its {DEPENDS_ON_ANNOTATION} forms a cycle"),
            ));
        }
        if desired.hook() != Some(Hook::OnFailure)
            && let Some((first, problem)) = &self.blocked
            && *first < stage(desired)
        {
            let message = format!("waiting: {}", problem.message);
            return Some(Problem::new(problem.reason, message));
        }
        for dependency in dependencies(desired) {
            let waits = match dependency {
                Err(text) => format!("{DEPENDS_ON_ANNOTATION}: {text:?} is not an object"),
                Ok(object) => match self.find(object.clone()) {
                    None => format!("{object} is not in this application"),
                    Some(other)
                        if self
                            .inputs
                            .desired
                            .get(other)
                            .is_some_and(|d| stage(d) > stage(desired)) =>
                    {
                        let why = format!("it depends on {object}, which is in a later wave");
                        return Some(Problem::new(Reason::Cycle, why));
                    }
                    Some(other) => match self.inputs.desired.get(other).map(|d| self.progress(d)) {
                        None | Some(Progress::Done) => continue,
                        Some(Progress::Waiting(why) | Progress::Failed(why)) => why,
                    },
                },
            };
            let message = format!("waiting: {waits}");
            return Some(Problem::new(Reason::DependencyNotReady, message));
        }
        None
    }

    /// Whether a failure hook is due.
    pub(super) fn has_failed(&self) -> bool {
        self.failed
    }

    /// A dependency in the namespace that was meant, or in none.
    fn find(&self, object: ObjectRef) -> Option<usize> {
        if let Some(index) = self.by_object.get(&object) {
            return Some(*index);
        }
        let object = ObjectRef::from(ObjectNames {
            namespace: String::new(),
            ..object.into()
        });
        self.by_object.get(&object).copied()
    }

    /// Objects whose dependencies lead back to themselves, or to such objects (Kahn's algorithm).
    fn circles(&self) -> BTreeSet<usize> {
        let mut needs: Vec<usize> = Vec::with_capacity(self.inputs.desired.len());
        let mut needed_by: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (index, desired) in self.inputs.desired.iter().enumerate() {
            let on: BTreeSet<usize> = dependencies(desired)
                .filter_map(|object| self.find(object.ok()?))
                .collect();
            needs.push(on.len());
            for other in on {
                needed_by.entry(other).or_default().push(index);
            }
        }
        let mut free: Vec<usize> = (0..needs.len()).filter(|i| needs[*i] == 0).collect();
        while let Some(done) = free.pop() {
            for index in needed_by.remove(&done).unwrap_or_default() {
                needs[index] -= 1;
                if needs[index] == 0 {
                    free.push(index);
                }
            }
        }
        (0..needs.len()).filter(|i| needs[*i] > 0).collect()
    }
}

/// Whether an object is waited for only until it exists. Definitions cannot be used before they are
/// established.
fn is_placed_helper(desired: &Desired) -> bool {
    matches!(desired.helper(), Some(Helper::Of(_) | Helper::Both)) && desired.hook().is_none()
}

/// Returns the dependencies of an object's annotation; a malformed name is returned as an error.
fn dependencies(desired: &Desired) -> impl Iterator<Item = Result<ObjectRef, String>> {
    let text = desired.directive(DEPENDS_ON_ANNOTATION);
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| {
            let parts: Vec<&str> = part.split('/').collect();
            let (kind, namespace, name) = match parts.as_slice() {
                [kind, name] => (*kind, desired.object.namespace.as_str(), *name),
                [kind, namespace, name] => (*kind, *namespace, *name),
                _ => return Err(part.to_owned()),
            };
            let (kind, group) = kind.split_once('.').unwrap_or((kind, ""));
            if kind.is_empty() || name.is_empty() {
                return Err(part.to_owned());
            }
            Ok(ObjectRef::from(ObjectNames {
                group: group.to_owned(),
                kind: kind.to_owned(),
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            }))
        })
        .collect::<Vec<_>>()
        .into_iter()
}
