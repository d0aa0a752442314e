//! Hints that another process may decide now (PostgreSQL's LISTEN and NOTIFY). Nothing depends on them: the waiting
//! process also polls, so that a lost hint costs a moment (S12), and an engine without hints works as well.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::{Engine, Store};

/// Channel of the hints.
const CHANNEL: &str = "flotilla_decider";
/// Delay before listening is retried, so that a failing server is not burdened.
const AGAIN: Duration = Duration::from_secs(5);

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitOutcome {
    /// A hint came, or hints may have been missed: poll.
    Hinted,
    /// No hint came; poll all the same.
    Passed,
}

/// Listens for hints until it is dropped.
pub struct Hints {
    url: Option<Arc<str>>,
    came: Arc<Notify>,
    task: Option<JoinHandle<()>>,
}

impl Drop for Hints {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Hints {
    fn new(url: Option<Arc<str>>) -> Self {
        let mut hints = Self {
            url,
            came: Arc::new(Notify::new()),
            task: None,
        };
        hints.renew();
        hints
    }

    /// Listens on a new connection: the present one missed a hint, as after a firewall has dropped it.
    pub fn renew(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
        if let Some(url) = self.url.clone() {
            self.task = Some(tokio::spawn(listen(url, Arc::clone(&self.came))));
        }
    }

    /// Waits for a hint, at most for `look`.
    pub async fn wait(&self, look: Duration) -> WaitOutcome {
        match tokio::time::timeout(look, self.came.notified()).await {
            Ok(()) => WaitOutcome::Hinted,
            Err(_) => WaitOutcome::Passed,
        }
    }
}

async fn listen(url: Arc<str>, came: Arc<Notify>) {
    loop {
        if let Err(error) = listen_once(&url, &came).await {
            tracing::debug!(%error, "no hints from the store; polling continues");
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn listen_once(url: &str, came: &Notify) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect(url).await?;
    listener.listen(CHANNEL).await?;
    // Hints from before were missed.
    came.notify_one();
    loop {
        // None: the connection was lost and restored, and hints were missed meanwhile.
        let _ = listener.try_recv().await?;
        came.notify_one();
    }
}

impl Store {
    /// Returns the hints about the deciding process.
    #[must_use]
    pub fn hints(&self) -> Hints {
        Hints::new(self.url.clone())
    }

    /// Sends a hint to the others. Nothing depends on it, so that a failure is ignored.
    pub(super) async fn hint(&self) {
        if self.engine != Engine::Postgres {
            return;
        }
        let told = sqlx::query("SELECT pg_notify($1, '')")
            .bind(CHANNEL)
            .execute(&self.pool)
            .await;
        if let Err(error) = told {
            tracing::debug!(%error, "cannot send a hint");
        }
    }
}
