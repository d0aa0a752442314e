//! Going back, and what is recorded about earlier commits.

use crate::*;

const APPROVE: &str = "rollback: {mode: approve, keys: [operator]}\n";

#[tokio::test]
async fn c04_going_back_needs_an_approval_that_holds() {
    let Some(world) = World::new() else { return };
    let (one, two) = (world.commit("1", None), world.commit("2", None));
    let agent = world.agent("agent", world.policy(APPROVE));
    assert_eq!(agent.takes(&one).await, Ok(vec![]));
    assert_eq!(agent.takes(&two).await, Ok(vec![]));
    assert_eq!(agent.takes(&one).await, Err(Reason::NotADescendant));

    let good = world.approval(&two, &one);
    let sign = |approval: &RollbackApproval| world.sign(approval, "operator", "flotilla-rollback");
    let changed = |change: fn(&mut RollbackApproval)| {
        let mut approval = good.clone();
        change(&mut approval);
        approval
    };
    let mut forged = sign(&good);
    forged.content = changed(|a| a.nonce = "0".repeat(32)).to_text().into();
    let refused = [
        ("forged", forged),
        ("other key", world.sign(&good, "good", "flotilla-rollback")),
        ("other namespace", world.sign(&good, "operator", "git")),
        (
            "expired",
            sign(&changed(|a| a.expires_at = Timestamp::now())),
        ),
        (
            "other cluster",
            sign(&changed(|a| {
                let from = a.from.values().next().unwrap().clone();
                a.from = BTreeMap::from([("c2".parse().unwrap(), from)]);
            })),
        ),
        (
            "other start",
            sign(&changed(|a| {
                a.from
                    .values_mut()
                    .for_each(|from| *from = "a".repeat(40).parse().unwrap());
            })),
        ),
        (
            "other target",
            sign(&changed(|a| a.to = "a".repeat(40).parse().unwrap())),
        ),
        (
            "other repository",
            sign(&changed(|a| a.repository = "https://h/r".parse().unwrap())),
        ),
    ];
    for (what, approval) in refused {
        let verdict = agent.app("web", &one, &[approval]).await;
        assert_eq!(verdict, Err(Reason::ApprovalRefused), "{what}");
    }
    let approval = [sign(&good)];
    assert_eq!(
        agent.app("web", &one, &approval).await,
        Ok(vec![Reason::WentBack])
    );
    // It stays there, with and without the approval, and also after a restart.
    assert_eq!(agent.app("web", &one, &approval).await, Ok(vec![]));
    let agent = world.agent("agent", world.policy(APPROVE));
    assert_eq!(agent.takes(&one).await, Ok(vec![]));

    // After going forward again, the same approval is used up.
    assert_eq!(agent.takes(&two).await, Ok(vec![]));
    assert_eq!(
        agent.app("web", &one, &approval).await,
        Err(Reason::ApprovalRefused)
    );
    // Nor is it valid under another name, which has no accepted commit to go back from.
    assert_eq!(
        agent.app("new", &one, &approval).await,
        Err(Reason::ApprovalRefused)
    );
    assert_eq!(
        agent.app("new", &one, &[]).await,
        Err(Reason::NotADescendant)
    );
}

#[tokio::test]
async fn c04_one_approval_is_for_all_applications_of_the_repository() {
    let Some(world) = World::new() else { return };
    let (one, two) = (world.commit("1", None), world.commit("2", None));
    let agent = world.agent("agent", world.policy(APPROVE));
    for commit in [&one, &two] {
        for name in ["web", "db"] {
            assert_eq!(agent.app(name, commit, &[]).await, Ok(vec![]));
        }
    }
    let approval = world.approval(&two, &one);
    let approval = [world.sign(&approval, "operator", "flotilla-rollback")];
    for name in ["web", "db"] {
        let verdict = agent.app(name, &one, &approval).await;
        assert_eq!(verdict, Ok(vec![Reason::WentBack]), "{name}");
    }
    for name in ["web", "db"] {
        assert_eq!(agent.app(name, &two, &approval).await, Ok(vec![]));
        let verdict = agent.app(name, &one, &approval).await;
        assert_eq!(verdict, Err(Reason::ApprovalRefused), "{name}");
    }
}

#[tokio::test]
async fn g01_a_rewritten_branch_is_only_followed_where_the_policy_allows_it() {
    let Some(world) = World::new() else { return };
    let (one, two) = (world.commit("1", None), world.commit("2", None));
    let refuse = world.agent("refuse", world.policy("rollback: {mode: refuse}\n"));
    let allow = world.agent("allow", world.policy(""));
    for agent in [&refuse, &allow] {
        assert_eq!(agent.takes(&two).await, Ok(vec![]));
    }
    assert_eq!(refuse.takes(&one).await, Err(Reason::NotADescendant));
    assert_eq!(allow.takes(&one).await, Ok(vec![Reason::WentBack]));
    assert_eq!(allow.takes(&two).await, Ok(vec![]));
    world.git(&["reset", "-q", "--hard", one.as_str()]);
    let rewritten = world.commit("rewritten", None);
    assert_eq!(refuse.takes(&rewritten).await, Err(Reason::NotADescendant));
    assert_eq!(refuse.takes(&two).await, Ok(vec![]));
    assert_eq!(allow.takes(&rewritten).await, Ok(vec![Reason::WentBack]));
    assert_eq!(allow.takes(&rewritten).await, Ok(vec![]), "it is told once");
}

/// The message about a commit to the owners of the cluster.
async fn told(agent: &Agent<'_>, commit: &Commit) -> String {
    let desired = agent.desired("web", commit, &[]);
    let rendered = agent.source.render(&desired, ChartContext::default()).await;
    let notes = rendered.unwrap().notes.into_iter();
    let notes = notes.map(|note| format!("{}: {}", note.reason, note.message));
    notes.collect::<Vec<_>>().join("\n")
}

/// Each was the tip when it was fetched, so that the cache has them without the commits in between.
#[tokio::test]
async fn g01_going_back_is_told_where_it_is_allowed_whatever_the_cache_has() {
    let Some(world) = World::new() else { return };
    let agent = world.agent("agent", world.policy(""));
    let mut commits = Vec::new();
    for value in ["1", "2", "3", "4"] {
        let commit = world.commit(value, None);
        assert_eq!(told(&agent, &commit).await, "");
        commits.push(commit);
    }
    let [one, two, _, four] = &commits[..] else {
        panic!("{commits:?}");
    };
    // As with a pin: the branch does not move.
    let notes = told(&agent, one).await;
    assert!(
        notes.starts_with("WentBack: went back in history: "),
        "{notes}"
    );
    assert!(notes.contains(four.as_str()), "{notes}");
    assert_eq!(told(&agent, one).await, "");
    assert_eq!(told(&agent, four).await, "");
    // By a forced push.
    world.git(&["reset", "-q", "--hard", two.as_str()]);
    let notes = told(&agent, two).await;
    assert!(
        notes.starts_with("WentBack: went back in history: "),
        "{notes}"
    );
    let rewritten = world.commit("rewritten", None);
    assert_eq!(told(&agent, &rewritten).await, "");
    world.git(&["reset", "-q", "--hard", one.as_str()]);
    let amended = world.commit("amended", None);
    let notes = told(&agent, &amended).await;
    assert!(notes.contains("does not descend from"), "{notes}");
    assert!(notes.contains(rewritten.as_str()), "{notes}");
}

#[tokio::test]
async fn g01_what_cannot_be_found_out_is_told_and_holds_nothing_up() {
    let Some(world) = World::new() else { return };
    let old = world.commit("old", None);
    let agent = world.agent("agent", world.policy(""));
    assert_eq!(told(&agent, &old).await, "");
    // A history longer than what is read from a server that sends files with every commit, and unrelated to the
    // accepted one.
    world.git(&["checkout", "-q", "--orphan", "other"]);
    for index in 0..60 {
        world.commit(&index.to_string(), None);
    }
    world.git(&["branch", "-q", "-f", "prod"]);
    let new = world.head();
    let notes = told(&agent, &new).await;
    assert!(notes.starts_with("WentBack: cannot determine"), "{notes}");
    assert_eq!(told(&agent, &new).await, "");
}

#[tokio::test]
async fn n04_what_was_accepted_outlives_a_lost_disk_by_its_copy() {
    let Some(world) = World::new() else { return };
    let (one, two) = (world.commit("1", None), world.commit("2", None));
    let policy = || Arc::new(world.policy(APPROVE));
    let data = world.path("agent");
    let trust = Arc::new(Admission::open(&data, policy(), None).unwrap());
    let source = Source::new(
        data.join("git"),
        Limits::default(),
        None,
        Arc::clone(&trust),
    );
    let agent = Agent {
        world: &world,
        source,
    };
    assert_eq!(agent.takes(&two).await, Ok(vec![]));
    let copy = trust.encoded();
    let elsewhere = world.path("elsewhere");
    let trust = Admission::open(&elsewhere, policy(), Some(&copy)).unwrap();
    let source = Source::new(
        elsewhere.join("git"),
        Limits::default(),
        None,
        Arc::new(trust),
    );
    let agent = Agent {
        world: &world,
        source,
    };
    assert_eq!(agent.takes(&one).await, Err(Reason::NotADescendant));
    // A damaged record does not count as an empty one.
    std::fs::write(data.join("accepted.json"), "{").unwrap();
    assert!(Admission::open(&data, policy(), None).is_err());
    assert!(Admission::open(&data, policy(), Some(&copy)).is_ok());
}
