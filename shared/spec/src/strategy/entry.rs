//! The YAML form of strategies.

use std::collections::BTreeSet;
use std::time::Duration;

use flotilla_shared::id::ClusterName;
use serde::Deserialize;

use super::problems::{Problems, time};
use super::{Amount, Budgets, Members, OnFailure, OnNewCommit, Strategy, Wave, WhenEmpty};

/// Highest number of waves of a strategy: every step visits each of them.
const MAX_WAVES: usize = 64;

/// An amount such as `3` or `25%`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum AmountEntry {
    Count(u32),
    Text(String),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct StrategyEntry {
    #[serde(default)]
    waves: Vec<WaveEntry>,
    #[serde(default)]
    max_concurrent: Option<AmountEntry>,
    #[serde(default)]
    budgets: BudgetsEntry,
    #[serde(default)]
    soak: Option<String>,
    #[serde(default)]
    progress_deadline: Option<String>,
    #[serde(default)]
    sort_label: Option<String>,
    #[serde(default)]
    on_new_commit: OnNewCommit,
    #[serde(default)]
    on_failure: OnFailure,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct BudgetsEntry {
    #[serde(default)]
    failed: Option<AmountEntry>,
    #[serde(default)]
    unavailable: Option<AmountEntry>,
    #[serde(default)]
    offline: Option<AmountEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct WaveEntry {
    name: String,
    #[serde(default)]
    selector: Option<String>,
    #[serde(default)]
    clusters: Option<BTreeSet<ClusterName>>,
    #[serde(default)]
    share: Option<String>,
    #[serde(default)]
    max_concurrent: Option<AmountEntry>,
    #[serde(default)]
    soak: Option<String>,
    #[serde(default)]
    approvals: u32,
    #[serde(default)]
    when_empty: WhenEmpty,
}

/// Reads an amount; errors are added to `problems`.
pub(super) fn amount(
    entry: Option<&AmountEntry>,
    key: &str,
    default: Amount,
    problems: &mut Problems,
) -> Amount {
    match entry {
        None => default,
        Some(AmountEntry::Count(count)) => Amount::Count(*count),
        Some(AmountEntry::Text(text)) => share(text).map_or_else(
            || {
                let message = format!("{text:?} is neither a number nor a share such as 25%");
                problems.push((key.to_owned(), message));
                default
            },
            Amount::Share,
        ),
    }
}

fn share(text: &str) -> Option<u8> {
    text.strip_suffix('%')?
        .parse()
        .ok()
        .filter(|share| *share <= 100)
}

impl StrategyEntry {
    /// Reads it; errors are added to `problems`.
    pub(crate) fn read(&self, problems: &mut Problems) -> Strategy {
        let defaults = Strategy::default();
        let mut waves = Vec::new();
        for (index, entry) in self.waves.iter().enumerate() {
            let key = format!("waves[{index}]");
            if waves.iter().any(|wave: &Wave| wave.name == entry.name) {
                problems.push((format!("{key}.name"), "it is listed twice".to_owned()));
            }
            if waves
                .last()
                .is_some_and(|wave: &Wave| wave.members == Members::Rest)
            {
                let message = "the wave before takes all clusters that are left".to_owned();
                problems.push((key.clone(), message));
            }
            waves.push(entry.read(&key, problems));
        }
        if waves
            .last()
            .is_none_or(|wave| wave.members != Members::Rest)
        {
            waves.push(Wave::rest());
        }
        if waves.len() > MAX_WAVES {
            problems.push(("waves".to_owned(), format!("more than {MAX_WAVES}")));
        }
        let budget = defaults.budgets;
        let budgets = &self.budgets;
        let of = amount;
        Strategy {
            waves,
            max_concurrent: of(
                self.max_concurrent.as_ref(),
                "maxConcurrent",
                defaults.max_concurrent,
                problems,
            ),
            budgets: Budgets {
                failed: of(
                    budgets.failed.as_ref(),
                    "budgets.failed",
                    budget.failed,
                    problems,
                ),
                unavailable: of(
                    budgets.unavailable.as_ref(),
                    "budgets.unavailable",
                    budget.unavailable,
                    problems,
                ),
                offline: of(
                    budgets.offline.as_ref(),
                    "budgets.offline",
                    budget.offline,
                    problems,
                ),
            },
            soak: time(self.soak.as_ref(), "soak", defaults.soak, problems),
            progress_deadline: time(
                self.progress_deadline.as_ref(),
                "progressDeadline",
                defaults.progress_deadline,
                problems,
            ),
            sort_label: self.sort_label.clone(),
            on_new_commit: self.on_new_commit,
            on_failure: self.on_failure,
        }
    }
}

impl WaveEntry {
    fn read(&self, key: &str, problems: &mut Problems) -> Wave {
        let chosen = [
            self.selector.is_some(),
            self.clusters.is_some(),
            self.share.is_some(),
        ];
        if chosen.iter().filter(|is_chosen| **is_chosen).count() > 1 {
            let message = "give one of selector, clusters and share".to_owned();
            problems.push((key.to_owned(), message));
        }
        let members = if let Some(selector) = &self.selector {
            match selector.parse() {
                Ok(selector) => Members::Selector(selector),
                Err(error) => {
                    problems.push((format!("{key}.selector"), format!("{error}")));
                    Members::Rest
                }
            }
        } else if let Some(clusters) = &self.clusters {
            Members::Clusters(clusters.clone())
        } else if let Some(text) = &self.share {
            match share(text) {
                Some(share) => Members::Share(share),
                None => {
                    let message = format!("{text:?} is not a share such as 25%");
                    problems.push((format!("{key}.share"), message));
                    Members::Rest
                }
            }
        } else {
            Members::Rest
        };
        let max = self.max_concurrent.as_ref();
        Wave {
            name: self.name.clone(),
            members,
            max_concurrent: max.map(|entry| {
                let key = format!("{key}.maxConcurrent");
                amount(Some(entry), &key, Amount::Share(100), problems)
            }),
            soak: self
                .soak
                .as_ref()
                .map(|text| time(Some(text), &format!("{key}.soak"), Duration::ZERO, problems)),
            approvals: self.approvals,
            when_empty: self.when_empty,
        }
    }
}
