//! `flotilla chart` over TLS with a private authority, and with credential helpers.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use crate::chart::PASSWORD;
use crate::chart_servers::registry;
use crate::repository::{Reply, Server, Workshop, archive, honestly, one_chart};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// A private authority, for servers and clients.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self { pem, issuer }
    }

    /// Issues certificate and key for a name.
    fn issue(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// TLS configuration of a server on loopback; with `clients`, it accepts only clients of this authority.
    fn server(&self, clients: bool) -> Arc<rustls::ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let (certificate, key) = self.issue("127.0.0.1");
        let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if clients {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(self.issuer_certificate()).unwrap();
            let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
                Arc::new(roots),
                provider,
            );
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let key = rustls_pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        Arc::new(
            builder
                .with_single_cert(vec![certificate.der().clone()], key)
                .unwrap(),
        )
    }

    fn issuer_certificate(&self) -> rustls_pki_types::CertificateDer<'static> {
        use rustls_pki_types::pem::PemObject as _;
        rustls_pki_types::CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()
    }
}

fn asking(server: &Server) -> Workshop {
    Workshop::new(&format!(
        "[{{name: web, version: ^1.0.0, repository: '{}/charts'}}]",
        server.url()
    ))
}

#[test]
fn repositories_with_certificates_of_their_own() {
    let authority = Authority::new();
    let charts = || honestly(&[("web", "1.0.0")]);
    let server = Server::start_tls(authority.server(false), charts());
    let workshop = asking(&server);
    // The certificate is not trusted before its authority is given, nor with another authority.
    let errors = workshop.refused(&["vendor", "shop"]);
    assert!(errors.contains("certificate"), "{errors}");
    workshop.write("other.pem", &Authority::new().pem);
    let errors = workshop.refused(&["vendor", "shop", "--ca-file", "other.pem"]);
    assert!(errors.contains("certificate"), "{errors}");
    workshop.write("ca.pem", &authority.pem);
    workshop.write("none.pem", "no certificate\n");
    let errors = workshop.refused(&["vendor", "shop", "--ca-file", "none.pem"]);
    assert!(
        errors.contains("no certificate that can be used"),
        "{errors}"
    );
    workshop.vendored(&["--ca-file", "ca.pem"]);
    assert_eq!(workshop.charts("shop"), ["web-1.0.0.tgz"]);

    // Configured as by `helm repo add --ca-file --cert-file --key-file`, where the client needs a certificate.
    let server = Server::start_tls(authority.server(true), charts());
    let workshop = asking(&server);
    workshop.write("ca.pem", &authority.pem);
    let errors = workshop.refused(&["vendor", "shop", "--ca-file", "ca.pem"]);
    assert!(errors.contains(&server.address), "{errors}");
    let (certificate, key) = authority.issue("ci");
    workshop.write("client.pem", &certificate.pem());
    workshop.write("client.key", &key.serialize_pem());
    let file = |name: &str| workshop.path(name).display().to_string();
    let noted = format!(
        "apiVersion: \"\"\nrepositories:\n- name: team\n  url: {}/charts\n  caFile: {}\n  certFile: {}\n  \
         keyFile: {}\n",
        server.url(),
        file("ca.pem"),
        file("client.pem"),
        file("client.key")
    );
    workshop.write(".config/helm/repositories.yaml", &noted);
    workshop.vendored(&[]);
    assert_eq!(workshop.charts("shop"), ["web-1.0.0.tgz"]);
    // A configuration that disables verification is rejected, with a hint.
    let careless = noted.replace("  caFile", "  insecure_skip_tls_verify: true\n  caFile");
    workshop.write(".config/helm/repositories.yaml", &careless);
    let errors = workshop.refused(&["vendor", "shop", "--update"]);
    assert!(errors.contains("--ca-file FILE"), "{errors}");
}

#[test]
fn registries_with_certificates_of_their_own_and_redirects_out_of_tls() {
    let authority = Authority::new();
    let workshop = |server: &Server| {
        let workshop = Workshop::new(&format!(
            "[{{name: web, version: 1.0.0, repository: 'oci://{}/team'}}]",
            server.address
        ));
        workshop.write("ca.pem", &authority.pem);
        workshop
    };
    let bytes = archive("web", "1.0.0");
    let sum = crate::repository::sha256(&bytes);
    let manifest = format!(
        "{{\"schemaVersion\": 2, \"layers\": [{{\"mediaType\": \
         \"application/vnd.cncf.helm.chart.content.v1.tar+gzip\", \"digest\": \"sha256:{sum}\", \"size\": {}}}]}}",
        bytes.len()
    );
    let server = Server::start_tls(authority.server(false), move |asked| {
        match asked.path.as_str() {
            "/v2/team/web/manifests/1.0.0" => Reply::ok(manifest.clone()),
            path if path.starts_with("/v2/team/web/blobs/") => Reply::ok(bytes.clone()),
            _ => Reply::status(404),
        }
    });
    let honest = workshop(&server);
    let errors = honest.refused(&["vendor", "shop"]);
    assert!(errors.contains("certificate"), "{errors}");
    honest.vendored(&["--ca-file", "ca.pem"]);
    assert_eq!(honest.charts("shop"), ["web-1.0.0.tgz"]);

    // A login for TLS is not sent without TLS.
    let plain = one_chart("web-1.0.0.tgz", None, |_| {
        Reply::ok(archive("web", "1.0.0"))
    });
    let to = format!("{}/web-1.0.0.tgz", plain.url());
    let index = crate::repository::index(&[("web", "1.0.0", "a.tgz".to_owned(), None)]);
    let server = Server::start_tls(authority.server(false), move |asked| {
        match asked.path.ends_with("index.yaml") {
            true => Reply::ok(index.clone()),
            false => Reply::redirect(&to),
        }
    });
    let sent_on = asking(&server);
    sent_on.write("ca.pem", &authority.pem);
    sent_on.add_repository("team", &format!("{}/charts", server.url()), PASSWORD);
    // Whether the redirect is followed or not, the password is not sent.
    let _ = sent_on.chart(&["vendor", "shop", "--ca-file", "ca.pem"]);
    assert!(
        server
            .asked()
            .iter()
            .all(|request| request.authorization.is_some())
    );
    assert!(
        plain
            .asked()
            .iter()
            .all(|request| request.authorization.is_none())
    );
}

/// A registry that gives tokens, and a login that only a helper knows.
fn helped(server: &Server, script: &str) -> Workshop {
    let workshop = Workshop::new(&format!(
        "[{{name: web, version: 1.2.0, repository: 'oci://{}/team'}}]",
        server.address
    ));
    workshop.write(
        ".docker/config.json",
        &format!("{{\"credHelpers\": {{\"{}\": \"vault\"}}}}", server.address),
    );
    workshop.write(
        "bin/docker-credential-vault",
        &format!("#!/bin/sh\n{script}\n"),
    );
    let path = workshop.path("bin/docker-credential-vault");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    workshop
}

#[test]
fn logins_that_a_helper_keeps() {
    let server = registry(|_, reply| reply, "");
    // The helper answers only for this registry, by its own name.
    let script = format!(
        "[ \"$1\" = get ] && [ \"$(cat)\" = {} ] && echo '{{\"ServerURL\": \"x\", \"Username\": \"ci\", \"Secret\": \"{PASSWORD}\"}}'",
        server.address
    );
    let workshop = helped(&server, &script);
    let vendored = workshop.vendored(&["--plain-http"]);
    assert_eq!(vendored["dependencies"][0]["version"], "1.2.0");
    let tokens: Vec<_> = server
        .asked()
        .into_iter()
        .filter(|asked| asked.path.starts_with("/token"))
        .collect();
    assert_eq!(tokens.len(), 1);
    assert!(tokens[0].authorization.is_some());

    // The identity token of a browser login is sent in a form, never in a URL.
    let server = registry(
        |path, reply| match path {
            "/token" => Reply::ok("{\"access_token\": \"t0k3n\"}"),
            _ => reply,
        },
        "",
    );
    let script = format!("echo '{{\"Username\": \"<token>\", \"Secret\": \"{PASSWORD}\"}}'");
    helped(&server, &script).vendored(&["--plain-http"]);
    let asked = server.asked();
    let token = asked
        .iter()
        .find(|request| request.path.starts_with("/token"))
        .unwrap();
    assert!(token.body.contains("grant_type=refresh_token"), "{token:?}");
    assert!(token.body.contains(&format!("refresh_token={PASSWORD}")));
    assert!(asked.iter().all(|request| !request.path.contains(PASSWORD)));
}

#[test]
fn helpers_that_fail_say_so_and_say_no_secret() {
    for (script, expected) in [
        // Without a login it is anonymous.
        (
            "echo 'credentials not found'; exit 1",
            "no token for it (HTTP 401)",
        ),
        (
            &*format!("echo 'the password is {PASSWORD}'"),
            "docker-credential-vault gives no answer that is understood",
        ),
        (
            "head -c 200000 /dev/zero",
            "docker-credential-vault gives no answer that is understood",
        ),
    ] {
        let server = registry(|_, reply| reply, "");
        let errors = helped(&server, script).refused(&["vendor", "shop", "--plain-http"]);
        assert!(errors.contains(expected), "{expected}: {errors}");
        assert!(!errors.contains(PASSWORD), "{errors}");
    }
    let server = registry(|_, reply| reply, "");
    let workshop = helped(&server, "");
    std::fs::remove_file(workshop.path("bin/docker-credential-vault")).unwrap();
    let errors = workshop.refused(&["vendor", "shop", "--plain-http"]);
    assert!(
        errors.contains("docker-credential-vault cannot be started"),
        "{errors}"
    );
}
