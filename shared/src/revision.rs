//! Where configuration comes from: repository URLs, branches, commits and paths.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::{NameError, RepositoryName};
use crate::loopback::is_loopback;

macro_rules! text {
    ($type:ident) => {
        impl $type {
            /// Returns the text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.as_str().to_owned()
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

/// A full commit id: 40 (SHA-1) or 64 (SHA-256) lower-case hexadecimal digits. Never abbreviated,
/// never a branch or a tag.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Commit(std::sync::Arc<str>);

text!(Commit);

impl Commit {
    /// The first seven digits, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..7).unwrap_or(&self.0)
    }
}

impl FromStr for Commit {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let error = |why| Err(NameError::new("commit", text, why));
        if text.len() != 40 && text.len() != 64 {
            return error("a full commit id has 40 or 64 digits");
        }
        if !text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        {
            return error("only 0-9 and a-f may be used");
        }
        if text.bytes().all(|b| b == b'0') {
            return error("the null id is not a commit");
        }
        Ok(Self(text.into()))
    }
}

/// A branch by its short name (`prod`, `release/1.2`), valid by the rules of `git check-ref-format`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BranchName(std::sync::Arc<str>);

text!(BranchName);

impl BranchName {
    /// `refs/heads/<name>`, the only reference that a branch name ever stands for.
    #[must_use]
    pub fn full_ref(&self) -> String {
        format!("refs/heads/{self}")
    }
}

impl FromStr for BranchName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        let error = |why| Err(NameError::new("branch", name, why));
        if name.is_empty() {
            return error("it is empty");
        }
        if name.len() > 255 {
            return error("it is longer than 255 bytes");
        }
        if name.starts_with('-') {
            return error("it may not begin with -");
        }
        if name == "@" || name == "HEAD" || name.starts_with("refs/") {
            return error("give the short name of a branch, without refs/heads/");
        }
        let forbidden = |c: char| c.is_control() || c.is_whitespace() || "~^:?*[\\".contains(c);
        if name.contains(forbidden) {
            return error("white space, control characters and ~ ^ : ? * [ \\ may not be used");
        }
        if name.contains("..") || name.contains("@{") || name.ends_with('.') {
            return error("`..`, `@{` and a dot at the end may not be used");
        }
        let bad_part =
            |part: &str| part.is_empty() || part.starts_with('.') || part.ends_with(".lock");
        if name.split('/').any(bad_part) {
            return error("a part is empty, begins with a dot or ends with .lock");
        }
        Ok(Self(name.into()))
    }
}

/// A repository URL that no part of Git or a shell can take for something else.
///
/// Only `https`, `http` and `file`; no user information (credentials live in the agent's Secret), no
/// query, no fragment, no white space, no control or non-ASCII characters, at most 2,048 bytes.
/// Scheme and host are lower-cased and a trailing slash is dropped, so that an allow-list can compare
/// exact text. Which schemes are acceptable where is for the caller's policy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepositoryUrl(std::sync::Arc<str>);

text!(RepositoryUrl);

impl RepositoryUrl {
    /// `https`, `http`, `ssh` or `file`.
    #[must_use]
    pub fn scheme(&self) -> &str {
        self.0.split(':').next().unwrap_or_default()
    }

    /// Host with port, without an SSH user; empty for `file`.
    #[must_use]
    pub fn authority(&self) -> &str {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        let authority = rest.split('/').next().unwrap_or_default();
        authority
            .split_once('@')
            .map_or(authority, |(_, host)| host)
    }

    /// Returns whether its host is this machine, so that plain http is private.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        is_loopback(self.authority())
    }
}

impl FromStr for RepositoryUrl {
    type Err = NameError;

    fn from_str(url: &str) -> Result<Self, NameError> {
        let error = |why| Err(NameError::new("repository URL", url, why));
        if url.len() > 2048 {
            return error("it is longer than 2,048 bytes");
        }
        if !url.bytes().all(|b| b.is_ascii_graphic()) {
            return error("only printable ASCII characters may be used");
        }
        let Some((scheme, rest)) = url.split_once("://") else {
            return error("it must begin with https://, http://, ssh:// or file://");
        };
        let scheme = scheme.to_ascii_lowercase();
        if !matches!(scheme.as_str(), "https" | "http" | "ssh" | "file") {
            return error("the scheme must be https, http, ssh or file");
        }
        if rest.contains([
            '?', '#', '\\', '%', '"', '\'', '`', '$', '|', ';', '<', '>', '{', '}',
        ]) {
            return error("query, fragment, escapes and quoting characters may not be used");
        }
        let (authority, path) = rest.split_once('/').map_or((rest, ""), |(a, p)| (a, p));
        let (user, authority) = match authority.split_once('@') {
            // An SSH URL is the only place for the user name; authentication is by key.
            Some((user, host)) if scheme == "ssh" && valid_user(user) => (format!("{user}@"), host),
            None if scheme == "ssh" => {
                return error("an SSH URL must name its user: ssh://git@host/path");
            }
            Some(_) => return error("it may not carry a user name or password"),
            None => (String::new(), authority),
        };
        if scheme == "file" {
            if !authority.is_empty() {
                return error("a file URL must not name a host: file:///path");
            }
        } else if !valid_authority(authority) {
            return error("the host is not valid");
        }
        let path = path.trim_end_matches('/');
        if path.is_empty() {
            return error("it does not name a repository");
        }
        if path
            .split('/')
            .any(|part| part.is_empty() || part == "." || part == "..")
        {
            return error("the path has an empty part, `.` or `..`");
        }
        if path.split('/').any(|part| part.starts_with('-')) {
            return error("a part of the path begins with -");
        }
        Ok(Self(
            format!("{scheme}://{user}{}/{path}", authority.to_ascii_lowercase()).into(),
        ))
    }
}

/// A portable user name (POSIX), which begins with no dash.
fn valid_user(user: &str) -> bool {
    let is_fine = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    (1..=32).contains(&user.len()) && !user.starts_with('-') && user.bytes().all(is_fine)
}

fn valid_authority(authority: &str) -> bool {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') && !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let host_ok = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host.len() <= 253
                && !host.starts_with(['-', '.'])
                && host
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
        }
    };
    host_ok && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port != 0))
}

/// A directory or file in a repository's tree: slash-separated, relative, without `.`, `..` or empty
/// parts. The empty path is the root.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TreePath(String);

text!(TreePath);

impl FromStr for TreePath {
    type Err = NameError;

    fn from_str(path: &str) -> Result<Self, NameError> {
        let error = |why| Err(NameError::new("path", path, why));
        if path.len() > 1024 {
            return error("it is longer than 1,024 bytes");
        }
        if path.contains(|c: char| c.is_control() || c == '\\') {
            return error("control characters and \\ may not be used");
        }
        let path = path.strip_suffix('/').unwrap_or(path);
        if path.is_empty() || path == "." {
            return Ok(Self(String::new()));
        }
        let path = path.strip_prefix("./").unwrap_or(path);
        if path
            .split('/')
            .any(|part| part.is_empty() || part == "." || part == "..")
        {
            return error("it must be relative, without empty parts, `.` or `..`");
        }
        if path
            .split('/')
            .any(|part| part.eq_ignore_ascii_case(".git"))
        {
            return error("it may not reach into .git");
        }
        Ok(Self(path.to_owned()))
    }
}

/// Returns whether a path is `directory` itself, or lies below it. The empty directory is the root.
#[must_use]
pub fn is_below(path: &str, directory: &str) -> bool {
    directory.is_empty()
        || path == directory
        || path
            .strip_prefix(directory)
            .is_some_and(|rest| rest.starts_with('/'))
}

/// A commit on a branch of a repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Revision {
    /// The repository's name in the fleet file.
    pub repository: RepositoryName,
    /// The branch that it is on.
    pub branch: BranchName,
    /// The full id, never abbreviated.
    pub commit: Commit,
}

impl fmt::Display for Revision {
    /// `prod@sha1:3f2a9c1`, the field's usual form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithm = if self.commit.as_str().len() == 64 {
            "sha256"
        } else {
            "sha1"
        };
        f.pad(&format!(
            "{}@{algorithm}:{}",
            self.branch,
            self.commit.short()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g09_hostile_urls_are_refused_before_any_socket() {
        let long = format!("https://h/{}", "a".repeat(10_240));
        for bad in [
            "-oProxyCommand=x",
            "ext::sh -c x",
            "ext::https://h/r",
            "ssh://-oProxyCommand=x/r",
            "ssh://git@-oProxyCommand=x/r",
            "ssh://-oProxyCommand=x@h/r",
            "ssh://git:secret@h/r",
            "ssh://git@h/-x",
            "ssh://h/r",
            "ssh://git@h/a'b",
            "http://git@h/r",
            "file://host/r",
            "https://user:secret@h/r",
            "https://h\n/r",
            "https://h/r\u{0}",
            "https://höst/r",
            "https://h/../r",
            "https://h/-x",
            "https://h/",
            "https://h",
            "https:///r",
            "https://-h/r",
            "https://h:0/r",
            "https://h:99999/r",
            "https://h/r?x",
            "https://h/r#x",
            "https://h/%2e%2e/r",
            "git@h:r",
            "",
            long.as_str(),
        ] {
            assert!(bad.parse::<RepositoryUrl>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn urls_are_normalised_for_exact_comparison() {
        let check = |url: &str, expected: &str| {
            assert_eq!(
                url.parse::<RepositoryUrl>().map(String::from),
                Ok(expected.to_owned())
            );
        };
        check(
            "HTTPS://Git.Example.COM/Team/fleet.git/",
            "https://git.example.com/Team/fleet.git",
        );
        check(
            "http://127.0.0.1:3000/fleet.git",
            "http://127.0.0.1:3000/fleet.git",
        );
        check("https://[::1]:8443/r", "https://[::1]:8443/r");
        check(
            "SSH://git@Git.Example.com:22/t/r/",
            "ssh://git@git.example.com:22/t/r",
        );
        check("file:///srv/git/fleet.git", "file:///srv/git/fleet.git");
    }

    #[test]
    fn g13_a_branch_is_only_ever_a_branch() {
        for bad in [
            "",
            "refs/heads/x",
            "HEAD",
            "@",
            "-x",
            "a..b",
            "a b",
            "a~1",
            "a^",
            "x.lock",
            ".x",
            "a//b",
            "/a",
            "a/",
            "a@{1}",
            "a\\b",
            "a:b",
            "a?",
            "a*",
            "a[",
            "a\u{7f}",
        ] {
            assert!(bad.parse::<BranchName>().is_err(), "{bad:?}");
        }
        let sha_like = "3f2a9c1d".repeat(5);
        assert_eq!(
            sha_like.parse::<BranchName>().map(|b| b.full_ref()),
            Ok(format!("refs/heads/{sha_like}"))
        );
    }

    #[test]
    fn paths_stay_inside_the_tree() {
        for bad in [
            "/etc",
            "a/../b",
            "..",
            "a//b",
            "a/./b",
            ".git/config",
            "a/.GIT",
            "a\\b",
            "a\0",
        ] {
            assert!(bad.parse::<TreePath>().is_err(), "{bad:?}");
        }
        for (path, expected) in [("", ""), (".", ""), ("./a/b/", "a/b"), ("a", "a")] {
            assert_eq!(
                path.parse::<TreePath>().map(String::from),
                Ok(expected.to_owned())
            );
        }
    }

    #[test]
    fn commits_are_full_ids() {
        assert!("3f2a9c1".parse::<Commit>().is_err());
        assert!("0".repeat(40).parse::<Commit>().is_err());
        assert!("g".repeat(40).parse::<Commit>().is_err());
        let commit: Commit = "3f2a9c1d".repeat(5).parse().unwrap();
        let revision = Revision {
            repository: "fleet".parse().unwrap(),
            branch: "prod".parse().unwrap(),
            commit,
        };
        assert_eq!(revision.to_string(), "prod@sha1:3f2a9c1");
    }
    #[test]
    fn what_only_begins_like_a_directory_is_not_below_it() {
        assert!(is_below("a/b", "a") && is_below("a", "a") && !is_below("ab", "a"));
        assert!(is_below("a", "") && is_below("", "") && !is_below("", "a"));
    }
}
