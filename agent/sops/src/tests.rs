//! Cases that no published file covers: files sealed here, with the data key of a file written by sops.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use aes_gcm::aead::consts::U32;
use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{AesGcm, Nonce, aes::Aes256};

use super::*;

const FILE: &str = include_str!("../tests/files/secret.yaml");
const KEY: &str = "AGE-SECRET-KEY-10U7MAELH09KZU63F65P2TYLN7TQM5X6GSDDCQ4YMUGDS3DS6XZMSTYY2PN";
const TIME: &str = "2026-01-02T03:04:05Z";

struct Sealer {
    key: Zeroizing<Vec<u8>>,
    armour: String,
    nonce: std::cell::Cell<u8>,
}

impl Sealer {
    fn new() -> Self {
        let (_, metadata) = tree_with_metadata(FILE, Scalars::Yaml).unwrap();
        let armour = metadata["age"][0]["enc"].as_str().unwrap().to_owned();
        let key = age::decrypt(&armour, &keys()).unwrap();
        Self {
            key,
            armour,
            nonce: 0.into(),
        }
    }

    fn seal(&self, plain: impl AsRef<[u8]>, kind: &str, context: &str) -> String {
        self.nonce.set(self.nonce.get() + 1);
        let iv = [self.nonce.get(); 32];
        let cipher = AesGcm::<Aes256, U32>::new_from_slice(&self.key).unwrap();
        let payload = Payload {
            msg: plain.as_ref(),
            aad: context.as_bytes(),
        };
        let sealed = cipher.encrypt(&Nonce::<U32>::from(iv), payload).unwrap();
        let (data, tag) = sealed.split_at(sealed.len() - 16);
        let [data, iv, tag] = [data, &iv, tag].map(|bytes| STANDARD.encode(bytes));
        format!("ENC[AES256_GCM,data:{data},iv:{iv},tag:{tag},type:{kind}]")
    }

    /// The MAC over these bytes.
    fn mac(&self, bytes: &[u8]) -> String {
        let sum = digest::digest(&digest::SHA512, bytes);
        let sum: String = sum
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect();
        self.seal(sum, "str", TIME)
    }

    /// The metadata of a YAML file, with further lines.
    fn metadata(&self, mac: &str, more: &str) -> String {
        let armour = serde_json::to_string(&self.armour).unwrap();
        format!("sops:\n  age: [{{enc: {armour}}}]\n  lastmodified: '{TIME}'\n  mac: {mac}\n{more}")
    }
}

fn keys() -> Vec<Identity> {
    Identity::read_all(KEY).unwrap()
}

fn open(file: &str, format: Format) -> Result<String, Error> {
    let bytes = decrypt(file.as_bytes(), &keys(), format)?;
    Ok(String::from_utf8(bytes.to_vec()).unwrap())
}

#[test]
fn every_type_of_value_is_read_as_sops_reads_it() {
    let sealer = Sealer::new();
    let values = [
        ("text", "yes", "str"),
        ("whole", "-12", "int"),
        ("float", "1.5", "float"),
        ("rounded", "3", "float"),
        ("yes", "True", "bool"),
        ("no", "false", "bool"),
        ("time", "2020-01-01T00:00:00Z", "time"),
        ("bytes", "abc", "bytes"),
    ];
    let mut file = String::new();
    let mut mac = String::new();
    for (name, plain, kind) in values {
        let sealed = sealer.seal(plain, kind, &format!("{name}:"));
        file.push_str(&format!("{name}: {sealed}\n"));
        mac.push_str(if plain == "false" { "False" } else { plain });
    }
    // Empty text and null are not encrypted; a value is bound to its keys and not to its index in a list.
    file.push_str("empty: ''\nnothing: null\nlist:\n");
    for plain in ["x", "y"] {
        file.push_str(&format!(
            "  - name: {}\n",
            sealer.seal(plain, "str", "list:name:")
        ));
        mac.push_str(plain);
    }
    file.push_str(&sealer.metadata(&sealer.mac(mac.as_bytes()), ""));
    let opened: Value =
        flotilla_yaml::config::from_str("f", &open(&file, Format::Yaml).unwrap()).unwrap();
    assert_eq!(
        opened,
        serde_json::json!({
            "text": "yes", "whole": -12, "float": 1.5, "rounded": 3, "yes": true, "no": false,
            "time": "2020-01-01T00:00:00Z", "bytes": "abc", "empty": "", "nothing": null,
            "list": [{"name": "x"}, {"name": "y"}],
        })
    );
}

#[test]
fn what_is_left_in_the_clear_counts_for_the_mac_as_yaml_v3_reads_it() {
    let sealer = Sealer::new();
    let clear = "on: yes\noctal: 014\nhex: 0x10\nfloat: 1e3\nday: 2020-1-2\n\
                 time: 2020-01-02T03:04:05.500+02:00\nspace: 2020-01-02 03:04:05\nport: 8080\n\
                 word: 2020-x\nbool: TRUE\n";
    let mac = "yes12161000".to_owned()
        + "2020-01-02T00:00:00Z2020-01-02T03:04:05.5+02:002020-01-02T03:04:05Z80802020-xTrue";
    let sealed = sealer.seal("s", "str", "data:");
    let rule = "  encrypted_regex: ^data$\n";
    let file = |mac: &str| format!("{clear}data: {sealed}\n{}", sealer.metadata(mac, rule));
    let opened = open(
        &file(&sealer.mac(format!("{mac}s").as_bytes())),
        Format::Yaml,
    )
    .unwrap();
    let opened: Value = flotilla_yaml::config::from_str("f", &opened).unwrap();
    assert_eq!(opened["on"], "yes");
    assert_eq!(opened["data"], "s");
    assert_eq!(opened["float"], 1000.0);
    assert_eq!(
        open(&file(&sealer.mac(b"s")), Format::Yaml),
        Err(Error::Mac)
    );
}

#[test]
fn a_mac_over_encrypted_values_alone_is_never_one_over_all() {
    let sealer = Sealer::new();
    let sealed = sealer.seal("s", "str", "data:");
    let rule = "  encrypted_regex: ^data$\n  mac_only_encrypted: true\n";
    let file = |mac: &[u8]| {
        format!(
            "a: b\ndata: {sealed}\n{}",
            sealer.metadata(&sealer.mac(mac), rule)
        )
    };
    let begin = [&MAC_ONLY_ENCRYPTED[..], b"s"].concat();
    assert!(open(&file(&begin), Format::Yaml).is_ok());
    assert_eq!(open(&file(b"s"), Format::Yaml), Err(Error::Mac));
}

#[test]
fn rules_choose_what_is_encrypted() {
    let sealer = Sealer::new();
    let metadata = |rule: &str| serde_json::json!({ rule.split_once('=').unwrap().0: rule.split_once('=').unwrap().1 });
    for (rule, path, encrypted) in [
        ("unencrypted_suffix=_plain", "a.b_plain.c", false),
        ("unencrypted_suffix=_plain", "a.b", true),
        ("encrypted_suffix=_secret", "a_secret.b", true),
        ("encrypted_suffix=_secret", "a.b", false),
        ("unencrypted_regex=^kind$", "kind", false),
        ("unencrypted_regex=^kind$", "kinds", true),
        ("encrypted_regex=^(data|stringData)$", "stringData.x", true),
        (
            "encrypted_regex=^(data|stringData)$",
            "metadata.name",
            false,
        ),
    ] {
        let rules = Rules::read(&metadata(rule), Format::Yaml).unwrap();
        let path: Vec<String> = path.split('.').map(str::to_owned).collect();
        assert_eq!(rules.encrypts(&path), encrypted, "{rule} {path:?}");
    }
    for refused in ["encrypted_comment_regex=x", "encrypted_regex=("] {
        assert!(Rules::read(&metadata(refused), Format::Yaml).is_err());
    }
    let sealed = sealer.seal("s", "str", "a:");
    let file = format!(
        "a: {sealed}\n{}  key_groups: [{{}}]\n",
        sealer.metadata(&sealer.mac(b"s"), "")
    );
    assert!(matches!(open(&file, Format::Yaml), Err(Error::DataKey(_))));
}

#[test]
fn several_documents_have_one_mac() {
    let sealer = Sealer::new();
    let (one, two) = (sealer.seal("1", "str", "a:"), sealer.seal("2", "str", "a:"));
    let metadata = sealer.metadata(&sealer.mac(b"12"), "");
    let file = |one: &str, two: &str| format!("a: {one}\n{metadata}---\na: {two}\n{metadata}");
    let opened = open(&file(&one, &two), Format::Yaml).unwrap();
    assert_eq!(opened, "a: '1'\n---\na: '2'\n");
    assert_eq!(open(&file(&two, &one), Format::Yaml), Err(Error::Mac));
    let bare = format!("a: {one}\n{metadata}---\na: {two}\n");
    assert!(matches!(open(&bare, Format::Yaml), Err(Error::Metadata(_))));
}

#[test]
fn a_binary_file_may_hold_anything_and_no_other_may() {
    let sealer = Sealer::new();
    let bytes = [0xff, 0, 0xfe, b'x'];
    let sealed = sealer.seal(bytes, "str", "data:");
    let file = format!(
        "data: {sealed}\n{}",
        sealer.metadata(&sealer.mac(&bytes), "")
    );
    let opened = decrypt(file.as_bytes(), &keys(), Format::Binary).unwrap();
    assert_eq!(*opened, bytes);
    assert_eq!(
        open(&file, Format::Yaml),
        Err(Error::Value("data".to_owned()))
    );
}

#[test]
fn numbers_of_json_are_floating() {
    let sealer = Sealer::new();
    let sealed = sealer.seal("2", "float", "data:");
    let metadata = serde_json::json!({
        "age": [{"enc": sealer.armour}], "lastmodified": TIME, "mac": sealer.mac(b"801.52"),
        "encrypted_regex": "^data$",
    });
    let file = format!(
        "{{\n\t\"port\": 80,\n\t\"half\": 1.5,\n\t\"data\": \"{sealed}\",\n\t\"sops\": {metadata}\n}}"
    );
    assert_eq!(
        open(&file, Format::Json).unwrap(),
        r#"{"data":2,"half":1.5,"port":80}"#
    );
    assert!(matches!(open(&file, Format::Ini), Err(Error::Syntax(_))));
}

#[test]
fn comments_in_lists_are_dropped_and_are_never_values() {
    let sealer = Sealer::new();
    let [note, one, two] = [("why", "comment"), ("1", "str"), ("2", "str")]
        .map(|(plain, kind)| sealer.seal(plain, kind, "list:"));
    let metadata = sealer.metadata(&sealer.mac(b"12"), "");
    let file = format!("list:\n- {note}\n- {one}\n- {note}\n- {two}\n{metadata}");
    let opened = open(&file, Format::Yaml).unwrap();
    assert_eq!(opened, "list:\n- '1'\n- '2'\n");
    // In the place of a value, a comment would remove that value without a trace in the MAC.
    let file = format!("list: {note}\n{}", sealer.metadata(&sealer.mac(b""), ""));
    let place = Error::Value("list".to_owned());
    assert_eq!(open(&file, Format::Yaml), Err(place));
}

#[test]
fn days_that_no_month_has_are_text() {
    let sealer = Sealer::new();
    let sealed = sealer.seal("s", "str", "data:");
    for (day, read) in [
        ("2024-02-29", "2024-02-29T00:00:00Z"),
        ("2023-02-29", "2023-02-29"),
        ("1900-2-29", "1900-2-29"),
        ("2000-2-29", "2000-02-29T00:00:00Z"),
        ("2023-04-31", "2023-04-31"),
    ] {
        let mac = sealer.mac(format!("{read}s").as_bytes());
        let metadata = sealer.metadata(&mac, "  encrypted_regex: (?i)^DATA$\n");
        let file = format!("day: {day}\ndata: {sealed}\n{metadata}");
        let opened = open(&file, Format::Yaml).unwrap();
        assert!(opened.contains(read), "{day}: {opened}");
    }
}
