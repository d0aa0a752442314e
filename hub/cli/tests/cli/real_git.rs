//! The real `git` in a directory.

use std::path::Path;
use std::process::Command;

/// Runs git and returns its output; it has to succeed.
pub(crate) fn git(directory: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.arg("-C").arg(directory).args(arguments);
    String::from_utf8_lossy(&flotilla_needs::output(&mut command))
        .trim()
        .to_owned()
}
