//! Conversion at the edge: wire messages become domain values here, and every limit is checked here.
//!
//! Rules: an unknown enum value reads as the type's "unknown"; text for people is cut, never refused;
//! names, ids and digests that do not parse refuse the message; lists over their limit refuse it.

mod assignment;
mod gate_job;
mod plan;
mod preview;
mod report;

pub use assignment::{
    DecodedAssignment, approval_from_wire, decode_application, decode_assignment,
    encode_application, encode_assignment, labels_from_wire, specified,
};
pub use gate_job::{gate_jobs_from_wire, gate_jobs_to_wire};
pub use plan::{plan_from_wire, plan_result};
pub use preview::preview_to_wire;
pub use report::{
    application_report_to_wire, decode_report, encode_report, object_from_wire, object_to_wire,
    planned_word, report_digest,
};

use flotilla_proto::v1;
use jiff::Timestamp;

use crate::assignment::{AssignmentRef, Renderer};
use crate::digest::Digest;
use crate::health::{Health, SyncState};
use crate::id::{Epoch, Generation, NameError};
use crate::reason::Reason;
use crate::revision::Revision;

/// Protocol versions that this build speaks, inclusive.
pub const PROTOCOL: std::ops::RangeInclusive<u32> = 1..=1;

/// Abilities that this build has besides its renderers.
const FEATURES: [&str; 6] = [
    "substitute",
    "depends-on",
    "tombstones",
    "plan-removal",
    "plan-commit",
    "gate-jobs",
];

/// Abilities that this build has; an assignment that requires another one is refused.
pub fn features() -> impl Iterator<Item = &'static str> {
    let of_renderers = Renderer::ALL.into_iter().filter_map(Renderer::feature);
    of_renderers.chain(FEATURES)
}

/// Largest message that either side accepts, in bytes. A report of 1,000 applications fits.
pub const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;
/// Most applications of one cluster.
pub const MAX_APPLICATIONS: usize = 1000;
/// Most labels of one cluster.
pub const MAX_LABELS: usize = 64;
/// Most entries of a small list (dependencies, ignore rules, features, pointers).
pub const MAX_SMALL_LIST: usize = 64;
/// Longest token of the wire that is neither a name nor a message (versions, uids), bytes.
pub const MAX_TOKEN_BYTES: usize = 256;

/// The message is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The bytes are not protobuf.
    #[error("the message cannot be decoded: {0}")]
    Malformed(String),
    /// A required field is missing.
    #[error("field {0} is missing")]
    Missing(&'static str),
    /// A field has an invalid value.
    #[error("field {field}: {why}")]
    Invalid {
        /// Its name in the protocol, such as `renderer`; of a bad name, which kind of name it is.
        field: &'static str,
        /// Cause, for operators.
        why: String,
    },
    /// A list or text is over its limit.
    #[error("field {field} has {have} parts or bytes, more than {limit}")]
    TooLarge {
        /// Its name in the protocol, such as `tombstones`.
        field: &'static str,
        /// Number of received entries of the list, or bytes of the text.
        have: usize,
        /// Maximum number of entries or bytes.
        limit: usize,
    },
    /// The digest does not match.
    #[error("the digest does not match the content")]
    Digest,
}

impl From<NameError> for WireError {
    fn from(error: NameError) -> Self {
        Self::Invalid {
            field: error.what,
            why: error.to_string(),
        }
    }
}

/// Checks a list's length.
pub(crate) fn bounded(field: &'static str, have: usize, limit: usize) -> Result<(), WireError> {
    if have > limit {
        Err(WireError::TooLarge { field, have, limit })
    } else {
        Ok(())
    }
}

/// Converts a protobuf timestamp; out of range reads as absent.
#[must_use]
pub fn timestamp_from_wire(timestamp: Option<&prost_types::Timestamp>) -> Option<Timestamp> {
    timestamp.and_then(|t| Timestamp::new(t.seconds, t.nanos).ok())
}

/// Converts a timestamp to protobuf.
#[must_use]
pub fn timestamp_to_wire(timestamp: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: timestamp.as_second(),
        nanos: timestamp.subsec_nanosecond(),
    }
}

/// A digest of 32 bytes; an empty one is "none".
///
/// # Errors
/// When it has another length.
pub fn digest_from_wire(field: &'static str, bytes: &[u8]) -> Result<Digest, WireError> {
    if bytes.is_empty() {
        return Ok(Digest::default());
    }
    Digest::from_slice(bytes).ok_or_else(|| WireError::Invalid {
        field,
        why: format!("{} bytes instead of 32", bytes.len()),
    })
}

/// "None" becomes empty.
#[must_use]
pub fn digest_to_wire(digest: Digest) -> Vec<u8> {
    if digest.is_none() {
        Vec::new()
    } else {
        digest.as_bytes().to_vec()
    }
}

/// An absent reference is the place before all assignments.
///
/// # Errors
/// When the digest is malformed.
pub fn assignment_ref_from_wire(
    wire: Option<&v1::AssignmentRef>,
) -> Result<AssignmentRef, WireError> {
    let Some(wire) = wire else {
        return Ok(AssignmentRef::default());
    };
    Ok(AssignmentRef {
        epoch: Epoch(wire.epoch),
        generation: Generation(wire.generation),
        digest: digest_from_wire("digest", &wire.digest)?,
    })
}

/// Inverse of [`assignment_ref_from_wire`].
#[must_use]
pub fn assignment_ref_to_wire(reference: AssignmentRef) -> v1::AssignmentRef {
    v1::AssignmentRef {
        epoch: reference.epoch.0,
        generation: reference.generation.0,
        digest: digest_to_wire(reference.digest),
    }
}

/// # Errors
/// When a part does not parse.
pub fn revision_from_wire(wire: &v1::Revision) -> Result<Revision, WireError> {
    Ok(Revision {
        repository: wire.repository.parse()?,
        branch: wire.branch.parse()?,
        commit: wire.commit.parse()?,
    })
}

/// Inverse of [`revision_from_wire`].
#[must_use]
pub fn revision_to_wire(revision: &Revision) -> v1::Revision {
    v1::Revision {
        repository: revision.repository.to_string(),
        branch: revision.branch.to_string(),
        commit: revision.commit.to_string(),
    }
}

/// An unknown value reads as [`Health::Unknown`].
#[must_use]
pub fn health_from_wire(health: v1::Health) -> Health {
    match health {
        v1::Health::Current => Health::Current,
        v1::Health::InProgress => Health::InProgress,
        v1::Health::Failed => Health::Failed,
        v1::Health::Terminating => Health::Terminating,
        v1::Health::NotFound => Health::NotFound,
        v1::Health::Suspended => Health::Suspended,
        v1::Health::Unspecified | v1::Health::Unknown => Health::Unknown,
    }
}

/// Inverse of [`health_from_wire`].
#[must_use]
pub fn health_to_wire(health: Health) -> v1::Health {
    match health {
        Health::Current => v1::Health::Current,
        Health::InProgress => v1::Health::InProgress,
        Health::Failed => v1::Health::Failed,
        Health::Terminating => v1::Health::Terminating,
        Health::NotFound => v1::Health::NotFound,
        Health::Suspended => v1::Health::Suspended,
        Health::Unknown => v1::Health::Unknown,
    }
}

/// An unknown value reads as [`SyncState::Unknown`].
#[must_use]
pub fn sync_from_wire(sync: v1::Sync) -> SyncState {
    match sync {
        v1::Sync::Unspecified => SyncState::Unknown,
        v1::Sync::Synced => SyncState::Synced,
        v1::Sync::OutOfSync => SyncState::OutOfSync,
        v1::Sync::Applying => SyncState::Applying,
        v1::Sync::Refused => SyncState::Refused,
        v1::Sync::Suspended => SyncState::Suspended,
        v1::Sync::Orphaned => SyncState::Orphaned,
    }
}

/// Inverse of [`sync_from_wire`].
#[must_use]
pub fn sync_to_wire(sync: SyncState) -> v1::Sync {
    match sync {
        SyncState::Unknown => v1::Sync::Unspecified,
        SyncState::Synced => v1::Sync::Synced,
        SyncState::OutOfSync => v1::Sync::OutOfSync,
        SyncState::Applying => v1::Sync::Applying,
        SyncState::Refused => v1::Sync::Refused,
        SyncState::Suspended => v1::Sync::Suspended,
        SyncState::Orphaned => v1::Sync::Orphaned,
    }
}

/// An unknown renderer is an error: it needs a newer agent.
///
/// # Errors
/// When the value is not known.
pub fn renderer_from_wire(renderer: i32) -> Result<Renderer, WireError> {
    Renderer::of_number(renderer).ok_or_else(|| WireError::Invalid {
        field: "renderer",
        why: format!("{renderer} is not supported by this version; upgrade it"),
    })
}

/// Inverse of [`renderer_from_wire`].
#[must_use]
pub fn renderer_to_wire(renderer: Renderer) -> v1::Renderer {
    // Cannot fail: a test ensures that every renderer is a value of the protocol.
    v1::Renderer::try_from(renderer.number()).unwrap_or_default()
}

/// Empty reads as none.
#[must_use]
pub fn reason_from_wire(reason: &str) -> Option<Reason> {
    match reason {
        "" => None,
        // Infallible: an unknown code becomes `Other`.
        text => text.parse().ok(),
    }
}

/// None becomes empty.
#[must_use]
pub fn reason_to_wire(reason: Option<Reason>) -> String {
    reason
        .map(|reason| reason.as_str().to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h12_renderers_are_those_of_the_protocol_and_an_unknown_one_is_refused() {
        for renderer in Renderer::ALL {
            let wire = renderer_to_wire(renderer);
            let name = format!("RENDERER_{}", renderer.as_str().to_uppercase());
            assert_eq!(wire.as_str_name(), name);
            assert_eq!(renderer_from_wire(wire.into()), Ok(renderer));
        }
        assert_eq!(renderer_from_wire(0), Ok(Renderer::Auto), "not said");
        let mut number: i32 = 0;
        while v1::Renderer::try_from(number).is_ok() {
            assert!(
                renderer_from_wire(number).is_ok(),
                "{number} of the protocol"
            );
            number += 1;
        }
        assert!(renderer_from_wire(number).is_err() && renderer_from_wire(-1).is_err());
    }

    #[test]
    fn an_agent_is_able_to_do_what_its_renderers_need() {
        let all: Vec<&str> = features().collect();
        for needed in Renderer::ALL.into_iter().filter_map(Renderer::feature) {
            assert!(all.contains(&needed), "{needed}");
        }
        assert!(all.contains(&"helm") && all.contains(&"kustomize"));
        let unlike: std::collections::BTreeSet<&str> = all.iter().copied().collect();
        assert_eq!(unlike.len(), all.len(), "{all:?}");
    }
}
