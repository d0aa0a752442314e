//! Behaviour that GitLab documents beyond the forms of requests and answers.

use serde_json::Value;

use super::*;

fn at() -> Repository {
    let url = "https://gitlab.com/group/sub/fleet.git".parse().unwrap();
    Repository::at(&url, None, None).unwrap()
}

fn commit() -> Commit {
    "1".repeat(40).parse().unwrap()
}

fn answer(status: u16, body: &Value) -> Answer {
    Answer {
        status,
        body: body.to_string().into_bytes(),
        ..Answer::default()
    }
}

fn read<T>(call: &Call<T>, body: &Value) -> T {
    call.read(&answer(200, body)).unwrap()
}

fn with(change: impl FnOnce(&mut Value)) -> PullRequest {
    let mut merge = json!({"iid": 7, "web_url": "https://x/7", "title": "t", "description": null,
        "state": "opened", "draft": false, "source_branch": "a", "target_branch": "prod",
        "source_project_id": 1, "target_project_id": 1, "sha": commit().as_str(), "squash": false,
        "squash_on_merge": false, "detailed_merge_status": "mergeable", "diverged_commits_count": 0,
        "author": {"username": "ann"}, "labels": []});
    change(&mut merge);
    read(&at().pull(7), &merge)
}

/// GitLab hides single notes and events after it has split the list into pages.
#[test]
fn a_page_that_is_not_full_is_the_last_one_only_where_gitlab_says_so() {
    let notes = |number: usize| {
        let all: Vec<Value> = (0..number)
            .map(|id| json!({"id": id, "body": "x", "author": null}))
            .collect();
        json!(all)
    };
    let event = json!([{"action": "add", "user": {"username": "ann"}, "label": {"name": "plan"}}]);
    let job = json!([{"name": "build", "status": "success"}]);
    for (next, came, more) in [
        (Some("2"), 99, true),
        (Some("2"), 0, true),
        (Some(""), 100, false),
        (Some(""), 3, false),
        (None, 100, true),
        (None, 99, false),
    ] {
        let headers: Vec<(String, String)> = next
            .map(|page| ("x-next-page".to_owned(), page.to_owned()))
            .into_iter()
            .collect();
        let answer = |body: &Value| Answer {
            headers: headers.clone(),
            ..answer(200, body)
        };
        let page = at().comments(7, 1).read(&answer(&notes(came))).unwrap();
        assert_eq!((page.items.len(), page.more), (came, more), "{next:?}");
        if let Some(page) = next {
            let events = at().labellings(7, 1).unwrap().read(&answer(&event));
            assert_eq!(events.unwrap().more, !page.is_empty());
            let checks = at().checks(&commit(), 1).remove(0).read(&answer(&job));
            assert_eq!(checks.unwrap().more, !page.is_empty());
        }
    }
}

/// A commit that was on several branches has jobs of each of them.
#[test]
fn checks_are_read_page_by_page_and_what_may_fail_is_left_out() {
    let call = at().checks(&commit(), 3).remove(0);
    assert!(call.request.url.ends_with("/statuses?per_page=100&page=3"));
    let job = |status: &str, may_fail: Value| json!({"name": "build", "status": status, "allow_failure": may_fail});
    let page = read(
        &call,
        &json!([
            job("success", json!(false)),
            job("skipped", Value::Null),
            job("failed", json!(true)),
            job("failed", Value::Null),
            job("canceled", json!(false)),
            job("canceling", json!(false)),
            job("waiting_for_callback", json!(false)),
            job("manual", json!(false)),
        ]),
    );
    let states: Vec<State> = page.items.iter().map(|check| check.state).collect();
    let (green, red, open) = (State::Success, State::Failure, State::Pending);
    assert_eq!(states, [green, green, red, red, open, open, open]);
}

/// The merge call cannot turn squashing off, and a project may rebase a request automatically.
#[test]
fn what_would_become_another_commit_is_seen_before_it_is_merged() {
    let plain = with(|_| {});
    assert_eq!((plain.squash, plain.mergeable), (false, Some(true)));
    assert!(with(|merge| merge["squash_on_merge"] = json!(true)).squash);
    let old = |squash: bool| {
        with(|merge| {
            merge["squash"] = json!(squash);
            merge.as_object_mut().unwrap().remove("squash_on_merge");
        })
    };
    assert!(old(true).squash && !old(false).squash);
    // The project's setting overrides that of the merge request.
    assert!(!with(|merge| merge["squash"] = json!(true)).squash);
    let behind = with(|merge| merge["diverged_commits_count"] = json!(1));
    assert_eq!(behind.mergeable, Some(false));
    let asked = at().pull(7).request.url;
    assert!(asked.ends_with("/merge_requests/7?include_diverged_commits_count=true"));
    let merge = at().fast_forward(&plain, &commit()).request.body.unwrap();
    assert_eq!(merge, json!({"sha": commit().as_str()}));
    let project = |change: Value| {
        let mut project = json!({"merge_method": "ff", "squash_option": "default_on",
            "automatic_rebase_enabled": false});
        let changed = project.as_object_mut().unwrap();
        changed.extend(change.as_object().unwrap().clone());
        read(&at().rewrites().unwrap(), &project)
    };
    for (change, rewrites) in [
        (json!({}), None),
        (json!({"automatic_rebase_enabled": null}), None),
        (json!({"squash_option": "never"}), None),
        (json!({"squash_option": "always"}), Some(Rewrites::Squashes)),
        (
            json!({"automatic_rebase_enabled": true}),
            Some(Rewrites::Rebases),
        ),
        (json!({"merge_method": "merge"}), Some(Rewrites::Merges)),
        (
            json!({"merge_method": "rebase_merge"}),
            Some(Rewrites::Merges),
        ),
        // The credential may not see the setting.
        (json!({"merge_method": null}), Some(Rewrites::Merges)),
    ] {
        assert_eq!(project(change.clone()), rewrites, "{change}");
    }
}

#[test]
fn every_merge_status_has_its_meaning() {
    let says = |status: Value| with(|merge| merge["detailed_merge_status"] = status).mergeable;
    assert_eq!(says(json!("mergeable")), Some(true));
    for later in [
        json!("unchecked"),
        json!("checking"),
        json!("preparing"),
        Value::Null,
    ] {
        assert_eq!(says(later.clone()), None, "{later}");
    }
    for no in [
        "approvals_syncing",
        "ci_must_pass",
        "ci_still_running",
        "commits_status",
        "conflict",
        "discussions_not_resolved",
        "draft_status",
        "jira_association_missing",
        "locked_lfs_files",
        "locked_paths",
        "merge_request_blocked",
        "merge_time",
        "need_rebase",
        "not_approved",
        "not_open",
        "requested_changes",
        "security_policy_pipeline_check",
        "security_policy_violations",
        "status_checks_must_pass",
        "title_regex",
        "what_comes_next",
    ] {
        assert_eq!(says(json!(no)), Some(false), "{no}");
    }
}

#[test]
fn each_refusal_of_a_merge_is_told_apart() {
    let merge = at().fast_forward(&with(|_| {}), &commit());
    let refused = |status, text: &str| {
        let body = json!({ "message": text });
        merge.read(&answer(status, &body)).unwrap_err()
    };
    // The token is valid: it has just read the merge request.
    let may_not = refused(401, "401 Unauthorized");
    assert!(matches!(&may_not, Error::Forbidden(text) if text.contains("may not merge")));
    for (status, text) in [
        (405, "405 Method Not Allowed"),
        (409, "SHA does not match HEAD of source branch: 2"),
    ] {
        assert_eq!(refused(status, text), Error::Conflict(text.to_owned()));
    }
    let failed = refused(422, "Branch cannot be merged");
    assert!(matches!(failed, Error::Refused { status: 422, .. }));
    assert!(refused(408, "Request timed out").passes());
    assert_eq!(merge.read(&answer(200, &json!({}))), Ok(()));
}

#[test]
fn what_is_null_means_no() {
    let pull = with(|merge| {
        for name in ["draft", "squash", "squash_on_merge", "author", "sha"] {
            merge[name] = Value::Null;
        }
    });
    assert!(!pull.draft && !pull.squash && pull.author.is_empty() && pull.head_commit.is_empty());
}

#[test]
fn texts_stay_below_its_limits() {
    let body = |link: String| {
        let status = CommitStatus {
            context: "flotilla/prod".to_owned(),
            state: State::Success,
            description: "ä".repeat(300),
            link,
        };
        at().set_status(&commit(), &status).request.body.unwrap()
    };
    let link = |length: usize| format!("https://{}", "x".repeat(length - "https://".len()));
    let most = body(link(DESCRIPTION));
    assert_eq!(most["target_url"], link(DESCRIPTION));
    assert!(most["description"].as_str().unwrap().len() <= DESCRIPTION);
    for none in [String::new(), link(DESCRIPTION + 1)] {
        assert!(body(none).get("target_url").is_none());
    }
}

#[test]
fn a_membership_that_waits_gives_no_right() {
    let member = |name: &str, membership: Value| json!({"username": name, "state": "active", "membership_state": membership, "access_level": 40});
    let members = json!([
        member("ann", json!("active")),
        member("bob", json!("awaiting")),
        member("eve", Value::Null),
    ]);
    let rights = read(&at().rights("e").unwrap(), &members);
    let names: Vec<&str> = rights.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["ann", "eve"]);
}
