//! The step: one event, its consequences.

use std::collections::BTreeMap;

use flotilla_shared::id::{ClusterName, RepositoryName};
use flotilla_shared::reason::Reason;
use flotilla_shared::revision::{BranchName, Commit};
use jiff::Timestamp;

use super::cluster::{Cluster, Facts};
use super::event::{Effect, Event, SessionId};
use super::{Fleet, Head};

impl Fleet {
    /// Takes one event. Deterministic: equal fleets, events and times give equal effects.
    pub fn step(&mut self, event: Event, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Restored { heads, clusters } => {
                self.heads.extend(heads);
                for (name, record, assigned, report) in clusters {
                    self.clusters.insert(
                        name.clone(),
                        Cluster {
                            record,
                            assigned: assigned.map(|stored| stored.decoded),
                            report,
                            ..Cluster::default()
                        },
                    );
                    self.touch(&name);
                }
                self.touch_environments();
            }
            Event::SpecChanged(spec) => {
                self.spec = spec;
                self.touch_environments();
                self.assign_all(now, &mut effects);
            }
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
                for branch in asked {
                    let head = self.heads.entry((repository.clone(), branch)).or_default();
                    head.problem = Some((reason, message.clone()));
                }
                self.touch_environments();
                self.assign_all(now, &mut effects);
            }
            Event::ClusterPut(name, record) => {
                let cluster = self.clusters.entry(name.clone()).or_default();
                cluster.record = record.clone();
                self.touch(&name);
                self.touch_environments();
                effects.push(Effect::StoreCluster(name.clone(), record));
                self.assign(&name, now, &mut effects);
            }
            Event::ClusterRemoved(name) => {
                if let Some(cluster) = self.clusters.remove(&name) {
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
                let Some(cluster) = self.clusters.get_mut(&name) else {
                    let text = "this hub has no record of the cluster; enrol it again".to_owned();
                    return vec![Effect::Close(name, session, Reason::NotAssigned, text)];
                };
                if let Some((old, _)) = cluster.session.filter(|(old, _)| *old != session) {
                    let text = "a newer stream of this cluster took over".to_owned();
                    effects.push(Effect::Close(name.clone(), old, Reason::Other, text));
                }
                cluster.session = Some((session, now));
                cluster.last_seen = Some(now);
                cluster.accepted = hello.accepted;
                cluster.refusal = None;
                cluster.facts = Facts {
                    agent_version: hello.agent_version,
                    kubernetes_version: hello.kubernetes_version,
                    cluster_uid: hello.cluster_uid,
                };
                self.touch(&name);
                self.touch_environments();
                self.assign(&name, now, &mut effects);
                if !effects
                    .iter()
                    .any(|effect| matches!(effect, Effect::Send(..)))
                {
                    self.offer(&name, &mut effects);
                }
            }
            Event::Disconnected(name, session) => {
                if let Some(cluster) = self.live(&name, session) {
                    cluster.session = None;
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
                    self.touch(&name);
                }
            }
            Event::Reported(name, session, report, digest) => {
                if let Some(cluster) = self.live(&name, session) {
                    cluster.last_seen = Some(now);
                    cluster.reported_at = Some(now);
                    cluster.report_digest = digest;
                    cluster.report = Some(report.clone());
                    self.touch(&name);
                    self.touch_environments();
                    effects.push(Effect::StoreReport(name, report));
                }
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
    fn live(&mut self, name: &ClusterName, session: SessionId) -> Option<&mut Cluster> {
        self.clusters.get_mut(name).filter(|cluster| {
            cluster
                .session
                .is_some_and(|(current, _)| current == session)
        })
    }

    fn heartbeat(
        &mut self,
        name: &ClusterName,
        session: SessionId,
        accepted: flotilla_shared::assignment::AssignmentRef,
        report: flotilla_shared::digest::Digest,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let Some(cluster) = self.live(name, session) else {
            return;
        };
        cluster.last_seen = Some(now);
        if !report.is_none() && cluster.report_digest != report {
            effects.push(Effect::RequestReport(name.clone(), session));
        }
        // A lost assignment heals here: the agent says what it runs on, and it is not what it should.
        // What it refused is not pushed at it again and again.
        let lost = cluster.refusal.is_none() && cluster.assigned_ref() != accepted;
        if cluster.accepted != accepted {
            cluster.accepted = accepted;
            self.touch(name);
        }
        if lost {
            self.offer(name, effects);
        }
    }

    fn heads_read(
        &mut self,
        repository: &RepositoryName,
        asked: Vec<BranchName>,
        found: &BTreeMap<BranchName, Commit>,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let mut visible = false;
        let mut moved = false;
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
                            commit: Some(commit.clone()),
                            seen_at: Some(now),
                            checked_at: Some(now),
                            problem: None,
                        };
                        moved = true;
                        effects.push(Effect::StoreHead(repository.clone(), branch, head.clone()));
                    }
                }
                // A branch that is gone takes nothing away (P6).
                None => {
                    let text = format!("branch {branch} is not in the repository");
                    head.problem = Some((Reason::BranchNotFound, text));
                }
            }
            visible |= before.problem != head.problem;
        }
        if visible || moved {
            self.touch_environments();
            self.assign_all(now, effects);
        }
    }

    fn assign_all(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let names: Vec<ClusterName> = self.clusters.keys().cloned().collect();
        for name in names {
            self.assign(&name, now, effects);
        }
        // Every store first, every send after: one transaction, then the wire.
        effects.sort_by_key(|effect| matches!(effect, Effect::Send(..)));
    }
}
