//! Protection of open pages against requests that their reader did not intend.

use flotilla_shared::loopback::is_loopback;
use http::HeaderMap;
use http::header::COOKIE;

/// Headers of every answer: scripts, styles, pictures and connections only from this site, and no framing.
pub const HEADERS: [(&str, &str); 6] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    (
        "permissions-policy",
        "camera=(), microphone=(), geolocation=()",
    ),
];

/// For a year, over TLS only.
pub const HSTS: &str = "max-age=31536000";

/// Scheme by which browsers reach a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Unencrypted: only on loopback.
    Http,
    /// TLS, terminated here or at a proxy.
    Https,
}

impl Scheme {
    /// Text as in an `Origin` header.
    fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Whether a request to act comes from a page of this site: by `Sec-Fetch-Site`, or else by an `Origin` that is this
/// site's.
#[must_use]
pub fn is_same_origin(
    fetch_site: Option<&str>,
    origin: Option<&str>,
    host: &str,
    scheme: Scheme,
) -> bool {
    match (fetch_site, origin) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => origin == format!("{}://{host}", scheme.as_str()),
        (None, None) => false,
    }
}

/// Whether a `Host` is the loopback address of the listener, so that another name that is rebound to it (DNS rebinding)
/// does not get the pages.
#[must_use]
pub fn is_loopback_host(host: &str, port: u16) -> bool {
    let given = host.rsplit_once(':').map(|(_, given)| given);
    is_loopback(host) && given.is_some_and(|given| given.parse() == Ok(port))
}

/// Compares in constant time, so that the time does not tell where two secrets differ.
#[must_use]
pub fn equal(left: &str, right: &str) -> bool {
    left.len() == right.len()
        && left
            .bytes()
            .zip(right.bytes())
            .fold(0, |seen, (a, b)| seen | (a ^ b))
            == 0
}

/// Returns the value of one cookie.
#[must_use]
pub fn cookie<'h>(header: &'h str, name: &str) -> Option<&'h str> {
    header.split(';').find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        (key == name).then_some(value)
    })
}

/// Returns every value of a cookie in a request.
pub fn cookies<'h>(headers: &'h HeaderMap, name: &'h str) -> impl Iterator<Item = &'h str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .filter_map(move |value| cookie(value, name))
}

/// Returns a path of this site to return to; anything else is replaced by the first screen.
#[must_use]
pub fn way_back(path: &str) -> &str {
    let ours = path.starts_with('/')
        && !path.starts_with("//")
        && !path.contains('\\')
        && path.len() < 2048
        && path.bytes().all(|byte| (0x21..0x7f).contains(&byte));
    if ours { path } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::Scheme::Https;
    use super::{cookie, equal, is_loopback_host, is_same_origin, way_back};

    #[test]
    fn another_site_does_not_act() {
        assert!(is_same_origin(Some("same-origin"), None, "h", Https));
        for site in ["cross-site", "same-site", "none", ""] {
            assert!(
                !is_same_origin(Some(site), Some("https://h"), "h", Https),
                "{site}"
            );
        }
        assert!(is_same_origin(None, Some("https://h:1"), "h:1", Https));
        for origin in ["http://h:1", "https://h", "null", "https://h:1.evil"] {
            assert!(
                !is_same_origin(None, Some(origin), "h:1", Https),
                "{origin}"
            );
        }
        assert!(!is_same_origin(None, None, "h", Https));
    }

    #[test]
    fn a_name_that_was_rebound_is_refused() {
        for host in ["127.0.0.1:80", "localhost:80", "[::1]:80", "127.8.0.1:80"] {
            assert!(is_loopback_host(host, 80), "{host}");
        }
        for host in [
            "evil.example:80",
            "127.0.0.1",
            "127.0.0.1:81",
            "localhost.evil:80",
            "[127.0.0.1]:80",
            "localhost:80@evil:80",
            "",
        ] {
            assert!(!is_loopback_host(host, 80), "{host}");
        }
    }

    #[test]
    fn small_things() {
        assert!(equal("abc", "abc") && !equal("abc", "abd") && !equal("abc", "ab"));
        assert_eq!(cookie("a=1; b=2", "b"), Some("2"));
        assert_eq!(cookie("ab=1", "b"), None);
        assert_eq!(way_back("/env/prod?x=1"), "/env/prod?x=1");
        for bad in ["//evil", "https://evil", "/\\evil", "", "/a\nb"] {
            assert_eq!(way_back(bad), "/");
        }
    }
}
