//! Cost of the pages of a large fleet: time to draw, size as sent.
//!
//! `cargo bench -p flotilla-web --bench pages`

#![allow(
    clippy::print_stdout,
    reason = "a table of numbers is what this program is for"
)]

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use askama::Template as _;
use flotilla_proto::v1;
use flotilla_status::{Cluster, Environment, Hub};
use flotilla_web::filter::Filter;
use flotilla_web::mirror::{Change, Mirror};
use flotilla_web::overview::Overview;
use flotilla_web::pages::{ClustersPage, EnvironmentPage, EnvironmentView, Frame, Home, PageData};
use jiff::Timestamp;

const CLUSTERS: usize = 10_000;

fn placement(cluster: &str, current: bool) -> v1::ApplicationInCluster {
    let sync = match current {
        true => v1::Sync::Synced,
        false => v1::Sync::OutOfSync,
    };
    v1::ApplicationInCluster {
        cluster: cluster.to_owned(),
        report: Some(v1::ApplicationReport {
            application: "web".to_owned(),
            sync: sync.into(),
            health: v1::Health::Current.into(),
            ..v1::ApplicationReport::default()
        }),
        ..v1::ApplicationInCluster::default()
    }
}

/// One environment of ten thousand clusters, in the middle of a rollout.
fn fleet(now: Timestamp) -> Mirror {
    let mut mirror = Mirror::default();
    mirror.apply(Change::Began, now);
    let share = |part: u32| CLUSTERS as u32 * part / 100;
    let wave = |name: &str, done, started, waiting| v1::WaveStatus {
        name: name.to_owned(),
        done,
        started,
        waiting,
        ..v1::WaveStatus::default()
    };
    let environment = Environment::from(&v1::EnvironmentStatus {
        name: "prod".to_owned(),
        branch: "prod".to_owned(),
        clusters: CLUSTERS as u32,
        online: share(95),
        current: share(40),
        rollout: Some(v1::RolloutStatus {
            id: "prod-7".to_owned(),
            environment: "prod".to_owned(),
            state: "running".to_owned(),
            waves: vec![
                wave("canary", share(10), 0, 0),
                wave("half", share(30), share(15), 0),
                wave("rest", 0, 0, share(45)),
            ],
            wave: 1,
            ..v1::RolloutStatus::default()
        }),
        ..v1::EnvironmentStatus::default()
    });
    mirror.apply(Change::Environment(Box::new(environment)), now);
    for index in 0..CLUSTERS {
        let name = format!("prod-{index:05}");
        let connection = match index % 20 {
            0 => v1::Connection::Offline,
            _ => v1::Connection::Online,
        };
        let labels = [("region", ["eu", "us", "ap"][index % 3]), ("tier", "rest")];
        let cluster = Cluster::from(&v1::ClusterStatus {
            environment: "prod".to_owned(),
            connection: connection.into(),
            labels: labels
                .iter()
                .map(|(key, value)| v1::Label {
                    key: (*key).to_owned(),
                    value: (*value).to_owned(),
                })
                .collect(),
            applications: vec![placement(&name, index % 2 == 0)],
            sync: v1::Sync::OutOfSync.into(),
            health: v1::Health::Current.into(),
            reason: ["", "", "ApplyFailed", "FetchFailed"][index % 4].to_owned(),
            name,
            ..v1::ClusterStatus::default()
        });
        mirror.apply(Change::Cluster(Box::new(cluster)), now);
    }
    mirror.apply(Change::Complete, now);
    mirror
}

fn compressed(html: &str) -> usize {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let written = encoder.write_all(html.as_bytes());
    written
        .and_then(|()| encoder.finish())
        .map_or(0, |bytes| bytes.len())
}

/// Draws a page fifty times.
fn measure(what: &str, draw: impl Fn() -> String) {
    let html = draw();
    let mut took: Vec<Duration> = (0..50)
        .map(|_| {
            let began = Instant::now();
            std::hint::black_box(draw());
            began.elapsed()
        })
        .collect();
    took.sort();
    println!(
        "{what}: {:?} in the middle, {:?} at most; {} kB, {:.1} kB compressed, {} rows",
        took[25],
        took[49],
        html.len() / 1000,
        compressed(&html) as f64 / 1000.0,
        html.matches("data-row").count()
    );
}

fn main() {
    let now = Timestamp::now();
    let hub = Hub::from(&v1::GetHubResponse {
        rights: vec![v1::OperatorRight {
            role: "admin".to_owned(),
            environments: Vec::new(),
        }],
        ..v1::GetHubResponse::default()
    });
    let began = Instant::now();
    let mirror = fleet(now);
    println!("{CLUSTERS} clusters taken in: {:?}", began.elapsed());
    let frame = || Frame::new(&hub, &mirror, "/", "Fleet", now);
    measure("first screen", || {
        let overview = Overview::new(&mirror, now);
        let page = Home::new(frame(), &hub, &overview);
        page.render().unwrap_or_default()
    });
    let overview = Overview::new(&mirror, now);
    measure("first screen of one more reader", || {
        let page = Home::new(frame(), &hub, &overview);
        page.render().unwrap_or_default()
    });
    let list = |filter: Filter| ClustersPage::new(frame(), &mirror, filter);
    measure("list", || {
        list(Filter::default()).render().unwrap_or_default()
    });
    measure("list, filtered by a label", || {
        let filter = Filter {
            q: "region=eu".to_owned(),
            ..Filter::default()
        };
        list(filter).render().unwrap_or_default()
    });
    let Some(environment) = mirror.environment("prod") else {
        return;
    };
    measure("environment", || {
        let asked = PageData::default();
        let view = EnvironmentView::new(&mirror, environment, asked, now);
        let page = EnvironmentPage::new(frame(), &hub, Arc::new(view));
        page.render().unwrap_or_default()
    });
    let view = EnvironmentView::new(&mirror, environment, PageData::default(), now);
    let view = Arc::new(view);
    measure("environment, for each further reader", || {
        let page = EnvironmentPage::new(frame(), &hub, Arc::clone(&view));
        page.render().unwrap_or_default()
    });
}
