//! Conditions that need attention, and which of them are new. Pure.

use std::collections::BTreeMap;

use flotilla_notify::{ClusterEvent, Event, Gather, Kind};
use flotilla_shared::problem::Problem;
use flotilla_shared::reason::Reason;
use jiff::{SignedDuration, Timestamp};

use crate::fleet::acts;
use crate::fleet::gate::GateKind;
use crate::fleet::rollout::State;
use crate::fleet::{Connectivity, Fleet, OFFLINE_AFTER};

/// Time after a start in which agents reconnect; clusters that stay offline were already reported.
const GRACE: SignedDuration = SignedDuration::from_secs(120);
/// Remaining life of a certificate below which it is reported: agents renew long before.
const ENDS_SOON: SignedDuration = SignedDuration::from_hours(12);

/// Subject of a condition: its kind, its environment, and a cluster, rollout or repository.
pub type Subject = (Kind, String, String);

/// Returns all present problems, each with its reason in words that several may share.
#[must_use]
pub fn conditions(fleet: &Fleet, fleet_file: &str, now: Timestamp) -> BTreeMap<Subject, String> {
    let mut all = BTreeMap::new();
    let mut put = |kind: Kind, environment: &str, subject: &str, why: String| {
        all.insert((kind, environment.to_owned(), subject.to_owned()), why);
    };
    if let Some(line) = fleet_file.lines().next() {
        put(Kind::FleetFileInvalid, "", "", line.to_owned());
    }
    for (name, cluster) in fleet.clusters() {
        let environment = fleet.environment_of(name);
        let environment = environment.as_ref().map_or("", |name| name.as_str());
        let name = name.as_str();
        let mut put = |kind, why: &str| put(kind, environment, name, why.to_owned());
        match cluster.connection(now, OFFLINE_AFTER) {
            Connectivity::Pending => {
                put(
                    Kind::ClusterPending,
                    "to accept one: flotilla cluster accept NAME",
                );
            }
            Connectivity::Offline => put(Kind::ClusterOffline, "no heartbeat from its agent"),
            Connectivity::NeverSeen | Connectivity::Online { .. } => {}
        }
        if let Some(lock) = &cluster.record.credential.locked {
            put(Kind::ClusterLocked, &lock.why);
        }
        let end = cluster.record.certificate_expires_at;
        if end.is_some_and(|end| end > now && end.duration_since(now) <= ENDS_SOON) {
            put(Kind::CertificateEnds, "the agent has not renewed it");
        }
        let applications = cluster
            .report
            .iter()
            .flat_map(|report| &report.applications);
        for (application, report) in applications {
            let kind = match report.reason {
                Some(Reason::DeleteBudget) => Kind::DeleteHeld,
                Some(Reason::Contested) => Kind::Fight,
                _ => continue,
            };
            put(kind, &format!("application {application}"));
        }
    }
    for environment in &fleet.spec().environments {
        let name = environment.name.as_str();
        for repository in fleet.spec().repositories.keys() {
            let head = fleet.head(repository, &environment.branch);
            let problem = head.and_then(|head| head.problem.as_ref());
            if let Some(Problem { reason, message }) = problem {
                let why = format!(
                    "{repository}, branch {}: {reason}: {message}",
                    environment.branch
                );
                put(Kind::BranchUnreadable, name, repository.as_str(), why);
            }
        }
        let Some(rollout) = fleet.rollouts().get(&environment.name) else {
            continue;
        };
        // Branches that are ahead of every proof, and commits that wait for a person.
        let pending = rollout.state == State::Pending;
        let gates = pending.then(|| fleet.gates(environment, &rollout.target, now));
        let closed = gates.iter().flatten().filter(|gate| gate.holds_back());
        for gate in closed {
            match (gate.gate, gate.reason) {
                (GateKind::Approval, _) => {
                    let act = acts::act(gate, &environment.name, &rollout.target);
                    let act = act.map_or(String::new(), |act| format!("; {act}"));
                    let why = format!("{}{act}", gate.text);
                    put(Kind::ApprovalNeeded, name, &rollout.id, why);
                }
                (GateKind::Health, Some(Reason::NotProven)) if gate.lasting => {
                    put(Kind::BranchAhead, name, &rollout.id, gate.text.clone());
                }
                _ => {}
            }
        }
        let goes_on = matches!(rollout.state, State::Running | State::Soaking);
        let asked = fleet.wave_approval(rollout).filter(|_| goes_on);
        if let Some(asked) = asked.filter(|asked| !asked.is_given()) {
            let subject = format!("{} wave {}", rollout.id, asked.wave);
            let why = format!(
                "wave {} waits for approval: {} of {}; to approve: flotilla approve {name} \
                 --wave {}",
                asked.wave,
                asked.people.len(),
                asked.needed,
                asked.wave
            );
            put(Kind::ApprovalNeeded, name, &subject, why);
        }
    }
    all
}

/// Remembers conditions, and returns what is new.
#[derive(Debug)]
pub struct Watcher {
    began: Timestamp,
    before: Option<BTreeMap<Subject, String>>,
    gather: Gather,
}

impl Watcher {
    /// Makes a new watcher.
    #[must_use]
    pub fn new(began: Timestamp) -> Self {
        Self {
            began,
            before: None,
            gather: Gather::default(),
        }
    }

    /// Returns the events to send now.
    pub fn look(&mut self, seen: BTreeMap<Subject, String>, now: Timestamp) -> Vec<Event> {
        let Some(before) = self.before.take() else {
            // Conditions of the first check after a start were already reported, so they are not events.
            let early = now.duration_since(self.began).abs() < GRACE;
            self.before = (!early).then_some(seen);
            return Vec::new();
        };
        let mut events = Vec::new();
        for ((kind, environment, subject), why) in &seen {
            let key = (*kind, environment.clone(), subject.clone());
            if before.contains_key(&key) {
                continue;
            }
            if is_of_clusters(*kind) {
                let happening = ClusterEvent {
                    kind: *kind,
                    environment: environment.clone(),
                    cluster: subject.clone(),
                    reason: why.clone(),
                };
                self.gather.add(happening, now);
            } else {
                events.push(event(*kind, environment, subject, why, now));
            }
        }
        for (kind, environment, cluster) in before.keys() {
            let key = (*kind, environment.clone(), cluster.clone());
            if *kind == Kind::ClusterOffline && !seen.contains_key(&key) {
                let happening = ClusterEvent {
                    kind: Kind::ClusterBack,
                    environment: environment.clone(),
                    cluster: cluster.clone(),
                    reason: String::new(),
                };
                self.gather.add(happening, now);
            }
        }
        self.before = Some(seen);
        events.extend(self.gather.ripe(now));
        events
    }
}

fn is_of_clusters(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::ClusterPending
            | Kind::ClusterOffline
            | Kind::ClusterBack
            | Kind::ClusterLocked
            | Kind::CertificateEnds
            | Kind::DeleteHeld
            | Kind::Fight
    )
}

fn event(kind: Kind, environment: &str, subject: &str, why: &str, at: Timestamp) -> Event {
    let rollout = kind == Kind::ApprovalNeeded;
    let rollout = subject.split(' ').next().filter(|_| rollout);
    Event {
        kind,
        at,
        environment: environment.to_owned(),
        rollout: rollout.unwrap_or_default().to_owned(),
        commit: String::new(),
        clusters: Vec::new(),
        count: 0,
        actor: String::new(),
        reason: why.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::new(1_790_000_000 + second, 0).unwrap()
    }

    fn seen(all: &[(Kind, &str, &str)]) -> BTreeMap<Subject, String> {
        let all = all.iter().map(|(kind, environment, subject)| {
            let key = (*kind, (*environment).to_owned(), (*subject).to_owned());
            (key, "why".to_owned())
        });
        all.collect()
    }

    #[test]
    fn what_was_there_at_the_start_is_no_news_and_what_comes_is_told_once() {
        let mut watcher = Watcher::new(at(0));
        let old = (Kind::ClusterOffline, "prod", "a");
        let new = (Kind::ClusterOffline, "prod", "b");
        let ahead = (Kind::BranchAhead, "prod", "prod-3");
        // Agents reconnect one by one after a start, which is not reported for each.
        assert!(watcher.look(seen(&[old, new]), at(1)).is_empty());
        assert!(watcher.look(seen(&[old]), at(130)).is_empty());
        let told = watcher.look(seen(&[old, new, ahead]), at(132));
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0].kind, Kind::BranchAhead);
        let mut events = Vec::new();
        for second in 133..300 {
            events.extend(watcher.look(seen(&[old, new, ahead]), at(second)));
        }
        assert_eq!(events.len(), 1, "{events:?}");
        assert_eq!((events[0].kind, events[0].count), (Kind::ClusterOffline, 1));
        // Both come back, also the one that was not reported at the start.
        watcher.look(seen(&[]), at(300));
        let told = watcher.look(seen(&[]), at(361));
        assert_eq!(
            (told.len(), told[0].kind, told[0].count),
            (1, Kind::ClusterBack, 2)
        );
    }
}
