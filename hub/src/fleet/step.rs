//! The step: one event, its consequences.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flotilla_shared::digest::Digest;
use flotilla_shared::id::{ClusterName, RepositoryName};
use flotilla_shared::reason::Reason;
use flotilla_shared::revision::{BranchName, Commit};
use flotilla_shared::wire::encode_report;
use jiff::Timestamp;
use prost::Message as _;

use super::cluster::{Cluster, Facts};
use super::environment::{CheckResult, Pin};
use super::event::{Effect, Event, SessionId, settle_order};
use super::identity;
use super::{Fleet, Head};

/// A hint older than this belongs to another push.
const HINT_LIFE: jiff::SignedDuration = jiff::SignedDuration::from_mins(10);

/// Generations that an agent is believed to have come to: one each second takes a century. Above it,
/// numbers would run out, and the cluster is shown as ahead.
const FARTHEST: u64 = 1 << 32;

impl Fleet {
    /// Takes one event and draws its consequences. Deterministic: equal fleets, events and times give
    /// equal effects.
    pub fn step(&mut self, event: Event, now: Timestamp) -> Vec<Effect> {
        let mut effects = self.absorb(event, now);
        effects.extend(self.settle(now));
        settle_order(&mut effects);
        effects
    }

    /// Takes one event; several may be taken before [`Fleet::settle`] draws their consequences for
    /// rollouts, which look at whole environments.
    pub fn absorb(&mut self, event: Event, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.pass(now);
        match event {
            Event::Restored {
                heads,
                clusters,
                environments,
                rollouts,
                retired,
                specifications,
            } => {
                self.retired.extend(retired);
                let kept = specifications.into_iter();
                self.specifications
                    .extend(kept.map(|(revision, one)| (revision, Arc::new(one))));
                self.heads.extend(heads);
                self.environments.extend(environments);
                for rollout in rollouts {
                    self.rollouts.insert(rollout.environment.clone(), rollout);
                }
                for stored in clusters {
                    let mut cluster = Cluster {
                        record: stored.record,
                        assigned: stored.assignment.map(|stored| stored.decoded),
                        resumable: stored.current_since.and_then(|since| {
                            let report = encode_report(stored.report.as_ref()?);
                            Some((since, Digest::of(&report.encode_to_vec())))
                        }),
                        ..Cluster::default()
                    };
                    cluster.note_report(stored.report);
                    self.clusters.insert(stored.name.clone(), cluster.into());
                    self.touch(&stored.name);
                }
                self.count_pins();
                self.touch_environments();
            }
            Event::Hinted { repository, at } => {
                self.hints.insert(repository, at);
            }
            Event::Tick => self.tick(now, &mut effects),
            Event::Checked {
                environment,
                check,
                rollout,
                good,
                text,
            } => {
                let result = CheckResult {
                    rollout,
                    good,
                    text,
                    at: now,
                };
                self.checked(environment, check, result);
            }
            Event::SpecChanged(spec) => self.spec_changed(spec, now, &mut effects),
            Event::HeadsRead {
                repository,
                asked,
                found,
            } => {
                self.heads_read(&repository, asked, &found, now, &mut effects);
            }
            Event::HeadsFailed {
                repository,
                asked,
                reason,
                message,
            } => {
                self.heads_failed(&repository, &asked, &(reason, message));
            }
            Event::TreesRead {
                repository,
                commit,
                directories,
            } => self.trees_read(&repository, commit, directories),
            Event::HeadingRead {
                repository,
                commit,
                heading,
            } => self.heading_read(&repository, commit, heading),
            Event::TreesFailed {
                repository,
                reason,
                message,
            } => self.trees_failed(repository, reason, message),
            Event::MergeLooked {
                environment,
                repository,
                waits,
            } => self.merge_looked(environment, repository, waits.map(|waits| *waits), now),
            Event::ClusterPut(name, mut record) => {
                self.mark_dirty(&name);
                let cluster = self.clusters.entry(name.clone()).or_default();
                // What a person said of it ends by another word, not by an enrolment.
                record.pin = cluster.record.pin.take();
                record.suspended = cluster.record.suspended.take();
                record.let_go = cluster.record.let_go;
                // Likewise certificates: what was issued meanwhile is not forgotten.
                record.credential = std::mem::take(&mut cluster.record.credential);
                if let (Some(key), None) = (cluster.record.pending.take(), &record.pending) {
                    // Accepted: the name is the key's that waited.
                    record.credential.key = key;
                }
                cluster.record = record.clone();
                self.membership_changed();
                self.mark_dirty(&name);
                self.touch(&name);
                self.touch_environments();
                effects.push(Effect::StoreCluster(name.clone(), Box::new(record)));
                self.assign(&name, now, &mut effects);
            }
            Event::Issued(name, certificate) => self.issued(&name, certificate, &mut effects),
            Event::Demoted(person, environments) => {
                self.demoted(&person, &environments, now, &mut effects);
            }
            Event::Cloned(name, why) => self.lock(&name, why, now, &mut effects),
            Event::Unlocked(name) => self.unlock(&name, now, &mut effects),
            Event::AuthorityChanged(issuer) => self.authority_changed(issuer, &mut effects),
            Event::ClusterRemoved(name) => {
                self.mark_dirty(&name);
                self.retire(&name, &mut effects);
                let removed = self.clusters.remove(&name);
                self.membership_changed();
                if let Some(cluster) = removed {
                    if let Some((session, _)) = cluster.session {
                        let text =
                            "the cluster was removed from the fleet; its objects stay".into();
                        effects.push(Effect::Close(
                            name.clone(),
                            session,
                            Reason::NotAssigned,
                            text,
                        ));
                    }
                    effects.push(Effect::DeleteCluster(name));
                    self.touch_environments();
                }
            }
            Event::Connected(name, session, hello) => {
                let Some(cluster) = self.clusters.get(&name) else {
                    let text = "this hub has no record of the cluster; to have it back, give its agent a new \
                                token (flotilla token create)"
                        .to_owned();
                    return vec![Effect::Close(name, session, Reason::NotAssigned, text)];
                };
                if cluster.record.credential.is_former(hello.counter) {
                    return vec![identity::former(&name, session)];
                }
                let begins = cluster.record.credential.begins_with(hello.counter);
                if !self.shown(&name, hello.counter, &hello.cluster_uid, now, &mut effects) {
                    // The stream that was there before goes on: it may be the rightful one.
                    effects.push(identity::cloned(&name, session));
                    return effects;
                }
                let Some(cluster) = self.clusters.get_mut(&name) else {
                    return effects;
                };
                if let Some((old, _)) = cluster.session.filter(|(old, _)| *old != session) {
                    let text = "a newer stream of this cluster took over".to_owned();
                    effects.push(Effect::Close(name.clone(), old, Reason::Other, text));
                }
                cluster.session = Some((session, now));
                cluster.last_seen = Some(now);
                cluster.vouched_at = None;
                cluster.accepted = hello.accepted;
                cluster.refusal = None;
                // A person let it in again under its name: no older world, but a new beginning (P8).
                let said = hello.accepted.generation.0;
                if begins && hello.accepted.epoch == self.epoch && said < FARTHEST {
                    cluster.floor = said;
                }
                cluster.facts = Facts {
                    agent_version: hello.agent_version,
                    kubernetes_version: hello.kubernetes_version,
                    cluster_uid: hello.cluster_uid,
                };
                cluster.note_current(now);
                self.mark_dirty(&name);
                self.touch(&name);
                self.touch_environments();
                self.assign(&name, now, &mut effects);
                if !effects
                    .iter()
                    .any(|effect| matches!(effect, Effect::Send(..)))
                {
                    self.offer(&name, &mut effects);
                }
                self.catch_up(&name, session, &mut effects);
            }
            Event::Disconnected(name, session) => {
                if let Some(cluster) = self.live(&name, session) {
                    cluster.session = None;
                    cluster.vouched_at = None;
                    self.mark_dirty(&name);
                    self.touch(&name);
                    self.touch_environments();
                }
            }
            Event::Acked {
                cluster: name,
                session,
                assignment,
                refusal,
                accepted,
            } => {
                if let Some(cluster) = self.live(&name, session) {
                    cluster.last_seen = Some(now);
                    cluster.accepted = accepted;
                    // An answer to something older than what is assigned now says nothing of it.
                    if assignment == cluster.assigned_ref() {
                        cluster.refusal = refusal;
                    }
                    cluster.note_current(now);
                    self.mark_dirty(&name);
                    self.touch(&name);
                }
            }
            Event::Reported(name, session, report, digest) => {
                self.hear_report(name, session, report, digest, now, &mut effects);
            }
            Event::Heartbeat {
                cluster: name,
                session,
                accepted,
                report,
            } => {
                self.heartbeat(&name, session, accepted, report, now, &mut effects);
            }
        }
        effects
    }

    /// The cluster, if `session` is its present stream; a word from an older one is not listened to.
    pub(super) fn live(&mut self, name: &ClusterName, session: SessionId) -> Option<&mut Cluster> {
        self.clusters
            .get_mut(name)
            .map(|cluster| &mut **cluster)
            .filter(|cluster| {
                cluster
                    .session
                    .is_some_and(|(current, _)| current == session)
            })
    }

    fn heads_read(
        &mut self,
        repository: &RepositoryName,
        asked: Vec<BranchName>,
        found: &BTreeMap<BranchName, Commit>,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let mut news = BTreeSet::new();
        // The push is what a person waits from, not our look at it.
        let hinted = self.hints.remove(repository);
        let pushed = hinted.filter(|at| *at <= now && now.duration_since(*at) < HINT_LIFE);
        for branch in asked {
            let head = self
                .heads
                .entry((repository.clone(), branch.clone()))
                .or_default();
            let before = head.clone();
            head.checked_at = Some(now);
            match found.get(&branch) {
                Some(commit) => {
                    head.problem = None;
                    if head.commit.as_ref() != Some(commit) {
                        *head = Head {
                            moved: head.commit.is_some(),
                            commit: Some(commit.clone()),
                            seen_at: Some(pushed.unwrap_or(now)),
                            checked_at: Some(now),
                            problem: None,
                        };
                        effects.push(Effect::StoreHead(
                            repository.clone(),
                            branch.clone(),
                            head.clone(),
                        ));
                    }
                }
                // A branch that is gone takes nothing away (P6).
                None => {
                    let text = format!("branch {branch} is not in the repository");
                    head.problem = Some((Reason::BranchNotFound, text));
                }
            }
            if before.problem != head.problem || before.commit != head.commit {
                news.insert(branch);
            }
        }
        if !news.is_empty() {
            self.dirty
                .extend(self.spec.environments.iter().map(|one| one.name.clone()));
            self.show_heads(&news);
        }
    }

    fn heads_failed(
        &mut self,
        repository: &RepositoryName,
        asked: &[BranchName],
        problem: &(Reason, String),
    ) {
        let mut news = BTreeSet::new();
        for branch in asked {
            let head = self
                .heads
                .entry((repository.clone(), branch.clone()))
                .or_default();
            if head.problem.replace(problem.clone()).as_ref() != Some(problem) {
                news.insert(branch.clone());
            }
        }
        if !news.is_empty() {
            self.show_heads(&news);
        }
    }

    /// What is known of branches changed, and with it what their clusters may be given.
    fn show_heads(&mut self, branches: &BTreeSet<BranchName>) {
        self.touch_environments();
        self.assign_later(|environment| branches.contains(&environment.branch));
    }

    fn tick(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let ticking = self.ticking();
        self.dirty.extend(ticking);
        let ended: Vec<ClusterName> = self
            .clusters
            .iter()
            .filter(|(_, cluster)| self.expiring_pins > 0 && expired(&cluster.record.pin, now))
            .map(|(name, _)| name.clone())
            .collect();
        for name in ended {
            if let Some(cluster) = self.clusters.get_mut(&name) {
                cluster.record.pin = None;
                effects.push(Effect::StoreCluster(
                    name.clone(),
                    Box::new(cluster.record.clone()),
                ));
            }
            self.mark_dirty(&name);
            self.touch(&name);
            self.assign(&name, now, effects);
            self.count_pins();
        }
        let mut ended = BTreeSet::new();
        for (name, state) in &mut self.environments {
            if expired(&state.pin, now) {
                state.pin = None;
                effects.push(Effect::StoreEnvironment(
                    name.clone(),
                    Box::new(state.clone()),
                ));
                ended.insert(name.clone());
            }
        }
        if !ended.is_empty() {
            self.touch_environments();
            self.assign_later(|environment| ended.contains(&environment.name));
        }
    }
}

fn expired(pin: &Option<Pin>, now: Timestamp) -> bool {
    pin.as_ref().is_some_and(|pin| !pin.holds(now))
}
