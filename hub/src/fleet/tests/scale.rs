//! Cost of a step among ten thousand clusters.

use super::*;

/// A fleet of ten thousand clusters in one environment with waves, all connected and current.
fn large() -> (Fleet, Vec<(ClusterName, Report)>) {
    let file = "
apiVersion: flotilla.dev/v1alpha1
kind: Fleet
repositories: [{name: fleet, url: 'https://git.example.org/fleet'}]
environments:
- {name: dev, branch: dev}
- name: prod
  branch: prod
  promotesFrom: dev
  strategy: {waves: [{name: first, share: '1%'}], maxConcurrent: 100%, soak: 1s}
  gates: {proof: {soak: 1s}}
applications: [{name: web, repository: fleet, path: apps}]
";
    let mut fleet = Fleet::new(Epoch(1));
    let spec = spec::parse("f", file).unwrap();
    fleet.absorb(Event::SpecChanged(Arc::new(spec)), at(0));
    let mut reports = Vec::new();
    for index in 0..10_000u64 {
        fleet.absorb(put(&format!("c{index}"), "prod", None), at(0));
    }
    fleet.absorb(put("d", "dev", None), at(0));
    fleet.absorb(connect("d", 99_999, AssignmentRef::default()), at(1));
    fleet.step(heads(Some(1), Some(1)), at(1));
    for (index, name) in fleet
        .clusters()
        .keys()
        .cloned()
        .enumerate()
        .collect::<Vec<_>>()
    {
        let accepted = fleet.clusters()[&name].assigned_ref();
        let session = SessionId(index as u64 + 1);
        let hello = Hello {
            accepted,
            ..Hello::default()
        };
        fleet.absorb(Event::Connected(name.clone(), session, hello), at(2));
        let report = Report {
            sequence: 1,
            assignment: accepted,
            ..Report::default()
        };
        fleet.absorb(
            Event::Reported(name.clone(), session, report.clone(), Digest::default()),
            at(2),
        );
        reports.push((name, report));
    }
    fleet.advance(at(2));
    (fleet, reports)
}

/// Returns the time of this thread on a processor, as Linux counts it (`proc(5)`, schedstat), so that other programs do
/// not disturb the measurement.
fn spent() -> std::time::Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanoseconds = text.split(' ').next().unwrap().parse().unwrap();
    std::time::Duration::from_nanos(nanoseconds)
}

/// The cost of one report, one heartbeat and one tick among ten thousand clusters. The aim is 10 ms for a step in a
/// release build (`benches/fleet.rs` measures it); this bound applies to the median, and leaves room for a debug build.
#[test]
fn a_step_that_changes_one_cluster_of_ten_thousand_is_quick() {
    let (mut fleet, reports) = large();
    let limit = std::time::Duration::from_millis(if cfg!(debug_assertions) { 600 } else { 20 });
    let mut took = Vec::new();
    for (round, (name, report)) in reports.iter().take(50).enumerate() {
        let session = SessionId(round as u64 + 1);
        let mut report = report.clone();
        report.sequence += 1;
        let now = at(3 + round as i64);
        let events = [
            Event::Reported(name.clone(), session, report, Digest::default()),
            Event::Heartbeat {
                cluster: name.clone(),
                session,
                accepted: fleet.clusters()[name].accepted,
                report: Digest::default(),
                clock: Some(now),
            },
            Event::Tick,
        ];
        for event in events {
            let before = spent();
            fleet.step(event, now);
            took.push(spent() - before);
        }
    }
    let all: std::time::Duration = took.iter().sum();
    assert!(!all.is_zero(), "nothing was measured");
    took.sort();
    let median = took[took.len() / 2];
    let p99 = took[took.len() * 99 / 100];
    println!("a step over 10,000 clusters: median {median:?}, p99 {p99:?}");
    assert!(median < limit, "median {median:?}, p99 {p99:?}");
}
