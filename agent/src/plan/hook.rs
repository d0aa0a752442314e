//! Hooks: Jobs that run once for each new content of an application, before it, after it, or when it
//! failed. Pure.

use std::time::Duration;

use flotilla_shared::duration::{DurationError, typed};

use super::Desired;

/// `pre-sync`, `post-sync` or `on-failure`.
pub const HOOK_ANNOTATION: &str = "flotilla.dev/hook";
/// On any kind: the object comes with the hooks of a phase (`pre-sync`, `post-sync`, or `both`), such as
/// the account that their Jobs run as; `first`: before everything else. It is done once it is applied, and
/// keeps its name for every content.
pub const HELPER_ANNOTATION: &str = "flotilla.dev/hook-helper";
/// `succeeded`: a hook is deleted once it has finished, and a helper once all hooks of its phase have.
pub const HOOK_DELETE_ANNOTATION: &str = "flotilla.dev/hook-delete";
/// `true` on an object in Git: it is created if it is missing, and never changed afterwards.
pub const CREATE_ONLY_ANNOTATION: &str = "flotilla.dev/create-only";
/// Longest time a hook may take, such as `300s`, `5m` or `1h`.
pub const DEADLINE_ANNOTATION: &str = "flotilla.dev/hook-deadline";
/// A hook without a deadline of its own.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(600);

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hook {
    /// Before anything else changes.
    PreSync,
    /// When everything else is healthy.
    PostSync,
    /// When something failed.
    OnFailure,
}

/// An annotation about hooks is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HookError {
    /// Not a value of [`HOOK_ANNOTATION`].
    #[error("{key}: {0:?} is not pre-sync, post-sync or on-failure", key = HOOK_ANNOTATION)]
    Phase(String),
    /// Not a value of [`HELPER_ANNOTATION`].
    #[error("{key}: {0:?} is not pre-sync, post-sync, both or first", key = HELPER_ANNOTATION)]
    Helper(String),
    /// A hook that never ends.
    #[error("{key}: only Jobs can be hooks", key = HOOK_ANNOTATION)]
    NotAJob,
    /// The value of [`DEADLINE_ANNOTATION`] is not a duration from a second to a day.
    #[error("{key}: {0}", key = DEADLINE_ANNOTATION)]
    Deadline(DurationError),
}

/// The hooks that an object comes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Helper {
    /// Of no hook: created before everything else.
    First,
    /// Those of one phase.
    Of(Hook),
    /// Those before and those after the rest.
    Both,
}

impl Helper {
    fn of(desired: &Desired) -> Result<Option<Self>, HookError> {
        match desired.directive(HELPER_ANNOTATION) {
            "" => Ok(None),
            "first" => Ok(Some(Self::First)),
            "pre-sync" => Ok(Some(Self::Of(Hook::PreSync))),
            "post-sync" => Ok(Some(Self::Of(Hook::PostSync))),
            "both" => Ok(Some(Self::Both)),
            other => Err(HookError::Helper(other.to_owned())),
        }
    }

    /// Whether it comes with hooks of this phase.
    pub(super) fn is_with(self, hook: Hook) -> bool {
        match self {
            Self::First => false,
            Self::Of(own) => own == hook,
            Self::Both => hook != Hook::OnFailure,
        }
    }
}

impl Hook {
    /// The phase in an object's annotation. None: it is not a hook.
    ///
    /// # Errors
    /// When the annotation or the kind is not one that is known.
    pub fn of(desired: &Desired) -> Result<Option<Self>, HookError> {
        Helper::of(desired)?;
        let hook = match desired.directive(HOOK_ANNOTATION) {
            "" => return Ok(None),
            "pre-sync" => Self::PreSync,
            "post-sync" => Self::PostSync,
            "on-failure" => Self::OnFailure,
            other => return Err(HookError::Phase(other.to_owned())),
        };
        if desired.object.kind != "Job" || desired.object.group != "batch" {
            return Err(HookError::NotAJob);
        }
        deadline(desired)?;
        Ok(Some(hook))
    }

    /// Returns the phase's name in messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PreSync => "pre-sync",
            Self::PostSync => "post-sync",
            Self::OnFailure => "on-failure",
        }
    }
}

/// Returns the deadline of a hook.
///
/// # Errors
/// When the annotation is not a duration between a second and a day.
pub fn deadline(desired: &Desired) -> Result<Duration, HookError> {
    let Some(text) = desired.directives.get(DEADLINE_ANNOTATION) else {
        return Ok(DEFAULT_DEADLINE);
    };
    let bounds = Duration::from_secs(1)..=Duration::from_secs(86_400);
    typed(text, bounds).map_err(HookError::Deadline)
}

impl Desired {
    /// When this object runs as a hook. None: it is not a hook.
    #[must_use]
    pub fn hook(&self) -> Option<Hook> {
        Hook::of(self).ok().flatten()
    }

    /// The hooks that this object comes with. None: it is not a helper.
    pub(super) fn helper(&self) -> Option<Helper> {
        Helper::of(self).ok().flatten()
    }

    /// Whether it is deleted once its hooks have finished.
    pub(super) fn goes_after(&self) -> bool {
        self.directive(HOOK_DELETE_ANNOTATION) == "succeeded"
    }

    /// Whether it is never changed once it exists.
    pub(super) fn is_create_only(&self) -> bool {
        self.directive(CREATE_ONLY_ANNOTATION) == "true"
    }
}

#[cfg(test)]
mod tests {
    use flotilla_shared::object::{ObjectNames, ObjectRef};
    use serde_json::json;

    use super::*;

    fn object(kind: &str, annotations: &serde_json::Value) -> Desired {
        let object = ObjectRef::from(ObjectNames {
            group: if kind == "Job" { "batch" } else { "" }.to_owned(),
            kind: kind.to_owned(),
            namespace: "web".to_owned(),
            name: "a".to_owned(),
        });
        let value = json!({"metadata": {"annotations": annotations}});
        Desired::new(object, "v1".to_owned(), &value)
    }

    #[test]
    fn hooks_are_jobs_with_known_words_and_bounded_deadlines() {
        let hook = |kind: &str, word: &str, deadline: &str| {
            object(
                kind,
                &json!({HOOK_ANNOTATION: word, DEADLINE_ANNOTATION: deadline}),
            )
        };
        let job = hook("Job", "pre-sync", "5m");
        assert_eq!(Hook::of(&job), Ok(Some(Hook::PreSync)));
        assert_eq!(deadline(&job), Ok(Duration::from_secs(300)));
        assert_eq!(deadline(&object("Job", &json!({}))), Ok(DEFAULT_DEADLINE));
        for (text, seconds) in [("30s", 30), ("90", 90), ("2h", 7200), ("24h", 86_400)] {
            let job = hook("Job", "post-sync", text);
            assert_eq!(deadline(&job), Ok(Duration::from_secs(seconds)), "{text}");
            assert_eq!(Hook::of(&job), Ok(Some(Hook::PostSync)));
        }
        assert!(Hook::of(&hook("Job", "presync", "5m")).is_err());
        for bad in ["", "0s", "25h", "5d", "-1s", "99999999999999999999h"] {
            assert!(Hook::of(&hook("Job", "post-sync", bad)).is_err(), "{bad}");
        }
        assert!(Hook::of(&hook("ConfigMap", "on-failure", "1h")).is_err());
        let mut other = hook("Job", "pre-sync", "5m");
        other.object = ObjectRef::from(ObjectNames {
            group: "batch.volcano.sh".to_owned(),
            ..other.object.into()
        });
        assert!(Hook::of(&other).is_err(), "another API's Job");
        assert_eq!(Hook::of(&object("ConfigMap", &json!({}))), Ok(None));
    }
}
