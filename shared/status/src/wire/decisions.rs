//! Wire form of decisions about an environment.

use flotilla_proto::v1;

use super::rollout::{commits, sent_commits};
use super::{MAX_OF_FLEET, MAX_SHORT, list, moment, sent, texts};
use crate::{Approval, Decisions, Good, Held, Mark, Pin, Quarantine, RepositoryCommit, Seen, text};

impl From<&v1::Mark> for Mark {
    fn from(wire: &v1::Mark) -> Self {
        Self {
            by: text(&wire.by),
            reason: text(&wire.reason),
            at: moment(wire.at.as_ref()),
            rolled_back: text(&wire.rolled_back),
            repositories: texts(&wire.repositories),
        }
    }
}

impl From<Mark> for v1::Mark {
    fn from(mark: Mark) -> Self {
        Self {
            by: mark.by,
            reason: mark.reason,
            at: sent(mark.at),
            rolled_back: mark.rolled_back,
            repositories: mark.repositories,
        }
    }
}

impl From<&v1::GoodCommits> for Good {
    fn from(wire: &v1::GoodCommits) -> Self {
        Self {
            commits: commits(&wire.commits),
            rollout: text(&wire.rollout),
            at: moment(wire.at.as_ref()),
            seen: list(&wire.seen, MAX_OF_FLEET),
        }
    }
}

impl From<Good> for v1::GoodCommits {
    fn from(good: Good) -> Self {
        Self {
            commits: sent_commits(good.commits),
            rollout: good.rollout,
            at: sent(good.at),
            seen: good.seen.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<&v1::Seen> for Seen {
    fn from(wire: &v1::Seen) -> Self {
        Self {
            repository: text(&wire.repository),
            doubt: text(&wire.doubt),
        }
    }
}

impl From<Seen> for v1::Seen {
    fn from(seen: Seen) -> Self {
        Self {
            repository: seen.repository,
            doubt: seen.doubt,
        }
    }
}

impl From<&v1::Quarantine> for Quarantine {
    fn from(wire: &v1::Quarantine) -> Self {
        Self {
            commits: commits(&wire.commits),
            rollout: text(&wire.rollout),
            reason: text(&wire.reason),
            at: moment(wire.at.as_ref()),
        }
    }
}

impl From<Quarantine> for v1::Quarantine {
    fn from(quarantine: Quarantine) -> Self {
        Self {
            commits: sent_commits(quarantine.commits),
            rollout: quarantine.rollout,
            reason: quarantine.reason,
            at: sent(quarantine.at),
        }
    }
}

impl From<&v1::Pin> for Pin {
    fn from(wire: &v1::Pin) -> Self {
        Self {
            cluster: text(&wire.cluster),
            commits: commits(&wire.commits),
            mark: wire.mark.as_ref().map(Mark::from),
            expires_at: moment(wire.expires_at.as_ref()),
            unproven: wire.unproven,
        }
    }
}

impl From<Pin> for v1::Pin {
    fn from(pin: Pin) -> Self {
        Self {
            cluster: pin.cluster,
            commits: sent_commits(pin.commits),
            mark: pin.mark.map(Into::into),
            expires_at: sent(pin.expires_at),
            unproven: pin.unproven,
        }
    }
}

impl From<&v1::Approval> for Approval {
    fn from(wire: &v1::Approval) -> Self {
        Self {
            commit: text(&wire.commit),
            wave: text(&wire.wave),
            r#override: wire.r#override,
            mark: wire.mark.as_ref().map(Mark::from),
            repository: text(&wire.repository),
        }
    }
}

impl From<Approval> for v1::Approval {
    fn from(approval: Approval) -> Self {
        Self {
            commit: approval.commit,
            wave: approval.wave,
            r#override: approval.r#override,
            mark: approval.mark.map(Into::into),
            repository: approval.repository,
        }
    }
}

impl From<&v1::HeldCommit> for Held {
    fn from(wire: &v1::HeldCommit) -> Self {
        let none = v1::RepositoryCommit::default();
        Self {
            commit: RepositoryCommit::from(wire.commit.as_ref().unwrap_or(&none)),
            why: text(&wire.why),
            given_up: wire.given_up,
        }
    }
}

impl From<Held> for v1::HeldCommit {
    fn from(held: Held) -> Self {
        Self {
            commit: Some(held.commit.into()),
            why: held.why,
            given_up: held.given_up,
        }
    }
}

fn held(wire: &v1::HeldCommits) -> Vec<Held> {
    list(&wire.commits, MAX_OF_FLEET)
}

fn sent_held(held: Vec<Held>) -> v1::HeldCommits {
    v1::HeldCommits {
        commits: held.into_iter().map(Into::into).collect(),
    }
}

impl From<&v1::EnvironmentDecisions> for Decisions {
    fn from(wire: &v1::EnvironmentDecisions) -> Self {
        let pins = wire.pin.iter().chain(&wire.cluster_pins);
        Self {
            paused: wire.paused.as_ref().map(Mark::from),
            hold: wire.hold.as_ref().map(Mark::from),
            pins: pins.take(MAX_OF_FLEET).map(Pin::from).collect(),
            quarantined: list(&wire.quarantined, MAX_SHORT),
            approvals: list(&wire.approvals, MAX_SHORT),
            good: list(&wire.good, MAX_SHORT),
            environment: text(&wire.environment),
            held: wire.held.as_ref().map(held),
        }
    }
}

impl From<Decisions> for v1::EnvironmentDecisions {
    fn from(decisions: Decisions) -> Self {
        let pins = decisions.pins.into_iter();
        let (own, of_clusters): (Vec<Pin>, Vec<Pin>) = pins.partition(|pin| pin.cluster.is_empty());
        Self {
            environment: decisions.environment,
            paused: decisions.paused.map(Into::into),
            hold: decisions.hold.map(Into::into),
            pin: own.into_iter().next().map(Into::into),
            quarantined: decisions.quarantined.into_iter().map(Into::into).collect(),
            good: decisions.good.into_iter().map(Into::into).collect(),
            approvals: decisions.approvals.into_iter().map(Into::into).collect(),
            cluster_pins: of_clusters.into_iter().map(Into::into).collect(),
            held: decisions.held.map(sent_held),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_that_holds_nothing_back_is_told_from_one_that_does_not_say() {
        let of = |held: Option<v1::HeldCommits>| {
            let wire = v1::EnvironmentDecisions {
                held,
                ..v1::EnvironmentDecisions::default()
            };
            Decisions::from(&wire).held
        };
        assert_eq!(of(None), None);
        assert_eq!(of(Some(v1::HeldCommits::default())), Some(Vec::new()));
        let many = v1::HeldCommits {
            commits: vec![v1::HeldCommit::default(); MAX_OF_FLEET + 1],
        };
        assert_eq!(of(Some(many)).map(|held| held.len()), Some(MAX_OF_FLEET));
    }
}
