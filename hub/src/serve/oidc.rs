//! Persons who log in at an OpenID Connect issuer: how the hub identifies them, and their roles.
//!
//! Each call carries an ID token. It is verified against the issuer's published keys, which are fetched in the
//! background, never within a call: callers cannot make the hub call the issuer more than once in a while.

mod code;
mod error;
mod token;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use flotilla_shared::id::EnvironmentName;
use flotilla_shared::loopback::is_private;
use jiff::Timestamp;
use serde::Deserialize;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub use code::{Endpoints, Failure, Tokens};
use error::IssuerError;
pub use error::IssuerFileError;
pub use token::{ExpectedClaims, Keys, Person, TokenError, VerifiedToken, verify};

use crate::store::Role;

/// Interval at which keys are fetched.
const INTERVAL: Duration = Duration::from_secs(600);
/// Shortest interval, where a token names an unknown key, or the last fetch failed.
const SOON: Duration = Duration::from_secs(15);
/// Interval at which the configuration file is read.
const LOOK: Duration = Duration::from_secs(1);
/// Time limit of an answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer that is read, bytes.
const MAX_ANSWER: usize = 1 << 20;

/// The configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    /// The issuer's URL, exactly as in its tokens.
    pub issuer: String,
    /// The hub's client id at the issuer; tokens must be for it.
    pub client_id: String,
    /// Name of the claim with the user name.
    #[serde(default = "email")]
    pub user_claim: String,
    /// Name of the claim with the groups.
    #[serde(default = "groups")]
    pub groups_claim: String,
    /// Scopes that `flotilla login` requests.
    #[serde(default = "scopes")]
    pub scopes: Vec<String>,
    /// Roots to certificates for the issuer, PEM, instead of the system's.
    #[serde(default)]
    pub trust_bundle_file: Option<PathBuf>,
    /// Grants. A person without a grant has no rights.
    pub grants: Vec<Grant>,
}

fn email() -> String {
    "email".to_owned()
}

fn groups() -> String {
    "groups".to_owned()
}

fn scopes() -> Vec<String> {
    ["openid", "email", "groups", "offline_access"]
        .map(str::to_owned)
        .to_vec()
}

/// The role of a person or group.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Grant {
    /// Name of a person; none: the grant is for a group.
    #[serde(default)]
    pub user: Option<String>,
    /// Name of a group; none: the grant is for a person.
    #[serde(default)]
    pub group: Option<String>,
    pub role: Role,
    /// Environments of the role; empty: all.
    #[serde(default)]
    pub environments: BTreeSet<EnvironmentName>,
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// The error, with file, line and key.
    pub fn read(path: &Path) -> Result<Self, IssuerFileError> {
        let text = std::fs::read_to_string(path).map_err(|cause| IssuerFileError::Unreadable {
            path: path.to_owned(),
            cause,
        })?;
        let name = path.display().to_string();
        let config: Self = flotilla_yaml::config::mapping(&name, &text, &[])
            .map_err(IssuerFileError::Wrong)?
            .value;
        config.check(path)?;
        Ok(config)
    }

    /// Checks the content; `path` is where it was read from.
    fn check(&self, path: &Path) -> Result<(), IssuerFileError> {
        let path = || path.to_owned();
        if !is_private(&self.issuer) {
            return Err(IssuerFileError::OpenIssuer(path(), self.issuer.clone()));
        }
        if self.client_id.is_empty() {
            return Err(IssuerFileError::NoClient(path()));
        }
        for grant in &self.grants {
            if grant.user.is_some() == grant.group.is_some() {
                return Err(IssuerFileError::Grant(path()));
            }
        }
        Ok(())
    }

    fn expected(&self) -> ExpectedClaims {
        ExpectedClaims {
            issuer: self.issuer.clone(),
            audience: self.client_id.clone(),
            user_claim: self.user_claim.clone(),
            groups_claim: self.groups_claim.clone(),
        }
    }

    /// Returns the role of a person in an environment, or where no environment is concerned: the highest that the
    /// person's name and groups have.
    #[must_use]
    pub fn role(&self, person: &Person, environment: Option<&EnvironmentName>) -> Role {
        self.grants_of(person)
            .map(|(role, environments)| role.within(environments, environment))
            .max_by_key(|role| *role)
            .unwrap_or(Role::None)
    }

    /// Returns the roles of a person's name and groups, with their environments.
    pub fn grants_of(
        &self,
        person: &Person,
    ) -> impl Iterator<Item = (Role, &BTreeSet<EnvironmentName>)> {
        self.grants
            .iter()
            .filter(|grant| match (&grant.user, &grant.group) {
                (Some(user), _) => *user == person.user,
                (_, Some(group)) => person.groups.contains(group),
                _ => false,
            })
            .map(|grant| (grant.role, &grant.environments))
    }
}

/// The issuer, with its present keys.
pub struct Oidc {
    config: ArcSwap<Config>,
    keys: ArcSwap<Keys>,
    endpoints: ArcSwap<Endpoints>,
    asked: Notify,
}

impl Oidc {
    /// Makes it without keys; [`Oidc::run`] fetches them.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config: ArcSwap::from_pointee(config),
            keys: ArcSwap::default(),
            endpoints: ArcSwap::default(),
            asked: Notify::new(),
        }
    }

    /// The configuration that is in force.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        self.config.load_full()
    }

    /// Keeps the configuration up to date with its file, until stopped: persons who are removed from it lose their
    /// rights at once. While the file is invalid the last valid one stays in force, and the error is logged.
    pub async fn follow(self: Arc<Self>, path: PathBuf, stop: CancellationToken) {
        let mut problem = String::new();
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = stop.cancelled() => return,
            }
            match Config::read(&path) {
                Ok(config) => {
                    problem.clear();
                    self.take(config);
                }
                Err(error) => {
                    let error = error.to_string();
                    if error != problem {
                        tracing::error!(
                            error,
                            "OIDC configuration rejected; the last valid one stays in force"
                        );
                        problem = error;
                    }
                }
            }
        }
    }

    /// Puts another configuration in force.
    fn take(&self, config: Config) {
        let before = self.config.load_full();
        if *before == config {
            return;
        }
        tracing::info!(issuer = config.issuer, "OIDC configuration changed");
        let is_another = before.issuer != config.issuer;
        self.config.store(Arc::new(config));
        if is_another {
            // Keys of the previous configuration are not trusted.
            self.keys.store(Arc::default());
            self.endpoints.store(Arc::default());
            self.asked.notify_one();
        }
    }

    /// Returns the person of a token.
    ///
    /// # Errors
    /// When the token is not valid.
    pub fn person(&self, token: &str, now: Timestamp) -> Result<Person, TokenError> {
        self.verified(token, now).map(|verified| verified.person)
    }

    /// Like [`Oidc::person`], with the token's expiry and the login that it answers.
    ///
    /// # Errors
    /// When the token is not valid.
    pub fn verified(&self, token: &str, now: Timestamp) -> Result<VerifiedToken, TokenError> {
        let keys = self.keys.load();
        let verified = token::read(token, &keys, &self.config().expected(), now.as_second());
        if verified == Err(TokenError::UnknownKey) {
            self.asked.notify_one();
        }
        verified
    }

    /// Keeps the keys up to date until stopped. Where they cannot be fetched the last ones stay.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let wait = match self.fetch().await {
                Ok(keys) => {
                    self.keys.store(Arc::new(keys));
                    INTERVAL
                }
                Err(error) => {
                    tracing::warn!(
                        error = error.to_string(),
                        issuer = self.config().issuer,
                        "cannot fetch the issuer's keys"
                    );
                    SOON
                }
            };
            let begin = tokio::time::Instant::now();
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.asked.notified() => {
                    tokio::select! {
                        () = tokio::time::sleep_until(begin + SOON) => {}
                        () = stop.cancelled() => return,
                    }
                }
                () = stop.cancelled() => return,
            }
        }
    }

    fn client(config: &Config) -> Result<reqwest::Client, IssuerError> {
        let mut client = flotilla_http::client(TIMEOUT);
        if let Some(path) = &config.trust_bundle_file {
            let pem = std::fs::read(path).map_err(|cause| IssuerError::Roots {
                path: path.clone(),
                cause,
            })?;
            let roots = reqwest::Certificate::from_pem_bundle(&pem);
            client = client.tls_certs_only(roots.map_err(IssuerError::Client)?);
        }
        client.build().map_err(IssuerError::Client)
    }

    async fn fetch(&self) -> Result<Keys, IssuerError> {
        #[derive(Deserialize)]
        struct Discovery {
            issuer: String,
            jwks_uri: String,
            #[serde(default)]
            authorization_endpoint: String,
            #[serde(default)]
            token_endpoint: String,
        }
        let config = self.config();
        let client = Self::client(&config)?;
        let issuer = config.issuer.trim_end_matches('/');
        let place = format!("{issuer}/.well-known/openid-configuration");
        let body = get(&client, &place).await?;
        let discovery: Discovery = match serde_json::from_slice(&body) {
            Ok(discovery) => discovery,
            Err(cause) => return Err(IssuerError::Discovery { place, cause }),
        };
        // OpenID Connect Discovery 1.0, section 4.3.
        if discovery.issuer != config.issuer {
            let issuer = discovery.issuer;
            return Err(IssuerError::AnotherIssuer { place, issuer });
        }
        let keys = discovery.jwks_uri;
        if !is_private(&keys) {
            return Err(IssuerError::OpenKeys { place, keys });
        }
        let body = get(&client, &keys).await?;
        let keys = Keys::from_json(&body).ok_or(IssuerError::NoKeys(keys))?;
        if is_private(&discovery.authorization_endpoint) && is_private(&discovery.token_endpoint) {
            self.endpoints.store(Arc::new(Endpoints {
                authorization: discovery.authorization_endpoint,
                token: discovery.token_endpoint,
            }));
        }
        Ok(keys)
    }
}

async fn get(client: &reqwest::Client, place: &str) -> Result<Vec<u8>, IssuerError> {
    let no_answer = |cause| IssuerError::NoAnswer {
        place: place.to_owned(),
        cause,
    };
    let answer = client.get(place).send().await.map_err(no_answer)?;
    let answer = answer.error_for_status().map_err(no_answer)?;
    whole(answer, place).await
}

/// Returns a whole answer, if it is not too large.
async fn whole(mut answer: reqwest::Response, place: &str) -> Result<Vec<u8>, IssuerError> {
    let body = flotilla_http::body(&mut answer, MAX_ANSWER).await;
    body.map_err(|cause| IssuerError::Body {
        place: place.to_owned(),
        cause,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "issuer: https://id.example.org
clientId: flotilla
grants:
- {user: ada, role: admin}
";

    #[test]
    fn an_issuer_is_asked_by_tls_or_on_this_machine() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("oidc.yaml");
        for (issuer, is_taken) in [
            ("https://id.example.org", true),
            ("http://localhost:8080", true),
            ("http://id.example.org", false),
            ("http://localhost:x@id.example.org", false),
            ("http://127.0.0.1.example.org", false),
        ] {
            let text = FILE.replace("https://id.example.org", issuer);
            std::fs::write(&path, text).unwrap();
            assert_eq!(Config::read(&path).is_ok(), is_taken, "{issuer}");
        }
    }

    #[tokio::test]
    async fn who_is_taken_out_of_the_file_may_do_nothing_from_then_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("oidc.yaml");
        std::fs::write(&path, FILE).unwrap();
        let oidc = Arc::new(Oidc::new(Config::read(&path).unwrap()));
        let ada = Person {
            user: "ada".to_owned(),
            groups: Vec::new(),
        };
        assert_eq!(oidc.config().role(&ada, None), Role::Admin);
        let stop = CancellationToken::new();
        let follows = tokio::spawn(Arc::clone(&oidc).follow(path.clone(), stop.clone()));
        // An unreadable file: the last valid one stays in force.
        std::fs::write(&path, "issuer: [").unwrap();
        tokio::time::sleep(LOOK * 2).await;
        assert_eq!(oidc.config().role(&ada, None), Role::Admin);
        std::fs::write(&path, FILE.replace("ada", "bob")).unwrap();
        for _ in 0..100 {
            if oidc.config().role(&ada, None) == Role::None {
                break;
            }
            tokio::time::sleep(LOOK / 10).await;
        }
        assert_eq!(oidc.config().role(&ada, None), Role::None);
        stop.cancel();
        follows.await.unwrap();
    }
}
