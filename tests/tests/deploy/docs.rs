//! The book matches the programs, and its links work. `FLOTILLA_REGENERATE=1` regenerates its generated pages; review
//! the change.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use flotilla_shared::reason::Reason;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A table of options, as in the reference.
fn options(command: &clap::Command, out: &mut String) {
    let mut rows = String::new();
    for argument in command.get_arguments() {
        let is_own = !argument.is_global_set() && !argument.is_hide_set();
        if !is_own || ["help", "version"].contains(&argument.get_id().as_str()) {
            continue;
        }
        let name = match (argument.get_short(), argument.get_long()) {
            (Some(short), Some(long)) => format!("`-{short}`, `--{long}`"),
            (None, Some(long)) => format!("`--{long}`"),
            _ => format!("`{}`", argument.get_id().as_str().to_uppercase()),
        };
        let mut what = argument
            .get_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        if !what.ends_with('.') {
            what.push('.');
        }
        if let Some(variable) = argument.get_env() {
            what += &format!(" Variable: `{}`.", variable.to_string_lossy());
        }
        let defaults: Vec<String> = argument
            .get_default_values()
            .iter()
            .map(|value| format!("`{}`", value.to_string_lossy()))
            .filter(|value| value != "``" && value != "`false`")
            .collect();
        rows += &format!(
            "| {name} | {} | {} |\n",
            what.replace('|', "\\|"),
            defaults.join(", ")
        );
    }
    if !rows.is_empty() {
        *out += &format!("\n| option | what | default |\n|---|---|---|\n{rows}");
    }
}

fn commands(command: &clap::Command, path: &str, out: &mut String) {
    let path = format!("{path} {}", command.get_name()).trim().to_owned();
    let below: Vec<&clap::Command> = command
        .get_subcommands()
        .filter(|command| command.get_name() != "help" && !command.is_hide_set())
        .collect();
    if below.is_empty() {
        let about = command.get_long_about().or(command.get_about());
        let about = about.map(ToString::to_string).unwrap_or_default();
        *out += &format!("\n## {path}\n\n{about}");
        if !about.ends_with('.') {
            out.push('.');
        }
        out.push('\n');
        options(command, out);
    }
    for command in below {
        commands(command, &path, out);
    }
}

/// Compares a page with what it should be, or writes it.
fn hold(path: &str, expected: &str) {
    if std::env::var_os("FLOTILLA_REGENERATE").is_some() {
        std::fs::write(root().join(path), expected).unwrap();
    }
    let found = read(path);
    let differs = found.lines().zip(expected.lines()).find(|(a, b)| a != b);
    assert!(
        found == expected,
        "{path} is stale ({differs:?}): run FLOTILLA_REGENERATE=1 cargo test -p flotilla-tests --test deploy docs, \
         and review"
    );
}

#[test]
fn the_reference_of_hub_and_agent_is_what_their_command_lines_say() {
    for (page, mut command) in [
        ("flotilla-hub", flotilla_hub::args::Args::command()),
        ("flotilla-agent", flotilla_agent::args::Args::command()),
    ] {
        let path = format!("deploy/docs/src/reference/{page}.md");
        let head = read(&path);
        let head = head.split("\n## ").next().unwrap().trim_end().to_owned();
        command.build();
        let mut out = head + "\n";
        commands(&command, "", &mut out);
        hold(&path, &out);
    }
}

/// A registered metric: its name as Prometheus shows it, and its help.
fn registered(path: &str, prefix: &str) -> BTreeMap<String, String> {
    let source = read(path);
    let call = regex::Regex::new(
        r#"register(_with_unit)?\(\s*"([a-z_]+)",\s*"([^"]*)",\s*(?:Unit::(Seconds|Bytes))?"#,
    );
    call.unwrap()
        .captures_iter(&source)
        .map(|found| {
            let unit = found.get(4);
            let unit = unit.map_or(String::new(), |unit| {
                format!("_{}", unit.as_str().to_lowercase())
            });
            (format!("{prefix}_{}{unit}", &found[2]), found[3].to_owned())
        })
        .collect()
}

#[test]
fn the_page_of_metrics_names_each_with_its_help() {
    let page = read("deploy/docs/src/reference/metrics.md");
    let mut rows: BTreeMap<String, String> = BTreeMap::new();
    for line in page.lines().filter(|line| line.starts_with("| `flotilla_")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let name = cells[1].trim_matches('`');
        let name = name.strip_suffix("_total").unwrap_or(name);
        rows.insert(name.to_owned(), cells[3].to_owned());
    }
    let mut known = registered("hub/src/metrics.rs", "flotilla_hub");
    known.extend(registered("agent/src/metrics.rs", "flotilla_agent"));
    assert!(known.len() > 25, "the registrations are not found any more");
    assert_eq!(rows, known);
}

#[test]
fn the_page_of_reasons_names_each_with_its_meaning() {
    let page = read("deploy/docs/src/reference/reasons.md");
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let rows: BTreeSet<&str> = rows.collect();
    let known = Reason::ALL.iter().filter(|r| **r != Reason::Other);
    let known = known.map(|reason| {
        let last = if reason.is_final() { " yes " } else { "  " };
        format!("| `{reason}` | {} |{last}|", reason.meaning())
    });
    let known: BTreeSet<String> = known.collect();
    let known: BTreeSet<&str> = known.iter().map(String::as_str).collect();
    assert_eq!(rows, known);
}

fn pages() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let is_ours = !name.starts_with('.') && name != "target" && name != "conformance";
            if path.is_dir() && is_ours && !path.is_symlink() {
                open.push(path);
            } else if name.ends_with(".md") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Anchors as GitHub and mdBook make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            title
                .chars()
                .filter_map(|c| match c {
                    ' ' => Some('-'),
                    c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
                    _ => None,
                })
                .collect()
        })
        .collect()
}

#[test]
fn every_link_of_every_page_leads_somewhere() {
    let link = regex::Regex::new(r#"(?:\]\(|src="|srcset=")([^)\s"]+)[)"]"#).unwrap();
    let code = regex::Regex::new(r"(?s)```.*?```|`[^`\n]*`").unwrap();
    let (mut broken, mut seen) = (Vec::new(), 0);
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        let prose = code.replace_all(&text, "");
        for found in link.captures_iter(&prose) {
            let target = &found[1];
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            seen += 1;
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = match file {
                "" => page.clone(),
                file => page.parent().unwrap().join(file),
            };
            let has_anchor = || {
                anchor.is_empty()
                    || path.extension().is_some_and(|end| end == "rs")
                    || std::fs::read_to_string(&path)
                        .is_ok_and(|text| anchors(&text).contains(anchor))
            };
            if !path.exists() || !has_anchor() {
                broken.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(seen > 50, "links are not found any more");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_page_of_the_book_is_in_its_summary() {
    let summary = read("deploy/docs/src/SUMMARY.md");
    let book = root().join("deploy/docs/src");
    for page in pages() {
        if let Ok(name) = page
            .strip_prefix(book.canonicalize().unwrap_or(book.clone()))
            .or_else(|_| page.strip_prefix(&book))
            && !name.ends_with("SUMMARY.md")
        {
            let name = name.to_str().unwrap();
            assert!(summary.contains(&format!("({name})")), "{name}");
        }
    }
}
