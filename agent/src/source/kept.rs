//! What was accepted last of each application, as it was assigned: what a process that begins anew goes on
//! with where it refuses what is assigned now, as the one before it did.
//!
//! Part of the record, so that the commit, the rule it was accepted by and the words it was assigned with
//! are written together. It is no permission: whoever goes on with it has it judged again.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flotilla_render::Facts;
use flotilla_shared::digest::Digest;
use flotilla_shared::id::{ApplicationName, ClusterName};
use flotilla_shared::revision::Revision;
use flotilla_shared::wire::{decode_application, encode_application};
use serde::{Deserialize, Serialize};

use super::release::Standing;
use super::{Admission, Source, Wanted};

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
    pub(crate) wanted: Option<Box<Wanted>>,
    /// What was applied in full last.
    pub(crate) ran: Option<Revision>,
}

impl Kept {
    /// Of what is accepted now. Approvals are used up by then, and which rollout brought it is no matter.
    pub(super) fn of(wanted: &Wanted) -> Self {
        let mut application = wanted.application.clone();
        application.rollout.clear();
        Self {
            assigned: STANDARD.encode(encode_application(&wanted.name, &application)),
            cluster: wanted.cluster.clone(),
            facts: wanted.facts.clone(),
            ran: None,
        }
    }

    pub(super) fn before(&self, name: &ApplicationName) -> Before {
        let bytes = STANDARD.decode(&self.assigned).ok();
        let bytes = bytes.filter(|bytes| !bytes.is_empty());
        let application = bytes.and_then(|bytes| decode_application(&bytes).ok());
        Before {
            wanted: application.map(|application| {
                Box::new(Wanted {
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
pub(super) fn fits(kept: &BTreeMap<ApplicationName, Kept>, wanted: &Wanted, next: &Kept) -> bool {
    let others = kept.iter().filter(|(name, _)| **name != wanted.name);
    let all: usize = others.map(|(_, kept)| kept.assigned.len()).sum();
    next.assigned.len() <= MAX_ONE && all.saturating_add(next.assigned.len()) <= MAX_ALL
}

impl Source {
    /// What is known of an application from before.
    pub(crate) fn before(&self, name: &ApplicationName) -> Option<Before> {
        self.admission.before(name)
    }

    /// Whether something is known from before, and it is not this.
    pub(crate) fn has_another(&self, wanted: &Wanted) -> bool {
        let record = self.admission.record.lock();
        let is_known = record.kept.contains_key(&wanted.name);
        is_known && !record.keeps(wanted)
    }

    /// What was accepted was applied in full; of a chart, with the content that was rendered.
    pub(crate) fn ran(&self, name: &ApplicationName, revision: &Revision, chart: Option<Digest>) {
        self.admission.ran(name, revision, chart);
    }

    /// An application is not to run any more: what it was is nothing to go on with.
    pub(crate) fn let_go(&self, name: &ApplicationName) {
        self.admission.let_go(name);
    }
}

impl Admission {
    fn before(&self, name: &ApplicationName) -> Option<Before> {
        let record = self.record.lock();
        record.kept.get(name).map(|kept| kept.before(name))
    }

    fn ran(&self, name: &ApplicationName, revision: &Revision, chart: Option<Digest>) {
        self.note(|record| {
            let kept = record.kept.get(name);
            let is_news = kept.is_some_and(|kept| kept.ran.as_ref() != Some(revision));
            let standing = record.releases.get(name);
            let has_run = |one: &Standing| Some(one.key) == chart && !one.ran;
            let chart_is_news = standing.is_some_and(has_run);
            (is_news || chart_is_news).then(|| {
                let mut next = record.clone();
                if let Some(kept) = next.kept.get_mut(name) {
                    kept.ran = Some(revision.clone());
                }
                if let (true, Some(standing)) = (chart_is_news, next.releases.get_mut(name)) {
                    standing.ran = true;
                }
                next
            })
        });
    }

    fn let_go(&self, name: &ApplicationName) {
        self.note(|record| {
            record.kept.contains_key(name).then(|| {
                let mut next = record.clone();
                next.kept.remove(name);
                next
            })
        });
    }
}
