//! Commits signed with SSH keys, and the table of verdicts.

use super::*;

#[test]
fn g14_ssh_keys_of_every_kind_that_is_taken() {
    if !has("ssh-keygen") {
        return;
    }
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
        // ECDSA numbers sometimes have leading zeroes.
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
    if !has("ssh-keygen") {
        return;
    }
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
        Err(TrustError::Unknown { .. } | TrustError::Malformed(_))
    ));
}

/// One row of the table: the commit, the policy's keys, and the expected verdict.
#[test]
fn g14_signatures_get_the_verdicts_of_the_table() {
    if !has("ssh-keygen") {
        return;
    }
    let workshop = Workshop::new();
    let good = workshop.ssh_key("good", &["ed25519"]);
    let other = workshop.ssh_key("other", &["ed25519"]);
    let signed = workshop.ssh_commit("good");
    workshop.git(&["commit", "-q", "--allow-empty", "-m", "unsigned"]);
    let table = Table {
        unsigned: workshop.raw("HEAD"),
        keys: [good.clone()],
        workshop,
        good,
        signed,
    };
    table.nothing_signs();
    table.another_key_signs(other);
    table.a_key_signs_out_of_its_time();
    table.a_revoked_key_signs();
    table.other_bytes_are_signed();
    table.two_sign();
    table.a_megabyte_signs();
    table.something_else_than_git_is_signed();
}

/// The inputs of the rows.
struct Table {
    workshop: Workshop,
    good: PinnedKey,
    /// The keys that the rule lists: the good one.
    keys: [PinnedKey; 1],
    /// A commit by the good key.
    signed: Vec<u8>,
    /// An unsigned commit.
    unsigned: Vec<u8>,
}

fn time(text: &str) -> Option<Timestamp> {
    Some(text.parse::<Timestamp>().unwrap())
}

impl Table {
    /// The signature of the commit by the good key, as a header that follows another one.
    fn header(&self) -> String {
        let taken = split(&self.signed).unwrap();
        let text = String::from_utf8(taken.signature.clone()).unwrap();
        format!("\ngpgsig {}", text.trim_end().replace('\n', "\n "))
    }

    fn nothing_signs(&self) {
        let (workshop, keys) = (&self.workshop, &self.keys);
        assert_eq!(judge(&self.unsigned, keys), Err(TrustError::Missing));

        // A signed tag does not sign the commit.
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
            judge(&workshop.raw("v1^{commit}"), keys),
            Err(TrustError::Missing)
        );
    }

    /// Another key; also one that is pinned, but not listed in the rule.
    fn another_key_signs(&self, other: PinnedKey) {
        let by_other = self.workshop.ssh_commit("other");
        assert!(matches!(
            judge(&by_other, &self.keys),
            Err(TrustError::Unknown { .. })
        ));
        let both = Keyring::new(&[self.good.clone(), other]).unwrap();
        let verdict = both.commit(&by_other, &names(&self.keys), Timestamp::now());
        assert!(matches!(verdict, Err(TrustError::Unknown { .. })));
    }

    /// A commit by the good key with a date long before it was made.
    fn backdated(&self) -> Vec<u8> {
        let key = self.workshop.path("good").display().to_string();
        let date = Some("2019-06-01T00:00:00Z");
        let backdated = self.workshop.signed("ssh", &key, date);
        let raw = String::from_utf8_lossy(&backdated).into_owned();
        assert!(raw.contains(" 1559347200 +0000"), "{raw}");
        backdated
    }

    /// Expired, and not valid yet.
    fn a_key_signs_out_of_its_time(&self) {
        // Expired by the clock of this machine, although the commit claims to be much older.
        let expired = PinnedKey {
            valid_until: time("2020-01-01T00:00:00Z"),
            ..self.good.clone()
        };
        let backdated = self.backdated();
        assert!(matches!(
            judge(&backdated, std::slice::from_ref(&expired)),
            Err(TrustError::Expired { .. })
        ));
        // A signature that was first seen while the key was valid stays valid.
        let keyring = Keyring::new(std::slice::from_ref(&expired)).unwrap();
        let then = "2019-06-02T00:00:00Z".parse().unwrap();
        let verdict = keyring.commit(&backdated, &names(&self.keys), then);
        assert_eq!(verdict, Ok("good"));
        // Not valid yet.
        let later = PinnedKey {
            valid_from: time("2999-01-01T00:00:00Z"),
            ..self.good.clone()
        };
        assert!(matches!(
            judge(&self.signed, &[later]),
            Err(TrustError::Expired { .. })
        ));
    }

    /// Revoked, whenever it was seen.
    fn a_revoked_key_signs(&self) {
        let revoked = PinnedKey {
            revoked: true,
            ..self.good.clone()
        };
        assert!(matches!(
            judge(&self.signed, &[revoked]),
            Err(TrustError::Revoked { .. })
        ));
    }

    /// Over other bytes: a commit's signature moved to another one.
    fn other_bytes_are_signed(&self) {
        let (signed, unsigned) = (&self.signed, &self.unsigned);
        let headers_end = unsigned.windows(2).position(|two| two == b"\n\n").unwrap();
        let mut moved = unsigned[..headers_end].to_vec();
        moved.extend_from_slice(self.header().as_bytes());
        moved.extend_from_slice(&unsigned[headers_end..]);
        assert!(matches!(
            judge(&moved, &self.keys),
            Err(TrustError::Mismatch { .. })
        ));
        // A change of any other byte is refused as well.
        for at in [10, signed.len() - 2] {
            let mut changed = signed.clone();
            changed[at] ^= 1;
            assert!(judge(&changed, &self.keys).is_err());
        }
    }

    /// Two: both by the same good key.
    fn two_sign(&self) {
        let two = String::from_utf8(self.signed.clone()).unwrap().replacen(
            "\ngpgsig ",
            &format!("{}\ngpgsig ", self.header()),
            1,
        );
        assert!(matches!(
            judge(two.as_bytes(), &self.keys),
            Err(TrustError::Malformed(_))
        ));
    }

    fn a_megabyte_signs(&self) {
        let huge = String::from_utf8(self.signed.clone()).unwrap().replacen(
            "-----END SSH",
            &format!("{}\n -----END SSH", "A".repeat(1 << 20)),
            1,
        );
        assert!(matches!(
            judge(huge.as_bytes(), &self.keys),
            Err(TrustError::Malformed(_))
        ));
    }

    /// A signature that was made for another purpose than git.
    fn something_else_than_git_is_signed(&self) {
        let (workshop, keys) = (&self.workshop, &self.keys);
        let taken = split(&self.signed).unwrap();
        std::fs::write(workshop.path("message"), &taken.payload).unwrap();
        run(
            "ssh-keygen",
            workshop.directory.path(),
            &["-q", "-Y", "sign", "-f", "good", "-n", "file", "message"],
        );
        let elsewhere = std::fs::read(workshop.path("message.sig")).unwrap();
        let keyring = Keyring::new(keys).unwrap();
        let verdict = |namespace| {
            keyring
                .detached(
                    &elsewhere,
                    namespace,
                    &taken.payload,
                    &names(keys),
                    Timestamp::now(),
                )
                .map(str::to_owned)
        };
        assert!(matches!(
            verdict(GIT_NAMESPACE),
            Err(TrustError::Malformed(_))
        ));
        assert_eq!(verdict("file"), Ok("good".to_owned()));
    }
}
