//! The book's page of the command line equals the program's help. `FLOTILLA_REGENERATE=1` writes it.

use std::path::Path;
use std::process::Command;

fn help(path: &[String]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flotilla"));
    for variable in ["FLOTILLA_CONFIG", "FLOTILLA_CONTEXT", "COLUMNS"] {
        command.env_remove(variable);
    }
    let output = command.args(path).arg("-h").output().unwrap();
    assert!(output.status.success(), "{path:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.trim_end().lines().map(str::trim_end).collect();
    lines.join("\n")
}

/// Names of the subcommands of a command.
fn below(help: &str) -> Vec<String> {
    let Some((_, list)) = help.split_once("\nCommands:\n") else {
        return Vec::new();
    };
    let names = list.lines().take_while(|line| !line.is_empty());
    let names = names.filter_map(|line| {
        let name = line.strip_prefix("  ")?.split(' ').next()?;
        (!name.is_empty() && name != "help").then(|| name.to_owned())
    });
    names.collect()
}

fn add(path: &[String], out: &mut String) {
    let text = help(path);
    let name = std::iter::once("flotilla".to_owned()).chain(path.iter().cloned());
    let name: Vec<String> = name.collect();
    out.push_str(&format!(
        "\n## {}\n\n```text\n{text}\n```\n",
        name.join(" ")
    ));
    for name in below(&text) {
        let path: Vec<String> = path.iter().cloned().chain([name]).collect();
        add(&path, out);
    }
}

#[test]
fn the_page_of_the_command_line_is_what_its_help_says() {
    let page =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/docs/src/reference/flotilla.md");
    let found = std::fs::read_to_string(&page).unwrap();
    let head = found.split("\n## ").next().unwrap_or_default();
    let mut out = format!("{}\n", head.trim_end());
    add(&[], &mut out);
    assert!(
        out.matches("\n## ").count() > 40,
        "commands are not found any more"
    );
    if std::env::var_os("FLOTILLA_REGENERATE").is_some() {
        std::fs::write(&page, &out).unwrap();
    }
    let differs = found.lines().zip(out.lines()).find(|(a, b)| a != b);
    assert!(
        std::fs::read_to_string(&page).unwrap() == out,
        "{} is stale ({differs:?}): FLOTILLA_REGENERATE=1 cargo test --workspace --test cli -- book",
        page.display()
    );
}
