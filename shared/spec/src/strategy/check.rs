//! Questions to the outside as gates: an HTTP server or Prometheus has to answer well.

use serde::Deserialize;

use super::problems::{GateError, Problems};

/// A question to something outside that must answer well.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// Its name, unique in the environment.
    pub name: String,
    /// What is asked.
    pub question: Question,
}

/// What a check asks.
#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    /// A GET of this URL answers with this status.
    Http {
        /// It begins with `http://` or `https://`, and the hub asks it.
        url: String,
        /// Which answer is good.
        status: u16,
    },
    /// Every sample of an instant query lies within bounds, and there is one
    /// (<https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries>).
    Prometheus {
        /// The server's base URL.
        url: String,
        /// The query, in PromQL.
        query: String,
        /// No sample may be less; none: there is no lower bound.
        min: Option<f64>,
        /// No sample may be more; none: there is no upper bound, and then there is a lower one.
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

/// Reads them; what is wrong is added to `problems`.
pub(super) fn read(entries: &[CheckEntry], problems: &mut Problems) -> Vec<Check> {
    let mut checks: Vec<Check> = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        if checks.iter().any(|check| check.name == entry.name) {
            let message = format!("check {} is already there", entry.name);
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
