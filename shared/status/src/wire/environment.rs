//! Wire form of environments and their branches.

use flotilla_proto::v1;
use flotilla_shared::wire::{health_from_wire, health_to_wire};

use super::{MAX_OF_FLEET, MAX_SHORT, list, moment, revision, sent};
use crate::{Branch, Environment, Heading, Mark, Pin, Rollout, text};

/// Most characters of a line of a heading.
const MAX_HEADING: usize = 200;

impl From<&v1::CommitHeading> for Heading {
    fn from(wire: &v1::CommitHeading) -> Self {
        let short = |line: &str| text(line).chars().take(MAX_HEADING).collect();
        Self {
            subject: short(&wire.subject),
            author: short(&wire.author),
            authored_at: moment(wire.authored_at.as_ref()),
        }
    }
}

impl From<Heading> for v1::CommitHeading {
    fn from(heading: Heading) -> Self {
        Self {
            subject: heading.subject,
            author: heading.author,
            authored_at: sent(heading.authored_at),
        }
    }
}

impl From<&v1::EnvironmentStatus> for Environment {
    fn from(wire: &v1::EnvironmentStatus) -> Self {
        Self {
            name: text(&wire.name),
            branch: text(&wire.branch),
            promotes_from: text(&wire.promotes_from),
            branches: list(&wire.branches, MAX_OF_FLEET),
            clusters: wire.clusters,
            online: wire.online,
            current: wire.current,
            failed: wire.failed,
            health: health_from_wire(wire.health()),
            rollout: wire.rollout.as_ref().map(Rollout::from),
            paused: wire.paused.as_ref().map(Mark::from),
            hold: wire.hold.as_ref().map(Mark::from),
            pin: wire.pin.as_ref().map(Pin::from),
            quarantined: list(&wire.quarantined, MAX_SHORT),
        }
    }
}

impl From<Environment> for v1::EnvironmentStatus {
    fn from(environment: Environment) -> Self {
        let branches = environment.branches.into_iter();
        let branches = branches.map(|branch| sent_branch(branch, &environment.branch));
        Self {
            branches: branches.collect(),
            name: environment.name,
            branch: environment.branch,
            promotes_from: environment.promotes_from,
            clusters: environment.clusters,
            online: environment.online,
            current: environment.current,
            failed: environment.failed,
            health: health_to_wire(environment.health).into(),
            rollout: environment.rollout.map(Into::into),
            paused: environment.paused.map(Into::into),
            hold: environment.hold.map(Into::into),
            pin: environment.pin.map(Into::into),
            quarantined: environment
                .quarantined
                .into_iter()
                .map(Into::into)
                .collect(),
        }
    }
}

impl From<&v1::BranchStatus> for Branch {
    fn from(wire: &v1::BranchStatus) -> Self {
        let head = revision(wire.revision.as_ref());
        let good = Some(text(&wire.approved)).filter(|good| !good.is_empty());
        let is_other = |good: &String| head.as_ref().is_none_or(|head| head.commit != *good);
        let approved = good.clone().filter(is_other);
        Self {
            repository: wire
                .revision
                .as_ref()
                .map(|revision| text(&revision.repository))
                .unwrap_or_default(),
            heading: wire.heading.as_ref().map(Heading::from),
            approved_heading: approved
                .as_ref()
                .and(wire.approved_heading.as_ref())
                .map(Heading::from),
            head,
            approved,
            seen_at: moment(wire.seen_at.as_ref()),
            checked_at: moment(wire.checked_at.as_ref()),
            reason: text(&wire.reason),
            message: text(&wire.message),
            good,
            used: wire.used,
        }
    }
}

/// `name` is the name of the branch, the same in every repository.
fn sent_branch(branch: Branch, name: &str) -> v1::BranchStatus {
    let head = branch.head.map(|head| head.commit).unwrap_or_default();
    let approved_heading = match (&branch.approved, &branch.good) {
        // The assigned commit is the head.
        (None, Some(_)) => branch.heading.clone(),
        _ => branch.approved_heading,
    };
    v1::BranchStatus {
        revision: Some(v1::Revision {
            repository: branch.repository,
            branch: name.to_owned(),
            commit: head,
        }),
        seen_at: sent(branch.seen_at),
        checked_at: sent(branch.checked_at),
        reason: branch.reason,
        message: branch.message,
        approved: branch.good.unwrap_or_default(),
        heading: branch.heading.map(Into::into),
        approved_heading: approved_heading.map(Into::into),
        used: branch.used,
    }
}
