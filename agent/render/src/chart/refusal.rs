//! Helm's errors, with files of the tree, and without secrets.

use std::sync::LazyLock;

use regex::Regex;

use crate::RenderError;
use crate::tree;

/// Longest error message; Helm's own nest once for each `include`.
const MAX_BYTES: usize = 2000;

/// `web/templates/x.yaml:12:7`, with or without line and column.
static PLACE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"[A-Za-z0-9_.-]+(?:/charts/[A-Za-z0-9_.-]+)*/templates/[A-Za-z0-9_./-]+(?::[0-9]+)*",
    )
    .ok()
});

/// Error messages about one chart.
pub(crate) struct ChartErrors<'a> {
    /// The chart's path in the tree.
    pub(crate) path: &'a str,
    /// A file that is encrypted in Git was read: Helm's message may contain a value of it.
    pub(crate) is_sealed: bool,
}

impl ChartErrors<'_> {
    /// The file in the tree that Helm's name for a template means.
    pub(super) fn file(&self, chart: &str, name: &str) -> String {
        let inside = name
            .strip_prefix(chart)
            .and_then(|rest| rest.strip_prefix('/'));
        match inside {
            Some(inside) if !self.path.ends_with(".tgz") => tree::join(self.path, inside),
            _ => name.to_owned(),
        }
    }

    /// A refusal by the engine.
    pub(super) fn refused(&self, message: &str) -> RenderError {
        RenderError::Chart {
            path: self.path.to_owned(),
            message: self.words(message),
        }
    }

    /// The engine's message, as far as it may be shown.
    pub(crate) fn words(&self, message: &str) -> String {
        if self.is_sealed {
            places(message)
        } else {
            cut(message)
        }
    }

    /// A values file that cannot be read.
    pub(super) fn values(&self, file: &str, message: &str) -> RenderError {
        let message = if self.is_sealed {
            "it is not a YAML mapping; details are withheld, as values are secret here".to_owned()
        } else {
            cut(message)
        };
        RenderError::Chart {
            path: file.to_owned(),
            message,
        }
    }

    /// A document that is not YAML.
    pub(super) fn document(&self, file: &str, line: usize, message: &str) -> RenderError {
        let message = if self.is_sealed {
            "its output is not YAML; details are withheld, as values are secret here"
        } else {
            message
        };
        RenderError::MalformedYaml {
            file: file.to_owned(),
            line,
            message: cut(message),
        }
    }
}

/// Positions only: the rest of Helm's message may contain values.
fn places(message: &str) -> String {
    let mut places: Vec<&str> = Vec::new();
    for found in PLACE.iter().flat_map(|place| place.find_iter(message)) {
        if !places.contains(&found.as_str()) && places.len() < 5 {
            places.push(found.as_str());
        }
    }
    let at = match places.as_slice() {
        [] => String::new(),
        places => format!(" at {}", places.join(", ")),
    };
    format!(
        "it fails{at}; Helm's own message is withheld, since it may contain values of a file \
         that SOPS encrypts (`flotilla render` shows it where you have the key)"
    )
}

fn cut(message: &str) -> String {
    let message = message.trim();
    if message.len() <= MAX_BYTES {
        return message.to_owned();
    }
    // The position at the start and the cause at the end are the useful parts.
    let half = MAX_BYTES / 2;
    let head = message.floor_char_boundary(half);
    let tail = message.ceil_char_boundary(message.len() - half);
    let head = message.get(..head).unwrap_or_default();
    let tail = message.get(tail..).unwrap_or_default();
    format!("{head} ... {tail}")
}
