//! The forge file. Credentials are in files of their own, which are read each time.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use flotilla_forge::{Kind, Repository};
use flotilla_shared::id::RepositoryName;
use flotilla_shared::revision::RepositoryUrl;
use flotilla_yaml::config::{ConfigError, mapping};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct File {
    api_version: String,
    kind: String,
    #[serde(default)]
    link: String,
    #[serde(default = "twenty")]
    interval_seconds: u64,
    #[serde(default)]
    forges: Vec<Entry>,
}

/// Each poll uses some of the calls that a forge allows in an hour.
fn twenty() -> u64 {
    20
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Entry {
    repository: RepositoryName,
    #[serde(default)]
    kind: Option<Kind>,
    #[serde(default)]
    api: Option<String>,
    #[serde(default)]
    token_file: Option<PathBuf>,
    #[serde(default)]
    app: Option<App>,
}

/// A GitHub App.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct App {
    /// The App's id or client id.
    pub id: String,
    /// A file with its private key.
    pub private_key_file: PathBuf,
}

/// Source of a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// A file with a token.
    Token(PathBuf),
    /// A GitHub App.
    App(App),
}

/// Settings of a repository's forge.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Forge {
    kind: Option<Kind>,
    api: Option<String>,
    access: Access,
}

/// A repository on its forge, with the source of the credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForgeRepository {
    pub at: Repository,
    /// The credential.
    pub access: Access,
}

/// The content of the forge file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forges {
    /// Base URL of the fleet's pages; empty: none.
    pub link: String,
    /// Interval at which pull requests are read.
    pub interval: Duration,
    forges: BTreeMap<RepositoryName, Forge>,
}

impl Default for Forges {
    fn default() -> Self {
        Self {
            link: String::new(),
            interval: Duration::from_secs(twenty()),
            forges: BTreeMap::new(),
        }
    }
}

impl Forges {
    /// Returns a repository's forge; none: not configured, or not on a forge.
    #[must_use]
    pub fn of(&self, name: &RepositoryName, url: &RepositoryUrl) -> Option<ForgeRepository> {
        let forge = self.forges.get(name)?;
        let at = Repository::at(url, forge.kind, forge.api.as_deref()).ok()?;
        Some(ForgeRepository {
            at,
            access: forge.access.clone(),
        })
    }
}

/// Reads the file.
///
/// # Errors
/// Every error that was found, with file, line and key.
pub fn parse(name: &str, text: &str) -> Result<Forges, Vec<ConfigError>> {
    let located = mapping::<File>(name, text, &["forges"]).map_err(|error| vec![error])?;
    let mut errors = Vec::new();
    let mut wrong = |path: String, message: String| errors.push(located.error(&path, message));
    let file = &located.value;
    if file.api_version != "flotilla.dev/v1alpha1" {
        wrong(
            "apiVersion".to_owned(),
            "it must be flotilla.dev/v1alpha1".to_owned(),
        );
    }
    if file.kind != "Forges" {
        wrong("kind".to_owned(), "it must be Forges".to_owned());
    }
    if !file.link.is_empty() && !file.link.starts_with("https://") {
        wrong("link".to_owned(), "it must begin with https://".to_owned());
    }
    if !(1..=3600).contains(&file.interval_seconds) {
        wrong(
            "intervalSeconds".to_owned(),
            "it must be between 1 and 3600".to_owned(),
        );
    }
    let mut forges = BTreeMap::new();
    for (index, entry) in file.forges.iter().enumerate() {
        let path = format!("forges[{index}]");
        let access = match (&entry.token_file, &entry.app) {
            (Some(file), None) => Access::Token(file.clone()),
            (None, Some(app)) => Access::App(app.clone()),
            _ => {
                wrong(path, "give either tokenFile or app".to_owned());
                continue;
            }
        };
        if entry.app.is_some() && entry.kind.is_some_and(|kind| kind != Kind::Github) {
            wrong(format!("{path}.app"), "supported on GitHub only".to_owned());
        }
        let forge = Forge {
            kind: entry.kind,
            api: entry.api.clone(),
            access,
        };
        if forges.insert(entry.repository.clone(), forge).is_some() {
            let message = format!("repository {} is listed twice", entry.repository);
            wrong(format!("{path}.repository"), message);
        }
    }
    if errors.is_empty() {
        Ok(Forges {
            link: file.link.clone(),
            interval: Duration::from_secs(file.interval_seconds),
            forges,
        })
    } else {
        Err(errors)
    }
}

#[cfg(test)]
mod tests;
