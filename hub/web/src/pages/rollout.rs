//! One rollout.

use std::sync::Arc;

use askama::Template;
use flotilla_status::{Decisions, Entry, Hub, Phase, Rollout, RolloutState};
use jiff::Timestamp;

use super::{Frame, PAGE};
use crate::act::{Action, Offer};
use crate::lane::says;
use crate::mirror::Mirror;
use crate::progress::{Progress, progress};
use crate::timeline::{Moment, timeline};

/// Content of a rollout's page for all readers: made once, however many read it.
#[derive(Debug)]
pub struct RolloutView {
    rollout: Rollout,
    progress: Progress,
    decisions: Decisions,
    clusters: Vec<flotilla_status::Progress>,
    more: usize,
    moments: Vec<Moment>,
    /// Subjects and authors of its commits.
    says: Vec<(String, String)>,
    offers: Vec<Offer>,
    now: Timestamp,
}

impl RolloutView {
    /// Makes it from the hub's answer.
    #[must_use]
    pub fn new(
        mirror: &Mirror,
        (rollout, decisions): (Rollout, Decisions),
        entries: &[Entry],
        now: Timestamp,
    ) -> Self {
        let told = |commit: &str| {
            let branches = mirror
                .environments
                .iter()
                .flat_map(|environment| &environment.branches);
            let headings = branches.filter_map(|branch| {
                let is_head = branch
                    .head
                    .as_ref()
                    .is_some_and(|head| head.commit == commit);
                let is_good = branch.approved.as_deref() == Some(commit);
                let head = branch.heading.as_ref().filter(|_| is_head);
                head.or_else(|| branch.approved_heading.as_ref().filter(|_| is_good))
            });
            headings.map(|heading| says(Some(heading))).next()
        };
        let says = rollout.target.iter().filter_map(|target| {
            let line = told(&target.commit)?;
            Some((flotilla_status::digits(&target.commit).to_owned(), line))
        });
        let says = says.collect();
        let moments = timeline(&rollout, &decisions, entries);
        let mut rollout = rollout;
        let mut clusters = std::mem::take(&mut rollout.clusters);
        clusters.sort_by(|left, other| {
            let by_phase = weight(&left.phase).cmp(&weight(&other.phase));
            by_phase.then_with(|| left.cluster.cmp(&other.cluster))
        });
        let more = clusters.len().saturating_sub(PAGE);
        clusters.truncate(PAGE);
        let mut offers = Vec::new();
        let name = rollout.environment.as_str();
        if let Some(wave) = rollout.asked_wave() {
            let mut offer = Offer::approval(&rollout, &wave.name, "Approve wave");
            offer.clusters = wave.total();
            offers.push(offer);
        }
        match &rollout.state {
            RolloutState::Halted => {
                offers.push(Offer::environment(Action::Retry, "Retry", name));
            }
            RolloutState::Running | RolloutState::Soaking => {
                offers.push(Offer::environment(Action::Pause, "Pause", name));
            }
            RolloutState::Paused => {
                offers.push(Offer::environment(Action::Resume, "Resume", name));
            }
            RolloutState::Pending
            | RolloutState::RolledBack
            | RolloutState::Succeeded
            | RolloutState::Superseded
            | RolloutState::Other(_) => {}
        }
        Self {
            progress: progress(&rollout, now),
            rollout,
            decisions,
            clusters,
            more,
            moments,
            says,
            offers,
            now,
        }
    }
}

/// `/rollout/ID`: a rollout's waves, clusters and timeline.
#[derive(Template)]
#[template(path = "rollout.html")]
pub struct RolloutPage {
    frame: Frame,
    view: Arc<RolloutView>,
    /// Buttons for this reader.
    offers: Vec<Offer>,
}

impl RolloutPage {
    /// Makes it for one reader, with the buttons that their rights allow.
    #[must_use]
    pub fn new(frame: Frame, hub: &Hub, view: Arc<RolloutView>) -> Self {
        let offers = view.offers.iter().filter(|offer| offer.is_for(hub));
        let offers = offers.cloned().collect();
        Self {
            frame,
            view,
            offers,
        }
    }
}

fn weight(phase: &Phase) -> u8 {
    match phase {
        Phase::Failed => 0,
        Phase::Unavailable => 1,
        Phase::Started => 2,
        Phase::Soaking => 3,
        Phase::Waiting => 4,
        Phase::Pinned => 5,
        Phase::Suspended | Phase::Done | Phase::Other(_) => 6,
    }
}
