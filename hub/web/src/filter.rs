//! Filter of a list: that of the command line, in the query string.

use flotilla_shared::percent;
use flotilla_status::Cluster;

use crate::lane::state;

/// Selects the clusters of a list; an empty field matches all.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default)]
pub struct Filter {
    /// `--env`.
    pub env: String,
    /// `--app`.
    pub app: String,
    /// State, by the word of the list.
    pub state: String,
    /// Reason of one of its applications, or its own.
    pub reason: String,
    /// Words in its name, a label, or a commit that it runs.
    pub q: String,
    /// Index of the first row to show.
    pub from: usize,
}

impl Filter {
    /// Whether a cluster is selected.
    #[must_use]
    pub fn matches(&self, cluster: &Cluster) -> bool {
        let applications = &cluster.applications;
        (self.env.is_empty() || cluster.environment == self.env)
            && (self.app.is_empty()
                || applications
                    .iter()
                    .any(|placement| placement.application == self.app))
            && (self.state.is_empty() || state(cluster).0.as_str() == self.state)
            && (self.reason.is_empty()
                || cluster.reason == self.reason
                || applications
                    .iter()
                    .any(|placement| placement.reason == self.reason))
            && self.q.split_whitespace().all(|word| found(cluster, word))
    }

    /// The query string of the page that begins at another row.
    #[must_use]
    pub fn at(&self, from: usize) -> String {
        let from = from.to_string();
        let fields = [
            ("env", &self.env),
            ("app", &self.app),
            ("state", &self.state),
            ("reason", &self.reason),
            ("q", &self.q),
            ("from", &from),
        ];
        let mut query = String::from("/clusters?");
        for (name, value) in fields {
            if !value.is_empty() {
                query.push_str(name);
                query.push('=');
                query.push_str(&percent::encode(value, b""));
                query.push('&');
            }
        }
        query.pop();
        query
    }
}

fn found(cluster: &Cluster, word: &str) -> bool {
    cluster.name.contains(word)
        || cluster
            .labels
            .iter()
            .any(|(key, value)| word == format!("{key}={value}"))
        || cluster.applications.iter().any(|placement| {
            let commit = placement
                .revision
                .as_ref()
                .map(|revision| revision.commit.as_str());
            placement.application.contains(word)
                || commit.is_some_and(|commit| word.len() >= 4 && commit.starts_with(word))
        })
}

#[cfg(test)]
mod tests {
    use super::Filter;
    use crate::samples::cluster;

    #[test]
    fn words_are_sought_in_names_labels_and_applications() {
        let mut labelled = cluster("prod-eu-1", "prod");
        labelled.labels.insert("region".to_owned(), "eu".to_owned());
        let asks = |q: &str| {
            Filter {
                q: q.to_owned(),
                ..Filter::default()
            }
            .matches(&labelled)
        };
        assert!(asks("") && asks("eu") && asks("prod region=eu"));
        assert!(!asks("us") && !asks("region=us"));
    }

    #[test]
    fn a_query_is_escaped() {
        let filter = Filter {
            q: "a&b=<c>".to_owned(),
            env: "prod".to_owned(),
            ..Filter::default()
        };
        assert_eq!(
            filter.at(100),
            "/clusters?env=prod&q=a%26b%3D%3Cc%3E&from=100"
        );
    }
}
