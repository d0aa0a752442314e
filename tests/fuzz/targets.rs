//! Properties of parsers of untrusted bytes, one function per parser. They check more than the absence of panics:
//! accepted input is parsed the same way twice, stays within limits, and proves what it should.

mod charts;
mod helm;
mod rendered;
mod said;

use std::str::FromStr;

use flotilla_hub::authority::Request;
use flotilla_hub::serve::webhook::{self, Provider};
use flotilla_proto::v1;
use flotilla_shared::revision::{BranchName, Commit, RepositoryUrl, TreePath};
use flotilla_shared::wire;
use flotilla_sops::{Format, Identity};
use flotilla_trust::{Keyring, PinnedKey};
use http::{HeaderMap, HeaderValue};
use prost::Message as _;

/// URLs, paths, branches and commits as in assignments and files.
pub(crate) fn urls(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for line in text.lines() {
        stable::<RepositoryUrl>(line);
        stable::<TreePath>(line);
        stable::<BranchName>(line);
        stable::<Commit>(line);
        if let Ok(url) = line.parse::<RepositoryUrl>() {
            let text = url.as_str();
            assert!(
                text.bytes()
                    .all(|b| b.is_ascii_graphic() && b != b'\'' && b != b'\\')
            );
            let (scheme, rest) = text.split_once("://").expect("it has a scheme");
            assert!(matches!(scheme, "https" | "http" | "ssh" | "file"));
            assert!(!rest.starts_with('-') && !url.authority().contains('@'));
            assert!(
                !rest
                    .split('/')
                    .any(|part| part == ".." || part.starts_with('-'))
            );
        }
        if let Ok(path) = line.parse::<TreePath>() {
            let text = path.as_str();
            assert!(!text.starts_with('/') && !text.split('/').any(|part| part == ".."));
            assert!(
                !text
                    .split('/')
                    .any(|part| part.eq_ignore_ascii_case(".git"))
            );
        }
    }
}

/// Accepted input, printed, is accepted again and equal.
fn stable<T: FromStr + ToString + PartialEq + std::fmt::Debug>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        let again = value.to_string().parse::<T>();
        assert_eq!(again.ok().as_ref(), Some(&value), "{text:?}");
    }
}

/// YAML documents; what the project writes of them parses to the same value.
pub(crate) fn yaml(data: &[u8]) {
    let limits = flotilla_yaml::Limits {
        bytes: 1 << 20,
        nodes: 20_000,
        ..flotilla_yaml::Limits::default()
    };
    let Ok(documents) = flotilla_yaml::parse_documents_bytes(data, &limits) else {
        return;
    };
    for document in documents {
        let text = flotilla_yaml::to_string(&document.value);
        let again = flotilla_yaml::parse_documents(&text, &flotilla_yaml::Limits::default());
        let again = again.unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(again.len(), 1, "{text}");
        assert_eq!(again[0].value, document.value, "{text}");
    }
}

pub(crate) use charts::{chart_index, chart_registry};
pub(crate) use helm::{helm_archive, helm_schema, helm_semver, helm_template, helm_values};
pub(crate) use rendered::render;

/// The fleet file.
pub(crate) fn fleet(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Err(errors) = flotilla_hub::spec::parse("fleet.yaml", &text) {
        assert!(!errors.is_empty());
    }
}

/// The assignment message and its content, as sent by the hub.
pub(crate) fn assignment(data: &[u8]) {
    if let Ok(message) = v1::Assignment::decode(data) {
        let _ = wire::decode_assignment(&message);
    }
    let message = v1::Assignment {
        digest: flotilla_shared::digest::Digest::of(data)
            .as_bytes()
            .to_vec(),
        content: data.to_vec().into(),
    };
    if let Ok(decoded) = wire::decode_assignment(&message) {
        let encoded = wire::encode_assignment(&decoded.assignment);
        let again = wire::decode_assignment(&encoded).expect("our own is taken");
        assert_eq!(again.assignment, decoded.assignment);
    }
}

/// A certificate request.
pub(crate) fn request(data: &[u8]) {
    if let Ok(request) = Request::from_der(data) {
        assert_eq!(request.fingerprint.len(), 64);
    }
}

/// A signed commit, SSH or OpenPGP.
pub(crate) fn signatures(data: &[u8]) {
    let key = |name: &str| PinnedKey {
        name: name.to_owned(),
        ssh: (name == "ssh").then(|| include_str!("keys/ssh.pub").to_owned()),
        openpgp: (name == "openpgp").then(|| include_str!("keys/openpgp.asc").to_owned()),
        valid_from: None,
        valid_until: None,
        revoked: false,
    };
    let keyring = Keyring::new(&[key("ssh"), key("openpgp")]).expect("our own keys are taken");
    let names = ["ssh".to_owned(), "openpgp".to_owned()];
    let seen = jiff::Timestamp::from_second(1_800_000_000).expect("a moment");
    if let Ok(name) = keyring.commit(data, &names, seen) {
        // A signature covers the whole commit: with a byte appended no key may verify it.
        assert!(names.iter().any(|known| known == name));
        let changed = [data, b"x"].concat();
        assert!(keyring.commit(&changed, &names, seen).is_err());
    }
    let _ = keyring.detached(data, "git", b"payload", &names, seen);
    let _ = Keyring::new(&[PinnedKey {
        ssh: Some(String::from_utf8_lossy(data).into_owned()),
        ..key("line")
    }]);
    let _ = Keyring::new(&[PinnedKey {
        openpgp: Some(String::from_utf8_lossy(data).into_owned()),
        ..key("block")
    }]);
}

/// A webhook: the first line is the signature, the rest the body.
pub(crate) fn webhook(data: &[u8]) {
    let line = data
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(data.len());
    let (signature, body) = data.split_at(line);
    let body = body.get(1..).unwrap_or_default();
    let Ok(signature) = HeaderValue::from_bytes(signature) else {
        return;
    };
    for (provider, header) in [
        (Provider::GitHub, "x-hub-signature-256"),
        (Provider::GitLab, "x-gitlab-token"),
        (Provider::Gitea, "x-gitea-signature"),
        (Provider::Bitbucket, "x-hub-signature"),
    ] {
        let headers: HeaderMap = [(header.parse().expect("a header's name"), signature.clone())]
            .into_iter()
            .collect();
        // The input was not made with this secret, so verification must fail.
        let verdict = webhook::verify(provider, &[7; 32], &headers, body);
        assert!(verdict.is_err() || signature.as_bytes() == [7; 32]);
    }
    if let Ok(body) = serde_json::from_slice(body) {
        for name in webhook::names(&body) {
            let _ = webhook::same_repository(&name, "https://git.example.com/team/fleet.git");
        }
    }
}

/// A SOPS file, in every format.
pub(crate) fn sops(data: &[u8]) {
    let keys = Identity::read_all(include_str!("keys/age.txt")).expect("our own key is taken");
    let _ = Identity::read_all(&String::from_utf8_lossy(data));
    for format in [
        Format::Yaml,
        Format::Json,
        Format::Dotenv,
        Format::Binary,
        Format::Ini,
    ] {
        if let Err(error) = flotilla_sops::decrypt(data, &keys, format) {
            assert!(!format!("{error} {error:?}").contains("AGE-SECRET-KEY"));
        }
    }
}

/// A Git server's answer to a request for a commit's directories.
pub(crate) fn trees(data: &[u8]) {
    use flotilla_git::{Access, Limits, Remote, TreeLimits};
    thread_local! {
        static REMOTE: (tempfile::TempDir, Remote) = {
            let directory = tempfile::tempdir().expect("a directory");
            let url = "file:///nowhere".parse().expect("a URL");
            let cache = directory.path().join("cache");
            let remote = Remote::open(&cache, url, Limits::default(), Access::default());
            (directory, remote.expect("an empty cache"))
        };
    }
    let limits = TreeLimits {
        pack_bytes: 1 << 20,
        objects: 2_000,
        object_bytes: 1 << 20,
        bytes: 4 << 20,
        directories: 500,
    };
    let (commit, said, expected) = match said::recorded(data) {
        Some((commit, said)) => (commit, said.to_vec(), None),
        None => said::made(data, limits.directories, Limits::default().tree_depth),
    };
    let read = |said: Vec<u8>| {
        REMOTE.with(|(_, remote)| remote.directories_said(&commit, &limits, said).ok())
    };
    let found = read(said.clone());
    assert_eq!(found, read(said), "the same, read again");
    if let Some(found) = &found {
        assert!(found.get(".").is_some() && found.len() <= limits.directories);
    }
    if let Some(expected) = expected {
        assert_eq!(found, expected);
    }
}
