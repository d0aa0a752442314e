//! The last accepted assignment of each application: a restarted process continues with it if it refuses
//! the assigned one, as the process before it did.
//!
//! Part of the record, so that the commit, the rule that it was accepted under and its assignment are
//! written together. It is not a permission: it is judged again before it is used.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flotilla_render::Facts;
use flotilla_shared::id::{ApplicationName, ClusterName};
use flotilla_shared::revision::Revision;
use flotilla_shared::wire::{decode_application, encode_application};
use serde::{Deserialize, Serialize};

use super::desired::DesiredApplication;

/// Most bytes that are stored for one application.
pub(super) const MAX_ONE: usize = 64 << 10;
/// Most bytes in total: the record's copy is one ConfigMap, which holds a mebibyte.
const MAX_ALL: usize = 384 << 10;

/// One application as it was last accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AcceptedApplication {
    /// Its assignment, encoded; empty: it was too long to be stored.
    pub(super) assigned: String,
    pub(super) cluster: ClusterName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) facts: Option<Facts>,
    /// The last revision that was applied in full, of this or an earlier assignment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ran: Option<Revision>,
}

/// What is known about an application from earlier processes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EarlierRun {
    /// What was last accepted. None: it was too long to be stored.
    pub(crate) desired: Option<Box<DesiredApplication>>,
    /// The last revision that was applied in full.
    pub(crate) ran: Option<Revision>,
}

impl AcceptedApplication {
    /// Of what is accepted now. Approvals are used up by then, and the rollout does not matter.
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

    pub(super) fn before(&self, name: &ApplicationName) -> EarlierRun {
        let bytes = STANDARD.decode(&self.assigned).ok();
        let bytes = bytes.filter(|bytes| !bytes.is_empty());
        let application = bytes.and_then(|bytes| decode_application(&bytes).ok());
        EarlierRun {
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

/// Whether there is room for the next assignment.
pub(super) fn fits(
    kept: &BTreeMap<ApplicationName, AcceptedApplication>,
    desired: &DesiredApplication,
    next: &AcceptedApplication,
) -> bool {
    let others = kept.iter().filter(|(name, _)| **name != desired.name);
    let all: usize = others.map(|(_, kept)| kept.assigned.len()).sum();
    next.assigned.len() <= MAX_ONE && all.saturating_add(next.assigned.len()) <= MAX_ALL
}
