//! Bitbucket Cloud, against its description.

use super::*;

#[test]
fn bitbucket_cloud() {
    let w = world("https://bitbucket.org/acme/fleet.git");
    let mut api = Description::read("bitbucket", "https://api.bitbucket.org/2.0");
    let end = |branch: &str, repository: &str| {
        json!({"branch": {"name": branch}, "commit": {"hash": w.commit.as_str().get(..12)},
            "repository": {"full_name": repository}})
    };
    let user = |name: &str| json!({"display_name": name, "uuid": "{1}"});
    let pull = json!({
        "id": 7, "title": "t", "summary": {"raw": "b"}, "state": "OPEN",
        "source": end("flotilla/promote-prod", "acme/fleet"),
        "destination": end("prod", "acme/fleet"),
        "author": user("ann"), "links": {"html": {"href": "https://x/7"}},
        "participants": [{"user": user("bob"), "approved": true}, {"user": user("eve"), "approved": false}],
    });
    let plain = CommitStatus {
        link: String::new(),
        ..w.status.clone()
    };
    for status in [&w.status, &plain] {
        let call = w.at.set_status(&w.commit, status);
        assert!(
            call.request.body.as_ref().unwrap()["url"]
                .as_str()
                .unwrap()
                .starts_with("https://")
        );
        api.check(&call, Some(json!({})));
    }
    let found = w.at.find_pulls(&w.head, &w.base);
    let found = api.check(&found, Some(json!({"values": [pull]})));
    assert_eq!(found.first().unwrap().body, "b");
    let open = api.check(&w.at.open_pulls(&w.base), Some(json!({"values": [pull]})));
    assert_eq!(open.len(), 1);
    assert!(w.at.labellings(7, 1).is_none());
    let person = "ann {504c3b62-8120}";
    let right = |name: &str, id: &str, permission: &str| {
        json!({"type": "repository_permission", "permission": permission,
            "user": {"display_name": name, "uuid": id}})
    };
    let all = json!({"values": [right("ann", "{504c3b62-8120}", "write")]});
    let rights = w.at.rights(person).unwrap();
    assert!(
        rights
            .request
            .url
            .contains("/workspaces/acme/permissions/repositories/fleet?")
            && rights
                .request
                .url
                .ends_with("user.uuid%3D%22%7B504c3b62-8120%7D%22"),
        "{}",
        rights.request.url
    );
    let rights = api.check(&rights, Some(all));
    assert_eq!(rights, [(person.to_owned(), Right::Write)]);
    assert!(w.at.rights("ann").is_none(), "a name alone is nobody");
    let short = w.commit.as_str().get(..12).unwrap();
    let whole = w.at.whole_commit(short).unwrap();
    let whole = api.check(
        &whole,
        Some(json!({"type": "commit", "hash": w.commit.as_str()})),
    );
    assert_eq!(whole, w.commit.as_str());
    for odd in ["6dcb09b", "../../pullrequests/7", ""] {
        assert!(w.at.whole_commit(odd).is_none(), "{odd}");
    }
    let read = api.check(&w.at.pull(7), Some(pull.clone()));
    assert!(read.open && !read.merged && !read.from_fork);
    api.check(&w.at.create_pull(&w.new), Some(pull.clone()));
    let mut whole = pull.clone();
    whole["reviewers"] = json!([user("bob")]);
    let whole = api.check(&w.at.pull(7), Some(whole));
    let update = w.at.update_pull(&whole, "t", "b");
    assert_eq!(
        update.request.body.as_ref().unwrap()["reviewers"],
        json!([{"uuid": "{1}"}]),
        "nobody is left out by a change of words"
    );
    api.check(&update, Some(pull.clone()));
    let comment = json!({"id": 3, "content": {"raw": "b"}, "user": user("ann")});
    let page = json!({"values": [comment], "next": "https://api.bitbucket.org/x"});
    assert!(api.check(&w.at.comments(7, 1), Some(page)).more);
    api.check(&w.at.create_comment(7, "x"), Some(comment.clone()));
    api.check(&w.at.update_comment(7, 3, "x"), Some(comment));
    let merge = w.at.fast_forward(&read, &w.commit);
    assert_eq!(
        merge.request.body.as_ref().unwrap()["merge_strategy"],
        "fast_forward"
    );
    api.check(&merge, None);
    let later = Answer {
        status: 202,
        ..Answer::default()
    };
    assert!(merge.read(&later).is_err(), "nobody knows yet how it ends");
    let approvals = api.check(&w.at.approvals(7), Some(pull));
    assert_eq!(approvals.len(), 1);
    let calls = w.at.checks(&w.commit, 1);
    let checks = json!({"values": [{"key": "build", "state": "STOPPED"}]});
    let checks = api.check(calls.first().unwrap(), Some(checks));
    assert_eq!(checks.items.first().unwrap().state, State::Failure);
    let long = CommitStatus {
        context: format!("flotilla/{}", "x".repeat(60)),
        ..w.status.clone()
    };
    let other = CommitStatus {
        context: format!("flotilla/{}y", "x".repeat(60)),
        ..w.status
    };
    let key = |status| {
        let body = w.at.set_status(&w.commit, status).request.body.unwrap();
        body["key"].as_str().unwrap().to_owned()
    };
    assert!(key(&long).len() <= 40 && key(&long) != key(&other));
    api.all_seen();
}
