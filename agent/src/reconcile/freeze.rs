//! Freeze detection (V6): the agent looks at the branch itself. If the branch has been ahead of the
//! assigned commit for too long, the agent says so inside its own cluster, where the hub cannot hide
//! it.

use std::sync::Arc;
use std::time::Duration;

use flotilla_shared::assignment::ApplicationAssignment;
use flotilla_shared::id::ApplicationName;
use flotilla_shared::reason::Reason;
use flotilla_shared::revision::Commit;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::shared::Shared;
use crate::events::Event;

/// Minimum time between two checks of the branch.
const EVERY: Duration = Duration::from_secs(120);

/// State of the branch of one application.
#[derive(Default)]
pub(super) struct FreezeDetector {
    looking: Option<JoinHandle<Option<Commit>>>,
    looked_at: Option<Instant>,
    /// The commit that is assigned while the branch is ahead, and since when.
    behind: Option<(Commit, Instant)>,
}

impl FreezeDetector {
    /// Evaluates a look that has finished, and starts one that is due. Never waits.
    pub(super) async fn look(
        &mut self,
        shared: &Arc<Shared>,
        name: &ApplicationName,
        application: &ApplicationAssignment,
    ) {
        if self.looking.as_ref().is_some_and(JoinHandle::is_finished)
            && let Some(looking) = self.looking.take()
            && let Ok(Some(tip)) = looking.await
        {
            self.judge(shared, name, application, &tip);
        }
        // A shorter alarm needs more frequent looks.
        let alarm = Duration::from_secs(u64::from(shared.policy.freeze_alarm_seconds.max(1)));
        let every = EVERY.min(alarm / 2);
        let is_due = self.looked_at.is_none_or(|at| at.elapsed() > every);
        if self.looking.is_none() && is_due {
            self.looked_at = Some(Instant::now());
            let (shared, application) = (Arc::clone(shared), application.clone());
            self.looking = Some(tokio::spawn(async move {
                let _slot = shared.fetches.acquire().await;
                shared.source.tip(&application).await
            }));
        }
    }

    fn judge(
        &mut self,
        shared: &Arc<Shared>,
        name: &ApplicationName,
        application: &ApplicationAssignment,
        tip: &Commit,
    ) {
        let revision = &application.revision;
        if *tip == revision.commit {
            self.behind = None;
            shared.metrics.behind(name.as_str(), Duration::ZERO);
            return;
        }
        let since = match &self.behind {
            Some((commit, since)) if *commit == revision.commit => *since,
            _ => Instant::now(),
        };
        self.behind = Some((revision.commit.clone(), since));
        let behind = since.elapsed();
        shared.metrics.behind(name.as_str(), behind);
        let alarm = Duration::from_secs(u64::from(shared.policy.freeze_alarm_seconds.max(1)));
        if behind > alarm {
            let message = format!(
                "branch {} is at {tip}, and {} has been assigned for over {} minutes: the hub holds \
                 the newer commit back, or has not seen it",
                revision.branch,
                revision.commit,
                alarm.as_secs() / 60
            );
            tracing::warn!(application = %name, message);
            let event = Event::warning(Reason::BranchAhead, &message);
            shared.cluster.tell(name.as_str(), event);
        }
    }
}
