//! Repositories: an index and archives over HTTP.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use reqwest::{StatusCode, Url};

use crate::config::Config;
use crate::error::Error;
use crate::fetch::{self, Answer, Credential, FetchRequest, shown};
use crate::index::{Entry, Index};
use crate::pulled::{MAX_ARCHIVE, MAX_PROVENANCE, Provenance, PulledChart};
use crate::repositories::Repository;

/// Largest index, bytes: the largest public one has some twenty megabytes.
const MAX_INDEX: usize = 64 << 20;

/// All repositories of one run.
pub(crate) struct Repositories<'c> {
    config: &'c Config,
    indexes: RefCell<BTreeMap<String, Rc<Index>>>,
    clients: RefCell<BTreeMap<String, reqwest::Client>>,
}

impl<'c> Repositories<'c> {
    pub(crate) fn new(config: &'c Config) -> Self {
        Self {
            config,
            indexes: RefCell::default(),
            clients: RefCell::default(),
        }
    }

    fn noted(&self, repository: &Url) -> Option<&'c Repository> {
        self.config.at(repository.as_str())
    }

    /// Clients are cached, since reading the system's roots is slow.
    fn client(&self, repository: &Url) -> Result<reqwest::Client, Error> {
        let known = self.clients.borrow().get(repository.as_str()).cloned();
        if let Some(client) = known {
            return Ok(client);
        }
        let client = fetch::client(self.config, self.noted(repository))?;
        let mut clients = self.clients.borrow_mut();
        clients.insert(repository.as_str().to_owned(), client.clone());
        Ok(client)
    }

    async fn get(
        &self,
        repository: &Url,
        url: &Url,
        accept: &str,
        limit: usize,
    ) -> Result<Answer, Error> {
        let noted = self.noted(repository);
        let is_own = url.origin() == repository.origin();
        let login = noted
            .filter(|noted| is_own || noted.pass_credentials_all)
            .and_then(|noted| noted.login.clone())
            .map(Credential::Login);
        let client = self.client(repository)?;
        let question = FetchRequest {
            url,
            accept,
            credential: login.as_ref(),
            limit,
            transport: self.config.transport,
            form: None,
        };
        fetch::ask(&client, &question).await
    }

    /// Returns the repository's index, which is fetched once.
    pub(crate) async fn index(&self, repository: &Url) -> Result<Rc<Index>, Error> {
        let known = self.indexes.borrow().get(repository.as_str()).cloned();
        if let Some(index) = known {
            return Ok(index);
        }
        let url = below(repository, "index.yaml")?;
        let answer = self.get(repository, &url, "*/*", MAX_INDEX).await?;
        ok(&url, &answer)?;
        let index = Index::parse(&answer.body).map_err(|error| error.of(&shown(&url)))?;
        let index = Rc::new(index);
        let mut indexes = self.indexes.borrow_mut();
        indexes.insert(repository.as_str().to_owned(), Rc::clone(&index));
        Ok(index)
    }

    /// Fetches the archive of an entry.
    pub(crate) async fn pull(
        &self,
        repository: &Url,
        url: &Url,
        entry: &Entry,
        with: Provenance,
    ) -> Result<PulledChart, Error> {
        let accept = "application/gzip,application/octet-stream";
        let answer = self.get(repository, url, accept, MAX_ARCHIVE).await?;
        ok(url, &answer)?;
        if let Some(told) = &entry.digest {
            let sum = crate::pulled::sha256(&answer.body);
            if *told != sum {
                return Err(Error::refused(format!(
                    "{}: the bytes are not those of the index: it says sha256:{told}, and they are \
                     sha256:{sum}",
                    shown(url)
                )));
            }
        }
        let mut provenance = None;
        if with == Provenance::Requested {
            let mut url = url.clone();
            url.set_path(&format!("{}.prov", url.path()));
            let answer = self.get(repository, &url, "*/*", MAX_PROVENANCE).await?;
            match answer.status {
                StatusCode::NOT_FOUND | StatusCode::GONE => {}
                _ => {
                    ok(&url, &answer)?;
                    provenance = Some(answer.body);
                }
            }
        }
        Ok(PulledChart {
            archive: answer.body,
            provenance,
            manifest: None,
        })
    }
}

/// Returns the URL of an entry's archive: its first URL, which may be relative to the repository.
pub(crate) fn place(repository: &Url, entry: &Entry) -> Result<Url, Error> {
    let text = entry
        .urls
        .first()
        .ok_or_else(|| Error::refused(format!("version {} has no URL", entry.version)))?;
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(_) => below(repository, text)?,
    };
    let is_known = matches!(url.scheme(), "http" | "https" | "oci");
    let has_login = !url.username().is_empty() || url.password().is_some();
    if !is_known || has_login || url.host_str().is_none() {
        return Err(Error::refused(format!(
            "{}: version {} is at a place that is not taken: neither https, http nor oci, or with a login",
            shown(repository),
            entry.version
        )));
    }
    if repository.scheme() == "https" && url.scheme() == "http" {
        return Err(Error::refused(format!(
            "{}: version {} is at a place without TLS",
            shown(repository),
            entry.version
        )));
    }
    Ok(url)
}

/// Appends a path to the repository's URL; the query stays, as some repositories need it.
fn below(repository: &Url, path: &str) -> Result<Url, Error> {
    let mut base = repository.clone();
    let folder = format!("{}/", base.path().trim_end_matches('/'));
    base.set_path(&folder);
    let mut url = base
        .join(path)
        .map_err(|_| Error::refused(format!("{}: {path:?} is no path", shown(repository))))?;
    url.set_query(repository.query());
    Ok(url)
}

fn ok(url: &Url, answer: &Answer) -> Result<(), Error> {
    let place = shown(url);
    match answer.status {
        StatusCode::OK => Ok(()),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Error::hinted(
            format!(
                "{place}: the server wants another login (HTTP {})",
                answer.status.as_u16()
            ),
            "helm repo add --force-update --username NAME --password-stdin NAME URL notes one",
        )),
        StatusCode::NOT_FOUND => Err(Error::refused(format!("{place}: not there"))),
        other => Err(Error::refused(format!("{place}: HTTP {}", other.as_u16()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_below_the_repository_or_where_the_index_says() {
        let place = |repository: &str, url: &str| {
            let entry = Entry {
                version: "1.0.0".to_owned(),
                urls: vec![url.to_owned()],
                digest: None,
            };
            place(&Url::parse(repository).unwrap(), &entry)
                .map(String::from)
                .map_err(|error| error.to_string())
        };
        for (repository, url, expected) in [
            (
                "https://a.example/x",
                "w-1.tgz",
                "https://a.example/x/w-1.tgz",
            ),
            (
                "https://a.example/x/?k=1",
                "c/w.tgz",
                "https://a.example/x/c/w.tgz?k=1",
            ),
            ("https://a.example/x", "/w.tgz", "https://a.example/w.tgz"),
            (
                "https://a.example/x",
                "https://b.example/w.tgz",
                "https://b.example/w.tgz",
            ),
            (
                "https://a.example/x",
                "oci://b.example/c/w:1.0.0",
                "oci://b.example/c/w:1.0.0",
            ),
        ] {
            assert_eq!(place(repository, url).unwrap(), expected);
        }
        for url in [
            "file:///etc/passwd",
            "http://a.example/w.tgz",
            "https://me:pw@a.example/w.tgz",
            "data:text/plain,x",
        ] {
            let error = place("https://a.example/x", url).unwrap_err();
            assert!(!error.contains("pw"), "{error}");
        }
    }
}
