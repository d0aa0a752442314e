//! The scale rig: one hub process, thousands of simulated agents over the full protocol and mTLS.
//!
//! `cargo run --release -p flotilla-tests --bin scale-rig -- --agents 10000`

#![allow(
    clippy::print_stdout,
    reason = "a table of numbers is what this program is for"
)]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use flotilla_hub::fleet::ClusterRecord;
use flotilla_proto::v1;
use flotilla_proto::v1::enrollment_service_client::EnrollmentServiceClient;
use flotilla_proto::v1::fleet_service_client::FleetServiceClient;
use flotilla_shared::dial::dial;
use flotilla_shared::id::ClusterName;
use flotilla_shared::identity::Identity;
use flotilla_shared::object::{Action, ObjectNames, ObjectRef};
use flotilla_shared::plan::{ApplicationChanges, Change, ClusterPlan};
use flotilla_shared::tls;
use flotilla_tests::git_server::GitServer;
use flotilla_tests::hub_process::HubProcess;
use flotilla_tests::issuer::Issuer;
use flotilla_tests::open_pages::{self, OpenPages};
use flotilla_tests::repository::Repository;
use flotilla_tests::simulated::{Agent, Enrolled, Seen};
use flotilla_tests::{eventually, programs};
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::transport::Channel;

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

fn fleet_file(args: &Args, url: &str) -> String {
    let mut text = format!(
        "apiVersion: flotilla.dev/v1alpha1\nkind: Fleet\nrepositories:\n- {{name: fleet, url: '{url}'}}\nenvironments:\n"
    );
    for index in 0..args.environments {
        text.push_str(&format!("- name: env-{index}\n  branch: env-{index}\n"));
        if args.waves {
            text.push_str(
                "  strategy:\n    waves: [{name: first, share: '25%'}, {name: second, share: '25%'}]\n    \
                 maxConcurrent: 50%\n",
            );
        }
    }
    text.push_str("applications:\n- {name: web, repository: fleet, path: 'apps'}\n");
    text
}

/// What a commit and its reports cost is counted over so long, with and without open pages.
const WINDOW: Duration = Duration::from_secs(20);

type Api = FleetServiceClient<Channel>;

async fn api(hub: &HubProcess, enrolled: &Enrolled) -> anyhow::Result<Api> {
    let identity = enrolled.identity(&"spiffe://flotilla/operator/rig".parse()?)?;
    let tls = tls::client_config(enrolled.trust_bundle(), Some(&identity))?;
    let channel = dial(&hub.address, Arc::new(tls)).await?;
    Ok(FleetServiceClient::new(channel).max_decoding_message_size(64 << 20))
}

async fn current(api: &mut Api) -> Option<usize> {
    let answer = api
        .list_environments(v1::ListEnvironmentsRequest {})
        .await
        .ok()?;
    let all = answer.into_inner().environments;
    Some(all.iter().map(|one| one.current as usize).sum())
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

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    tls::install_provider();
    let programs: PathBuf = programs::build_some(&["flotilla-hub"]).await?;
    let directory = tempfile::tempdir()?;
    let repository = Repository::create(directory.path(), "fleet")?;
    let names: Vec<String> = (0..args.environments)
        .map(|index| format!("env-{index}"))
        .collect();
    let branches: Vec<&str> = names.iter().map(String::as_str).collect();
    repository.write(
        "apps/web.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
    )?;
    repository.push("first", &branches)?;
    let git = GitServer::start(&directory.path().join("served"), "127.0.0.1:0").await?;
    std::fs::write(
        directory.path().join("fleet.yaml"),
        fleet_file(&args, &git.url("fleet.git")),
    )?;
    let clusters: Vec<(ClusterName, ClusterRecord)> = (0..args.agents)
        .map(|index| {
            let record = ClusterRecord {
                environment: Some(format!("env-{}", index % args.environments).parse()?),
                ..ClusterRecord::default()
            };
            Ok((format!("c{index}").parse()?, record))
        })
        .collect::<anyhow::Result<_>>()?;
    let enrolled = Enrolled::new(&directory.path().join("hub"), &clusters).await?;
    let issuer = Issuer::start().await?;
    let oidc = directory.path().join("oidc.yaml");
    open_pages::let_in(&issuer, &oidc)?;
    let oidc = (args.pages > 0).then_some(oidc.as_path());
    let start = |listen: String| {
        let (programs, directory) = (&programs, directory.path());
        async move { HubProcess::start_with(programs, directory, &listen, None, oidc).await }
    };
    let mut hub = start("127.0.0.1:0".to_owned()).await?;
    let mut calls = api(&hub, &enrolled).await?;
    let empty = hub.usage();

    let seen = Arc::new(Seen::default());
    let (stop, stopped) = watch::channel(false);
    let hubs = Arc::new(vec![hub.address.clone()]);
    let work = Duration::from_millis(args.work);
    let began = Instant::now();
    for (name, _) in &clusters {
        let agent = Agent::new(&enrolled, name, &hubs, work)?;
        tokio::spawn(agent.run(Arc::clone(&seen), stopped.clone()));
        // As many at once as a fleet that was started by people.
        if seen.connected.load(Ordering::Relaxed) % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let wanted = args.agents;
    let limit = Duration::from_secs(300);
    eventually("all agents connected", limit, || async {
        (seen.connected.load(Ordering::Relaxed) == wanted).then_some(())
    })
    .await?;
    println!("{wanted} agents connected in {:?}", began.elapsed());
    settle(&mut calls, wanted, limit).await?;
    println!("all current in {:?}", began.elapsed());
    tokio::time::sleep(Duration::from_secs(5)).await;
    let full = hub.usage();
    println!(
        "hub: {} MiB resident, {} KiB an agent, {:?} of CPU so far",
        full.resident_kib / 1024,
        full.resident_kib.saturating_sub(empty.resident_kib) / wanted as u64,
        full.cpu
    );

    for opened in [0, args.pages] {
        let pages = match (opened, &hub.pages) {
            (1.., Some(link)) => {
                let address = link.trim_start_matches("http://").trim_end_matches('/');
                let open = OpenPages::open(address, opened, &["/", "/env/env-0"]).await?;
                println!("{opened} pages are open");
                Some(open)
            }
            _ => None,
        };
        for round in 0..3 {
            repository.write("apps/web.yaml", &format!("# {opened} {round}\n"))?;
            repository.push("next", &branches)?;
            seen.delivered.lock().clear();
            let before = hub.usage();
            let pushed = Instant::now();
            calls.refresh(v1::RefreshRequest::default()).await?;
            let delivered = delivered(&seen, wanted, pushed, limit).await?;
            settle(&mut calls, wanted, limit).await?;
            let settled = pushed.elapsed();
            percentiles("commit to delivery", delivered);
            println!(
                "all reports absorbed and durable {settled:?} after the commit; {:?} of the hub's CPU",
                hub.usage().cpu.saturating_sub(before.cpu)
            );
            if args.pages > 0 {
                tokio::time::sleep(WINDOW.saturating_sub(pushed.elapsed())).await;
                let used = hub.usage().cpu.saturating_sub(before.cpu);
                println!("{WINDOW:?} around the commit: {used:?} of the hub's CPU");
            }
        }
        if let Some(pages) = pages {
            let (pages, bytes) = pages.heard();
            println!("readers were sent {pages} pages, {} KiB", bytes / 1024);
        }
        if args.pages == 0 {
            break;
        }
    }
    if args.plan {
        *seen.plans.lock() = three_answers()?;
        let head = flotilla_tests::repository::git(&repository.work, &["rev-parse", "HEAD"])?;
        for _ in 0..3 {
            plan(&hub, &mut calls, &head).await?;
        }
        repository.write("apps/web.yaml", "# planned meanwhile\n")?;
        repository.push("planned meanwhile", &branches)?;
        seen.delivered.lock().clear();
        let pushed = Instant::now();
        calls.refresh(v1::RefreshRequest::default()).await?;
        plan(&hub, &mut calls, &head).await?;
        let delivered = delivered(&seen, wanted, pushed, limit).await?;
        percentiles("commit to delivery beside a plan", delivered);
        settle(&mut calls, wanted, limit).await?;
    }
    let before = hub.usage();
    let idle = Instant::now();
    tokio::time::sleep(Duration::from_secs(20)).await;
    let used = hub.usage().cpu.saturating_sub(before.cpu);
    println!("idle for {:?}: {used:?} of the hub's CPU", idle.elapsed());
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
        token = calls
            .list_clusters(request)
            .await?
            .into_inner()
            .next_page_token;
        if token.is_empty() {
            break;
        }
    }
    println!("listing all clusters: {:?}", asked.elapsed());

    renew(&hub, &enrolled, clusters.iter().take(args.renewals)).await?;

    if args.restart {
        let address = hub.address.clone();
        hub.kill().await?;
        let killed = Instant::now();
        *seen.slowest_connect.lock() = Duration::ZERO;
        hub = start(address).await?;
        println!(
            "hub serves again {:?} after it was killed",
            killed.elapsed()
        );
        // Among ten thousand of the same address a person is turned away as well, and dials again.
        calls = eventually("the hub answers", limit, || async {
            api(&hub, &enrolled).await.ok()
        })
        .await?;
        eventually("all agents are back", limit, || async {
            (seen.connected.load(Ordering::Relaxed) == wanted).then_some(())
        })
        .await?;
        println!("all connected {:?} after", killed.elapsed());
        settle(&mut calls, wanted, limit).await?;
        println!(
            "all current {:?} after; {:?} of the hub's CPU",
            killed.elapsed(),
            hub.usage().cpu
        );
    }
    let _ = stop.send(true);
    Ok(())
}

/// What a third of the agents each say: four changed objects, another four, or that nothing changes.
fn three_answers() -> anyhow::Result<Vec<ClusterPlan>> {
    let mut answers = Vec::new();
    for kind in ["ConfigMap", "Service"] {
        let changes = (0..4).map(|number| Change {
            object: ObjectRef::from(ObjectNames {
                group: String::new(),
                kind: kind.to_owned(),
                namespace: "web".to_owned(),
                name: format!("object-{number}"),
            }),
            action: Action::Updated,
            reason: None,
            managers: Vec::new(),
            fields: (0..5)
                .map(|field| format!("/spec/template/{field}"))
                .collect(),
            message: String::new(),
        });
        let changes = ApplicationChanges {
            changes: changes.collect(),
            unchanged: 10,
            ..ApplicationChanges::default()
        };
        answers.push(ClusterPlan {
            applications: [("web".parse()?, changes)].into(),
        });
    }
    answers.push(ClusterPlan {
        applications: [("web".parse()?, ApplicationChanges::default())].into(),
    });
    Ok(answers)
}

/// Asks the first environment's agents about a commit, and says how long it took.
async fn plan(hub: &HubProcess, calls: &mut Api, head: &str) -> anyhow::Result<()> {
    let (before, asked) = (hub.usage(), Instant::now());
    let request = v1::StartPlanRequest {
        environment: "env-0".to_owned(),
        branch: "env-0".to_owned(),
        commit: head.to_owned(),
        ..v1::StartPlanRequest::default()
    };
    let started = calls.start_plan(request).await?.into_inner();
    let mut plan = started.plan.context("a plan")?;
    while !plan.done {
        let id = plan.id.clone();
        let got = calls
            .get_plan(v1::GetPlanRequest { id })
            .await?
            .into_inner();
        plan = got.plan.context("a plan")?;
    }
    let (took, after) = (asked.elapsed(), hub.usage());
    let groups: Vec<usize> = plan.groups.iter().map(|one| one.clusters.len()).collect();
    println!(
        "plan: {took:?}, {:?} of the hub's CPU, {} KiB more resident; clusters by answer {groups:?}",
        after.cpu.saturating_sub(before.cpu),
        after.resident_kib.saturating_sub(before.resident_kib),
    );
    Ok(())
}

/// Renews certificates as fast as eight at once can, and says what 10,000 an hour would cost.
async fn renew(
    hub: &HubProcess,
    enrolled: &Enrolled,
    clusters: impl Iterator<Item = &(ClusterName, ClusterRecord)>,
) -> anyhow::Result<()> {
    let (before, began) = (hub.usage(), Instant::now());
    let calls = clusters.map(|(name, _)| async {
        let identity = enrolled.identity(&Identity::Cluster(name.clone()))?;
        let tls = tls::client_config(enrolled.trust_bundle(), Some(&identity))?;
        let asked = Instant::now();
        let channel = dial(&hub.address, Arc::new(tls)).await?;
        EnrollmentServiceClient::new(channel)
            .renew(v1::RenewRequest {
                csr: enrolled.csr(),
            })
            .await?;
        anyhow::Ok(asked.elapsed())
    });
    let calls: Vec<_> = calls.collect();
    let took: Vec<Duration> = futures::stream::iter(calls)
        .buffer_unordered(8)
        .try_collect()
        .await?;
    if took.is_empty() {
        return Ok(());
    }
    let cpu = hub.usage().cpu.saturating_sub(before.cpu);
    let each = cpu.as_secs_f64() / took.len() as f64;
    println!(
        "{} renewals in {:?}: {:.2} ms of the hub's CPU each, {:.2} % of a core for 10,000 an hour",
        took.len(),
        began.elapsed(),
        each * 1e3,
        each * 10_000.0 / 3600.0 * 100.0
    );
    percentiles("renewal with its handshake", took);
    Ok(())
}

/// Waits until every agent was told, and says how long after the push each of them was.
async fn delivered(
    seen: &Seen,
    wanted: usize,
    pushed: Instant,
    limit: Duration,
) -> anyhow::Result<Vec<Duration>> {
    eventually("all were delivered", limit, || async {
        (seen.delivered.lock().len() == wanted).then_some(())
    })
    .await?;
    let told = seen.delivered.lock();
    Ok(told.values().map(|at| at.duration_since(pushed)).collect())
}

/// Waits until every cluster is current and no rollout runs.
async fn settle(calls: &mut Api, wanted: usize, limit: Duration) -> anyhow::Result<()> {
    let deadline = Instant::now() + limit;
    loop {
        let over = match calls
            .list_environments(v1::ListEnvironmentsRequest {})
            .await
        {
            Ok(answer) => answer.into_inner().environments.iter().all(|one| {
                one.rollout
                    .as_ref()
                    .is_none_or(|rollout| rollout.state == "succeeded")
                    && one.branches.iter().all(|branch| {
                        branch
                            .revision
                            .as_ref()
                            .is_some_and(|head| head.commit == branch.approved)
                    })
            }),
            Err(_) => false,
        };
        if over && current(calls).await == Some(wanted) {
            return Ok(());
        }
        anyhow::ensure!(
            Instant::now() < deadline,
            "not all current within {limit:?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
