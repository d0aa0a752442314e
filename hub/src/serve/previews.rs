//! Plans that pull requests request: the hub asks agents the same questions as operators do.

use std::sync::Arc;
use std::time::Duration;

use flotilla_shared::words::counted;
use flotilla_status::{AuditAction, FleetPlan, HUB_ACTOR};
use futures::future::BoxFuture;

use super::Context;
use super::fleet_api::plans::{resolve, shown};
use crate::fleet::{AuditEntry, Event};
use crate::forge::preview::{PlanFailure, Planner, PreviewRequest};
use crate::plans::Question;

/// Time limit of a plan, after which it ends by itself.
const LONGEST: Duration = Duration::from_secs(600);

/// Plans with the agents that are connected to this fleet.
pub struct AgentPlanner(pub Arc<Context>);

impl Planner for AgentPlanner {
    fn plan(&self, ask: PreviewRequest) -> BoxFuture<'_, Result<FleetPlan, PlanFailure>> {
        Box::pin(self.ask(ask))
    }
}

impl AgentPlanner {
    async fn ask(&self, ask: PreviewRequest) -> Result<FleetPlan, PlanFailure> {
        let Self(context) = self;
        let question = Question {
            environment: ask.environment.clone(),
            revision: ask.revision.clone(),
            application: None,
        };
        let asked = context
            .handle
            .query(move |fleet| resolve(fleet, question))
            .await
            .map_err(|_| PlanFailure::Later)?
            .map_err(|error| PlanFailure::Never(error.to_string()))?;
        let begun = context.plans.under_way(&asked.question, Duration::ZERO);
        let (id, running) = match begun {
            Some(begun) => begun,
            None => {
                let entry = AuditEntry {
                    actor: HUB_ACTOR.to_owned(),
                    action: AuditAction::Plan,
                    environment: ask.environment.to_string(),
                    commit: ask.revision.commit.to_string(),
                    reason: ask.why,
                    detail: format!(
                        "{} asked what {} of {} would change",
                        counted(asked.clusters.len(), "cluster"),
                        ask.revision.branch,
                        ask.revision.repository
                    ),
                    ..AuditEntry::default()
                };
                let begun = context.plans.begin(context, asked, Duration::ZERO);
                let begun = begun.map_err(|_| PlanFailure::Later)?;
                match context.handle.commit(Event::Tick, entry).await {
                    Ok(Ok(())) => begun,
                    _ => return Err(PlanFailure::Later),
                }
            }
        };
        running.whole(LONGEST).await;
        // What agents say goes into a comment as it is read from a hub: cut, and with nothing that misleads.
        Ok(shown(&id, &running).cut())
    }
}
