//! Admissions: clusters that joined, left or were refused, with names, keys and tokens.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_shared::id::ClusterName;
use jiff::Timestamp;

use super::event::Effect;
use crate::enrolment::{Redeemer, Token, Uses};

/// Highest number of remembered refusals, so that repeated attempts cause one audit entry.
const MAX_REFUSED: usize = 1024;

/// Memory of admissions.
#[derive(Debug, Clone, Default)]
pub(super) struct Admissions {
    /// SHA-256 of the certificate that signs agents' certificates.
    issuer: String,
    /// The last certificate number of each released name.
    retired: BTreeMap<ClusterName, u64>,
    /// Recent uses of join tokens.
    token_uses: Uses,
    /// Refused attempts, by name and key.
    refused: BTreeSet<(ClusterName, String)>,
}

impl Admissions {
    /// Restores released names from the store.
    pub(super) fn restore(&mut self, retired: Vec<(ClusterName, u64)>) {
        self.retired.extend(retired);
    }

    /// Returns the present signing certificate; empty: not known, or nothing is signed here.
    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Sets the signing certificate.
    pub(super) fn signed_by(&mut self, issuer: String) {
        self.issuer = issuer;
    }

    /// Returns the last certificate number of the previous holder of a name.
    pub(super) fn former(&self, name: &ClusterName) -> u64 {
        self.retired.get(name).copied().unwrap_or_default()
    }

    /// Releases a name; `counter`: number of the last certificate that was issued for it.
    pub(super) fn retire(&mut self, name: &ClusterName, counter: u64, effects: &mut Vec<Effect>) {
        self.refused.retain(|(refused, _)| refused != name);
        if counter > 0 {
            self.retired.insert(name.clone(), counter);
            effects.push(Effect::Retire(name.clone(), counter));
        }
    }

    /// Notes a refusal. False: it is already known, or there are too many.
    pub(super) fn refuse(&mut self, name: &ClusterName, key: &str) -> bool {
        self.refused.len() < MAX_REFUSED && self.refused.insert((name.clone(), key.to_owned()))
    }

    /// Returns a token that was read earlier as it is now.
    pub(super) fn current(&self, token: Token) -> Token {
        self.token_uses.current(token)
    }

    /// Marks a token as used.
    pub(super) fn redeem(&mut self, id: &str, by: Redeemer, effects: &mut Vec<Effect>) {
        self.token_uses.redeemed(id, by.clone());
        effects.push(Effect::RedeemToken(id.to_owned(), by));
    }

    /// Revokes a token.
    pub(super) fn revoke(&mut self, id: &str, now: Timestamp, effects: &mut Vec<Effect>) {
        self.token_uses.revoked(id, now);
        effects.push(Effect::RevokeToken(id.to_owned(), now));
    }
}
