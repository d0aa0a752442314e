//! The console blocks of README, `deploy/README.md` and the book, with the annotations in their pages.
//!
//! A comment before a block annotates the block, or those of its lines that start as given:
//! `<!-- not run: why -->`, `<!-- not run, kubectl: why -->`, `<!-- exits 1, flotilla plan: why -->`.
//! Every line without annotation is run by `demo` or `tutorial`, and must exit with 0.

use std::path::{Path, PathBuf};

/// An annotation of a block's lines.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Annotation {
    /// None: it is not run.
    exits: Option<i32>,
    /// The prefix of the lines; empty: all.
    begins: String,
    reason: String,
}

/// A line, as a reader types it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) page: String,
    pub(crate) text: String,
    /// None: it is not run.
    pub(crate) exits: Option<i32>,
    /// From the annotation.
    reason: String,
}

fn mark(line: &str) -> Option<Annotation> {
    let line = line.trim().strip_prefix("<!-- ")?.strip_suffix(" -->")?;
    let (what, reason) = line.split_once(": ")?;
    let (what, begins) = what.split_once(", ").unwrap_or((what, ""));
    let exits = match what.strip_prefix("exits ") {
        Some(code) => Some(code.parse().ok()?),
        None if what == "not run" => None,
        None => return None,
    };
    Some(Annotation {
        exits,
        begins: begins.to_owned(),
        reason: reason.to_owned(),
    })
}

/// Strips a line's comment.
fn plain(line: &str) -> &str {
    line.split(" #").next().unwrap_or_default().trim()
}

/// The lines of a page's console blocks, with continuation lines joined.
fn read(page: &str, text: &str) -> Vec<Line> {
    let (mut all, mut marks) = (Vec::new(), Vec::<Annotation>::new());
    let mut rest = text.lines();
    while let Some(line) = rest.next() {
        if let Some(mark) = mark(line) {
            marks.push(mark);
            continue;
        }
        if line.trim() != "```console" {
            assert!(marks.is_empty(), "{page}: a mark before no block: {line}");
            continue;
        }
        let block = rest.by_ref().take_while(|line| line.trim() != "```");
        let block = block.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
        let mut used = vec![false; marks.len()];
        for line in block.lines().map(plain).filter(|line| !line.is_empty()) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let line = words.join(" ");
            // The mark with the longest prefix wins.
            let fits = |index: &usize| line.starts_with(&marks[*index].begins);
            let found = (0..marks.len()).filter(fits);
            let found = found.max_by_key(|index| marks[*index].begins.len());
            if let Some(index) = found {
                used[index] = true;
            }
            let mark = found.map(|index| &marks[index]);
            all.push(Line {
                page: page.to_owned(),
                exits: mark.map_or(Some(0), |mark| mark.exits),
                reason: mark.map_or(String::new(), |mark| mark.reason.clone()),
                text: line,
            });
        }
        for (mark, used) in marks.drain(..).zip(used) {
            assert!(used, "{page}: a mark that is about no line: {mark:?}");
        }
    }
    all
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All pages with blocks, relative to the top of the tree.
fn pages() -> Vec<String> {
    let mut found = vec!["README.md".to_owned(), "deploy/README.md".to_owned()];
    let mut open = vec![PathBuf::from("deploy/docs/src")];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(root().join(&directory)).unwrap() {
            let path = directory.join(entry.unwrap().file_name());
            if root().join(&path).is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == "md") {
                found.push(path.to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// Every line of every page.
pub(crate) fn lines() -> Vec<Line> {
    let text = |page: &String| std::fs::read_to_string(root().join(page)).unwrap();
    let all = pages();
    let all = all.iter().flat_map(|page| read(page, &text(page)));
    all.collect()
}

/// A page's text.
pub(crate) fn page(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap()
}

/// The first block of a language in a page that begins as given.
pub(crate) fn block(page: &str, language: &str, begins: &str) -> String {
    let fence = format!("```{language}\n");
    let blocks = page.split(&fence).skip(1);
    let mut blocks = blocks.map(|rest| rest.split("```").next().unwrap_or_default());
    let found = blocks.find(|block| block.starts_with(begins));
    found.expect("the page has that block").to_owned()
}

/// Prefixes of lines that are not run. A line of one of our programs needs an annotation with its own reason; nothing
/// is added here without review.
const NOT_RUN: [(&str, usize); 12] = [
    ("age-keygen", 2),
    ("cargo test", 1),
    ("docker", 4),
    (
        "flotilla application remove guestbook --env prod --reason \"moved to the new shop\" --push",
        1,
    ),
    ("flotilla cluster accept", 1),
    ("flotilla plan --env prod --branch feature/x --comment", 1),
    ("flotilla promote prod --pull-request", 1),
    ("flotilla-hub notify test", 1),
    ("git add", 1),
    ("helm", 1),
    ("kubectl", 23),
    ("sops", 2),
];

#[test]
fn what_is_not_run_is_marked_with_a_reason_and_is_little() {
    let all = lines();
    let not_run: Vec<&Line> = all.iter().filter(|line| line.exits.is_none()).collect();
    let mut left = not_run.clone();
    for (begins, count) in NOT_RUN {
        let before = left.len();
        left.retain(|line| !line.text.starts_with(begins));
        assert_eq!(before - left.len(), count, "lines with {begins}");
    }
    assert!(left.is_empty(), "not run, and nobody said so: {left:#?}");
    for line in all.iter().filter(|line| line.exits != Some(0)) {
        assert!(line.reason.len() > 15, "{line:?}");
    }
    let ours = |line: &&Line| line.text.starts_with("flotilla");
    let run = all.iter().filter(ours).filter(|line| line.exits.is_some());
    assert!(run.count() > 40, "lines are not found any more");
    // A block in another language such as `sh` would never be run.
    for name in pages() {
        assert!(!page(&name).contains("```sh"), "{name}: use console");
    }
}

#[test]
fn marks_and_lines_are_read_as_they_are_meant() {
    let text = "a\n<!-- not run, b: it is somebody else's -->\n<!-- exits 1, c d: it differs, as it should -->\n\
                ```console\nb --c   # of course\nc \\\n  d # yes\nc e # no\n```\n<!-- a note: nothing -->\n";
    let lines = read("page", text);
    let seen: Vec<(&str, Option<i32>)> = lines
        .iter()
        .map(|line| (line.text.as_str(), line.exits))
        .collect();
    assert_eq!(seen, [("b --c", None), ("c d", Some(1)), ("c e", Some(0))]);
}
