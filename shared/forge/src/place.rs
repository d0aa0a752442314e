//! The forge of a repository, its API and the repository's name there.

use flotilla_shared::loopback;
use flotilla_shared::percent;
use flotilla_shared::revision::RepositoryUrl;
use serde::Deserialize;

/// Kind of forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// GitHub, also on a company's own host.
    Github,
    /// GitLab.
    Gitlab,
    /// Gitea and Forgejo.
    Gitea,
    /// Bitbucket Cloud.
    Bitbucket,
}

impl Kind {
    /// Returns the kind by the name of the host; none: the name does not tell.
    #[must_use]
    pub fn guess(host: &str) -> Option<Self> {
        let host = host.to_ascii_lowercase();
        let says = |word: &str| host.split(['.', '-', ':']).any(|part| part == word);
        if says("github") {
            Some(Self::Github)
        } else if says("gitlab") {
            Some(Self::Gitlab)
        } else if says("gitea") || says("forgejo") || host == "codeberg.org" {
            Some(Self::Gitea)
        } else if says("bitbucket") {
            Some(Self::Bitbucket)
        } else {
            None
        }
    }

    /// Returns whether its pull requests can have labels.
    #[must_use]
    pub fn has_labels(self) -> bool {
        self != Self::Bitbucket
    }

    /// Returns whether each status of a commit has to succeed before a pull request can be merged: one that waits for
    /// the merge would then block it for ever.
    #[must_use]
    pub fn holds_merges_by_statuses(self) -> bool {
        self == Self::Gitlab
    }

    /// Returns the largest comment that it accepts, bytes, with a margin.
    #[must_use]
    pub fn comment_limit(self) -> usize {
        match self {
            Self::Github | Self::Gitea => 65_000,
            Self::Gitlab => 900_000,
            Self::Bitbucket => 32_000,
        }
    }
}

/// Why the forge of a repository cannot be determined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// The URL names no host.
    #[error("{0} is not on a forge: it names no host")]
    NoForge(String),
    /// The URL has a name without an owner.
    #[error("{0} names no owner: repositories of a forge are at host/owner/name")]
    NoOwner(String),
    /// The URL has folders, which this forge does not support.
    #[error("{0} has more than an owner and a name in its path: only GitLab supports folders")]
    Folders(String),
    /// The host does not tell the kind of forge.
    #[error("the host of {0} does not name its forge: give github, gitlab, gitea or bitbucket")]
    Unknown(String),
    /// The API is not encrypted, so credentials are not sent there.
    #[error("{0} is neither https nor on this machine: a credential is not sent there")]
    Plain(String),
}

/// A repository on a forge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    kind: Kind,
    /// URL of the API, without a slash at its end.
    api: String,
    /// The path before the name.
    owner: String,
    name: String,
}

impl Repository {
    /// Determines the forge from the URL that Git pulls from. `kind` and `api` override what the host tells.
    ///
    /// # Errors
    /// When the URL is not that of a repository on a forge.
    pub fn at(
        url: &RepositoryUrl,
        kind: Option<Kind>,
        api: Option<&str>,
    ) -> Result<Self, LocationError> {
        let text = url.as_str();
        let path = text.split_once("://").and_then(|(_, rest)| {
            let (_, path) = rest.split_once('/')?;
            Some(path)
        });
        let path = path.filter(|_| url.scheme() != "file");
        let path = path.ok_or_else(|| LocationError::NoForge(url.to_string()))?;
        let path = path.strip_suffix(".git").unwrap_or(path);
        let both = path.rsplit_once('/');
        let (owner, name) = both.ok_or_else(|| LocationError::NoOwner(url.to_string()))?;
        let authority = url.authority();
        // The port of ssh is not that of the API.
        let host = match url.scheme() {
            "ssh" => authority
                .rsplit_once(':')
                .map_or(authority, |(host, _)| host),
            _ => authority,
        };
        let kind = kind
            .or_else(|| Kind::guess(host))
            .ok_or_else(|| LocationError::Unknown(host.to_owned()))?;
        // Only GitLab has nested groups.
        if kind != Kind::Gitlab && owner.contains('/') {
            return Err(LocationError::Folders(url.to_string()));
        }
        let scheme = match url.scheme() {
            "http" => "http",
            _ => "https",
        };
        let api = match (api, kind) {
            (Some(api), _) => api.trim_end_matches('/').to_owned(),
            (None, Kind::Github) if host == "github.com" || host == "ssh.github.com" => {
                "https://api.github.com".to_owned()
            }
            (None, Kind::Github) => format!("{scheme}://{host}/api/v3"),
            (None, Kind::Gitlab) => format!("{scheme}://{host}/api/v4"),
            (None, Kind::Gitea) => format!("{scheme}://{host}/api/v1"),
            (None, Kind::Bitbucket) => "https://api.bitbucket.org/2.0".to_owned(),
        };
        if !is_private(&api) {
            return Err(LocationError::Plain(api));
        }
        Ok(Self {
            kind,
            api,
            owner: owner.to_owned(),
            name: name.to_owned(),
        })
    }

    /// Returns the kind of forge: as given, or by the name of the host.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the URL of the API.
    #[must_use]
    pub fn api(&self) -> &str {
        &self.api
    }

    /// Returns the host of the API, for metrics and messages.
    #[must_use]
    pub fn host(&self) -> &str {
        let rest = self.api.split_once("://").map_or("", |(_, rest)| rest);
        rest.split('/').next().unwrap_or_default()
    }

    /// Returns the owner of the repository.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Returns the name of the repository.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns `owner/name`.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// Returns a URL below the repository's resource.
    pub(crate) fn below(&self, rest: &str) -> String {
        let (owner, name) = (segment(&self.owner), segment(&self.name));
        let own = match self.kind {
            Kind::Github | Kind::Gitea => format!("repos/{owner}/{name}"),
            Kind::Gitlab => format!("projects/{}", segment(&self.full_name())),
            Kind::Bitbucket => format!("repositories/{owner}/{name}"),
        };
        format!("{}/{own}{rest}", self.api)
    }
}

/// Returns whether nobody on the way can read along. An API's address is shown to people, so it may not contain
/// credentials.
fn is_private(api: &str) -> bool {
    let rest = api.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    loopback::is_private(api) && !authority.contains('@')
}

/// Escapes text as one part of a path or as a query value; slashes are escaped.
pub(crate) fn segment(text: &str) -> String {
    percent::encode(text, b"")
}

/// Escapes text as several parts of a path; slashes are kept.
pub(crate) fn path(text: &str) -> String {
    let parts: Vec<String> = text.split('/').map(segment).collect();
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(url: &str, kind: Option<Kind>) -> Result<(String, String), LocationError> {
        let place = Repository::at(&url.parse().unwrap(), kind, None)?;
        Ok((place.api().to_owned(), place.full_name()))
    }

    #[test]
    fn apis_are_found_by_the_repository() {
        for (url, kind, api, name) in [
            (
                "https://github.com/acme/fleet.git",
                None,
                "https://api.github.com",
                "acme/fleet",
            ),
            (
                "ssh://git@github.com/acme/fleet",
                None,
                "https://api.github.com",
                "acme/fleet",
            ),
            (
                "https://github.acme.example:8443/acme/fleet",
                None,
                "https://github.acme.example:8443/api/v3",
                "acme/fleet",
            ),
            (
                "https://gitlab.com/group/sub/fleet.git",
                None,
                "https://gitlab.com/api/v4",
                "group/sub/fleet",
            ),
            (
                "ssh://git@codeberg.org:2222/acme/fleet.git",
                None,
                "https://codeberg.org/api/v1",
                "acme/fleet",
            ),
            (
                "https://bitbucket.org/acme/fleet",
                None,
                "https://api.bitbucket.org/2.0",
                "acme/fleet",
            ),
            (
                "https://git.acme.example/acme/fleet",
                Some(Kind::Gitea),
                "https://git.acme.example/api/v1",
                "acme/fleet",
            ),
            (
                "http://127.0.0.1:3000/acme/fleet",
                Some(Kind::Gitea),
                "http://127.0.0.1:3000/api/v1",
                "acme/fleet",
            ),
        ] {
            let expected = Ok((api.to_owned(), name.to_owned()));
            assert_eq!(at(url, kind), expected, "{url}");
        }
    }

    #[test]
    fn what_is_on_no_forge_is_refused() {
        for url in [
            "file:///srv/github/fleet.git",
            "https://github.com/fleet",
            "https://github.com/a/b/fleet",
            "https://notgithub.com/acme/fleet",
        ] {
            assert!(at(url, None).is_err(), "{url}");
        }
        // The error names the missing part, even if the kind of forge is given.
        let none = at("http://192.0.2.7:3000/fleet.git", Some(Kind::Gitea)).unwrap_err();
        assert!(matches!(none, LocationError::NoOwner(_)), "{none}");
        let none = at("https://github.com/a/b/fleet", None).unwrap_err();
        assert!(matches!(none, LocationError::Folders(_)), "{none}");
        let plain = at("http://gitlab.example.org/acme/fleet", None).unwrap_err();
        assert!(matches!(plain, LocationError::Plain(_)), "{plain}");
        for api in [
            "http://h/api",
            "http://localhost.h/api",
            "http://localhost:x@h/api",
            "ftp://h/x",
            "https://",
            "https://u:p@h/x",
        ] {
            let url = "https://github.com/acme/fleet".parse().unwrap();
            assert!(Repository::at(&url, None, Some(api)).is_err(), "{api}");
        }
    }
}
