//! Proofs of commits by the environment before.

use super::*;

#[test]
fn a_soak_goes_on_over_a_restart_where_nothing_happened() {
    for (same, want) in [(true, Some(at(4))), (false, Some(at(51)))] {
        let mut fleet = fleet();
        fleet.step(put("d", "dev", None), at(1));
        fleet.step(heads(Some(1), Some(2)), at(2));
        fleet.step(connect("d", 1, AssignmentRef::default()), at(3));
        let assigned = fleet.clusters()[&name("d")].assigned.clone().unwrap();
        let report = current(&assigned);
        let digest = |report: &Report| Digest::of(&encode_report(report).encode_to_vec());
        fleet.step(connect("d", 2, assigned.reference), at(3));
        let reported = Event::Reported(name("d"), SessionId(2), report.clone(), digest(&report));
        let effects = fleet.step(reported, at(4));
        let stored = effects.iter().find_map(|effect| match effect {
            Effect::StoreReport(_, report, since) => Some((report.clone(), *since)),
            _ => None,
        });
        let (stored, since) = stored.unwrap();
        assert_eq!(since, Some(at(4)));
        // The hub is down for a while; heads that it had read are stored.
        let mut again = Fleet::new(Epoch(1));
        again.step(
            Event::Restored {
                heads: fleet.heads().clone().into_iter().collect(),
                clusters: vec![StoredCluster {
                    name: name("d"),
                    record: ClusterRecord::clone(&fleet.clusters()[&name("d")].record),
                    assignment: Some(StoredAssignment {
                        decoded: assigned.clone(),
                    }),
                    report: Some(stored),
                    current_since: since,
                }],
                environments: Vec::new(),
                retired: Vec::new(),
                specifications: Vec::new(),
                rollouts: Vec::new(),
            },
            at(50),
        );
        again.step(Event::SpecChanged(Arc::clone(fleet.spec())), at(50));
        again.step(heads(Some(1), Some(2)), at(50));
        let given = again.clusters()[&name("d")].assigned_ref();
        assert_eq!(given, assigned.reference, "nothing else is assigned");
        again.step(connect("d", 1, assigned.reference), at(51));
        let mut report = report;
        if !same {
            report.sequence += 1;
        }
        let now = digest(&report);
        again.step(
            Event::Reported(name("d"), SessionId(1), report, now),
            at(60),
        );
        assert_eq!(again.clusters()[&name("d")].current_since, want);
    }
}

/// A proof that may still come is shown differently from one that will not.
#[test]
fn a_proof_that_may_still_come_is_told_from_one_that_does_not() {
    use super::gate::Open;
    let closed = |fleet: &Fleet, n: u64| -> Vec<(Open, bool)> {
        let prod = fleet.spec().environment(&"prod".parse().unwrap());
        let target = [("fleet".parse().unwrap(), commit(n))].into();
        let gates = fleet.gates(prod.unwrap(), &target, at(10));
        let all = gates.iter().map(|gate| (gate.open, gate.lasting));
        all.collect()
    };
    let mut fleet = fleet();
    fleet.step(heads(Some(1), Some(0)), at(1));
    assert_eq!(closed(&fleet, 1), [(Open::No, true)], "nobody is there");
    fleet.step(put("d", "dev", None), at(2));
    assert_eq!(closed(&fleet, 1), [(Open::NotYet, false)], "it is offline");
    fleet.step(connect("d", 1, AssignmentRef::default()), at(3));
    assert_eq!(
        closed(&fleet, 1),
        [(Open::No, false)],
        "it has not reported"
    );
    assert_eq!(closed(&fleet, 7), [(Open::No, true)], "dev is elsewhere");
    let pin = Action::Pin {
        subject: Subject::Cluster(name("d")),
        commit: None,
        repository: None,
        expires_at: None,
        approval: None,
        overriding: GateOverride::Denied,
    };
    fleet.act(&pin, "ada", "why", at(4)).unwrap();
    fleet.step(heads(Some(2), Some(0)), at(5));
    assert_eq!(closed(&fleet, 2), [(Open::No, false)], "it may be let go");
}

pub(super) const PROVING: &str = "apiVersion: flotilla.dev/v1alpha1
kind: Fleet
repositories:
- {name: fleet, url: 'https://git.example.com/fleet.git'}
environments:
- {name: dev, branch: dev}
- {name: prod, branch: prod, promotesFrom: dev, gates: {proof: {soak: 10s}}}
applications:
- {name: web, repository: fleet, path: apps/web}
";

/// A fleet in which dev has proven commit 1, and whose pull request was merged as commit 2.
fn merged() -> (Fleet, i64) {
    let mut fleet = Fleet::new(Epoch(1));
    let spec = spec::parse("f", PROVING).unwrap();
    fleet.step(Event::SpecChanged(Arc::new(spec)), at(0));
    fleet.step(put("d", "dev", None), at(1));
    fleet.step(put("p", "prod", None), at(1));
    fleet.step(heads(Some(1), Some(0)), at(2));
    let mut second = 2;
    for (session, cluster) in [(1, "d"), (2, "p")] {
        fleet.step(connect(cluster, session, AssignmentRef::default()), at(3));
    }
    let assigned = fleet.clusters()[&name("d")].assigned.clone().unwrap();
    fleet.step(connect("d", 3, assigned.reference), at(3));
    let report = current(&assigned);
    let digest = Digest::of(&encode_report(&report).encode_to_vec());
    fleet.step(
        Event::Reported(name("d"), SessionId(3), report, digest),
        at(4),
    );
    for _ in 0..20 {
        second += 1;
        heard(&mut fleet, second);
        fleet.step(Event::Tick, at(second));
    }
    fleet.step(heads(Some(1), Some(2)), at(second));
    (fleet, second)
}

fn heard(fleet: &mut Fleet, second: i64) {
    fleet.clusters.hear_all(at(second));
}

fn read(fleet: &mut Fleet, roots: &[(u64, u8)], second: i64) {
    let repository: RepositoryName = "fleet".parse().unwrap();
    for missing in fleet.missing_trees(&repository) {
        let root = roots
            .iter()
            .find(|(n, _)| commit(*n) == missing)
            .map(|(_, root)| *root);
        let root = root.unwrap_or_else(|| panic!("nobody needs {missing}"));
        let directories = flotilla_shared::source::Directories::new([(".".to_owned(), [root; 20])]);
        let event = Event::TreesRead {
            repository: repository.clone(),
            commit: missing,
            directories: Arc::new(directories),
        };
        fleet.step(event, at(second));
    }
}

fn health_gates(fleet: &Fleet, n: u64, second: i64) -> Vec<gate::Gate> {
    let prod = fleet.spec().environment(&"prod".parse().unwrap());
    let target = [("fleet".parse().unwrap(), commit(n))].into();
    let mut gates = fleet.gates(prod.unwrap(), &target, at(second));
    gates.retain(|gate| gate.gate == gate::GateKind::Health);
    gates
}

/// GitHub's merge button always creates another commit than the tested one.
#[test]
fn a_merge_of_what_was_proven_is_proven_by_its_tree() {
    let (mut fleet, second) = merged();
    let prod: EnvironmentName = "prod".parse().unwrap();
    assert!(
        health_gates(&fleet, 2, second)
            .iter()
            .any(gate::Gate::holds_back)
    );
    read(&mut fleet, &[(0, 9), (1, 7), (2, 7)], second);
    let gates = health_gates(&fleet, 2, second);
    let texts: Vec<&str> = gates.iter().map(|gate| gate.text.as_str()).collect();
    let short = commit(1).short().to_owned();
    assert_eq!(
        texts,
        [format!(
            "dev proved {short}, which has exactly the same files (proof by tree)"
        )]
    );
    assert!(!gates.iter().any(gate::Gate::holds_back));
    // It is rolled out under its own name.
    heard(&mut fleet, second + 1);
    fleet.step(Event::Tick, at(second + 1));
    let rollout = &fleet.rollouts()[&prod];
    assert!(rollout.started_at.is_some(), "{rollout:?}");
    assert_eq!(rollout.target.values().next(), Some(&commit(2)));
    let assigned = fleet.clusters()[&name("p")].assigned.clone().unwrap();
    let revision = &assigned
        .assignment
        .applications
        .values()
        .next()
        .unwrap()
        .revision;
    assert_eq!(revision.commit, commit(2));
}

#[test]
fn one_other_file_and_the_tree_proves_nothing() {
    let (mut fleet, second) = merged();
    read(&mut fleet, &[(0, 9), (1, 7), (2, 8)], second);
    assert!(
        health_gates(&fleet, 2, second)
            .iter()
            .any(gate::Gate::holds_back)
    );
    heard(&mut fleet, second + 1);
    fleet.step(Event::Tick, at(second + 1));
    let prod: EnvironmentName = "prod".parse().unwrap();
    assert!(fleet.rollouts()[&prod].started_at.is_none());
}

/// The status on a pull request names the commit that was proven.
#[test]
fn a_commit_that_only_its_twin_proves_has_no_proof_of_its_own() {
    let (mut fleet, second) = merged();
    read(&mut fleet, &[(0, 9), (1, 7), (2, 7)], second);
    let own = |environment: &str, n: u64| {
        let (environment, repository) = (environment.parse().unwrap(), "fleet".parse().unwrap());
        fleet.is_proof_its_own(&environment, &repository, &commit(n))
    };
    assert!(own("prod", 1));
    assert!(!own("prod", 2));
    assert!(own("prod", 7), "nobody has proven it under any name");
    assert!(own("nowhere", 2));
}
