//! Who came, who left, and who was refused: names, keys and tokens.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_shared::id::ClusterName;
use jiff::Timestamp;

use super::event::Effect;
use crate::enrolment::{Redeemer, Token, Uses};

/// Refused newcomers that are remembered, so that one who asks again and again is one audit entry.
const MAX_REFUSED: usize = 1024;

/// What is remembered of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Admissions {
    /// SHA-256 of the certificate that signs agents' certificates.
    issuer: String,
    /// The last certificate's number under each name that was given up.
    retired: BTreeMap<ClusterName, u64>,
    /// What became of join tokens a moment ago.
    token_uses: Uses,
    /// Newcomers that were refused a name, by name and key.
    refused: BTreeSet<(ClusterName, String)>,
}

impl Admissions {
    /// Takes names that were given up over from the store.
    pub(super) fn restore(&mut self, retired: Vec<(ClusterName, u64)>) {
        self.retired.extend(retired);
    }

    /// What signs now; empty: not known, or nothing is signed here.
    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Another certificate signs from now on.
    pub(super) fn signed_by(&mut self, issuer: String) {
        self.issuer = issuer;
    }

    /// The last certificate's number of who had a name before.
    pub(super) fn former(&self, name: &ClusterName) -> u64 {
        self.retired.get(name).copied().unwrap_or_default()
    }

    /// A name is free from now on; `counter`: of the last certificate that was made for it.
    pub(super) fn retire(&mut self, name: &ClusterName, counter: u64, effects: &mut Vec<Effect>) {
        self.refused.retain(|(refused, _)| refused != name);
        if counter > 0 {
            self.retired.insert(name.clone(), counter);
            effects.push(Effect::Retire(name.clone(), counter));
        }
    }

    /// Somebody was refused a name. False: that is no news, or too many were.
    pub(super) fn refuse(&mut self, name: &ClusterName, key: &str) -> bool {
        self.refused.len() < MAX_REFUSED && self.refused.insert((name.clone(), key.to_owned()))
    }

    /// A token that was read a moment ago, as it is now.
    pub(super) fn current(&self, token: Token) -> Token {
        self.token_uses.current(token)
    }

    /// A token lets somebody in.
    pub(super) fn redeem(&mut self, id: &str, by: Redeemer, effects: &mut Vec<Effect>) {
        self.token_uses.redeemed(id, by.clone());
        effects.push(Effect::RedeemToken(id.to_owned(), by));
    }

    /// A person revokes a token.
    pub(super) fn revoke(&mut self, id: &str, now: Timestamp, effects: &mut Vec<Effect>) {
        self.token_uses.revoked(id, now);
        effects.push(Effect::RevokeToken(id.to_owned(), now));
    }
}
