//! A way to the driver, for everyone else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flotilla_shared::id::ClusterName;
use flotilla_shared::words::STORE_FAILED;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};

use super::{Command, Query, Request, Session};
use crate::fleet::{Action, ActionError, AuditEntry, Effect, Event, Fleet, SessionId};
use crate::outbox::Outbox;

/// An action did not happen, or nobody can say that it did.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It makes no sense.
    #[error(transparent)]
    Action(#[from] ActionError),
    /// It is decided and not on disk.
    #[error(
        "{failed}, so that the change is not safe yet; it is tried again, look before you repeat it",
        failed = STORE_FAILED
    )]
    Store,
    /// What was decided before it is not on disk, so that nothing more is decided.
    #[error(
        "{failed} before this came, so that nothing was changed: repeat it when the hub stores again (flotilla \
         check says whether it does)",
        failed = STORE_FAILED
    )]
    Undecided,
}

/// The driver is gone: the hub is stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the hub is stopping")]
pub struct Stopped;

/// A way to the driver.
#[derive(Clone)]
pub struct Handle {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) version: watch::Receiver<u64>,
    pub(super) next_session: Arc<AtomicU64>,
}

impl Handle {
    /// Hands over an event.
    ///
    /// # Errors
    /// When the hub is stopping.
    pub fn event(&self, event: Event) -> impl Future<Output = Result<(), Stopped>> + Send {
        // Boxed before there is a future, which would keep room for the whole event in each stream.
        let command = Command::Event(Box::new(event));
        async move { self.commands.send(command).await.map_err(|_| Stopped) }
    }

    /// Takes an action of a person; what it came to, as in the audit log. It is stored when this
    /// returns well.
    ///
    /// # Errors
    /// When the hub is stopping; the inner error when it was refused or could not be stored.
    pub async fn act(
        &self,
        action: Action,
        by: &str,
        reason: &str,
    ) -> Result<Result<String, Refused>, Stopped> {
        let (answer, wait) = oneshot::channel();
        let request = Request {
            action,
            by: by.to_owned(),
            reason: reason.to_owned(),
            answer,
        };
        self.commands
            .send(Command::Act(Box::new(request)))
            .await
            .map_err(|_| Stopped)?;
        wait.await.map_err(|_| Stopped)
    }

    /// Hands over an event of a person's making, with its audit entry, and waits until both are
    /// stored.
    ///
    /// # Errors
    /// When the hub is stopping; the inner error when they could not be stored.
    pub async fn commit(
        &self,
        event: Event,
        entry: AuditEntry,
    ) -> Result<Result<(), Refused>, Stopped> {
        let (done, wait) = oneshot::channel();
        self.commands
            .send(Command::Commit(Box::new(event), Box::new(entry), done))
            .await
            .map_err(|_| Stopped)?;
        wait.await.map_err(|_| Stopped)
    }

    /// Decides something in the fleet itself, in one step with nothing in between; the answer comes when
    /// what it changes is stored.
    ///
    /// # Errors
    /// When the hub is stopping; the inner error when it could not be stored.
    pub async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Fleet, Timestamp) -> (T, Vec<Effect>) + Send + 'static,
    ) -> Result<Result<T, Refused>, Stopped> {
        let (answer, wait) = oneshot::channel();
        let change: super::Change = Box::new(move |fleet, now| {
            let (value, effects) = change(fleet, now);
            let told: super::Told = Box::new(move |stored: Result<(), Refused>| {
                // Fails only when the asker is gone.
                let _ = answer.send(stored.map(|()| value));
            });
            (effects, told)
        });
        self.commands
            .send(Command::Change(change))
            .await
            .map_err(|_| Stopped)?;
        wait.await.map_err(|_| Stopped)
    }

    /// Asks something of the fleet as it is after all events handed over before.
    ///
    /// # Errors
    /// When the hub is stopping.
    pub async fn query<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Fleet) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (answer, wait) = oneshot::channel();
        let query: Query = Box::new(move |fleet| {
            // Fails only when the asker is gone.
            let _ = answer.send(question(fleet));
        });
        self.commands
            .send(Command::Query(query))
            .await
            .map_err(|_| Stopped)?;
        wait.await.map_err(|_| Stopped)
    }

    /// Registers a stream, before its [`Event::Connected`] is handed over.
    ///
    /// # Errors
    /// When the hub is stopping.
    pub async fn register(
        &self,
        cluster: ClusterName,
        outbox: Arc<Outbox>,
    ) -> Result<SessionId, Stopped> {
        let id = SessionId(self.next_session.fetch_add(1, Ordering::Relaxed));
        let session = Session { id, outbox };
        self.commands
            .send(Command::Register(cluster, session))
            .await
            .map_err(|_| Stopped)?;
        Ok(id)
    }

    /// The fleet's version; changes with each visible change.
    #[must_use]
    pub fn version(&self) -> watch::Receiver<u64> {
        self.version.clone()
    }
}
