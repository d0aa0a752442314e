//! Removals that are pushed: a real repository, the real `git`, and a clone that stays unchanged.

use std::path::PathBuf;
use std::process::Output;

use crate::real_git::git;
use crate::service::{Fake, Hub, stderr, stdout};

const FLEET: &str = "# Ours.
apiVersion: flotilla.dev/v1alpha1
kind: Fleet
repositories: [{name: fleet, url: 'https://git.example.org/fleet.git'}]
environments:
- {name: dev, branch: dev}
- {name: prod, branch: prod}
applications:
- name: guestbook   # what people see
  repository: fleet
  path: apps/guestbook
- {name: other, repository: fleet, path: apps/other}
";

/// A bare repository with a fleet file, and a clone of it with unfinished work.
struct World {
    directory: tempfile::TempDir,
    work: PathBuf,
    bare: PathBuf,
    first: String,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (work, bare) = (
            directory.path().join("work"),
            directory.path().join("bare.git"),
        );
        git(
            directory.path(),
            &["init", "-q", "--bare", "-b", "main", "bare.git"],
        );
        git(directory.path(), &["clone", "-q", "bare.git", "work"]);
        git(&work, &["checkout", "-q", "-b", "main"]);
        git(&work, &["config", "user.name", "Ada Lovelace"]);
        git(&work, &["config", "user.email", "ada@example.org"]);
        std::fs::create_dir(work.join("hub")).unwrap();
        std::fs::write(work.join("hub/fleet.yaml"), FLEET).unwrap();
        std::fs::write(work.join("notes"), "one\n").unwrap();
        git(&work, &["add", "."]);
        git(&work, &["commit", "-q", "-m", "first"]);
        git(&work, &["push", "-q", "-u", "origin", "main"]);
        // Unrelated changes in index and work tree.
        std::fs::write(work.join("notes"), "two\n").unwrap();
        git(&work, &["add", "notes"]);
        std::fs::write(work.join("notes"), "three\n").unwrap();
        let first = git(&work, &["rev-parse", "HEAD"]);
        Self {
            directory,
            work,
            bare,
            first,
        }
    }

    fn state(&self) -> String {
        let refs = git(&self.work, &["for-each-ref"]);
        format!("{}\n{refs}", git(&self.work, &["status", "--porcelain"]))
    }

    fn head(&self) -> String {
        git(&self.bare, &["rev-parse", "main"])
    }

    fn remove(&self, hub: &Hub, more: &[&str]) -> Output {
        let file = self.work.join("hub/fleet.yaml").display().to_string();
        let mut arguments = vec!["application", "remove", "guestbook", "--push", &file];
        arguments.extend(more);
        hub.run(&arguments)
    }
}

#[test]
fn a_removal_is_pushed_with_its_person_and_reason_and_the_clone_stays_as_it_is() {
    let world = World::new();
    let fake = Fake::default();
    let steered = fake.steered.clone();
    let hub = Hub::start(fake);
    let before = world.state();
    let shown = world.remove(&hub, &["--env", "prod", "--dry-run"]);
    assert_eq!(shown.status.code(), Some(0), "{}", stderr(&shown));
    for line in [
        "-  path: apps/guestbook",
        "+  environments: [prod]",
        "+- application: guestbook",
    ] {
        let message = stderr(&shown);
        assert!(
            message.contains(line) || line.starts_with('-'),
            "{line}: {message}"
        );
    }
    let asked = world.remove(&hub, &["--env", "prod"]);
    assert_eq!(asked.status.code(), Some(2), "nobody is there to say yes");
    assert_eq!(world.head(), world.first);
    assert!(steered.lock().is_empty());
    let reason = ["--reason", "nobody reads it"];
    let done = world.remove(&hub, &[&["--env", "prod", "--yes"][..], &reason].concat());
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    assert_eq!(stdout(&done), "", "there is nothing left to commit");
    assert_eq!(steered.lock().len(), 1, "the hub notes who wants it");
    assert_eq!(git(&world.bare, &["rev-parse", "main^"]), world.first);
    let changed = git(
        &world.bare,
        &["log", "-1", "--format=%an <%ae>%n%B", "main"],
    );
    assert_eq!(
        changed,
        "Ada Lovelace <ada@example.org>\nRemove application guestbook from prod\n\nnobody reads it\n\n\
         Requested-by: Ada Lovelace <ada@example.org>"
    );
    let expected = FLEET.replace(
        "- name: guestbook   # what people see\n",
        "- name: guestbook   # what people see\n  placement: {environments: [dev]}\n",
    ) + "removed:\n- application: guestbook\n  environments: [prod]";
    assert_eq!(git(&world.bare, &["show", "main:hub/fleet.yaml"]), expected);
    assert_eq!(git(&world.bare, &["show", "main:notes"]), "one");
    assert_eq!(world.state(), before);
    let again = world.remove(&hub, &["--env", "prod", "--yes"]);
    assert_eq!(again.status.code(), Some(2), "{}", stderr(&again));
    assert!(
        stderr(&again).contains("already says so"),
        "{}",
        stderr(&again)
    );
}

#[test]
fn a_push_that_is_refused_is_told_and_loses_nothing() {
    let world = World::new();
    let hub = Hub::start(Fake::default());
    let hook = world.bare.join("hooks/pre-receive");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    std::fs::write(
        &hook,
        "#!/bin/sh\necho 'main takes pull requests only' >&2\nexit 1\n",
    )
    .unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&hook, executable).unwrap();
    let before = world.state();
    let output = world.remove(&hub, &["--yes"]);
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{message}");
    for words in [
        "main takes pull requests only",
        "nothing was changed",
        "pull request",
    ] {
        assert!(message.contains(words), "{words}: {message}");
    }
    assert_eq!((world.head(), world.state()), (world.first.clone(), before));
}

#[test]
fn what_others_pushed_meanwhile_is_kept_and_what_has_no_branch_is_told() {
    let world = World::new();
    let hub = Hub::start(Fake::default());
    let other = world.directory.path().join("other");
    git(
        world.directory.path(),
        &["clone", "-q", "bare.git", "other"],
    );
    std::fs::write(
        other.join("hub/fleet.yaml"),
        FLEET.replace("# Ours.", "# Everybody's."),
    )
    .unwrap();
    let commit = [
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@e",
        "commit",
        "-q",
        "-am",
        "second",
    ];
    git(&other, &commit);
    git(&other, &["push", "-q"]);
    let done = world.remove(&hub, &["--yes"]);
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    assert!(
        stderr(&done).contains("differs from the file on"),
        "{}",
        stderr(&done)
    );
    let text = git(&world.bare, &["show", "main:hub/fleet.yaml"]);
    assert!(
        text.starts_with("# Everybody's.") && !text.contains("name: guestbook"),
        "{text}"
    );
    git(&world.work, &["checkout", "-q", "--detach"]);
    let detached = world.remove(&hub, &["--yes"]);
    assert!(
        stderr(&detached).contains("no branch checked out"),
        "{}",
        stderr(&detached)
    );
    let nowhere = world
        .directory
        .path()
        .join("fleet.yaml")
        .display()
        .to_string();
    std::fs::write(&nowhere, FLEET).unwrap();
    let output = hub.run(&[
        "application",
        "remove",
        "guestbook",
        "--push",
        &nowhere,
        "--yes",
    ]);
    assert!(
        stderr(&output).contains("not in a Git work tree"),
        "{}",
        stderr(&output)
    );
}
