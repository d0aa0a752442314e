//! Assignments that are replayed, mixed, or exceed the policy.

use crate::*;

pub(crate) async fn c06(world: &mut World) {
    let good = world.good.clone();
    world.honest(&good).await;
    let mut older = world.content(&good);
    older.generation = 1;
    older.labels = vec![v1::Label {
        key: "x".to_owned(),
        value: "y".to_owned(),
    }];
    world
        .refused(sealed(older.encode_to_vec()), "StaleAssignment")
        .await;
    world.generation -= 1;
    let mut other = world.content(&good);
    world.generation -= 1;
    let accepted = world.hub.report().unwrap().assignment.unwrap().generation;
    other.generation = accepted;
    other.labels = vec![v1::Label {
        key: "x".to_owned(),
        value: "y".to_owned(),
    }];
    world
        .refused(sealed(other.encode_to_vec()), "ConflictingAssignment")
        .await;
    let mut far = world.content(&good);
    far.epoch = u64::MAX;
    world
        .refused(sealed(far.encode_to_vec()), "EpochJump")
        .await;
    let mut foreign = world.content(&good);
    foreign.cluster = "c2".to_owned();
    world
        .refused(sealed(foreign.encode_to_vec()), "WrongCluster")
        .await;
}

pub(crate) async fn c07(world: &mut World) {
    // Parts of two generations under the digest of one of them.
    let good = world.good.clone();
    let honest = sealed(world.content(&good).encode_to_vec());
    let mut mixed = world.content(&good);
    mixed.applications.push(world.application("second", &good));
    let mixed = v1::Assignment {
        content: mixed.encode_to_vec().into(),
        digest: honest.digest,
    };
    world.refused(mixed, "DigestMismatch").await;
    // The same application twice, as if from two generations.
    let mut twice = world.content(&good);
    twice.applications.push(world.application("web", &good));
    world
        .refused(sealed(twice.encode_to_vec()), "MalformedAssignment")
        .await;
}

pub(crate) async fn c08(world: &mut World) {
    let good = world.good.clone();
    let mut content = world.content(&good);
    content.applications[0].path = "secret".to_owned();
    world.held(&content, "PathNotAllowed").await;
    let mut content = world.content(&good);
    content.applications[0].path = "apps/../secret".to_owned();
    world
        .refused(sealed(content.encode_to_vec()), "MalformedAssignment")
        .await;
    // The policy judges the final objects, whatever namespace the assignment names.
    world.write(
        "apps/out/a.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: out}\n",
    );
    let pushed = world.push("other namespace", Some("good"), "prod");
    let mut content = world.content(&pushed);
    content.applications[0].name = "out".to_owned();
    content.applications[0].path = "apps/out".to_owned();
    content.applications[0].namespace = "other".to_owned();
    content.applications.push(world.application("web", &good));
    let before = world.writes();
    world.assign(&content).await;
    let report = world
        .report("out", "the object is refused", |report| {
            let refused = |object: &v1::ObjectStatus| object.reason == "NamespaceNotAllowed";
            report.objects.iter().any(refused)
        })
        .await;
    assert_ne!(report.sync(), v1::Sync::Synced);
    world.told("NamespaceNotAllowed").await;
    assert_eq!(world.writes(), before);
    git(&world.repository.work, &["rm", "-q", "-r", "apps/out"]).unwrap();
    world.good = world.push("without it", Some("good"), "prod");
    world.honest(&world.good.clone()).await;
    world.runs(&world.good).await;
}

pub(crate) async fn c09(world: &mut World) {
    let mut content = world.content(&world.good.clone());
    content.applications.clear();
    content.tombstones = vec![v1::Tombstone {
        application: "web".to_owned(),
        delete_objects: true,
    }];
    let before = world.writes();
    world.assign(&content).await;
    // Fourteen deletes exceed the budget of the policy.
    world
        .report("web", "held by the budget", |report| {
            report.reason == "DeleteBudget"
        })
        .await;
    world.told("DeleteBudget").await;
    assert_eq!(world.writes(), before);
    world.intact().await;
    // An assignment that no longer mentions the application must not delete it either.
    let mut nothing = world.content(&world.good.clone());
    nothing.applications.clear();
    world.assign(&nothing).await;
    world
        .report("web", "kept as an orphan", |report| {
            report.reason == "NotAssigned"
        })
        .await;
    assert_eq!(world.writes(), before);
    world.intact().await;
    world.honest(&world.good.clone()).await;
    world.runs(&world.good).await;
}

pub(crate) async fn c10(world: &mut World) {
    // Fields that the protocol does not define, with a policy in them.
    let mut content = world.content(&world.good.clone());
    content.applications[0].url = world.git.url("elsewhere.git");
    let mut bytes = content.encode_to_vec();
    for field in [14u8, 15] {
        let policy = b"repositories: []\nsignatures: []\n";
        bytes.push(field << 3 | 2);
        bytes.push(u8::try_from(policy.len()).unwrap());
        bytes.extend_from_slice(policy);
    }
    let before = world.writes();
    let ack = world.hub.assign(sealed(bytes)).await.unwrap();
    assert_eq!(ack.verdict(), v1::Verdict::Accepted);
    world
        .report("web", "still refused", |report| {
            report.reason == "RepositoryNotAllowed"
        })
        .await;
    assert_eq!(world.writes(), before);
    // An assignment that requires a feature which this agent lacks is refused as a whole.
    let mut content = world.content(&world.good.clone());
    content.required_features = vec!["policy-from-hub".to_owned()];
    world
        .refused(sealed(content.encode_to_vec()), "UpgradeRequired")
        .await;
}

pub(crate) async fn c12(world: &mut World) {
    // More applications than a cluster may have.
    let mut many = world.content(&world.good.clone());
    let first = many.applications[0].clone();
    many.applications = (0..20_000)
        .map(|number| v1::ApplicationAssignment {
            name: format!("a{number}"),
            url: "https://h/r".to_owned(),
            repository: "r".to_owned(),
            ..first.clone()
        })
        .collect();
    let assignment = sealed(many.encode_to_vec());
    let before = world.writes();
    // It must fit into one message: more than 4 MiB is another fault, which is tested next.
    let bytes = assignment.content.len();
    assert!(bytes < 4 << 20, "{bytes} bytes are no single message");
    world.refused(assignment, "MalformedAssignment").await;
    // 64 MiB in one message: the agent closes the stream and reconnects.
    let streams = world.hub.streams();
    let huge = v1::Assignment {
        content: vec![0; 64 << 20].into(),
        digest: Vec::new(),
    };
    // Sending may fail, because the agent closes the stream.
    let _ = world.hub.say(Body::Assignment(huge)).await;
    eventually("the agent comes back", LIMIT, || async {
        (world.hub.streams() > streams).then_some(())
    })
    .await
    .unwrap();
    // A new assignment every 20 ms: a burst of eight is accepted, then one per second.
    let verdicts = world.hub.verdicts();
    let started = tokio::time::Instant::now();
    let mut last = 0;
    for _ in 0..100 {
        let content = world.content(&world.good.clone());
        last = content.generation;
        let assignment = sealed(content.encode_to_vec());
        world.hub.say(Body::Assignment(assignment)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    eventually("the last one is in force", LIMIT, || async {
        let report = world.hub.report()?;
        (report.assignment?.generation == last).then_some(())
    })
    .await
    .unwrap();
    let taken = world.hub.verdicts() - verdicts;
    let seconds = usize::try_from(started.elapsed().as_secs()).unwrap() + 1;
    assert!(taken <= 8 + seconds, "{taken} in {seconds} s");
    assert_eq!(world.writes(), before);
}
