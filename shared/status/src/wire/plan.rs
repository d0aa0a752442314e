//! What agents say that they would change: of what is assigned to one, and of a commit to many.

use flotilla_proto::v1;
use flotilla_shared::wire::object_from_wire;

use super::{moment, revision, texts};
use crate::fleet_plan::{answer, summary};
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

impl From<&v1::ApplicationPlan> for ApplicationPlan {
    fn from(wire: &v1::ApplicationPlan) -> Self {
        Self {
            application: text(&wire.application),
            revision: revision(wire.revision.as_ref()),
            changes: wire.changes.iter().map(Change::from).collect(),
            unchanged: wire.unchanged,
            truncated: wire.truncated,
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

impl From<&v1::FleetPlan> for FleetPlan {
    fn from(wire: &v1::FleetPlan) -> Self {
        let groups: Vec<PlanGroup> = wire.groups.iter().map(PlanGroup::from).collect();
        Self {
            id: text(&wire.id),
            environment: text(&wire.environment),
            revision: revision(wire.revision.as_ref()),
            application: text(&wire.application),
            started_at: moment(wire.started_at.as_ref()),
            answer: answer(&groups, wire.waiting),
            summary: summary(&groups, wire.waiting),
            done: wire.done,
            waiting: wire.waiting,
            unconcerned: wire.unconcerned,
            groups,
        }
    }
}

impl From<&v1::PlanGroup> for PlanGroup {
    fn from(wire: &v1::PlanGroup) -> Self {
        Self {
            verdict: wire.verdict().into(),
            clusters: texts(&wire.clusters),
            applications: wire.applications.iter().map(Into::into).collect(),
            reason: text(&wire.reason),
            message: text(&wire.message),
            folded: wire.folded,
        }
    }
}

impl From<&v1::ApplicationPlan> for PlannedApplication {
    fn from(wire: &v1::ApplicationPlan) -> Self {
        Self {
            application: text(&wire.application),
            changes: wire.changes.iter().map(Into::into).collect(),
            unchanged: wire.unchanged,
            truncated: wire.truncated,
            reason: text(&wire.reason),
            message: text(&wire.error),
        }
    }
}

impl From<&v1::ObjectChange> for PlannedChange {
    fn from(wire: &v1::ObjectChange) -> Self {
        Self {
            object: text(&object_from_wire(wire.object.as_ref()).to_string()),
            action: wire.action().into(),
            reason: text(&wire.reason),
            managers: texts(&wire.managers),
            fields: wire.fields.iter().map(|field| text(&field.path)).collect(),
            message: text(&wire.message),
        }
    }
}
