//! All that is wrong with a configuration file, for whoever wrote it.

use flotilla_yaml::config::ConfigError;

/// One problem a line.
pub(crate) fn lines(problems: &[ConfigError]) -> String {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}
