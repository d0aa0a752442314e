//! Wire form of agents' plans: of one cluster's assignment, and of a commit for many clusters.

use flotilla_proto::v1;
use flotilla_shared::object::Action;
use flotilla_shared::plan::{MAX_CHANGES, MAX_FIELDS};
use flotilla_shared::wire::{MAX_APPLICATIONS, object_from_wire, object_to_wire};

use super::{MAX_SHORT, list, moment, revision, sent, texts};
use crate::fleet_plan::cut_object;
use crate::{
    ApplicationPlan, Change, Field, FleetPlan, PlanGroup, PlanVerdict, PlannedAction,
    PlannedApplication, PlannedChange, text,
};

impl From<v1::Action> for PlannedAction {
    fn from(wire: v1::Action) -> Self {
        match wire {
            v1::Action::Created => Self::Create,
            v1::Action::Updated => Self::Update,
            v1::Action::Pruned => Self::Delete,
            v1::Action::Skipped => Self::Skip,
            v1::Action::Held => Self::Hold,
            v1::Action::Failed => Self::Fail,
            v1::Action::Unchanged => Self::Nothing,
            v1::Action::Unspecified => Self::Unknown,
        }
    }
}

impl From<PlannedAction> for v1::Action {
    fn from(action: PlannedAction) -> Self {
        match action {
            PlannedAction::Create => Self::Created,
            PlannedAction::Update => Self::Updated,
            PlannedAction::Delete => Self::Pruned,
            PlannedAction::Skip => Self::Skipped,
            PlannedAction::Hold => Self::Held,
            PlannedAction::Fail => Self::Failed,
            PlannedAction::Nothing => Self::Unchanged,
            PlannedAction::Unknown => Self::Unspecified,
        }
    }
}

impl From<Action> for PlannedAction {
    fn from(action: Action) -> Self {
        match action {
            Action::Created => Self::Create,
            Action::Updated => Self::Update,
            Action::Pruned => Self::Delete,
            Action::Skipped => Self::Skip,
            Action::Held => Self::Hold,
            Action::Failed => Self::Fail,
            Action::Unchanged => Self::Nothing,
        }
    }
}

impl From<&v1::ApplicationPlan> for ApplicationPlan {
    fn from(wire: &v1::ApplicationPlan) -> Self {
        Self {
            application: text(&wire.application),
            revision: revision(wire.revision.as_ref()),
            changes: list(&wire.changes, MAX_CHANGES),
            unchanged: wire.unchanged,
            truncated: wire.truncated || wire.changes.len() > MAX_CHANGES,
            error: text(&wire.error),
        }
    }
}

impl From<&v1::ObjectChange> for Change {
    fn from(wire: &v1::ObjectChange) -> Self {
        Self {
            object: text(&object_from_wire(wire.object.as_ref()).to_string()),
            action: wire.action().into(),
            reason: text(&wire.reason),
            message: text(&wire.message),
            fields: wire
                .fields
                .iter()
                .take(MAX_FIELDS)
                .map(|field| Field {
                    path: text(&field.path),
                    live: text(&field.live),
                    desired: text(&field.desired),
                })
                .collect(),
        }
    }
}

impl From<v1::PlanVerdict> for PlanVerdict {
    fn from(wire: v1::PlanVerdict) -> Self {
        match wire {
            v1::PlanVerdict::Unspecified => Self::Unknown,
            v1::PlanVerdict::Nothing => Self::Nothing,
            v1::PlanVerdict::Changes => Self::Changes,
            v1::PlanVerdict::Conflict => Self::Conflict,
            v1::PlanVerdict::Refused => Self::Refused,
            v1::PlanVerdict::TimedOut => Self::TimedOut,
            v1::PlanVerdict::Offline => Self::Offline,
            v1::PlanVerdict::Failed => Self::Failed,
        }
    }
}

impl From<PlanVerdict> for v1::PlanVerdict {
    fn from(verdict: PlanVerdict) -> Self {
        match verdict {
            PlanVerdict::Unknown => Self::Unspecified,
            PlanVerdict::Nothing => Self::Nothing,
            PlanVerdict::Changes => Self::Changes,
            PlanVerdict::Conflict => Self::Conflict,
            PlanVerdict::Refused => Self::Refused,
            PlanVerdict::TimedOut => Self::TimedOut,
            PlanVerdict::Offline => Self::Offline,
            PlanVerdict::Failed => Self::Failed,
        }
    }
}

impl From<&v1::FleetPlan> for FleetPlan {
    fn from(wire: &v1::FleetPlan) -> Self {
        let groups = list(&wire.groups, MAX_SHORT);
        Self {
            id: text(&wire.id),
            environment: text(&wire.environment),
            revision: revision(wire.revision.as_ref()),
            application: text(&wire.application),
            started_at: moment(wire.started_at.as_ref()),
            done: wire.done,
            unconcerned: wire.unconcerned,
            ..Self::answered(groups, wire.waiting)
        }
    }
}

/// The overall result follows from the groups and is not sent.
impl From<FleetPlan> for v1::FleetPlan {
    fn from(plan: FleetPlan) -> Self {
        Self {
            id: plan.id,
            environment: plan.environment,
            revision: plan.revision.map(Into::into),
            application: plan.application,
            started_at: sent(plan.started_at),
            done: plan.done,
            waiting: plan.waiting,
            unconcerned: plan.unconcerned,
            groups: plan.groups.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<&v1::PlanGroup> for PlanGroup {
    fn from(wire: &v1::PlanGroup) -> Self {
        Self {
            verdict: wire.verdict().into(),
            clusters: texts(&wire.clusters),
            applications: list(&wire.applications, MAX_APPLICATIONS),
            reason: text(&wire.reason),
            message: text(&wire.message),
            folded: wire.folded,
        }
    }
}

impl From<PlanGroup> for v1::PlanGroup {
    fn from(group: PlanGroup) -> Self {
        Self {
            verdict: v1::PlanVerdict::from(group.verdict).into(),
            clusters: group.clusters,
            applications: group.applications.into_iter().map(Into::into).collect(),
            reason: group.reason,
            message: group.message,
            folded: group.folded,
        }
    }
}

impl From<&v1::ApplicationPlan> for PlannedApplication {
    fn from(wire: &v1::ApplicationPlan) -> Self {
        Self {
            application: text(&wire.application),
            changes: list(&wire.changes, MAX_CHANGES),
            unchanged: wire.unchanged,
            truncated: wire.truncated || wire.changes.len() > MAX_CHANGES,
            reason: text(&wire.reason),
            message: text(&wire.error),
        }
    }
}

impl From<PlannedApplication> for v1::ApplicationPlan {
    fn from(plan: PlannedApplication) -> Self {
        Self {
            application: plan.application,
            changes: plan.changes.into_iter().map(Into::into).collect(),
            unchanged: plan.unchanged,
            truncated: plan.truncated,
            error: plan.message,
            revision: None,
            reason: plan.reason,
        }
    }
}

impl From<&v1::ObjectChange> for PlannedChange {
    fn from(wire: &v1::ObjectChange) -> Self {
        Self {
            object: cut_object(&object_from_wire(wire.object.as_ref())),
            action: wire.action().into(),
            reason: text(&wire.reason),
            managers: texts(&wire.managers),
            fields: wire
                .fields
                .iter()
                .take(MAX_FIELDS)
                .map(|field| text(&field.path))
                .collect(),
            message: text(&wire.message),
        }
    }
}

impl From<PlannedChange> for v1::ObjectChange {
    fn from(change: PlannedChange) -> Self {
        let paths = change.fields.into_iter();
        Self {
            object: Some(object_to_wire(&change.object)),
            action: v1::Action::from(change.action).into(),
            reason: change.reason,
            message: change.message,
            fields: paths
                .map(|path| v1::FieldChange {
                    path,
                    ..v1::FieldChange::default()
                })
                .collect(),
            managers: change.managers,
        }
    }
}
