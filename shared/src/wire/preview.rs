//! What agents say a pass would do now. Whoever makes it keeps it within its limits; whoever reads it checks
//! them.

use flotilla_proto::v1;

use super::report::{action_from_wire, action_to_wire};
use super::{
    MAX_APPLICATIONS, WireError, bounded, object_from_wire, object_to_wire, reason_from_wire,
    reason_to_wire, revision_from_wire, revision_to_wire,
};
use crate::plan::{MAX_CHANGES, MAX_FIELDS};
use crate::preview::{ApplicationPlan, FieldChange, MAX_VALUE_BYTES, ObjectChange};
use crate::report::{MAX_MESSAGE_BYTES, plain_line};

/// What passes would do now, application by application.
#[must_use]
pub fn preview_to_wire(plans: Vec<ApplicationPlan>) -> Vec<v1::ApplicationPlan> {
    plans.into_iter().map(application_to_wire).collect()
}

/// Reads it.
///
/// # Errors
/// When a name does not parse or a list is over its limit.
pub fn preview_from_wire(wire: &[v1::ApplicationPlan]) -> Result<Vec<ApplicationPlan>, WireError> {
    bounded("applications", wire.len(), MAX_APPLICATIONS)?;
    wire.iter().map(application_from_wire).collect()
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

fn application_from_wire(wire: &v1::ApplicationPlan) -> Result<ApplicationPlan, WireError> {
    bounded("changes", wire.changes.len(), MAX_CHANGES)?;
    Ok(ApplicationPlan {
        application: wire.application.parse()?,
        revision: wire.revision.as_ref().map(revision_from_wire).transpose()?,
        changes: wire
            .changes
            .iter()
            .map(change_from_wire)
            .collect::<Result<_, _>>()?,
        unchanged: wire.unchanged,
        truncated: wire.truncated,
        error: plain_line(&wire.error, MAX_MESSAGE_BYTES),
    })
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

fn change_from_wire(wire: &v1::ObjectChange) -> Result<ObjectChange, WireError> {
    bounded("fields", wire.fields.len(), MAX_FIELDS)?;
    let object = wire.object.as_ref().ok_or(WireError::Missing("object"))?;
    Ok(ObjectChange {
        object: object_from_wire(Some(object)),
        action: action_from_wire(wire.action()),
        reason: reason_from_wire(&wire.reason),
        message: plain_line(&wire.message, MAX_MESSAGE_BYTES),
        fields: wire.fields.iter().map(field_from_wire).collect(),
    })
}

fn field_to_wire(field: FieldChange) -> v1::FieldChange {
    v1::FieldChange {
        path: field.path,
        live: field.live,
        desired: field.desired,
    }
}

fn field_from_wire(wire: &v1::FieldChange) -> FieldChange {
    FieldChange {
        path: plain_line(&wire.path, MAX_MESSAGE_BYTES),
        live: plain_line(&wire.live, MAX_VALUE_BYTES),
        desired: plain_line(&wire.desired, MAX_VALUE_BYTES),
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

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
            error: "of the commit before".to_owned(),
            ..ApplicationPlan::of("web".parse().unwrap())
        }
    }

    #[test]
    fn previews_go_round() {
        let wire = preview_to_wire(vec![plan()]);
        assert_eq!(preview_from_wire(&wire), Ok(vec![plan()]));
        let change = &wire[0].changes[1];
        assert_eq!(
            (change.action(), change.reason.as_str()),
            (v1::Action::Held, "PruneDisabled")
        );
    }

    #[test]
    fn h11_a_preview_over_a_limit_is_not_taken_and_texts_are_cut() {
        let wire = preview_to_wire(vec![plan()]);
        let refused = |edit: fn(&mut v1::ApplicationPlan)| {
            let mut wire = wire.clone();
            edit(&mut wire[0]);
            assert!(preview_from_wire(&wire).is_err());
        };
        refused(|one| one.changes = vec![one.changes[0].clone(); MAX_CHANGES + 1]);
        refused(|one| one.changes[0].fields = vec![v1::FieldChange::default(); MAX_FIELDS + 1]);
        refused(|one| one.changes[0].object = None);
        refused(|one| one.application = "a/../b".to_owned());
        let many = vec![wire[0].clone(); MAX_APPLICATIONS + 1];
        assert!(preview_from_wire(&many).is_err());
        let mut loud = wire.clone();
        let long = format!("\u{1b}[2J{}", "x".repeat(1 << 20));
        loud[0].error.clone_from(&long);
        loud[0].changes[0].message.clone_from(&long);
        loud[0].changes[0].fields[0].live = long;
        let read = preview_from_wire(&loud).unwrap().remove(0);
        let change = &read.changes[0];
        for (text, limit) in [
            (&read.error, MAX_MESSAGE_BYTES),
            (&change.message, MAX_MESSAGE_BYTES),
            (&change.fields[0].live, MAX_VALUE_BYTES),
        ] {
            assert!(text.len() <= limit && !text.contains('\u{1b}'));
        }
    }

    proptest::proptest! {
        #[test]
        fn h13_random_bytes_never_panic(bytes: Vec<u8>) {
            if let Ok(wire) = v1::ApplicationPlan::decode(bytes.as_slice()) {
                let _ = preview_from_wire(&[wire]);
            }
        }
    }
}
