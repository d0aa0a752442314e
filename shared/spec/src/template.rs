//! Path templates: `apps/guestbook/overlays/{environment}`, `clusters/{cluster}`,
//! `regions/{labels.region}`.

use std::collections::BTreeMap;

use flotilla_shared::id::{ClusterName, EnvironmentName};
use flotilla_shared::revision::TreePath;

/// Template of a directory, which is filled in for each cluster.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PathTemplate {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Environment,
    Cluster,
    Label(String),
}

/// Error of a template, for one cluster or at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A brace is unmatched.
    #[error("path template {0:?} has an unmatched brace")]
    Brace(String),
    /// The variable is not supported.
    #[error(
        "path template uses {{{0}}}; supported are {{environment}}, {{cluster}} and \
         {{labels.NAME}}"
    )]
    Variable(String),
    /// The cluster does not have this label.
    #[error("path template uses {{labels.{0}}}, and the cluster has no label {0:?}")]
    NoLabel(String),
    /// The result is not a path in a repository.
    #[error("path template gives {0}")]
    Path(String),
}

impl TryFrom<String> for PathTemplate {
    type Error = TemplateError;

    fn try_from(text: String) -> Result<Self, TemplateError> {
        Self::parse(&text)
    }
}

impl From<PathTemplate> for String {
    fn from(template: PathTemplate) -> Self {
        template.text
    }
}

impl PathTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// When braces or variables are malformed.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((variable, tail)) = after.split_once('}') else {
                return Err(TemplateError::Brace(text.to_owned()));
            };
            parts.push(Part::Text(before.to_owned()));
            parts.push(match variable {
                "environment" => Part::Environment,
                "cluster" => Part::Cluster,
                other => match other
                    .strip_prefix("labels.")
                    .filter(|name| !name.is_empty())
                {
                    Some(name) => Part::Label(name.to_owned()),
                    None => return Err(TemplateError::Variable(other.to_owned())),
                },
            });
            rest = tail;
        }
        parts.push(Part::Text(rest.to_owned()));
        let stray = |part: &Part| matches!(part, Part::Text(text) if text.contains('}'));
        if parts.iter().any(stray) {
            return Err(TemplateError::Brace(text.to_owned()));
        }
        Ok(Self {
            text: text.to_owned(),
            parts,
        })
    }

    /// Checks whether the template can result in a directory for any cluster.
    ///
    /// # Errors
    /// When the result is not a path within a repository, whatever the cluster.
    pub fn check(&self) -> Result<(), TemplateError> {
        match self.example().parse::<TreePath>() {
            Ok(_) => Ok(()),
            Err(error) => Err(TemplateError::Path(format!("{error}"))),
        }
    }

    /// Returns the path with `x` for every variable.
    pub(super) fn example(&self) -> String {
        let mut path = String::new();
        for part in &self.parts {
            path.push_str(match part {
                Part::Text(text) => text,
                _ => "x",
            });
        }
        path
    }

    /// Returns the template as in the fleet file: `clusters/{cluster}`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the directory for one cluster.
    ///
    /// # Errors
    /// When the cluster lacks a label, or the result is not a path within a repository.
    pub fn fill(
        &self,
        cluster: &ClusterName,
        environment: &EnvironmentName,
        labels: &BTreeMap<String, String>,
    ) -> Result<TreePath, TemplateError> {
        self.text(cluster, environment, labels)?
            .parse()
            .map_err(|error| TemplateError::Path(format!("{error}")))
    }

    /// Returns the filled template before it is read as a path.
    pub(super) fn text(
        &self,
        cluster: &ClusterName,
        environment: &EnvironmentName,
        labels: &BTreeMap<String, String>,
    ) -> Result<String, TemplateError> {
        let mut path = String::new();
        for part in &self.parts {
            path.push_str(match part {
                Part::Text(text) => text,
                Part::Environment => environment.as_str(),
                Part::Cluster => cluster.as_str(),
                Part::Label(name) => labels
                    .get(name)
                    .filter(|value| !value.is_empty())
                    .ok_or_else(|| TemplateError::NoLabel(name.clone()))?,
            });
        }
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_fill_or_say_why_not() {
        let fill = |text: &str| {
            PathTemplate::parse(text)
                .and_then(|template| {
                    let labels = [("region".to_owned(), "eu".to_owned())].into();
                    template.fill(&"c-1".parse().unwrap(), &"prod".parse().unwrap(), &labels)
                })
                .map(String::from)
        };
        assert_eq!(
            fill("a/{environment}/{cluster}/{labels.region}"),
            Ok("a/prod/c-1/eu".to_owned())
        );
        assert_eq!(
            fill("a/{labels.zone}"),
            Err(TemplateError::NoLabel("zone".to_owned()))
        );
        assert_eq!(
            fill("a/{env}"),
            Err(TemplateError::Variable("env".to_owned()))
        );
        assert!(matches!(
            fill("a/{environment"),
            Err(TemplateError::Brace(_))
        ));
        assert!(matches!(fill("a}b"), Err(TemplateError::Brace(_))));
        assert!(matches!(fill("../{cluster}"), Err(TemplateError::Path(_))));
    }
}
