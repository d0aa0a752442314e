//! Commits signed by the real `git`, `ssh-keygen` and `gpg`, and what becomes of them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use flotilla_trust::{Fault, GIT_NAMESPACE, Keyring, PinnedKey, split};
use jiff::Timestamp;

struct Workshop {
    directory: tempfile::TempDir,
}

fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        flotilla_needs::skip(program);
    }
    found
}

fn run(program: &str, directory: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program)
        .current_dir(directory)
        .args(arguments)
        .env("GNUPGHOME", directory.join("gnupg"))
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

impl Workshop {
    fn new() -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let workshop = Self { directory };
        workshop.git(&["init", "-q", "-b", "main", "."]);
        let home = workshop.path("gnupg");
        std::fs::create_dir(&home).unwrap();
        std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o700)).unwrap();
        workshop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn git(&self, arguments: &[&str]) -> String {
        let identity = ["-c", "user.name=A", "-c", "user.email=a@example.com"];
        let arguments: Vec<&str> = identity.iter().chain(arguments).copied().collect();
        let output = run("git", self.directory.path(), &arguments);
        String::from_utf8_lossy(&output).trim().to_owned()
    }

    fn ssh_key(&self, name: &str, kind: &[&str]) -> PinnedKey {
        let path = self.path(name);
        let mut arguments = vec![
            "-q",
            "-N",
            "",
            "-C",
            name,
            "-f",
            path.to_str().unwrap(),
            "-t",
        ];
        arguments.extend(kind);
        run("ssh-keygen", self.directory.path(), &arguments);
        let line = std::fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap();
        pinned(name, Some(line), None)
    }

    fn pgp_key(&self, name: &str, algorithm: &str, usage: &str, expire: &str) -> PinnedKey {
        let id = format!("{name}@example.com");
        let batch = ["--batch", "--pinentry-mode", "loopback", "--passphrase", ""];
        let make = ["--quick-generate-key", &id, algorithm, usage, expire];
        let arguments: Vec<&str> = batch.iter().chain(&make).copied().collect();
        run("gpg", self.directory.path(), &arguments);
        self.export(name)
    }

    fn export(&self, name: &str) -> PinnedKey {
        let id = format!("{name}@example.com");
        let armoured = run("gpg", self.directory.path(), &["--armor", "--export", &id]);
        pinned(name, None, Some(String::from_utf8(armoured).unwrap()))
    }

    /// A commit signed with an SSH key, raw.
    fn ssh_commit(&self, key: &str) -> Vec<u8> {
        let key = format!("user.signingkey={}", self.path(key).display());
        self.git(&[
            "-c",
            "gpg.format=ssh",
            "-c",
            &key,
            "commit",
            "-q",
            "-S",
            "--allow-empty",
            "-m",
            "signed\n\nbody",
        ]);
        self.raw("HEAD")
    }

    fn pgp_commit(&self, key: &str) -> Vec<u8> {
        let key = format!("user.signingkey={key}@example.com");
        self.git(&[
            "-c",
            &key,
            "commit",
            "-q",
            "-S",
            "--allow-empty",
            "-m",
            "signed",
        ]);
        self.raw("HEAD")
    }

    fn raw(&self, revision: &str) -> Vec<u8> {
        run(
            "git",
            self.directory.path(),
            &["cat-file", "commit", revision],
        )
    }
}

fn pinned(name: &str, ssh: Option<String>, openpgp: Option<String>) -> PinnedKey {
    PinnedKey {
        name: name.to_owned(),
        ssh,
        openpgp,
        valid_from: None,
        valid_until: None,
        revoked: false,
    }
}

fn names(keys: &[PinnedKey]) -> Vec<String> {
    keys.iter().map(|key| key.name.clone()).collect()
}

fn judge(raw: &[u8], keys: &[PinnedKey]) -> Result<String, Fault> {
    let keyring = Keyring::new(keys).unwrap();
    keyring
        .commit(raw, &names(keys), Timestamp::now())
        .map(str::to_owned)
}

#[test]
fn g14_ssh_keys_of_every_kind_that_is_taken() {
    let workshop = Workshop::new();
    let kinds: [(&str, &[&str]); 4] = [
        ("ed", &["ed25519"]),
        ("p256", &["ecdsa", "-b", "256"]),
        ("p384", &["ecdsa", "-b", "384"]),
        ("rsa", &["rsa", "-b", "2048"]),
    ];
    let keys: Vec<PinnedKey> = kinds
        .iter()
        .map(|(name, kind)| workshop.ssh_key(name, kind))
        .collect();
    for key in &keys {
        // ECDSA numbers sometimes have zeroes in front.
        for _ in 0..4 {
            let raw = workshop.ssh_commit(&key.name);
            assert_eq!(judge(&raw, &keys), Ok(key.name.clone()));
        }
    }
    for refused in [&["ecdsa", "-b", "521"] as &[&str], &["rsa", "-b", "1024"]] {
        let key = workshop.ssh_key("refused", refused);
        assert!(
            Keyring::new(std::slice::from_ref(&key)).is_err(),
            "{refused:?}"
        );
        for file in ["refused", "refused.pub"] {
            std::fs::remove_file(workshop.path(file)).unwrap();
        }
    }
}

#[test]
fn g14_a_certificate_is_neither_pinned_nor_taken() {
    let workshop = Workshop::new();
    let _authority = workshop.ssh_key("authority", &["ed25519"]);
    let key = workshop.ssh_key("user", &["ed25519"]);
    run(
        "ssh-keygen",
        workshop.directory.path(),
        &["-q", "-s", "authority", "-I", "id", "-n", "git", "user.pub"],
    );
    let certificate = std::fs::read_to_string(workshop.path("user-cert.pub")).unwrap();
    assert!(Keyring::new(&[pinned("c", Some(certificate), None)]).is_err());
    // A signature that carries the certificate in place of the key is not by the key.
    let raw = workshop.ssh_commit("user-cert.pub");
    assert!(matches!(
        judge(&raw, &[key]),
        Err(Fault::Unknown { .. } | Fault::Malformed(_))
    ));
}

/// One row of the table: the commit, the policy's keys, and what must become of it.
#[test]
fn g14_signatures_get_the_verdicts_of_the_table() {
    let workshop = Workshop::new();
    let good = workshop.ssh_key("good", &["ed25519"]);
    let other = workshop.ssh_key("other", &["ed25519"]);
    let keys = [good.clone()];
    let signed = workshop.ssh_commit("good");

    // None.
    workshop.git(&["commit", "-q", "--allow-empty", "-m", "unsigned"]);
    let unsigned = workshop.raw("HEAD");
    assert_eq!(judge(&unsigned, &keys), Err(Fault::Missing));

    // A signed tag on it does not sign it.
    let tag = format!("user.signingkey={}", workshop.path("good").display());
    workshop.git(&[
        "-c",
        "gpg.format=ssh",
        "-c",
        &tag,
        "tag",
        "-s",
        "v1",
        "-m",
        "tag",
    ]);
    assert_eq!(
        judge(&workshop.raw("v1^{commit}"), &keys),
        Err(Fault::Missing)
    );

    // Another key; also one that is pinned, but not named by the rule.
    let by_other = workshop.ssh_commit("other");
    assert!(matches!(
        judge(&by_other, &keys),
        Err(Fault::Unknown { .. })
    ));
    let both = Keyring::new(&[good.clone(), other]).unwrap();
    let verdict = both.commit(&by_other, &names(&keys), Timestamp::now());
    assert!(matches!(verdict, Err(Fault::Unknown { .. })));

    // Expired by our clock, although the commit says that it was made long before.
    let at = |text: &str| Some(text.parse::<Timestamp>().unwrap());
    let expired = PinnedKey {
        valid_until: at("2020-01-01T00:00:00Z"),
        ..good.clone()
    };
    let key = format!("user.signingkey={}", workshop.path("good").display());
    let date = "2019-06-01T00:00:00Z";
    let backdated = Command::new("git")
        .current_dir(workshop.directory.path())
        .args([
            "-c",
            "user.name=A",
            "-c",
            "user.email=a@e",
            "-c",
            "gpg.format=ssh",
            "-c",
            &key,
        ])
        .args(["commit", "-q", "-S", "--allow-empty", "-m", "backdated"])
        .env("GIT_COMMITTER_DATE", date)
        .env("GIT_AUTHOR_DATE", date)
        .status()
        .unwrap();
    assert!(backdated.success());
    let backdated = workshop.raw("HEAD");
    let raw = String::from_utf8_lossy(&backdated).into_owned();
    assert!(raw.contains(" 1559347200 +0000"), "{raw}");
    assert!(matches!(
        judge(&backdated, std::slice::from_ref(&expired)),
        Err(Fault::Expired { .. })
    ));
    // What was first seen while the key was good stays good.
    let keyring = Keyring::new(std::slice::from_ref(&expired)).unwrap();
    let then = "2019-06-02T00:00:00Z".parse().unwrap();
    assert_eq!(keyring.commit(&backdated, &names(&keys), then), Ok("good"));
    // Not valid yet.
    let later = PinnedKey {
        valid_from: at("2999-01-01T00:00:00Z"),
        ..good.clone()
    };
    assert!(matches!(
        judge(&signed, &[later]),
        Err(Fault::Expired { .. })
    ));

    // Revoked, whenever it was seen.
    let revoked = PinnedKey {
        revoked: true,
        ..good.clone()
    };
    assert!(matches!(
        judge(&signed, &[revoked]),
        Err(Fault::Revoked { .. })
    ));

    // Over other bytes: a commit's signature moved to another one.
    let taken = split(&signed).unwrap();
    let headers_end = unsigned.windows(2).position(|two| two == b"\n\n").unwrap();
    let mut moved = unsigned[..headers_end].to_vec();
    moved.extend_from_slice(b"\ngpgsig ");
    let text = String::from_utf8(taken.signature.clone()).unwrap();
    moved.extend_from_slice(text.trim_end().replace('\n', "\n ").as_bytes());
    moved.extend_from_slice(&unsigned[headers_end..]);
    assert!(matches!(judge(&moved, &keys), Err(Fault::Mismatch { .. })));
    // Any other byte, too.
    for at in [10, signed.len() - 2] {
        let mut changed = signed.clone();
        changed[at] ^= 1;
        assert!(judge(&changed, &keys).is_err());
    }

    // Two: both by the same good key.
    let header = format!("\ngpgsig {}", text.trim_end().replace('\n', "\n "));
    let two = String::from_utf8(signed.clone()).unwrap().replacen(
        "\ngpgsig ",
        &format!("{header}\ngpgsig "),
        1,
    );
    assert!(matches!(
        judge(two.as_bytes(), &keys),
        Err(Fault::Malformed(_))
    ));

    // One megabyte.
    let huge = String::from_utf8(signed.clone()).unwrap().replacen(
        "-----END SSH",
        &format!("{}\n -----END SSH", "A".repeat(1 << 20)),
        1,
    );
    assert!(matches!(
        judge(huge.as_bytes(), &keys),
        Err(Fault::Malformed(_))
    ));

    // Made for something else than git.
    std::fs::write(workshop.path("message"), &taken.payload).unwrap();
    run(
        "ssh-keygen",
        workshop.directory.path(),
        &["-q", "-Y", "sign", "-f", "good", "-n", "file", "message"],
    );
    let elsewhere = std::fs::read(workshop.path("message.sig")).unwrap();
    let keyring = Keyring::new(&keys).unwrap();
    let verdict = |namespace| {
        keyring
            .detached(
                &elsewhere,
                namespace,
                &taken.payload,
                &names(&keys),
                Timestamp::now(),
            )
            .map(str::to_owned)
    };
    assert!(matches!(verdict(GIT_NAMESPACE), Err(Fault::Malformed(_))));
    assert_eq!(verdict("file"), Ok("good".to_owned()));
}

#[test]
fn g14_openpgp_keys_and_subkeys() {
    if !has("gpg") {
        return;
    }
    let workshop = Workshop::new();
    let ed = workshop.pgp_key("ed", "ed25519", "sign", "never");
    let rsa = workshop.pgp_key("rsa", "rsa2048", "sign", "never");
    let p256 = workshop.pgp_key("p256", "nistp256", "sign", "never");
    let keys = [ed.clone(), rsa.clone(), p256.clone()];
    for key in &keys {
        for _ in 0..3 {
            let raw = workshop.pgp_commit(&key.name);
            assert_eq!(judge(&raw, &keys), Ok(key.name.clone()));
            let mut changed = raw.clone();
            *changed.last_mut().unwrap() ^= 1;
            assert!(matches!(
                judge(&changed, &keys),
                Err(Fault::Mismatch { .. })
            ));
        }
    }
    assert!(matches!(
        judge(&workshop.pgp_commit("rsa"), std::slice::from_ref(&ed)),
        Err(Fault::Unknown { .. })
    ));

    // A primary that certifies, with a subkey that signs.
    workshop.pgp_key("team", "ed25519", "cert", "never");
    let listing = run(
        "gpg",
        workshop.directory.path(),
        &["--with-colons", "--list-keys", "team@example.com"],
    );
    let listing = String::from_utf8(listing).unwrap();
    let fingerprint = listing
        .lines()
        .find_map(|line| line.strip_prefix("fpr:::::::::"))
        .unwrap()
        .trim_end_matches(':');
    let add = [
        "--batch",
        "--pinentry-mode",
        "loopback",
        "--passphrase",
        "",
        "--quick-add-key",
        fingerprint,
        "ed25519",
        "sign",
        "1d",
    ];
    run("gpg", workshop.directory.path(), &add);
    let team = workshop.export("team");
    let raw = workshop.pgp_commit("team");
    let keyring = Keyring::new(std::slice::from_ref(&team)).unwrap();
    assert_eq!(keyring.fingerprint("team").as_deref(), Some(fingerprint));
    let named = names(std::slice::from_ref(&team));
    assert_eq!(keyring.commit(&raw, &named, Timestamp::now()), Ok("team"));
    // The subkey ends in a day, by our clock.
    let later = Timestamp::now() + jiff::SignedDuration::from_hours(48);
    assert!(matches!(
        keyring.commit(&raw, &named, later),
        Err(Fault::Expired { .. })
    ));
    // The policy's own word, too.
    let revoked = PinnedKey {
        revoked: true,
        ..team
    };
    assert!(matches!(
        judge(&raw, &[revoked]),
        Err(Fault::Revoked { .. })
    ));
}

#[test]
fn g14_an_openpgp_certificate_can_revoke_itself() {
    if !has("gpg") {
        return;
    }
    let workshop = Workshop::new();
    workshop.pgp_key("gone", "ed25519", "sign", "never");
    let raw = workshop.pgp_commit("gone");
    assert!(judge(&raw, &[workshop.export("gone")]).is_ok());
    // gpg keeps a revocation for each key it makes, made harmless by a colon.
    let directory = workshop.path("gnupg/openpgp-revocs.d");
    let file = std::fs::read_dir(directory)
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let text = std::fs::read_to_string(file.path()).unwrap();
    std::fs::write(
        workshop.path("revocation"),
        text.replace(":-----BEGIN", "-----BEGIN"),
    )
    .unwrap();
    run(
        "gpg",
        workshop.directory.path(),
        &["--batch", "--import", "revocation"],
    );
    assert!(matches!(
        judge(&raw, &[workshop.export("gone")]),
        Err(Fault::Revoked { .. })
    ));
}

#[test]
fn g14_clear_signed_texts_of_gpg_with_its_keyrings() {
    if !has("gpg") {
        return;
    }
    let workshop = Workshop::new();
    for (name, algorithm) in [("ed", "ed25519"), ("rsa", "rsa2048"), ("other", "ed25519")] {
        workshop.pgp_key(name, algorithm, "sign", "never");
    }
    let text =
        "name: web\n- a list\n-----\ntrailing \t\nüber\n\n...\nfiles:\n  web.tgz: sha256:00\n\n";
    std::fs::write(workshop.path("text"), text).unwrap();
    let export = |armor: &[&str], names: &[&str]| {
        let mut arguments: Vec<&str> = armor.to_vec();
        arguments.push("--export");
        arguments.extend(names);
        let bytes = run("gpg", workshop.directory.path(), &arguments);
        flotilla_trust::Certificates::parse(&bytes).unwrap()
    };
    let all = export(&[], &["ed@", "rsa@"]);
    let armoured = export(&["--armor"], &["ed@", "rsa@"]);
    let one = export(&[], &["other@"]);
    let now = Timestamp::now();
    for name in ["ed", "rsa"] {
        let signed = run(
            "gpg",
            workshop.directory.path(),
            &[
                "--batch",
                "--digest-algo",
                "SHA512",
                "-u",
                &format!("{name}@example.com"),
                "-o",
                "-",
                "--clearsign",
                "text",
            ],
        );
        let (read, key) = all.clear_signed(&signed, now).unwrap();
        // Blanks at line ends, and the last line's end, are not signed.
        assert_eq!(
            format!("{read}\n"),
            text.replace(" \t", ""),
            "signed by {name}"
        );
        assert_eq!(armoured.clear_signed(&signed, now).unwrap().1, key);
        assert!(matches!(
            one.clear_signed(&signed, now),
            Err(Fault::Unknown { .. })
        ));
        let changed = String::from_utf8(signed)
            .unwrap()
            .replace("web.tgz", "bad.tgz");
        assert!(matches!(
            all.clear_signed(changed.as_bytes(), now),
            Err(Fault::Mismatch { .. })
        ));
    }
    // gpg can join a curve with any hash; what cannot be judged is not called another text.
    workshop.pgp_key("curve", "nistp256", "sign", "never");
    let curve = export(&[], &["curve@"]);
    for (hash, is_taken) in [("SHA256", true), ("SHA512", false)] {
        let arguments = [
            "--batch",
            "--digest-algo",
            hash,
            "-u",
            "curve@example.com",
            "-o",
            "-",
            "--clearsign",
            "text",
        ];
        let signed = run("gpg", workshop.directory.path(), &arguments);
        match curve.clear_signed(&signed, now) {
            Ok(_) => assert!(is_taken, "{hash}"),
            Err(Fault::Malformed(why)) => {
                assert!(
                    !is_taken && why.contains("P-256 signs over SHA-256"),
                    "{hash}: {why}"
                );
            }
            Err(other) => panic!("{hash}: {other}"),
        }
    }
    for bytes in [&b""[..], b"-----BEGIN PGP", b"\xff\xff\xff", b"hello"] {
        assert!(flotilla_trust::Certificates::parse(bytes).is_err());
    }
}
