use super::Place;

fn place(url: &str, bound: &str, tls: bool, proxy: bool) -> Result<Place, String> {
    Place::new(url, bound.parse().unwrap(), tls, proxy)
}

#[test]
fn no_page_is_served_in_the_open() {
    for (url, bound, tls, proxy) in [
        ("", "0.0.0.0:80", false, false),
        ("http://a.example", "0.0.0.0:80", false, false),
        ("https://a.example", "0.0.0.0:80", false, false),
        ("http://a.example", "0.0.0.0:80", false, true),
        ("http://a.example", "0.0.0.0:443", true, false),
        ("", "0.0.0.0:443", true, false),
        ("", "127.0.0.1:443", true, false),
        ("https://a.example", "127.0.0.1:80", false, false),
        ("https://a.example", "0.0.0.0:443", true, true),
        ("https://a.example/pages", "0.0.0.0:443", true, false),
        ("https://u@a.example", "0.0.0.0:443", true, false),
        ("a.example", "0.0.0.0:443", true, false),
    ] {
        let refused = place(url, bound, tls, proxy);
        assert!(refused.is_err(), "{url} {bound} {tls} {proxy}: {refused:?}");
    }
}

#[test]
fn a_name_is_one_host_and_cookies_are_bound_to_it() {
    let tls = place("https://Flotilla.example/", "0.0.0.0:443", true, false).unwrap();
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
    let proxied = place("https://a.example", "0.0.0.0:80", false, true).unwrap();
    assert!(proxied.is_secure());
    let own = place("", "127.0.0.1:8080", false, false).unwrap();
    assert!(own.is_ours("127.0.0.1:8080") && !own.is_ours("localhost:8080"));
    assert_eq!(own.cookie("flotilla"), "flotilla-8080");
    let named = place("http://localhost:81", "127.0.0.1:81", false, false).unwrap();
    assert!(named.is_ours("localhost:81"));
}
