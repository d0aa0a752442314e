//! From a cookie to a reader: the session in the store, the token sealed in it, and the hub's roles of the person in
//! the token.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use flotilla_shared::percent;
use flotilla_web::Carrier;
use flotilla_web::entrance::{Entrance, Reader};
use flotilla_web::pages::EntrancePage;
use flotilla_web::security::{Scheme, cookies, way_back};
use flotilla_web::serve::plain;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;
use tonic::Code;

use super::session::Secret;
use super::{PagesSetup, PublicAddress, api};
use crate::serve::oidc::{Failure, Oidc, TokenError, Tokens};
use crate::store::{SessionRow, Store};

/// The session's cookie.
pub(super) const SESSION: &str = "flotilla-hub";
/// Remaining life of a token at which it is renewed, seconds.
const SOON: i64 = 60;
/// Longest life of a session, however often its token is renewed.
const LONGEST: SignedDuration = SignedDuration::from_hours(12);
/// Number of sessions that may be renewed at once; two renewals of one session never overlap.
const LOCKS: usize = 16;

/// Logins and sessions of the hub's pages.
pub(super) struct Sessions {
    pub(super) place: PublicAddress,
    pub(super) oidc: Arc<Oidc>,
    pub(super) store: Store,
    carrier: Carrier,
    renewals: [Mutex<()>; LOCKS],
    pub(super) behind_proxy: bool,
}

/// Makes a page that says why a person is not logged in.
pub(super) fn entrance_page(
    status: StatusCode,
    title: &str,
    text: &str,
    way: Option<&str>,
) -> Response {
    let page = EntrancePage::new(title, text, way.unwrap_or_default());
    flotilla_web::serve::page_response(status, &HeaderMap::new(), page.html())
}

/// Makes a new random secret.
pub(super) fn new_secret() -> Secret {
    Secret::drawn(flotilla_web::serve::secret())
}

type Refusal = Box<Response>;

/// Whether a session's own tokens are still valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Validity {
    Valid,
    Over,
}

impl Validity {
    /// Returns the validity of a token that expires after a number of seconds.
    fn of(left: i64) -> Self {
        if left > 0 { Self::Valid } else { Self::Over }
    }
}

fn store_failed(error: &crate::store::Error) -> Refusal {
    tracing::error!(%error, "the session store failed");
    Box::new(entrance_page(
        StatusCode::SERVICE_UNAVAILABLE,
        "Temporarily unavailable",
        "The hub's store failed; its log says why.",
        Some("/"),
    ))
}

impl Sessions {
    pub(super) fn new(serving: &PagesSetup) -> Self {
        Self {
            place: serving.place.clone(),
            oidc: Arc::clone(&serving.oidc),
            store: serving.store.clone(),
            carrier: serving.carrier.clone(),
            renewals: std::array::from_fn(|_| Mutex::new(())),
            behind_proxy: serving.config.behind_proxy,
        }
    }

    /// Returns the session's secret that a browser presents.
    pub(super) fn secret(&self, headers: &HeaderMap) -> Option<Secret> {
        let name = self.place.cookie(SESSION);
        cookies(headers, &name).next().and_then(Secret::parse)
    }

    /// Returns the answer without a session: a redirect to the login.
    fn stranger(&self, uri: &Uri) -> Refusal {
        let path = uri.path();
        if path == "/events" || path == "/act" {
            return Box::new(plain(
                StatusCode::UNAUTHORIZED,
                "Your session has ended; reload the page to log in again.\n",
            ));
        }
        let back = uri.path_and_query().map_or("/", |whole| whole.as_str());
        let to = format!("/login?{}", percent::form(&[("back", way_back(back))]));
        Box::new((StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response())
    }

    /// Makes the reader of these tokens.
    pub(super) async fn reader(
        &self,
        secret: &Secret,
        tokens: &Tokens,
    ) -> Result<Reader, tonic::Status> {
        let value = HeaderValue::from_str(&format!("Bearer {}", tokens.id_token))
            .map_err(|_| tonic::Status::unauthenticated("the token is malformed"))?;
        let api = api(&self.carrier, move |request| {
            let headers = request.headers_mut();
            headers.insert(header::AUTHORIZATION, value.clone());
        });
        let hub = flotilla_web::ask::hub(&api).await?;
        let session = secret.hash();
        Ok(Reader {
            api,
            hub: Arc::new(hub),
            session: session.get(..16).unwrap_or_default().to_owned(),
            form_token: secret.derived_token("form"),
            signs_out: true,
        })
    }

    /// Begins a session, and returns its cookie.
    pub(super) async fn begin(&self, tokens: &Tokens, now: Timestamp) -> Result<String, Refusal> {
        let refused = |text: &str| {
            let text = flotilla_status::text(text);
            Box::new(entrance_page(
                StatusCode::FORBIDDEN,
                "Access denied",
                &text,
                Some("/"),
            ))
        };
        let verified = self
            .oidc
            .verified(&tokens.id_token, now)
            .map_err(|error| refused(&format!("The issuer's token was rejected: {error}.")))?;
        let secret = new_secret();
        if let Err(error) = self.reader(&secret, tokens).await {
            return Err(match error.code() {
                Code::PermissionDenied => refused(error.message()),
                _ => unavailable(&error),
            });
        }
        let longest = now.saturating_add(LONGEST).unwrap_or(now);
        let expires_at = match tokens.refresh_token.is_empty() {
            true => Timestamp::from_second(verified.expires)
                .unwrap_or(now)
                .min(longest),
            false => longest,
        };
        let row = SessionRow {
            hash: secret.hash(),
            person: verified.person.user.clone(),
            sealed: secret
                .seal(tokens, rand::random())
                .ok_or_else(|| refused("The session cannot be stored."))?,
            version: 0,
            expires_at,
        };
        let kept = self.store.open_session(&row, now).await;
        kept.map_err(|error| store_failed(&error))?;
        tracing::info!(person = row.person, "logged in with a browser");
        Ok(self.place.set_cookie(SESSION, secret.text(), None))
    }

    /// Ends the session that a browser presents, on every replica.
    pub(super) async fn end(&self, secret: &Secret) -> Result<(), Refusal> {
        let ended = self.store.end_session(&secret.hash()).await;
        ended.map_err(|error| store_failed(&error))
    }

    /// Returns the reader of a session; none: the session no longer exists.
    async fn of_session(&self, secret: &Secret) -> Result<Option<Reader>, Refusal> {
        let now = Timestamp::now();
        let hash = secret.hash();
        let row = self.store.session(&hash, now).await;
        let Some(row) = row.map_err(|error| store_failed(&error))? else {
            return Ok(None);
        };
        let Some(tokens) = secret.open(&row.sealed) else {
            return Ok(None);
        };
        let tokens = match self.left(&tokens, now) {
            left if left > SOON => tokens,
            left => match self.renewed(secret, row, Validity::of(left)).await? {
                Some(tokens) => tokens,
                None => return Ok(None),
            },
        };
        match self.reader(secret, &tokens).await {
            Ok(reader) => Ok(Some(reader)),
            Err(error) if error.code() == Code::Unauthenticated => Ok(None),
            Err(error) if error.code() == Code::PermissionDenied => Err(Box::new(entrance_page(
                StatusCode::FORBIDDEN,
                "Access denied",
                &flotilla_status::text(error.message()),
                Some("/"),
            ))),
            Err(error) => Err(unavailable(&error)),
        }
    }

    /// Returns the seconds until a token expires; 0: it has expired, or is not valid.
    fn left(&self, tokens: &Tokens, now: Timestamp) -> i64 {
        match self.oidc.verified(&tokens.id_token, now) {
            Ok(verified) => (verified.expires - now.as_second()).max(0),
            // The issuer's keys are fetched again soon; until then the Fleet API rejects the token.
            Err(TokenError::UnknownKey) => i64::MAX,
            Err(_) => 0,
        }
    }

    /// Returns new tokens for a session whose own expire; the old ones where the issuer cannot be reached and they are
    /// still valid. None: the session is over, and was ended.
    async fn renewed(
        &self,
        secret: &Secret,
        row: SessionRow,
        validity: Validity,
    ) -> Result<Option<Tokens>, Refusal> {
        let first = usize::from(row.hash.bytes().next().unwrap_or(0)) % LOCKS;
        let _only_one = match self.renewals.get(first) {
            Some(lock) => Some(lock.lock().await),
            None => None,
        };
        // Another request, or another replica, may have renewed it already.
        let now = Timestamp::now();
        let found = self.store.session(&row.hash, now).await;
        let Some(row) = found.map_err(|error| store_failed(&error))? else {
            return Ok(None);
        };
        let Some(tokens) = secret.open(&row.sealed) else {
            return Ok(None);
        };
        if self.left(&tokens, now) > SOON {
            return Ok(Some(tokens));
        }
        if tokens.refresh_token.is_empty() {
            return Ok((validity == Validity::Valid).then_some(tokens));
        }
        match self.oidc.refresh(&tokens.refresh_token).await {
            Ok(fresh) if self.is_of(&fresh, &row.person) => {
                let sealed = secret.seal(&fresh, rand::random()).unwrap_or_default();
                let row = SessionRow { sealed, ..row };
                let renewed = self.store.renew_session(&row).await;
                match renewed.map_err(|error| store_failed(&error))? {
                    true => Ok(Some(fresh)),
                    false => self.another(secret).await,
                }
            }
            Ok(_) => {
                self.end(secret).await?;
                Ok(None)
            }
            Err(Failure::Refused(why)) => {
                // An issuer that rotates refresh tokens accepts each one once, so another replica may have the new one.
                let next = self.another(secret).await?;
                if next.is_none() {
                    tracing::info!(person = row.person, why, "a session was not renewed");
                    self.end(secret).await?;
                }
                Ok(next)
            }
            Err(Failure::Unreachable(why)) => {
                tracing::warn!(why, "cannot renew a session");
                if validity == Validity::Valid {
                    return Ok(Some(tokens));
                }
                Err(Box::new(entrance_page(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "Temporarily unavailable",
                    "Your login has to be renewed, but the issuer that you logged in at cannot \
                     be reached.",
                    Some("/"),
                )))
            }
        }
    }

    /// Returns whether new tokens are valid, and for the same person.
    fn is_of(&self, tokens: &Tokens, person: &str) -> bool {
        let verified = self.oidc.verified(&tokens.id_token, Timestamp::now());
        verified.is_ok_and(|verified| verified.person.user == person)
    }

    /// Returns tokens that another request renewed meanwhile.
    async fn another(&self, secret: &Secret) -> Result<Option<Tokens>, Refusal> {
        let now = Timestamp::now();
        let row = self.store.session(&secret.hash(), now).await;
        let row = row.map_err(|error| store_failed(&error))?;
        let tokens = row.and_then(|row| secret.open(&row.sealed));
        Ok(tokens.filter(|tokens| self.left(tokens, now) > SOON))
    }
}

fn unavailable(error: &tonic::Status) -> Refusal {
    Box::new(entrance_page(
        StatusCode::SERVICE_UNAVAILABLE,
        "Temporarily unavailable",
        &flotilla_status::text(error.message()),
        Some("/"),
    ))
}

impl Entrance for Sessions {
    fn is_ours(&self, host: &str) -> bool {
        self.place.is_ours(host)
    }

    fn scheme(&self) -> Scheme {
        self.place.scheme()
    }

    fn enter<'a>(
        &'a self,
        headers: &'a HeaderMap,
        uri: &'a Uri,
    ) -> BoxFuture<'a, Result<Reader, Refusal>> {
        async move {
            match self.secret(headers) {
                None => Err(self.stranger(uri)),
                Some(secret) => match self.of_session(&secret).await? {
                    Some(reader) => Ok(reader),
                    None => Err(self.stranger(uri)),
                },
            }
        }
        .boxed()
    }
}
