//! What a promotion would move, and what a commit would change: the two previews before a branch moves.

use askama::Template;
use flotilla_status::{FleetPlan, Hub, PlanVerdict, PlannedApplication, Promotion};

use super::Frame;
use crate::act::{Action, Offer};
use crate::text;

/// Highest number of changes on a page; further ones are counted.
const CHANGES: usize = 800;
/// Highest number of clusters of one group that are named.
const NAMES: usize = 20;

/// Preview of a promotion.
#[derive(Template)]
#[template(path = "promote.html")]
pub struct PromotePage {
    frame: Frame,
    promotion: Promotion,
    count: String,
    /// Buttons that plan each move with the environment's agents.
    plans: Vec<Offer>,
    /// Button that moves the branches; none: the reader lacks the right, the hub cannot push, or the promotion is held
    /// back.
    go: Option<Offer>,
    /// Whether the promotion is held back.
    held: bool,
    may: bool,
    hub_moves: bool,
}

impl PromotePage {
    /// Makes it from the hub's answer, for a reader with these rights.
    #[must_use]
    pub fn new(frame: Frame, hub: &Hub, promotion: Promotion) -> Self {
        let environment = promotion.environment.as_str();
        let held = promotion.gates.iter().any(|gate| gate.state.holds_back());
        let clusters = u32::try_from(promotion.clusters.len()).unwrap_or(u32::MAX);
        let commits: Vec<String> = promotion
            .moves
            .iter()
            .map(|moved| format!("{}@{}", moved.repository, moved.to_commit))
            .collect();
        let plans = promotion
            .moves
            .iter()
            .zip(&commits)
            .map(|(moved, commits)| Offer {
                commits: commits.clone(),
                branch: moved.source_branch.clone(),
                clusters,
                ..Offer::environment(
                    Action::Plan,
                    "Ask the agents what it would change",
                    environment,
                )
            });
        let go = Offer {
            commits: commits.join(" "),
            clusters,
            ..Offer::environment(Action::Promote, "Promote", environment)
        };
        let may = go.is_for(hub);
        let offered = hub.moves_branches && may && !held && !commits.is_empty();
        Self {
            count: text::clusters(promotion.clusters.len()),
            plans: plans.filter(|plan| plan.is_for(hub)).collect(),
            go: offered.then_some(go),
            held,
            may,
            hub_moves: hub.moves_branches,
            frame,
            promotion,
        }
    }
}

/// Plan of a commit.
#[derive(Template)]
#[template(path = "plan.html")]
pub struct PlanPage {
    frame: Frame,
    plan: FleetPlan,
    groups: Vec<AnswerGroup>,
    more: usize,
}

/// Clusters with the same answer.
struct AnswerGroup {
    words: String,
    class: &'static str,
    names: Vec<String>,
    others: usize,
    message: String,
    applications: Vec<PlannedApplication>,
}

impl PlanPage {
    /// Makes it from the hub's answer.
    #[must_use]
    pub fn new(frame: Frame, mut plan: FleetPlan) -> Self {
        let (mut left, mut more) = (CHANGES, 0);
        let groups = std::mem::take(&mut plan.groups);
        let groups = groups.into_iter().map(|mut group| {
            let words = group.words();
            let others = group.clusters.len().saturating_sub(NAMES);
            group.clusters.truncate(NAMES);
            for application in &mut group.applications {
                let shown = application.changes.len().min(left);
                more += application.changes.len() - shown;
                left -= shown;
                application.changes.truncate(shown);
            }
            AnswerGroup {
                words,
                class: match group.verdict {
                    PlanVerdict::Nothing => "ok",
                    PlanVerdict::Changes => "busy",
                    PlanVerdict::Offline | PlanVerdict::TimedOut => "offline",
                    PlanVerdict::Conflict
                    | PlanVerdict::Refused
                    | PlanVerdict::Failed
                    | PlanVerdict::Unknown => "failed",
                },
                names: group.clusters,
                others,
                message: group.message,
                applications: group.applications,
            }
        });
        Self {
            groups: groups.collect(),
            more,
            frame,
            plan,
        }
    }
}

#[cfg(test)]
mod tests;
