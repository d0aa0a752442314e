//! GitLab, whose description is not checked automatically.

use super::*;

/// GitLab's description was compared by reading (see the README beside the excerpts) and is not loaded here; its known
/// behaviour is tested.
#[test]
fn gitlab() {
    let w = world("https://gitlab.com/group/sub/fleet.git");
    let set = w.at.set_status(&w.commit, &w.status);
    let project = "https://gitlab.com/api/v4/projects/group%2Fsub%2Ffleet";
    assert_eq!(set.request.url, format!("{project}/statuses/{}", w.commit));
    let repeated = |status, text: &str| {
        let body = json!({"message": text}).to_string().into_bytes();
        set.read(&Answer {
            status,
            body,
            ..Answer::default()
        })
    };
    let again = "Cannot transition status via :run from :running (Reason(s): Status cannot \
                 transition via \"run\")";
    assert_eq!(repeated(400, again), Ok(()));
    assert_eq!(repeated(422, again), Ok(()));
    assert!(repeated(400, "name is invalid").is_err());
    assert!(repeated(404, again).is_err());
    let merge = json!({"iid": 7, "web_url": "https://x/7", "title": "t", "description": null,
        "state": "opened", "draft": false, "source_branch": "a", "target_branch": "prod",
        "source_project_id": 1, "target_project_id": 1, "sha": w.commit.as_str(),
        "detailed_merge_status": "ci_must_pass", "author": {"username": "ann"}, "labels": ["x"]});
    let read = |value: Value| {
        let body = value.to_string().into_bytes();
        w.at.pull(7)
            .read(&Answer {
                status: 200,
                body,
                ..Answer::default()
            })
            .unwrap()
    };
    let pull = read(merge.clone());
    assert_eq!(
        (pull.number, pull.mergeable, pull.from_fork),
        (7, Some(false), false)
    );
    let mut other = merge.clone();
    other["detailed_merge_status"] = json!("mergeable");
    other["source_project_id"] = json!(2);
    let other = read(other);
    assert_eq!((other.mergeable, other.from_fork), (Some(true), true));
    let answer = |value: Value| Answer {
        status: 200,
        body: value.to_string().into_bytes(),
        ..Answer::default()
    };
    let open = w.at.open_pulls(&w.base);
    assert!(open.request.url.contains("&target_branch=prod&"));
    assert_eq!(open.read(&answer(json!([merge]))).unwrap().len(), 1);
    let event = |action: &str| json!({"action": action, "user": {"username": "ann"}, "label": {"name": "plan"}});
    let events = json!([event("add"), {"action": "add", "label": null}, event("remove")]);
    let events =
        w.at.labellings(7, 1)
            .unwrap()
            .read(&answer(events))
            .unwrap();
    let given: Vec<bool> = events.items.iter().map(|event| event.given).collect();
    assert_eq!(given, [true, false]);
    let member = |name: &str, level: u32, state: &str| json!({"username": name, "access_level": level, "state": state});
    let members = json!([
        member("ann", 30, "active"),
        member("anna", 50, "active"),
        member("joe", 50, "blocked"),
    ]);
    let rights = w.at.rights("ann").unwrap().read(&answer(members)).unwrap();
    let expected = [("ann", Right::Write), ("anna", Right::Admin)];
    assert_eq!(
        rights,
        expected.map(|(name, right)| (name.to_owned(), right))
    );
    let merge = w.at.fast_forward(&pull, &w.commit);
    assert_eq!(
        merge.request.url,
        format!("{project}/merge_requests/7/merge")
    );
    assert_eq!(
        merge.request.body.as_ref().unwrap()["sha"],
        w.commit.as_str()
    );
}
