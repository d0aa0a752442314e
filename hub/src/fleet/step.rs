//! The step: one event and its consequences. Each event is handled in the file of what it concerns.

use jiff::Timestamp;

use super::Fleet;
use super::environment::CheckResult;
use super::event::{Effect, Event, order_effects};

impl Fleet {
    /// Applies one event and its consequences. Deterministic: equal fleets, events and times give equal effects.
    pub fn step(&mut self, event: Event, now: Timestamp) -> Vec<Effect> {
        let mut effects = self.absorb(event, now);
        effects.extend(self.advance(now));
        order_effects(&mut effects);
        effects
    }

    /// Applies one event; several may be applied before [`Fleet::advance`] draws their consequences for rollouts, which
    /// visits whole environments.
    pub fn absorb(&mut self, event: Event, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.pass(now);
        self.take(event, now, &mut effects);
        effects
    }

    /// Passes an event to the code for what it concerns, and does nothing else.
    fn take(&mut self, event: Event, now: Timestamp, effects: &mut Vec<Effect>) {
        match event {
            Event::Restored {
                heads,
                clusters,
                environments,
                rollouts,
                retired,
                specifications,
            } => {
                self.heads_restored(heads);
                self.clusters_restored(clusters, retired);
                self.environments_restored(environments, rollouts, specifications);
            }
            Event::Tick => self.tick(now, effects),
            Event::SpecChanged(spec) => self.spec_changed(spec, now, effects),
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
            Event::Hinted { repository, at } => self.hinted(repository, at),
            Event::HeadsRead {
                repository,
                asked,
                found,
            } => self.heads_read(&repository, asked, &found, now, effects),
            Event::HeadsFailed {
                repository,
                asked,
                problem,
            } => self.heads_failed(&repository, &asked, &problem),
            Event::TreesRead {
                repository,
                commit,
                directories,
            } => self.trees_read(&repository, commit, directories),
            Event::TreesFailed {
                repository,
                problem,
            } => self.trees_failed(repository, problem),
            Event::HeadingRead {
                repository,
                commit,
                heading,
            } => self.heading_read(&repository, commit, heading),
            Event::MergeLooked {
                environment,
                repository,
                waits,
            } => self.merge_looked(environment, repository, waits.map(|waits| *waits), now),
            Event::ClusterPut(name, record) => self.cluster_put(&name, record, now, effects),
            Event::ClusterRemoved(name) => self.cluster_removed(name, effects),
            Event::Issued(name, certificate) => self.issued(&name, certificate, effects),
            Event::Cloned(name, why) => self.lock(&name, why, now, effects),
            Event::Unlocked(name) => self.unlock(&name, now, effects),
            Event::AuthorityChanged(issuer) => self.authority_changed(issuer, effects),
            Event::Demoted(person, environments) => {
                self.demoted(&person, &environments, now, effects);
            }
            Event::Connected(name, session, hello) => {
                self.connected(&name, session, hello, now, effects);
            }
            Event::Disconnected(name, session) => self.disconnected(&name, session),
            Event::Acked {
                cluster,
                session,
                assignment,
                refusal,
                accepted,
            } => self.acked(&cluster, session, assignment, refusal, accepted, now),
            Event::Reported(name, session, report, digest) => {
                self.hear_report(name, session, report, digest, now, effects);
            }
            Event::Heartbeat {
                cluster,
                session,
                accepted,
                report,
                clock,
            } => {
                self.hear_clock(&cluster, session, clock, now);
                self.heartbeat(&cluster, session, accepted, report, now, effects);
            }
        }
    }
}
