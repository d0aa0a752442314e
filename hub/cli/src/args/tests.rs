//! What is taken, and what the help and the book say of it.

use super::*;

#[test]
fn durations_are_read_and_bounded() {
    assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
    assert_eq!(duration("10m"), Ok(Duration::from_secs(600)));
    for bad in ["", "0s", "m", "1w", "99999999999999999999s", "366d", "-1s"] {
        assert!(duration(bad).is_err(), "{bad}");
    }
}

#[test]
fn kubectl_finds_us_by_name() {
    for (program, plugin) in [
        ("/usr/bin/flotilla", false),
        ("/home/a/.krew/bin/kubectl-flotilla", true),
        ("kubectl-flotilla.exe", true),
        ("", false),
    ] {
        assert_eq!(is_plugin(Some(OsStr::new(program))), plugin, "{program}");
    }
    assert!(!is_plugin(None));
}

/// The page of the book, written by `FLOTILLA_REGENERATE=1`.
#[test]
fn the_reference_is_what_the_help_says() {
    fn add(command: &mut clap::Command, path: &str, out: &mut String) {
        let path = format!("{path} {}", command.get_name());
        let help = command.render_help().to_string();
        let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
        out.push_str(&format!(
            "\n## {}\n\n```text\n{}\n```\n",
            path.trim(),
            lines.join("\n")
        ));
        for sub in command.get_subcommands_mut() {
            if sub.get_name() != "help" && !sub.is_hide_set() {
                add(sub, &path, out);
            }
        }
    }
    // What the environment says is not what the page should.
    let command = Args::command().mut_args(|arg| arg.hide_env_values(true));
    let mut command = command.term_width(100);
    command.build();
    let page =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/docs/src/reference/flotilla.md");
    let text = std::fs::read_to_string(&page).unwrap();
    let head = text.split("\n## ").next().unwrap_or_default();
    let mut out = format!("{}\n", head.trim_end());
    add(&mut command, "", &mut out);
    if std::env::var_os("FLOTILLA_REGENERATE").is_some() {
        std::fs::write(&page, &out).unwrap();
    }
    let differs = text.lines().zip(out.lines()).find(|(a, b)| a != b);
    assert!(
        std::fs::read_to_string(&page).unwrap() == out,
        "{} is stale ({differs:?}): FLOTILLA_REGENERATE=1",
        page.display()
    );
}

/// The whole help, so that a change of it is seen in review.
#[test]
fn the_help_of_every_command() {
    fn add(command: &mut clap::Command, path: &str, out: &mut String) {
        let path = format!("{path} {}", command.get_name());
        out.push_str(&format!("===={path}\n{}\n", command.render_help()));
        for sub in command.get_subcommands_mut() {
            if sub.get_name() != "help" {
                add(sub, &path, out);
            }
        }
    }
    let mut command = Args::command().term_width(100);
    command.build();
    let mut out = String::new();
    add(&mut command, "", &mut out);
    insta::assert_snapshot!(out);
}

/// The commands of a page's console blocks, joined where a line goes on.
fn console(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    for block in text.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap_or_default();
        let joined = block.replace("\\\n", " ");
        let lines = joined
            .lines()
            .map(|line| line.split(" #").next().unwrap_or_default());
        all.extend(lines.map(|line| line.trim().to_owned()));
    }
    all
}

/// A line's words, with something in the place of what only stands for it.
fn words(line: &str) -> Vec<String> {
    let line = line.split(['>', '|']).next().unwrap_or_default();
    let mut words = Vec::new();
    let mut quoted: Option<String> = None;
    for word in line.split_whitespace() {
        let (mut word, ends) = (word.replace('"', ""), word.ends_with('"'));
        if let Some(text) = &mut quoted {
            *text += &format!(" {word}");
            if ends {
                words.extend(quoted.take());
            }
            continue;
        }
        if line.contains(&format!("\"{word}")) && !ends {
            quoted = Some(word);
            continue;
        }
        word = match word.as_str() {
            "NAME" | "ENV" | "ENVIRONMENT" => "prod".to_owned(),
            "SHA256" => "a".repeat(64),
            "COMMIT" => "a".repeat(40),
            "ROLE" => "viewer".to_owned(),
            _ => word,
        };
        words.push(word);
    }
    words.extend(quoted);
    words
}

#[test]
fn every_console_line_of_the_pages_is_one_that_the_program_takes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut open = vec![root.join("deploy")];
    let mut pages = vec![root.join("README.md")];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == "md") {
                pages.push(path);
            }
        }
    }
    let (mut seen, mut wrong) = (0, Vec::new());
    for page in pages {
        for line in console(&std::fs::read_to_string(&page).unwrap()) {
            let words = words(&line);
            if words.first().is_none_or(|word| word != "flotilla") {
                continue;
            }
            seen += 1;
            if let Err(error) = Args::command().try_get_matches_from(&words) {
                wrong.push(format!("{}: {line}: {words:?}: {error}", page.display()));
            }
        }
    }
    assert!(seen >= 20, "only {seen} lines are found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
