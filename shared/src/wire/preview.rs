//! Encodes agents' previews of a pass, within the limits. `flotilla_status` decodes them, and checks every limit again.

use flotilla_proto::v1;

use super::report::action_to_wire;
use super::{object_to_wire, reason_to_wire, revision_to_wire};
use crate::preview::{ApplicationPlan, FieldChange, ObjectChange};

/// Encodes what passes would do now, application by application.
#[must_use]
pub fn preview_to_wire(plans: Vec<ApplicationPlan>) -> Vec<v1::ApplicationPlan> {
    plans.into_iter().map(application_to_wire).collect()
}

fn application_to_wire(plan: ApplicationPlan) -> v1::ApplicationPlan {
    v1::ApplicationPlan {
        application: plan.application.to_string(),
        changes: plan.changes.into_iter().map(change_to_wire).collect(),
        unchanged: plan.unchanged,
        truncated: plan.truncated,
        error: plan.error,
        revision: plan.revision.as_ref().map(revision_to_wire),
        reason: String::new(),
    }
}

fn change_to_wire(change: ObjectChange) -> v1::ObjectChange {
    v1::ObjectChange {
        object: Some(object_to_wire(&change.object)),
        action: action_to_wire(change.action).into(),
        reason: reason_to_wire(change.reason),
        message: change.message,
        fields: change.fields.into_iter().map(field_to_wire).collect(),
        managers: Vec::new(),
    }
}

fn field_to_wire(field: FieldChange) -> v1::FieldChange {
    v1::FieldChange {
        path: field.path,
        live: field.live,
        desired: field.desired,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Action;
    use crate::reason::Reason;
    use crate::report::plain_object;
    use crate::revision::Revision;

    fn plan() -> ApplicationPlan {
        let updated = ObjectChange {
            fields: vec![FieldChange {
                path: "/spec/replicas".to_owned(),
                live: "1".to_owned(),
                desired: "2".to_owned(),
            }],
            ..ObjectChange::of(
                plain_object(["apps", "Deployment", "shop", "web"]),
                Action::Updated,
            )
        };
        let held = ObjectChange {
            reason: Some(Reason::PruneDisabled),
            message: "it is kept".to_owned(),
            ..ObjectChange::of(plain_object(["", "Secret", "shop", "key"]), Action::Held)
        };
        ApplicationPlan {
            revision: Some(Revision {
                repository: "fleet".parse().unwrap(),
                branch: "prod".parse().unwrap(),
                commit: "a".repeat(40).parse().unwrap(),
            }),
            changes: vec![updated, held],
            unchanged: 3,
            truncated: true,
            error: "plan of the previous commit".to_owned(),
            ..ApplicationPlan::of("web".parse().unwrap())
        }
    }

    #[test]
    fn a_preview_says_what_would_be_done_why_and_to_which_commit() {
        let wire = preview_to_wire(vec![plan()]);
        let (application, first) = (&wire[0], &wire[0].changes[0]);
        assert_eq!((application.unchanged, application.truncated), (3, true));
        assert_eq!(
            application.revision.as_ref().unwrap().commit,
            "a".repeat(40)
        );
        assert_eq!(
            (first.action(), first.fields.len()),
            (v1::Action::Updated, 1)
        );
        let change = &wire[0].changes[1];
        assert_eq!(
            (change.action(), change.reason.as_str()),
            (v1::Action::Held, "PruneDisabled")
        );
    }
}
