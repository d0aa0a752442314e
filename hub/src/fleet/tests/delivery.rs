//! Assignments and messages reach clusters, whatever is lost on the way.

use super::*;

#[test]
fn a_pushed_commit_reaches_the_clusters_of_its_environment_only() {
    let mut fleet = fleet();
    fleet.step(put("p", "prod", Some("eu")), at(1));
    fleet.step(put("d", "dev", None), at(1));
    fleet.step(connect("p", 1, AssignmentRef::default()), at(2));
    fleet.step(connect("d", 2, AssignmentRef::default()), at(2));
    let effects = fleet.step(heads(Some(1), Some(2)), at(3));
    assert_eq!(sent(&effects).len(), 2);
    let effects = fleet.step(heads(Some(1), Some(3)), at(4));
    let want = vec![
        "region regions/eu prod".to_owned(),
        "web apps/web/prod prod".to_owned(),
    ];
    let generation = fleet.clusters()[&name("p")].assigned_ref().generation.0;
    assert_eq!(sent(&effects), [(generation, want)]);
    assert!(
        fleet.step(heads(Some(1), Some(3)), at(5)).is_empty(),
        "nothing new, nothing done"
    );
}

#[test]
fn p06_a_failing_repository_or_missing_branch_takes_nothing_away() {
    let mut fleet = fleet();
    fleet.step(put("p", "prod", Some("eu")), at(1));
    fleet.step(heads(Some(1), Some(2)), at(2));
    let before = fleet.clusters()[&name("p")].assigned.clone();
    assert!(before.is_some());
    for event in [failed(), heads(None, None), heads(Some(1), None)] {
        assert!(fleet.step(event, at(3)).is_empty());
        assert_eq!(fleet.clusters()[&name("p")].assigned, before);
    }
    let head = fleet
        .head(&"fleet".parse().unwrap(), &"prod".parse().unwrap())
        .unwrap();
    assert_eq!(
        head.problem.as_ref().map(|problem| problem.reason),
        Some(Reason::BranchNotFound)
    );
}

#[test]
fn a_cluster_that_cannot_fill_a_template_keeps_its_other_applications() {
    let mut fleet = fleet();
    fleet.step(put("p", "prod", None), at(1));
    fleet.step(heads(Some(1), Some(2)), at(2));
    let cluster = &fleet.clusters()[&name("p")];
    let applications = &cluster.assigned.as_ref().unwrap().assignment.applications;
    assert_eq!(
        applications
            .keys()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        ["web"]
    );
    let problem = cluster
        .placed
        .values()
        .find_map(|placed| placed.problem.clone())
        .unwrap();
    assert_eq!(problem.reason, Reason::TemplateFailed);
}

#[test]
fn p10_a_cluster_without_an_environment_keeps_its_last_assignment() {
    let mut fleet = fleet();
    fleet.step(put("p", "prod", Some("eu")), at(1));
    fleet.step(heads(Some(1), Some(2)), at(2));
    let before = fleet.clusters()[&name("p")].assigned.clone();
    let effects = fleet.step(
        Event::ClusterPut(name("p"), ClusterRecord::default()),
        at(3),
    );
    assert!(sent(&effects).is_empty());
    assert_eq!(fleet.clusters()[&name("p")].assigned, before);
}

#[test]
fn p08_an_agent_that_is_ahead_is_shown_and_sent_nothing() {
    let mut fleet = fleet();
    fleet.step(put("p", "prod", Some("eu")), at(1));
    fleet.step(heads(Some(1), Some(2)), at(2));
    let ahead = AssignmentRef {
        epoch: Epoch(1),
        generation: Generation(99),
        digest: Digest::of(b"another world"),
    };
    let effects = fleet.step(connect("p", 1, ahead), at(3));
    assert!(sent(&effects).is_empty());
    let cluster = &fleet.clusters()[&name("p")];
    assert_eq!(
        cluster.refusal.as_ref().map(|refusal| refusal.reason),
        Some(Reason::AgentAhead)
    );
}

#[test]
fn p08_an_agent_that_enrolled_anew_goes_on_above_what_it_runs() {
    let accepted = |epoch: u64| AssignmentRef {
        epoch: Epoch(epoch),
        generation: Generation(99),
        digest: Digest::of(b"from before it was removed"),
    };
    let first = |reference: AssignmentRef| {
        let mut connected = connect("p", 1, reference);
        if let Event::Connected(_, _, hello) = &mut connected {
            hello.counter = 1;
        }
        connected
    };
    let issued = || {
        let certificate = crate::fleet::IssuedCertificate {
            counter: 1,
            issuer: String::new(),
            key: "k".to_owned(),
            expires_at: at(10_000),
        };
        Event::Issued(name("p"), certificate)
    };
    let generation = |fleet: &Fleet| fleet.clusters()[&name("p")].assigned_ref().generation.0;
    // Whether it has its assignment before it connects, or only afterwards.
    for heads_first in [true, false] {
        let mut fleet = fleet();
        fleet.step(put("p", "prod", Some("eu")), at(1));
        fleet.step(issued(), at(1));
        if heads_first {
            fleet.step(heads(Some(1), Some(2)), at(2));
        }
        let mut effects = fleet.step(first(accepted(1)), at(3));
        if !heads_first {
            effects = fleet.step(heads(Some(1), Some(2)), at(4));
        }
        assert_eq!(sent(&effects).len(), 1);
        assert!(generation(&fleet) > 99);
        assert_eq!(fleet.clusters()[&name("p")].refusal, None);
    }
    // Another epoch does not count, and neither does a certificate that was presented before.
    let mut other = fleet();
    other.step(put("p", "prod", Some("eu")), at(1));
    other.step(issued(), at(1));
    other.step(heads(Some(1), Some(2)), at(2));
    for epoch in [2, 1] {
        assert!(sent(&other.step(first(accepted(epoch)), at(3))).is_empty());
        let refusal = other.clusters()[&name("p")].refusal.clone();
        assert_eq!(
            refusal.map(|refusal| refusal.reason),
            Some(Reason::AgentAhead)
        );
    }
    // An agent that reports an extremely high generation is not believed.
    let mut fleet = fleet();
    fleet.step(put("p", "prod", Some("eu")), at(1));
    fleet.step(issued(), at(1));
    let farthest = AssignmentRef {
        generation: Generation(u64::MAX),
        ..accepted(1)
    };
    fleet.step(first(farthest), at(2));
    fleet.step(heads(Some(1), Some(2)), at(3));
    assert!(generation(&fleet) < 99);
    let refusal = fleet.clusters()[&name("p")].refusal.clone();
    assert_eq!(
        refusal.map(|refusal| refusal.reason),
        Some(Reason::AgentAhead)
    );
}

#[test]
fn a_newer_stream_takes_over_and_the_older_is_not_listened_to() {
    let mut fleet = fleet();
    fleet.step(put("p", "prod", Some("eu")), at(1));
    fleet.step(connect("p", 1, AssignmentRef::default()), at(2));
    let effects = fleet.step(connect("p", 2, AssignmentRef::default()), at(3));
    assert!(
        effects
            .iter()
            .any(|e| matches!(e, Effect::Close(_, SessionId(1), ..)))
    );
    fleet.step(Event::Disconnected(name("p"), SessionId(1)), at(4));
    let offline_after = jiff::SignedDuration::from_secs(30);
    let connection = fleet.clusters()[&name("p")].connection(at(5), offline_after);
    assert_eq!(connection, Connectivity::Online { since: at(3) });
    assert_eq!(
        fleet.clusters()[&name("p")].connection(at(50), offline_after),
        Connectivity::Offline
    );
}

#[test]
fn h09_heartbeats_heal_lost_assignments_and_reports() {
    let mut fleet = fleet();
    fleet.step(put("p", "prod", Some("eu")), at(1));
    fleet.step(connect("p", 1, AssignmentRef::default()), at(1));
    fleet.step(heads(Some(1), Some(2)), at(2));
    let effects = fleet.step(
        Event::Heartbeat {
            cluster: name("p"),
            session: SessionId(1),
            accepted: AssignmentRef::default(),
            report: Digest::of(b"never arrived"),
            clock: None,
        },
        at(3),
    );
    assert!(effects.iter().any(|e| matches!(e, Effect::Send(..))));
    assert!(
        effects
            .iter()
            .any(|e| matches!(e, Effect::RequestReport(..)))
    );
}

#[test]
fn how_far_a_clock_is_off_is_known_of_the_present_stream_only() {
    let mut fleet = fleet();
    fleet.step(put("p", "prod", Some("eu")), at(1));
    fleet.step(connect("p", 1, AssignmentRef::default()), at(1));
    let mut beat = |session, clock, second| {
        let event = Event::Heartbeat {
            cluster: name("p"),
            session: SessionId(session),
            accepted: AssignmentRef::default(),
            report: Digest::default(),
            clock,
        };
        fleet.step(event, at(second));
        let cluster = &fleet.clusters()[&name("p")];
        (cluster.clock_ahead, cluster.version)
    };
    assert_eq!(beat(1, None, 2).0, 0, "an older agent");
    assert_eq!(beat(1, Some(at(300)), 3).0, 0, "not far enough");
    let (ahead, version) = beat(1, Some(at(3604)), 4);
    assert_eq!(ahead, 3600);
    let on_its_way = beat(1, Some(at(3609)), 12);
    assert_eq!(on_its_way, (3600, version), "watchers hear nothing new");
    assert_eq!(beat(2, Some(at(13)), 13).0, 3600, "another stream's word");
    assert_eq!(beat(1, Some(at(14)), 14).0, 0, "somebody has set it right");
    assert_eq!(beat(1, Some(at(-7200)), 15).0, -7215);
    fleet.step(Event::Disconnected(name("p"), SessionId(1)), at(16));
    assert_eq!(fleet.clusters()[&name("p")].clock_ahead, 0);
}

#[test]
fn a_pin_over_another_says_whose_it_replaces() {
    let mut fleet = fleet();
    fleet.step(put("p", "prod", Some("eu")), at(1));
    fleet.step(heads(Some(1), Some(2)), at(2));
    let pin = Action::Pin {
        subject: Subject::Cluster(name("p")),
        commit: None,
        repository: None,
        expires_at: Some(at(50)),
        approval: None,
        overriding: GateOverride::Denied,
    };
    let mut act = |by, reason, second| fleet.act(&pin, by, reason, at(second)).unwrap().answer;
    let first = act("ada", "lunch", 3);
    assert!(!first.contains("earlier pin"), "{first}");
    assert_eq!(
        act("bob", "holiday", 4),
        format!("{first} (replaces the earlier pin by ada: lunch)")
    );
    assert_eq!(act("eve", "audit", 51), first, "bob's has ended");
}

/// Random worlds: generations grow exactly when the content changes, stores precede sends, and no failure removes an
/// application.
#[test]
fn i04_generations_only_grow_and_every_send_was_stored() {
    let seed: u64 = rand::rng().random();
    eprintln!("seed {seed}");
    for round in 0..2_000u64 {
        let mut rng = rand::rngs::StdRng::seed_from_u64(seed.wrapping_add(round));
        let mut fleet = fleet();
        let mut stored: BTreeMap<ClusterName, AssignmentRef> = BTreeMap::new();
        let mut session = 0;
        for second in 0..30 {
            let cluster = *["a", "b", "c"].choose(&mut rng).unwrap();
            let environment = *["dev", "prod"].choose(&mut rng).unwrap();
            let n = rng.random_range(0..4);
            let event = match rng.random_range(0..8) {
                0 => put(
                    cluster,
                    environment,
                    [None, Some("eu")].choose(&mut rng).unwrap().as_deref(),
                ),
                1 => heads(Some(n), rng.random_bool(0.8).then_some(n)),
                2 => failed(),
                3 => {
                    session += 1;
                    let accepted = stored.get(&name(cluster)).copied().unwrap_or_default();
                    connect(cluster, session, accepted)
                }
                4 => Event::Disconnected(name(cluster), SessionId(session)),
                5 => Event::Reported(
                    name(cluster),
                    SessionId(session),
                    Report::default(),
                    Digest::of(&[1]),
                ),
                6 => Event::Heartbeat {
                    cluster: name(cluster),
                    session: SessionId(session),
                    accepted: stored.get(&name(cluster)).copied().unwrap_or_default(),
                    report: Digest::default(),
                    clock: None,
                },
                _ => Event::ClusterPut(name(cluster), ClusterRecord::default()),
            };
            let before: BTreeMap<_, _> = fleet
                .clusters()
                .iter()
                .map(|(n, c)| (n.clone(), c.assigned.clone()))
                .collect();
            let is_failure = matches!(event, Event::HeadsFailed { .. });
            for effect in fleet.step(event, at(second)) {
                match effect {
                    Effect::StoreAssignment(cluster, assignment) => {
                        let next = assignment.decoded.reference;
                        let last = stored.insert(cluster, next).unwrap_or_default();
                        assert!(next.place() > last.place(), "seed {seed} round {round}");
                        assert_ne!(next.digest, last.digest, "seed {seed} round {round}");
                    }
                    Effect::Send(cluster, _, decoded) => {
                        let known = stored.get(&cluster);
                        assert_eq!(known, Some(&decoded.reference), "seed {seed} round {round}");
                    }
                    _ => {}
                }
            }
            if is_failure {
                for (cluster, assigned) in before {
                    let now = fleet.clusters()[&cluster].assigned.clone();
                    assert_eq!(now, assigned, "seed {seed} round {round}");
                }
            }
        }
    }
}

/// A cluster without an environment keeps its assignment, and its placements are not computed: its agent alone decides
/// whether it is current, after a restart of the hub, too.
#[test]
fn who_is_in_no_environment_is_current_by_its_agents_word_alone() {
    let mut fleet = fleet();
    fleet.step(put("d", "dev", None), at(1));
    fleet.step(heads(Some(1), None), at(2));
    let assigned = fleet.clusters()[&name("d")].assigned.clone().unwrap();
    fleet.step(put("d", "gone", None), at(3));
    let clusters = stored_clusters(&fleet);
    let spec = Arc::clone(fleet.spec());
    let mut fleet = Fleet::new(Epoch(1));
    let restored = Event::Restored {
        heads: Vec::new(),
        clusters,
        environments: Vec::new(),
        rollouts: Vec::new(),
        retired: Vec::new(),
        specifications: Vec::new(),
    };
    fleet.step(restored, at(4));
    fleet.step(Event::SpecChanged(spec), at(4));
    fleet.step(connect("d", 2, assigned.reference), at(5));
    let mut refused = current(&assigned);
    refused.applications.get_mut("web").unwrap().sync = SyncState::Refused;
    let mut of_another = current(&assigned);
    of_another.assignment.generation.0 += 1;
    for (report, is_current) in [
        (refused, false),
        (of_another, false),
        (current(&assigned), true),
    ] {
        let digest = Digest::of(&encode_report(&report).encode_to_vec());
        fleet.step(
            Event::Reported(name("d"), SessionId(2), report, digest),
            at(6),
        );
        let cluster = &fleet.clusters()[&name("d")];
        assert_eq!(cluster.is_current(), is_current);
        assert_eq!(cluster.current_since.is_some(), is_current);
    }
}

/// Without rollouts a commit counts as good when it arrives; the reports on it are noted when the next one does.
#[test]
fn what_clusters_said_of_a_commit_is_noted_when_the_next_one_comes() {
    let mut fleet = fleet();
    fleet.step(put("d", "dev", None), at(1));
    fleet.step(heads(Some(1), None), at(2));
    fleet.step(connect("d", 1, AssignmentRef::default()), at(3));
    let report = |fleet: &mut Fleet, change: &dyn Fn(&mut ApplicationReport)| {
        let assigned = fleet.clusters()[&name("d")].assigned.clone().unwrap();
        let mut report = current(&assigned);
        report
            .applications
            .values_mut()
            .for_each(|application| change(application));
        let digest = Digest::of(&encode_report(&report).encode_to_vec());
        fleet.step(
            Event::Reported(name("d"), SessionId(1), report, digest),
            at(4),
        );
    };
    let seen = |fleet: &Fleet, n: u64| {
        let all = &fleet.environments()[&"dev".parse::<EnvironmentName>().unwrap()].seen;
        let found = all.iter().find(|seen| seen.commit == commit(n));
        found.map(|seen| seen.doubt.clone())
    };
    report(&mut fleet, &|_| {});
    assert_eq!(seen(&fleet, 1), None, "it runs");
    fleet.step(heads(Some(2), None), at(5));
    assert_eq!(seen(&fleet, 1).unwrap(), "");
    report(&mut fleet, &|application| {
        application.sync = SyncState::Refused;
        application.reason = Some(Reason::RenderFailed);
        application.message = "line 3".to_owned();
        application.revision.as_mut().unwrap().commit = commit(1);
    });
    fleet.step(heads(Some(3), None), at(6));
    let doubt = seen(&fleet, 2).unwrap();
    assert_eq!(doubt, "d: web was refused: RenderFailed: line 3");
    report(&mut fleet, &|application| {
        application.health = Health::Failed;
    });
    fleet.step(heads(Some(4), None), at(7));
    assert_eq!(seen(&fleet, 3).unwrap(), "d: web was Failed");
    // It was replaced before any cluster had reported on it.
    fleet.step(heads(Some(5), None), at(8));
    let doubt = seen(&fleet, 4).unwrap();
    assert!(doubt.starts_with("d: web was not fully applied"), "{doubt}");
    // A commit that returns is judged again.
    fleet.step(heads(Some(2), None), at(9));
    report(&mut fleet, &|_| {});
    fleet.step(heads(Some(6), None), at(10));
    assert_eq!(seen(&fleet, 2).unwrap(), "");
}
