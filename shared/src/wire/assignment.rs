//! Assignments: encoded once by the hub, hashed and kept as exactly those bytes by the agent.

use std::collections::BTreeMap;

use flotilla_proto::v1;
use prost::Message as _;

use super::{
    MAX_APPLICATIONS, MAX_LABELS, MAX_MESSAGE_BYTES, MAX_SMALL_LIST, MAX_TOKEN_BYTES, WireError,
    bounded, renderer_from_wire, renderer_to_wire, timestamp_from_wire, timestamp_to_wire,
};
use crate::approval::{self, SignedApproval};
use crate::assignment::{
    ApplicationAssignment, Assignment, AssignmentRef, Drift, IgnoreRule, Prune, SyncPolicy,
    Tombstone,
};
use crate::digest::Digest;
use crate::id::{ApplicationName, Epoch, Generation};
use crate::revision::Revision;

/// An assignment with the bytes it came as, which is what a ledger keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodedAssignment {
    /// The encoded content.
    pub content: bytes::Bytes,
    /// Epoch, generation and the digest of `content`.
    pub reference: AssignmentRef,
    /// What it says.
    pub assignment: Assignment,
}

impl DecodedAssignment {
    /// An assignment of our own making, with its bytes: what decoding them would give, without doing
    /// it. A hub makes ten thousand of these for one commit.
    ///
    /// # Errors
    /// When it is over a limit, so that decoding would refuse it.
    pub fn of(assignment: Assignment) -> Result<Self, WireError> {
        within_limits(&assignment)?;
        let content = bytes::Bytes::from(content_to_wire(&assignment).encode_to_vec());
        bounded("content", content.len(), MAX_MESSAGE_BYTES)?;
        let reference = AssignmentRef {
            epoch: assignment.epoch,
            generation: assignment.generation,
            digest: Digest::of(&content),
        };
        Ok(Self {
            content,
            reference,
            assignment,
        })
    }
}

/// Every limit that decoding has for what the types themselves do not bound.
fn within_limits(assignment: &Assignment) -> Result<(), WireError> {
    let lists = [
        (
            "applications",
            assignment.applications.len(),
            MAX_APPLICATIONS,
        ),
        ("tombstones", assignment.tombstones.len(), MAX_APPLICATIONS),
        (
            "required_features",
            assignment.required_features.len(),
            MAX_SMALL_LIST,
        ),
        ("approvals", assignment.approvals.len(), MAX_SMALL_LIST),
        ("labels", assignment.labels.len(), MAX_LABELS),
    ];
    for (field, length, limit) in lists {
        bounded(field, length, limit)?;
    }
    for (key, value) in &assignment.labels {
        label_within_limits(key, value)?;
    }
    for approval in &assignment.approvals {
        approval_within_limits(approval.content.len(), approval.signature.len())?;
    }
    if let Some(name) = assignment
        .tombstones
        .keys()
        .find(|name| assignment.applications.contains_key(*name))
    {
        return Err(assigned_and_removed(name));
    }
    for application in assignment.applications.values() {
        application_within_limits(
            application.depends_on.len(),
            &application.rollout,
            &application.namespace,
        )?;
        let ignore = &application.sync_policy.ignore;
        bounded("ignore", ignore.len(), MAX_SMALL_LIST)?;
        ignore.iter().try_for_each(rule_within_limits)?;
    }
    Ok(())
}

fn label_within_limits(key: &str, value: &str) -> Result<(), WireError> {
    // 253 for the prefix, a slash, 63 for the name; 63 for the value (Kubernetes' own limits).
    bounded("labels.key", key.len(), 317)?;
    bounded("labels.value", value.len(), 63)
}

fn approval_within_limits(content: usize, signature: usize) -> Result<(), WireError> {
    bounded("approvals.content", content, approval::MAX_BYTES)?;
    bounded("approvals.signature", signature, 32 << 10)
}

fn application_within_limits(
    dependencies: usize,
    rollout: &str,
    namespace: &str,
) -> Result<(), WireError> {
    bounded("depends_on", dependencies, MAX_SMALL_LIST)?;
    bounded("rollout", rollout.len(), MAX_TOKEN_BYTES)?;
    bounded("namespace", namespace.len(), 63)
}

fn rule_within_limits(rule: &IgnoreRule) -> Result<(), WireError> {
    bounded("json_pointers", rule.json_pointers.len(), MAX_SMALL_LIST)?;
    bounded("field_managers", rule.field_managers.len(), MAX_SMALL_LIST)?;
    [&rule.group, &rule.kind, &rule.namespace, &rule.name]
        .into_iter()
        .chain(&rule.json_pointers)
        .chain(&rule.field_managers)
        .try_for_each(|text| bounded("ignore", text.len(), MAX_TOKEN_BYTES))
}

fn assigned_and_removed(name: &ApplicationName) -> WireError {
    WireError::Invalid {
        field: "tombstones",
        why: format!("{name} is both assigned and removed"),
    }
}

/// Encodes an assignment; the digest is over the returned content.
#[must_use]
pub fn encode_assignment(assignment: &Assignment) -> v1::Assignment {
    let content = bytes::Bytes::from(content_to_wire(assignment).encode_to_vec());
    let digest = Digest::of(&content).as_bytes().to_vec();
    v1::Assignment { content, digest }
}

/// Checks the digest and all limits and decodes.
///
/// # Errors
/// When any of them is broken; nothing of a broken assignment is used.
pub fn decode_assignment(wire: &v1::Assignment) -> Result<DecodedAssignment, WireError> {
    bounded("content", wire.content.len(), MAX_MESSAGE_BYTES)?;
    let digest = Digest::of(&wire.content);
    if wire.digest.as_slice() != digest.as_bytes() {
        return Err(WireError::Digest);
    }
    let content = v1::AssignmentContent::decode(wire.content.clone())
        .map_err(|error| WireError::Malformed(error.to_string()))?;
    let assignment = content_from_wire(content)?;
    let reference = AssignmentRef {
        epoch: assignment.epoch,
        generation: assignment.generation,
        digest,
    };
    Ok(DecodedAssignment {
        content: wire.content.clone(),
        reference,
        assignment,
    })
}

fn content_to_wire(assignment: &Assignment) -> v1::AssignmentContent {
    v1::AssignmentContent {
        epoch: assignment.epoch.0,
        generation: assignment.generation.0,
        cluster: assignment.cluster.to_string(),
        environment: assignment.environment.to_string(),
        issued_at: Some(timestamp_to_wire(assignment.issued_at)),
        applications: assignment
            .applications
            .iter()
            .map(|(name, application)| application_to_wire(name.as_str(), application))
            .collect(),
        tombstones: assignment
            .tombstones
            .iter()
            .map(|(name, tombstone)| v1::Tombstone {
                application: name.to_string(),
                delete_objects: tombstone.delete_objects,
            })
            .collect(),
        required_features: assignment.required_features.clone(),
        labels: assignment
            .labels
            .iter()
            .map(|(key, value)| v1::Label {
                key: key.clone(),
                value: value.clone(),
            })
            .collect(),
        suspended: assignment.suspended,
        approvals: assignment
            .approvals
            .iter()
            .map(|approval| v1::SignedApproval {
                content: approval.content.to_vec(),
                signature: approval.signature.to_vec(),
            })
            .collect(),
    }
}

fn application_to_wire(
    name: &str,
    application: &ApplicationAssignment,
) -> v1::ApplicationAssignment {
    let policy = &application.sync_policy;
    v1::ApplicationAssignment {
        name: name.to_owned(),
        repository: application.revision.repository.to_string(),
        url: application.url.to_string(),
        branch: application.revision.branch.to_string(),
        commit: application.revision.commit.to_string(),
        path: application.path.to_string(),
        renderer: renderer_to_wire(application.renderer).into(),
        sync_policy: Some(v1::SyncPolicy {
            prune: match policy.prune {
                Prune::Enabled => v1::Prune::Enabled,
                Prune::Disabled => v1::Prune::Disabled,
            }
            .into(),
            drift: match policy.drift {
                Drift::Correct => v1::Drift::Correct,
                Drift::Report => v1::Drift::Report,
            }
            .into(),
            force_conflicts: policy.force_conflicts,
            health_timeout_seconds: policy.health_timeout_seconds,
            ignore: policy
                .ignore
                .iter()
                .map(|rule| v1::IgnoreRule {
                    group: rule.group.clone(),
                    kind: rule.kind.clone(),
                    namespace: rule.namespace.clone(),
                    name: rule.name.clone(),
                    json_pointers: rule.json_pointers.clone(),
                    field_managers: rule.field_managers.clone(),
                })
                .collect(),
        }),
        depends_on: application
            .depends_on
            .iter()
            .map(ToString::to_string)
            .collect(),
        substitute: application.substitute,
        rollout: application.rollout.clone(),
        namespace: application.namespace.clone(),
    }
}

fn content_from_wire(content: v1::AssignmentContent) -> Result<Assignment, WireError> {
    bounded("applications", content.applications.len(), MAX_APPLICATIONS)?;
    bounded("tombstones", content.tombstones.len(), MAX_APPLICATIONS)?;
    bounded(
        "required_features",
        content.required_features.len(),
        MAX_SMALL_LIST,
    )?;
    bounded("approvals", content.approvals.len(), MAX_SMALL_LIST)?;
    let mut applications = BTreeMap::new();
    for application in content.applications {
        let name = application.name.parse()?;
        if applications
            .insert(name, Box::new(application_from_wire(application)?))
            .is_some()
        {
            return Err(WireError::Invalid {
                field: "applications",
                why: "an application is named twice".to_owned(),
            });
        }
    }
    let mut tombstones = BTreeMap::new();
    for tombstone in content.tombstones {
        let name = tombstone.application.parse()?;
        if applications.contains_key(&name) {
            return Err(assigned_and_removed(&name));
        }
        tombstones.insert(
            name,
            Tombstone {
                delete_objects: tombstone.delete_objects,
            },
        );
    }
    Ok(Assignment {
        epoch: Epoch(content.epoch),
        generation: Generation(content.generation),
        cluster: content.cluster.parse()?,
        environment: content.environment.parse()?,
        issued_at: timestamp_from_wire(content.issued_at.as_ref())
            .ok_or(WireError::Missing("issued_at"))?,
        applications,
        tombstones,
        required_features: content.required_features,
        labels: labels_from_wire(content.labels)?,
        suspended: content.suspended,
        approvals: content
            .approvals
            .into_iter()
            .map(approval_from_wire)
            .collect::<Result<_, _>>()?,
    })
}

/// An approval within its limits; what it says is for the agent to judge.
///
/// # Errors
/// When it is too long.
pub fn approval_from_wire(wire: v1::SignedApproval) -> Result<SignedApproval, WireError> {
    approval_within_limits(wire.content.len(), wire.signature.len())?;
    Ok(SignedApproval {
        content: wire.content.into(),
        signature: wire.signature.into(),
    })
}

/// Labels with Kubernetes' length limits.
///
/// # Errors
/// When there are too many or one is too long.
pub fn labels_from_wire(labels: Vec<v1::Label>) -> Result<BTreeMap<String, String>, WireError> {
    bounded("labels", labels.len(), MAX_LABELS)?;
    let mut map = BTreeMap::new();
    for label in labels {
        label_within_limits(&label.key, &label.value)?;
        map.insert(label.key, label.value);
    }
    Ok(map)
}

fn application_from_wire(
    wire: v1::ApplicationAssignment,
) -> Result<ApplicationAssignment, WireError> {
    application_within_limits(wire.depends_on.len(), &wire.rollout, &wire.namespace)?;
    Ok(ApplicationAssignment {
        revision: Revision {
            repository: wire.repository.parse()?,
            branch: wire.branch.parse()?,
            commit: wire.commit.parse()?,
        },
        url: wire.url.parse()?,
        path: wire.path.parse()?,
        renderer: renderer_from_wire(wire.renderer)?,
        sync_policy: sync_policy_from_wire(wire.sync_policy.unwrap_or_default())?,
        depends_on: wire
            .depends_on
            .iter()
            .map(|name| name.parse())
            .collect::<Result<_, _>>()?,
        substitute: wire.substitute,
        rollout: wire.rollout,
        namespace: wire.namespace,
    })
}

fn sync_policy_from_wire(wire: v1::SyncPolicy) -> Result<SyncPolicy, WireError> {
    bounded("ignore", wire.ignore.len(), MAX_SMALL_LIST)?;
    let mut ignore = Vec::with_capacity(wire.ignore.len());
    for rule in wire.ignore {
        let rule = IgnoreRule {
            group: rule.group,
            kind: rule.kind,
            namespace: rule.namespace,
            name: rule.name,
            json_pointers: rule.json_pointers,
            field_managers: rule.field_managers,
        };
        rule_within_limits(&rule)?;
        ignore.push(rule);
    }
    Ok(SyncPolicy {
        // An unknown value takes the side that deletes and writes less.
        prune: match v1::Prune::try_from(wire.prune) {
            Ok(v1::Prune::Unspecified | v1::Prune::Enabled) => Prune::Enabled,
            Ok(v1::Prune::Disabled) | Err(_) => Prune::Disabled,
        },
        drift: match v1::Drift::try_from(wire.drift) {
            Ok(v1::Drift::Unspecified | v1::Drift::Correct) => Drift::Correct,
            Ok(v1::Drift::Report) | Err(_) => Drift::Report,
        },
        force_conflicts: wire.force_conflicts,
        health_timeout_seconds: wire.health_timeout_seconds,
        ignore,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assignment::Renderer;

    fn assignment() -> Assignment {
        let application = ApplicationAssignment {
            revision: Revision {
                repository: "fleet".parse().unwrap(),
                branch: "prod".parse().unwrap(),
                commit: "3f2a9c1d".repeat(5).parse().unwrap(),
            },
            url: "https://git.example.com/fleet.git".parse().unwrap(),
            path: "apps/guestbook".parse().unwrap(),
            renderer: Renderer::Kustomize,
            sync_policy: SyncPolicy {
                prune: Prune::Disabled,
                drift: Drift::Report,
                force_conflicts: true,
                health_timeout_seconds: 60,
                ignore: vec![IgnoreRule {
                    kind: "Deployment".to_owned(),
                    json_pointers: vec!["/spec/replicas".to_owned()],
                    ..IgnoreRule::default()
                }],
            },
            depends_on: vec!["base".parse().unwrap()],
            substitute: true,
            rollout: "prod-7".to_owned(),
            namespace: "guestbook".to_owned(),
        };
        Assignment {
            epoch: Epoch(2),
            generation: Generation(9),
            cluster: "prod-eu-1".parse().unwrap(),
            environment: "prod".parse().unwrap(),
            issued_at: Timestamp::new(1_790_000_000, 0).unwrap(),
            applications: [("guestbook".parse().unwrap(), application.into())].into(),
            tombstones: [(
                "old".parse().unwrap(),
                Tombstone {
                    delete_objects: true,
                },
            )]
            .into(),
            required_features: vec!["kustomize".to_owned()],
            labels: [("region".to_owned(), "eu".to_owned())].into(),
            suspended: false,
            approvals: vec![SignedApproval {
                content: bytes::Bytes::from_static(b"approved"),
                signature: bytes::Bytes::from_static(b"signed"),
            }],
        }
    }

    use jiff::Timestamp;

    #[test]
    fn assignments_go_round_and_keep_their_bytes() {
        let wire = encode_assignment(&assignment());
        let decoded = decode_assignment(&wire).unwrap();
        assert_eq!(decoded.assignment, assignment());
        assert_eq!(decoded.content, wire.content);
        assert_eq!(decoded.reference.place(), (Epoch(2), Generation(9)));
        assert_eq!(encode_assignment(&decoded.assignment), wire);
    }

    #[test]
    fn what_is_made_here_is_what_its_bytes_decode_to() {
        let made = DecodedAssignment::of(assignment()).unwrap();
        assert_eq!(
            decode_assignment(&encode_assignment(&assignment())),
            Ok(made)
        );
        type Change = fn(&mut Assignment, &mut ApplicationAssignment);
        let over: [Change; 8] = [
            |all, _| all.required_features = vec![String::new(); MAX_SMALL_LIST + 1],
            |all, _| all.labels = [("k".to_owned(), "v".repeat(64))].into(),
            |all, _| all.labels = [("k".repeat(318), String::new())].into(),
            |all, _| all.approvals[0].signature = vec![0; (32 << 10) + 1].into(),
            |_, one| one.depends_on = vec!["a".parse().unwrap(); MAX_SMALL_LIST + 1],
            |_, one| one.rollout = "r".repeat(MAX_TOKEN_BYTES + 1),
            |_, one| one.namespace = "n".repeat(64),
            |_, one| one.sync_policy.ignore[0].kind = "k".repeat(MAX_TOKEN_BYTES + 1),
        ];
        for change in over {
            let mut all = assignment();
            let name = "guestbook".parse().unwrap();
            let mut one = all.applications[&name].clone();
            change(&mut all, &mut one);
            all.applications.insert(name, one);
            let decoded = decode_assignment(&encode_assignment(&all)).unwrap_err();
            assert_eq!(DecodedAssignment::of(all), Err(decoded));
        }
        let mut both = assignment();
        both.tombstones.insert(
            "guestbook".parse().unwrap(),
            Tombstone {
                delete_objects: true,
            },
        );
        assert!(DecodedAssignment::of(both).is_err());
    }

    #[test]
    fn a_changed_byte_is_noticed() {
        let mut wire = encode_assignment(&assignment());
        let mut content = wire.content.to_vec();
        content[5] ^= 1;
        wire.content = content.into();
        assert_eq!(decode_assignment(&wire), Err(WireError::Digest));
    }

    fn refused(change: impl FnOnce(&mut v1::AssignmentContent)) -> WireError {
        let mut content = content_to_wire(&assignment());
        change(&mut content);
        let content = bytes::Bytes::from(content.encode_to_vec());
        let digest = Digest::of(&content).as_bytes().to_vec();
        decode_assignment(&v1::Assignment { content, digest }).unwrap_err()
    }

    #[test]
    fn c12_floods_and_nonsense_are_refused_whole() {
        let one = content_to_wire(&assignment()).applications[0].clone();
        refused(|c| c.applications = vec![one.clone(); MAX_APPLICATIONS + 1]);
        refused(|c| c.applications.push(one.clone()));
        refused(|c| c.cluster = "../x".to_owned());
        refused(|c| c.applications[0].url = "ext::sh".to_owned());
        refused(|c| c.applications[0].path = "../..".to_owned());
        refused(|c| c.applications[0].commit = "main".to_owned());
        refused(|c| c.applications[0].branch = "refs/pull/1/head".to_owned());
        refused(|c| c.applications[0].renderer = 77);
        refused(|c| c.tombstones[0].application = "guestbook".to_owned());
        refused(|c| c.issued_at = None);
    }

    #[test]
    fn h12_an_unknown_prune_mode_deletes_nothing() {
        let mut content = content_to_wire(&assignment());
        if let Some(policy) = content.applications[0].sync_policy.as_mut() {
            policy.prune = 42;
            policy.drift = 42;
        }
        let decoded = content_from_wire(content).unwrap();
        let policy = &decoded.applications.values().next().unwrap().sync_policy;
        assert_eq!(
            (policy.prune, policy.drift),
            (Prune::Disabled, Drift::Report)
        );
    }

    proptest::proptest! {
        #[test]
        fn h13_random_bytes_never_panic(bytes: Vec<u8>) {
            let digest = Digest::of(&bytes).as_bytes().to_vec();
            let _ = decode_assignment(&v1::Assignment { content: bytes.into(), digest });
        }
    }
}
