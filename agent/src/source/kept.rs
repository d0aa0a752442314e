//! What was accepted last of each application, as it was assigned: what a process that begins anew goes on
//! with where it refuses what is assigned now, as the one before it did.
//!
//! Part of the record, so that the commit, the rule it was accepted by and the words it was assigned with
//! are written together. It is no permission: whoever goes on with it has it judged again.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flotilla_render::Facts;
use flotilla_shared::id::{ApplicationName, ClusterName};
use flotilla_shared::revision::Revision;
use flotilla_shared::wire::{decode_application, encode_application};
use serde::{Deserialize, Serialize};

use super::desired::DesiredApplication;

/// Most bytes of one application that are kept.
pub(super) const MAX_ONE: usize = 64 << 10;
/// Most bytes of all: the record's copy is one ConfigMap, which holds a mebibyte.
const MAX_ALL: usize = 384 << 10;

/// One application as it was accepted last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Kept {
    /// As it was assigned, encoded; empty: it was too long to be kept.
    pub(super) assigned: String,
    pub(super) cluster: ClusterName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) facts: Option<Facts>,
    /// What was applied in full, of this or of one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ran: Option<Revision>,
}

/// What is known of an application from before.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Before {
    /// What was accepted last; none: it was too long to be kept.
    pub(crate) desired: Option<Box<DesiredApplication>>,
    /// What was applied in full last.
    pub(crate) ran: Option<Revision>,
}

impl Kept {
    /// Of what is accepted now. Approvals are used up by then, and which rollout brought it is no matter.
    pub(super) fn of(desired: &DesiredApplication) -> Self {
        let mut application = desired.application.clone();
        application.rollout.clear();
        Self {
            assigned: STANDARD.encode(encode_application(&desired.name, &application)),
            cluster: desired.cluster.clone(),
            facts: desired.facts.clone(),
            ran: None,
        }
    }

    pub(super) fn before(&self, name: &ApplicationName) -> Before {
        let bytes = STANDARD.decode(&self.assigned).ok();
        let bytes = bytes.filter(|bytes| !bytes.is_empty());
        let application = bytes.and_then(|bytes| decode_application(&bytes).ok());
        Before {
            desired: application.map(|application| {
                Box::new(DesiredApplication {
                    name: name.clone(),
                    cluster: self.cluster.clone(),
                    application,
                    approvals: Vec::new(),
                    facts: self.facts.clone(),
                })
            }),
            ran: self.ran.clone(),
        }
    }
}

/// Whether there is room for what is kept next.
pub(super) fn fits(
    kept: &BTreeMap<ApplicationName, Kept>,
    desired: &DesiredApplication,
    next: &Kept,
) -> bool {
    let others = kept.iter().filter(|(name, _)| **name != desired.name);
    let all: usize = others.map(|(_, kept)| kept.assigned.len()).sum();
    next.assigned.len() <= MAX_ONE && all.saturating_add(next.assigned.len()) <= MAX_ALL
}
