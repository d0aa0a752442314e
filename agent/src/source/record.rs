//! The accepted commits, durably: ranges of signatures start at them, and no commit silently goes back
//! behind them. Also the approvals that were used up (V3, V5).
//!
//! Stored beside the ledger, written whole and synced before a commit is acted on, and copied into
//! the cluster, so that it survives a lost disk or a move to another node (N4).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use flotilla_shared::digest::Digest;
use flotilla_shared::id::ApplicationName;
use flotilla_shared::revision::{BranchName, Commit, RepositoryUrl};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::desired::DesiredApplication;
use super::kept::{AcceptedApplication, fits};
use super::release::ReleaseRecord;
use crate::policy::SignatureMode;

/// Most branches that are remembered. A branch keeps its entry for good, so that a hub that names
/// many branches cannot push one out.
const MAX_BRANCHES: usize = 500;
/// Most applications that are remembered; the oldest go first, since branches are remembered anyway.
const MAX_APPLICATIONS: usize = 2000;
/// Most commits that were seen and not accepted.
const MAX_SEEN: usize = 500;
/// Most used approvals that have not expired yet.
const MAX_USED: usize = 1000;
const MAX_BYTES: u64 = 16 << 20;

/// A commit that was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AcceptedCommit {
    /// Of which repository.
    pub(super) url: RepositoryUrl,
    /// Of which branch.
    pub(super) branch: BranchName,
    pub(super) commit: Commit,
    /// When this agent first saw it.
    pub(super) seen: Timestamp,
    /// Digest of the rule and the keys that it was accepted by, hexadecimal.
    pub(super) rule: String,
    /// Which signatures were asked for.
    pub(super) mode: SignatureMode,
    /// Where the branch went back from, by an approval or a policy that allows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) back_from: Option<Commit>,
}

/// Everything that was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Record {
    /// Grows with each change, so that of two copies the newer one is known.
    pub(super) revision: u64,
    /// By application: the last one that was accepted.
    pub(super) applications: BTreeMap<ApplicationName, AcceptedCommit>,
    /// By branch and URL: the last one that any application accepted.
    pub(super) branches: BTreeMap<String, AcceptedCommit>,
    /// When commits that are not accepted yet were first seen.
    pub(super) seen: BTreeMap<Commit, Timestamp>,
    /// Nonces of approvals that were used, until they expire.
    pub(super) used: BTreeMap<String, Timestamp>,
    /// By application: the release of its chart that was rendered last.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) releases: BTreeMap<ApplicationName, ReleaseRecord>,
    /// By application: its assignment when it was last accepted.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) kept: BTreeMap<ApplicationName, AcceptedApplication>,
}

/// The record cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// Reading or writing failed.
    #[error("record of accepted commits {path}: {cause}")]
    Io {
        path: PathBuf,
        cause: std::io::Error,
    },
    /// The file is not as this agent wrote it.
    #[error(
        "record of accepted commits {path} is damaged ({why}), and the agent does not silently \
         forget what it accepted: remove the file to start over with the next commit"
    )]
    Damaged {
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A limit is reached.
    #[error("more than {limit} {what} would have to be recorded")]
    Full {
        /// How many fit.
        limit: usize,
        what: &'static str,
    },
}

/// A branch's key in the record.
pub(super) fn branch_key(url: &RepositoryUrl, branch: &BranchName) -> String {
    format!("{branch} {url}")
}

/// The effect of accepting an application's commit on the record of its branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Branch {
    /// The branch is now at this commit for all applications.
    Moves,
    Stays,
}

impl Record {
    /// When a commit was first seen: now, unless it was before.
    pub(super) fn first_sight(&mut self, commit: &Commit, now: Timestamp) -> Timestamp {
        let known = self.applications.values().chain(self.branches.values());
        let accepted = known
            .filter(|accepted| accepted.commit == *commit)
            .map(|accepted| accepted.seen)
            .min();
        if let Some(seen) = accepted {
            return seen;
        }
        if !self.seen.contains_key(commit) {
            if self.seen.len() >= MAX_SEEN {
                let newest = self.seen.iter().max_by_key(|(_, seen)| **seen);
                let newest = newest.map(|(commit, _)| commit.clone());
                newest.map(|commit| self.seen.remove(&commit));
            }
            self.seen.insert(commit.clone(), now);
        }
        self.seen.get(commit).copied().unwrap_or(now)
    }

    /// Takes in that an application's commit is accepted.
    pub(super) fn accept(
        &mut self,
        name: &ApplicationName,
        accepted: AcceptedCommit,
        branch: Branch,
    ) -> Result<(), Error> {
        self.seen.remove(&accepted.commit);
        if branch == Branch::Moves {
            let key = branch_key(&accepted.url, &accepted.branch);
            if self.branches.len() >= MAX_BRANCHES && !self.branches.contains_key(&key) {
                return Err(Error::Full {
                    limit: MAX_BRANCHES,
                    what: "branches",
                });
            }
            self.branches.insert(key, accepted.clone());
        }
        self.applications.insert(name.clone(), accepted);
        while self.applications.len() > MAX_APPLICATIONS {
            let others = self.applications.iter().filter(|(other, _)| *other != name);
            let oldest = others.min_by_key(|(_, accepted)| accepted.seen);
            let Some(oldest) = oldest.map(|(name, _)| name.clone()) else {
                break;
            };
            self.applications.remove(&oldest);
        }
        Ok(())
    }

    /// Whether exactly this is stored for an application already.
    pub(super) fn keeps(&self, desired: &DesiredApplication) -> bool {
        let kept = self.kept.get(&desired.name);
        kept.is_some_and(|kept| {
            let next = AcceptedApplication::of(desired);
            let is_same = (&kept.cluster, &kept.facts) == (&next.cluster, &next.facts);
            // A record that is too long stays so until another commit is accepted.
            is_same && (kept.assigned == next.assigned || !fits(&self.kept, desired, &next))
        })
    }

    /// Stores what is accepted. Nothing is stored for an application that was forgotten.
    pub(super) fn keep(&mut self, desired: &DesiredApplication) {
        let applications = &self.applications;
        self.kept.retain(|name, _| applications.contains_key(name));
        let mut next = AcceptedApplication::of(desired);
        if !fits(&self.kept, desired, &next) {
            next.assigned.clear();
        }
        next.ran = self
            .kept
            .remove(&desired.name)
            .and_then(|before| before.ran);
        self.kept.insert(desired.name.clone(), next);
    }

    /// Takes in which release of an application is about to run. Applications that were forgotten have
    /// none.
    pub(super) fn release(&mut self, name: &ApplicationName, standing: ReleaseRecord) {
        let applications = &self.applications;
        self.releases
            .retain(|name, _| applications.contains_key(name));
        self.releases.insert(name.clone(), standing);
    }

    /// Uses an approval up.
    pub(super) fn spend(
        &mut self,
        nonce: &str,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), Error> {
        // An expired approval is refused as such, so that its use need not be remembered.
        self.used.retain(|_, until| *until > now);
        if self.used.len() >= MAX_USED {
            return Err(Error::Full {
                limit: MAX_USED,
                what: "used approvals",
            });
        }
        self.used.insert(nonce.to_owned(), expires_at);
        Ok(())
    }

    /// The form in which it is stored.
    #[must_use]
    pub(super) fn encode(&self) -> Vec<u8> {
        // Plain data with string keys always serializes to JSON.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The newer of the record on this disk and a copy from elsewhere.
    ///
    /// # Errors
    /// When the file is there and damaged, and there is no copy in its place.
    pub(super) fn load(path: &Path, copy: Option<&[u8]>) -> Result<Self, Error> {
        let copy = copy.and_then(|bytes| serde_json::from_slice::<Self>(bytes).ok());
        match (Self::read(path), copy) {
            (Ok(own), Some(copy)) if own.revision < copy.revision => Ok(copy),
            (Ok(own), _) => Ok(own),
            (Err(error), Some(copy)) => {
                tracing::warn!(%error, "using the copy in the cluster instead");
                Ok(copy)
            }
            (Err(error), None) => Err(error),
        }
    }

    fn read(path: &Path) -> Result<Self, Error> {
        let fail = |cause| Error::Io {
            path: path.to_owned(),
            cause,
        };
        let damaged = |why: String| Error::Damaged {
            path: path.to_owned(),
            why,
        };
        match std::fs::metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => return Err(fail(error)),
            Ok(file) if file.len() > MAX_BYTES => return Err(damaged("it is too long".to_owned())),
            Ok(_) => {}
        }
        let bytes = std::fs::read(path).map_err(fail)?;
        serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))
    }

    /// Writes it, whole and synced.
    pub(super) fn store(&self, path: &Path) -> Result<(), Error> {
        flotilla_disk::replace(path, &self.encode()).map_err(|cause| Error::Io {
            path: path.to_owned(),
            cause,
        })
    }
}

/// A rule's digest as the record has it.
pub(super) fn rule_text(digest: Digest) -> String {
    digest.to_string()
}

#[cfg(test)]
mod tests {
    use flotilla_render::Facts;

    use super::super::kept::MAX_ONE;
    use super::*;
    use crate::policy::samples::application;

    fn desired(name: &str, values: usize) -> DesiredApplication {
        let mut application = application("https://h/r", "prod", "apps/web");
        application.helm = Some(Box::new(flotilla_shared::chart::ChartOptions {
            values: "v".repeat(values).into(),
            ..Default::default()
        }));
        DesiredApplication {
            name: name.parse().unwrap(),
            cluster: "c1".parse().unwrap(),
            application,
            approvals: Vec::new(),
            facts: Some(Facts::of_cluster(
                "c1",
                "prod",
                &[("zone".to_owned(), "a".to_owned())].into(),
            )),
        }
    }

    fn record(accepted: &[&DesiredApplication]) -> Record {
        let mut record = Record::default();
        for desired in accepted {
            let accepted = AcceptedCommit {
                url: desired.application.url.clone(),
                branch: desired.application.revision.branch.clone(),
                commit: desired.application.revision.commit.clone(),
                seen: jiff::Timestamp::UNIX_EPOCH,
                rule: String::new(),
                mode: crate::policy::SignatureMode::Off,
                back_from: None,
            };
            record
                .accept(&desired.name, accepted, Branch::Moves)
                .unwrap();
        }
        record
    }

    #[test]
    fn what_was_accepted_comes_back_whole_and_without_what_was_used_up() {
        let mut desired = desired("web", 10);
        desired.application.rollout = "r1".to_owned();
        let mut known = record(&[&desired]);
        assert!(!known.keeps(&desired));
        known.keep(&desired);
        assert!(known.keeps(&desired));
        let known: Record = serde_json::from_slice(&known.encode()).unwrap();
        let before = known.kept[&desired.name].before(&desired.name);
        desired.application.rollout = String::new();
        assert_eq!(before.desired, Some(Box::new(desired.clone())));
        assert_eq!(before.ran, None);
        for change in [
            |desired: &mut DesiredApplication| {
                desired.application.path = "apps/other".parse().unwrap();
            },
            |desired: &mut DesiredApplication| desired.application.substitute = true,
            |desired: &mut DesiredApplication| desired.facts = None,
        ] {
            let mut other = desired.clone();
            change(&mut other);
            assert!(!known.keeps(&other), "{other:?}");
        }
    }

    #[test]
    fn what_ran_is_known_after_something_else_was_accepted() {
        let mut desired = desired("web", 10);
        let mut known = record(&[&desired]);
        known.keep(&desired);
        let ran = desired.application.revision.clone();
        known.kept.get_mut(&desired.name).unwrap().ran = Some(ran.clone());
        desired.application.path = "apps/other".parse().unwrap();
        known.keep(&desired);
        assert_eq!(
            known.kept[&desired.name].before(&desired.name).ran,
            Some(ran)
        );
    }

    #[test]
    fn what_is_kept_has_an_end() {
        let (small, large) = (desired("small", 10), desired("large", MAX_ONE));
        let many: Vec<DesiredApplication> = (0..9)
            .map(|n| desired(&format!("m{n}"), MAX_ONE / 4 * 3 - 500))
            .collect();
        let all: Vec<&DesiredApplication> = many.iter().chain([&small, &large]).collect();
        let mut known = record(&all);
        known.keep(&large);
        assert_eq!(known.kept[&large.name].before(&large.name).desired, None);
        assert!(known.keeps(&large), "and is not written at each render");
        known.keep(&small);
        for desired in &many {
            known.keep(desired);
        }
        let is_there = |desired: &&DesiredApplication| {
            known.kept[&desired.name]
                .before(&desired.name)
                .desired
                .is_some()
        };
        assert_eq!(many.iter().filter(is_there).count(), 6);
        assert!(is_there(&&small));
        // A forgotten application keeps nothing.
        known.applications.remove(&many[0].name);
        known.keep(&small);
        assert!(!known.kept.contains_key(&many[0].name));
    }
}
