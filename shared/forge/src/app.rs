//! GitHub Apps: an App that proves its identity with its private key gets a token for an hour.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{PrivatePkcs1KeyDer, PrivatePkcs8KeyDer};

use crate::request::{Credential, Secret};

/// The token of an installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppToken {
    /// The token for the `Authorization` header.
    pub token: Secret,
    /// When the token expires.
    pub expires_at: Timestamp,
}

impl AppToken {
    /// Returns whether the token stays valid for some minutes.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        self.expires_at.duration_since(now).as_secs() > 300
    }
}

/// An App's private key.
pub struct AppKey {
    app: String,
    key: RsaKeyPair,
}

impl std::fmt::Debug for AppKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the private key of App {}", self.app)
    }
}

/// Why a private key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppKeyError {
    /// The file is not a key in PEM.
    #[error(
        "the file has no RSA private key in PEM form; one from GitHub begins with -----BEGIN \
         RSA PRIVATE KEY-----"
    )]
    NoKey,
    /// The key is not supported by ring.
    #[error("the private key cannot be used: {0}")]
    Unfit(String),
    /// The key cannot sign.
    #[error("the private key cannot sign")]
    Sign,
}

impl AppKey {
    /// Reads a key as GitHub issues it (PKCS#1), or as others write it (PKCS#8). `app` is the App's id or client id.
    ///
    /// # Errors
    /// When the file is not such a key.
    pub fn read(app: &str, pem: &[u8]) -> Result<Self, AppKeyError> {
        let unfit = |error: ring::error::KeyRejected| AppKeyError::Unfit(error.to_string());
        let key = if let Ok(key) = PrivatePkcs1KeyDer::from_pem_slice(pem) {
            RsaKeyPair::from_der(key.secret_pkcs1_der()).map_err(unfit)?
        } else {
            let key = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| AppKeyError::NoKey)?;
            RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).map_err(unfit)?
        };
        Ok(Self {
            app: app.to_owned(),
            key,
        })
    }

    /// Makes the App's own signed token: it begins a minute ago, since clocks differ, and ends before the ten minutes
    /// that GitHub allows (RFC 7519, RS256).
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn token(&self, now: Timestamp) -> Result<Credential, AppKeyError> {
        let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = part(&serde_json::json!({"alg": "RS256", "typ": "JWT"}));
        let from = now.as_second() - 60;
        let claims = serde_json::json!({"iat": from, "exp": from + 540, "iss": self.app});
        let signed = format!("{header}.{}", part(&claims));
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                signed.as_bytes(),
                &mut signature,
            )
            .map_err(|_| AppKeyError::Sign)?;
        let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
        Ok(Credential::App(Secret::new(&token)))
    }

    /// Returns the public key (PKCS#1 DER), with which tokens can be verified.
    #[must_use]
    pub fn public(&self) -> Vec<u8> {
        self.key.public().as_ref().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made for this test with `openssl genrsa -traditional 2048`.
    const PKCS1: &str = include_str!("../tests/app/pkcs1.pem");
    const PKCS8: &str = include_str!("../tests/app/pkcs8.pem");

    #[test]
    fn a_token_is_signed_for_ten_minutes_and_no_longer() {
        let now: Timestamp = "2026-11-27T07:00:00Z".parse().unwrap();
        for pem in [PKCS1, PKCS8] {
            let key = AppKey::read("Iv1.abc", pem.as_bytes()).unwrap();
            let Credential::App(token) = key.token(now).unwrap() else {
                panic!("an App has its own token");
            };
            let (signed, signature) = token.expose().rsplit_once('.').unwrap();
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            let public = ring::signature::UnparsedPublicKey::new(
                &ring::signature::RSA_PKCS1_2048_8192_SHA256,
                key.public(),
            );
            public.verify(signed.as_bytes(), &signature).unwrap();
            let claims = signed.split_once('.').unwrap().1;
            let claims: serde_json::Value =
                serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
            let at = |name: &str| claims[name].as_i64().unwrap();
            assert_eq!(claims["iss"], "Iv1.abc");
            assert!(at("iat") < now.as_second() && at("exp") - at("iat") <= 600);
            assert!(!format!("{key:?}{token:?}").contains(token.expose()));
        }
        for bad in [
            "",
            "x",
            "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n",
        ] {
            assert!(AppKey::read("1", bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
