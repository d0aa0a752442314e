//! A handle to the driver, for all other tasks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flotilla_shared::id::ClusterName;
use flotilla_shared::words::STORE_FAILED;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};

use super::{Command, Query, Request, Session};
use crate::fleet::{Action, ActionError, AuditEntry, Effect, Event, Fleet, SessionId};
use crate::outbox::Outbox;

/// An action did not happen, or its outcome is unknown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The action is not possible.
    #[error(transparent)]
    Action(#[from] ActionError),
    /// It is decided, but not stored.
    #[error(
        "{failed}: the change is not stored yet; the hub retries, so check the state before you \
         repeat it",
        failed = STORE_FAILED
    )]
    Store,
    /// Earlier decisions are not stored, so nothing more is decided.
    #[error(
        "{failed} earlier, so nothing was changed: repeat this when the hub can store again (to \
         check: flotilla check)",
        failed = STORE_FAILED
    )]
    Undecided,
}

/// The driver has ended: the hub is stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the hub is stopping")]
pub struct Stopped;

/// A handle to the driver.
#[derive(Clone)]
pub struct Handle {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) version: watch::Receiver<u64>,
    pub(super) next_session: Arc<AtomicU64>,
}

impl Handle {
    /// Sends an event.
    ///
    /// # Errors
    /// When the hub is stopping.
    pub fn event(&self, event: Event) -> impl Future<Output = Result<(), Stopped>> + Send {
        // Boxed before the future is made, which would otherwise hold the whole event in every stream.
        let command = Command::Event(Box::new(event));
        async move { self.commands.send(command).await.map_err(|_| Stopped) }
    }

    /// Performs an action of an operator. Returns its result, as in the audit log, once it is stored.
    ///
    /// # Errors
    /// When the hub is stopping; the inner error when it was refused or could not be stored.
    pub async fn act(
        &self,
        action: Action,
        by: &str,
        reason: &str,
    ) -> Result<Result<String, Rejection>, Stopped> {
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

    /// Sends an operator's event with its audit entry, and waits until both are stored.
    ///
    /// # Errors
    /// When the hub is stopping; the inner error when they could not be stored.
    pub async fn commit(
        &self,
        event: Event,
        entry: AuditEntry,
    ) -> Result<Result<(), Rejection>, Stopped> {
        let (done, wait) = oneshot::channel();
        self.commands
            .send(Command::Commit(Box::new(event), Box::new(entry), done))
            .await
            .map_err(|_| Stopped)?;
        wait.await.map_err(|_| Stopped)
    }

    /// Makes a decision in the fleet itself, in one step; returns when its changes are stored.
    ///
    /// # Errors
    /// When the hub is stopping; the inner error when it could not be stored.
    pub async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Fleet, Timestamp) -> (T, Vec<Effect>) + Send + 'static,
    ) -> Result<Result<T, Rejection>, Stopped> {
        let (answer, wait) = oneshot::channel();
        let change: super::Change = Box::new(move |fleet, now| {
            let (value, effects) = change(fleet, now);
            let told: super::Completion = Box::new(move |stored: Result<(), Rejection>| {
                // Fails only when the requester has gone.
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

    /// Queries the fleet as it is after all events that were sent before.
    ///
    /// # Errors
    /// When the hub is stopping.
    pub async fn query<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Fleet) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (answer, wait) = oneshot::channel();
        let query: Query = Box::new(move |fleet| {
            // Fails only when the requester has gone.
            let _ = answer.send(question(fleet));
        });
        self.commands
            .send(Command::Query(query))
            .await
            .map_err(|_| Stopped)?;
        wait.await.map_err(|_| Stopped)
    }

    /// Registers a stream, before its [`Event::Connected`] is sent.
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

    /// Returns the fleet's version, which changes with each visible change.
    #[must_use]
    pub fn version(&self) -> watch::Receiver<u64> {
        self.version.clone()
    }
}
