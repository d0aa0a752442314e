//! Clusters of an environment by the value of one label, or by wave: a bar for each group, and cells where there are
//! few clusters or a group is opened.

use std::collections::BTreeMap;

use flotilla_shared::percent;

use crate::filter::Filter;
use crate::lane::{Applications, CELLS, Cell, State, cell, state};
use crate::mirror::Mirror;
use crate::progress::{Bar, BarPart};

/// Highest number of groups of one page; the clusters of further ones are counted together.
const MOST: usize = 200;
/// Highest number of labels that are offered.
const MOST_LABELS: usize = 30;

/// Stands for the wave of a rollout where a label is expected; not a valid name of a label.
pub const WAVE: &str = ":wave";

/// Clusters grouped by one label.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grouping {
    /// The label; empty: not grouped.
    pub label: String,
    /// Labels of the environment's clusters.
    pub labels: Vec<String>,
    /// Whether the waves of the last rollout are known.
    pub has_waves: bool,
    /// Groups, the largest first.
    pub groups: Vec<Group>,
    /// Number of groups that are not shown.
    pub more: usize,
}

/// A group of clusters with one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Path of the page that lists them; empty: none, since the list cannot select a missing label or a wave.
    pub link: String,
    /// Path of the page that shows their cells; empty: they are shown, or the group has no name.
    pub open: String,
    /// Cells of its clusters by name; empty: only the bar is drawn.
    pub cells: Vec<Cell>,
    /// Number of its clusters without a cell.
    pub more: usize,
    /// Number of clusters in each state.
    pub bar: Bar,
}

/// How to group clusters.
#[derive(Debug, Clone, Copy, Default)]
pub struct GroupBy<'a> {
    /// The label; [`WAVE`]: by wave; empty: not grouped, unless there are too many clusters for cells.
    pub label: &'a str,
    /// The value whose cells are shown, where not all are.
    pub open: &'a str,
    /// The wave of each cluster; none: not queried.
    pub waves: Option<&'a BTreeMap<String, String>>,
}

/// Groups an environment's clusters.
#[must_use]
pub fn group(mirror: &Mirror, environment: &str, by: GroupBy<'_>) -> Grouping {
    let mut labels: BTreeMap<&str, usize> = BTreeMap::new();
    let mut total = 0;
    for cluster in mirror.clusters_of(environment) {
        total += 1;
        for key in cluster.labels.keys() {
            *labels.entry(key).or_default() += 1;
        }
    }
    let mut labels: Vec<(&str, usize)> = labels.into_iter().collect();
    labels.sort_by_key(|(key, count)| (std::cmp::Reverse(*count), *key));
    let few = total <= CELLS;
    let label = match by.label {
        "" if !few => labels.first().map_or("", |(key, _)| *key),
        label => label,
    };
    let mut groups: BTreeMap<Option<&str>, GroupTally> = BTreeMap::new();
    for cluster in mirror
        .clusters_of(environment)
        .filter(|_| !label.is_empty())
    {
        let value = match label {
            WAVE => by.waves.and_then(|waves| waves.get(&cluster.name)),
            label => cluster.labels.get(label),
        };
        let gathered = groups.entry(value.map(String::as_str)).or_default();
        let (state, ..) = state(cluster);
        *gathered.counts.entry(state).or_default() += 1;
        if few || value.is_some_and(|value| value == by.open) {
            if gathered.cells.len() < CELLS {
                gathered.cells.push(cell(cluster, Applications::LeftOut));
            } else {
                gathered.more += 1;
            }
        }
    }
    let mut groups: Vec<Group> = groups
        .into_iter()
        .map(|(value, gathered)| of(environment, label, value, gathered))
        .collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.bar.total));
    let more = groups.len().saturating_sub(MOST);
    groups.truncate(MOST);
    Grouping {
        label: label.to_owned(),
        labels: labels
            .into_iter()
            .take(MOST_LABELS)
            .map(|(key, _)| key.to_owned())
            .collect(),
        has_waves: mirror
            .environment(environment)
            .is_some_and(|environment| environment.rollout.is_some()),
        groups,
        more,
    }
}

/// Clusters with one value, while they are collected.
#[derive(Default)]
struct GroupTally {
    counts: BTreeMap<State, u32>,
    cells: Vec<Cell>,
    more: usize,
}

fn of(environment: &str, label: &str, value: Option<&str>, gathered: GroupTally) -> Group {
    let counted = State::ALL.into_iter();
    let counted: Vec<(State, u32)> = counted
        .filter_map(|state| Some((state, *gathered.counts.get(&state)?)))
        .collect();
    let summary: Vec<String> = counted
        .iter()
        .map(|(state, count)| match state {
            State::Ok => format!("{count} current"),
            state => format!("{count} {state}"),
        })
        .collect();
    let parts = counted.into_iter().map(|(state, count)| BarPart {
        word: state.as_str(),
        count,
    });
    let parts: Vec<BarPart> = parts.collect();
    let of_label = value.filter(|_| label != WAVE);
    let filter = Filter {
        env: environment.to_owned(),
        q: of_label.map_or(String::new(), |value| format!("{label}={value}")),
        ..Filter::default()
    };
    let encode = |text: &str| percent::encode(text, b"");
    let closed = value.filter(|_| gathered.cells.is_empty());
    Group {
        link: of_label.map_or(String::new(), |_| filter.at(0)),
        open: closed.map_or(String::new(), |value| {
            format!(
                "/env/{environment}?group={}&open={}",
                encode(label),
                encode(value)
            )
        }),
        cells: gathered.cells,
        more: gathered.more,
        bar: Bar {
            name: match (value, label) {
                (Some(value), _) => value.to_owned(),
                (None, WAVE) => "not in a wave".to_owned(),
                (None, label) => format!("without {label}"),
            },
            present: false,
            total: gathered.counts.values().sum(),
            summary: summary.join(", "),
            parts,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{GroupBy, WAVE, group};
    use crate::mirror::{Change, Mirror};
    use crate::samples::{cluster, moment};

    #[test]
    fn clusters_stand_together_by_any_label() {
        let mut mirror = Mirror::default();
        for number in 0..9 {
            let mut changed = cluster(&format!("c{number}"), "prod");
            if number > 0 {
                let region = if number < 6 { "eu" } else { "us&x" };
                changed
                    .labels
                    .insert("region".to_owned(), region.to_owned());
            }
            changed.refused = number == 1;
            mirror.apply(Change::Cluster(Box::new(changed)), moment(0));
        }
        let by = |label| GroupBy {
            label,
            ..GroupBy::default()
        };
        let found = group(&mirror, "prod", by("region"));
        assert_eq!(found.labels, ["region"]);
        let drawn: Vec<_> = found
            .groups
            .iter()
            .map(|group| {
                (
                    group.bar.name.as_str(),
                    group.bar.total,
                    group.bar.summary.as_str(),
                )
            })
            .collect();
        assert_eq!(
            drawn,
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
        let cells: Vec<usize> = found.groups.iter().map(|group| group.cells.len()).collect();
        assert_eq!(cells, [5, 3, 1], "few enough for a cell each");
        assert!(group(&mirror, "prod", by("")).groups.is_empty());
        assert!(group(&mirror, "dev", by("region")).groups.is_empty());
    }

    #[test]
    fn clusters_stand_together_by_wave() {
        let mut mirror = Mirror::default();
        for name in ["a", "b", "c"] {
            mirror.apply(Change::Cluster(Box::new(cluster(name, "prod"))), moment(0));
        }
        let waves = [("a", "canary"), ("b", "rest")];
        let waves = waves.map(|(name, wave)| (name.to_owned(), wave.to_owned()));
        let waves = waves.into_iter().collect();
        let by = GroupBy {
            label: WAVE,
            open: "",
            waves: Some(&waves),
        };
        let found = group(&mirror, "prod", by);
        let mut names: Vec<&str> = found
            .groups
            .iter()
            .map(|group| group.bar.name.as_str())
            .collect();
        names.sort_unstable();
        assert_eq!(names, ["canary", "not in a wave", "rest"]);
        assert!(found.groups.iter().all(|group| group.link.is_empty()));
    }

    #[test]
    fn thousands_are_bars_until_a_group_is_opened_and_then_at_most_a_thousand_cells() {
        let mut mirror = Mirror::default();
        for number in 0..3000 {
            let mut changed = cluster(&format!("c{number:04}"), "prod");
            let region = if number < 2500 { "eu" } else { "us/1" };
            changed
                .labels
                .insert("region".to_owned(), region.to_owned());
            mirror.apply(Change::Cluster(Box::new(changed)), moment(0));
        }
        let closed = group(&mirror, "prod", GroupBy::default());
        assert_eq!(closed.label, "region", "too many for anything else");
        assert!(closed.groups.iter().all(|group| group.cells.is_empty()));
        assert_eq!(closed.groups[1].open, "/env/prod?group=region&open=us%2F1");
        let open = GroupBy {
            open: "eu",
            ..GroupBy::default()
        };
        let open = group(&mirror, "prod", open);
        let shown = (open.groups[0].cells.len(), open.groups[0].more);
        assert_eq!(shown, (1000, 1500));
        assert!(open.groups[1].cells.is_empty());
    }
}
