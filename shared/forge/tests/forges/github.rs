//! GitHub, against its description.

use super::*;

#[test]
fn github() {
    let w = world("https://github.com/octocat/Hello-World.git");
    assert_eq!(w.at.kind(), Kind::Github);
    let mut api = Description::read("github", "https://api.github.com");
    for state in [State::Pending, State::Success, State::Failure] {
        let status = CommitStatus {
            state,
            ..w.status.clone()
        };
        api.check(&w.at.set_status(&w.commit, &status), None);
    }
    let found = api.check(&w.at.find_pulls(&w.head, &w.base), None);
    let first = found.first().unwrap();
    assert_eq!((first.number, first.open), (1347, true));
    let open = api.check(&w.at.open_pulls(&w.base), None);
    assert_eq!(open.first().unwrap().number, 1347);
    // Only some kinds of events have a label, and the description's example has another one.
    let event =
        |word: &str| json!({"event": word, "actor": {"login": "ann"}, "label": {"name": "plan"}});
    let events = json!([event("labeled"), event("unlabeled")]);
    let events = api.check(&w.at.labellings(7, 1).unwrap(), Some(events));
    let given: Vec<bool> = events.items.iter().map(|event| event.given).collect();
    assert_eq!((given, events.more), (vec![true, false], false));
    assert_eq!(events.items.first().unwrap().by, "ann");
    let rights = api.check(&w.at.rights("octocat").unwrap(), None);
    assert_eq!(rights, [("octocat".to_owned(), Right::Admin)]);
    let pull = api.check(&w.at.pull(1347), None);
    assert_eq!(
        (pull.head.as_str(), pull.base.as_str()),
        ("new-topic", "master")
    );
    assert_eq!(pull.head_commit, w.commit.as_str());
    assert_eq!((pull.author.as_str(), pull.labels.len()), ("octocat", 1));
    assert!(!pull.from_fork);
    api.check(&w.at.create_pull(&w.new), None);
    api.check(&w.at.update_pull(&pull, "t", "b"), None);
    let comments = api.check(&w.at.comments(1347, 1), None);
    assert_eq!((comments.items.len(), comments.more), (1, false));
    assert_eq!(
        api.check(&w.at.create_comment(1347, "x"), None).body,
        "Me too"
    );
    api.check(&w.at.update_comment(1347, 1, "x"), None);
    let mut into = pull.clone();
    into.base = "prod".to_owned();
    let forward = w.at.fast_forward(&into, &w.commit);
    assert_eq!(
        forward.request.body,
        Some(json!({"sha": w.commit.as_str(), "force": false}))
    );
    api.check(&forward, None);
    let approvals = api.check(&w.at.approvals(1347), None);
    assert_eq!(approvals.first().unwrap().by, "octocat");
    for call in w.at.required(&w.base) {
        api.check(&call, None);
    }
    let rules = json!([
        {"type": "pull_request", "parameters": {"required_approving_review_count": 2, "dismiss_stale_reviews_on_push": true}},
        {"type": "required_status_checks", "parameters": {"required_status_checks": [{"context": "build"}]}},
    ]);
    let required = w.at.required(&w.base);
    let rules = api.check(required.first().unwrap(), Some(rules));
    assert_eq!(
        (rules.approvals, rules.fresh, rules.checks),
        (2, true, vec!["build".to_owned()])
    );
    for call in w.at.checks(&w.commit, 1) {
        let page = api.check(&call, None);
        assert!(!page.items.is_empty() && !page.more);
    }
    assert!(w.at.checks(&w.commit, 2).is_empty(), "more is an error");
    api.check(&w.at.installation(), None);
    let token = api.check(&w.at.installation_token(1), None);
    assert!(!token.token.expose().is_empty());
    api.all_seen();
}
