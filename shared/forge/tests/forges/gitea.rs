//! Gitea and Forgejo, against the description that they share.

use super::*;

#[test]
fn gitea_and_forgejo() {
    let w = world("https://codeberg.org/acme/fleet.git");
    let mut api = Description::read("gitea", "https://codeberg.org/api/v1");
    let user = |name: &str| json!({"login": name});
    let pull = json!({
        "number": 7, "html_url": "https://x/7", "title": "t", "body": "b", "state": "open",
        "draft": false, "merged": false, "mergeable": true, "user": user("ann"),
        "labels": [{"name": "flotilla"}],
        "head": {"ref": "flotilla/promote-prod", "sha": w.commit.as_str(), "repo_id": 5},
        "base": {"ref": "prod", "sha": "1", "repo_id": 5},
    });
    api.check(&w.at.set_status(&w.commit, &w.status), Some(json!({})));
    let found = api.check(&w.at.find_pulls(&w.head, &w.base), Some(pull.clone()));
    assert_eq!(found.first().unwrap().number, 7);
    let missing = Answer {
        status: 404,
        ..Answer::default()
    };
    assert_eq!(
        w.at.find_pulls(&w.head, &w.base).read(&missing),
        Ok(Vec::new())
    );
    let open = api.check(&w.at.open_pulls(&w.base), Some(json!([pull])));
    assert_eq!(open.first().unwrap().labels, ["flotilla"]);
    let event = |body: &str| json!({"type": "label", "body": body, "user": user("ann"), "label": {"name": "plan"}});
    let events = json!([event("1"), {"type": "comment", "body": "x"}, event("")]);
    let events = api.check(&w.at.labellings(7, 1).unwrap(), Some(events));
    let given: Vec<bool> = events.items.iter().map(|event| event.given).collect();
    assert_eq!(given, [true, false]);
    let right = json!({"permission": "write", "user": user("ann")});
    let rights = api.check(&w.at.rights("ann").unwrap(), Some(right));
    assert_eq!(rights, [("ann".to_owned(), Right::Write)]);
    assert_eq!(w.at.rights("ann").unwrap().read(&missing), Ok(Vec::new()));
    let read = api.check(&w.at.pull(7), Some(pull.clone()));
    assert_eq!(read.mergeable, Some(true));
    assert!(!read.from_fork && read.open && !read.draft);
    let mut fork = pull.clone();
    fork["head"]["repo_id"] = json!(6);
    assert!(api.check(&w.at.pull(7), Some(fork)).from_fork);
    api.check(&w.at.create_pull(&w.new), Some(pull.clone()));
    api.check(&w.at.update_pull(&read, "t", "b"), Some(pull.clone()));
    let comment = json!({"id": 3, "body": "b", "user": user("ann")});
    let comments = api.check(&w.at.comments(7, 1), Some(json!([comment])));
    assert_eq!(comments.items.len(), 1);
    api.check(&w.at.create_comment(7, "x"), Some(comment.clone()));
    api.check(&w.at.update_comment(7, 3, "x"), Some(comment));
    let merge = w.at.fast_forward(&read, &w.commit);
    assert_eq!(
        merge.request.body.as_ref().unwrap()["Do"],
        "fast-forward-only"
    );
    api.check(&merge, None);
    let review = |by: &str, state: &str, stale: bool| json!({"user": user(by), "state": state, "stale": stale, "dismissed": false, "commit_id": "1"});
    let reviews = json!([
        review("bob", "APPROVED", false),
        review("eve", "APPROVED", true),
        review("joe", "APPROVED", false),
        review("joe", "REQUEST_CHANGES", false),
        review("bob", "COMMENT", false),
    ]);
    let approvals = api.check(&w.at.approvals(7), Some(reviews));
    let people: Vec<&str> = approvals
        .iter()
        .map(|approval| approval.by.as_str())
        .collect();
    assert_eq!(people, ["bob"]);
    let part = Answer {
        status: 200,
        headers: vec![("x-total-count".to_owned(), "2".to_owned())],
        body: b"[]".to_vec(),
        ..Answer::default()
    };
    assert!(
        w.at.approvals(7).read(&part).is_err(),
        "half a list proves nothing"
    );
    let rules = json!({"enable_status_check": true, "status_check_contexts": ["build"],
        "required_approvals": 2, "dismiss_stale_approvals": true});
    let calls = w.at.required(&w.base);
    let required = api.check(calls.first().unwrap(), Some(rules));
    assert_eq!((required.approvals, required.checks.len()), (2, 1));
    let combined =
        json!({"total_count": 1, "statuses": [{"context": "build", "status": "warning"}]});
    let calls = w.at.checks(&w.commit, 1);
    let checks = api.check(calls.first().unwrap(), Some(combined));
    assert_eq!(checks.items.first().unwrap().state, State::Failure);
    let part = json!({"total_count": 2, "statuses": []})
        .to_string()
        .into_bytes();
    let part = Answer {
        status: 200,
        body: part,
        ..Answer::default()
    };
    assert!(
        calls.first().unwrap().read(&part).is_err(),
        "half a list proves nothing"
    );
    api.all_seen();
}
