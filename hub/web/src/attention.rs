//! Everything that waits for a person, oldest first: the answer to "does anybody have to act?".

use std::collections::BTreeMap;

use flotilla_shared::reason::Reason;
use flotilla_status::{Cluster, Connectivity, Environment, Rollout, RolloutState, digits};
use jiff::Timestamp;

use crate::act::{Action, Offer};
use crate::mirror::Mirror;

/// Highest number of lines of the first screen; further ones are counted.
pub const MOST: usize = 20;

/// One decision that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// Since when it waits; none: not known.
    pub since: Option<Timestamp>,
    /// Kind: `approval`, `halted`, `paused`, `pending`, `locked`, `suspended`, `clock`, `held`, `branch`, `ahead`.
    pub kind: &'static str,
    /// Name of the environment or cluster.
    pub subject: String,
    /// Path of its page: `/env/prod`, `/cluster/c7`.
    pub link: String,
    /// Description, for the operator.
    pub text: String,
    /// The command line that resolves it.
    pub command: String,
    /// Buttons that resolve it, where a browser may.
    pub offer: Option<Offer>,
}

/// Returns everything that waits, oldest first; needs without a known beginning come last.
#[must_use]
pub fn needs(mirror: &Mirror) -> Vec<Need> {
    let mut all = Vec::new();
    for environment in mirror.in_promotion_order() {
        of_environment(environment, mirror, &mut all);
    }
    for cluster in mirror.clusters.values() {
        of_cluster(cluster, &mut all);
    }
    held(mirror, &mut all);
    all.sort_by_key(|need| (need.since.is_none(), need.since));
    all
}

fn link(environment: &str) -> String {
    format!("/env/{environment}")
}

fn of_environment(environment: &Environment, mirror: &Mirror, all: &mut Vec<Need>) {
    let asking = EnvironmentNeeds(environment);
    all.extend(asking.paused());
    if let Some(rollout) = &environment.rollout {
        all.extend(asking.wave(rollout));
        all.extend(asking.standstill(rollout));
    }
    all.extend(asking.apart());
    all.extend(asking.hold());
    all.extend(asking.unread());
    if let Some(previous) = mirror.environment(&environment.promotes_from) {
        ahead(previous, environment, all);
    }
}

/// An environment, with a function for each reason to wait for a person.
struct EnvironmentNeeds<'e>(&'e Environment);

impl EnvironmentNeeds<'_> {
    /// Makes a need of the environment, with its page.
    fn need(
        &self,
        kind: &'static str,
        since: Option<Timestamp>,
        text: String,
        command: String,
        offer: Option<Offer>,
    ) -> Need {
        let name = self.0.name.as_str();
        Need {
            since,
            kind,
            subject: name.to_owned(),
            link: link(name),
            text,
            command,
            offer,
        }
    }

    /// Rollouts are paused.
    fn paused(&self) -> Option<Need> {
        let name = self.0.name.as_str();
        let paused = self.0.paused.as_ref()?;
        Some(self.need(
            "paused",
            paused.at,
            format!("rollouts are paused by {}: {}", paused.by, paused.reason),
            format!("flotilla resume {name}"),
            Some(Offer::environment(Action::Resume, "Resume", name)),
        ))
    }

    /// A wave waits for approvals.
    fn wave(&self, rollout: &Rollout) -> Option<Need> {
        let wave = rollout.asked_wave()?;
        let mut offer = Offer::approval(rollout, &wave.name, "Approve wave");
        offer.clusters = wave.total();
        Some(self.need(
            "approval",
            rollout.started_at.or(rollout.created_at),
            format!(
                "wave {} of {} waits: {} of {} ({})",
                wave.name,
                rollout.id,
                wave.approved_by.len(),
                flotilla_shared::words::counted(wave.approvals as usize, "approval"),
                crate::text::clusters(wave.total() as usize)
            ),
            rollout.next.clone(),
            Some(offer),
        ))
    }

    /// The rollout as a whole does not continue: it halted, or has not begun.
    fn standstill(&self, rollout: &Rollout) -> Option<Need> {
        let name = self.0.name.as_str();
        let note = || match rollout.note.as_str() {
            "" => String::new(),
            note => format!(": {note}"),
        };
        match &rollout.state {
            RolloutState::Halted => Some(self.need(
                "halted",
                rollout.started_at.or(rollout.created_at),
                format!(
                    "{} halted{}; push a repair, or try again",
                    rollout.id,
                    note()
                ),
                format!("flotilla retry {name}"),
                Some(Offer::environment(Action::Retry, "Retry", name)),
            )),
            RolloutState::Pending => {
                let by_people = rollout.wants_commits_approved();
                let offer = Offer::approval(rollout, "", "Approve these commits");
                Some(self.need(
                    "gate",
                    rollout.created_at,
                    format!("{} has not begun{}", rollout.id, note()),
                    match by_people {
                        true => format!("flotilla approve {name}"),
                        false => format!("flotilla explain {name}"),
                    },
                    by_people.then_some(offer),
                ))
            }
            RolloutState::Running
            | RolloutState::Soaking
            | RolloutState::Paused
            | RolloutState::RolledBack
            | RolloutState::Succeeded
            | RolloutState::Superseded
            | RolloutState::Other(_) => None,
        }
    }

    /// Commits that wait beside the rollout.
    fn apart(&self) -> impl Iterator<Item = Need> {
        let name = self.0.name.as_str();
        let commits = self.0.rollout.iter().flat_map(|rollout| &rollout.apart);
        commits.map(move |waiting| {
            let (repository, short) = (&waiting.commit.repository, digits(&waiting.commit.commit));
            self.need(
                "gate",
                None,
                format!("{short} of {repository} waits separately: {}", waiting.text),
                match waiting.wants_approval() {
                    true => format!("flotilla approve {name} --commit {short}"),
                    false => format!("flotilla explain {name}"),
                },
                None,
            )
        })
    }

    /// Automatic promotions are stopped.
    fn hold(&self) -> Option<Need> {
        let name = self.0.name.as_str();
        let hold = self.0.hold.as_ref()?;
        Some(self.need(
            "held",
            hold.at,
            format!("{}: {} ({})", hold.held(), hold.reason, hold.by),
            format!("flotilla explain {name}"),
            None,
        ))
    }

    /// A branch cannot be read.
    fn unread(&self) -> impl Iterator<Item = Need> {
        let (name, branches) = (self.0.name.as_str(), self.0.branches.iter());
        let unread = branches.filter(|branch| !branch.reason.is_empty());
        unread.map(move |branch| {
            self.need(
                "branch",
                branch.checked_at,
                format!(
                    "branch {} of {} cannot be read: {}",
                    self.0.branch, branch.repository, branch.message
                ),
                format!("flotilla explain {name}"),
                Some(Offer::environment(Action::Refresh, "Refresh", name)),
            )
        })
    }
}

/// Whether the environment before has a commit that this one lacks.
fn ahead(previous: &Environment, environment: &Environment, all: &mut Vec<Need>) {
    for branch in &environment.branches {
        let Some(before) = previous
            .branches
            .iter()
            .find(|head| head.repository == branch.repository)
        else {
            continue;
        };
        let good = before
            .approved
            .as_deref()
            .or(before.head.as_ref().map(|head| head.commit.as_str()));
        let head = branch.head.as_ref().map(|head| head.commit.as_str());
        if let Some(good) = good
            && head != Some(good)
        {
            let name = &environment.name;
            all.push(Need {
                since: before.seen_at,
                kind: "ahead",
                subject: name.clone(),
                link: format!("/promote/{name}"),
                text: format!(
                    "{} runs {} of {}, which {name} does not have",
                    previous.name,
                    digits(good),
                    branch.repository
                ),
                command: format!("flotilla promote {name}"),
                offer: None,
            });
        }
    }
}

fn of_cluster(cluster: &Cluster, all: &mut Vec<Need>) {
    let name = cluster.name.as_str();
    let need = |kind, since, text, command, offer| Need {
        since,
        kind,
        subject: name.to_owned(),
        link: format!("/cluster/{name}"),
        text,
        command,
        offer,
    };
    if cluster.connection == Connectivity::Pending {
        let short: String = cluster.pending_fingerprint.chars().take(16).collect();
        let mut offer = Offer::cluster(Action::Accept, "Accept", name);
        offer.fingerprint.clone_from(&cluster.pending_fingerprint);
        all.push(need(
            "pending",
            cluster.created_at,
            format!("waits to be accepted, with the key {short}…"),
            format!(
                "flotilla cluster accept {name} --fingerprint {}",
                cluster.pending_fingerprint
            ),
            Some(offer),
        ));
    }
    if !cluster.locked.is_empty() {
        all.push(need(
            "locked",
            cluster.last_seen,
            format!("is locked: {}", cluster.locked),
            format!("flotilla cluster unlock {name} --reason TEXT"),
            None,
        ));
    }
    if let Some(ahead) = cluster.clock_ahead_seconds {
        all.push(need(
            "clock",
            None,
            flotilla_shared::clock::agent_clock(ahead),
            format!("flotilla explain {name}"),
            None,
        ));
    }
    if let Some(mark) = &cluster.suspension {
        all.push(need(
            "suspended",
            mark.at,
            format!("is suspended by {}: {}", mark.by, mark.reason),
            format!("flotilla resume {name}"),
            None,
        ));
    }
}

/// Held deletions, grouped by environment and application.
fn held(mirror: &Mirror, all: &mut Vec<Need>) {
    /// Number of clusters, the first of them, and since when.
    type Group<'m> = (usize, &'m str, Option<Timestamp>);
    let mut groups: BTreeMap<(&str, &str, &str), Group<'_>> = BTreeMap::new();
    for cluster in mirror.clusters.values() {
        for placement in &cluster.applications {
            let reason = placement.reason.parse::<Reason>();
            if reason.is_ok_and(Reason::holds_a_delete) {
                let key = (
                    cluster.environment.as_str(),
                    placement.application.as_str(),
                    placement.reason.as_str(),
                );
                let group = groups
                    .entry(key)
                    .or_insert((0, &cluster.name, placement.changed_at));
                group.0 += 1;
                group.2 = group.2.min(placement.changed_at);
            }
        }
    }
    for ((environment, application, reason), (count, first, since)) in groups {
        all.push(Need {
            since,
            kind: "held",
            subject: application.to_owned(),
            link: format!("/clusters?env={environment}&app={application}&reason={reason}"),
            text: format!(
                "deletes are held in {} of {environment} ({reason}), first {first}",
                crate::text::clusters(count)
            ),
            command: format!("flotilla diff {first} {application}"),
            offer: None,
        });
    }
}

#[cfg(test)]
mod tests {
    use flotilla_status::{Mark, Placement, Rollout};

    use super::needs;
    use crate::mirror::{Change, Mirror};
    use crate::samples::{cluster, environment, moment};

    fn mirror(changes: Vec<Change>) -> Mirror {
        let mut mirror = Mirror::default();
        for change in changes {
            mirror.apply(change, moment(0));
        }
        mirror
    }

    #[test]
    fn a_fleet_that_is_fine_wants_nothing() {
        let fine = vec![
            Change::Environment(Box::new(environment("dev"))),
            Change::Cluster(Box::new(cluster("a", "dev"))),
        ];
        assert!(needs(&mirror(fine)).is_empty());
    }

    #[test]
    fn a_wave_that_waits_for_people_is_told_with_the_hubs_own_command() {
        use flotilla_proto::v1;
        let mut asks = environment("prod");
        asks.rollout = Some(Rollout::from(&v1::RolloutStatus {
            id: "prod-4".to_owned(),
            state: "running".to_owned(),
            waves: vec![v1::WaveStatus {
                name: "canary".to_owned(),
                waiting: 1,
                approvals: 1,
                ..v1::WaveStatus::default()
            }],
            next: "flotilla approve prod --wave canary".to_owned(),
            wave_to_approve: "canary".to_owned(),
            ..v1::RolloutStatus::default()
        }));
        let all = needs(&mirror(vec![Change::Environment(Box::new(asks))]));
        let told: Vec<(&str, &str)> = all
            .iter()
            .map(|need| (need.kind, need.command.as_str()))
            .collect();
        assert_eq!(told, [("approval", "flotilla approve prod --wave canary")]);
    }

    #[test]
    fn deletes_that_wait_for_a_person_are_told_once_for_an_application() {
        use flotilla_proto::v1;
        let holding = |name: &str, reason: &str| {
            let report = v1::ApplicationReport {
                application: "web".to_owned(),
                reason: reason.to_owned(),
                ..v1::ApplicationReport::default()
            };
            let placement = v1::ApplicationInCluster {
                report: Some(report),
                ..v1::ApplicationInCluster::default()
            };
            let mut holding = cluster(name, "prod");
            holding.applications.push(Placement::from(&placement));
            Change::Cluster(Box::new(holding))
        };
        let all = needs(&mirror(vec![
            holding("a", "ProtectedKind"),
            holding("b", "ProtectedKind"),
            // Not a decision: the object stays.
            holding("c", "PruneDisabled"),
        ]));
        let told: Vec<(&str, &str)> = all
            .iter()
            .map(|need| (need.kind, need.command.as_str()))
            .collect();
        assert_eq!(told, [("held", "flotilla diff a web")]);
    }

    #[test]
    fn the_oldest_comes_first_and_each_has_a_command() {
        let mut halted = environment("prod");
        halted.rollout = Some(Rollout::from(&flotilla_proto::v1::RolloutStatus {
            id: "prod-4".to_owned(),
            state: "halted".to_owned(),
            note: "2 failed of 1 allowed".to_owned(),
            created_at: Some(prost_types::Timestamp {
                seconds: 1_800_000_500,
                nanos: 0,
            }),
            ..Default::default()
        }));
        let mut paused = environment("dev");
        paused.paused = Some(Mark {
            by: "ada".to_owned(),
            reason: "lunch".to_owned(),
            at: Some(moment(100)),
            rolled_back: String::new(),
            repositories: Vec::new(),
        });
        let mut locked = cluster("a", "dev");
        locked.locked = "its identity is in use twice".to_owned();
        let mut skewed = cluster("b", "dev");
        skewed.clock_ahead_seconds = Some(3600);
        let all = needs(&mirror(vec![
            Change::Environment(Box::new(halted)),
            Change::Environment(Box::new(paused)),
            Change::Cluster(Box::new(locked)),
            Change::Cluster(Box::new(skewed)),
        ]));
        let kinds: Vec<&str> = all.iter().map(|need| need.kind).collect();
        assert_eq!(kinds, ["paused", "halted", "locked", "clock"]);
        assert!(all[3].text.contains("1h ahead of"), "{}", all[3].text);
        assert!(all.iter().all(|need| need.command.starts_with("flotilla ")));
        assert!(all[2].offer.is_none(), "unlocking is not for a browser");
    }
}
