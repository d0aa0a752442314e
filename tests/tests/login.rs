//! A person logs in from a terminal: real programs against an issuer that speaks the device flow.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use flotilla_hub::app::{self, Config};
use flotilla_hub::authority::Authority;
use flotilla_hub::serve::oidc;
use flotilla_shared::tls;
use flotilla_tests::issuer::Issuer;
use flotilla_tests::programs;
use jiff::Timestamp;

struct Terminal {
    program: PathBuf,
    config: PathBuf,
}

impl Terminal {
    /// Exit code, standard output, standard error.
    async fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = tokio::process::Command::new(&self.program)
            .args(arguments)
            .env_clear()
            .env("FLOTILLA_CONFIG", &self.config)
            .output()
            .await
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (
            output.status.code().unwrap(),
            text(output.stdout),
            text(output.stderr),
        )
    }
}

async fn hub(directory: &Path, issuer: Option<&Issuer>) -> app::Running {
    let fleet = directory.join("fleet.yaml");
    std::fs::write(
        &fleet,
        "apiVersion: flotilla.dev/v1alpha1\nkind: Fleet\nenvironments: [{name: prod, branch: prod}]\n",
    )
    .unwrap();
    let oidc = issuer.map(|issuer| {
        let path = directory.join("oidc.yaml");
        let text = format!(
            "issuer: {}\nclientId: flotilla\ngrants: [{{group: sre, role: admin}}]\n",
            issuer.url
        );
        std::fs::write(&path, text).unwrap();
        oidc::Config::read(&path).unwrap()
    });
    app::start(Config {
        data_dir: directory.to_owned(),
        fleet,
        listen: "127.0.0.1:0".to_owned(),
        oidc,
        ..Config::default()
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e13_a_person_logs_in_and_stays_in_without_a_secret_in_sight() {
    tls::install_provider();
    let issuer = Issuer::start().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::init(directory.path(), Timestamp::now()).unwrap();
    let running = hub(directory.path(), Some(&issuer)).await;
    let bundle = directory.path().join("bundle.pem");
    std::fs::write(&bundle, authority.trust_bundle()).unwrap();
    let bundle = bundle.to_str().unwrap();
    let address = running.address.to_string();
    let terminal = Terminal {
        program: programs::build_some(&["flotilla-cli"])
            .await
            .unwrap()
            .join("flotilla"),
        config: directory.path().join("home/config.yaml"),
    };

    let (code, _, err) = terminal.run(&["hub"]).await;
    assert_eq!(code, 2);
    assert!(err.contains("flotilla login"), "{err}");
    let (code, _, err) = terminal.run(&["login", &address]).await;
    assert_eq!(code, 2);
    assert!(err.contains("--trust-bundle"), "{err}");

    // Said no to; then to somebody whom the hub does not know; nothing is kept.
    let login = [
        "login",
        &address,
        "--trust-bundle",
        bundle,
        "--name",
        "here",
    ];
    issuer.with(|state| state.denies = true);
    let (code, _, err) = terminal.run(&login).await;
    assert_eq!(code, 2, "{err}");
    issuer.with(|state| {
        state.denies = false;
        state.user = "eve@example.org".to_owned();
    });
    let (code, _, err) = terminal.run(&login).await;
    assert_eq!(code, 2, "{err}");
    assert!(!terminal.config.exists());

    // Let in after a while, with a token that ends at once: it is refreshed before each use.
    issuer.with(|state| {
        state.user = "ada@example.org".to_owned();
        state.groups = vec!["sre".to_owned()];
        state.pending = 1;
    });
    let (code, out, err) = terminal.run(&login).await;
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("WDJB-MJHT"), "{err}");
    assert!(err.contains("oidc:ada@example.org"), "{err}");
    let mode = std::fs::metadata(&terminal.config).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    let kept = std::fs::read_to_string(&terminal.config).unwrap();
    for secret in ["again", "eyJ"] {
        assert!(kept.contains(secret));
        assert!(!out.contains(secret) && !err.contains(secret));
    }
    let (code, out, err) = terminal.run(&["hub", "-o", "json"]).await;
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("oidc:ada@example.org"), "{out}");
    assert_eq!(
        issuer.with(|state| state.grants.get("refresh_token").copied()),
        None
    );

    // The token ends: the next command gets a new one, and keeps it.
    let kept = std::fs::read_to_string(&terminal.config).unwrap();
    let token = kept.lines().find(|line| line.contains("idToken")).unwrap();
    let token = token
        .trim()
        .trim_start_matches("idToken:")
        .trim()
        .trim_matches('"');
    let old = issuer.token("ada@example.org", &["sre"], &[("exp", 1.into())]);
    std::fs::write(&terminal.config, kept.replace(token, &old)).unwrap();
    let (code, _, err) = terminal.run(&["hub"]).await;
    assert_eq!(code, 0, "{err}");
    assert_eq!(
        issuer.with(|state| state.grants.get("refresh_token").copied()),
        Some(1)
    );
    assert!(
        !std::fs::read_to_string(&terminal.config)
            .unwrap()
            .contains(&old)
    );

    // A second hub beside it, by certificate; each is asked by its name.
    let other = tempfile::tempdir().unwrap();
    let authority = Authority::init(other.path(), Timestamp::now()).unwrap();
    let second = hub(other.path(), None).await;
    let uri = "spiffe://flotilla/operator/bob".parse().unwrap();
    let identity = authority.operator(&uri, Timestamp::now()).unwrap();
    let context = serde_json::json!({
        "apiVersion": "flotilla.dev/v1alpha1", "kind": "Context", "hub": second.address.to_string(),
        "trustBundle": authority.trust_bundle(), "certificate": identity.chain_pem,
        "key": identity.key_pem,
    });
    let file = other.path().join("bob.yaml");
    std::fs::write(&file, context.to_string()).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let file = file.to_str().unwrap();
    let (code, _, err) = terminal
        .run(&["context", "import", file, "--name", "there"])
        .await;
    assert_eq!(code, 0, "{err}");
    let (_, out, _) = terminal.run(&["context", "list", "-o", "json"]).await;
    let listed: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(listed[0]["name"], "here");
    assert_eq!(listed[0]["current"], true);
    assert_eq!(listed[1]["by"], "certificate");
    let who = async |arguments: &[&str]| {
        let (code, out, err) = terminal.run(arguments).await;
        assert_eq!(code, 0, "{err}");
        out
    };
    assert!(who(&["hub", "--context", "there"]).await.contains("bob"));
    assert!(who(&["hub"]).await.contains("ada@example.org"));
    who(&["context", "use", "there"]).await;
    assert!(who(&["hub"]).await.contains("bob"));
    // A new certificate with a new key.
    let before = std::fs::read_to_string(&terminal.config).unwrap();
    who(&["context", "renew"]).await;
    assert_ne!(before, std::fs::read_to_string(&terminal.config).unwrap());
    assert!(who(&["hub"]).await.contains("bob"));
    who(&["context", "remove", "there"]).await;
    let (code, _, err) = terminal.run(&["hub", "--context", "there"]).await;
    assert_eq!(code, 2);
    assert!(err.contains("there are: here"), "{err}");
    // Where nobody logs in, that is said.
    let bundle = other.path().join("bundle.pem");
    std::fs::write(&bundle, authority.trust_bundle()).unwrap();
    let address = second.address.to_string();
    let login = [
        "login",
        &address,
        "--trust-bundle",
        bundle.to_str().unwrap(),
    ];
    let (code, _, err) = terminal.run(&login).await;
    assert_eq!(code, 2);
    assert!(err.contains("have certificates"), "{err}");
}
