//! Streams of agents: which one of a cluster counts, and what an agent reports when it opens one.

use flotilla_shared::id::ClusterName;
use flotilla_shared::problem::Problem;
use flotilla_shared::reason::Reason;
use jiff::Timestamp;

use super::cluster::AgentFacts;
use super::event::{Effect, Hello, SessionId};
use super::{Fleet, identity};

/// Highest generation that an agent is believed to have: one each second takes a century. Above it, numbers would run
/// out, and the cluster is shown as ahead.
const FARTHEST: u64 = 1 << 32;

/// Kind of a stream of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    /// The first one since it enrolled.
    First,
    Later,
}

impl Fleet {
    /// Handles a new stream of an agent.
    pub(super) fn connected(
        &mut self,
        name: &ClusterName,
        session: SessionId,
        hello: Hello,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let Some(cluster) = self.clusters.get(name) else {
            let text = "this hub has no record of the cluster; to enrol it again, give its \
                 agent a new token (flotilla token create)";
            let problem = Problem::new(Reason::NotAssigned, text);
            effects.push(Effect::Close(name.clone(), session, problem));
            return;
        };
        let credential = &cluster.record.credential;
        if credential.is_former(hello.counter) {
            effects.push(identity::former(name, &cluster.record, session));
            return;
        }
        let stream = match credential.begins_with(hello.counter) {
            true => Stream::First,
            false => Stream::Later,
        };
        if !self.shown(name, hello.counter, &hello.cluster_uid, now, effects) {
            // The earlier stream continues: it may be the rightful one.
            effects.push(identity::cloned(name, session));
            return;
        }
        self.take_over_stream(name, session, hello, stream, now, effects);
        if !self.assign(name, now, effects) {
            self.offer(name, effects);
        }
        self.catch_up(name, session, effects);
    }

    /// Makes this stream the cluster's present one.
    fn take_over_stream(
        &mut self,
        name: &ClusterName,
        session: SessionId,
        hello: Hello,
        stream: Stream,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let epoch = self.epoch;
        self.mark_dirty(name);
        self.touch_environments();
        let Some(cluster) = self.clusters.change(name, &mut self.versions) else {
            return;
        };
        if let Some((old, _)) = cluster.session.filter(|(old, _)| *old != session) {
            let text = "a newer stream of this cluster took over";
            let problem = Problem::new(Reason::Other, text);
            effects.push(Effect::Close(name.clone(), old, problem));
        }
        cluster.session = Some((session, now));
        cluster.last_seen = Some(now);
        cluster.vouched_at = None;
        cluster.clock_ahead = 0;
        cluster.accepted = hello.accepted;
        cluster.refusal = None;
        // An operator admitted the cluster again under its name: its generations continue, and nothing was lost (P8).
        let generation = hello.accepted.generation.0;
        if stream == Stream::First && hello.accepted.epoch == epoch && generation < FARTHEST {
            cluster.floor = generation;
        }
        cluster.facts = AgentFacts {
            agent_version: hello.agent_version,
            kubernetes_version: hello.kubernetes_version,
            cluster_uid: hello.cluster_uid,
        };
        cluster.note_current(now);
    }

    /// Handles the end of a stream.
    pub(super) fn disconnected(&mut self, name: &ClusterName, session: SessionId) {
        if let Some(cluster) = self.heard(name, session) {
            cluster.session = None;
            cluster.vouched_at = None;
            cluster.clock_ahead = 0;
            self.touch_environments();
        }
    }
}
