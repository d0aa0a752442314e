//! A person logs in from a terminal with the real program, and has contexts of two hubs there.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use flotilla_tests::issuer::Issuer;
use flotilla_tests::programs;
use flotilla_tests::test_hub::TestHub;

use super::{GRANTS, hub};

struct Terminal {
    program: PathBuf,
    config: PathBuf,
}

impl Terminal {
    /// A terminal with the program, and without contexts.
    async fn new(directory: &Path) -> Self {
        Self {
            program: programs::build_some(&["flotilla"])
                .await
                .unwrap()
                .join("flotilla"),
            config: directory.join("home/config.yaml"),
        }
    }

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

    /// Standard output of a command that succeeds.
    async fn says(&self, arguments: &[&str]) -> String {
        let (code, out, err) = self.run(arguments).await;
        assert_eq!(code, 0, "{err}");
        out
    }

    /// The login stored in the context file.
    fn kept(&self) -> String {
        std::fs::read_to_string(&self.config).unwrap()
    }
}

/// How often a login was refreshed.
fn refreshed(issuer: &Issuer) -> Option<usize> {
    issuer.with(|state| state.grants.get("refresh_token").copied())
}

/// A user without login is told how to log in.
async fn assert_told_how_to_log_in(terminal: &Terminal, address: &str) {
    let (code, _, err) = terminal.run(&["hub"]).await;
    assert_eq!(code, 2);
    assert!(err.contains("flotilla login"), "{err}");
    let (code, _, err) = terminal.run(&["login", address]).await;
    assert_eq!(code, 2);
    assert!(err.contains("--trust-bundle"), "{err}");
}

/// The issuer denies the login; then the hub does not know the user. Nothing is stored.
async fn assert_others_are_kept_out(terminal: &Terminal, issuer: &Issuer, login: &[&str]) {
    issuer.with(|state| state.denies = true);
    let (code, _, err) = terminal.run(login).await;
    assert_eq!(code, 2, "{err}");
    issuer.with(|state| {
        state.denies = false;
        state.user = "eve@example.org".to_owned();
    });
    let (code, _, err) = terminal.run(login).await;
    assert_eq!(code, 2, "{err}");
    assert!(!terminal.config.exists());
}

/// The login succeeds after a while, and later commands know the user. What is stored is readable only by its owner,
/// and is not printed.
async fn assert_logs_in(terminal: &Terminal, issuer: &Issuer, login: &[&str]) {
    issuer.with(|state| {
        state.user = "ada@example.org".to_owned();
        state.groups = vec!["sre".to_owned()];
        state.pending = 1;
    });
    let (code, out, err) = terminal.run(login).await;
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("WDJB-MJHT"), "{err}");
    assert!(err.contains("oidc:ada@example.org"), "{err}");
    let mode = std::fs::metadata(&terminal.config).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    let kept = terminal.kept();
    for secret in ["again", "eyJ"] {
        assert!(kept.contains(secret));
        assert!(!out.contains(secret) && !err.contains(secret));
    }
    let out = terminal.says(&["hub", "-o", "json"]).await;
    assert!(out.contains("oidc:ada@example.org"), "{out}");
    assert_eq!(refreshed(issuer), None);
}

/// The token expires: the next command refreshes it, and stores the new one.
async fn assert_an_ended_token_is_refreshed(terminal: &Terminal, issuer: &Issuer) {
    let kept = terminal.kept();
    let token = kept.lines().find(|line| line.contains("idToken")).unwrap();
    let token = token
        .trim()
        .trim_start_matches("idToken:")
        .trim()
        .trim_matches('"');
    let old = issuer.token("ada@example.org", &["sre"], &[("exp", 1.into())]);
    std::fs::write(&terminal.config, kept.replace(token, &old)).unwrap();
    terminal.says(&["hub"]).await;
    assert_eq!(refreshed(issuer), Some(1));
    assert!(!terminal.kept().contains(&old));
}

/// A second hub with a certificate; each is selected by its name.
async fn assert_each_hub_is_asked_by_name(terminal: &Terminal, second: &TestHub) {
    let file = second.context("bob").unwrap();
    let file = file.to_str().unwrap();
    terminal
        .says(&["context", "import", file, "--name", "there"])
        .await;
    let (_, out, _) = terminal.run(&["context", "list", "-o", "json"]).await;
    let listed: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(listed[0]["name"], "here");
    assert_eq!(listed[0]["current"], true);
    assert_eq!(listed[1]["by"], "certificate");
    let there = terminal.says(&["hub", "--context", "there"]).await;
    assert!(there.contains("bob"));
    let here = terminal.says(&["hub"]).await;
    assert!(here.contains("ada@example.org"));
}

/// The second hub's context becomes the current one, renews its certificate, and is deleted.
async fn assert_a_context_is_used_renewed_and_removed(terminal: &Terminal) {
    terminal.says(&["context", "use", "there"]).await;
    assert!(terminal.says(&["hub"]).await.contains("bob"));
    // Renewal makes a new key and certificate.
    let before = terminal.kept();
    terminal.says(&["context", "renew"]).await;
    assert_ne!(before, terminal.kept());
    assert!(terminal.says(&["hub"]).await.contains("bob"));
    terminal.says(&["context", "remove", "there"]).await;
    let (code, _, err) = terminal.run(&["hub", "--context", "there"]).await;
    assert_eq!(code, 2);
    assert!(err.contains("contexts: here"), "{err}");
}

/// A file with a hub's roots.
fn bundle(hub: &TestHub) -> PathBuf {
    let bundle = hub.root().join("bundle.pem");
    std::fs::write(&bundle, hub.enrolled.trust_bundle()).unwrap();
    bundle
}

/// A hub without OIDC refuses logins with a clear message.
async fn assert_told_where_nobody_logs_in(terminal: &Terminal, second: &TestHub) {
    let bundle = bundle(second);
    let address = second.address.to_string();
    let login = [
        "login",
        &address,
        "--trust-bundle",
        bundle.to_str().unwrap(),
    ];
    let (code, _, err) = terminal.run(&login).await;
    assert_eq!(code, 2);
    assert!(err.contains("use certificates"), "{err}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e13_a_person_logs_in_and_stays_in_without_a_secret_in_sight() {
    let issuer = Issuer::start().await.unwrap();
    let first = hub().issuer(&issuer, GRANTS).start().await.unwrap();
    let bundle = bundle(&first);
    let bundle = bundle.to_str().unwrap();
    let address = first.address.to_string();
    let terminal = Terminal::new(first.root()).await;

    assert_told_how_to_log_in(&terminal, &address).await;
    let login = [
        "login",
        &address,
        "--trust-bundle",
        bundle,
        "--name",
        "here",
    ];
    assert_others_are_kept_out(&terminal, &issuer, &login).await;
    assert_logs_in(&terminal, &issuer, &login).await;
    assert_an_ended_token_is_refreshed(&terminal, &issuer).await;
    // A hub without OIDC: its operators have certificates.
    let second = hub().start().await.unwrap();
    assert_each_hub_is_asked_by_name(&terminal, &second).await;
    assert_a_context_is_used_renewed_and_removed(&terminal).await;
    assert_told_where_nobody_logs_in(&terminal, &second).await;
}
