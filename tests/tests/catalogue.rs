//! The catalogue of faults (`tests/CATALOGUE.md`) and the names of tests, held together both ways.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Groups whose entries need a test; the others (I, T, V) are what tests refer to.
const GROUPS: [&str; 10] = ["P", "A", "G", "R", "E", "H", "S", "C", "N", "SC"];

#[derive(Default)]
struct Catalogue {
    entries: BTreeSet<String>,
    without_test: BTreeSet<String>,
}

fn catalogue() -> Catalogue {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("CATALOGUE.md"))
        .unwrap();
    let mut catalogue = Catalogue::default();
    for line in text.lines() {
        if let Some(id) = line
            .strip_prefix("| ")
            .and_then(|rest| rest.split(' ').next())
            && split(id).is_some()
        {
            assert!(catalogue.entries.insert(id.to_owned()), "{id} stands twice");
        }
        if let Some((id, reason)) = line
            .strip_prefix("- ")
            .and_then(|rest| rest.split_once(": "))
            && split(id).is_some()
        {
            assert!(reason.len() > 20, "{id}: say why there is no test");
            catalogue.without_test.insert(id.to_owned());
        }
    }
    catalogue
}

/// `SC3` as its group and number.
fn split(id: &str) -> Option<(&str, u8)> {
    let at = id.find(|letter: char| letter.is_ascii_digit())?;
    let (group, number) = id.split_at(at);
    let known = GROUPS.contains(&group) || ["I", "T", "V"].contains(&group);
    known.then_some(())?;
    Some((group, number.parse().ok()?))
}

/// Ids in names such as `sc03_the_bill_of_materials`, as they stand in the catalogue.
fn ids_in(text: &str) -> BTreeSet<String> {
    let names = regex::Regex::new(r"\b(sc|[pagrehscniv])([0-9]{2})_[a-z]").unwrap();
    names
        .captures_iter(text)
        .map(|name| {
            format!(
                "{}{}",
                name[1].to_uppercase(),
                name[2].parse::<u8>().unwrap()
            )
        })
        .collect()
}

fn names(directory: &Path, found: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !["target", "gen", "corpus", "conformance", "answers"].contains(&name.as_str()) {
                names(&path, found);
            }
        } else if name.ends_with(".rs") && name != "catalogue.rs" {
            let text = std::fs::read_to_string(&path).unwrap();
            for id in ids_in(&text) {
                found
                    .entry(id)
                    .or_insert_with(|| path.display().to_string());
            }
        }
    }
}

fn tested() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = BTreeMap::new();
    for room in ["agent", "hub", "shared", "tests"] {
        names(&root.join(room), &mut found);
    }
    found
}

#[test]
fn every_id_in_a_name_is_in_the_catalogue() {
    let catalogue = catalogue();
    assert!(catalogue.entries.len() > 150, "the catalogue is cut");
    for (id, path) in tested() {
        assert!(
            catalogue.entries.contains(&id),
            "{id} of {path} is in no entry"
        );
    }
}

#[test]
fn every_entry_has_a_test_or_says_why_not() {
    let (catalogue, tested) = (catalogue(), tested());
    let mut wrong = Vec::new();
    for id in &catalogue.entries {
        let (group, _) = split(id).unwrap();
        let has = tested.contains_key(id);
        let excused = catalogue.without_test.contains(id);
        if GROUPS.contains(&group) && has == excused {
            wrong.push(format!(
                "{id}: {}",
                if has {
                    "has a test now: take it off the list of those without"
                } else {
                    "has no test"
                }
            ));
        }
    }
    for id in &catalogue.without_test {
        if !catalogue.entries.contains(id) {
            wrong.push(format!("{id} is listed without a test, and is no entry"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn ids_are_read_from_names() {
    let some =
        ids_in("fn sc03_the_bill() p16::x, c01: c01_a_repository, e2e_x, p1_x, fn g03_g04_both");
    assert_eq!(some, ["C1", "G3", "SC3"].map(str::to_owned).into());
}
