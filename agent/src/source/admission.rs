//! Whether a commit that is on its branch may run here: it has to be signed by a key that the policy
//! lists (V3), and must not be a step back in history without an approval (V5).

mod back;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use flotilla_git::{ChainEnd, Remote};
use flotilla_shared::approval::RollbackApproval;
use flotilla_shared::id::ApplicationName;
use flotilla_shared::problem::Problem;
use flotilla_shared::reason::Reason;
use flotilla_shared::revision::Commit;
use flotilla_trust::Keyring;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::DesiredApplication;
use super::record::{AcceptedCommit, Branch, Error, Record, branch_key, rule_text};
use super::release::ReleaseRecord;
use crate::policy::{Policy, Refusal, RollbackMode, SignatureMode, SignatureRule};

/// The judge, with its memory.
#[derive(Debug)]
pub struct Admission {
    policy: Arc<Policy>,
    keyring: Keyring,
    path: PathBuf,
    pub(super) record: Mutex<Record>,
    changes: watch::Sender<u64>,
}

/// A commit that may run, and what has to be recorded before it does.
#[derive(Debug)]
pub(super) struct AdmittedCommit {
    accepted: AcceptedCommit,
    branch: Branch,
    /// The approval that was needed.
    spent: Option<RollbackApproval>,
    note: Option<String>,
    /// Nothing is new.
    is_known: bool,
}

/// The relation of a commit to the one that was accepted before.
enum Step {
    Same,
    Forward,
    /// Back, or sideways; and the commit that is left.
    Back(Commit),
}

/// Why a commit may not run.
enum AdmissionError {
    /// Refused, whatever its signature.
    Refused(Refusal),
    /// Its signatures do not hold.
    Unsigned(Refusal),
}

impl From<Refusal> for AdmissionError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Admission {
    /// Starts with the record of accepted commits: from the disk or from the copy in the cluster, whichever is
    /// newer.
    ///
    /// # Errors
    /// When the record is damaged or the policy's keys cannot be used.
    pub fn open(data_dir: &Path, policy: Arc<Policy>, copy: Option<&[u8]>) -> anyhow::Result<Self> {
        let path = data_dir.join("accepted.json");
        let record = Record::load(&path, copy)?;
        Ok(Self {
            keyring: policy.keyring()?,
            policy,
            path,
            changes: watch::Sender::new(record.revision),
            record: Mutex::new(record),
        })
    }

    /// Changes with the record.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The current record, for a copy.
    #[must_use]
    pub fn encoded(&self) -> Vec<u8> {
        self.record.lock().encode()
    }

    fn rule(&self, desired: &DesiredApplication) -> Result<SignatureRule, Refusal> {
        let application = &desired.application;
        let branch = &application.revision.branch;
        let rule = self.policy.signature_rule(&application.url, branch);
        rule.ok_or_else(|| {
            Refusal::new(
                Reason::SignatureRuleMissing,
                format!(
                    "no signature rule in the agent's policy covers commits of branch {branch} \
                     of {}; a rule with `mode: off` would allow them unsigned",
                    application.url
                ),
            )
        })
    }

    /// The commits that the assigned one has to be compared with, so that their history is needed, as far
    /// as they are known. None of them if the policy does not require the comparison.
    pub(super) fn bases(&self, desired: &DesiredApplication) -> Result<Vec<Commit>, Refusal> {
        let rule = self.rule(desired)?;
        let strict = self.policy.rollback.mode != RollbackMode::Allow;
        let application = &desired.application;
        let commit = &application.revision.commit;
        let record = self.record.lock();
        let (own, floor) = places(&record, desired);
        let digest = rule_text(self.policy.rule_digest(&rule));
        let is_accepted = own.is_some_and(|own| is_at(own, desired) && own.rule == digest);
        if is_accepted {
            return Ok(Vec::new());
        }
        let mut bases = Vec::new();
        if strict {
            let own = own.filter(|own| own.url == application.url);
            bases.extend(own.map(|own| own.commit.clone()));
        }
        if strict || rule.mode == SignatureMode::Range {
            bases.extend(floor.map(|floor| floor.commit.clone()));
        }
        if rule.mode == SignatureMode::Range && floor.is_none() {
            bases.extend(rule.since.clone());
        }
        bases.retain(|base| base != commit);
        bases.dedup();
        Ok(bases)
    }

    /// Judges a commit that is in the cache and proven to be on its branch.
    ///
    /// # Errors
    /// Why it may not run.
    pub(super) fn judge(
        &self,
        remote: &Remote,
        desired: &DesiredApplication,
        now: Timestamp,
    ) -> Result<AdmittedCommit, Refusal> {
        let mut record = self.record.lock();
        match self.weigh(&mut record, remote, desired, now) {
            Ok(admitted) => Ok(admitted),
            Err(AdmissionError::Refused(refusal)) => Err(refusal),
            Err(AdmissionError::Unsigned(refusal)) => {
                // Saved, so that the clock does not start again with each restart.
                self.save(&mut record).map_err(|error| refusal_of(&error))?;
                Err(refusal)
            }
        }
    }

    /// Judges a commit as [`Admission::judge`] does, without recording anything: a question about a commit
    /// neither starts the clock of a key nor uses up an approval.
    ///
    /// # Errors
    /// Why it may not run.
    pub(super) fn consider(
        &self,
        remote: &Remote,
        desired: &DesiredApplication,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let mut copy = self.record.lock().clone();
        match self.weigh(&mut copy, remote, desired, now) {
            Ok(_) => Ok(()),
            Err(AdmissionError::Refused(refusal) | AdmissionError::Unsigned(refusal)) => {
                Err(refusal)
            }
        }
    }

    /// The judgement; all it changes is when a commit was first seen.
    fn weigh(
        &self,
        record: &mut Record,
        remote: &Remote,
        desired: &DesiredApplication,
        now: Timestamp,
    ) -> Result<AdmittedCommit, AdmissionError> {
        let rule = self.rule(desired)?;
        let digest = rule_text(self.policy.rule_digest(&rule));
        let application = &desired.application;
        let commit = &application.revision.commit;
        let (own, floor) = places(record, desired);
        let (own, floor) = (own.cloned(), floor.cloned());
        let is_judged =
            |accepted: &AcceptedCommit| accepted.commit == *commit && accepted.rule == digest;
        let is_same_place = own.as_ref().is_some_and(|own| is_at(own, desired));

        let mut note = None;
        let mut spent = None;
        let mut branch = Branch::Moves;
        let mut back_from = None;
        if is_same_place {
            // The commit that runs may continue, whatever happened to its branch since.
            if floor.as_ref().is_some_and(|floor| floor.commit != *commit) {
                branch = Branch::Stays;
            }
        } else {
            // Where rollbacks are allowed nothing depends on this, and `look_back` finds it out when the
            // commit is about to run.
            let is_allowed = self.policy.rollback.mode == RollbackMode::Allow;
            match step(remote, desired, own.as_ref(), floor.as_ref()) {
                Step::Back(from) if !is_allowed => {
                    (spent, note) = self.step_back(record, desired, &from, floor.as_ref(), now)?;
                    back_from = Some(from);
                }
                Step::Same | Step::Forward | Step::Back(_) => {}
            }
        }
        let is_known = is_same_place && own.as_ref().is_some_and(is_judged);
        let is_verified = is_known || floor.as_ref().is_some_and(is_judged);
        let seen = if rule.mode == SignatureMode::Off {
            now
        } else {
            let seen = record.first_sight(commit, now);
            if !is_verified
                && let Err(refusal) = self.signed(remote, commit, &rule, floor.as_ref(), seen)
            {
                return Err(AdmissionError::Unsigned(refusal));
            }
            seen
        };
        Ok(AdmittedCommit {
            accepted: AcceptedCommit {
                url: application.url.clone(),
                branch: application.revision.branch.clone(),
                commit: commit.clone(),
                seen,
                rule: digest,
                mode: rule.mode,
                back_from,
            },
            branch,
            spent,
            note,
            is_known,
        })
    }

    /// Records, durably, that a commit is about to run. Returns messages for the owners of the cluster.
    ///
    /// # Errors
    /// When it could not be made durable; then it may not run.
    pub(super) fn accept(
        &self,
        desired: &DesiredApplication,
        admitted: AdmittedCommit,
    ) -> Result<Vec<Problem>, Refusal> {
        let mut record = self.record.lock();
        if admitted.is_known && record.keeps(desired) {
            return Ok(Vec::new());
        }
        let mut next = record.clone();
        let remember = |next: &mut Record| -> Result<(), Error> {
            if let Some(spent) = &admitted.spent {
                next.spend(&spent.nonce, spent.expires_at, admitted.accepted.seen)?;
            }
            if !admitted.is_known {
                next.accept(&desired.name, admitted.accepted, admitted.branch)?;
            }
            next.keep(desired);
            self.save(next)
        };
        remember(&mut next).map_err(|error| refusal_of(&error))?;
        *record = next;
        Ok(admitted
            .note
            .into_iter()
            .map(|note| Problem::new(Reason::WentBack, note))
            .collect())
    }

    /// The release of an application's chart that was rendered last.
    pub(super) fn standing(&self, name: &ApplicationName) -> Option<ReleaseRecord> {
        self.record.lock().releases.get(name).cloned()
    }

    /// Remembers, durably, that a release is about to run.
    ///
    /// # Errors
    /// When it could not be made durable; then it may not run, since its hooks would run again.
    pub(super) fn release(
        &self,
        name: &ApplicationName,
        standing: ReleaseRecord,
    ) -> Result<(), Refusal> {
        let mut record = self.record.lock();
        if record.releases.get(name) == Some(&standing) {
            return Ok(());
        }
        let mut next = record.clone();
        next.release(name, standing);
        self.save(&mut next).map_err(|error| refusal_of(&error))?;
        *record = next;
        Ok(())
    }

    /// An application has no objects left.
    pub(super) fn forget(&self, name: &ApplicationName) {
        self.note(|record| {
            record.releases.contains_key(name).then(|| {
                let mut next = record.clone();
                next.releases.remove(name);
                next
            })
        });
    }

    /// A change that cannot be stored is noted again at the next pass. At worst it is lost, and an
    /// installation becomes an upgrade.
    pub(super) fn note(&self, next: impl FnOnce(&Record) -> Option<Record>) {
        let mut record = self.record.lock();
        let Some(mut next) = next(&record) else {
            return;
        };
        match self.save(&mut next) {
            Ok(()) => *record = next,
            Err(error) => tracing::warn!(%error, "cannot record what ran"),
        }
    }

    fn save(&self, record: &mut Record) -> Result<(), Error> {
        record.revision += 1;
        record.store(&self.path)?;
        self.changes.send_replace(record.revision);
        Ok(())
    }

    /// Whether all commits that the rule asks for are signed.
    fn signed(
        &self,
        remote: &Remote,
        commit: &Commit,
        rule: &SignatureRule,
        floor: Option<&AcceptedCommit>,
        seen: Timestamp,
    ) -> Result<(), Refusal> {
        let git = |error: flotilla_git::Error| Refusal::new(error.reason(), error.to_string());
        let check = |checked: &Commit| {
            let raw = remote.raw_commit(checked).map_err(git)?;
            match self.keyring.commit(&raw, &rule.keys, seen) {
                Ok(key) => {
                    tracing::debug!(commit = %checked, key, "signature verified");
                    Ok(())
                }
                Err(fault) => {
                    let on_the_way = if checked == commit {
                        String::new()
                    } else {
                        format!(", which {} builds on", commit.short())
                    };
                    let message = format!("commit {checked}{on_the_way}: {fault}");
                    Err(Refusal::new(fault.reason(), message))
                }
            }
        };
        // The newest commit first: it is the one that people look at.
        check(commit)?;
        if rule.mode != SignatureMode::Range {
            return Ok(());
        }
        // A commit that was accepted without a check of its signature must not be the start of the range.
        let floor = floor.filter(|floor| floor.mode != SignatureMode::Off);
        let base = floor.map(|floor| &floor.commit).or(rule.since.as_ref());
        let Some(base) = base.filter(|base| *base != commit) else {
            return Ok(());
        };
        let chain = remote.first_parents(commit, Some(base)).map_err(git)?;
        if chain.end == ChainEnd::Unknown {
            return Err(Refusal::new(
                Reason::LimitExceeded,
                format!(
                    "the history between {commit} and {base}, where every commit must be \
                     signed, is longer than the agent reads"
                ),
            ));
        }
        if chain.end == ChainEnd::Root && floor.is_none() {
            return Err(Refusal::new(
                Reason::NotADescendant,
                format!("{commit} does not descend from {base}, where the signed history begins"),
            ));
        }
        chain.commits.iter().skip(1).try_for_each(check)
    }
}

fn refusal_of(error: &Error) -> Refusal {
    Refusal::new(Reason::LedgerUnavailable, error.to_string())
}

/// The commits that were last accepted for the application, and for its branch.
fn places<'a>(
    record: &'a Record,
    desired: &DesiredApplication,
) -> (Option<&'a AcceptedCommit>, Option<&'a AcceptedCommit>) {
    let application = &desired.application;
    let key = branch_key(&application.url, &application.revision.branch);
    (
        record.applications.get(&desired.name),
        record.branches.get(&key),
    )
}

fn is_at(accepted: &AcceptedCommit, desired: &DesiredApplication) -> bool {
    let application = &desired.application;
    accepted.url == application.url && accepted.commit == application.revision.commit
}

/// A step forward leads to a descendant of everything that was accepted before. A commit of another
/// repository never is one: nothing shows which of the two is older.
fn step(
    remote: &Remote,
    desired: &DesiredApplication,
    own: Option<&AcceptedCommit>,
    floor: Option<&AcceptedCommit>,
) -> Step {
    let commit = &desired.application.revision.commit;
    let before: Vec<&AcceptedCommit> = own.into_iter().chain(floor).collect();
    if before.iter().all(|accepted| is_at(accepted, desired)) {
        return Step::Same;
    }
    let is_left = |accepted: &&&AcceptedCommit| {
        let is_here = accepted.url == desired.application.url;
        !is_here || !remote.is_ancestor(&accepted.commit, commit)
    };
    match before.iter().find(is_left) {
        None => Step::Forward,
        Some(accepted) => Step::Back(accepted.commit.clone()),
    }
}
