//! An environment's clusters by the value of one label: a bar for each, however many there are.

use std::collections::BTreeMap;

use crate::filter::Filter;
use crate::lane::{Bar, Part, state};
use crate::mirror::Mirror;

/// Most groups of one page; what is left is counted together.
const MOST: usize = 200;
/// Most labels that are offered.
const MOST_LABELS: usize = 30;

/// States in the order of a bar.
const STATES: [&str; 8] = [
    "ok",
    "busy",
    "failed",
    "locked",
    "offline",
    "pending",
    "pinned",
    "suspended",
];

/// Clusters by one label.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grouping {
    /// The label; empty: not grouped.
    pub label: String,
    /// Labels that clusters of the environment have.
    pub labels: Vec<String>,
    /// The largest first.
    pub groups: Vec<Group>,
    /// Groups that are not shown.
    pub more: usize,
}

/// Clusters with one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The page that lists them; empty: those without the label have none.
    pub link: String,
    /// How they stand.
    pub bar: Bar,
}

/// Groups an environment's clusters.
#[must_use]
pub fn group(mirror: &Mirror, environment: &str, label: &str) -> Grouping {
    let mut labels: BTreeMap<&str, usize> = BTreeMap::new();
    let mut groups: BTreeMap<Option<&str>, BTreeMap<&'static str, u32>> = BTreeMap::new();
    for cluster in mirror.clusters_of(environment) {
        for key in cluster.labels.keys() {
            *labels.entry(key).or_default() += 1;
        }
        if !label.is_empty() {
            let value = cluster.labels.get(label).map(String::as_str);
            let (state, ..) = state(cluster);
            *groups.entry(value).or_default().entry(state).or_default() += 1;
        }
    }
    let mut labels: Vec<(&str, usize)> = labels.into_iter().collect();
    labels.sort_by_key(|(key, count)| (std::cmp::Reverse(*count), *key));
    let mut groups: Vec<Group> = groups
        .into_iter()
        .map(|(value, counts)| of(environment, label, value, &counts))
        .collect();
    groups.sort_by_key(|one| std::cmp::Reverse(one.bar.total));
    let more = groups.len().saturating_sub(MOST);
    groups.truncate(MOST);
    Grouping {
        label: label.to_owned(),
        labels: labels
            .into_iter()
            .take(MOST_LABELS)
            .map(|(key, _)| key.to_owned())
            .collect(),
        groups,
        more,
    }
}

fn of(
    environment: &str,
    label: &str,
    value: Option<&str>,
    counts: &BTreeMap<&'static str, u32>,
) -> Group {
    let parts: Vec<Part> = STATES
        .iter()
        .filter_map(|word| {
            let count = *counts.get(word)?;
            Some(Part { word, count })
        })
        .collect();
    let summary: Vec<String> = parts
        .iter()
        .map(|part| match part.word {
            "ok" => format!("{} current", part.count),
            word => format!("{} {word}", part.count),
        })
        .collect();
    let filter = Filter {
        env: environment.to_owned(),
        q: value.map_or(String::new(), |value| format!("{label}={value}")),
        ..Filter::default()
    };
    Group {
        link: value.map_or(String::new(), |_| filter.at(0)),
        bar: Bar {
            name: value.map_or_else(|| format!("without {label}"), str::to_owned),
            present: false,
            total: counts.values().sum(),
            summary: summary.join(", "),
            parts,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::group;
    use crate::mirror::{Change, Mirror};
    use crate::samples::{cluster, moment};

    #[test]
    fn clusters_stand_together_by_any_label() {
        let mut mirror = Mirror::default();
        for number in 0..9 {
            let mut one = cluster(&format!("c{number}"), "prod");
            if number > 0 {
                let region = if number < 6 { "eu" } else { "us&x" };
                one.labels.insert("region".to_owned(), region.to_owned());
            }
            one.refused = number == 1;
            mirror.apply(Change::Cluster(Box::new(one)), moment(0));
        }
        let found = group(&mirror, "prod", "region");
        assert_eq!(found.labels, ["region"]);
        let said: Vec<_> = found
            .groups
            .iter()
            .map(|one| {
                (
                    one.bar.name.as_str(),
                    one.bar.total,
                    one.bar.summary.as_str(),
                )
            })
            .collect();
        assert_eq!(
            said,
            [
                ("eu", 5, "4 current, 1 failed"),
                ("us&x", 3, "3 current"),
                ("without region", 1, "1 current"),
            ]
        );
        assert_eq!(
            found.groups[1].link,
            "/clusters?env=prod&q=region%3Dus%26x&from=0"
        );
        assert!(found.groups[2].link.is_empty());
        assert!(group(&mirror, "prod", "").groups.is_empty());
        assert!(group(&mirror, "dev", "region").groups.is_empty());
    }
}
