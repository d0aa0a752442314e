//! Agents on any replica are served, whichever replica fails or restarts.

use super::*;

async fn api(hub: &TestHub) -> FleetServiceClient<Channel> {
    hub.operator("ada").await.unwrap().api
}

async fn current(api: &mut FleetServiceClient<Channel>, commit: &str) -> Option<u32> {
    let request = v1::ListEnvironmentsRequest {};
    let answer = api.list_environments(request).await.ok()?.into_inner();
    let environment = answer.environments.into_iter().next()?;
    (environment.branches.first()?.approved == commit).then_some(environment.current)
}

#[tokio::test(flavor = "multi_thread")]
async fn h15_agents_on_any_replica_are_served_and_a_dead_decider_is_followed_within_ten_seconds() {
    let Some(world) = World::new().await else {
        return;
    };
    const AGENTS: usize = 20;
    world.seed(AGENTS).await;
    let mut first = world.replica().await;
    let mut second = world.replica().await;
    let hubs = Arc::new(vec![first.address.to_string(), second.address.to_string()]);
    let seen = Arc::new(FleetState::default());
    let (stop, stopped) = watch::channel(false);
    for index in 0..AGENTS {
        let name = format!("c{index}").parse().unwrap();
        // Half of the agents connect to each replica first.
        let mut own = (*hubs).clone();
        own.rotate_left(index % 2);
        let work = Duration::from_millis(50);
        let agent = Agent::new(&first.enrolled, &name, &Arc::new(own), work).unwrap();
        tokio::spawn(agent.run(Arc::clone(&seen), stopped.clone()));
    }
    let commit = world.repository.push("second", &["prod"]).unwrap();
    for hub in [&first, &second] {
        let api = api(hub).await;
        eventually("all current, whichever replica is asked", LIMIT, || {
            let (mut api, commit) = (api.clone(), commit.clone());
            async move { (current(&mut api, &commit).await == Some(20)).then_some(()) }
        })
        .await
        .unwrap();
    }
    // The first replica to start holds the lease. Kill it while a commit is being delivered.
    let commit = world.repository.push("third", &["prod"]).unwrap();
    first.kill().await.unwrap();
    let died = std::time::Instant::now();
    let api = api(&second).await;
    eventually("the other decides", LIMIT, || {
        let mut api = api.clone();
        async move {
            let request = v1::ListEnvironmentsRequest {};
            api.list_environments(request).await.ok().map(|_| ())
        }
    })
    .await
    .unwrap();
    let took = died.elapsed();
    assert!(took < Duration::from_secs(10), "took over after {took:?}");
    eventually("all current on the newest commit", LIMIT, || {
        let (mut api, commit) = (api.clone(), commit.clone());
        async move { (current(&mut api, &commit).await == Some(20)).then_some(()) }
    })
    .await
    .unwrap();
    let verified = api
        .clone()
        .verify_audit(v1::VerifyAuditRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(verified.broken, "", "I2 over the change of hands");
    assert!(seen.connected.load(Ordering::Relaxed) > 0);
    let _ = stop.send(true);
    second.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn h15_replicas_restarted_in_turn_under_changes_leave_nobody_without_news() {
    let Some(world) = World::with("").await else {
        return;
    };
    let (agents, between) = flotilla_needs::size((20, 10), (500, 150));
    world.seed(agents).await;
    let mut replicas = vec![world.replica().await, world.replica().await];
    let hubs: Vec<String> = replicas.iter().map(|hub| hub.address.to_string()).collect();
    let seen = Arc::new(FleetState::default());
    let (stop, stopped) = watch::channel(false);
    for index in 0..agents {
        let name = format!("c{index}").parse().unwrap();
        let mut own = hubs.clone();
        own.rotate_left(index % 2);
        let (enrolled, own) = (&replicas[0].enrolled, Arc::new(own));
        let agent = Agent::new(enrolled, &name, &own, Duration::ZERO).unwrap();
        tokio::spawn(agent.run(Arc::clone(&seen), stopped.clone()));
    }
    let all = || async { (seen.delivered.lock().len() == agents).then_some(()) };
    eventually("all are served", LIMIT, all).await.unwrap();
    // Up to ten commits per second; measures how long any agent waits for one.
    let made = AtomicUsize::new(0);
    let changes = async {
        let mut beat = tokio::time::interval(Duration::from_millis(100));
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut longest = Duration::ZERO;
        while !*stopped.borrow() {
            beat.tick().await;
            let change = made.fetch_add(1, Ordering::Relaxed);
            let repository = world.repository.clone();
            // Pushes take as long as the machine allows, while the restarts continue.
            let push = move || {
                let text = format!("# {change}\n");
                repository.write("apps/a.yaml", &text).unwrap();
                repository.push("change", &["prod"]).unwrap();
            };
            tokio::task::spawn_blocking(push).await.unwrap();
            let delivered = seen.delivered.lock();
            let gaps = delivered.values().map(tokio::time::Instant::elapsed);
            longest = longest.max(gaps.max().unwrap_or_default());
        }
        longest
    };
    let some_changes = async || {
        let until = made.load(Ordering::Relaxed) + between;
        let reached = || async { (made.load(Ordering::Relaxed) >= until).then_some(()) };
        eventually("commits come", LIMIT, reached).await.unwrap();
    };
    let restarts = async {
        for replica in &mut replicas {
            some_changes().await;
            replica.stop().await.unwrap();
            replica.start().await.unwrap();
        }
        some_changes().await;
        let _ = stop.send(true);
    };
    let (longest, ()) = tokio::join!(changes, restarts);
    eprintln!("longest time without an assignment: {longest:?}, {agents} agents");
    assert!(longest < Duration::from_secs(30), "{longest:?}");
    let mut api = api(&replicas[1]).await;
    let request = v1::VerifyAuditRequest {};
    let verified = api.verify_audit(request).await.unwrap().into_inner();
    assert_eq!(verified.broken, "", "I2");
    for mut hub in replicas {
        hub.stop().await.unwrap();
    }
}
