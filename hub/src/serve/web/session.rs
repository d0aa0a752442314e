//! The secret of a session's cookie: everything is derived from it, and the store has only a hash of it and data that
//! is sealed with it. Pure: randomness is an argument.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flotilla_shared::digest::Digest;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use serde::{Deserialize, Serialize};

use crate::serve::oidc::Tokens;

/// The secret in a browser's cookie.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(String);

/// The sealed data of a session.
#[derive(Clone, Serialize, Deserialize)]
struct SealedTokens {
    id_token: String,
    refresh_token: String,
}

impl Secret {
    /// Reads a cookie; none: it is not a secret of these pages.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let is_ours = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_ours.then(|| Self(text.to_owned()))
    }

    /// Makes a secret from a random text.
    pub(super) fn drawn(text: String) -> Self {
        Self(text)
    }

    /// Returns the text in the cookie.
    pub(super) fn text(&self) -> &str {
        &self.0
    }

    /// Returns the hash in the store.
    pub(super) fn hash(&self) -> String {
        Digest::of(self.0.as_bytes()).to_string()
    }

    /// Derives a token from the secret, for one purpose.
    pub(super) fn derived_token(&self, purpose: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.derive(purpose))
    }

    fn derive(&self, purpose: &str) -> impl AsRef<[u8]> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.as_bytes());
        hmac::sign(&key, format!("flotilla web: {purpose}").as_bytes())
    }

    fn key(&self) -> Option<LessSafeKey> {
        UnboundKey::new(&AES_256_GCM, self.derive("seal").as_ref())
            .ok()
            .map(LessSafeKey::new)
    }

    /// Seals tokens for the store; the nonce must be new.
    pub(super) fn seal(&self, tokens: &Tokens, nonce: [u8; NONCE_LEN]) -> Option<Vec<u8>> {
        let mut text = serde_json::to_vec(&SealedTokens {
            id_token: tokens.id_token.clone(),
            refresh_token: tokens.refresh_token.clone(),
        })
        .ok()?;
        let whole = Nonce::assume_unique_for_key(nonce);
        self.key()?
            .seal_in_place_append_tag(whole, Aad::empty(), &mut text)
            .ok()?;
        let mut sealed = nonce.to_vec();
        sealed.append(&mut text);
        Some(sealed)
    }

    /// Opens tokens from the store; none: they were sealed with another secret, or changed.
    pub(super) fn open(&self, sealed: &[u8]) -> Option<Tokens> {
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = text.to_vec();
        let open = self
            .key()?
            .open_in_place(nonce, Aad::empty(), &mut text)
            .ok()?;
        let sealed: SealedTokens = serde_json::from_slice(open).ok()?;
        Some(Tokens {
            id_token: sealed.id_token,
            refresh_token: sealed.refresh_token,
        })
    }
}

/// A login in progress: the content of its cookie. The issuer's answer counts only in the browser that began it,
/// whichever replica receives it.
pub(super) struct Attempt {
    /// The secret from which state, nonce and verifier are derived.
    pub(super) secret: Secret,
    /// The page to return to.
    pub(super) back: String,
}

impl Attempt {
    pub(super) fn text(&self) -> String {
        let back = URL_SAFE_NO_PAD.encode(&self.back);
        format!("{}.{back}", self.secret.text())
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let (secret, back) = text.split_once('.')?;
        let back = URL_SAFE_NO_PAD.decode(back).ok()?;
        let back = String::from_utf8(back).ok()?;
        Some(Self {
            secret: Secret::parse(secret)?,
            back: flotilla_web::security::way_back(&back).to_owned(),
        })
    }

    pub(super) fn state(&self) -> String {
        self.secret.derived_token("state")
    }

    pub(super) fn nonce(&self) -> String {
        self.secret.derived_token("nonce")
    }

    /// Returns the code verifier (RFC 7636, section 4.1: 43 characters).
    pub(super) fn verifier(&self) -> String {
        self.secret.derived_token("verifier")
    }

    /// Returns the code challenge (RFC 7636, section 4.2: S256).
    pub(super) fn challenge(&self) -> String {
        let digest = ring::digest::digest(&ring::digest::SHA256, self.verifier().as_bytes());
        URL_SAFE_NO_PAD.encode(digest.as_ref())
    }
}

#[cfg(test)]
mod tests;
