//! An ID token (OpenID Connect Core 1.0, section 2) and the keys that sign it (RFC 7517, RFC 7518). Pure. Only what an
//! issuer needs is supported: signed, never encrypted, with RS256, ES256 or EdDSA.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use serde::Deserialize;
use serde_json::Value;

/// Largest token, bytes. One with very many groups is larger; the issuer should then send fewer.
const MAX_TOKEN: usize = 16 << 10;
/// Highest number of keys of an issuer.
const MAX_KEYS: usize = 64;
/// Tolerated difference between the issuer's clock and the hub's, seconds.
const CLOCK_SLACK: i64 = 60;

/// Why a token is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is not three parts of base64url and JSON.
    #[error("it is not an ID token")]
    Malformed,
    /// The signature algorithm is not supported, such as `none`.
    #[error("it is signed with {0:?}; RS256, ES256 and EdDSA are supported")]
    Algorithm(String),
    /// It is signed with a key that the issuer does not publish, or did not when its keys were last fetched.
    #[error("it is signed with a key that its issuer does not publish; log in again")]
    UnknownKey,
    /// The signature is not by that key.
    #[error("its signature is invalid")]
    Signature,
    #[error("it is from another issuer")]
    Issuer,
    /// It is for another client.
    #[error("it is for another client")]
    Audience,
    #[error("it has expired; log in again")]
    Expired,
    /// It is from the future.
    #[error("it is not valid yet: is a clock wrong?")]
    NotYet,
    /// It has no user name, or one that the issuer has not verified.
    #[error("it has no usable claim {0:?}")]
    User(String),
}

/// Keys by their id.
#[derive(Debug, Clone, Default)]
pub struct Keys(BTreeMap<String, Key>);

#[derive(Debug, Clone)]
enum Key {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(default)]
    kid: String,
    #[serde(rename = "use", default)]
    usage: String,
    #[serde(default)]
    crv: String,
    #[serde(default)]
    n: String,
    #[serde(default)]
    e: String,
    #[serde(default)]
    x: String,
    #[serde(default)]
    y: String,
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

impl Keys {
    /// Reads a JWK set. Keys of other kinds, or for other uses, are left out.
    #[must_use]
    pub fn from_json(text: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_slice(text).ok()?;
        let keys = set.keys.into_iter().take(MAX_KEYS).filter_map(|value| {
            let jwk: Jwk = serde_json::from_value(value).ok()?;
            if !matches!(jwk.usage.as_str(), "" | "sig") {
                return None;
            }
            let key = match (jwk.kty.as_str(), jwk.crv.as_str()) {
                ("RSA", _) => Key::Rsa {
                    n: decode(&jwk.n)?,
                    e: decode(&jwk.e)?,
                },
                ("EC", "P-256") => {
                    let (x, y) = (decode(&jwk.x)?, decode(&jwk.y)?);
                    // Uncompressed point (SEC 1, section 2.3.3).
                    Key::P256([&[4], x.as_slice(), &y].concat())
                }
                ("OKP", "Ed25519") => Key::Ed25519(decode(&jwk.x)?),
                _ => return None,
            };
            Some((jwk.kid, key))
        });
        Some(Self(keys.collect()))
    }
}

impl Key {
    /// Verifies a signature. The key determines how it is used, so that no header makes an RSA key another kind of key.
    fn verify(&self, algorithm: &str, message: &[u8], signature: &[u8]) -> Result<(), TokenError> {
        let verified = match (self, algorithm) {
            (Self::Rsa { n, e }, "RS256") => {
                let key = RsaPublicKeyComponents { n, e };
                key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
            (Self::P256(point), "ES256") => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            (Self::Ed25519(point), "EdDSA") => {
                UnparsedPublicKey::new(&ED25519, point).verify(message, signature)
            }
            _ => return Err(TokenError::Algorithm(algorithm.to_owned())),
        };
        verified.map_err(|_| TokenError::Signature)
    }
}

/// Expected content of a token.
#[derive(Debug, Clone, Default)]
pub struct ExpectedClaims {
    /// The issuer that `iss` must name exactly.
    pub issuer: String,
    /// The audience that must be in `aud`.
    pub audience: String,
    /// Name of the claim with the user name.
    pub user_claim: String,
    /// Name of the claim with the groups.
    pub groups_claim: String,
}

/// The person of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The issuer's name of the person.
    pub user: String,
    /// The issuer's names of the person's groups.
    pub groups: Vec<String>,
}

/// Content of a valid token beside the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedToken {
    pub person: Person,
    /// When it expires, seconds since the epoch.
    pub expires: i64,
    /// The nonce of the login that it answers; empty: none.
    pub nonce: String,
}

/// Verifies a token at `now` (seconds since the epoch).
///
/// # Errors
/// When the token is not valid.
pub fn verify(
    token: &str,
    keys: &Keys,
    expected: &ExpectedClaims,
    now: i64,
) -> Result<Person, TokenError> {
    read(token, keys, expected, now).map(|verified| verified.person)
}

/// Like [`verify`], with the rest of its content.
///
/// # Errors
/// See [`verify`].
pub(super) fn read(
    token: &str,
    keys: &Keys,
    expected: &ExpectedClaims,
    now: i64,
) -> Result<VerifiedToken, TokenError> {
    if token.len() > MAX_TOKEN {
        return Err(TokenError::Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(TokenError::Malformed)?;
    let json = |part: &str| -> Result<Value, TokenError> {
        let bytes = decode(part).ok_or(TokenError::Malformed)?;
        serde_json::from_slice(&bytes).map_err(|_| TokenError::Malformed)
    };
    let header = json(header)?;
    let algorithm = header["alg"].as_str().ok_or(TokenError::Malformed)?;
    if !matches!(algorithm, "RS256" | "ES256" | "EdDSA") {
        return Err(TokenError::Algorithm(algorithm.chars().take(20).collect()));
    }
    // RFC 7515, section 4.1.11: a critical header parameter that is not understood makes the token invalid.
    if header.get("crit").is_some() {
        return Err(TokenError::Malformed);
    }
    let id = header["kid"].as_str().unwrap_or_default();
    let key = keys.0.get(id).ok_or(TokenError::UnknownKey)?;
    let signature = decode(signature).ok_or(TokenError::Malformed)?;
    key.verify(algorithm, signed.as_bytes(), &signature)?;
    let claims = json(claims)?;
    Ok(VerifiedToken {
        person: judge(&claims, expected, now)?,
        expires: claims["exp"].as_f64().map_or(0, |exp| exp as i64),
        nonce: claims["nonce"].as_str().unwrap_or_default().to_owned(),
    })
}

fn judge(claims: &Value, expected: &ExpectedClaims, now: i64) -> Result<Person, TokenError> {
    if claims["iss"].as_str() != Some(&expected.issuer) {
        return Err(TokenError::Issuer);
    }
    let audience = expected.audience.as_str();
    let (is_for_us, alone) = match &claims["aud"] {
        Value::String(name) => (name == audience, true),
        Value::Array(all) => (all.iter().any(|name| name == audience), all.len() == 1),
        _ => (false, true),
    };
    let party = claims.get("azp").map(|party| party == audience);
    if !is_for_us || party == Some(false) || (!alone && party.is_none()) {
        return Err(TokenError::Audience);
    }
    // A claim that is not a number is malformed, not absent.
    let time = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(value) => value
            .as_i64()
            .or_else(|| value.as_f64().map(|seconds| seconds as i64))
            .map(Some)
            .ok_or(TokenError::Malformed),
    };
    let expires = time("exp")?.ok_or(TokenError::Malformed)?;
    if expires.saturating_add(CLOCK_SLACK) < now {
        return Err(TokenError::Expired);
    }
    for begin in [time("nbf")?, time("iat")?].into_iter().flatten() {
        if begin.saturating_sub(CLOCK_SLACK) > now {
            return Err(TokenError::NotYet);
        }
    }
    let user = claims[&expected.user_claim].as_str().unwrap_or_default();
    // An unverified address could be claimed by anyone who types it into a profile.
    let unverified = expected.user_claim == "email" && claims["email_verified"] != true;
    let is_plain = user
        .chars()
        .all(|letter| !letter.is_control() && !letter.is_whitespace());
    if user.is_empty() || user.len() > 200 || unverified || !is_plain {
        return Err(TokenError::User(expected.user_claim.clone()));
    }
    let groups = match &claims[&expected.groups_claim] {
        Value::String(group) => vec![group.clone()],
        Value::Array(all) => all
            .iter()
            .filter_map(|group| group.as_str().map(str::to_owned))
            .collect(),
        _ => Vec::new(),
    };
    Ok(Person {
        user: user.to_owned(),
        groups,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_790_000_000;

    struct Issuer(EcdsaKeyPair);

    impl Issuer {
        fn new() -> Self {
            let random = SystemRandom::new();
            let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
            let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
            Self(EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap())
        }

        fn keys(&self) -> Keys {
            let point = self.0.public_key().as_ref();
            let part = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&point[range]);
            let set = json!({"keys": [
                {"kty": "oct", "kid": "other", "k": "AA"},
                {"kty": "EC", "crv": "P-256", "kid": "k1", "use": "sig", "x": part(1..33), "y": part(33..65)},
            ]});
            Keys::from_json(set.to_string().as_bytes()).unwrap()
        }

        fn token(&self, header: &Value, claims: &Value) -> String {
            let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
            let signed = format!("{}.{}", part(header), part(claims));
            let signature = self
                .0
                .sign(&SystemRandom::new(), signed.as_bytes())
                .unwrap();
            format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
        }
    }

    fn expected() -> ExpectedClaims {
        ExpectedClaims {
            issuer: "https://id.example.org".to_owned(),
            audience: "flotilla".to_owned(),
            user_claim: "email".to_owned(),
            groups_claim: "groups".to_owned(),
        }
    }

    fn claims() -> Value {
        json!({
            "iss": "https://id.example.org", "aud": "flotilla", "exp": NOW + 600, "iat": NOW,
            "email": "ada@example.org", "email_verified": true, "groups": ["sre", "ops"],
        })
    }

    fn header() -> Value {
        json!({"alg": "ES256", "kid": "k1"})
    }

    #[test]
    fn e13_a_good_token_is_a_person() {
        let issuer = Issuer::new();
        let token = issuer.token(&header(), &claims());
        let person = verify(&token, &issuer.keys(), &expected(), NOW).unwrap();
        assert_eq!(person.user, "ada@example.org");
        assert_eq!(person.groups, ["sre", "ops"]);
    }

    #[test]
    fn e13_every_claim_that_is_wrong_is_named() {
        let issuer = Issuer::new();
        let keys = issuer.keys();
        let with = |key: &str, value: Value| {
            let mut claims = claims();
            claims[key] = value;
            verify(&issuer.token(&header(), &claims), &keys, &expected(), NOW)
        };
        let user = || TokenError::User("email".to_owned());
        for (key, value, want) in [
            ("iss", json!("https://id.example.org/"), TokenError::Issuer),
            ("aud", json!("other"), TokenError::Audience),
            ("aud", json!(["flotilla", "other"]), TokenError::Audience),
            ("aud", json!(null), TokenError::Audience),
            ("azp", json!("other"), TokenError::Audience),
            ("exp", json!(NOW - 61), TokenError::Expired),
            ("exp", json!("9999999999"), TokenError::Malformed),
            ("exp", json!(null), TokenError::Malformed),
            ("nbf", json!(NOW + 61), TokenError::NotYet),
            ("nbf", json!("never"), TokenError::Malformed),
            ("iat", json!(NOW + 3600), TokenError::NotYet),
            ("email", json!(""), user()),
            ("email", json!(["ada@example.org"]), user()),
            ("email", json!("ada\u{7}@example.org"), user()),
            ("email_verified", json!(false), user()),
            ("email_verified", json!("true"), user()),
        ] {
            assert_eq!(with(key, value.clone()), Err(want), "{key} {value}");
        }
        assert!(with("aud", json!(["flotilla"])).is_ok());
        assert!(
            with("exp", json!(NOW - 30)).is_ok(),
            "the clocks differ a little"
        );
    }

    #[test]
    fn e13_no_header_makes_a_bad_signature_good() {
        let issuer = Issuer::new();
        let keys = issuer.keys();
        let verify = |token: &str| verify(token, &keys, &expected(), NOW);
        for alg in ["none", "None", "HS256", "RS256", "EdDSA", "ES384", ""] {
            let token = issuer.token(&json!({"alg": alg, "kid": "k1"}), &claims());
            assert!(
                matches!(verify(&token), Err(TokenError::Algorithm(_))),
                "{alg}"
            );
        }
        let unknown = issuer.token(&json!({"alg": "ES256", "kid": "k2"}), &claims());
        assert_eq!(verify(&unknown), Err(TokenError::UnknownKey));
        let critical = json!({"alg": "ES256", "kid": "k1", "crit": ["x"], "x": 1});
        let critical = issuer.token(&critical, &claims());
        assert_eq!(verify(&critical), Err(TokenError::Malformed));
        let foreign = Issuer::new().token(&header(), &claims());
        assert_eq!(verify(&foreign), Err(TokenError::Signature));
        let token = issuer.token(&header(), &claims());
        let (signed, _) = token.rsplit_once('.').unwrap();
        for bad in [
            "",
            ".",
            "..",
            "a.b",
            signed,
            &format!("{signed}."),
            &"a".repeat(20_000),
        ] {
            assert!(verify(bad).is_err(), "{bad:.20}");
        }
    }

    proptest! {
        #[test]
        fn e13_any_bytes_are_refused_in_good_order(text in "\\PC{0,300}", at in 0usize..200, bit in 0u8..7) {
            let issuer = Issuer::new();
            let keys = issuer.keys();
            prop_assert!(verify(&text, &keys, &expected(), NOW).is_err());
            let mut token = issuer.token(&header(), &claims()).into_bytes();
            let at = at % token.len();
            token[at] ^= 1 << bit;
            if let Ok(token) = String::from_utf8(token) {
                // The last letter of base64 may carry unused bits; changes of them are rejected too.
                prop_assert!(verify(&token, &keys, &expected(), NOW).is_err());
            }
        }
    }
}
