//! Registries: the part of the OCI distribution specification that fetching a chart needs.

use std::cell::RefCell;
use std::collections::BTreeMap;

use reqwest::header::{LINK, WWW_AUTHENTICATE};
use reqwest::{StatusCode, Url};
use serde::Deserialize;

use crate::challenge::Challenge;
use crate::choose;
use crate::config::{Config, Transport};
use crate::credentials::StoredLogin;
use crate::error::Error;
use crate::fetch::{self, Answer, Credential, FetchRequest, is_loopback, shown};
use crate::pulled::{MAX_ARCHIVE, MAX_PROVENANCE, Provenance, PulledChart, sha256};
use crate::reference::{Reference, tag};

const MAX_MANIFEST: usize = 4 << 20;
const MAX_TOKEN: usize = 64 << 10;
const MAX_TAGS: usize = 4 << 20;
/// Highest number of pages of tags; a registry lists a hundred to a thousand on each.
const MAX_PAGES: usize = 100;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const ARCHIVE: [&str; 2] = [
    "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
    "application/tar+gzip",
];
const PROVENANCE: &str = "application/vnd.cncf.helm.chart.provenance.v1.prov";

/// All registries of one run.
pub(crate) struct Registries<'c> {
    config: &'c Config,
    client: reqwest::Client,
    /// Last credential for each repository.
    credentials: RefCell<BTreeMap<Reference, std::rc::Rc<Credential>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    #[serde(default)]
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layer {
    media_type: String,
    digest: String,
    size: u64,
}

impl<'c> Registries<'c> {
    pub(crate) fn new(config: &'c Config) -> Result<Self, Error> {
        Ok(Self {
            config,
            client: fetch::client(config, None)?,
            credentials: RefCell::default(),
        })
    }

    /// Returns the versions that have tags.
    pub(crate) async fn versions(&self, reference: &Reference) -> Result<Vec<String>, Error> {
        #[derive(Deserialize)]
        struct Page {
            tags: Option<Vec<String>>,
        }
        let mut url = self.url(reference, "tags/list")?;
        url.set_query(Some("n=1000"));
        let mut versions = Vec::new();
        for _ in 0..MAX_PAGES {
            let answer = self
                .ask(reference, &url, "application/json", MAX_TAGS)
                .await?;
            let page: Page =
                serde_json::from_slice(&answer.body).map_err(|_| not_a_registry(&url))?;
            let tags = page.tags.unwrap_or_default().into_iter();
            versions.extend(
                tags.map(|tag| tag.replace('_', "+"))
                    .filter(|version| choose::is_strict(version)),
            );
            match next(&url, &answer) {
                Some(more) => url = more,
                None => return Ok(versions),
            }
        }
        Err(Error::refused(format!(
            "{}: its list of tags has no end",
            shown(&url)
        )))
    }

    /// Fetches the archive of a version.
    pub(crate) async fn pull(
        &self,
        reference: &Reference,
        version: &str,
        with: Provenance,
    ) -> Result<PulledChart, Error> {
        let tag = tag(version)?;
        let url = self.url(reference, &format!("manifests/{tag}"))?;
        let answer = self.ask(reference, &url, MANIFEST, MAX_MANIFEST).await?;
        let told = answer.headers.get("docker-content-digest");
        if let Some(told) = told.and_then(|told| told.to_str().ok())
            && let Some(told) = told.strip_prefix("sha256:")
            && told != sha256(&answer.body)
        {
            return Err(Error::refused(format!(
                "{}: the manifest is not what the registry says it is",
                shown(&url)
            )));
        }
        let manifest: Manifest =
            serde_json::from_slice(&answer.body).map_err(|_| not_a_registry(&url))?;
        let find = |kinds: &[&str]| {
            let mut layers = manifest.layers.iter();
            layers.find(|layer| kinds.contains(&layer.media_type.as_str()))
        };
        let Some(layer) = find(&ARCHIVE) else {
            return Err(Error::refused(format!("{}: it is no chart", shown(&url))));
        };
        let archive = self.blob(reference, layer, MAX_ARCHIVE).await?;
        let provenance = match find(&[PROVENANCE]).filter(|_| with == Provenance::Requested) {
            Some(layer) => Some(self.blob(reference, layer, MAX_PROVENANCE).await?),
            None => None,
        };
        Ok(PulledChart {
            archive,
            provenance,
            manifest: Some(sha256(&answer.body)),
        })
    }

    async fn blob(
        &self,
        reference: &Reference,
        layer: &Layer,
        limit: usize,
    ) -> Result<Vec<u8>, Error> {
        let sum = layer
            .digest
            .strip_prefix("sha256:")
            .filter(|sum| sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let Some(sum) = sum else {
            return Err(Error::refused(format!(
                "{}: a layer's digest is not of SHA-256",
                reference.repository
            )));
        };
        let url = self.url(reference, &format!("blobs/sha256:{sum}"))?;
        // Limited to the size in the manifest.
        let limit = limit.min(usize::try_from(layer.size).unwrap_or(limit));
        if layer.size > limit as u64 {
            return Err(Error::refused(format!(
                "{}: a layer has {} bytes, which is too many",
                shown(&url),
                layer.size
            )));
        }
        let answer = self.ask(reference, &url, "*/*", limit).await?;
        if sha256(&answer.body) != sum.to_ascii_lowercase() {
            return Err(Error::refused(format!(
                "{}: the bytes are not those of that digest",
                shown(&url)
            )));
        }
        Ok(answer.body)
    }

    fn url(&self, reference: &Reference, rest: &str) -> Result<Url, Error> {
        let scheme = match self.config.transport {
            Transport::PlainHttp => "http",
            Transport::Tls => "https",
        };
        let text = format!(
            "{scheme}://{}/v2/{}/{rest}",
            reference.host(),
            reference.repository
        );
        Url::parse(&text).map_err(|_| Error::refused(format!("{text} is no URL")))
    }

    /// Sends a request; if the registry requires a credential, sends it again with the user's login or an anonymous
    /// token.
    async fn ask(
        &self,
        reference: &Reference,
        url: &Url,
        accept: &str,
        limit: usize,
    ) -> Result<Answer, Error> {
        let mut is_second = false;
        loop {
            let credential = self.credentials.borrow().get(reference).cloned();
            let question = FetchRequest {
                url,
                accept,
                credential: credential.as_deref(),
                limit,
                transport: self.config.transport,
                form: None,
            };
            let answer = fetch::ask(&self.client, &question).await?;
            match answer.status {
                StatusCode::OK => return Ok(answer),
                StatusCode::UNAUTHORIZED if !is_second => {
                    let found = self.authenticate(reference, url, &answer).await?;
                    let mut credentials = self.credentials.borrow_mut();
                    credentials.insert(reference.clone(), std::rc::Rc::new(found));
                    is_second = true;
                }
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                    return Err(self.denied(reference, url).await);
                }
                StatusCode::NOT_FOUND => {
                    return Err(Error::refused(format!("{}: not there", shown(url))));
                }
                other => {
                    return Err(Error::refused(format!(
                        "{}: HTTP {}",
                        shown(url),
                        other.as_u16()
                    )));
                }
            }
        }
    }

    async fn denied(&self, reference: &Reference, url: &Url) -> Error {
        let who = match self.config.login(&reference.registry).await {
            Ok(Some(_)) => "the login that is kept for it",
            _ => "anybody without a login",
        };
        Error::hinted(
            format!("{}: the registry refuses {who}", shown(url)),
            format!(
                "helm registry login {0} or docker login {0} keeps one",
                reference.registry
            ),
        )
    }

    async fn authenticate(
        &self,
        reference: &Reference,
        url: &Url,
        answer: &Answer,
    ) -> Result<Credential, Error> {
        let challenges = answer.headers.get_all(WWW_AUTHENTICATE).into_iter();
        let challenge = challenges
            .filter_map(|header| Challenge::parse(header.to_str().ok()?))
            .next();
        let known = self.config.login(&reference.registry).await?;
        match (challenge, known) {
            (Some(Challenge::Basic), Some(StoredLogin::Login(login))) => {
                Ok(Credential::Login(login))
            }
            (
                Some(Challenge::Bearer {
                    realm,
                    service,
                    scope,
                }),
                known,
            ) => {
                let scope =
                    scope.unwrap_or_else(|| format!("repository:{}:pull", reference.repository));
                self.token(url, &realm, service.as_deref(), &scope, known)
                    .await
            }
            _ => Err(self.denied(reference, url).await),
        }
    }

    /// Requests a token (RFC 6750): with the login, or anonymously.
    async fn token(
        &self,
        registry: &Url,
        realm: &str,
        service: Option<&str>,
        scope: &str,
        known: Option<StoredLogin>,
    ) -> Result<Credential, Error> {
        let refused = |why: &str| Error::refused(format!("{}: {why}", shown(registry)));
        let mut url = Url::parse(realm).map_err(|_| refused("it names no place for tokens"))?;
        let is_private = url.scheme() == "https"
            || url.scheme() == "http"
                && (self.config.transport == Transport::PlainHttp || is_loopback(&url));
        if !is_private {
            return Err(refused("it names a place for tokens without TLS"));
        }
        let mut query = vec![("scope", scope)];
        query.extend(service.map(|service| ("service", service)));
        let (credential, form) = match &known {
            Some(StoredLogin::Refresh(token)) => {
                let mut form = url.clone();
                form.set_query(None);
                form.query_pairs_mut()
                    .extend_pairs(&query)
                    .append_pair("grant_type", "refresh_token")
                    .append_pair("client_id", "flotilla")
                    .append_pair("refresh_token", token);
                (None, form.query().map(str::to_owned))
            }
            known => {
                url.query_pairs_mut().extend_pairs(&query);
                let login = match known {
                    Some(StoredLogin::Login(login)) => Some(Credential::Login(login.clone())),
                    _ => None,
                };
                (login, None)
            }
        };
        let question = FetchRequest {
            url: &url,
            accept: "application/json",
            credential: credential.as_ref(),
            limit: MAX_TOKEN,
            transport: self.config.transport,
            form,
        };
        let answer = fetch::ask(&self.client, &question).await?;
        if answer.status != StatusCode::OK {
            return Err(Error::hinted(
                format!(
                    "{}: no token for it (HTTP {})",
                    shown(&url),
                    answer.status.as_u16()
                ),
                "see that the login is right and the repository is there; helm registry login HOST keeps one",
            ));
        }
        #[derive(Deserialize)]
        struct Token {
            token: Option<String>,
            access_token: Option<String>,
        }
        let token = serde_json::from_slice(&answer.body)
            .ok()
            .and_then(|token: Token| token.token.or(token.access_token))
            .filter(|token| token.bytes().all(|byte| byte.is_ascii_graphic()));
        token
            .map(Credential::Token)
            .ok_or_else(|| Error::refused(format!("{}: it gives no token", shown(&url))))
    }
}

fn not_a_registry(url: &Url) -> Error {
    Error::refused(format!("{}: the answer is not a registry's", shown(url)))
}

/// Returns the URL of the next page of a list, on the same server (RFC 8288).
fn next(url: &Url, answer: &Answer) -> Option<Url> {
    let link = answer.headers.get(LINK)?.to_str().ok()?;
    let (target, relation) = link.trim().strip_prefix('<')?.split_once('>')?;
    if !relation.contains("next") {
        return None;
    }
    let next = url.join(target).ok()?;
    (next.origin() == url.origin()).then_some(next)
}
