//! Names in registries (the OCI distribution specification), checked so that text of a chart can only be a path below
//! `/v2/`. Pure.

use crate::error::Error;

/// A repository of a registry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// `host` or `host:port`.
    pub registry: String,
    /// `team/web`.
    pub repository: String,
}

impl Reference {
    /// Makes it from `oci://registry/team` and a chart's name.
    ///
    /// # Errors
    /// Why they are not a repository of a registry.
    pub fn new(url: &str, chart: &str) -> Result<Self, Error> {
        let rest = url.strip_prefix("oci://").unwrap_or(url);
        let rest = rest.trim_end_matches('/');
        let (registry, path) = rest.split_once('/').unwrap_or((rest, ""));
        if !is_registry(registry) {
            return Err(Error::refused("it names no registry"));
        }
        let repository = match path {
            "" => chart.to_owned(),
            path => format!("{path}/{chart}"),
        };
        if repository.len() > 255 || !repository.split('/').all(is_part) {
            return Err(Error::refused(format!(
                "{repository:?} is no name of a repository: parts of lower-case letters, digits and single \
                 separators (. _ -), parted by /"
            )));
        }
        Ok(Self {
            registry: registry.to_owned(),
            repository,
        })
    }

    /// Returns the URL of its API.
    #[must_use]
    pub fn host(&self) -> &str {
        match self.registry.as_str() {
            "docker.io" | "index.docker.io" => "registry-1.docker.io",
            other => other,
        }
    }
}

/// Whether it is a host or an address, with an optional port.
fn is_registry(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !text.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let named = host
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
        && host.starts_with(|first: char| first.is_ascii_alphanumeric());
    let six = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .is_some_and(|inner| {
            inner
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit() || byte == b':')
        });
    (named || six) && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// Whether it matches `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`.
fn is_part(part: &str) -> bool {
    let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    let ends = |byte: Option<&u8>| byte.is_some_and(alphanumeric);
    if !ends(bytes.first()) || !ends(bytes.last()) {
        return false;
    }
    bytes
        .chunk_by(|byte, next| alphanumeric(byte) == alphanumeric(next))
        .all(|run| {
            run.first().is_some_and(alphanumeric)
                || matches!(run, b"." | b"_" | b"__")
                || run.iter().all(|byte| *byte == b'-')
        })
}

/// Returns the tag of a version: `+` is not allowed in tags.
///
/// # Errors
/// When it is not a valid tag.
pub fn tag(version: &str) -> Result<String, Error> {
    let tag = version.replace('+', "_");
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    if tag.is_empty() || tag.len() > 128 || !tag.bytes().all(allowed) || tag.starts_with(['.', '-'])
    {
        return Err(Error::refused(format!("{version:?} cannot be a tag")));
    }
    Ok(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_a_path_below_v2_and_nothing_else() {
        let reference = Reference::new("oci://ghcr.io/team/charts/", "web").unwrap();
        assert_eq!(
            (reference.host(), reference.repository.as_str()),
            ("ghcr.io", "team/charts/web")
        );
        for good in [
            "oci://localhost:5000",
            "oci://[::1]:5000/a",
            "oci://10.0.0.1/a__b/c--d",
        ] {
            Reference::new(good, "web").unwrap();
        }
        let hub = Reference::new("oci://docker.io/library", "web").unwrap();
        assert_eq!(hub.host(), "registry-1.docker.io");
        for (url, chart) in [
            ("oci://", "web"),
            ("oci:///a", "web"),
            ("oci://user:pw@host/a", "web"),
            ("oci://host:70000/a", "web"),
            ("oci://host/../a", "web"),
            ("oci://host/a//b", "web"),
            ("oci://host/A", "web"),
            ("oci://host/a?x=", "web"),
            ("oci://host/a#", "web"),
            ("oci://host/a", "../web"),
            ("oci://host/a", "web:1"),
            ("oci://host/a", "we%2fb"),
            ("oci://host/a", ""),
            ("oci://host/a._b", "web"),
            ("oci://ho st/a", "web"),
        ] {
            assert!(Reference::new(url, chart).is_err(), "{url} {chart}");
        }
    }

    #[test]
    fn tags_have_no_plus() {
        assert_eq!(tag("1.2.3-rc.1+build.7").unwrap(), "1.2.3-rc.1_build.7");
        for bad in ["", "../x", "a/b", "-a", ".a", "a?b", &"1".repeat(129)] {
            assert!(tag(bad).is_err(), "{bad}");
        }
    }
}
