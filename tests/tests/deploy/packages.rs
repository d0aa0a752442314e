//! All inputs of a release exist: programs, manuals and completions that packages name, and files that images copy.
//! Images need a container engine, so their Dockerfiles are read here but not built.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use flotilla_tests::programs;
use serde_json::Value;

use crate::book::root;
use crate::pods::list;

fn workspace() -> Value {
    programs::metadata(&["--no-deps"]).unwrap()
}

/// Programs of a package.
fn bins(package: &Value) -> BTreeSet<String> {
    let targets = list(package, "/targets").into_iter();
    let bins = targets.filter(|target| target["kind"][0] == "bin");
    bins.map(|bin| bin["name"].as_str().unwrap().to_owned())
        .collect()
}

/// Whether a path, with `*` for a part of its file name, exists.
fn leads(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_str().unwrap();
    let Some((start, end)) = name.split_once('*') else {
        return path.is_file();
    };
    let found = std::fs::read_dir(path.parent().unwrap());
    found.is_ok_and(|mut found| {
        found.any(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            name.starts_with(start) && name.ends_with(end)
        })
    })
}

/// Source and destination of each file of a package, in both formats.
fn assets(package: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let debs = list(package, "/metadata/deb/assets").into_iter();
    let debs = debs.map(|asset| (text(&asset[0]), text(&asset[1])));
    let rpms = list(package, "/metadata/generate-rpm/assets").into_iter();
    let rpms = rpms.map(|asset| (text(&asset["source"]), text(&asset["dest"])));
    debs.chain(rpms).collect()
}

#[tokio::test]
async fn every_file_of_the_packages_is_there() {
    let programs = programs::build().await.unwrap();
    let made = tempfile::tempdir().unwrap();
    // Paths as deploy/release makes them.
    for program in ["flotilla-hub", "flotilla"] {
        let run = |arguments: &[&str]| {
            let output = Command::new(programs.join(program))
                .args(arguments)
                .output();
            let output = output.unwrap();
            assert!(output.status.success(), "{program} {arguments:?}");
            output.stdout
        };
        let pages = made.path().join(program);
        std::fs::create_dir_all(&pages).unwrap();
        run(&["man", pages.to_str().unwrap()]);
        if program == "flotilla" {
            let directory = made.path().join("completions");
            std::fs::create_dir_all(&directory).unwrap();
            for shell in ["bash", "zsh", "fish"] {
                let text = run(&["completions", shell]);
                std::fs::write(directory.join(format!("flotilla.{shell}")), text).unwrap();
            }
        }
    }
    let workspace = workspace();
    let mut packaged = 0;
    for package in list(&workspace, "/packages") {
        let manifest = PathBuf::from(package["manifest_path"].as_str().unwrap());
        let assets = assets(package);
        packaged += usize::from(!assets.is_empty());
        for (source, to) in &assets {
            let path = match (
                source.strip_prefix("target/release/"),
                source.split_once("target/manual/"),
            ) {
                (Some(program), _) => {
                    assert!(bins(package).contains(program), "{source}");
                    programs.join(program)
                }
                (None, Some((_, page))) => made.path().join(page),
                (None, None) => manifest.parent().unwrap().join(source),
            };
            assert!(leads(&path), "{}: {source} for {to}", manifest.display());
        }
        // Both package formats contain the same files.
        let sources = assets.iter().map(|(source, _)| source);
        let each: BTreeSet<&String> = sources.clone().collect();
        assert_eq!(sources.count(), 2 * each.len(), "{}", manifest.display());
    }
    assert_eq!(packaged, 2, "the hub and the command line");
}

/// The instructions of a Dockerfile, with continuation lines joined.
fn instructions(text: &str) -> Vec<(String, String)> {
    let text = text.replace("\\\n", " ");
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let lines = lines.map(|line| line.split_once(' ').unwrap());
    lines
        .map(|(word, rest)| (word.to_owned(), rest.to_owned()))
        .collect()
}

#[test]
fn images_copy_what_there_is_and_start_what_they_copied() {
    let workspace = workspace();
    let toml = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let release = std::fs::read_to_string(root().join("deploy/release")).unwrap();
    let mut seen = 0;
    for entry in std::fs::read_dir(root().join("deploy/images")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.ends_with(".Dockerfile") {
            continue;
        }
        seen += 1;
        let (mut made, mut copied, mut user) = (BTreeSet::new(), BTreeSet::new(), String::new());
        for (word, rest) in instructions(&std::fs::read_to_string(&path).unwrap()) {
            let words: Vec<&str> = rest.split_whitespace().collect();
            match word.as_str() {
                "FROM" => {
                    let rust = words[0].strip_prefix("docker.io/library/rust:");
                    if let Some((version, _)) = rust.and_then(|rest| rest.split_once('-')) {
                        let expected = format!("rust-version = \"{version}");
                        assert!(toml.contains(&expected), "{name}: {version}");
                    }
                }
                "RUN" => {
                    let after = |option: &str| {
                        let at = words.iter().position(|word| *word == option)?;
                        words.get(at + 1).copied()
                    };
                    if let (Some(package), Some(bin)) = (after("-p"), after("--bin")) {
                        let all = list(&workspace, "/packages");
                        let found = all.iter().find(|member| member["name"] == package);
                        assert!(bins(found.unwrap()).contains(bin), "{name}: {bin}");
                        assert_eq!(after("cp"), Some(format!("target/release/{bin}").as_str()));
                        made.insert(words.last().unwrap().to_string());
                    }
                }
                "COPY" => match words[..] {
                    [".", "."] => assert!(
                        path.with_extension("Dockerfile.dockerignore").is_file(),
                        "{name}"
                    ),
                    [from, source, to] => {
                        assert_eq!(from, "--from=build", "{name}");
                        assert!(made.contains(source), "{name}: nobody makes {source}");
                        copied.insert(to.to_owned());
                    }
                    [source, to] => {
                        let program = source.strip_prefix("${TARGETARCH}/").unwrap();
                        assert!(
                            ["flotilla-hub", "flotilla-agent"].contains(&program),
                            "{name}"
                        );
                        assert!(release.contains("\"$out/image/$arch/$program\""));
                        copied.insert(to.to_owned());
                    }
                    _ => panic!("{name}: COPY {rest}"),
                },
                "ARG" => assert_eq!(rest, "TARGETARCH", "{name}"),
                "USER" => user = rest,
                "ENTRYPOINT" => {
                    let program = rest.trim_matches(['[', ']', '"']);
                    assert!(copied.contains(program), "{name}: {program}");
                }
                _ => {}
            }
        }
        // The same user as runAsUser of every pod.
        assert_eq!(user, "65532:65532", "{name}");
    }
    assert_eq!(seen, 6);
}
