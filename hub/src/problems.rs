//! Errors of a configuration file.

use flotilla_yaml::config::ConfigError;

/// Returns one error per line.
pub(crate) fn lines(problems: &[ConfigError]) -> String {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}
