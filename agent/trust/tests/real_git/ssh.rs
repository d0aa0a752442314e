//! Commits signed with SSH keys, and the table of verdicts.

use super::*;

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
