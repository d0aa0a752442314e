//! Where a secret may be sent: by TLS, or to this machine. All code that sends a token, a password or a URL that is a
//! credential itself uses this check, so that all of it reads a URL in the same way.

use std::net::{Ipv4Addr, Ipv6Addr};

use http::Uri;
use http::uri::Authority;

/// Returns whether nobody on the way can read what is sent to a URL: `https`, or plain `http` that stays on this
/// machine.
#[must_use]
pub fn is_private(url: &str) -> bool {
    match url.split_once("://") {
        // TLS verifies the host, so any host is allowed.
        Some(("https", rest)) => !rest.is_empty() && !rest.starts_with(['/', '?', '#', '\\']),
        Some(("http", _)) => url
            .parse::<Uri>()
            .is_ok_and(|url| url.authority().is_some_and(is_here)),
        _ => false,
    }
}

/// Returns whether `host` or `host:port` is this machine: `localhost`, or a full loopback address, with IPv6 in
/// brackets. Forms that programs read in different ways do not count: a user before the host, `127.1`,
/// `[::ffff:127.0.0.1]`.
#[must_use]
pub fn is_loopback(authority: &str) -> bool {
    authority
        .parse::<Authority>()
        .is_ok_and(|authority| is_here(&authority))
}

fn is_here(authority: &Authority) -> bool {
    let host = authority.host();
    let is_named = match host.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')) {
        Some(ip) => ip.parse::<Ipv6Addr>().is_ok_and(|ip| ip.is_loopback()),
        None => {
            host.eq_ignore_ascii_case("localhost")
                || host.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
        }
    };
    let is_port = |text: &str| {
        text.strip_prefix(':')
            .is_some_and(|port| port.parse::<u16>().is_ok())
    };
    // It has to begin with the host, which excludes user information, and only a port may follow.
    let rest = authority.as_str().strip_prefix(host);
    is_named && rest.is_some_and(|rest| rest.is_empty() || is_port(rest))
}

#[cfg(test)]
mod tests {
    use super::{is_loopback, is_private};

    #[test]
    fn a_secret_goes_by_tls_or_stays_on_this_machine() {
        for (url, expected) in [
            ("https://a.example", true),
            ("https://a.example:8443/x?y=1#z", true),
            ("https://localhost", true),
            ("https://bücher.example/x", true),
            ("http://localhost", true),
            ("http://LOCALHOST:3000/x", true),
            ("http://localhost:3000/x?y=a@b", true),
            ("http://127.0.0.1", true),
            ("http://127.8.0.1:80/", true),
            ("http://[::1]", true),
            ("http://[::1]:8080/x", true),
            ("http://a.example", false),
            ("http://10.0.0.1", false),
            ("http://0.0.0.0", false),
            // Hosts whose names only begin like this machine's.
            ("http://localhost.evil.example", false),
            ("http://127.0.0.1.evil.example", false),
            ("http://localhost:80.evil.example", false),
            ("http://[::1].evil.example", false),
            // User information is not a host, and is refused for this machine, too.
            ("http://localhost:x@evil.example/", false),
            ("http://localhost:80@evil.example/", false),
            ("http://127.0.0.1:80@evil.example", false),
            ("http://[::1]@evil", false),
            ("http://[::1]:80@evil", false),
            ("http://evil@localhost", false),
            ("http://localhost@localhost", false),
            ("http://localhost:80@localhost", false),
            ("http://evil.example/@localhost", false),
            ("http://evil.example?@localhost", false),
            ("http://evil.example#@localhost", false),
            // Some parsers read a backslash as a slash, and skip white space.
            ("http://localhost\\@evil.example", false),
            ("http://evil.example\\@localhost", false),
            ("http:\\\\localhost", false),
            ("http://local\thost", false),
            (" http://localhost", false),
            ("http://localhost\n", false),
            // Addresses that programs read in different ways.
            ("http://127.1", false),
            ("http://0x7f.0.0.1", false),
            ("http://0177.0.0.1", false),
            ("http://2130706433", false),
            ("http://[::ffff:127.0.0.1]", false),
            ("http://[::1%25eth0]", false),
            ("http://::1", false),
            ("http://%6cocalhost", false),
            ("http://localhost.", false),
            ("http://localhost:x", false),
            ("http://localhost:65536", false),
            // No host, and no URL.
            ("https://", false),
            ("https:///x", false),
            ("https://?x", false),
            ("https://#x", false),
            ("https:\\\\a.example", false),
            ("http://", false),
            ("http:///localhost", false),
            ("http://:80", false),
            ("http:localhost", false),
            ("localhost", false),
            ("ftp://localhost", false),
            ("file:///localhost", false),
            ("", false),
        ] {
            assert_eq!(is_private(url), expected, "{url:?}");
        }
    }

    #[test]
    fn this_machine_is_known_with_and_without_a_port() {
        for (authority, expected) in [
            ("localhost", true),
            ("localhost:80", true),
            ("127.0.0.1", true),
            ("127.8.0.1:80", true),
            ("[::1]", true),
            ("[::1]:80", true),
            ("::1", false),
            ("[127.0.0.1]", false),
            ("[localhost]", false),
            ("a.example:80", false),
            ("localhost/", false),
            ("localhost:80:80", false),
            ("localhost:", false),
            ("me@localhost", false),
            (":80", false),
            ("", false),
        ] {
            assert_eq!(is_loopback(authority), expected, "{authority:?}");
        }
    }
}
