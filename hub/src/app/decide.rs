//! The process that decides: the fleet as stored, with everything that queries or serves it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flotilla_shared::backoff::Backoff;
use flotilla_shared::id::Epoch;
use jiff::Timestamp;
use parking_lot::RwLock;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Config, Start, fleet_file, read_fleet_file};
use crate::check;
use crate::driver::{self, Handle};
use crate::fleet::{Event, Fleet};
use crate::forge;
use crate::notify;
use crate::poll::Pollers;
use crate::promote;
use crate::serve::access::Access;
use crate::serve::certificates;
use crate::serve::http::{self, Duty, Probe};
use crate::serve::previews::AgentPlanner;
use crate::serve::rate::Rates;
use crate::serve::web;
use crate::serve::webhook::{self, Hooks};
use crate::serve::{Context, FleetFileStatus, server};
use crate::spec::Spec;
use crate::store::{self, Store};

/// Loads the fleet and serves it.
pub(super) async fn decide(mut start: Start) -> anyhow::Result<Vec<JoinHandle<()>>> {
    let now = Timestamp::now();
    let (spec, digest) = read_fleet_file(&start.config.fleet)?;
    let fleet_file = FleetFileStatus {
        digest,
        loaded_at: Some(now),
        error: String::new(),
    };
    let fleet = load(&start.store, now).await?;
    let epoch = fleet.epoch();
    let (handle, driver) = driver::spawn(
        fleet,
        start.store.clone(),
        start.metrics.clone(),
        start.store.health(),
        start.stop.clone(),
    );
    let access = Access::new(start.store.grants().await?, start.oidc.take());
    let context = context(&mut start, (handle, epoch), access, fleet_file);
    let notified = start.config.notifications.take();
    let notified = notified.map(|path| telling(&context, path)).transpose()?;
    let spec = Arc::new(spec);
    let changed = Event::SpecChanged(Arc::clone(&spec));
    context.handle.event(changed).await?;
    let hints = Arc::<forge::Hints>::default();
    let mut tasks = work(&context, &start.config, spec);
    tasks.extend(open(&context, &mut start, &hints));
    if let Some(mover) = &context.mover {
        let (handle, stop) = (context.handle.clone(), context.stop.clone());
        let promoter = promote::run(handle, Arc::clone(mover), stop);
        tasks.push(tokio::spawn(promoter));
    }
    let speaking = speaking(&context, start.config.forges.take(), hints);
    tasks.extend(forge::start(speaking, &context.stop)?);
    tasks.extend(notified.map(|telling| tokio::spawn(notify::run(telling, context.stop.clone()))));
    tracing::info!(epoch = epoch.0, "hub is serving");
    tasks.push(tokio::spawn(server::serve(
        context,
        start.listener,
        start.config.limits,
        start.stop,
    )));
    // The driver ends when all handles are dropped, so it is stopped last.
    tasks.push(driver);
    Ok(tasks)
}

/// Loads the fleet as it was last stored.
async fn load(store: &Store, now: Timestamp) -> Result<Fleet, store::Error> {
    let epoch = store.epoch().await?;
    let mut fleet = Fleet::new(epoch).since(store.epoch_since().await?);
    fleet.step(store.load().await?, now);
    Ok(fleet)
}

/// Makes the context of all services over the fleet behind `handle`; moves out of `start` what only they need.
fn context(
    start: &mut Start,
    (handle, epoch): (Handle, Epoch),
    access: Access,
    fleet_file: FleetFileStatus,
) -> Arc<Context> {
    let refresh = Arc::new(Notify::new());
    let push = start.config.push.take();
    Arc::new(Context {
        stop: start.stop.clone(),
        handle,
        store: start.store.clone(),
        certificates: Arc::clone(&start.certificates),
        rates: Rates::default(),
        access,
        metrics: start.metrics.clone(),
        health: start.store.health(),
        epoch,
        address: std::mem::take(&mut start.address),
        started_at: start.started_at,
        relay: crate::serve::relay::Relay::default(),
        plans: crate::serve::planning::Plans::default(),
        mover: push
            .map(|credential| Arc::new(promote::Mover::new(credential, Arc::clone(&refresh)))),
        refresh,
        fleet_file: Arc::new(RwLock::new(fleet_file)),
    })
}

/// Makes the setup of notifications from the file at `path`.
fn telling(context: &Context, path: PathBuf) -> anyhow::Result<notify::NotifySetup> {
    Ok(notify::NotifySetup {
        config: notify::read(&path)?,
        path,
        handle: context.handle.clone(),
        store: context.store.clone(),
        fleet_file: Arc::clone(&context.fleet_file),
        metrics: context.metrics.clone(),
        health: context.health.clone(),
    })
}

/// Makes the setup of calls to forges; previews are planned by agents.
fn speaking(
    context: &Arc<Context>,
    forges: Option<forge::config::Forges>,
    hints: Arc<forge::Hints>,
) -> forge::ForgeSetup {
    forge::ForgeSetup {
        handle: context.handle.clone(),
        store: context.store.clone(),
        forges,
        metrics: context.metrics.clone(),
        refresh: Arc::clone(&context.refresh),
        planner: Arc::new(AgentPlanner(Arc::clone(context))),
        hints,
    }
}

/// Starts background work: watching files, repositories, checks and the store.
fn work(context: &Context, config: &Config, spec: Arc<Spec>) -> Vec<JoinHandle<()>> {
    let (handle, store, stop) = (&context.handle, &context.store, &context.stop);
    let pollers = Pollers::new(
        handle.clone(),
        config.data_dir.join("git"),
        config.poll_interval,
        config.git_credentials.clone(),
        context.metrics.clone(),
    );
    vec![
        tokio::spawn(fleet_file::watch(
            config.fleet.clone(),
            spec,
            pollers,
            handle.clone(),
            Arc::clone(&context.fleet_file),
            Arc::clone(&context.refresh),
            stop.clone(),
        )),
        tokio::spawn(check::run(handle.clone(), stop.clone())),
        tokio::spawn(retain(store.clone(), stop.clone())),
        tokio::spawn(prove(store.clone(), stop.clone())),
        tokio::spawn(certificates::watch(
            Arc::clone(&context.certificates),
            Some((handle.clone(), store.clone())),
            stop.clone(),
        )),
    ]
}

/// Starts the other listeners, each on its bound address: pages, probes and webhooks.
fn open(
    context: &Arc<Context>,
    start: &mut Start,
    hints: &Arc<forge::Hints>,
) -> Vec<JoinHandle<()>> {
    let (handle, stop) = (&context.handle, &context.stop);
    let mut tasks = Vec::new();
    if let Some(pages) = start.pages.take() {
        let carrier = web::in_process(Arc::clone(context));
        tasks.push(pages.serve(carrier, stop.clone()));
    }
    if let Some(listener) = start.probes.take() {
        let probe = Probe {
            metrics: context.metrics.clone(),
            duty: Duty::Decides(handle.clone(), context.health.clone()),
        };
        tasks.push(tokio::spawn(http::probes(listener, probe, stop.clone())));
    }
    let secret = start.config.webhook_secret.take();
    if let (Some(listener), Some(secret)) = (start.hooks.take(), secret) {
        let hooks = Hooks {
            handle: handle.clone(),
            secret,
            refresh: Arc::clone(&context.refresh),
            hints: Arc::clone(hints),
            metrics: context.metrics.clone(),
        };
        tasks.push(tokio::spawn(webhook::serve(listener, hooks, stop.clone())));
    }
    tasks
}

/// After a failure of the store that is not retried, tests whether it can be written: the hub is not ready until that
/// succeeds.
async fn prove(store: Store, stop: CancellationToken) {
    let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(15));
    while !stop.is_cancelled() {
        let wait = match store.health().is_doubted() {
            false => {
                backoff.reset();
                Duration::from_millis(500)
            }
            true => match store.prove().await {
                Ok(()) => Duration::ZERO,
                Err(error) => {
                    tracing::warn!(%error, "cannot write to the store; not ready until it can");
                    backoff.next_delay(&mut rand::rng())
                }
            },
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Deletes old records, at the start and then daily.
async fn retain(store: Store, stop: CancellationToken) {
    loop {
        if let Err(error) = store.retain(Timestamp::now()).await {
            tracing::warn!(%error, "cannot delete old records; will retry tomorrow");
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(86_400)) => {}
            () = stop.cancelled() => return,
        }
    }
}
