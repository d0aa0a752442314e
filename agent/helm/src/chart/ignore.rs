//! `.helmignore`.

use super::LoadError;
use super::glob::path_match;

#[derive(Clone, Debug)]
struct Rule {
    pattern: String,
    negated: bool,
    folders_only: bool,
    /// Whether it matches whole paths, not only names.
    whole_path: bool,
}

/// Kind of a path's entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    File,
    Folder,
}

/// Which files of a folder are not part of the chart.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules(Vec<Rule>);

impl Rules {
    pub(super) fn parse(text: &[u8]) -> Result<Self, LoadError> {
        let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
        let text = String::from_utf8_lossy(text);
        let mut rules = Self::default();
        for line in text.lines() {
            rules.add(line)?;
        }
        Ok(rules)
    }

    /// Hidden files in `templates/` are no templates.
    pub(super) fn with_defaults(mut self) -> Self {
        // This constant pattern is well-formed.
        let _ = self.add("templates/.?*");
        self
    }

    fn add(&mut self, line: &str) -> Result<(), LoadError> {
        let rule = line.trim();
        if rule.is_empty() || rule.starts_with('#') {
            return Ok(());
        }
        if rule.contains("**") {
            return Err("double-star (**) syntax is not supported".into());
        }
        path_match(rule, "abc").map_err(|_| "syntax error in pattern")?;
        let (negated, rule) = match rule.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, rule),
        };
        let (folders_only, rule) = match rule.strip_suffix('/') {
            Some(rest) => (true, rest),
            None => (false, rule),
        };
        let (pattern, whole_path) = match rule.strip_prefix('/') {
            Some(rest) => (rest, true),
            None => (rule, rule.contains('/')),
        };
        self.0.push(Rule {
            pattern: pattern.to_owned(),
            negated,
            folders_only,
            whole_path,
        });
        Ok(())
    }

    /// Whether this file, or a folder that it is in, is left out.
    pub(super) fn ignores(&self, path: &str) -> bool {
        let folders = path.match_indices('/').map(|(at, _)| &path[..at]);
        folders
            .into_iter()
            .any(|folder| self.excludes(folder, Entry::Folder))
            || self.excludes(path, Entry::File)
    }

    fn excludes(&self, path: &str, entry: Entry) -> bool {
        let folder = entry == Entry::Folder;
        for rule in &self.0 {
            let subject = if rule.whole_path {
                path
            } else {
                path.rsplit('/').next().unwrap_or(path)
            };
            let matches = path_match(&rule.pattern, subject).unwrap_or(false);
            // In Helm a negated rule excludes everything that it does not match.
            if rule.negated {
                if (rule.folders_only && !folder) || !matches {
                    return true;
                }
            } else if matches && (folder || !rule.folders_only) {
                return true;
            }
        }
        false
    }
}
