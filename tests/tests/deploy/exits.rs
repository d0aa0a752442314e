//! Exit codes of `flotilla-hub` and `flotilla-agent`, by the common table: 0 success, 1 a difference or not done yet,
//! 2 an error.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use clap::CommandFactory as _;
use flotilla_tests::programs;

/// One call of each command that must fail. No files can be created below `/proc`.
const ERRORS: &[(&str, &str, &str)] = &[
    ("flotilla-hub", "init", "--data-dir /proc/nowhere"),
    (
        "flotilla-hub",
        "run",
        "--data-dir /proc/nowhere --fleet /proc/nowhere.yaml --listen 127.0.0.1:0",
    ),
    (
        "flotilla-hub",
        "backup",
        "--data-dir /proc/nowhere --to /proc/nowhere/x",
    ),
    (
        "flotilla-hub",
        "restore",
        "--data-dir /proc/nowhere --from /proc/nowhere/x",
    ),
    ("flotilla-hub", "raise-epoch", "--data-dir /proc/nowhere"),
    ("flotilla-hub", "ca rotate", "--data-dir /proc/nowhere"),
    ("flotilla-hub", "ca adopt", "--data-dir /proc/nowhere"),
    ("flotilla-hub", "ca status", "--data-dir /proc/nowhere"),
    ("flotilla-hub", "man", "/proc/nowhere"),
    (
        "flotilla-hub",
        "notify test",
        "ops --notifications-file /proc/nowhere.yaml",
    ),
    ("flotilla-hub", "check", "/proc/nowhere.yaml"),
    (
        "flotilla-agent",
        "run",
        "--hub localhost:1 --cluster prod-1 --data-dir /proc/nowhere --trust-bundle /proc/nowhere.crt",
    ),
    ("flotilla-agent", "render", "--repo /proc/nowhere"),
    (
        "flotilla-agent",
        "plan",
        "--repo /proc/nowhere --kubeconfig /proc/nowhere",
    ),
    (
        "flotilla-agent",
        "check",
        "--kubeconfig /proc/nowhere --policy /proc/nowhere",
    ),
    ("flotilla-agent", "man", "/proc/nowhere"),
    ("flotilla-agent", "policy check", "/proc/nowhere.yaml"),
    ("flotilla-agent", "policy explain", "/proc/nowhere.yaml"),
];

/// Every command of a program that has no subcommands.
fn leaves(program: &str) -> BTreeSet<String> {
    fn below(command: &clap::Command, path: &str, all: &mut BTreeSet<String>) {
        let own = command
            .get_subcommands()
            .filter(|command| command.get_name() != "help");
        let mut any = false;
        for command in own {
            any = true;
            let path = format!("{path} {}", command.get_name());
            below(command, path.trim(), all);
        }
        if !any {
            all.insert(path.to_owned());
        }
    }
    let command = match program {
        "flotilla-hub" => flotilla_hub::args::Args::command(),
        _ => flotilla_agent::args::Args::command(),
    };
    let mut all = BTreeSet::new();
    below(&command, "", &mut all);
    all
}

struct Programs {
    programs: std::path::PathBuf,
    directory: tempfile::TempDir,
}

impl Programs {
    fn run(&self, program: &str, words: &[&str]) -> Output {
        let mut command = Command::new(self.programs.join(program));
        let command = command.args(words).current_dir(self.directory.path());
        command.env_remove("KUBECONFIG").output().unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.directory.path().join(name), text).unwrap();
    }
}

async fn found() -> Programs {
    Programs {
        programs: programs::build().await.unwrap(),
        directory: tempfile::tempdir().unwrap(),
    }
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

#[tokio::test]
async fn commands_of_hub_and_agent_that_cannot_do_what_they_are_asked_exit_with_2() {
    for program in ["flotilla-hub", "flotilla-agent"] {
        let rows = ERRORS.iter().filter(|(name, ..)| *name == program);
        let rows: BTreeSet<String> = rows.map(|(_, command, _)| (*command).to_owned()).collect();
        assert_eq!(rows, leaves(program), "a command of {program} has no row");
    }
    let found = found().await;
    for (program, command, rest) in ERRORS {
        let words: Vec<&str> = command.split(' ').chain(rest.split(' ')).collect();
        let output = found.run(program, &words);
        let text = printed(&output);
        // `flotilla-agent check` lists what it could not check, and may exit with 1.
        let is_check = *program == "flotilla-agent" && *command == "check";
        let expected = if is_check { &[1, 2][..] } else { &[2] };
        let code = output.status.code().unwrap_or_default();
        assert!(
            expected.contains(&code),
            "{program} {command}: {code}: {text}"
        );
        assert!(
            !text.contains("panicked") && !text.trim().is_empty(),
            "{text}"
        );
        // The command must fail for its subject, not for its arguments.
        assert!(!text.contains("Usage:"), "{program} {command}: {text}");
        let path: Vec<&str> = command.split(' ').collect();
        for (flag, expected) in [("--nonsense", 2), ("--help", 0)] {
            let output = found.run(program, &[&path[..], &[flag]].concat());
            assert_eq!(
                output.status.code(),
                Some(expected),
                "{program} {command} {flag}"
            );
        }
    }
}

#[tokio::test]
async fn commands_of_hub_and_agent_that_did_as_asked_exit_with_0() {
    let found = found().await;
    let fleet = "apiVersion: flotilla.dev/v1alpha1\nkind: Fleet\nrepositories:\n\
                 - {name: fleet, url: 'https://git.example.com/fleet.git'}\nenvironments:\n\
                 - {name: prod, branch: prod}\napplications:\n\
                 - {name: web, repository: fleet, path: PATH}\n";
    found.write("fleet.yaml", &fleet.replace("PATH", "web"));
    found.write("never.yaml", &fleet.replace("PATH", "../web"));
    found.write("policy.yaml", "allowHttp: false\n");
    found.write("broken.yaml", "kind: [\n");
    found.write(
        "a.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
    );
    git(found.directory.path());
    for (program, words, code) in [
        ("flotilla-hub", "check fleet.yaml", 0),
        ("flotilla-hub", "check never.yaml", 2),
        ("flotilla-hub", "check broken.yaml", 2),
        ("flotilla-hub", "init --data-dir hub", 0),
        ("flotilla-hub", "ca status --data-dir hub", 0),
        ("flotilla-hub", "backup --data-dir hub --to backup.db", 2),
        // Only `ca adopt` and a running hub create a store.
        ("flotilla-hub", "ca adopt --data-dir hub", 0),
        ("flotilla-hub", "backup --data-dir hub --to backup.db", 0),
        ("flotilla-hub", "backup --data-dir hub --to backup.db", 2),
        ("flotilla-hub", "restore --data-dir hub --from backup.db", 0),
        ("flotilla-hub", "raise-epoch --data-dir hub", 0),
        ("flotilla-hub", "ca rotate --data-dir hub", 0),
        ("flotilla-hub", "ca rotate --data-dir hub", 2),
        ("flotilla-hub", "ca rotate --data-dir hub --finish", 0),
        ("flotilla-agent", "policy check policy.yaml", 0),
        ("flotilla-agent", "policy explain policy.yaml -o json", 0),
        ("flotilla-agent", "policy check broken.yaml", 2),
        ("flotilla-agent", "render --repo . --path a.yaml", 0),
        ("flotilla-agent", "render --repo . --path nothing", 2),
    ] {
        let output = found.run(program, &words.split(' ').collect::<Vec<_>>());
        let got = output.status.code();
        assert_eq!(got, Some(code), "{program} {words}: {}", printed(&output));
    }
    // What the agent's policy would refuse is left out of the plan.
    found.write("narrow.yaml", "branches: [prod]\npaths: [apps]\n");
    for (branch, reason) in [("main", "BranchNotAllowed"), ("prod", "PathNotAllowed")] {
        let words = format!("plan --repo . --branch {branch} --path a.yaml --policy narrow.yaml");
        let output = found.run("flotilla-agent", &words.split(' ').collect::<Vec<_>>());
        assert_eq!(output.status.code(), Some(2), "{}", printed(&output));
        assert!(printed(&output).contains(reason), "{}", printed(&output));
    }
}

fn git(directory: &Path) {
    for words in [
        "init -q -b main .",
        "add a.yaml",
        "-c user.name=t -c user.email=t@example.com commit -q -m first",
    ] {
        let mut command = Command::new("git");
        let command = command.current_dir(directory).args(words.split(' '));
        let output = command.env("GIT_CONFIG_NOSYSTEM", "1").output().unwrap();
        assert!(output.status.success(), "git {words}: {}", printed(&output));
    }
}
