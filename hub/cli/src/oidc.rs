//! Login at an OpenID Connect issuer from a terminal: the device flow (RFC 8628), and refreshed tokens (RFC 6749,
//! section 6). Tokens go only to the issuer and the context file, and the ID token to the hub.

use std::time::Duration;

use base64::Engine as _;
use jiff::Timestamp;
use serde::Deserialize;

use flotilla_http::BodyError;
use flotilla_shared::loopback::is_private;
use flotilla_shared::percent;
use flotilla_shared::words::with_causes;

use crate::context::Login;
use crate::error::Error;

/// Largest answer that is read, bytes.
const MAX_ANSWER: usize = 1 << 20;
/// Time limit of one answer.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Default interval of polls, where the issuer does not set one (RFC 8628).
const INTERVAL: u64 = 5;
/// Remaining life of a token at which it is renewed, seconds.
const SLACK: i64 = 60;

/// Endpoints of an issuer.
#[derive(Debug, Deserialize)]
pub(crate) struct Issuer {
    issuer: String,
    #[serde(default)]
    device_authorization_endpoint: String,
    token_endpoint: String,
}

/// Instructions for the person.
#[derive(Debug, Deserialize)]
pub(crate) struct Device {
    device_code: String,
    /// Code to type in.
    pub(crate) user_code: String,
    pub(crate) verification_uri: String,
    /// URL that contains the code.
    pub(crate) verification_uri_complete: Option<String>,
    expires_in: u64,
    interval: Option<u64>,
}

#[derive(Deserialize)]
struct Tokens {
    #[serde(default)]
    id_token: String,
    #[serde(default)]
    refresh_token: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    error_description: String,
}

/// A client of an issuer.
pub(crate) struct Client(reqwest::Client);

fn failed(error: &reqwest::Error) -> Error {
    Error::refused(
        format!("the issuer cannot be asked: {}", with_causes(error)),
        "check that it can be reached from here",
    )
}

fn secure(url: &str) -> Result<&str, Error> {
    if is_private(url) {
        return Ok(url);
    }
    Err(Error::refused(
        format!("{url:?} is not an https URL"),
        "an issuer needs TLS",
    ))
}

impl Client {
    /// Makes a client. `roots`: PEM to trust for the issuer instead of the system's.
    pub(crate) fn new(roots: Option<&str>) -> Result<Self, Error> {
        let mut client = flotilla_http::client(TIMEOUT);
        if let Some(pem) = roots {
            let roots = reqwest::Certificate::from_pem_bundle(pem.as_bytes());
            client = client.tls_certs_only(roots.map_err(|error| failed(&error))?);
        }
        Ok(Self(client.build().map_err(|error| failed(&error))?))
    }

    async fn read<T: for<'de> Deserialize<'de>>(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<T, Error> {
        let mut answer = request.send().await.map_err(|error| failed(&error))?;
        let body = flotilla_http::body(&mut answer, MAX_ANSWER).await;
        let body = body.map_err(|error| match error {
            BodyError::Broken(error) => failed(&error),
            BodyError::TooLarge => Error::Answer("an end (the issuer's)"),
        })?;
        serde_json::from_slice(&body).map_err(|_| {
            Error::refused(
                format!(
                    "the issuer answered HTTP {} without the expected JSON",
                    answer.status().as_u16()
                ),
                "check that the hub names the right issuer",
            )
        })
    }

    /// Reads the issuer's configuration (OpenID Connect Discovery 1.0).
    pub(crate) async fn discover(&self, issuer: &str) -> Result<Issuer, Error> {
        let place = format!(
            "{}/.well-known/openid-configuration",
            secure(issuer)?.trim_end_matches('/')
        );
        let found: Issuer = self.read(self.0.get(place)).await?;
        if found.issuer != issuer {
            return Err(Error::refused(
                format!("{issuer} says that it is {:?}", found.issuer),
                "the hub must name the issuer exactly as it calls itself",
            ));
        }
        if found.device_authorization_endpoint.is_empty() {
            return Err(Error::refused(
                format!("{issuer} offers no login from a terminal (RFC 8628)"),
                "enable the device flow for this client, or use a certificate",
            ));
        }
        secure(&found.device_authorization_endpoint)?;
        secure(&found.token_endpoint)?;
        Ok(found)
    }

    /// Requests a code for the person.
    pub(crate) async fn begin(
        &self,
        issuer: &Issuer,
        client_id: &str,
        scopes: &[String],
    ) -> Result<Device, Error> {
        let scope = scopes.join(" ");
        let form = [("client_id", client_id), ("scope", &scope)];
        let request = self.post(&issuer.device_authorization_endpoint, &form);
        self.read(request).await
    }

    fn post(&self, place: &str, form: &[(&str, &str)]) -> reqwest::RequestBuilder {
        self.0
            .post(place)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json")
            .body(percent::form(form))
    }

    /// Waits until the person has logged in.
    pub(crate) async fn finish(
        &self,
        issuer: &Issuer,
        client_id: &str,
        device: &Device,
    ) -> Result<Login, Error> {
        let mut wait = device.interval.unwrap_or(INTERVAL).clamp(1, 60);
        let life = Duration::from_secs(device.expires_in.min(3600));
        let deadline = tokio::time::Instant::now() + life;
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("device_code", &device.device_code),
            ("client_id", client_id),
        ];
        while tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_secs(wait)).await;
            let tokens: Tokens = self.read(self.post(&issuer.token_endpoint, &form)).await?;
            match tokens.error.as_str() {
                "" => return login(issuer, client_id, tokens),
                "authorization_pending" => {}
                "slow_down" => wait += 5,
                "access_denied" => {
                    return Err(Error::refused("the login was denied", "try again"));
                }
                "expired_token" => break,
                _ => return Err(refused(&tokens)),
            }
        }
        Err(Error::refused(
            "the code has expired before it was used",
            "run flotilla login again",
        ))
    }

    /// Returns a valid token: the same one, or a renewed one.
    pub(crate) async fn fresh(&self, login: &Login, now: Timestamp) -> Result<Login, Error> {
        if login.refresh_token.is_empty() {
            return Err(Error::refused(
                "your login has expired",
                "run flotilla login again",
            ));
        }
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", login.refresh_token.as_str()),
            ("client_id", &login.client_id),
        ];
        let place = secure(&login.token_endpoint)?;
        let tokens: Tokens = self.read(self.post(place, &form)).await?;
        if tokens.error == "invalid_grant" {
            return Err(Error::refused(
                "your login has ended",
                "run flotilla login again",
            ));
        }
        if !tokens.error.is_empty() {
            return Err(refused(&tokens));
        }
        let fresh = Login {
            id_token: tokens.id_token,
            // An issuer that rotates refresh tokens returns a new one (RFC 6749, section 6).
            refresh_token: match tokens.refresh_token.as_str() {
                "" => login.refresh_token.clone(),
                _ => tokens.refresh_token,
            },
            ..login.clone()
        };
        if ends_soon(&fresh.id_token, now) {
            return Err(Error::Answer("a fresh ID token (the issuer's)"));
        }
        Ok(fresh)
    }
}

fn refused(tokens: &Tokens) -> Error {
    let text = format!("{} {}", tokens.error, tokens.error_description);
    let text = flotilla_shared::report::plain_line(text.trim(), 500);
    Error::refused(
        format!("the issuer refused: {text}"),
        "run flotilla login again, or ask the issuer's administrators",
    )
}

fn login(issuer: &Issuer, client_id: &str, tokens: Tokens) -> Result<Login, Error> {
    if tokens.id_token.is_empty() {
        return Err(Error::Answer(
            "an ID token (the issuer's; is the scope openid asked for?)",
        ));
    }
    Ok(Login {
        issuer: issuer.issuer.clone(),
        client_id: client_id.to_owned(),
        token_endpoint: issuer.token_endpoint.clone(),
        id_token: tokens.id_token,
        refresh_token: tokens.refresh_token,
        issuer_trust_bundle: String::new(),
    })
}

/// Whether a token has expired or soon will. Not verified here, which only the hub does; this decides when to renew.
pub(crate) fn ends_soon(token: &str, now: Timestamp) -> bool {
    #[derive(Deserialize)]
    struct Claims {
        exp: f64,
    }
    let claims = token
        .split('.')
        .nth(1)
        .and_then(|part| {
            base64::engine::general_purpose::URL_SAFE_NO_PAD
                .decode(part)
                .ok()
        })
        .and_then(|bytes| serde_json::from_slice::<Claims>(&bytes).ok());
    claims.is_none_or(|claims| claims.exp < (now.as_second() + SLACK) as f64)
}
