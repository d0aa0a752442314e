//! An OpenID Connect issuer with the device flow (RFC 8628) and codes with PKCE (RFC 7636), for tests of
//! logging in.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use parking_lot::Mutex;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

/// A running issuer.
pub struct Issuer {
    /// The issuer as named in its tokens.
    pub url: String,
    inner: Arc<Inner>,
    task: tokio::task::JoinHandle<()>,
}

struct Inner {
    url: String,
    key: EcdsaKeyPair,
    state: Mutex<IssuerState>,
}

/// What the test configures, and what clients have requested.
#[derive(Default, Clone)]
pub struct IssuerState {
    /// The user in front of the browser.
    pub user: String,
    /// The user's groups.
    pub groups: Vec<String>,
    /// Lifetime of ID tokens in seconds.
    pub life: i64,
    /// Whether the user denies the login.
    pub denies: bool,
    /// How many polls of the token endpoint still get `authorization_pending`.
    pub pending: usize,
    /// Requests to the token endpoint, by grant type.
    pub grants: BTreeMap<String, usize>,
    /// Whether no refresh tokens are issued.
    pub without_refresh: bool,
    /// Whether refresh tokens have been revoked.
    pub ended: bool,
    /// Unused authorisation codes, with the parameters of their requests.
    codes: BTreeMap<String, BTreeMap<String, String>>,
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Issuer {
    /// Starts an issuer on loopback.
    ///
    /// # Errors
    /// When it cannot listen or make a key.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::generate_pkcs8(algorithm, &random)
            .and_then(|document| {
                EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random)
                    .map_err(|_| ring::error::Unspecified)
            })
            .ok()
            .context("no key")?;
        let inner = Arc::new(Inner {
            url: url.clone(),
            key,
            state: Mutex::new(IssuerState {
                life: 3600,
                ..IssuerState::default()
            }),
        });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .route("/device", post(device))
            .route("/token", post(token))
            .route("/authorize", get(authorize))
            .with_state(Arc::clone(&inner));
        let task = tokio::spawn(async move {
            // Ends with the runtime of the test.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { url, inner, task })
    }

    /// Changes what happens next, or reads what happened.
    pub fn with<T>(&self, change: impl FnOnce(&mut IssuerState) -> T) -> T {
        change(&mut self.inner.state.lock())
    }

    /// An ID token; `changes` override its claims.
    #[must_use]
    pub fn token(&self, user: &str, groups: &[&str], changes: &[(&str, Value)]) -> String {
        let mut claims = self.inner.claims(user, groups, 3600);
        for (name, value) in changes {
            claims[*name] = value.clone();
        }
        self.inner.sign(&claims)
    }
}

impl Inner {
    fn claims<S: AsRef<str>>(&self, user: &str, groups: &[S], life: i64) -> Value {
        let now = Timestamp::now().as_second();
        let groups: Vec<&str> = groups.iter().map(AsRef::as_ref).collect();
        json!({
            "iss": self.url, "aud": "flotilla", "sub": user, "iat": now, "exp": now + life,
            "email": user, "email_verified": true, "groups": groups,
        })
    }

    fn sign(&self, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = json!({"alg": "ES256", "kid": "k1", "typ": "JWT"});
        let signed = format!("{}.{}", part(&header), part(claims));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes());
        let signature = signature.map(|signature| URL_SAFE_NO_PAD.encode(signature.as_ref()));
        format!("{signed}.{}", signature.unwrap_or_default())
    }

    fn tokens(&self, state: &IssuerState, nonce: Option<&str>) -> Value {
        let mut claims = self.claims(&state.user, &state.groups, state.life);
        if let Some(nonce) = nonce {
            claims["nonce"] = nonce.into();
        }
        let mut tokens = json!({
            "access_token": "unused", "token_type": "Bearer", "id_token": self.sign(&claims),
        });
        if !state.without_refresh {
            tokens["refresh_token"] = "again".into();
        }
        tokens
    }
}

async fn discovery(State(inner): State<Arc<Inner>>) -> Json<Value> {
    let url = &inner.url;
    Json(json!({
        "issuer": url, "jwks_uri": format!("{url}/keys"), "token_endpoint": format!("{url}/token"),
        "device_authorization_endpoint": format!("{url}/device"),
        "authorization_endpoint": format!("{url}/authorize"),
    }))
}

async fn keys(State(inner): State<Arc<Inner>>) -> Json<Value> {
    let point = inner.key.public_key().as_ref();
    let part = |range: std::ops::Range<usize>| {
        URL_SAFE_NO_PAD.encode(point.get(range).unwrap_or_default())
    };
    Json(json!({"keys": [
        {"kty": "EC", "crv": "P-256", "kid": "k1", "use": "sig", "alg": "ES256", "x": part(1..33), "y": part(33..65)},
    ]}))
}

/// A form's fields (RFC 6749, appendix B).
fn fields(body: &str) -> BTreeMap<String, String> {
    let decode = |text: &str| {
        let mut bytes = text.bytes();
        let mut out = Vec::new();
        while let Some(byte) = bytes.next() {
            if byte != b'%' {
                out.push(byte);
                continue;
            }
            let digits = [bytes.next(), bytes.next()].map(|byte| char::from(byte.unwrap_or(b'0')));
            let digits: String = digits.into_iter().collect();
            out.push(u8::from_str_radix(&digits, 16).unwrap_or_default());
        }
        String::from_utf8_lossy(&out).into_owned()
    };
    body.split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (decode(key), decode(value)))
        .collect()
}

async fn device(State(inner): State<Arc<Inner>>, body: String) -> Json<Value> {
    let form = fields(&body);
    let url = &inner.url;
    let client = form.get("client_id").cloned().unwrap_or_default();
    Json(json!({
        "device_code": format!("device of {client}"), "user_code": "WDJB-MJHT",
        "verification_uri": format!("{url}/activate"), "expires_in": 60, "interval": 1,
    }))
}

/// The user is logged in here already, so the browser is redirected back at once.
async fn authorize(State(inner): State<Arc<Inner>>, RawQuery(query): RawQuery) -> Response {
    let asked = fields(&query.unwrap_or_default());
    let field = |name: &str| asked.get(name).map(String::as_str).unwrap_or_default();
    let whole = field("response_type") == "code"
        && field("client_id") == "flotilla"
        && field("code_challenge_method") == "S256"
        && !field("nonce").is_empty();
    if !whole {
        return (StatusCode::BAD_REQUEST, "not asked as it should be").into_response();
    }
    let mut state = inner.state.lock();
    let back = format!("{}?state={}", field("redirect_uri"), field("state"));
    let to = if state.denies {
        format!("{back}&error=access_denied")
    } else {
        let code = format!("code-{:032x}", rand::random::<u128>());
        state.codes.insert(code.clone(), asked.clone());
        format!("{back}&code={code}")
    };
    (StatusCode::FOUND, [(header::LOCATION, to)]).into_response()
}

async fn token(State(inner): State<Arc<Inner>>, body: String) -> (StatusCode, Json<Value>) {
    let form = fields(&body);
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let mut state = inner.state.lock();
    *state
        .grants
        .entry(field("grant_type").to_owned())
        .or_default() += 1;
    let error = |name: &str| (StatusCode::BAD_REQUEST, Json(json!({"error": name})));
    match field("grant_type") {
        "urn:ietf:params:oauth:grant-type:device_code" => {
            if field("device_code") != "device of flotilla" {
                return error("invalid_grant");
            }
            if state.denies {
                return error("access_denied");
            }
            if state.pending > 0 {
                state.pending -= 1;
                return error("authorization_pending");
            }
        }
        "authorization_code" => {
            let Some(asked) = state.codes.remove(field("code")) else {
                return error("invalid_grant");
            };
            let digest =
                ring::digest::digest(&ring::digest::SHA256, field("code_verifier").as_bytes());
            let proven = asked.get("code_challenge") == Some(&URL_SAFE_NO_PAD.encode(digest));
            if !proven || asked.get("redirect_uri") != form.get("redirect_uri") {
                return error("invalid_grant");
            }
            let nonce = asked.get("nonce").map(String::as_str);
            return (StatusCode::OK, Json(inner.tokens(&state, nonce)));
        }
        "refresh_token" if field("refresh_token") == "again" && !state.ended => {}
        _ => return error("invalid_grant"),
    }
    (StatusCode::OK, Json(inner.tokens(&state, None)))
}
