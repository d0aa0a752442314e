//! The one task that owns the fleet: takes events, keeps their effects, then sends.
//!
//! Everything else holds a [`Handle`]: a bounded channel in, a version number out.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flotilla_shared::id::ClusterName;
use flotilla_shared::reason::Reason;
use flotilla_shared::wire::DecodedAssignment;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};

use crate::fleet::{Effect, Event, Fleet, SessionId};
use crate::store::Store;

/// Events that may wait; a full channel slows the senders down, which is the point.
const QUEUE: usize = 1024;

/// What a stream is told beside its assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// Send the full report again.
    RequestReport,
    /// End.
    Close(Reason, String),
}

/// A stream's end of the driver: the latest assignment wins, controls are few.
pub struct SessionEnd {
    /// Slot of the newest assignment.
    pub assignment: watch::Receiver<Option<Arc<DecodedAssignment>>>,
    /// Controls.
    pub control: mpsc::Receiver<Control>,
}

struct Session {
    id: SessionId,
    assignment: watch::Sender<Option<Arc<DecodedAssignment>>>,
    control: mpsc::Sender<Control>,
}

type Query = Box<dyn FnOnce(&Fleet) + Send>;

enum Command {
    Event(Event),
    Register(ClusterName, Session),
    Query(Query),
}

/// The driver is gone: the hub is stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the hub is stopping")]
pub struct Stopped;

/// A way to the driver.
#[derive(Clone)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    version: watch::Receiver<u64>,
    next_session: Arc<AtomicU64>,
}

impl Handle {
    /// Hands over an event.
    ///
    /// # Errors
    /// When the hub is stopping.
    pub async fn event(&self, event: Event) -> Result<(), Stopped> {
        self.commands
            .send(Command::Event(event))
            .await
            .map_err(|_| Stopped)
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
    pub async fn register(&self, cluster: ClusterName) -> Result<(SessionId, SessionEnd), Stopped> {
        let id = SessionId(self.next_session.fetch_add(1, Ordering::Relaxed));
        let (assignment, assignment_end) = watch::channel(None);
        let (control, control_end) = mpsc::channel(8);
        let session = Session {
            id,
            assignment,
            control,
        };
        self.commands
            .send(Command::Register(cluster, session))
            .await
            .map_err(|_| Stopped)?;
        Ok((
            id,
            SessionEnd {
                assignment: assignment_end,
                control: control_end,
            },
        ))
    }

    /// The fleet's version; changes with each visible change.
    #[must_use]
    pub fn version(&self) -> watch::Receiver<u64> {
        self.version.clone()
    }
}

/// Starts the driver on a fleet that was restored from `store`. It ends when all handles are gone.
#[must_use]
pub fn spawn(fleet: Fleet, store: Store) -> (Handle, tokio::task::JoinHandle<()>) {
    let (commands, receiver) = mpsc::channel(QUEUE);
    let (version, version_end) = watch::channel(fleet.version());
    let handle = Handle {
        commands,
        version: version_end,
        next_session: Arc::new(AtomicU64::new(1)),
    };
    let driver = Driver {
        fleet,
        store,
        version,
        sessions: HashMap::new(),
    };
    (handle, tokio::spawn(driver.run(receiver)))
}

struct Driver {
    fleet: Fleet,
    store: Store,
    version: watch::Sender<u64>,
    sessions: HashMap<(ClusterName, SessionId), Session>,
}

impl Driver {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        while let Some(command) = commands.recv().await {
            match command {
                Command::Event(event) => self.event(event).await,
                Command::Query(query) => query(&self.fleet),
                Command::Register(cluster, session) => {
                    self.sessions.insert((cluster, session.id), session);
                }
            }
        }
    }

    async fn event(&mut self, event: Event) {
        if let Event::Disconnected(cluster, session) = &event {
            self.sessions.remove(&(cluster.clone(), *session));
        }
        let now = Timestamp::now();
        let effects = self.fleet.step(event, now);
        // Stored before sent. While the store is unwell the hub decides nothing new: it tries again,
        // slowly, and agents go on with what they have.
        let mut wait = Duration::from_millis(100);
        while let Err(error) = self.store.apply(&effects, now).await {
            tracing::error!(%error, "cannot store; will try again");
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(Duration::from_secs(10));
        }
        for effect in effects {
            self.act(effect);
        }
        let version = self.fleet.version();
        self.version
            .send_if_modified(|current| std::mem::replace(current, version) != version);
    }

    fn act(&mut self, effect: Effect) {
        match effect {
            Effect::Send(cluster, id, assignment) => {
                if let Some(session) = self.sessions.get(&(cluster, id)) {
                    session.assignment.send_replace(Some(assignment));
                }
            }
            Effect::RequestReport(cluster, id) => {
                self.control(&cluster, id, Control::RequestReport);
            }
            Effect::Close(cluster, id, reason, message) => {
                self.control(&cluster, id, Control::Close(reason, message));
                self.sessions.remove(&(cluster, id));
            }
            Effect::StoreHead(repository, branch, head) => {
                let commit = head
                    .commit
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default();
                tracing::info!(%repository, %branch, commit, "branch moved");
            }
            Effect::StoreAssignment(cluster, assignment) => {
                let reference = assignment.decoded.reference;
                tracing::info!(%cluster, generation = reference.generation.0, "assigned");
            }
            Effect::StoreCluster(..) | Effect::DeleteCluster(..) | Effect::StoreReport(..) => {}
        }
    }

    fn control(&self, cluster: &ClusterName, id: SessionId, control: Control) {
        if let Some(session) = self.sessions.get(&(cluster.clone(), id)) {
            // A full channel means that the same was asked already and not yet answered.
            let _ = session.control.try_send(control);
        }
    }
}
