//! `flotilla chart` against repositories and registries that lie, steal credentials, or never end.

use std::collections::BTreeMap;

use crate::chart::PASSWORD;
use crate::repository::{
    Reply, Request, Server, Workshop, archive, everything, index, one_chart, sha256,
};

fn asking(server: &Server) -> Workshop {
    let workshop = Workshop::new(&format!(
        "[{{name: web, version: 1.0.0, repository: '{}'}}]",
        server.url()
    ));
    workshop.add_repository("team", &server.url(), PASSWORD);
    workshop.write("shop/charts/.keep", "as it was");
    workshop
}

/// A URL of the index with its digest, the repository's answer, and the expected message.
type Case = (&'static str, Option<String>, Answer, &'static str);

type Answer = Box<dyn Fn(&Request) -> Reply + Send + Sync>;

/// A small archive that unpacks to a very large one.
fn bomb() -> Vec<u8> {
    use std::io::Write as _;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for _ in 0..256 {
        gzip.write_all(&vec![0; 1 << 20]).unwrap();
    }
    gzip.finish().unwrap()
}

/// Answers with another archive than the requested one.
fn other_bytes() -> Vec<Case> {
    vec![
        (
            "web-1.0.0.tgz",
            Some("ab".repeat(32)),
            Box::new(|_| Reply::ok(archive("web", "1.0.0"))),
            "the bytes are not those of the index",
        ),
        (
            "web-1.0.0.tgz",
            // YAML reads this digest as the number zero.
            Some("0".repeat(64)),
            Box::new(|_| Reply::ok(archive("web", "1.0.0"))),
            "the bytes are not those of the index",
        ),
        (
            "web-1.0.0.tgz",
            None,
            Box::new(|_| Reply::Endless),
            "the answer has more than",
        ),
        (
            "web-1.0.0.tgz",
            None,
            Box::new(|_| Reply::ok("<!DOCTYPE html><html>log in</html>")),
            "what came is no chart",
        ),
        (
            "web-1.0.0.tgz",
            None,
            Box::new(|_| Reply::ok(bomb())),
            "what came is no chart",
        ),
        (
            "web-1.0.0.tgz",
            None,
            Box::new(|_| Reply::ok(archive("web", "6.6.6"))),
            "it is the chart web 6.6.6, and web 1.0.0 was asked for",
        ),
        (
            "web-1.0.0.tgz",
            None,
            Box::new(|_| Reply::ok(archive("other", "1.0.0"))),
            "it is the chart other",
        ),
    ]
}

/// Answers without an archive, and a URL that is not fetched.
fn no_bytes() -> Vec<Case> {
    vec![
        (
            "web-1.0.0.tgz",
            None,
            Box::new(|_| Reply::status(401)),
            "wants another login",
        ),
        (
            "web-1.0.0.tgz",
            None,
            Box::new(|_| Reply::status(500)),
            "HTTP 500",
        ),
        (
            "web-1.0.0.tgz",
            None,
            Box::new(|_| Reply::status(404)),
            "not there",
        ),
        (
            "web-1.0.0.tgz",
            None,
            Box::new(|asked| Reply::redirect(&format!("{}x", asked.path))),
            "it sends on more than",
        ),
        (
            "web-1.0.0.tgz",
            None,
            Box::new(|_| Reply::redirect("file:///etc/passwd")),
            "neither https nor http",
        ),
        (
            "file:///etc/passwd",
            None,
            Box::new(|_| Reply::status(404)),
            "a place that is not taken",
        ),
    ]
}

#[test]
fn hostile_repositories_change_nothing() {
    for (url, sum, reply, why) in other_bytes().into_iter().chain(no_bytes()) {
        let server = one_chart(url, sum, reply);
        let errors = asking(&server).refused(&["vendor", "shop"]);
        assert!(errors.contains(why), "{why}: {errors}");
        assert!(!errors.contains(PASSWORD), "{errors}");
    }
    for (body, why) in [
        ("<html>", "it is a web page"),
        ("", "it is empty"),
        (
            "apiVersion: v1\nentries: {web: [{name: web, version: 0.9.0, urls: [a]}]}\n",
            "offers no version of web",
        ),
        ("apiVersion: v1\nentries: {}\n", "offers no chart web"),
        ("a: &a [*a, *a]\nb: [", ""),
    ] {
        let server = Server::start(move |_| Reply::ok(body));
        let errors = asking(&server).refused(&["vendor", "shop"]);
        assert!(errors.contains(why), "{why}: {errors}");
    }
}

#[test]
fn a_name_in_an_index_never_leaves_charts() {
    for url in [
        "x/..%2f..%2f..%2fweb-1.0.0.tgz",
        "..%5c..%5cweb.tgz",
        "%2e%2e%2f.tgz",
        "download?f=../web.tgz",
    ] {
        let server = one_chart(url, None, |_| Reply::ok(archive("web", "1.0.0")));
        let workshop = asking(&server);
        let before = everything(&workshop.path(""));
        workshop.vendored(&[]);
        assert_eq!(workshop.charts("shop"), [".keep", "web-1.0.0.tgz"], "{url}");
        let outside = |files: BTreeMap<String, Vec<u8>>| -> Vec<String> {
            files
                .into_keys()
                .filter(|name| !name.starts_with("shop/"))
                .collect()
        };
        assert_eq!(
            outside(everything(&workshop.path(""))),
            outside(before),
            "{url}"
        );
    }
}

#[test]
fn a_login_stays_with_its_host() {
    // The archive is on another host, by the index and then by a redirect.
    let elsewhere = Server::start(|_| Reply::ok(archive("web", "1.0.0")));
    let place = format!("{}/web-1.0.0.tgz?token=signed", elsewhere.url());
    let text = index(&[("web", "1.0.0", place.clone(), None)]);
    let by_index = Server::start(move |_| Reply::ok(text.clone()));
    let redirected = one_chart("web-1.0.0.tgz", None, move |_| Reply::redirect(&place));
    for server in [&by_index, &redirected] {
        let workshop = asking(server);
        workshop.vendored(&[]);
        assert_eq!(workshop.charts("shop"), [".keep", "web-1.0.0.tgz"]);
        let asked = server.asked();
        assert!(
            asked.iter().all(|asked| asked.authorization.is_some()),
            "{asked:?}"
        );
    }
    let asked = elsewhere.asked();
    assert_eq!(asked.len(), 2);
    assert!(
        asked.iter().all(|asked| asked.authorization.is_none()),
        "{asked:?}"
    );
    // Then back to the first host: a server that redirects there controls the request, so the credential must not be
    // sent.
    let home = std::sync::Arc::new(parking_lot::Mutex::new(String::new()));
    let back = std::sync::Arc::clone(&home);
    let thief =
        Server::start(move |_| Reply::redirect(&format!("{}/web-1.0.0.tgz?again", back.lock())));
    let there = thief.url();
    let server = one_chart("web-1.0.0.tgz", None, move |asked| {
        match asked.path.contains("again") {
            true => Reply::ok(archive("web", "1.0.0")),
            false => Reply::redirect(&there),
        }
    });
    home.lock().push_str(&server.url());
    asking(&server).vendored(&[]);
    let asked = server.asked();
    assert!(asked.iter().any(|asked| asked.authorization.is_some()));
    let again = asked
        .iter()
        .find(|asked| asked.path.contains("again"))
        .unwrap();
    assert_eq!(again.authorization, None, "{asked:?}");
    assert!(
        thief
            .asked()
            .iter()
            .all(|asked| asked.authorization.is_none())
    );
}

/// A registry with `team/web` in two versions, which gives tokens only to `ci`.
pub(crate) fn registry(
    change: impl Fn(&str, Reply) -> Reply + Send + Sync + 'static,
    blobs: &str,
) -> Server {
    let blobs = blobs.to_owned();
    let own = std::sync::Arc::new(parking_lot::Mutex::new(String::new()));
    let address = std::sync::Arc::clone(&own);
    let server = Server::start(move |asked| {
        let path = asked.path.split('?').next().unwrap_or_default();
        if path == "/token" {
            let authorization = asked.authorization.as_deref().unwrap_or_default();
            let is_good = authorization.starts_with("Basic ")
                && asked.path.contains("scope=repository%3Ateam%2Fweb%3Apull");
            let reply = match is_good {
                true => Reply::ok("{\"token\": \"t0k3n\"}"),
                false => Reply::status(401),
            };
            return change(path, reply);
        }
        if asked.authorization.as_deref() != Some("Bearer t0k3n") {
            let challenge = format!(
                "Bearer realm=\"http://{}/token\",service=\"here\",scope=\"repository:team/web:pull\"",
                own.lock()
            );
            return Reply::Bytes(401, vec![("WWW-Authenticate", challenge)], Vec::new());
        }
        let manifest = |version: &str| {
            let bytes = archive("web", version);
            format!(
                "{{\"schemaVersion\": 2, \"layers\": [{{\"mediaType\": \
                 \"application/vnd.cncf.helm.chart.content.v1.tar+gzip\", \"digest\": \"sha256:{}\", \"size\": {}}}]}}",
                sha256(&bytes),
                bytes.len()
            )
        };
        let reply = match path {
            "/v2/team/web/tags/list" if !asked.path.contains("last=") => Reply::Bytes(
                200,
                vec![(
                    "Link",
                    "</v2/team/web/tags/list?last=x>; rel=\"next\"".to_owned(),
                )],
                b"{\"tags\": [\"1.2.0\", \"latest\", \"sha256-00.sig\"]}".to_vec(),
            ),
            "/v2/team/web/tags/list" => Reply::ok("{\"tags\": [\"1.10.0_b7\", \"2.0.0-rc.1\"]}"),
            "/v2/team/web/manifests/1.10.0_b7" => Reply::ok(manifest("1.10.0+b7")),
            "/v2/team/web/manifests/1.2.0" => Reply::ok(manifest("1.2.0")),
            path => match path.strip_prefix("/v2/team/web/blobs/") {
                Some(digest) if blobs.is_empty() => {
                    let all = ["1.2.0", "1.10.0+b7"].map(|version| archive("web", version));
                    let mut all = all.into_iter();
                    let found = all.find(|bytes| digest == format!("sha256:{}", sha256(bytes)));
                    found.map_or(Reply::status(404), Reply::ok)
                }
                Some(_) => Reply::redirect(&blobs),
                None => Reply::status(404),
            },
        };
        change(path, reply)
    });
    address.lock().push_str(&server.address);
    server
}

fn asking_registry(server: &Server, version: &str) -> Workshop {
    let workshop = Workshop::new(&format!(
        "[{{name: web, version: '{version}', repository: 'oci://{}/team'}}]",
        server.address
    ));
    workshop.docker_login(&server.address, PASSWORD);
    workshop
}

#[test]
fn registries_with_tokens_pages_and_blobs_elsewhere() {
    let elsewhere = Server::start(|_| Reply::ok(archive("web", "1.10.0+b7")));
    let server = registry(
        |_, reply| reply,
        &format!("{}/store?sig=1", elsewhere.url()),
    );
    let workshop = asking_registry(&server, "^1.0.0");
    let vendored = workshop.vendored(&["--plain-http"]);
    assert_eq!(vendored["dependencies"][0]["version"], "1.10.0+b7");
    assert_eq!(
        vendored["dependencies"][0]["checked"],
        serde_json::json!(["manifest"])
    );
    assert_eq!(workshop.charts("shop"), ["web-1.10.0+b7.tgz"]);
    let tokens = server
        .asked()
        .into_iter()
        .filter(|asked| asked.path.starts_with("/token"));
    assert_eq!(tokens.count(), 1, "one token for all questions");
    let asked = elsewhere.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].authorization, None, "neither login nor token");
    assert!(
        !server
            .asked()
            .iter()
            .any(|asked| asked.path.contains(PASSWORD) || asked.body.contains(PASSWORD))
    );

    let output = workshop.chart(&["outdated", "shop", "--plain-http", "-o", "json"]);
    assert_eq!(output.status.code(), Some(0));
    // Without --plain-http a registry is only called over TLS.
    let errors = workshop.refused(&["vendor", "shop"]);
    assert!(errors.contains(&server.address), "{errors}");
}

#[test]
fn hostile_registries_change_nothing() {
    type Change = fn(&str, Reply) -> Reply;
    let cases: [(Change, &str); 7] = [
        (
            |path, reply| match path.contains("/blobs/") {
                true => Reply::ok(
                    archive("web", "1.2.0")
                        .into_iter()
                        .rev()
                        .collect::<Vec<_>>(),
                ),
                false => reply,
            },
            "the bytes are not those of that digest",
        ),
        (
            |path, reply| match path.contains("/blobs/") {
                true => Reply::Endless,
                false => reply,
            },
            "the answer has more than",
        ),
        (
            |path, reply| match (path.contains("/manifests/"), reply) {
                (true, Reply::Bytes(..)) => Reply::Bytes(
                    200,
                    vec![(
                        "Docker-Content-Digest",
                        format!("sha256:{}", "0".repeat(64)),
                    )],
                    b"{}".to_vec(),
                ),
                (_, reply) => reply,
            },
            "the manifest is not what the registry says it is",
        ),
        (
            |path, reply| match path.contains("/manifests/") {
                true => Reply::ok(
                    "{\"layers\": [{\"mediaType\": \"application/vnd.cncf.helm.chart.content.v1.tar+gzip\", \
                     \"digest\": \"sha256:../../etc\", \"size\": 1}]}",
                ),
                false => reply,
            },
            "digest is not of SHA-256",
        ),
        (
            |path, reply| match path.contains("/manifests/") {
                true => Reply::ok("{\"manifests\": []}"),
                false => reply,
            },
            "it is no chart",
        ),
        (
            |path, reply| match path.contains("/manifests/") {
                true => Reply::ok("<html>"),
                false => reply,
            },
            "the answer is not a registry's",
        ),
        (
            |path, reply| match path.contains("/manifests/") {
                true => Reply::status(404),
                false => reply,
            },
            "not there",
        ),
    ];
    for (change, why) in cases {
        let server = registry(change, "");
        let errors = asking_registry(&server, "1.2.0").refused(&["vendor", "shop", "--plain-http"]);
        assert!(errors.contains(why), "{why}: {errors}");
        assert!(
            !errors.contains(PASSWORD) && !errors.contains("t0k3n"),
            "{errors}"
        );
    }
    // A user without a login is told how to log in.
    let server = registry(|_, reply| reply, "");
    let workshop = asking_registry(&server, "1.2.0");
    std::fs::remove_file(workshop.path(".docker/config.json")).unwrap();
    let errors = workshop.refused(&["vendor", "shop", "--plain-http"]);
    assert!(errors.contains("no token for it (HTTP 401)"), "{errors}");
    // An endless list of tags.
    let server = registry(
        |path, reply| match path.ends_with("/tags/list") {
            true => Reply::Bytes(
                200,
                vec![("Link", "<?last=x>; rel=next".to_owned())],
                b"{\"tags\": []}".to_vec(),
            ),
            false => reply,
        },
        "",
    );
    let errors = asking_registry(&server, "^1.0.0").refused(&["vendor", "shop", "--plain-http"]);
    assert!(errors.contains("its list of tags has no end"), "{errors}");
}
