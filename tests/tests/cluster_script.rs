//! A real kube-apiserver and the embedded one answer the same requests in the same way. Without a real one, the
//! embedded one is compared with recorded answers (`tests/apiserver/answers`, recorded again with
//! `FLOTILLA_REGENERATE=1` if there is a real one).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

use std::path::{Path, PathBuf};

use flotilla_apiserver::Config;
use flotilla_tests::cluster::TestCluster;
use flotilla_tests::script::{self, Answer};

fn room(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("apiserver")
        .join(name)
}

fn recorded(name: &str) -> Vec<Answer> {
    let path = room("answers").join(format!("{name}.json"));
    std::fs::read_to_string(path)
        .ok()
        .map(|text| serde_json::from_str(&text).unwrap())
        .unwrap_or_default()
}

fn record(name: &str, answers: &[Answer]) {
    let lines: Vec<String> = answers
        .iter()
        .map(|answer| serde_json::to_string(answer).unwrap())
        .collect();
    std::fs::create_dir_all(room("answers")).unwrap();
    let text = format!("[\n{}\n]\n", lines.join(",\n"));
    std::fs::write(room("answers").join(format!("{name}.json")), text).unwrap();
}

/// Every difference, and the number of answers compared.
fn compare(name: &str, who: &str, expected: &[Answer], have: &[Answer]) -> (Vec<String>, usize) {
    let mut wrong = Vec::new();
    if expected.len() != have.len() {
        wrong.push(format!(
            "{name}: {} answers / {} from {who}",
            expected.len(),
            have.len()
        ));
    }
    for (expected, have) in expected.iter().zip(have) {
        for line in script::differences(expected, have) {
            wrong.push(format!("{name}: {}: {who}: {line}", expected.step));
        }
    }
    (wrong, expected.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_servers_give_the_same_answers() {
    let only = std::env::var("FLOTILLA_SCRIPT").unwrap_or_default();
    let bare = Config {
        ready_after: None,
        ..Config::default()
    };
    let embedded = TestCluster::embedded(bare).await.unwrap();
    let real = TestCluster::real().await.unwrap();
    if real.is_none() {
        flotilla_needs::substitute("apiserver", "recorded answers");
    }
    let regenerate = std::env::var_os("FLOTILLA_REGENERATE").is_some();
    let mut files: Vec<PathBuf> = std::fs::read_dir(room("script"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let (mut wrong, mut count) = (Vec::new(), 0);
    for file in files {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        if !name.contains(&only) {
            continue;
        }
        let steps = script::read(&file).unwrap();
        let client = embedded.client();
        let own = match script::play(&client, &name, &steps).await {
            Ok(answers) => answers,
            Err(error) => {
                wrong.push(format!("{name}: embedded: {error}"));
                continue;
            }
        };
        let expected = match &real {
            Some(real) => {
                let client = real.client();
                let answers = script::play(&client, &name, &steps).await.unwrap();
                if regenerate {
                    record(&name, &answers);
                } else {
                    let (lines, _) = compare(&name, "real now", &recorded(&name), &answers);
                    wrong.extend(lines);
                }
                answers
            }
            None => recorded(&name),
        };
        let (lines, compared) = compare(&name, "embedded", &expected, &own);
        wrong.extend(lines);
        count += compared;
    }
    eprintln!("{count} answers compared");
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
