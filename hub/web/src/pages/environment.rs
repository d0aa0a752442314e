//! One environment.

use askama::Template;
use flotilla_status::{Entry, Environment, Hub, Rollout, Step};
use jiff::Timestamp;

use super::{Asked, Frame};
use crate::act::{Action, Offer};
use crate::difference::{Group, groups};
use crate::grouping::{By, Grouping, group};
use crate::lane::{CELLS, Lane, lane};
use crate::mirror::Mirror;

/// One environment.
#[derive(Template)]
#[template(path = "environment.html")]
pub struct EnvironmentPage {
    frame: Frame,
    lane: Lane,
    grouping: Grouping,
    groups: Vec<Group>,
    steps: Vec<Step>,
    rollouts: Vec<Rollout>,
    entries: Vec<Entry>,
    pin: Offer,
    may_pin: bool,
}

impl EnvironmentPage {
    /// From what is known, and what the hub was asked for.
    #[must_use]
    pub fn new(
        frame: Frame,
        hub: &Hub,
        mirror: &Mirror,
        environment: &Environment,
        asked: Asked,
        now: Timestamp,
    ) -> Self {
        let mut lane = lane(mirror, environment, CELLS, now);
        lane.offers.retain(|offer| offer.is_for(hub));
        let mut groups = groups(mirror);
        groups.retain(|one| one.environment == environment.name);
        let by = By {
            label: &asked.group,
            open: &asked.open,
            waves: asked.waves.as_ref(),
        };
        let pin = match environment.pin {
            Some(_) => Offer::environment(Action::Unpin, "Unpin", &environment.name),
            None => {
                let mut pin =
                    Offer::environment(Action::Pin, "Pin to what it runs", &environment.name);
                pin.clusters = environment.clusters;
                pin
            }
        };
        Self {
            may_pin: pin.is_for(hub),
            grouping: group(mirror, &environment.name, by),
            frame,
            lane,
            groups,
            steps: asked.steps,
            rollouts: asked.rollouts,
            entries: asked.entries,
            pin,
        }
    }
}
