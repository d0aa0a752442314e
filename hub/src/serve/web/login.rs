//! Login and logout: to the issuer, back from it with a code (RFC 6749 section 4.1, RFC 7636, OpenID Connect Core 1.0
//! section 3.1), and the end of a session.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Extension, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse as _, Response};
use axum::routing::{get, post};
use flotilla_shared::percent;
use flotilla_web::security::{cookies, equal, way_back};
use flotilla_web::serve::form;
use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::entrance::{SESSION, Sessions, entrance_page, new_secret};
use super::session::Attempt;
use crate::serve::oidc::Oidc;
use crate::serve::rate::{Buckets, Rate, source};

/// The cookie of a login in progress.
const LOGIN: &str = "flotilla-hub-login";
/// Time limit of a login, seconds.
const LIFE: u32 = 600;
/// Number of parallel calls to the issuer.
const AT_ONCE: usize = 8;
/// Longest path of a page to return to, bytes.
const MAX_BACK: usize = 1024;

/// The source address of a login.
#[derive(Debug, Clone, Copy)]
pub(super) struct SourceAddress(pub(super) IpAddr);

struct LoginState {
    sessions: Arc<Sessions>,
    /// Limits codes by source. Behind a proxy all callers have one source.
    guesses: Buckets<IpAddr>,
    asking: Semaphore,
}

type Shared = State<Arc<LoginState>>;
type Fields = Query<BTreeMap<String, String>>;

pub(super) fn router(sessions: Arc<Sessions>) -> Router {
    let rate = match sessions.behind_proxy {
        true => Rate {
            per_second: 10.0,
            burst: 200.0,
        },
        false => Rate {
            per_second: 0.5,
            burst: 20.0,
        },
    };
    Router::new()
        .route("/login", get(begin))
        .route("/login/callback", get(callback))
        .route("/sign-out", post(sign_out))
        .route("/signed-out", get(signed_out))
        .with_state(Arc::new(LoginState {
            sessions,
            guesses: Buckets::new(rate, 16_384),
            asking: Semaphore::new(AT_ONCE),
        }))
}

fn go(to: String, cookies: Vec<String>) -> Response {
    let cookies = cookies
        .into_iter()
        .map(|cookie| (header::SET_COOKIE, cookie));
    let headers = [
        (header::LOCATION, to),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    (
        StatusCode::SEE_OTHER,
        headers,
        AppendHeaders(cookies.collect::<Vec<_>>()),
    )
        .into_response()
}

/// Returns the issuer's URL for a login.
fn question(oidc: &Oidc, endpoint: &str, attempt: &Attempt, callback: &str) -> String {
    let config = oidc.config();
    let query = percent::form(&[
        ("response_type", "code"),
        ("client_id", &config.client_id),
        ("redirect_uri", callback),
        ("scope", &config.scopes.join(" ")),
        ("state", &attempt.state()),
        ("nonce", &attempt.nonce()),
        ("code_challenge", &attempt.challenge()),
        ("code_challenge_method", "S256"),
    ]);
    let separator = if endpoint.contains('?') { '&' } else { '?' };
    format!("{endpoint}{separator}{query}")
}

async fn begin(State(ways): Shared, Query(fields): Fields) -> Response {
    let sessions = &ways.sessions;
    let Some(endpoints) = sessions.oidc.endpoints() else {
        return entrance_page(
            StatusCode::SERVICE_UNAVAILABLE,
            "Temporarily unavailable",
            "The issuer has not been reached yet, or it does not support browser logins; the \
             hub's log says which.",
            Some("/"),
        );
    };
    let back = fields.get("back").map_or("/", |back| way_back(back));
    let attempt = Attempt {
        secret: new_secret(),
        back: if back.len() > MAX_BACK { "/" } else { back }.to_owned(),
    };
    let place = &sessions.place;
    let to = question(
        &sessions.oidc,
        &endpoints.authorization,
        &attempt,
        &place.callback(),
    );
    go(
        to,
        vec![place.set_cookie(LOGIN, &attempt.text(), Some(LIFE))],
    )
}

fn failed(text: &str) -> Response {
    entrance_page(StatusCode::FORBIDDEN, "Access denied", text, Some("/"))
}

async fn callback(
    State(ways): Shared,
    Extension(SourceAddress(address)): Extension<SourceAddress>,
    Query(fields): Fields,
    headers: HeaderMap,
) -> Response {
    let sessions = &ways.sessions;
    let place = &sessions.place;
    let field = |name: &str| fields.get(name).map_or("", String::as_str);
    let name = place.cookie(LOGIN);
    // Only the browser that began a login completes it, so that a link from an attacker cannot log it in.
    let attempt = cookies(&headers, &name)
        .filter_map(Attempt::parse)
        .find(|attempt| equal(&attempt.state(), field("state")));
    let Some(attempt) = attempt else {
        return failed("This login was not started in this browser, or it timed out. Start again.");
    };
    let issuer = sessions.oidc.config().issuer.clone();
    // RFC 9207: an answer of another issuer is rejected.
    if !matches!(field("iss"), named if named.is_empty() || named == issuer) {
        return failed("The answer is from another issuer.");
    }
    if !field("error").is_empty() {
        let text = format!("{} {}", field("error"), field("error_description"));
        let text = flotilla_shared::report::plain_line(text.trim(), 300);
        return failed(&format!("The issuer rejected the login: {text}"));
    }
    if !ways.guesses.allow(&source(address), Instant::now()) {
        return entrance_page(
            StatusCode::TOO_MANY_REQUESTS,
            "Too many logins",
            "Too many logins from your address; wait a few seconds.",
            Some("/"),
        );
    }
    let Ok(_asking) = ways.asking.try_acquire() else {
        return entrance_page(
            StatusCode::SERVICE_UNAVAILABLE,
            "Temporarily unavailable",
            "Too many logins are in progress; try again.",
            Some("/"),
        );
    };
    let (verifier, callback) = (attempt.verifier(), place.callback());
    let redeemed = sessions.oidc.redeem(field("code"), &verifier, &callback);
    let tokens = match redeemed.await {
        Ok(tokens) => tokens,
        Err(error) => return failed(&format!("You are not logged in: {error}.")),
    };
    let now = Timestamp::now();
    match sessions.oidc.verified(&tokens.id_token, now) {
        Ok(verified) if equal(&verified.nonce, &attempt.nonce()) => {}
        Ok(_) => return failed("The issuer's token belongs to another login."),
        Err(error) => return failed(&format!("The issuer's token was rejected: {error}.")),
    }
    // The previous session of this browser ends.
    if let Some(before) = sessions.secret(&headers)
        && let Err(refused) = sessions.end(&before).await
    {
        return *refused;
    }
    match sessions.begin(&tokens, now).await {
        Ok(cookie) => go(
            attempt.back.clone(),
            vec![cookie, place.set_cookie(LOGIN, "", Some(0))],
        ),
        Err(refused) => *refused,
    }
}

async fn sign_out(State(ways): Shared, request: Request) -> Response {
    let sessions = &ways.sessions;
    let place = &sessions.place;
    if let Some(secret) = sessions.secret(request.headers()) {
        let form = form(request, &secret.derived_token("form"), place.scheme()).await;
        if let Err(refused) = form {
            return *refused;
        }
        if let Err(refused) = sessions.end(&secret).await {
            return *refused;
        }
    }
    go(
        "/signed-out".to_owned(),
        vec![place.set_cookie(SESSION, "", Some(0))],
    )
}

async fn signed_out() -> Response {
    entrance_page(
        StatusCode::OK,
        "Signed out",
        "Your session has ended on every page and every replica. You may still be logged in at \
         the issuer.",
        Some("/"),
    )
}
