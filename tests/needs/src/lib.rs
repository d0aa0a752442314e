//! What a test needs of its machine, and what happens where that is missing.
//!
//! A test that did not run is not a pass. cargo hides what a passing test prints, so a line on stderr
//! is not enough: a test without its tool is counted in the file that `FLOTILLA_SKIPS` names, and it
//! fails where `FLOTILLA_REQUIRE` names the tool (comma-separated, `all` for every one). A test that does less
//! than it could, because it is smaller or takes a substitute, is counted there, too.
//! `.ci/run` sets both, and ends with what did not run and what ran in part.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Tools that tests may need beyond a Rust toolchain, git and a C compiler, with where they come from.
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

/// How the line of a test that runs in part begins, where others name their tool.
const IN_PART: &str = "in part";

/// What is to be done about a tool that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// Leave the test out; the line that counts it.
    Skip(String),
    /// Fail: it was required.
    Fail(String),
}

/// Decides, without touching anything.
#[must_use]
pub fn judge(tool: &str, test: &str, required: Option<&str>) -> Missing {
    let required: BTreeSet<&str> = required
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .collect();
    let Some((_, source)) = KNOWN.iter().find(|(name, _)| *name == tool) else {
        return Missing::Fail(format!("{tool:?} is not in the list of known tools"));
    };
    if required.contains(tool) || required.contains("all") {
        Missing::Fail(format!(
            "{test} needs {tool}, which FLOTILLA_REQUIRE demands and is not here ({source})"
        ))
    } else {
        Missing::Skip(format!("{tool}\t{test}\t{source}\n"))
    }
}

/// The line that counts a test which does less than it could.
fn part(test: &str, why: &str) -> String {
    format!("{IN_PART}\t{test}\t{why}\n")
}

/// What is to be done about `tool` in the running test.
fn missing(tool: &str) -> Missing {
    let required = std::env::var("FLOTILLA_REQUIRE").ok();
    judge(tool, &running(), required.as_deref())
}

/// The running test's name.
fn running() -> String {
    let thread = std::thread::current();
    thread.name().unwrap_or("a test").to_owned()
}

/// Prints a line and counts it.
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

/// Says that the running test is left out because `tool` is not here.
///
/// # Panics
/// Where `FLOTILLA_REQUIRE` names the tool.
#[allow(clippy::panic, reason = "a test fails by panicking")]
pub fn skip(tool: &str) {
    match missing(tool) {
        Missing::Fail(why) => panic!("{why}"),
        Missing::Skip(line) => count("SKIPPED", &line),
    }
}

/// Says that the running test takes `by` in place of `tool`, which is not here: it runs in part.
///
/// # Panics
/// Where `FLOTILLA_REQUIRE` names the tool.
#[allow(clippy::panic, reason = "a test fails by panicking")]
pub fn substitute(tool: &str, by: &str) {
    match missing(tool) {
        Missing::Fail(why) => panic!("{why}"),
        Missing::Skip(_) => in_part(&format!("{by} in place of {tool}")),
    }
}

/// Says that the running test does less than it could, and why.
pub fn in_part(why: &str) {
    count("RUNS", &part(&running(), why));
}

/// The program that `variable` names, or one of the search path; skips where there is none. One that is
/// named is taken as it is, so that a wrong name fails loudly.
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

/// How much of something a test takes: what CI has time for, or all that `tests/CATALOGUE.md` asks for, where
/// `FLOTILLA_FULL` is set (`tests/benches/README.md` has the command, and what it gave). The former is counted as in
/// part.
#[must_use]
pub fn size<T: std::fmt::Debug>(usual: T, full: T) -> T {
    if std::env::var_os("FLOTILLA_FULL").is_some() {
        full
    } else {
        in_part(&format!("{usual:?} in place of {full:?} (FLOTILLA_FULL=1)"));
        usual
    }
}

/// Runs a command that a test cannot do without; what it printed.
///
/// # Panics
/// Where it cannot be run, or fails.
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

/// Runs git in a directory, as somebody, unsigned; what it printed.
///
/// # Panics
/// Where it cannot be run, or fails.
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

/// One write, so that lines of tests in different processes do not mix.
fn append(file: &std::path::Path, line: &str) -> std::io::Result<()> {
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)?
        .write_all(line.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::{IN_PART, KNOWN, Missing, judge, part};

    #[test]
    fn a_missing_tool_is_counted() {
        let Missing::Skip(line) = judge("jq", "sbom", None) else {
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
                Missing::Fail(_)
            ));
        }
        for required in ["", "jqq", "sshd"] {
            assert!(matches!(
                judge("jq", "sbom", Some(required)),
                Missing::Skip(_)
            ));
        }
    }

    #[test]
    fn a_tool_that_nobody_can_require_is_a_mistake() {
        assert!(matches!(judge("jqq", "sbom", None), Missing::Fail(_)));
    }
}
