//! Test that every command which hub, pages and command line suggest is one that this program accepts.

use std::path::{Path, PathBuf};

use clap::{CommandFactory as _, Parser as _};

use super::Args;

/// Source files without tests.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name == "suggested.rs" || name.starts_with("tests") {
            continue;
        }
        if path.is_dir() {
            sources(&path, found);
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
}

/// String literals of a file, which may continue on the next line.
fn texts(file: &str) -> String {
    let own = file.split("#[cfg(test)]").next().unwrap();
    let mut text = String::new();
    for line in own.lines() {
        let line = line.trim_start();
        if line.starts_with("//") {
            continue;
        }
        match line.strip_suffix('\\') {
            Some(goes_on) => text.push_str(goes_on),
            None => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text
}

/// Words of a command with values in place of placeholders, and how many of them cannot be prose.
fn words(text: &str) -> (Vec<String>, usize) {
    let mut all: Vec<String> = Vec::new();
    let mut sure = 0;
    for word in text.split_whitespace() {
        let is_name = word
            .chars()
            .all(|c| c.is_ascii_uppercase() || "-:./".contains(c));
        let filled = word.contains('{') || is_name;
        let before = all.last().map_or("", String::as_str);
        let word = match (before, word) {
            (_, "{flag}") => "--env",
            ("--commit", _) => "abcdef1",
            ("--role", _) => "viewer",
            _ if filled => "x1",
            (_, word) => word.trim_end_matches('.'),
        };
        all.push(word.to_owned());
        if filled || word.starts_with("--") {
            sure = all.len();
        }
    }
    (all, sure)
}

#[test]
fn every_command_that_people_are_told_is_one() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "../src", "../web/src"] {
        sources(&here.join(folder), &mut files);
    }
    let command = Args::command();
    let known: Vec<&str> = command
        .get_subcommands()
        .map(clap::Command::get_name)
        .collect();
    let (mut told, mut wrong) = (0, Vec::new());
    for path in files {
        let text = texts(&std::fs::read_to_string(&path).unwrap());
        for part in text.split("flotilla ").skip(1) {
            let end = part.find(['"', '`', ',', ';', ')', '(', '\n', '[']);
            let (words, sure) = words(&part[..end.unwrap_or(part.len())]);
            if !words
                .first()
                .is_some_and(|word| known.contains(&word.as_str()))
            {
                continue;
            }
            told += 1;
            let takes = |count: usize| {
                let words = words.iter().take(count).map(String::as_str);
                Args::try_parse_from(std::iter::once("flotilla").chain(words)).is_ok()
            };
            if !(sure.max(1)..=words.len()).any(takes) {
                wrong.push(format!("{}: flotilla {}", path.display(), words.join(" ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(told > 40, "only {told} were found");
}
