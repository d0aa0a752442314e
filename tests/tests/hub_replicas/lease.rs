//! The holder of the lease decides, whatever clocks do, and the other replicas are notified.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn s10_who_lost_the_lease_writes_nothing_more() {
    let Some(database) = Postgres::start().unwrap() else {
        return;
    };
    let old = Store::connect(&database.url()).await.unwrap();
    let new = Store::connect(&database.url()).await.unwrap();
    let now = Timestamp::now();
    let lease = old.acquire("old", "old:1").await.unwrap().unwrap();
    assert_eq!(
        new.acquire("new", "new:1").await.unwrap(),
        None,
        "it is held"
    );
    assert_eq!(new.standing().await.unwrap().address, "old:1");
    old.apply("a", &[entry("one")], now).await.unwrap();
    // The leader is paused beyond its lease, like a process under SIGSTOP, and the other one takes over.
    let taken = eventually("the lease ends", LIMIT, || async {
        new.acquire("new", "new:1").await.unwrap()
    })
    .await
    .unwrap();
    assert!(taken.term > lease.term);
    assert!(!old.renew(lease).await.unwrap());
    let fenced = old.apply("b", &[entry("late")], now).await;
    assert!(
        matches!(fenced, Err(store::Error::Fenced { .. })),
        "{fenced:?}"
    );
    assert!(old.record(&AuditEntry::default()).await.is_err());
    new.apply("c", &[entry("two")], now).await.unwrap();
    let rows = new.audit_newest("", 10).await.unwrap();
    let details: Vec<&str> = rows.iter().map(|row| row.entry.detail.as_str()).collect();
    assert_eq!(details, ["one", "two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn s12_a_hint_is_seen_at_once_and_a_lost_one_by_looking() {
    let Some(database) = Postgres::start().unwrap() else {
        return;
    };
    let proxy = Proxy::start(database.address()).await.unwrap();
    let decides = Store::connect(&database.url()).await.unwrap();
    let listens = Store::connect(&database.url_at(proxy.address))
        .await
        .unwrap();
    decides.acquire("one", "one:1").await.unwrap().unwrap();
    let mut hints = listens.hints();
    assert_eq!(
        hints.wait(LIMIT).await,
        WaitOutcome::Hinted,
        "it listens now"
    );
    // Hints must arrive far sooner than the next poll.
    let look = Duration::from_secs(30);
    let began = std::time::Instant::now();
    decides.release().await.unwrap();
    assert_eq!(hints.wait(look).await, WaitOutcome::Hinted);
    let took = began.elapsed();
    println!("hinted after {took:?}");
    assert!(took < Duration::from_secs(3), "{took:?}");
    // The listening connection is silent from now on, so no hint arrives.
    proxy.bury();
    decides.acquire("one", "one:2").await.unwrap().unwrap();
    assert_eq!(
        hints.wait(Duration::from_secs(1)).await,
        WaitOutcome::Passed
    );
    let looks = Store::connect(&database.url()).await.unwrap();
    assert_eq!(looks.standing().await.unwrap().address, "one:2");
    // After a new connection hints arrive again.
    hints.renew();
    assert_eq!(
        hints.wait(LIMIT).await,
        WaitOutcome::Hinted,
        "it listens again"
    );
    decides.release().await.unwrap();
    assert_eq!(hints.wait(LIMIT).await, WaitOutcome::Hinted);
}

/// A database without notifications: its own `pg_notify` shadows that of the system.
fn without_hints(database: &Postgres) {
    database
        .sql(
            "CREATE SCHEMA mute; CREATE FUNCTION mute.pg_notify(text, text) RETURNS void \
             LANGUAGE plpgsql AS $$ BEGIN END; $$; \
             ALTER DATABASE postgres SET search_path = mute, pg_catalog, public",
        )
        .unwrap();
}

/// Two standbys and a leader that stops: one standby takes over, and the other forwards to it.
#[tokio::test(flavor = "multi_thread")]
async fn s12_with_every_hint_lost_both_that_stood_by_serve_within_five_seconds() {
    const BOUND: Duration = Duration::from_secs(5);
    let Some(world) = World::with("").await else {
        return;
    };
    without_hints(&world.database);
    let decides = Store::connect(&world.database.url()).await.unwrap();
    let hints = decides.hints();
    assert_eq!(
        hints.wait(LIMIT).await,
        WaitOutcome::Hinted,
        "it listens now"
    );
    let lease = decides.acquire("test", "127.0.0.1:1").await.unwrap();
    let lease = lease.unwrap();
    let (stop, mut stopped) = watch::channel(false);
    let holder = decides.clone();
    let held = tokio::spawn(async move {
        while !*stopped.borrow() {
            assert!(holder.renew(lease).await.unwrap());
            let _ = tokio::time::timeout(Duration::from_secs(1), stopped.changed()).await;
        }
    });
    let mut apis = Vec::new();
    let mut replicas = vec![world.replica().await, world.replica().await];
    for replica in &replicas {
        let mut api = replica.operator("ada").await.unwrap().api;
        let request = v1::ListEnvironmentsRequest {};
        assert!(
            api.list_environments(request).await.is_err(),
            "it stands by"
        );
        apis.push(api);
    }
    let _ = stop.send(true);
    held.await.unwrap();
    let began = std::time::Instant::now();
    decides.release().await.unwrap();
    let serve = async {
        for api in &apis {
            eventually("it serves", BOUND, || {
                let mut api = api.clone();
                async move {
                    let request = v1::ListEnvironmentsRequest {};
                    api.list_environments(request).await.ok().map(|_| ())
                }
            })
            .await
            .unwrap();
        }
    };
    let served = tokio::time::timeout(BOUND, serve).await;
    let took = began.elapsed();
    println!("served after {took:?}");
    assert!(served.is_ok() && took <= BOUND, "{took:?}");
    let told = hints.wait(Duration::from_millis(1)).await;
    assert_eq!(told, WaitOutcome::Passed, "nobody was told");
    for replica in &mut replicas {
        replica.stop().await.unwrap();
    }
}

/// A database whose clock the test sets: its own `clock_timestamp` shadows that of the system.
fn with_a_clock(database: &Postgres) {
    database
        .sql(
            "CREATE SCHEMA skew; CREATE TABLE skew.by (ms BIGINT); INSERT INTO skew.by VALUES (0); \
             CREATE FUNCTION skew.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS \
             $$ SELECT pg_catalog.clock_timestamp() + (SELECT ms FROM skew.by) * interval '1 ms' $$; \
             ALTER DATABASE postgres SET search_path = skew, pg_catalog, public",
        )
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn s11_whatever_the_databases_clock_does_one_decides_and_a_dead_one_is_followed() {
    let Some(database) = Postgres::start().unwrap() else {
        return;
    };
    with_a_clock(&database);
    let jump = |hours: i64| {
        let ms = hours * 3_600_000;
        database
            .sql(&format!("UPDATE skew.by SET ms = ms + {ms}"))
            .unwrap();
    };
    let stores = [
        Store::connect(&database.url()).await.unwrap(),
        Store::connect(&database.url()).await.unwrap(),
    ];
    let now = Timestamp::now();
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut leases: [Option<store::Lease>; 2] = [None, None];
    let mut written = Vec::new();
    for round in 0..60 {
        match random.random_range(0..4) {
            0 => jump(1),
            1 => jump(-1),
            _ => {}
        }
        let who = random.random_range(0..2);
        let name = format!("s{who}");
        if let Some(lease) = stores[who].acquire(&name, &name).await.unwrap() {
            leases[who] = Some(lease);
        }
        // Every former leader still believes that it holds the lease, and tries to write.
        for (store, lease) in stores.iter().zip(leases) {
            let Some(lease) = lease else { continue };
            let text = lease.term.to_string();
            let batch = format!("{round}-{text}");
            match store.apply(&batch, &[entry(&text)], now).await {
                Ok(()) => written.push(lease.term),
                Err(store::Error::Fenced { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert!(!written.is_empty());
    assert!(
        written.is_sorted(),
        "an older term wrote after a newer one: {written:?}"
    );
    let rows = stores[0].audit_newest("", 1000).await.unwrap();
    let stored: Vec<i64> = rows
        .iter()
        .map(|row| row.entry.detail.parse().unwrap())
        .collect();
    assert_eq!(stored, written, "what was acknowledged, and nothing else");
    // The clock is set back by an hour while a replica holds the lease, and that replica dies.
    eventually("somebody takes it", LIMIT, || async {
        stores[0].acquire("s0", "s0").await.unwrap()
    })
    .await
    .unwrap();
    jump(-1);
    let began = std::time::Instant::now();
    eventually("the other follows", LIMIT, || async {
        stores[1].acquire("s1", "s1").await.unwrap()
    })
    .await
    .unwrap();
    assert!(began.elapsed() < Duration::from_secs(10));
}
