//! Agents' plans for a commit: values are dropped on both sides of the wire, texts are cut, and the digest is computed
//! again.

use flotilla_proto::v1;

use super::report::{action_from_wire, action_to_wire};
use super::{
    MAX_APPLICATIONS, WireError, bounded, digest_from_wire, digest_to_wire, object_from_wire,
    object_to_wire, reason_from_wire, reason_to_wire,
};
use crate::object::Action;
use crate::plan::{
    ApplicationChanges, Change, ClusterPlan, MAX_CHANGES, MAX_CHANGES_IN_ALL, MAX_FIELDS,
    MAX_MANAGERS,
};
use crate::problem::Problem;
use crate::report::{MAX_MESSAGE_BYTES, plain_line};

/// Encodes a cluster's plan, application by application.
fn plan_to_wire(plan: &ClusterPlan) -> Vec<v1::ApplicationPlan> {
    plan.applications
        .iter()
        .map(|(name, changes)| {
            let (reason, error) = match &changes.refused {
                Some(refused) => (refused.reason.to_string(), refused.message.as_str()),
                None => (String::new(), ""),
            };
            v1::ApplicationPlan {
                application: name.to_string(),
                changes: changes.changes.iter().map(change_to_wire).collect(),
                unchanged: changes.unchanged,
                truncated: changes.truncated,
                error: plain_line(error, MAX_MESSAGE_BYTES),
                revision: None,
                reason,
            }
        })
        .collect()
}

/// Encodes an answer about a commit.
#[must_use]
pub fn plan_result(request: u64, of: v1::Revision, plan: &ClusterPlan) -> v1::PlanResult {
    v1::PlanResult {
        request,
        applications: plan_to_wire(plan),
        error: String::new(),
        of: Some(of),
        digest: digest_to_wire(plan.digest()),
        retry_after_seconds: 0,
    }
}

/// Reads an answer about a commit.
///
/// # Errors
/// When a name does not parse, a list is over its limit, or the digest is of something else.
pub fn plan_from_wire(wire: &v1::PlanResult) -> Result<ClusterPlan, WireError> {
    bounded("applications", wire.applications.len(), MAX_APPLICATIONS)?;
    let in_all = wire
        .applications
        .iter()
        .map(|application| application.changes.len())
        .sum();
    bounded("changes", in_all, MAX_CHANGES_IN_ALL)?;
    let mut plan = ClusterPlan::default();
    for application in &wire.applications {
        bounded("changes", application.changes.len(), MAX_CHANGES)?;
        let mut changes = ApplicationChanges {
            refused: reason_from_wire(&application.reason).map(|reason| {
                Problem::new(reason, plain_line(&application.error, MAX_MESSAGE_BYTES))
            }),
            changes: application
                .changes
                .iter()
                .map(change_from_wire)
                .collect::<Result<_, _>>()?,
            truncated: application.truncated,
            unchanged: application.unchanged,
        };
        // An unchanged object is not a change, whatever the sender claims.
        changes
            .changes
            .retain(|change| change.action != Action::Unchanged);
        changes.normalize();
        plan.applications
            .insert(application.application.parse()?, changes);
    }
    if digest_from_wire("digest", &wire.digest)? != plan.digest() {
        return Err(WireError::Digest);
    }
    Ok(plan)
}

fn change_to_wire(change: &Change) -> v1::ObjectChange {
    v1::ObjectChange {
        object: Some(object_to_wire(&change.object)),
        action: action_to_wire(change.action).into(),
        reason: reason_to_wire(change.reason),
        message: plain_line(&change.message, MAX_MESSAGE_BYTES),
        fields: change
            .fields
            .iter()
            .map(|path| v1::FieldChange {
                path: path.clone(),
                live: String::new(),
                desired: String::new(),
            })
            .collect(),
        managers: change.managers.clone(),
    }
}

fn change_from_wire(wire: &v1::ObjectChange) -> Result<Change, WireError> {
    bounded("fields", wire.fields.len(), MAX_FIELDS)?;
    bounded("managers", wire.managers.len(), MAX_MANAGERS)?;
    let object = wire.object.as_ref().ok_or(WireError::Missing("object"))?;
    let paths = wire.fields.iter();
    let managers = wire.managers.iter();
    Ok(Change {
        object: object_from_wire(Some(object)),
        action: action_from_wire(wire.action()),
        reason: reason_from_wire(&wire.reason),
        managers: managers.cloned().collect(),
        fields: paths.map(|path| path.path.clone()).collect(),
        message: plain_line(&wire.message, MAX_MESSAGE_BYTES),
    })
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::object::{ObjectNames, ObjectRef};
    use crate::reason::Reason;

    fn plan() -> ClusterPlan {
        let change = Change {
            object: ObjectRef::from(ObjectNames {
                group: "apps".to_owned(),
                kind: "Deployment".to_owned(),
                namespace: "shop".to_owned(),
                name: "web".to_owned(),
            }),
            action: Action::Failed,
            reason: Some(Reason::Conflict),
            managers: vec!["kubectl".to_owned()],
            fields: vec!["/spec/replicas".to_owned()],
            message: "somebody has it".to_owned(),
        };
        let changes = ApplicationChanges {
            changes: vec![change],
            unchanged: 3,
            ..ApplicationChanges::default()
        };
        let refused = ApplicationChanges::refused(Reason::SignatureMissing, "not signed");
        ClusterPlan {
            applications: [
                ("web".parse().unwrap(), changes),
                ("api".parse().unwrap(), refused),
            ]
            .into(),
        }
    }

    #[test]
    fn plans_go_round_without_values() {
        let wire = plan_result(7, v1::Revision::default(), &plan());
        assert_eq!(plan_from_wire(&wire), Ok(plan()));
        let mut talkative = wire.clone();
        for field in &mut talkative.applications[1].changes[0].fields {
            "canary".clone_into(&mut field.live);
            "canary".clone_into(&mut field.desired);
        }
        let read = plan_from_wire(&talkative).unwrap();
        assert!(!format!("{read:?}").contains("canary"), "{read:?}");
        assert_eq!(read, plan());
    }

    #[test]
    fn an_answer_with_the_digest_of_another_is_not_taken() {
        let mut wire = plan_result(7, v1::Revision::default(), &plan());
        wire.digest = digest_to_wire(ClusterPlan::default().digest());
        assert_eq!(plan_from_wire(&wire), Err(WireError::Digest));
    }

    #[test]
    fn h11_an_answer_over_a_limit_is_not_taken_and_texts_are_cut() {
        let wire = plan_result(7, v1::Revision::default(), &plan());
        let mut long = wire.clone();
        let change = long.applications[1].changes[0].clone();
        long.applications[1].changes = vec![change; MAX_CHANGES + 1];
        assert!(matches!(
            plan_from_wire(&long),
            Err(WireError::TooLarge { .. })
        ));
        let mut fields = wire.clone();
        fields.applications[1].changes[0].fields = vec![v1::FieldChange::default(); MAX_FIELDS + 1];
        assert!(matches!(
            plan_from_wire(&fields),
            Err(WireError::TooLarge { .. })
        ));
        let mut loud = wire;
        loud.applications[1].changes[0].message = format!("\u{1b}[2J{}", "x".repeat(1 << 20));
        let read = plan_from_wire(&loud).unwrap();
        let message = &read.applications["web"].changes[0].message;
        assert!(message.len() <= MAX_MESSAGE_BYTES && !message.contains('\u{1b}'));
    }

    proptest::proptest! {
        #[test]
        fn h13_random_bytes_never_panic(bytes: Vec<u8>) {
            if let Ok(wire) = v1::PlanResult::decode(bytes.as_slice()) {
                let _ = plan_from_wire(&wire);
            }
        }
    }
}
