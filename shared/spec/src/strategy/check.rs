//! External checks as gates: an HTTP server or Prometheus has to give the expected answer.

use serde::Deserialize;

use super::problems::{GateError, Problems};

/// An external check.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// Its name, unique in the environment.
    pub name: String,
    /// The question that it asks.
    pub question: Question,
}

/// The question of a check.
#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    /// A GET of a URL has to return a status.
    Http {
        /// The URL, which begins with `http://` or `https://`.
        url: String,
        /// The expected status.
        status: u16,
    },
    /// An instant query has to return at least one sample, and every sample has to be within bounds
    /// (<https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries>).
    Prometheus {
        /// The server's base URL.
        url: String,
        /// The query, in PromQL.
        query: String,
        /// Lower bound of samples; none: no lower bound.
        min: Option<f64>,
        /// Upper bound of samples; none: no upper bound, and then there is a lower one.
        max: Option<f64>,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct CheckEntry {
    name: String,
    #[serde(default)]
    http: Option<String>,
    #[serde(default)]
    status: Option<u16>,
    #[serde(default)]
    prometheus: Option<String>,
    #[serde(default)]
    query: Option<String>,
    #[serde(default)]
    min: Option<f64>,
    #[serde(default)]
    max: Option<f64>,
}

/// Reads them; errors are added to `problems`.
pub(super) fn read(entries: &[CheckEntry], problems: &mut Problems) -> Vec<Check> {
    let mut checks: Vec<Check> = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        if checks.iter().any(|check| check.name == entry.name) {
            let message = format!("check {} is listed twice", entry.name);
            problems.push((format!("checks[{index}].name"), message));
        }
        match entry.read() {
            Ok(check) => checks.push(check),
            Err(error) => problems.push((format!("checks[{index}]"), error.to_string())),
        }
    }
    checks
}

impl CheckEntry {
    fn read(&self) -> Result<Check, GateError> {
        let web = |url: &str| {
            if url.starts_with("https://") || url.starts_with("http://") {
                Ok(url.to_owned())
            } else {
                Err(GateError::Url(url.to_owned()))
            }
        };
        let question = match (&self.http, &self.prometheus, &self.query) {
            (Some(url), None, None) => Question::Http {
                url: web(url)?,
                status: self.status.unwrap_or(200),
            },
            (None, Some(url), Some(query)) => {
                if self.min.is_none() && self.max.is_none() {
                    return Err(GateError::NoBounds);
                }
                Question::Prometheus {
                    url: web(url)?,
                    query: query.clone(),
                    min: self.min,
                    max: self.max,
                }
            }
            _ => return Err(GateError::NoQuestion),
        };
        Ok(Check {
            name: self.name.clone(),
            question,
        })
    }
}
