//! Assignments: encoded once by the hub, hashed and kept as exactly those bytes by the agent.

mod chart;
mod limits;

use std::collections::BTreeMap;

use flotilla_proto::v1;
use prost::Message as _;

use super::{
    MAX_APPLICATIONS, MAX_LABELS, MAX_MESSAGE_BYTES, MAX_SMALL_LIST, MAX_TOKEN_BYTES, WireError,
    bounded, renderer_from_wire, renderer_to_wire, timestamp_from_wire, timestamp_to_wire,
};
use crate::approval::SignedApproval;
use crate::assignment::{
    ApplicationAssignment, Assignment, AssignmentRef, Drift, IgnoreRule, Prune, SyncPolicy,
    Tombstone,
};
use crate::digest::Digest;
use crate::id::{ApplicationName, Epoch, Generation};
use crate::revision::Revision;
use chart::{chart_from_wire, chart_to_wire};
use limits::{
    application_within_limits, approval_within_limits, label_within_limits, rule_within_limits,
    within_limits,
};

/// An assignment with its received bytes, which are what a ledger stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodedAssignment {
    /// The encoded content.
    pub content: bytes::Bytes,
    /// Epoch, generation and the digest of `content`.
    pub reference: AssignmentRef,
    /// The decoded assignment.
    pub assignment: Assignment,
}

impl DecodedAssignment {
    /// Creates one from an assignment that this process made: equal to decoding its bytes, without the work. A hub
    /// makes ten thousand of these for one commit.
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
        unresolved: assignment
            .unresolved
            .iter()
            .map(ToString::to_string)
            .collect(),
        removed_by: assignment.removed_by.clone(),
    }
}

/// Encodes one application of an assignment by itself.
#[must_use]
pub fn encode_application(name: &ApplicationName, application: &ApplicationAssignment) -> Vec<u8> {
    application_to_wire(name.as_str(), application).encode_to_vec()
}

/// Decodes what [`encode_application`] wrote, within the limits of an assignment.
///
/// # Errors
/// When it is something else.
pub fn decode_application(bytes: &[u8]) -> Result<ApplicationAssignment, WireError> {
    bounded("application", bytes.len(), MAX_MESSAGE_BYTES)?;
    let wire = v1::ApplicationAssignment::decode(bytes)
        .map_err(|error| WireError::Malformed(error.to_string()))?;
    application_from_wire(wire)
}

/// Returns the digest of the applications as assigned, without their commits and rollouts; it includes the cluster's
/// labels if an application substitutes them.
#[must_use]
pub fn specified(
    applications: &BTreeMap<ApplicationName, Box<ApplicationAssignment>>,
    labels: &BTreeMap<String, String>,
) -> Digest {
    let mut all: Vec<Vec<u8>> = applications
        .iter()
        .map(|(name, application)| {
            let mut wire = application_to_wire(name.as_str(), application);
            wire.commit.clear();
            wire.rollout.clear();
            wire.encode_to_vec()
        })
        .collect();
    if applications
        .values()
        .any(|application| application.substitute)
    {
        let texts = labels.iter().flat_map(|(key, value)| [key, value]);
        all.extend(texts.map(|text| text.clone().into_bytes()));
    }
    Digest::of_parts(all.iter().map(Vec::as_slice))
}

pub(super) fn application_to_wire(
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
        helm: application.helm.as_deref().map(chart_to_wire),
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
    bounded("unresolved", content.unresolved.len(), MAX_APPLICATIONS)?;
    bounded("removed_by", content.removed_by.len(), MAX_TOKEN_BYTES)?;
    let mut applications = BTreeMap::new();
    for application in content.applications {
        let name = application.name.parse()?;
        if applications
            .insert(name, Box::new(application_from_wire(application)?))
            .is_some()
        {
            return Err(WireError::Invalid {
                field: "applications",
                why: "an application is listed twice".to_owned(),
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
        removed_by: content.removed_by,
        unresolved: content
            .unresolved
            .iter()
            .map(|name| name.parse())
            .collect::<Result<_, _>>()?,
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

/// Reads an approval within its limits; the agent verifies its content.
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

pub(super) fn application_from_wire(
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
        helm: wire
            .helm
            .map(|helm| chart_from_wire(helm).map(Box::new))
            .transpose()?,
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
        // An unknown value is read as the variant that deletes and writes less.
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
mod tests;
