//! The page of a forge that opens a pull request from one branch into another. Pure.

use clap::ValueEnum;
use flotilla_forge::LocationError;
use flotilla_shared::percent;
use flotilla_shared::revision::{BranchName, RepositoryUrl};

use crate::error::Error;

/// The forge of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Forge {
    /// GitHub, also on a company's own host.
    Github,
    /// GitLab.
    Gitlab,
    /// Gitea and Forgejo.
    Gitea,
    /// Bitbucket Cloud.
    Bitbucket,
}

impl From<flotilla_forge::Kind> for Forge {
    fn from(kind: flotilla_forge::Kind) -> Self {
        match kind {
            flotilla_forge::Kind::Github => Self::Github,
            flotilla_forge::Kind::Gitlab => Self::Gitlab,
            flotilla_forge::Kind::Gitea => Self::Gitea,
            flotilla_forge::Kind::Bitbucket => Self::Bitbucket,
        }
    }
}

impl From<Forge> for flotilla_forge::Kind {
    fn from(forge: Forge) -> Self {
        match forge {
            Forge::Github => Self::Github,
            Forge::Gitlab => Self::Gitlab,
            Forge::Gitea => Self::Gitea,
            Forge::Bitbucket => Self::Bitbucket,
        }
    }
}

/// Returns the page at the repository's forge; `named` is the forge that the user gave, in place of the one that the
/// host's name tells.
pub(crate) fn page(
    url: &RepositoryUrl,
    named: Option<Forge>,
    from: &BranchName,
    into: &BranchName,
) -> Result<String, LocationError> {
    let text = url.as_str();
    // Checked before the forge: otherwise a user who adds --forge would get this error only then.
    if place(text).is_none() {
        return Err(match url.authority() {
            "" => LocationError::NoForge(text.to_owned()),
            _ => LocationError::NoOwner(text.to_owned()),
        });
    }
    let forge = named.or_else(|| Forge::guess(text));
    let forge = forge.ok_or_else(|| LocationError::Unknown(url.authority().to_owned()))?;
    let page = forge.page(text, from, into);
    page.ok_or_else(|| LocationError::NoForge(text.to_owned()))
}

/// The error for a repository that was not found on a forge, with a hint that was not given yet; `without`: the
/// alternative without a forge.
pub(crate) fn no_place(error: &LocationError, without: &str) -> Error {
    let hint = match error {
        LocationError::Unknown(_) => "say it with --forge".to_owned(),
        LocationError::Plain(_) => {
            "give the address of its API as https://… with --forge-api".to_owned()
        }
        LocationError::NoForge(_) | LocationError::NoOwner(_) | LocationError::Folders(_) => {
            format!(
                "if it is on a forge, name it in the fleet file by the URL that the forge \
                 shows; otherwise {without}"
            )
        }
    };
    Error::refused(error.to_string(), hint)
}

impl Forge {
    /// Returns the forge that the host's name tells.
    fn guess(url: &str) -> Option<Self> {
        let (host, _) = place(url)?;
        flotilla_forge::Kind::guess(host).map(Self::from)
    }

    /// Returns the page; none: the URL is not that of a repository on a host.
    fn page(self, url: &str, from: &BranchName, into: &BranchName) -> Option<String> {
        let (host, path) = place(url)?;
        let (from, into) = (encoded(from.as_str()), encoded(into.as_str()));
        let scheme = if url.starts_with("http://") {
            "http"
        } else {
            "https"
        };
        let base = format!("{scheme}://{host}/{path}");
        Some(match self {
            Self::Github => format!("{base}/compare/{into}...{from}?expand=1"),
            Self::Gitea => format!("{base}/compare/{into}...{from}"),
            Self::Gitlab => format!(
                "{base}/-/merge_requests/new?merge_request%5Bsource_branch%5D={from}\
                 &merge_request%5Btarget_branch%5D={into}"
            ),
            Self::Bitbucket => format!("{base}/pull-requests/new?source={from}&dest={into}"),
        })
    }
}

/// Returns host and path of a repository's URL, without credentials and `.git`.
fn place(url: &str) -> Option<(&str, &str)> {
    let rest = match url.split_once("://") {
        Some(("https" | "http" | "ssh", rest)) => rest,
        Some(_) => return None,
        None => url,
    };
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    // The scp-like form: host:owner/name.
    let (host, path) = match (url.contains("://"), rest.split_once(':')) {
        (false, Some(both)) => both,
        _ => rest.split_once('/')?,
    };
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    // The port of ssh is not that of the pages.
    let host = if url.starts_with("ssh://") {
        host.split(':').next()?
    } else {
        host
    };
    (!host.is_empty() && path.contains('/')).then_some((host, path))
}

/// Encodes a part of a path or query; slashes stay.
fn encoded(text: &str) -> String {
    percent::encode(text, b"/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(url: &str) -> Option<String> {
        let branch = |text: &str| text.parse().unwrap();
        Forge::guess(url)?.page(url, &branch("promote/x+y"), &branch("prod"))
    }

    #[test]
    fn each_forge_has_its_page() {
        for (url, expected) in [
            (
                "https://github.com/acme/fleet.git",
                "https://github.com/acme/fleet/compare/prod...promote/x%2By?expand=1",
            ),
            (
                "https://user:secret@gitlab.example.org/group/sub/fleet",
                "https://gitlab.example.org/group/sub/fleet/-/merge_requests/new?merge_request%5Bsource_branch%5D=promote/x%2By&merge_request%5Btarget_branch%5D=prod",
            ),
            (
                "ssh://git@codeberg.org:2222/acme/fleet.git",
                "https://codeberg.org/acme/fleet/compare/prod...promote/x%2By",
            ),
            (
                "git@bitbucket.org:acme/fleet.git",
                "https://bitbucket.org/acme/fleet/pull-requests/new?source=promote/x%2By&dest=prod",
            ),
        ] {
            assert_eq!(page(url).as_deref(), Some(expected));
        }
        for url in [
            "file:///srv/github/fleet.git",
            "https://git.example.org/acme/fleet",
            "https://notgithub.com/acme/fleet",
            "https://github.com/",
            "",
        ] {
            assert_eq!(page(url), None, "{url}");
        }
    }

    #[test]
    fn what_is_missing_is_named_and_what_was_said_is_not_asked_for() {
        let refused = |url: &str, named| {
            let branch = |text: &str| text.parse().unwrap();
            let url = url.parse().unwrap();
            super::page(&url, named, &branch("promote-x"), &branch("prod")).map_err(|error| {
                let error = no_place(&error, "promote without --pull-request");
                format!("{error}; {}", error.hint().unwrap_or_default())
            })
        };
        for named in [None, Some(Forge::Gitea)] {
            let told = refused("http://192.0.2.7:3000/fleet.git", named).unwrap_err();
            assert!(told.contains("names no owner"), "{told}");
            assert!(!told.contains("--forge"), "{told}");
        }
        let told = refused("http://192.0.2.7:3000/acme/fleet.git", None).unwrap_err();
        assert!(told.contains("--forge"), "{told}");
        let told = refused("file:///srv/git/fleet.git", Some(Forge::Gitea)).unwrap_err();
        assert!(told.contains("names no host"), "{told}");
        let page = refused("https://192.0.2.7:3000/acme/fleet.git", Some(Forge::Gitea));
        let expected = "https://192.0.2.7:3000/acme/fleet/compare/prod...promote-x";
        assert_eq!(page.as_deref(), Ok(expected));
    }
}
