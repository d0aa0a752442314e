//! `flotilla-agent run`.

use std::io;
use std::pin::pin;
use std::time::Duration;

use flotilla_shared::reason::Reason;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::{self, Running};
use crate::args::Run;
use crate::events::Event;
use crate::policy_file::{PolicyChange, PolicyFile};

/// Number of attempts to start with a changed policy: the port of the metrics may still be in use.
const STARTS: u32 = 10;

/// Runs until asked to stop. A changed policy file restarts it with that policy.
///
/// # Errors
/// When it cannot start.
pub(super) async fn run(run: Run) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut asked = pin!(async move {
        tokio::select! {
            _ = terminate.recv() => Ok(()),
            result = tokio::signal::ctrl_c() => result,
        }
    });
    let mut running = app::start(run.clone()).await?;
    loop {
        let stops: Option<io::Result<()>> = tokio::select! {
            result = &mut asked => Some(result),
            () = changed(&run, &running) => None,
        };
        if let Some(result) = stops {
            tracing::info!("stopping");
            running.shutdown().await;
            return Ok(result?);
        }
        tracing::info!("the policy file changed; restarting with it");
        running.shutdown().await;
        running = again(&run).await?;
    }
}

/// Returns when the policy file differs from the policy in force and can be used.
async fn changed(run: &Run, running: &Running) {
    let Some(path) = &run.policy else {
        return std::future::pending().await;
    };
    let mut file = PolicyFile::new(path.clone(), running.policy());
    loop {
        match file.news().await {
            PolicyChange::Changed => return,
            PolicyChange::Unusable(why) => {
                tracing::error!(
                    error = why,
                    "the policy file cannot be used; the previous policy stays in force"
                );
                let message =
                    format!("{why}; the previous policy stays in force until the file can be used");
                running.tell(Event::warning(Reason::PolicyUnusable, &message));
            }
        }
    }
}

async fn again(run: &Run) -> anyhow::Result<Running> {
    for _ in 1..STARTS {
        tokio::time::sleep(Duration::from_millis(500)).await;
        match app::start(run.clone()).await {
            Ok(running) => return Ok(running),
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "cannot restart yet; retrying");
            }
        }
    }
    app::start(run.clone()).await
}
