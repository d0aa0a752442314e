//! A worker's answers to the question what a pass would do now.

use std::sync::Arc;

use flotilla_shared::preview::ApplicationPlan;

use super::{Preview, Purpose, Task, Worker};
use crate::cluster::{DesiredState, Memory};
use crate::plan::Intent;

impl Worker {
    /// Answers what a pass would do now.
    pub(super) async fn preview(&mut self, task: &Task, asked: Preview) {
        let Preview { removal, reply } = asked;
        if removal {
            // The requester may be gone.
            let _ = reply.send(self.removal(task).await);
            return;
        }
        let shared = Arc::clone(&self.shared);
        let mut plan = ApplicationPlan::of(self.name.clone());
        let refusal = self.refusal.as_ref();
        let why = refusal.map(|r| format!("{}: {}", r.reason, r.message));
        match self.input(task, Purpose::Look) {
            None => plan.error = why.unwrap_or_else(|| "nothing is rendered yet".to_owned()),
            Some(input) => {
                match shared
                    .cluster
                    .preview(&input, &self.set.desired_state, &self.memory)
                    .await
                {
                    Ok(made) => plan = made,
                    Err(error) => plan.error = error.message,
                }
                if let (Some(why), true) = (why, plan.error.is_empty()) {
                    plan.error =
                        format!("plan of the previous commit, since the newest is refused: {why}");
                }
            }
        }
        plan.revision = task.application().map(|a| a.revision.clone());
        // The requester may be gone.
        let _ = reply.send(plan);
    }

    /// What removing the application with its objects would do now, instead of its task.
    async fn removal(&self, task: &Task) -> ApplicationPlan {
        let nothing = DesiredState {
            complete: true,
            ..DesiredState::default()
        };
        let task = Task::End {
            intent: Intent::Remove,
            suspended: task.is_suspended(),
        };
        let mut plan = ApplicationPlan::of(self.name.clone());
        let Some(input) = self.input(&task, Purpose::Look) else {
            return plan;
        };
        // A separate memory, so that the objects that this worker follows do not change.
        let memory = Memory::default();
        match self.shared.cluster.preview(&input, &nothing, &memory).await {
            Ok(made) => plan = made,
            Err(error) => plan.error = error.message,
        }
        plan
    }
}
