//! Files of SOPS on their way from Git to manifests.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::path::Path;
use std::sync::Arc;

use flotilla_agent::policy::{Policy, Refusal};
use flotilla_agent::source::{Admission, ChartContext, DesiredApplication, Source};
use flotilla_git::Limits;
use flotilla_needs::git;
use flotilla_shared::assignment::ApplicationAssignment;
use flotilla_shared::reason::Reason;
use flotilla_shared::revision::Revision;

const SEALED: &str = include_str!("../../tests/tests/secrets/sealed.yaml");
const LINES: &str = include_str!("../sops/tests/files/env.env");
const BINARY: &str = include_str!("../sops/tests/files/file.txt");
const OTHER: &str = "AGE-SECRET-KEY-1RH87A5Z54ZGUR9S0AS3R6WHFSEFNPLYMAKF5Z2CEU7R06VRJ0A3Q7242AM\n";
const KEY: &str = "AGE-SECRET-KEY-10U7MAELH09KZU63F65P2TYLN7TQM5X6GSDDCQ4YMUGDS3DS6XZMSTYY2PN\n";

async fn render(root: &Path, path: &str, keys: Option<&Path>) -> Result<String, Refusal> {
    let work = root.join("work");
    let trust = Admission::open(&root.join("data"), Arc::new(Policy::default()), None).unwrap();
    let source = Source::new(root.join("git"), Limits::default(), None, Arc::new(trust))
        .with_age_keys(keys.map(Path::to_owned));
    let desired = DesiredApplication {
        name: "app".parse().unwrap(),
        cluster: "c1".parse().unwrap(),
        application: ApplicationAssignment::new(
            Revision {
                repository: "fleet".parse().unwrap(),
                branch: "main".parse().unwrap(),
                commit: git(&work, &["rev-parse", "HEAD"]).parse().unwrap(),
            },
            format!("file://{}", work.display()).parse().unwrap(),
            path.parse().unwrap(),
        ),
        approvals: Vec::new(),
        facts: None,
    };
    let rendered = source.render(&desired, ChartContext::default()).await?;
    Ok(format!("{:?}", rendered.manifests))
}

#[tokio::test]
async fn g04_sealed_files_open_with_the_key_of_the_moment() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let work = root.join("work");
    for (path, content) in [
        ("plain/secret.yaml", SEALED),
        ("kustomize/secret.yaml", SEALED),
        (
            "kustomize/kustomization.yaml",
            "resources: [secret.yaml]\nnamePrefix: x-\nsecretGenerator: [{name: g, files: [secret.yaml]}]\n",
        ),
        ("generator/.env.sealed", LINES),
        ("generator/file", BINARY),
        (
            "generator/kustomization.yaml",
            "secretGenerator: [{name: g, envs: [.env.sealed], files: [file]}]\n",
        ),
        (
            "changed/secret.yaml",
            &SEALED.replacen("type: Opaque", "type: Other", 1),
        ),
        (
            "open/a.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
        ),
    ] {
        std::fs::create_dir_all(work.join(path).parent().unwrap()).unwrap();
        std::fs::write(work.join(path), content).unwrap();
    }
    git(&work, &["init", "-q", "-b", "main", "."]);
    git(&work, &["add", "-A"]);
    git(&work, &["commit", "-q", "-m", "sealed"]);
    let keys = root.join("keys");
    std::fs::create_dir(&keys).unwrap();

    for none in [None, Some(keys.as_path())] {
        let refusal = render(root, "plain", none).await.unwrap_err();
        assert_eq!(
            refusal.reason,
            Reason::DecryptionFailed,
            "{}",
            refusal.message
        );
        // A missing key affects only the part of the repository that needs it.
        assert!(render(root, "open", none).await.is_ok());
    }
    // Once the Secret is mounted, the next attempt decrypts the file.
    std::fs::write(keys.join("a.agekey"), KEY).unwrap();
    for path in ["plain", "kustomize"] {
        let rendered = render(root, path, Some(&keys)).await.unwrap();
        assert!(!rendered.contains("ENC["), "{path}");
        assert!(rendered.contains("global-age-secret"), "{path}");
    }
    // Files that are not manifests. The second key comes with a rotation, and the first one stays valid.
    let refusal = render(root, "generator", Some(&keys)).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::DecryptionFailed);
    std::fs::write(keys.join("b.agekey"), OTHER).unwrap();
    let rendered = render(root, "generator", Some(&keys)).await.unwrap();
    assert!(!rendered.contains("RU5D") && !rendered.contains("ENC["));
    assert!(
        rendered.contains("\"key\"") && rendered.contains("\"file\""),
        "{rendered}"
    );
    let refusal = render(root, "changed", Some(&keys)).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::DecryptionFailed);
    assert!(refusal.message.contains("MAC"), "{}", refusal.message);
}
