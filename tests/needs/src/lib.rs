//! Tools that tests need, and what happens if one is missing.
//!
//! A skipped test is not a pass. cargo captures the output of passing tests, so a line on stderr is not enough: a test
//! without its tool is recorded in the file that `FLOTILLA_SKIPS` names, and fails if `FLOTILLA_REQUIRE` names the
//! tool (comma-separated, `all` for every tool). A test that runs in part, because it is smaller or uses a substitute,
//! is recorded as well. `.ci/run` sets both variables, and ends with the list of what did not run and what ran in
//! part.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Tools that tests may need beyond a Rust toolchain, git and a C compiler, and their sources.
pub const KNOWN: [(&str, &str); 17] = [
    (
        "apiserver",
        "kube-apiserver and etcd: KUBEBUILDER_ASSETS=DIR, as setup-envtest sets it",
    ),
    ("chromedriver", "Debian's chromium-driver"),
    ("chromium", "Debian's chromium"),
    ("faketime", "Debian's libfaketime, of faketime"),
    ("gpg", "Debian's gnupg"),
    (
        "helm",
        "the official helm: FLOTILLA_HELM=FILE or the search path",
    ),
    ("jq", "Debian's jq"),
    ("kubectl", "kubectl on the search path"),
    (
        "kustomize",
        "FLOTILLA_KUSTOMIZE=FILE for all; for most, kustomize or kubectl on the search path",
    ),
    ("openssl", "Debian's openssl"),
    ("postgres", "Debian's postgresql"),
    ("prometheus", "Debian's prometheus, with promtool"),
    (
        "registry",
        "Debian's docker-registry: FLOTILLA_REGISTRY=FILE or the search path",
    ),
    ("sops", "FLOTILLA_SOPS=FILE or the search path"),
    ("ssh", "Debian's openssh-client"),
    ("ssh-keygen", "Debian's openssh-client"),
    ("sshd", "Debian's openssh-server"),
];

/// The first field of the record of a test that ran in part; other records name their tool there.
const IN_PART: &str = "in part";

/// What to do about a missing tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MissingTool {
    /// Skip the test, and record this line.
    Skip(String),
    /// Fail: the tool is required.
    Fail(String),
}

/// Decides, without side effects.
#[must_use]
pub fn judge(tool: &str, test: &str, required: Option<&str>) -> MissingTool {
    let required: BTreeSet<&str> = required
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .collect();
    let Some((_, source)) = KNOWN.iter().find(|(name, _)| *name == tool) else {
        return MissingTool::Fail(format!("{tool:?} is not in the list of known tools"));
    };
    if required.contains(tool) || required.contains("all") {
        MissingTool::Fail(format!(
            "{test} needs {tool}, which FLOTILLA_REQUIRE demands and is not here ({source})"
        ))
    } else {
        MissingTool::Skip(format!("{tool}\t{test}\t{source}\n"))
    }
}

/// The record of a test that ran in part.
fn part(test: &str, why: &str) -> String {
    format!("{IN_PART}\t{test}\t{why}\n")
}

/// What to do about `tool` in the running test.
fn missing(tool: &str) -> MissingTool {
    let required = std::env::var("FLOTILLA_REQUIRE").ok();
    judge(tool, &running(), required.as_deref())
}

/// The running test's name.
fn running() -> String {
    let thread = std::thread::current();
    thread.name().unwrap_or("a test").to_owned()
}

/// Prints a line and records it.
#[allow(
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking, and one that is left out must be seen to be"
)]
fn count(word: &str, line: &str) {
    eprint!("{word}: {}", line.replace('\t', ", "));
    if let Some(file) = std::env::var_os("FLOTILLA_SKIPS")
        && let Err(error) = append(&PathBuf::from(file), line)
    {
        panic!("cannot count a skipped test in FLOTILLA_SKIPS: {error}");
    }
}

/// Records that the running test is skipped because `tool` is missing.
///
/// # Panics
/// Where `FLOTILLA_REQUIRE` names the tool.
#[allow(clippy::panic, reason = "a test fails by panicking")]
pub fn skip(tool: &str) {
    match missing(tool) {
        MissingTool::Fail(why) => panic!("{why}"),
        MissingTool::Skip(line) => count("SKIPPED", &line),
    }
}

/// Records that the running test uses `by` instead of the missing `tool`: it runs in part.
///
/// # Panics
/// Where `FLOTILLA_REQUIRE` names the tool.
#[allow(clippy::panic, reason = "a test fails by panicking")]
pub fn substitute(tool: &str, by: &str) {
    match missing(tool) {
        MissingTool::Fail(why) => panic!("{why}"),
        MissingTool::Skip(_) => in_part(&format!("{by} in place of {tool}")),
    }
}

/// Records that the running test runs in part, and why.
pub fn in_part(why: &str) {
    count("RUNS", &part(&running(), why));
}

/// The program that `variable` names, or one on the search path; records a skip if there is none. A program that is
/// named is not checked, so that a wrong name fails loudly.
#[must_use]
pub fn program(tool: &str, variable: Option<&str>, names: &[&str]) -> Option<PathBuf> {
    let named = variable.and_then(std::env::var_os).map(PathBuf::from);
    let found = named.or_else(|| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path)
            .flat_map(|directory| names.iter().map(move |name| directory.join(name)))
            .find(|candidate| candidate.is_file())
    });
    if found.is_none() {
        skip(tool);
    }
    found
}

/// The size of a test: what CI has time for, or, if `FLOTILLA_FULL` is set, all that `tests/CATALOGUE.md` demands
/// (`tests/benches/README.md` has the command and the results). The smaller size is recorded as in part.
#[must_use]
pub fn size<T: std::fmt::Debug>(usual: T, full: T) -> T {
    if std::env::var_os("FLOTILLA_FULL").is_some() {
        full
    } else {
        in_part(&format!("{usual:?} in place of {full:?} (FLOTILLA_FULL=1)"));
        usual
    }
}

/// Runs a command that a test cannot do without; returns its output.
///
/// # Panics
/// When it cannot be run, or fails.
#[allow(clippy::panic, reason = "a test fails by panicking")]
pub fn output(command: &mut Command) -> Vec<u8> {
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => panic!("{command:?}: {error}"),
    };
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// Runs git in a directory with a fixed author and without signing; returns its output.
///
/// # Panics
/// When it cannot be run, or fails.
pub fn git(directory: &Path, arguments: &[&str]) -> String {
    let identity = [
        "-c",
        "user.name=A",
        "-c",
        "user.email=a@example.com",
        "-c",
        "commit.gpgsign=false",
    ];
    let mut command = Command::new("git");
    command
        .current_dir(directory)
        .args(identity)
        .args(arguments);
    String::from_utf8_lossy(&output(&mut command))
        .trim()
        .to_owned()
}

/// A single write, so that lines of tests in different processes do not mix.
fn append(file: &std::path::Path, line: &str) -> std::io::Result<()> {
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)?
        .write_all(line.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::{IN_PART, KNOWN, MissingTool, judge, part};

    #[test]
    fn a_missing_tool_is_counted() {
        let MissingTool::Skip(line) = judge("jq", "sbom", None) else {
            unreachable!("nothing was required")
        };
        assert_eq!(line, "jq\tsbom\tDebian's jq\n");
    }

    #[test]
    fn what_runs_in_part_is_counted_apart() {
        let line = part("restarts", "15 in place of 1000");
        assert_eq!(line, "in part\trestarts\t15 in place of 1000\n");
        assert!(KNOWN.iter().all(|(tool, _)| *tool != IN_PART));
    }

    #[test]
    fn a_required_tool_fails_the_test() {
        for required in ["jq", "sshd, jq", "all"] {
            assert!(matches!(
                judge("jq", "sbom", Some(required)),
                MissingTool::Fail(_)
            ));
        }
        for required in ["", "jqq", "sshd"] {
            assert!(matches!(
                judge("jq", "sbom", Some(required)),
                MissingTool::Skip(_)
            ));
        }
    }

    #[test]
    fn a_tool_that_nobody_can_require_is_a_mistake() {
        assert!(matches!(judge("jqq", "sbom", None), MissingTool::Fail(_)));
    }
}
