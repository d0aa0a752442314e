//! Hints that another process may decide now (PostgreSQL's LISTEN and NOTIFY). Nothing rests on them:
//! who waits for one also looks by itself, so that a lost one costs a moment (S12), and an engine that
//! has none works as well.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::{Engine, Store};

/// Where hints are given.
const CHANNEL: &str = "flotilla_decider";
/// Before listening is tried again; hints are no reason to press a server that is unwell.
const AGAIN: Duration = Duration::from_secs(5);

/// What ended a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// A hint came, or hints may have been missed meanwhile: look.
    Hinted,
    /// None came; look all the same.
    Passed,
}

/// Listens for hints as long as it lives.
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

    /// Listens on a new connection: the present one did not tell what it should have, as one does that
    /// a firewall has forgotten.
    pub fn renew(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
        if let Some(url) = self.url.clone() {
            self.task = Some(tokio::spawn(listen(url, Arc::clone(&self.came))));
        }
    }

    /// Waits for a hint, but no longer than `look`.
    pub async fn wait(&self, look: Duration) -> Wait {
        match tokio::time::timeout(look, self.came.notified()).await {
            Ok(()) => Wait::Hinted,
            Err(_) => Wait::Passed,
        }
    }
}

async fn listen(url: Arc<str>, came: Arc<Notify>) {
    loop {
        if let Err(error) = listen_once(&url, &came).await {
            tracing::debug!(%error, "no hints from the store; looking goes on");
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn listen_once(url: &str, came: &Notify) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect(url).await?;
    listener.listen(CHANNEL).await?;
    // What was said before nobody heard.
    came.notify_one();
    loop {
        // None: the connection was lost and is there again; what was said meanwhile nobody heard.
        let _ = listener.try_recv().await?;
        came.notify_one();
    }
}

impl Store {
    /// Hints about who decides.
    #[must_use]
    pub fn hints(&self) -> Hints {
        Hints::new(self.url.clone())
    }

    /// Tells the others to look. Nobody depends on it, so that its failing is no error.
    pub(super) async fn hint(&self) {
        if self.engine != Engine::Postgres {
            return;
        }
        let told = sqlx::query("SELECT pg_notify($1, '')")
            .bind(CHANNEL)
            .execute(&self.pool)
            .await;
        if let Err(error) = told {
            tracing::debug!(%error, "cannot hint");
        }
    }
}
