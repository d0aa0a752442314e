//! The corpora of `tests/fuzz` and seeded mutations of them, as an ordinary test (I12, and the entries of the
//! catalogue about parsers of a few bytes: G9, R1, E4, E16, H13, G14).
//!
//! `FLOTILLA_FUZZ_RUNS` is the number of mutations per target, `FLOTILLA_FUZZ_SEED` selects them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

#[path = "../fuzz/targets.rs"]
mod targets;

use std::path::Path;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

/// Inputs that often break parsers.
const WORDS: [&[u8]; 18] = [
    b"{{",
    b"}}",
    b"{{- end -}}",
    b" | ",
    b"\0",
    b"\xff\xfe",
    b"\r\n",
    b"---\n",
    b"- ",
    b": ",
    b"../",
    b"//",
    b"ENC[AES256_GCM,",
    b"-----BEGIN ",
    b"\x80\x80\x80\x80\x10",
    b"&a *a ",
    b"99999999999999999999",
    b"\xf0\x9f\x9a\xa2",
];

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directory = match target {
        // Trees with a known result of kustomize.
        "render" => here.join("../agent/render/tests/fixtures"),
        _ => here.join("fuzz/corpus").join(target),
    };
    let mut files: Vec<_> = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} has no corpus", directory.display());
    files
        .iter()
        .map(|file| std::fs::read(file).unwrap())
        .collect()
}

fn number(name: &str, otherwise: u64) -> u64 {
    let set = std::env::var(name).ok();
    set.map_or(otherwise, |text| text.parse().expect("a number"))
}

fn mutated(seeds: &[Vec<u8>], rng: &mut StdRng) -> Vec<u8> {
    let mut data = seeds[rng.random_range(0..seeds.len())].clone();
    for _ in 0..rng.random_range(1..6) {
        let at = rng.random_range(0..=data.len());
        let end = (at + rng.random_range(0..32)).min(data.len());
        match rng.random_range(0..7) {
            0 => data.truncate(at),
            1 => drop(data.drain(at..end)),
            2 if at < data.len() => data[at] ^= 1 << rng.random_range(0..8),
            3 if at < data.len() => data[at] = rng.random(),
            4 => {
                let word = WORDS[rng.random_range(0..WORDS.len())];
                data.splice(at..at, word.iter().copied());
            }
            5 => {
                let copy = data[at..end].to_vec();
                data.splice(at..at, copy);
            }
            _ => {
                let other = &seeds[rng.random_range(0..seeds.len())];
                let from = rng.random_range(0..=other.len());
                let until = (from + 64).min(other.len());
                data.splice(at..at, other[from..until].iter().copied());
            }
        }
    }
    data
}

/// `share` of the runs, for targets that are slow in a debug build.
fn check(name: &str, share: u64, target: impl Fn(&[u8])) {
    let seed = number("FLOTILLA_FUZZ_SEED", 20_261_121);
    let runs = number("FLOTILLA_FUZZ_RUNS", 4_000) / share;
    eprintln!("{name}: FLOTILLA_FUZZ_SEED={seed}, {runs} mutations");
    let seeds = corpus(name);
    for seed in &seeds {
        target(seed);
    }
    let mut rng = StdRng::seed_from_u64(seed);
    for run in 0..runs {
        let data = mutated(&seeds, &mut rng);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| target(&data)));
        if let Err(panic) = result {
            eprintln!(
                "{name}: run {run} of seed {seed}: {:?}",
                String::from_utf8_lossy(&data)
            );
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn g09_urls_and_paths() {
    check("urls", 1, targets::urls);
}

#[test]
fn r01_documents_of_yaml() {
    check("yaml", 1, targets::yaml);
}

#[test]
fn the_fleet_file() {
    check("fleet", 4, targets::fleet);
}

#[test]
fn h13_assignments() {
    check("assignment", 1, targets::assignment);
}

#[test]
fn e04_certificate_requests() {
    check("request", 4, targets::request);
}

#[test]
fn g14_signatures_of_commits() {
    check("signatures", 4, targets::signatures);
    // The corpus must contain a commit signed by each key, and one that no key verifies.
    let seen = jiff::Timestamp::from_second(1_800_000_000).unwrap();
    let key = |ssh: Option<&str>, openpgp: Option<&str>| flotilla_trust::PinnedKey {
        name: "k".to_owned(),
        ssh: ssh.map(str::to_owned),
        openpgp: openpgp.map(str::to_owned),
        valid_from: None,
        valid_until: None,
        revoked: false,
    };
    let ssh = key(Some(include_str!("../fuzz/keys/ssh.pub")), None);
    let openpgp = key(None, Some(include_str!("../fuzz/keys/openpgp.asc")));
    for (commit, pinned, good) in [
        (
            &include_bytes!("../fuzz/corpus/signatures/ssh")[..],
            &ssh,
            true,
        ),
        (
            include_bytes!("../fuzz/corpus/signatures/openpgp"),
            &openpgp,
            true,
        ),
        (
            include_bytes!("../fuzz/corpus/signatures/openpgp"),
            &ssh,
            false,
        ),
        (
            include_bytes!("../fuzz/corpus/signatures/none"),
            &ssh,
            false,
        ),
    ] {
        let keyring = flotilla_trust::Keyring::new(std::slice::from_ref(pinned)).unwrap();
        let verdict = keyring.commit(commit, &["k".to_owned()], seen);
        assert_eq!(verdict.is_ok(), good, "{verdict:?}");
    }
}

#[test]
fn e16_webhooks() {
    check("webhook", 1, targets::webhook);
}

#[test]
fn g10_answers_about_directories() {
    check("trees", 4, targets::trees);
}

#[test]
fn r01_trees_of_files() {
    check("render", 4, targets::render);
}

#[test]
fn templates_of_helm() {
    check("helm_template", 4, targets::helm_template);
}

#[test]
fn versions_and_constraints_of_helm() {
    check("helm_semver", 1, targets::helm_semver);
}

#[test]
fn indexes_of_chart_repositories() {
    check("chart_index", 1, targets::chart_index);
}

#[test]
fn what_charts_and_registries_say_of_each_other() {
    check("chart_registry", 1, targets::chart_registry);
}

#[test]
fn values_files_of_helm() {
    check("helm_values", 2, targets::helm_values);
}

#[test]
fn archives_of_charts() {
    check("helm_archive", 4, targets::helm_archive);
}

#[test]
fn schemas_of_charts() {
    check("helm_schema", 8, targets::helm_schema);
}

#[test]
fn sops_files() {
    check("sops", 20, targets::sops);
}

/// Writes the assignment of the corpus; the other seeds were made by the programs that make such files (`openssl`,
/// `git`, `gpg`, `ssh-keygen`, `sops`).
#[test]
fn the_corpus_of_assignments_is_ours() {
    use flotilla_shared::assignment::{ApplicationAssignment, Assignment, Renderer, Tombstone};
    use flotilla_shared::id::{Epoch, Generation};
    let application = ApplicationAssignment {
        renderer: Renderer::Kustomize,
        substitute: true,
        rollout: "r1".to_owned(),
        namespace: "web".to_owned(),
        ..ApplicationAssignment::new(
            flotilla_shared::revision::Revision {
                repository: "fleet".parse().unwrap(),
                branch: "prod".parse().unwrap(),
                commit: "3f2a9c1d".repeat(5).parse().unwrap(),
            },
            "https://git.example.com/team/fleet.git".parse().unwrap(),
            "apps/web".parse().unwrap(),
        )
    };
    let assignment = Assignment {
        epoch: Epoch(2),
        generation: Generation(9),
        applications: [("web".parse().unwrap(), application.into())].into(),
        tombstones: [(
            "old".parse().unwrap(),
            Tombstone {
                delete_objects: true,
            },
        )]
        .into(),
        required_features: vec!["kustomize".to_owned()],
        labels: [("region".to_owned(), "eu".to_owned())].into(),
        ..Assignment::empty(
            "prod-eu-1".parse().unwrap(),
            "prod".parse().unwrap(),
            jiff::Timestamp::from_second(1_790_000_000).unwrap(),
        )
    };
    let content = flotilla_shared::wire::encode_assignment(&assignment).content;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/assignment/one");
    if std::env::var_os("FLOTILLA_REGENERATE").is_some() {
        std::fs::write(&path, &content).unwrap();
    }
    assert_eq!(
        std::fs::read(path).unwrap(),
        content,
        "run with FLOTILLA_REGENERATE=1"
    );
}
