//! Exit codes of every command: 0 success, 1 a difference or not done yet, 2 an error.

use std::collections::BTreeSet;

use crate::service::{Fake, Hub, stderr, write_private};

/// Every command without subcommands, from the recorded help.
fn commands() -> BTreeSet<String> {
    let help = include_str!(
        "../../src/snapshots/flotilla_cli__args__tests__the_help_of_every_command.snap"
    );
    let all: Vec<&str> = help
        .lines()
        .filter_map(|line| line.strip_prefix("==== flotilla "))
        .collect();
    let has_own = |command: &str| {
        let below = format!("{command} ");
        !all.iter().any(|other| other.starts_with(&below)) || command == "audit"
    };
    all.iter()
        .filter(|command| has_own(command))
        .map(|command| (*command).to_owned())
        .collect()
}

/// A failing call of each command: the hub is unreachable, or the subject does not exist.
const ERRORS: &[(&str, &str)] = &[
    ("status", ""),
    ("login", "https://127.0.0.1:1"),
    ("context list", ""),
    ("context use", "nobody"),
    ("context remove", "nobody"),
    ("context import", "/nowhere.yaml"),
    ("context renew", ""),
    ("get clusters", ""),
    ("get applications", ""),
    ("get environments", ""),
    ("describe cluster", "prod-1"),
    ("explain", "prod"),
    ("diff", "prod-1"),
    ("promote", "prod --yes"),
    ("rollback", "prod --reason x"),
    ("rollout list", ""),
    ("rollout show", "prod"),
    ("rollout watch", "prod"),
    ("history", ""),
    ("pause", "prod --reason x"),
    ("resume", "prod"),
    ("retry", "prod"),
    ("abort", "prod --reason x"),
    ("pin", "--env prod --reason x"),
    ("unpin", "prod"),
    ("approve", "prod"),
    ("audit", ""),
    ("audit verify", ""),
    ("events", ""),
    ("operator list", ""),
    ("operator set", "bob --role viewer"),
    ("operator remove", "bob"),
    ("token create", ""),
    ("token list", ""),
    ("token revoke", "x"),
    ("cluster list", ""),
    ("cluster accept", "prod-1"),
    ("cluster remove", "prod-1 --yes"),
    ("cluster unlock", "prod-1 --reason x"),
    ("cluster join-manifest", "prod-9 --env prod"),
    ("hub", ""),
    ("check", ""),
    ("support-bundle", "/nowhere/x.tar.gz --yes"),
    ("web", ""),
    ("plan", "--env prod --commit 1a2b3c4"),
    ("application remove", "shop --yes"),
    ("suspend", "prod-1 --reason x"),
    ("chart vendor", "/nowhere"),
    ("chart outdated", "/nowhere"),
    ("render", "/nowhere"),
    ("version", "-o nonsense"),
    ("completions", "nonsense"),
    ("man", "/nowhere"),
];

#[test]
fn every_command_that_cannot_do_what_it_is_asked_exits_with_2() {
    let listed: BTreeSet<String> = ERRORS
        .iter()
        .map(|(command, _)| (*command).to_owned())
        .collect();
    assert_eq!(listed, commands(), "a command has no row in this table");
    let hub = Hub::start(Fake::default());
    // An invalid context file, so that no hub is called.
    let broken = hub.directory().join("broken.yaml");
    write_private(&broken, "kind: Nothing\n");
    for (command, rest) in ERRORS {
        let words: Vec<&str> = command.split(' ').chain(rest.split_whitespace()).collect();
        let output = hub
            .command(&words)
            .env("FLOTILLA_CONFIG", &broken)
            .output()
            .unwrap();
        let message = stderr(&output);
        // A failed check is part of the list.
        let expected = if *command == "check" {
            &[1, 2][..]
        } else {
            &[2]
        };
        let code = output.status.code().unwrap_or_default();
        assert!(
            expected.contains(&code),
            "{command} {rest}: {code} {message}"
        );
        assert!(
            !message.contains("panicked") && (*command == "check" || message.contains("error")),
            "{command} {rest}: {message}"
        );
        // A flag that does not exist.
        let output = hub.run(&[&words[..], &["--nonsense"]].concat());
        assert_eq!(output.status.code(), Some(2), "{command} --nonsense");
        let output = hub.run(&[&command.split(' ').collect::<Vec<_>>()[..], &["--help"]].concat());
        assert_eq!(output.status.code(), Some(0), "{command} --help");
    }
}

#[test]
fn what_was_done_as_asked_is_0_and_what_differs_or_is_not_there_yet_is_1() {
    let hub = Hub::start(Fake::default());
    for (words, code) in [
        ("status", 0),
        ("get clusters", 0),
        ("get environments -o yaml", 0),
        ("describe cluster prod-1", 0),
        ("explain prod", 0),
        ("operator remove carl", 0),
        ("operator remove dora", 2),
        ("diff prod-1", 1),
        ("diff prod-1 same", 0),
        ("version", 0),
        ("completions bash", 0),
        ("audit verify", 0),
        ("cluster remove prod-1", 2),
    ] {
        let output = hub.run(&words.split(' ').collect::<Vec<_>>());
        assert_eq!(
            output.status.code(),
            Some(code),
            "{words}: {}",
            stderr(&output)
        );
    }
}
