//! One environment.

use std::sync::Arc;

use askama::Template;
use flotilla_status::{Entry, Environment, Hub, Rollout, Step};
use jiff::Timestamp;

use super::{Frame, PageData};
use crate::act::{Action, Offer};
use crate::difference::{Group, groups};
use crate::grouping::{GroupBy, Grouping, group};
use crate::lane::{CELLS, Lane, lane};
use crate::mirror::Mirror;

/// Content of an environment's page for all readers: made once, however many read it.
#[derive(Debug)]
pub struct EnvironmentView {
    lane: Lane,
    grouping: Grouping,
    groups: Vec<Group>,
    steps: Vec<Step>,
    rollouts: Vec<Rollout>,
    entries: Vec<Entry>,
    pin: Offer,
}

impl EnvironmentView {
    /// Makes it from the mirror and the hub's answers.
    #[must_use]
    pub fn new(
        mirror: &Mirror,
        environment: &Environment,
        asked: PageData,
        now: Timestamp,
    ) -> Self {
        let mut groups = groups(mirror);
        groups.retain(|group| group.environment == environment.name);
        let by = GroupBy {
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
            lane: lane(mirror, environment, CELLS, now),
            grouping: group(mirror, &environment.name, by),
            groups,
            steps: asked.steps,
            rollouts: asked.rollouts,
            entries: asked.entries,
            pin,
        }
    }
}

/// `/env/NAME`: an environment's clusters, its decision chain, rollouts and audit entries.
#[derive(Template)]
#[template(path = "environment.html")]
pub struct EnvironmentPage {
    frame: Frame,
    view: Arc<EnvironmentView>,
    /// Buttons for this reader.
    offers: Vec<Offer>,
}

impl EnvironmentPage {
    /// Makes it for one reader, with the buttons that their rights allow.
    #[must_use]
    pub fn new(frame: Frame, hub: &Hub, view: Arc<EnvironmentView>) -> Self {
        let offers = view.lane.offers.iter().chain([&view.pin]);
        let offers = offers.filter(|offer| offer.is_for(hub)).cloned().collect();
        Self {
            frame,
            view,
            offers,
        }
    }
}
