//! Differential test: files that an installed `sops` encrypts are decrypted by it and by the agent, and the results
//! are compared.
//!
//! The program is `FLOTILLA_SOPS` or on the search path. `FLOTILLA_SOPS_RUNS` (20) is the number of random files,
//! `FLOTILLA_SOPS_SEED` selects them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use flotilla_sops::{Error, Format, Identity, decrypt, is_encrypted};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;

/// Published test keys, as in `agent/sops/tests/vectors.rs`, and their recipients.
const KEYS: [(&str, &str); 2] = [
    (
        "AGE-SECRET-KEY-10U7MAELH09KZU63F65P2TYLN7TQM5X6GSDDCQ4YMUGDS3DS6XZMSTYY2PN",
        "age1henwn645drkd3fa34t27t2w2x0nsgw3w4h62gmg5x5xflyjpy38s5cncph",
    ),
    (
        "AGE-SECRET-KEY-1RH87A5Z54ZGUR9S0AS3R6WHFSEFNPLYMAKF5Z2CEU7R06VRJ0A3Q7242AM",
        "age1l44xcng8dqj32nlv6d930qvvrny05hglzcv9qpc7kxjc6902ma4qufys29",
    ),
];

struct Sops {
    program: PathBuf,
    directory: tempfile::TempDir,
}

impl Sops {
    fn find() -> Option<Self> {
        let program = flotilla_needs::program("sops", Some("FLOTILLA_SOPS"), &["sops"])?;
        let directory = tempfile::tempdir().unwrap();
        let keys = KEYS.map(|(key, _)| format!("{key}\n")).concat();
        std::fs::write(directory.path().join("keys"), keys).unwrap();
        Some(Self { program, directory })
    }

    fn run(&self, arguments: &[&str], file: &Path) -> Result<Vec<u8>, String> {
        let output = Command::new(&self.program)
            .env_clear()
            .env("HOME", self.directory.path())
            .env("SOPS_AGE_KEY_FILE", self.directory.path().join("keys"))
            .current_dir(self.directory.path())
            .args(arguments)
            .arg(file)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        output.status.success().then_some(output.stdout).ok_or(text)
    }

    /// Encrypts a file with this content; the file remains.
    fn seal(&self, name: &str, plain: &[u8], rules: &[&str]) -> Result<Vec<u8>, String> {
        let file = self.directory.path().join(name);
        std::fs::write(&file, plain).unwrap();
        let mut rule = format!("age: '{},{}'\n", KEYS[0].1, KEYS[1].1);
        for line in rules {
            rule.push_str(&format!("    {line}\n"));
        }
        let config = self.directory.path().join(".sops.yaml");
        std::fs::write(config, format!("creation_rules:\n  - {rule}")).unwrap();
        let sealed = self.run(&["encrypt"], &file)?;
        std::fs::write(&file, &sealed).unwrap();
        Ok(sealed)
    }

    fn open(&self, name: &str) -> Result<Vec<u8>, String> {
        self.run(&["decrypt"], &self.directory.path().join(name))
    }
}

fn keys(which: std::ops::Range<usize>) -> Vec<Identity> {
    let text = KEYS[which].iter().map(|(key, _)| format!("{key}\n"));
    Identity::read_all(&text.collect::<String>()).unwrap()
}

fn ours(name: &str, sealed: &[u8], which: std::ops::Range<usize>) -> Result<Vec<u8>, Error> {
    assert!(is_encrypted(sealed), "{name}");
    let format = Format::of(name, sealed);
    decrypt(sealed, &keys(which), format).map(|plain| plain.to_vec())
}

/// The parsed text of a format, without layout and comments.
fn meaning(name: &str, text: &[u8]) -> Vec<Value> {
    match Format::of(name, text) {
        Format::Yaml => {
            let limits = flotilla_yaml::Limits::default();
            let documents = flotilla_yaml::parse_documents_bytes(text, &limits).unwrap();
            documents
                .into_iter()
                .map(|document| document.value)
                .collect()
        }
        Format::Json => {
            let value: Value = serde_json::from_slice(text).unwrap();
            // As a YAML reader takes it: whole numbers without a fraction.
            let limits = flotilla_yaml::Limits::default();
            let text = flotilla_yaml::to_string(&value);
            let documents = flotilla_yaml::parse_documents(&text, &limits).unwrap();
            documents
                .into_iter()
                .map(|document| document.value)
                .collect()
        }
        Format::Dotenv => {
            let text = String::from_utf8(text.to_vec()).unwrap();
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            lines.map(|line| Value::from(line.to_owned())).collect()
        }
        _ => text.iter().map(|byte| Value::from(*byte)).collect(),
    }
}

/// The results for the files of one test.
#[derive(Default)]
struct Tally {
    equal: usize,
    /// Files that sops cannot decrypt although it made them. The agent refuses them, too.
    neither: usize,
    wrong: Vec<String>,
}

impl Tally {
    /// Decrypts a file with either key and with both, by both programs, and compares the results.
    fn check(&mut self, sops: &Sops, name: &str, plain: &[u8], rules: &[&str]) {
        let place = || format!("{name} {rules:?}: {}", String::from_utf8_lossy(plain));
        let sealed = sops.seal(name, plain, rules);
        let sealed = sealed.unwrap_or_else(|text| panic!("{}: {text}", place()));
        let without = ours(name, &sealed, 0..0);
        if !matches!(without, Err(Error::DataKey(_))) {
            self.wrong
                .push(format!("{}: without a key: {without:?}", place()));
        }
        let theirs = match sops.open(name) {
            Ok(theirs) => meaning(name, &theirs),
            Err(text) if ours(name, &sealed, 0..2).is_err() => {
                eprintln!("{}: sops says {text}", place());
                self.neither += 1;
                return;
            }
            Err(text) => {
                self.wrong.push(format!("{}: sops says {text}", place()));
                return;
            }
        };
        for which in [0..1, 1..2, 0..2] {
            match ours(name, &sealed, which).map(|opened| meaning(name, &opened)) {
                Ok(ours) if ours == theirs => self.equal += 1,
                Ok(ours) => {
                    let differ: Vec<_> = ours.iter().zip(&theirs).filter(|(a, b)| a != b).collect();
                    self.wrong.push(format!("{}: {differ:?}", place()));
                }
                Err(error) => self.wrong.push(format!("{}: {error}", place())),
            }
        }
    }

    fn finish(self) {
        eprintln!("{} equal, {} opened by neither", self.equal, self.neither);
        assert!(
            self.wrong.is_empty(),
            "{} wrong:\n{}",
            self.wrong.len(),
            self.wrong.join("\n")
        );
    }
}

const SECRET: &str = "# says what it is\napiVersion: v1\nkind: Secret\nmetadata:\n  name: web # here\n  \
     labels: {tier: front, shown_plain: 'yes'}\nstringData:\n  # for the database\n  password: 'a: b'\n  \
     port: \"5432\"\n  token_secret: \"\"\nimmutable: true\n# the end\n";

#[test]
fn every_rule_chooses_the_same_values() {
    let Some(sops) = Sops::find() else { return };
    let mut tally = Tally::default();
    for rules in [
        &[][..],
        &["encrypted_regex: '^(data|stringData)$'"],
        &[
            "encrypted_regex: '^(data|stringData)$'",
            "mac_only_encrypted: true",
        ],
        &["unencrypted_regex: '^(apiVersion|kind|metadata|type)$'"],
        &["unencrypted_suffix: '_plain'"],
        &["unencrypted_suffix: '_plain'", "mac_only_encrypted: true"],
        &["encrypted_suffix: '_secret'"],
        &["encrypted_regex: '(?i)^STRING\\w+$'"],
    ] {
        tally.check(&sops, "secret.yaml", SECRET.as_bytes(), rules);
        let json = r#"{"stringData": {"a": "b", "n": 1.5, "x_plain": true}, "kind": "Secret", "l": [1, null, "z"]}"#;
        tally.check(&sops, "secret.json", json.as_bytes(), rules);
    }
    // What is not supported is refused with a message, rather than decrypted wrongly.
    for rule in [
        "encrypted_comment_regex: for",
        "unencrypted_comment_regex: for",
    ] {
        let sealed = sops
            .seal("secret.yaml", SECRET.as_bytes(), &[rule])
            .unwrap();
        assert!(matches!(
            ours("secret.yaml", &sealed, 0..2),
            Err(Error::Metadata(_))
        ));
    }
    tally.finish();
}

#[test]
fn scalars_and_documents_of_yaml_are_read_the_same() {
    let Some(sops) = Sops::find() else { return };
    let mut tally = Tally::default();
    let long = "0123456789abcdef".repeat(1_000);
    for plain in [
        "a: 1\n---\nb: 2\n---\nc: [x, {y: z}]\n".to_owned(),
        "# first\na: 1\n---\n# second\nb: 2\n# last\n".to_owned(),
        "---\na: 1\n".to_owned(),
        format!("long: {long}\n"),
        format!("folded: >-\n  {}\n", "word ".repeat(500).trim_end()),
        "block: |\n  one\n\n    two\n  three\nkept: |+\n  x\n\nstripped: |-\n  y\n".to_owned(),
        "empty: {}\nlist: []\nnone:\ntilde: ~\ntext: ''\nspace: ' '\n".to_owned(),
        "list:\n  # of two\n  - a # one\n  # between\n  - b\n  -\n  - - c\n    - [d, null]\n".to_owned(),
        "anchored: &a {x: 1, y: [2]}\nagain: *a\nlist: [*a, b]\n".to_owned(),
        "unicode: zażółć 🚢 𝕏 e\u{301}\ntab: \"a\\tb\"\nnul: \"a\\0b\"\nbom: \"\\ufeffx\"\n".to_owned(),
        "'8080': number\n'yes': word\n'null': nothing\n'2020-01-01': day\n'a: b': colon\n'': none\n".to_owned(),
        "CRLF: a\r\nsecond: b\r\n".to_owned(),
    ] {
        tally.check(&sops, "a.yaml", plain.as_bytes(), &[]);
        tally.check(&sops, "a.yml", plain.as_bytes(), &["encrypted_regex: '^(b|c|x)$'"]);
    }
    let merged = "anchored: &a {x: 1}\nmerged:\n  <<: *a\n  z: 3\n";
    let sealed = sops.seal("merged.yaml", merged.as_bytes(), &[]).unwrap();
    assert!(matches!(
        ours("merged.yaml", &sealed, 0..2),
        Err(Error::Syntax(why)) if why.contains("merge keys")
    ));
    tally.finish();
}

/// Plain scalars on which YAML parsers disagree.
const SCALARS: [&str; 74] = [
    "yes",
    "No",
    "on",
    "OFF",
    "y",
    "N",
    "true",
    "False",
    "TRUE",
    "tRUE",
    "null",
    "Null",
    "NULL",
    "~",
    "0",
    "-0",
    "+1",
    "-12",
    "007",
    "0777",
    "089",
    "0o17",
    "0x1F",
    "-0x1f",
    "0b101",
    "1_000",
    "1__0",
    "123456789012",
    "9007199254740993",
    "9223372036854775807",
    "-9223372036854775808",
    "1.0",
    "1.5",
    "-0.0",
    ".5",
    "5.",
    "1e3",
    "1E-3",
    "1.5e+10",
    "1e21",
    "1e-7",
    "6.02e23",
    "0.1",
    "123456.789012345",
    "1e400x",
    "0x",
    "1:30",
    "190:20:30",
    "12h",
    "100m",
    "1.2.3",
    "-x",
    "=x",
    "<<x",
    "2020-01-01",
    "2020-1-2",
    "2020-01-01T00:00:00Z",
    "2020-01-02T03:04:05.5+02:00",
    "2020-01-02 03:04:05",
    "2020-01-02t03:04:05Z",
    "2020-13-01",
    "2020-01-01T25:00:00Z",
    "2020-02-30",
    "'quoted'",
    "\"do\\nuble\"",
    "''",
    "'1'",
    "'true'",
    "'2020-01-01'",
    "word",
    "two words",
    "a#b",
    "http://x/y?z=1",
    "ENC",
];

#[test]
fn plain_scalars_are_read_the_same_sealed_and_in_the_clear() {
    let Some(sops) = Sops::find() else { return };
    let mut tally = Tally::default();
    for scalar in SCALARS {
        let plain = format!("sealed: {scalar}\nclear: {scalar}\n");
        let rules = ["encrypted_regex: '^sealed$'"];
        tally.check(&sops, "scalar.yaml", plain.as_bytes(), &rules);
    }
    tally.finish();
}

#[test]
fn json_dotenv_and_binary_files_are_read_the_same() {
    let Some(sops) = Sops::find() else { return };
    let mut tally = Tally::default();
    for plain in [
        r#"{"a": 1, "b": -2.5, "c": 1e3, "d": 123456789012, "e": true, "f": null, "g": "", "h": {}, "i": []}"#,
        r#"{"é": "\u00e9\ud83d\udea2\n\t\"\\", "nested": {"list": [{"x": [1, [2]]}, "y", false]}}"#,
        r#"{".dockerconfigjson": "{\"auths\":{\"r\":{\"auth\":\"eDp5\"}}}"}"#,
    ] {
        tally.check(&sops, "a.json", plain.as_bytes(), &[]);
        tally.check(
            &sops,
            "a.json",
            plain.as_bytes(),
            &["encrypted_regex: '^(b|x|e)$'"],
        );
    }
    for plain in [
        "A=1\nB=\nC=x=y\n# why\nD=two words\nE='quoted'\nF=\"double\"\n",
        "MULTI=a\\nb\nBACK=a\\\\b\nSPACE =x \nÜ=ü🚢\nexport Z=1\n",
        "CR=a\r\nLAST=no newline",
    ] {
        tally.check(&sops, "a.env", plain.as_bytes(), &[]);
        tally.check(
            &sops,
            ".env",
            plain.as_bytes(),
            &["encrypted_regex: '^(B|C|MULTI)$'"],
        );
    }
    let mut rng = StdRng::seed_from_u64(7);
    let noise: Vec<u8> = (0..5_000).map(|_| rng.random()).collect();
    for plain in [
        &b"text\n"[..],
        b"no newline",
        &[0xff, 0, 0xfe],
        b"\r\n\r\n",
        &noise,
        &[b'x'; 70_000],
    ] {
        tally.check(&sops, "a.bin", plain, &[]);
        tally.check(&sops, "name", plain, &[]);
    }
    tally.finish();
}

#[test]
fn files_made_up_at_random_are_read_the_same() {
    let Some(sops) = Sops::find() else { return };
    let mut tally = Tally::default();
    let number = |name: &str, otherwise: u64| {
        let set = std::env::var(name).ok();
        set.map_or(otherwise, |text| text.parse().expect("a number"))
    };
    let seed = number("FLOTILLA_SOPS_SEED", 20_261_121);
    let runs = number("FLOTILLA_SOPS_RUNS", 20);
    eprintln!("FLOTILLA_SOPS_SEED={seed}, {runs} files");
    let mut rng = StdRng::seed_from_u64(seed);
    for _ in 0..runs {
        let documents = rng.random_range(1..4);
        let texts: Vec<String> = (0..documents).map(|_| mapping(&mut rng, 0)).collect();
        let rules: &[&str] = match rng.random_range(0..6) {
            0 => &["encrypted_regex: '^k[0-3]'"],
            1 => &["unencrypted_regex: '^k[0-3]'"],
            2 => &["encrypted_suffix: '5'"],
            3 => &["unencrypted_suffix: '5'", "mac_only_encrypted: true"],
            4 => &["encrypted_regex: '^k[0-3]'", "mac_only_encrypted: true"],
            _ => &[],
        };
        tally.check(&sops, "random.yaml", texts.join("---\n").as_bytes(), rules);
    }
    tally.finish();
}

fn mapping(rng: &mut StdRng, depth: usize) -> String {
    let mut text = String::new();
    let indent = "  ".repeat(depth);
    for number in 0..rng.random_range(1..7) {
        if rng.random_ratio(1, 6) {
            text.push_str(&format!("{indent}# comment {number}\n"));
        }
        let key = format!("{indent}k{number}");
        match rng.random_range(0..8) {
            0 if depth < 4 => text.push_str(&format!("{key}:\n{}", mapping(rng, depth + 1))),
            1 if depth < 4 => {
                text.push_str(&format!("{key}:\n"));
                for _ in 0..rng.random_range(1..4) {
                    text.push_str(&format!("{indent}  - {}\n", scalar(rng)));
                }
            }
            2 => text.push_str(&format!(
                "{key}: |\n{indent}  line\n{indent}  {}\n",
                scalar(rng)
            )),
            3 => text.push_str(&format!("{key}: {} # beside\n", scalar(rng))),
            _ => text.push_str(&format!("{key}: {}\n", scalar(rng))),
        }
    }
    text
}

fn scalar(rng: &mut StdRng) -> String {
    match rng.random_range(0..5) {
        0 => rng.random::<i64>().to_string(),
        1 => format!(
            "{:?}",
            f64::from_bits(rng.random::<u64>() & !(1 << 62) | 1 << 61)
        ),
        2 => format!("\"{}\"", "añ\\t🚢 ".repeat(rng.random_range(0..40))),
        _ => SCALARS[rng.random_range(0..SCALARS.len())].to_owned(),
    }
}
