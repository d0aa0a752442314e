use std::path::PathBuf;

use flotilla_web::security::Scheme;

use super::{Config, PublicAddress, ServingError};

/// Where TLS ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tls {
    Nowhere,
    Here,
    AtProxy,
    Both,
}

fn place(url: &str, bound: &str, tls: Tls) -> Result<PublicAddress, ServingError> {
    let here = matches!(tls, Tls::Here | Tls::Both);
    let config = Config {
        listen: bound.to_owned(),
        url: url.to_owned(),
        certificate: here.then(|| (PathBuf::from("chain"), PathBuf::from("key"))),
        behind_proxy: matches!(tls, Tls::AtProxy | Tls::Both),
    };
    PublicAddress::new(&config, bound.parse().unwrap())
}

#[test]
fn no_page_is_served_in_the_open() {
    for (url, bound, tls) in [
        ("", "0.0.0.0:80", Tls::Nowhere),
        ("http://a.example", "0.0.0.0:80", Tls::Nowhere),
        ("https://a.example", "0.0.0.0:80", Tls::Nowhere),
        ("http://a.example", "0.0.0.0:80", Tls::AtProxy),
        ("http://a.example", "0.0.0.0:443", Tls::Here),
        ("", "0.0.0.0:443", Tls::Here),
        ("", "127.0.0.1:443", Tls::Here),
        ("https://a.example", "127.0.0.1:80", Tls::Nowhere),
        ("https://a.example", "0.0.0.0:443", Tls::Both),
        ("https://a.example/pages", "0.0.0.0:443", Tls::Here),
        ("https://u@a.example", "0.0.0.0:443", Tls::Here),
        ("a.example", "0.0.0.0:443", Tls::Here),
    ] {
        let refused = place(url, bound, tls);
        assert!(refused.is_err(), "{url} {bound} {tls:?}: {refused:?}");
    }
}

#[test]
fn a_name_is_one_host_and_cookies_are_bound_to_it() {
    let tls = place("https://Flotilla.example/", "0.0.0.0:443", Tls::Here).unwrap();
    assert_eq!(tls.callback(), "https://flotilla.example/login/callback");
    for host in ["flotilla.example", "FLOTILLA.example:443"] {
        assert!(tls.is_ours(host), "{host}");
    }
    for host in [
        "evil.example",
        "flotilla.example:80",
        "",
        "flotilla.example.",
    ] {
        assert!(!tls.is_ours(host), "{host}");
    }
    assert_eq!(
        tls.set_cookie("flotilla", "x", Some(60)),
        "__Host-flotilla=x; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=60"
    );
    let proxied = place("https://a.example", "0.0.0.0:80", Tls::AtProxy).unwrap();
    assert_eq!(proxied.scheme(), Scheme::Https);
    let own = place("", "127.0.0.1:8080", Tls::Nowhere).unwrap();
    assert!(own.is_ours("127.0.0.1:8080") && !own.is_ours("localhost:8080"));
    assert_eq!(own.cookie("flotilla"), "flotilla-8080");
    let named = place("http://localhost:81", "127.0.0.1:81", Tls::Nowhere).unwrap();
    assert!(named.is_ours("localhost:81"));
}
