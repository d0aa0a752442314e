//! How long the signatures of 1,000 commits take: `cargo bench -p flotilla-trust`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark fails by panicking, and prints its figures"
)]

use std::time::Instant;

use flotilla_trust::{Keyring, PinnedKey};
use jiff::Timestamp;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use ssh_key::public::{Ed25519PublicKey, KeyData};
use ssh_key::{Algorithm, HashAlg, LineEnding, PublicKey, Signature, SshSig};

const COMMITS: usize = 1000;

fn commit(pair: &Ed25519KeyPair, data: &KeyData, n: usize) -> Vec<u8> {
    let head = format!(
        "tree {n:040x}\nparent {n:040x}\nauthor A <a@b> {n} +0000\ncommitter A <a@b> {n} +0000"
    );
    let message = "\n\nA subject of the usual length\n\nAnd a body with one more line.\n";
    let payload = format!("{head}{message}");
    let signed = SshSig::signed_data("git", HashAlg::Sha512, payload.as_bytes()).unwrap();
    let bytes = pair.sign(&signed).as_ref().to_vec();
    let signature = Signature::new(Algorithm::Ed25519, bytes).unwrap();
    let signature = SshSig::new(data.clone(), "git", HashAlg::Sha512, signature).unwrap();
    let armoured = signature.to_pem(LineEnding::LF).unwrap();
    let header = armoured.trim_end().replace('\n', "\n ");
    format!("{head}\ngpgsig {header}{message}").into_bytes()
}

fn main() {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let public: [u8; 32] = pair.public_key().as_ref().try_into().unwrap();
    let data = KeyData::Ed25519(Ed25519PublicKey(public));
    let line = PublicKey::new(data.clone(), "bench").to_openssh().unwrap();
    let keyring = Keyring::new(&[PinnedKey {
        name: "bench".to_owned(),
        ssh: Some(line),
        openpgp: None,
        valid_from: None,
        valid_until: None,
        revoked: false,
    }])
    .unwrap();
    let commits: Vec<Vec<u8>> = (1..=COMMITS).map(|n| commit(&pair, &data, n)).collect();
    let names = ["bench".to_owned()];
    let seen = Timestamp::now();
    let mut times: Vec<f64> = (0..9)
        .map(|_| {
            let started = Instant::now();
            for raw in &commits {
                keyring.commit(raw, &names, seen).unwrap();
            }
            started.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!(
        "{COMMITS} Ed25519 commits verified in {:.1} ms (median of {}; best {:.1}, worst {:.1})",
        times[times.len() / 2],
        times.len(),
        times[0],
        times[times.len() - 1]
    );
}
