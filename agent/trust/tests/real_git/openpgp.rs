//! Commits and clear-signed texts of gpg.

use super::*;

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
                Err(TrustError::Mismatch { .. })
            ));
        }
    }
    assert!(matches!(
        judge(&workshop.pgp_commit("rsa"), std::slice::from_ref(&ed)),
        Err(TrustError::Unknown { .. })
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
    // The subkey expires in a day, by the clock of this machine.
    let later = Timestamp::now() + jiff::SignedDuration::from_hours(48);
    assert!(matches!(
        keyring.commit(&raw, &named, later),
        Err(TrustError::Expired { .. })
    ));
    // A revocation in the policy counts as well.
    let revoked = PinnedKey {
        revoked: true,
        ..team
    };
    assert!(matches!(
        judge(&raw, &[revoked]),
        Err(TrustError::Revoked { .. })
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
    // gpg keeps a revocation for each key that it generates, disabled by a colon.
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
        Err(TrustError::Revoked { .. })
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
    let stranger = export(&[], &["other@"]);
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
        // Trailing blanks, and the end of the last line, are not signed.
        assert_eq!(
            format!("{read}\n"),
            text.replace(" \t", ""),
            "signed by {name}"
        );
        assert_eq!(armoured.clear_signed(&signed, now).unwrap().1, key);
        assert!(matches!(
            stranger.clear_signed(&signed, now),
            Err(TrustError::Unknown { .. })
        ));
        let changed = String::from_utf8(signed)
            .unwrap()
            .replace("web.tgz", "bad.tgz");
        assert!(matches!(
            all.clear_signed(changed.as_bytes(), now),
            Err(TrustError::Mismatch { .. })
        ));
    }
    // gpg can combine a curve with any hash; a combination that cannot be verified is not reported as a changed
    // text.
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
            Err(TrustError::Malformed(why)) => {
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
