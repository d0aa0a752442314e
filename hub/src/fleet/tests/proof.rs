//! How the environment before proves commits.

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
        // The hub is away for a while.
        let mut again = Fleet::new(Epoch(1));
        again.step(
            Event::Restored {
                heads: Vec::new(),
                clusters: vec![StoredCluster {
                    name: name("d"),
                    record: fleet.clusters()[&name("d")].record.clone(),
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
        let assigned = again.clusters()[&name("d")].assigned.clone().unwrap();
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

/// Who waits for a proof is told whether it may still come.
#[test]
fn a_proof_that_may_still_come_is_told_from_one_that_does_not() {
    use super::gates::Open;
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
        admin: false,
    };
    fleet.act(&pin, "ada", "why", at(4)).unwrap();
    fleet.step(heads(Some(2), Some(0)), at(5));
    assert_eq!(closed(&fleet, 2), [(Open::No, false)], "it may be let go");
}
