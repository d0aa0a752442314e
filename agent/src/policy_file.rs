//! Notices that the policy file says something else than the policy in force.
//!
//! People narrow a policy when something is going wrong, and a rule that is in the file but not in force
//! is worse than none. An unusable file changes nothing and is reported. A change takes effect only
//! after two reads in a row have seen the same content, since a file that is half written may be a valid
//! policy with a rule less.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use flotilla_shared::words::without_numbers;
use tokio::time::Instant;

use crate::policy::Policy;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(2);
/// Time after which an unusable file is reported again.
const TELL_AGAIN: Duration = Duration::from_secs(600);

/// News about the policy file.
#[derive(Debug, Clone, PartialEq)]
pub enum PolicyChange {
    /// The policy changed and can be used.
    Changed,
    /// The file cannot be used, for this reason; the policy in force stays.
    Unusable(String),
}

/// Reads a policy file; none gives the defaults.
///
/// # Errors
/// File, line and key of what is wrong.
pub fn read(path: Option<&Path>) -> anyhow::Result<Policy> {
    let Some(path) = path else {
        return Ok(Policy::default());
    };
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| name.clone())?;
    parse(&name, &text)
}

fn parse(name: &str, text: &str) -> anyhow::Result<Policy> {
    let policy: Policy = flotilla_yaml::config::mapping(name, text, &[])?.value;
    policy.check().with_context(|| name.to_owned())?;
    Ok(policy)
}

/// The watched policy file, and the policy in force.
pub struct PolicyFile {
    path: PathBuf,
    in_force: Arc<Policy>,
    /// Last read of the file: the text, or an error.
    last: Option<Result<String, String>>,
    /// The verdict on the content that was read last, once it was judged.
    judged: Option<Result<(), String>>,
    told: Option<Instant>,
}

impl PolicyFile {
    /// Beside the policy that was read from it.
    #[must_use]
    pub fn new(path: PathBuf, in_force: Arc<Policy>) -> Self {
        Self {
            path,
            in_force,
            last: None,
            judged: None,
            told: None,
        }
    }

    /// Checks the file repeatedly; returns once there is something to do.
    pub async fn news(&mut self) -> PolicyChange {
        loop {
            tokio::time::sleep(LOOK).await;
            let path = self.path.clone();
            let read = move || {
                std::fs::read_to_string(path).map_err(|error| without_numbers(&error.to_string()))
            };
            let Ok(seen) = tokio::task::spawn_blocking(read).await else {
                continue;
            };
            if let Some(news) = self.saw(seen, Instant::now()) {
                return news;
            }
        }
    }

    fn saw(&mut self, seen: Result<String, String>, now: Instant) -> Option<PolicyChange> {
        if self.last.as_ref() != Some(&seen) {
            self.last = Some(seen);
            self.judged = None;
            self.told = None;
            return None;
        }
        if self.judged.is_none() {
            let name = self.path.display().to_string();
            let policy = match seen {
                Ok(text) => parse(&name, &text).map_err(|error| format!("{error:#}")),
                Err(error) => Err(format!("{name}: {error}")),
            };
            if policy
                .as_ref()
                .is_ok_and(|policy| *policy != *self.in_force)
            {
                return Some(PolicyChange::Changed);
            }
            self.judged = Some(policy.map(|_| ()));
        }
        let why = self.judged.as_ref()?.as_ref().err()?;
        let is_due = self
            .told
            .is_none_or(|told| now.duration_since(told) >= TELL_AGAIN);
        if !is_due {
            return None;
        }
        self.told = Some(now);
        Some(PolicyChange::Unusable(why.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(text: &str) -> Result<String, String> {
        Ok(text.to_owned())
    }

    #[test]
    fn a_changed_policy_is_taken_once_it_has_stood_for_two_looks() {
        let in_force = parse("p", "branches: [dev]\n").unwrap();
        let mut file = PolicyFile::new("p".into(), Arc::new(in_force));
        let now = Instant::now();
        let mut look = |seen: Result<String, String>, after: u64| {
            file.saw(seen, now + Duration::from_secs(after))
        };
        let same = "branches: [dev] # the same\n";
        assert_eq!(look(content(same), 0), None);
        assert_eq!(look(content(same), 2), None, "a comment is no change");
        assert_eq!(look(content(""), 4), None, "cut short while it is written");
        assert_eq!(look(content("branches: [prod]\n"), 6), None, "half of it");
        let whole = "branches: [prod]\nkinds: [ConfigMap]\n";
        assert_eq!(look(content(whole), 8), None);
        assert_eq!(look(content(whole), 10), Some(PolicyChange::Changed));
    }

    #[test]
    fn a_policy_that_cannot_be_used_is_told_now_and_then_and_the_former_stays() {
        let mut file = PolicyFile::new("p".into(), Arc::default());
        let now = Instant::now();
        let mut look = |seen: Result<String, String>, after: u64| {
            file.saw(seen, now + Duration::from_secs(after))
        };
        let broken = "branchs: [prod]\n";
        let why = "p:1:1: unknown key `branchs`; did you mean `branches`?";
        assert_eq!(look(content(broken), 0), None);
        let told = Some(PolicyChange::Unusable(why.to_owned()));
        assert_eq!(look(content(broken), 2), told);
        assert_eq!(look(content(broken), 4), None);
        assert_eq!(look(content(broken), 602), told, "and once more");
        let gone = Err("No such file or directory".to_owned());
        assert_eq!(look(gone.clone(), 604), None);
        let told = PolicyChange::Unusable("p: No such file or directory".to_owned());
        assert_eq!(look(gone, 606), Some(told));
        assert_eq!(look(content("branches: []\n"), 608), None);
        assert_eq!(
            look(content("branches: []\n"), 610),
            None,
            "as it is in force"
        );
    }
}
