//! Files written by sops 3.9.0 and 3.10.2, and the effect of changes to them.
//!
//! The files and their keys are published test data of the Flux project (kustomize-controller,
//! `testdata/sops`, Apache-2.0), chosen because sops itself wrote them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use flotilla_sops::{Error, Format, Identity, decrypt, is_encrypted};

const KEYS: &str = "# created: 2025-07-06T17:30:37+01:00\n\n\
     AGE-SECRET-KEY-10U7MAELH09KZU63F65P2TYLN7TQM5X6GSDDCQ4YMUGDS3DS6XZMSTYY2PN\n";

const FILE: &str = include_str!("files/secret.yaml");

fn open(file: &str) -> Result<String, Error> {
    let keys = Identity::read_all(KEYS).unwrap();
    decrypt(file.as_bytes(), &keys, Format::Yaml)
        .map(|text| String::from_utf8(text.to_vec()).unwrap())
}

#[test]
fn a_file_of_sops_itself_is_opened_and_its_mac_fits() {
    assert!(is_encrypted(FILE.as_bytes()));
    let text = open(FILE).unwrap();
    assert!(!text.contains("ENC[") && !text.contains("sops"), "{text}");
    let value: serde_json::Value = flotilla_yaml::config::from_str("f", &text).unwrap();
    assert_eq!(value["metadata"]["name"], "global-age-secret");
    assert_eq!(value["stringData"]["key"].as_str().unwrap().len(), 12);
}

#[test]
fn patches_lines_and_binary_files_of_sops_are_opened() {
    let key = "AGE-SECRET-KEY-1RH87A5Z54ZGUR9S0AS3R6WHFSEFNPLYMAKF5Z2CEU7R06VRJ0A3Q7242AM";
    let keys = Identity::read_all(&format!("{KEYS}{key}\n")).unwrap();
    let open = |path: &str, file: &[u8]| decrypt(file, &keys, Format::of(path, file));
    let patch = open("a/patch.yaml", include_bytes!("files/patch.yaml")).unwrap();
    let patch = String::from_utf8(patch.to_vec()).unwrap();
    assert!(
        patch.contains("name: secret") && !patch.contains("ENC["),
        "{patch}"
    );
    let lines: &[u8] = include_bytes!("files/env.env");
    for path in ["env.env", "a/.env", "settings"] {
        let opened = open(path, lines).unwrap();
        assert!(opened.starts_with(b"key=") && opened.len() == 10, "{path}");
    }
    let file: &[u8] = include_bytes!("files/file.txt");
    assert_eq!(open("file.txt", file).unwrap().len(), 5);
    // Changed, or read as another format.
    for (from, to) in [
        ("key=", "kez="),
        ("3.9.0", "3.9.0\nmore=x"),
        ("13:33:42", "13:33:43"),
    ] {
        let changed = String::from_utf8_lossy(lines).replacen(from, to, 1);
        assert!(open("env.env", changed.as_bytes()).is_err(), "{from}");
    }
    assert!(open("file.env", file).is_err() && open("env.json", lines).is_err());
}

#[test]
fn whatever_was_changed_is_noticed() {
    for (from, to) in [
        // A value in the clear, a changed order, an addition, a removal.
        ("name: global-age-secret", "name: other"),
        (
            "apiVersion: v1\nkind: Secret\n",
            "kind: Secret\napiVersion: v1\n",
        ),
        ("type: Opaque\n", "type: Opaque\nimmutable: true\n"),
        ("  namespace: default\n", ""),
        // The time that the MAC is bound to, and the rule that says what it covers.
        ("17:19:51", "17:19:52"),
        ("^(data|stringData)$", "^(data)$"),
        (
            "  encrypted_regex: ^(data|stringData)$\n",
            "  mac_only_encrypted: true\n  encrypted_regex: ^(data|stringData)$\n",
        ),
        // The bytes of a value, and its key.
        ("data:5d9W", "data:5d9X"),
        ("  key: ENC", "  other: ENC"),
        ("type:str]\nsops", "type:int]\nsops"),
    ] {
        let changed = FILE.replacen(from, to, 1);
        assert_ne!(changed, FILE, "{from}");
        assert!(open(&changed).is_err(), "{from} -> {to}");
    }
}

#[test]
fn errors_name_no_secret() {
    let other = "AGE-SECRET-KEY-1QQQSYQCYQ5RQWZQFPG9SCRGWPUGPZYSNZS23V9CCRYDPK8QARC0JQEHAF0";
    for keys in [
        other.to_owned(),
        KEYS.replace("XZM", "XZN"),
        format!("{KEYS}nonsense\n"),
    ] {
        match Identity::read_all(&keys) {
            Ok(keys) => {
                let error = decrypt(FILE.as_bytes(), &keys, Format::Json).unwrap_err();
                assert!(matches!(error, Error::DataKey(_)), "{error}");
            }
            Err(error) => {
                let text = format!("{error} {error:?}");
                assert!(
                    !text.contains("AGE-SECRET") && !text.contains("nonsense"),
                    "{text}"
                );
            }
        }
    }
    assert_eq!(
        format!("{:?}", Identity::read_all(KEYS).unwrap()),
        "[Identity(..)]"
    );
    for broken in [
        "",
        "a: 1",
        "sops: {}",
        "a: [",
        "sops:\n  age: []\n  mac: x\n  lastmodified: y\n",
    ] {
        assert!(open(broken).is_err(), "{broken}");
    }
}
