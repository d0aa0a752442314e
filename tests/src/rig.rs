//! The scale test: one hub process, thousands of simulated agents over the full protocol and mTLS.
//!
//! `cargo run --release -p flotilla-tests --bin scale-rig -- --agents 10000`

#![allow(
    clippy::print_stdout,
    reason = "a table of numbers is what this program is for"
)]

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::Parser;
use flotilla_proto::v1;
use flotilla_proto::v1::fleet_service_client::FleetServiceClient;
use flotilla_shared::tls;
use flotilla_tests::eventually;
use flotilla_tests::open_pages::OpenPages;
use flotilla_tests::simulated::{Agent, FleetState};
use flotilla_tests::test_hub::TestHub;
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::transport::Channel;

#[path = "rig/ground.rs"]
mod ground;
#[path = "rig/plans.rs"]
mod plans;
#[path = "rig/renewals.rs"]
mod renewals;

use ground::Fixture;
use renewals::renew;

/// Measures a hub under many agents.
#[derive(Debug, Parser)]
struct Args {
    /// Simulated agents.
    #[arg(long, default_value_t = 10_000)]
    agents: usize,
    /// Environments they are spread over.
    #[arg(long, default_value_t = 1)]
    environments: usize,
    /// Three waves of half of what is left instead of all at once.
    #[arg(long)]
    waves: bool,
    /// Kill the hub and see how long all take to come back.
    #[arg(long)]
    restart: bool,
    /// Certificates that so many clusters renew, each over a connection of its own.
    #[arg(long, default_value_t = 0)]
    renewals: usize,
    /// Plans of a commit, with three different answers, one of them while a commit is delivered.
    #[arg(long)]
    plan: bool,
    /// Pages that people leave open, half of them the first screen; what they cost beside a rollout.
    #[arg(long, default_value_t = 0)]
    pages: u8,
    /// Milliseconds from an assignment to its report.
    #[arg(long, default_value_t = 0)]
    work: u64,
}

/// How long the cost of a commit and its reports is measured, with and without open pages.
const WINDOW: Duration = Duration::from_secs(20);

type Api = FleetServiceClient<Channel>;

async fn current(api: &mut Api) -> Option<usize> {
    let answer = api
        .list_environments(v1::ListEnvironmentsRequest {})
        .await
        .ok()?;
    let all = answer.into_inner().environments;
    Some(
        all.iter()
            .map(|environment| environment.current as usize)
            .sum(),
    )
}

fn percentiles(what: &str, mut all: Vec<Duration>) {
    all.sort();
    let at = |share: usize| {
        let index = (all.len() * share / 100).min(all.len().saturating_sub(1));
        all.get(index).copied().unwrap_or_default()
    };
    println!(
        "{what}: p50 {:?}, p90 {:?}, p99 {:?}, last {:?}",
        at(50),
        at(90),
        at(99),
        at(100)
    );
}

/// Longest until all agents have done something.
const LIMIT: Duration = Duration::from_secs(300);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    tls::install_provider();
    let ground = Fixture::prepare(&args).await?;
    let mut rig = Rig::start(&args, &ground).await?;
    let (stop, stopped) = watch::channel(false);
    rig.connect(&stopped).await?;
    for opened in [0, args.pages] {
        rig.commits(opened).await?;
        if args.pages == 0 {
            break;
        }
    }
    if args.plan {
        rig.plans().await?;
    }
    rig.idle().await;
    rig.list().await?;
    let renewing = ground.clusters.iter().take(args.renewals);
    renew(&rig.hub, &ground.enrolled, renewing).await?;
    if args.restart {
        rig.restart().await?;
    }
    let _ = stop.send(true);
    Ok(())
}

/// A hub, an operator's connection, and the observations of its agents.
struct Rig<'a> {
    args: &'a Args,
    ground: &'a Fixture,
    calls: Api,
    seen: Arc<FleetState>,
    hub: TestHub,
}

impl<'a> Rig<'a> {
    /// A running hub, without agents.
    async fn start(args: &'a Args, ground: &'a Fixture) -> anyhow::Result<Self> {
        let hub = ground.start_hub().await?;
        let calls = hub.operator("rig").await?.api;
        Ok(Self {
            args,
            ground,
            calls,
            seen: Arc::new(FleetState::default()),
            hub,
        })
    }

    /// Starts all agents, and prints how long they take to be current and what resources the hub uses.
    async fn connect(&mut self, stopped: &watch::Receiver<bool>) -> anyhow::Result<()> {
        let empty = self.hub.usage();
        let hubs = Arc::new(vec![self.hub.address.to_string()]);
        let work = Duration::from_millis(self.args.work);
        let began = Instant::now();
        for (name, _) in &self.ground.clusters {
            let agent = Agent::new(&self.ground.enrolled, name, &hubs, work)?;
            tokio::spawn(agent.run(Arc::clone(&self.seen), stopped.clone()));
            // Yield regularly: like a fleet that operators start, not all agents connect at once.
            if self
                .seen
                .connected
                .load(Ordering::Relaxed)
                .is_multiple_of(64)
            {
                tokio::task::yield_now().await;
            }
        }
        let expected = self.args.agents;
        all_connected("all agents connected", &self.seen, expected).await?;
        println!("{expected} agents connected in {:?}", began.elapsed());
        wait_until_current(&mut self.calls, expected).await?;
        println!("all current in {:?}", began.elapsed());
        tokio::time::sleep(Duration::from_secs(5)).await;
        let full = self.hub.usage();
        println!(
            "hub: {} MiB resident, {} KiB an agent, {:?} of CPU so far",
            full.resident_kib / 1024,
            full.resident_kib.saturating_sub(empty.resident_kib) / expected as u64,
            full.cpu
        );
        Ok(())
    }

    /// Measures three commits with so many open pages.
    async fn commits(&mut self, opened: u8) -> anyhow::Result<()> {
        let pages = match (opened, &self.hub.pages) {
            (1.., Some(link)) => {
                let address = link.trim_start_matches("http://").trim_end_matches('/');
                let open = OpenPages::open(address, opened, &["/", "/env/env-0"]).await?;
                println!("{opened} pages are open");
                Some(open)
            }
            _ => None,
        };
        for round in 0..3 {
            self.commit(&format!("# {opened} {round}\n")).await?;
        }
        if let Some(pages) = pages {
            let (pages, bytes) = pages.heard();
            println!("readers were sent {pages} pages, {} KiB", bytes / 1024);
        }
        Ok(())
    }

    /// Prints how long a commit takes to reach all clusters, and what it costs the hub.
    async fn commit(&mut self, content: &str) -> anyhow::Result<()> {
        let expected = self.args.agents;
        self.ground.commit("next", content)?;
        self.seen.delivered.lock().clear();
        let before = self.hub.usage();
        let pushed = Instant::now();
        self.calls.refresh(v1::RefreshRequest::default()).await?;
        let delivered = delivered(&self.seen, expected, pushed).await?;
        wait_until_current(&mut self.calls, expected).await?;
        let settled = pushed.elapsed();
        percentiles("commit to delivery", delivered);
        println!(
            "all reports absorbed and durable {settled:?} after the commit; {:?} of the hub's CPU",
            self.hub.usage().cpu.saturating_sub(before.cpu)
        );
        if self.args.pages > 0 {
            tokio::time::sleep(WINDOW.saturating_sub(pushed.elapsed())).await;
            let used = self.hub.usage().cpu.saturating_sub(before.cpu);
            println!("{WINDOW:?} around the commit: {used:?} of the hub's CPU");
        }
        Ok(())
    }

    /// Prints what resources the hub uses when it is idle.
    async fn idle(&self) {
        let before = self.hub.usage();
        let idle = Instant::now();
        tokio::time::sleep(Duration::from_secs(20)).await;
        let used = self.hub.usage().cpu.saturating_sub(before.cpu);
        println!("idle for {:?}: {used:?} of the hub's CPU", idle.elapsed());
    }

    /// Prints how long it takes to read all pages of the list of clusters.
    async fn list(&mut self) -> anyhow::Result<()> {
        let asked = Instant::now();
        let request = v1::ListClustersRequest {
            page_size: 1000,
            summary: true,
            ..v1::ListClustersRequest::default()
        };
        let mut token = String::new();
        loop {
            let mut request = request.clone();
            request.page_token = token;
            token = self
                .calls
                .list_clusters(request)
                .await?
                .into_inner()
                .next_page_token;
            if token.is_empty() {
                break;
            }
        }
        println!("listing all clusters: {:?}", asked.elapsed());
        Ok(())
    }

    /// Kills the hub, and prints how long it and all agents take to recover.
    async fn restart(&mut self) -> anyhow::Result<()> {
        let expected = self.args.agents;
        self.hub.kill().await?;
        let killed = Instant::now();
        *self.seen.slowest_connect.lock() = Duration::ZERO;
        self.hub.start().await?;
        println!(
            "hub serves again {:?} after it was killed",
            killed.elapsed()
        );
        let hub = &self.hub;
        // All agents share one source address, so the hub may also refuse the operator for a while.
        let operator = eventually("the hub answers", LIMIT, || async {
            hub.operator("rig").await.ok()
        });
        self.calls = operator.await?.api;
        all_connected("all agents are back", &self.seen, expected).await?;
        println!("all connected {:?} after", killed.elapsed());
        wait_until_current(&mut self.calls, expected).await?;
        println!(
            "all current {:?} after; {:?} of the hub's CPU",
            killed.elapsed(),
            self.hub.usage().cpu
        );
        Ok(())
    }
}

/// Waits until every agent has its stream.
async fn all_connected(what: &str, seen: &FleetState, expected: usize) -> anyhow::Result<()> {
    eventually(what, LIMIT, || async {
        (seen.connected.load(Ordering::Relaxed) == expected).then_some(())
    })
    .await
}

/// Waits until every agent has the assignment; returns how long after the push each one got it.
async fn delivered(
    seen: &FleetState,
    expected: usize,
    pushed: Instant,
) -> anyhow::Result<Vec<Duration>> {
    eventually("all were delivered", LIMIT, || async {
        (seen.delivered.lock().len() == expected).then_some(())
    })
    .await?;
    let told = seen.delivered.lock();
    Ok(told.values().map(|at| at.duration_since(pushed)).collect())
}

/// Waits until every cluster is current and no rollout runs.
async fn wait_until_current(calls: &mut Api, expected: usize) -> anyhow::Result<()> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let over = match calls
            .list_environments(v1::ListEnvironmentsRequest {})
            .await
        {
            Ok(answer) => answer.into_inner().environments.iter().all(|environment| {
                environment
                    .rollout
                    .as_ref()
                    .is_none_or(|rollout| rollout.state == "succeeded")
                    && environment.branches.iter().all(|branch| {
                        branch
                            .revision
                            .as_ref()
                            .is_some_and(|head| head.commit == branch.approved)
                    })
            }),
            Err(_) => false,
        };
        if over && current(calls).await == Some(expected) {
            return Ok(());
        }
        anyhow::ensure!(
            Instant::now() < deadline,
            "not all current within {LIMIT:?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
