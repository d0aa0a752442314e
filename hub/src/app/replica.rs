//! A replica: stands by, decides once it has the lease, and ends when it loses it.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{Start, bind, decide};
use crate::serve::certificates::{self, Certificates};
use crate::serve::connection_limits::Limits;
use crate::serve::http::{self, Duty, Probe};
use crate::serve::standby::Forwarder;
use crate::serve::web;
use crate::serve::{http2, listen};
use crate::store::{LEASE, Lease, Store, WaitOutcome};

/// Interval at which a standby tries to take the lease, with or without a hint, and at which the deciding one renews
/// it.
const LOOK: Duration = Duration::from_secs(1);

/// Stands by until the lease is free, then decides until it is lost. The process ends with the lease and restarts,
/// because its memory is stale for the next tenure.
pub(super) async fn run(mut start: Start) -> anyhow::Result<()> {
    let holder = format!("{:016x}", rand::random::<u64>());
    let pass_on = Forwarder::new(Arc::clone(&start.certificates));
    let standing_by = start.stop.child_token();
    let probe = Probe {
        metrics: start.metrics.clone(),
        duty: Duty::StandsBy(pass_on.clone()),
    };
    let mut side = Vec::new();
    if let Some(address) = &start.config.metrics_listen
        && let Some(listener) = start.probes.take()
    {
        let bound = listener.local_addr()?;
        side.push(tokio::spawn(http::probes(
            listener,
            probe,
            standing_by.clone(),
        )));
        tracing::debug!(%bound, address, "serving probes while standing by");
    }
    if let Some(pages) = start.pages.clone() {
        let carrier = web::passed_on(pass_on.clone());
        side.push(pages.serve(carrier, standing_by.clone()));
    }
    side.push(tokio::spawn(certificates::watch(
        Arc::clone(&start.certificates),
        None,
        standing_by.clone(),
    )));
    let server = tokio::spawn(standby(
        pass_on.clone(),
        Arc::clone(&start.listener),
        Arc::clone(&start.certificates),
        start.config.limits,
        standing_by.clone(),
    ));
    let mut hints = start.store.hints();
    let mut waited = WaitOutcome::Hinted;
    let lease = loop {
        match start.store.acquire(&holder, &start.replica_address).await {
            Ok(Some(lease)) => break lease,
            Ok(None) => match start.store.standing().await {
                Ok(standing) => {
                    if pass_on.aim(&standing.address) && waited == WaitOutcome::Passed {
                        // The change came without a hint: the subscription is renewed.
                        hints.renew();
                    }
                }
                Err(error) => tracing::warn!(%error, "cannot read which replica decides"),
            },
            Err(error) => tracing::warn!(%error, "cannot request the lease"),
        }
        tokio::select! {
            how = hints.wait(LOOK) => waited = how,
            () = start.stop.cancelled() => return Ok(()),
        }
    };
    drop(hints);
    tracing::info!(term = lease.term, "this replica decides now");
    // Renewed from the start, because loading a large fleet may outlast the lease.
    let keeper = tokio::spawn(keep(start.store.clone(), lease, start.stop.clone()));
    standing_by.cancel();
    for task in side.into_iter().chain([server]) {
        let _ = tokio::time::timeout(LOOK, task).await;
    }
    if let Some(address) = start.config.metrics_listen.clone() {
        start.probes = Some(bind(&address).await?);
    }
    let stop = start.stop.clone();
    let mut tasks = decide(start).await?;
    tasks.push(keeper);
    stop.cancelled().await;
    for task in tasks {
        let _ = tokio::time::timeout(Duration::from_secs(3), task).await;
    }
    Ok(())
}

/// Renews the lease, or stops the process. Also stops when the store has not answered for the length of a lease,
/// because another replica may decide by then.
async fn keep(store: Store, lease: Lease, stop: CancellationToken) {
    let mut proven = tokio::time::Instant::now();
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = stop.cancelled() => return,
        }
        let asked = tokio::time::Instant::now();
        match tokio::time::timeout(LEASE, store.renew(lease)).await {
            Ok(Ok(true)) => proven = asked,
            Ok(Ok(false)) => {
                tracing::error!(term = lease.term, "the lease is lost; stepping down");
                stop.cancel();
                return;
            }
            Ok(Err(error)) => tracing::warn!(%error, "cannot renew the lease"),
            Err(_) => tracing::warn!("the store does not answer"),
        }
        if proven.elapsed() >= LEASE {
            tracing::error!(
                term = lease.term,
                "the lease could not be renewed; stepping down"
            );
            stop.cancel();
            return;
        }
    }
}

/// Forwards every call.
async fn standby(
    pass_on: Forwarder,
    listener: Arc<TcpListener>,
    certificates: Arc<Certificates>,
    limits: Limits,
    stop: CancellationToken,
) {
    let router = axum::Router::new().fallback_service(tower::service_fn(
        move |request: ::http::Request<axum::body::Body>| {
            let mut pass_on = pass_on.clone();
            async move {
                let request = request.map(tonic::body::Body::new);
                tower::Service::call(&mut pass_on, request).await
            }
        },
    ));
    http2::serve(
        router.into(),
        listen::accept(listener, certificates, limits),
        stop,
    )
    .await;
}
