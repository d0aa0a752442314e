//! Checks that the catalogue of faults (`tests/CATALOGUE.md`) and the names of tests agree in both directions.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

/// Groups whose entries need a test; tests may refer to the others (I, T, V).
const GROUPS: [&str; 10] = ["P", "A", "G", "R", "E", "H", "S", "C", "N", "SC"];

/// The section of entries that are tested in part: id, what is not tested, why.
const IN_PART: &str = "In part";

/// The header of that section's table.
const HEAD: [&str; 2] = ["| id | not reached | why |", "|---|---|---|"];

/// A function with a test attribute, and what is between them. In a macro its name starts with `$`.
static TEST: LazyLock<Regex> = LazyLock::new(|| {
    let attribute = r"#\[(?:tokio::)?test\b[^\]]*\]";
    let others = r"((?:\s*#\[[^\]]*\])*)";
    Regex::new(&format!(r"{attribute}{others}\s*(?:async )?fn (\$?\w+)")).unwrap()
});

/// Where a macro of a file starts.
static MACRO: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"macro_rules! (\w+) \{").unwrap());

#[derive(Default)]
struct Catalogue {
    entries: BTreeSet<String>,
    without_test: BTreeSet<String>,
    in_part: BTreeSet<String>,
    /// Errors in the text itself.
    faults: Vec<String>,
}

impl Catalogue {
    /// A row of [`IN_PART`]: several ids with the same text may share one.
    fn read_part(&mut self, line: &str) {
        let cells = line.trim_matches('|').split(" | ").map(str::trim);
        let cells: Vec<&str> = cells.collect();
        let [ids, what, why] = cells[..] else {
            self.faults.push(format!("not three columns: {line}"));
            return;
        };
        for id in ids.split(", ") {
            if split(id).is_none() {
                self.faults.push(format!("{id} is no id: {line}"));
            } else if !self.in_part.insert(id.to_owned()) {
                self.faults.push(format!("{id} stands twice in part"));
            }
        }
        if what.len() < 10 || why.len() < 10 {
            let fault = format!("{ids}: say what is not reached, and why");
            self.faults.push(fault);
        }
    }
}

fn parse(text: &str) -> Catalogue {
    let mut catalogue = Catalogue::default();
    let mut section = "";
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("## ") {
            section = name;
        } else if section == IN_PART {
            if line.starts_with('|') && !HEAD.contains(&line) {
                catalogue.read_part(line);
            }
        } else if let Some(id) = line
            .strip_prefix("| ")
            .and_then(|rest| rest.split(' ').next())
            && split(id).is_some()
        {
            if !catalogue.entries.insert(id.to_owned()) {
                catalogue.faults.push(format!("{id} stands twice"));
            }
        } else if let Some((id, reason)) = line
            .strip_prefix("- ")
            .and_then(|rest| rest.split_once(": "))
            && split(id).is_some()
        {
            if reason.len() <= 20 {
                let fault = format!("{id}: say why there is no test");
                catalogue.faults.push(fault);
            }
            catalogue.without_test.insert(id.to_owned());
        }
    }
    catalogue
}

fn catalogue() -> Catalogue {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("CATALOGUE.md");
    parse(&std::fs::read_to_string(path).unwrap())
}

/// `SC3` as its group and number.
fn split(id: &str) -> Option<(&str, u8)> {
    let at = id.find(|letter: char| letter.is_ascii_digit())?;
    let (group, number) = id.split_at(at);
    let known = GROUPS.contains(&group) || ["I", "T", "V"].contains(&group);
    known.then_some(())?;
    Some((group, number.parse().ok()?))
}

/// `sc03` as `SC3`, if it has the form of an id; whether the catalogue has it is checked later.
fn id_of(part: &str) -> Option<String> {
    let at = part.find(|letter: char| letter.is_ascii_digit())?;
    let (group, number) = part.split_at(at);
    let is_id = (1..=2).contains(&group.len())
        && group.bytes().all(|letter| letter.is_ascii_lowercase())
        && number.len() == 2;
    is_id.then_some(())?;
    let number: u8 = number.parse().ok()?;
    Some(format!("{}{number}", group.to_uppercase()))
}

/// All ids at the start of a test's name: `P1` and `P2` of `p01_p02_bad_commits_delete_nothing`.
fn ids_of(name: &str) -> Vec<String> {
    name.split('_').map_while(id_of).collect()
}

/// The text from a `{` at the start to its `}`.
fn block(code: &str) -> &str {
    let mut open = 0usize;
    for (at, letter) in code.char_indices() {
        match letter {
            '{' => open += 1,
            '}' => open = open.saturating_sub(1),
            _ => continue,
        }
        if open == 0 {
            return &code[..at];
        }
    }
    code
}

/// Names of a file's tests: functions with a test attribute, and the arguments of a macro of the file that makes such
/// functions (the name alone, `name: helper` or `module::name`, between commas or semicolons). Comments, helpers and
/// ignored tests do not count.
fn tests_in(text: &str) -> Vec<String> {
    let code: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    let code = code.join("\n");
    let mut names: Vec<String> = TEST
        .captures_iter(&code)
        .filter(|test| !test[1].contains("ignore") && !test[2].starts_with('$'))
        .map(|test| test[2].to_owned())
        .collect();
    let makes_tests = |body: &str| {
        let mut tests = TEST.captures_iter(body);
        tests.any(|test| test[2].starts_with('$'))
    };
    let makers: BTreeSet<String> = MACRO
        .captures_iter(&code)
        .filter(|found| makes_tests(block(&code[found.get(0).unwrap().end() - 1..])))
        .map(|found| found[1].to_owned())
        .collect();
    for maker in makers {
        let call = format!("{maker}! {{");
        for (at, _) in code.match_indices(&call) {
            let items = block(&code[at + call.len() - 1..]).trim_start_matches('{');
            for item in items.split([',', ';']) {
                let name = item.split(": ").next().unwrap_or_default();
                let name = name.rsplit("::").next().unwrap_or_default();
                names.push(name.trim().to_owned());
            }
        }
    }
    names
}

fn look(directory: &Path, found: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !["target", "gen", "corpus", "conformance", "answers"].contains(&name.as_str()) {
                look(&path, found);
            }
        } else if name.ends_with(".rs") && name != "catalogue.rs" {
            let text = std::fs::read_to_string(&path).unwrap();
            for id in tests_in(&text).iter().flat_map(|name| ids_of(name)) {
                found
                    .entry(id)
                    .or_insert_with(|| path.display().to_string());
            }
        }
    }
}

/// The ids in names of tests, each with a file that has one.
fn tested() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = BTreeMap::new();
    for room in ["agent", "hub", "proto", "shared", "tests"] {
        look(&root.join(room), &mut found);
    }
    found
}

/// Where the catalogue and the names of tests disagree.
fn wrong(catalogue: &Catalogue, tested: &BTreeMap<String, String>) -> Vec<String> {
    let mut wrong = catalogue.faults.clone();
    for (id, path) in tested {
        if !catalogue.entries.contains(id) {
            wrong.push(format!("{id} of {path} is in no entry"));
        }
    }
    for id in &catalogue.entries {
        let needs_test = split(id).is_some_and(|(group, _)| GROUPS.contains(&group));
        let is_excused = catalogue.without_test.contains(id);
        let has_test = tested.contains_key(id);
        if has_test && is_excused {
            wrong.push(format!(
                "{id}: has a test now: take it off the list of those without"
            ));
        } else if !has_test && needs_test && !is_excused {
            wrong.push(format!("{id}: has no test"));
        } else if !has_test && catalogue.in_part.contains(id) {
            wrong.push(format!("{id}: has no test, not even in part"));
        }
    }
    for id in catalogue.without_test.union(&catalogue.in_part) {
        if !catalogue.entries.contains(id) {
            wrong.push(format!("{id} is listed below the entries, and is none"));
        }
    }
    wrong
}

#[test]
fn the_catalogue_and_the_names_of_tests_agree() {
    let (catalogue, tested) = (catalogue(), tested());
    assert!(catalogue.entries.len() > 150, "the catalogue is cut");
    assert!(catalogue.in_part.len() > 10, "the list of parts is cut");
    let wrong = wrong(&catalogue, &tested);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn planted_faults_are_found() {
    let entry = "| P1 | fault | must happen |\n| P2 | fault | must happen |\n";
    let found = |text: &str, tests: &[&str]| {
        let ids = tests.iter().flat_map(|name| ids_of(name));
        let tested = ids.map(|id| (id, "a.rs".to_owned())).collect();
        wrong(&parse(&format!("{entry}{text}")), &tested)
    };
    let part = |rows: &str| {
        format!("## In part\n\n| id | not reached | why |\n|---|---|---|\n{rows}\n## Next\n")
    };
    let good = part("| P1, P2 | the half of it | takes too long |");
    assert_eq!(found(&good, &["p01_p02_x"]), Vec::<String>::new());
    assert_eq!(
        found("", &["p01_p02_p99_x"]),
        ["P99 of a.rs is in no entry"]
    );
    assert_eq!(found("", &["p01_x"]), ["P2: has no test"]);
    let excuse = "- P2: nobody knows how to test such a thing\n";
    assert_eq!(found(excuse, &["p01_x"]), Vec::<String>::new());
    assert_eq!(found(excuse, &["p01_p02_x"]).len(), 1);
    assert_eq!(found(entry, &["p01_p02_x"]).len(), 2, "each twice");
    for bad in [
        "| P1 | the half of it | takes too long |\n| P1 | the other half | takes too long |",
        "| P1 | the half of it |  |",
        "| P1 | the half of it |",
        "| P3 | the half of it | takes too long |",
        "| P1 to P2 | the half of it | takes too long |",
    ] {
        assert_eq!(found(&part(bad), &["p01_p02_x"]).len(), 1, "{bad}");
    }
    let excused = format!(
        "{excuse}{}",
        part("| P2 | the half of it | takes too long |")
    );
    assert_eq!(found(&excused, &["p01_x"]).len(), 1);
}

#[test]
fn ids_are_read_from_the_names_of_tests_and_of_nothing_else() {
    let text = r#"
//! c02_of_a_comment
#[test]
fn sc03_the_bill() {}

/// fn c03_of_a_comment
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg(target_os = "linux")]
// Why.
async fn g03_g04_both() { c04_called(); }

fn c05_a_helper() {}

#[test]
fn helped() { c06_called(); }

#[test]
#[ignore = "slow"]
fn c07_ignored() {}

proptest! {
    #[test]
    fn h13_any_bytes(bytes: Vec<u8>) {}
}

macro_rules! alone {
    ($($name:ident: $item:ident;)*) => {$(
        #[tokio::test]
        async fn $name() { $item().await; }
    )*};
}
alone! {
    // c08_of_a_comment: c08;
    c01_a_repository: c01_helper;
    e01_e1_x: c11_helper;
}

macro_rules! scenarios {
    ($($m:ident :: $name:ident),*) => { $(#[test] fn $name() { $m::$name(); })* };
}
scenarios! { a::p01_p02_x, b::n07_x, }

macro_rules! other { ($name:ident) => { fn $name() {} } }
other! { c09_no_test }
elsewhere! { c10_of_no_macro_of_this_file }
"#;
    let ids: BTreeSet<String> = tests_in(text)
        .iter()
        .flat_map(|name| ids_of(name))
        .collect();
    let expected = ["C1", "E1", "G3", "G4", "H13", "N7", "P1", "P2", "SC3"];
    assert_eq!(ids, expected.map(str::to_owned).into());
}
