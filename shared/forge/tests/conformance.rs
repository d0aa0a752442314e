//! Every request against what the forge publishes about it, and every reader against its answers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;

use flotilla_forge::{Answer, Call, CommitStatus, Kind, NewPull, Repository, Right, State};
use flotilla_shared::revision::{BranchName, Commit};
use serde_json::{Value, json};

/// A forge's description, and which of its calls were held against it.
struct Description {
    operations: Vec<Value>,
    seen: BTreeSet<usize>,
    base: &'static str,
}

/// No member that the description does not know may slip through.
fn strict(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if map.contains_key("properties") && !map.contains_key("additionalProperties") {
                map.insert("additionalProperties".to_owned(), json!(false));
            }
            map.values_mut().for_each(strict);
        }
        Value::Array(all) => all.iter_mut().for_each(strict),
        _ => {}
    }
}

fn fits(what: &str, schema: &Value, value: &Value) {
    let mut schema = schema.clone();
    strict(&mut schema);
    let mut schemas = boon::Schemas::new();
    let mut compiler = boon::Compiler::new();
    compiler.add_resource("mem:x", schema).unwrap();
    let index = compiler.compile("mem:x", &mut schemas).unwrap();
    if let Err(error) = schemas.validate(value, index) {
        panic!("{what}: {error:#}\n{value:#}");
    }
}

impl Description {
    fn read(name: &str, base: &'static str) -> Self {
        let path = format!(
            "{}/../../tests/conformance/forges/{name}.json",
            env!("CARGO_MANIFEST_DIR")
        );
        let whole: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        Self {
            operations: whole["operations"].as_array().unwrap().clone(),
            seen: BTreeSet::new(),
            base,
        }
    }

    /// Finds the operation that a request is for, and holds the request against it.
    fn operation<T>(&mut self, call: &Call<T>) -> Value {
        let request = &call.request;
        let rest = request.url.strip_prefix(self.base).unwrap();
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let method = request.method.as_str().to_ascii_lowercase();
        let same = |template: &str| {
            // A reference has slashes of its own there.
            let path = path.replace("/heads/prod", "/heads%2Fprod");
            let (mut one, mut other) = (template.split('/'), path.split('/'));
            loop {
                match (one.next(), other.next()) {
                    (None, None) => return true,
                    (Some(one), Some(other)) if one == other || one.starts_with('{') => {}
                    _ => return false,
                }
            }
        };
        let path_of = |one: &Value| one["path"].as_str().unwrap().to_owned();
        let all = self.operations.iter().enumerate();
        // Of several the one that leaves least open.
        let (index, operation) = all
            .filter(|(_, one)| same(&path_of(one)) && one["method"] == *method)
            .min_by_key(|(_, one)| path_of(one).matches('{').count())
            .unwrap_or_else(|| panic!("{}: {method} {path} is not described", call.name));
        let known = operation["query"].as_array().unwrap();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let name = part.split('=').next().unwrap();
            // Bitbucket describes paging and filtering once, for all lists.
            let general =
                ["pagelen", "page", "q", "sort"].contains(&name) && self.base.contains("bitbucket");
            assert!(
                general || known.contains(&json!(name)),
                "{}: {name}",
                call.name
            );
        }
        match (&request.body, operation.get("request")) {
            (Some(body), Some(schema)) => {
                let mut body = body.clone();
                if self.base.contains("bitbucket") && call.name.ends_with("Pull") {
                    // Taken and given back by the API, and left out by its description.
                    assert!(
                        body.as_object_mut()
                            .unwrap()
                            .remove("description")
                            .is_some()
                    );
                }
                fits(call.name, schema, &body);
            }
            (None, None) => {}
            (body, _) => panic!("{}: {body:?}", call.name),
        }
        let operation = operation.clone();
        self.seen.insert(index);
        operation
    }

    /// Holds a call against it; `answer`, or else the description's own example, is read.
    fn check<T>(&mut self, call: &Call<T>, answer: Option<Value>) -> T {
        let operation = self.operation(call);
        let status = operation["status"].as_u64().unwrap_or(204);
        let body = answer
            .inspect(|answer| fits(call.name, &operation["response"], answer))
            .or_else(|| operation.get("example").cloned());
        let answer = Answer {
            status: u16::try_from(status).unwrap(),
            body: body
                .map(|body| body.to_string().into_bytes())
                .unwrap_or_default(),
            ..Answer::default()
        };
        match call.read(&answer) {
            Ok(value) => value,
            Err(error) => panic!("{}: {error}", call.name),
        }
    }

    fn all_seen(&self) {
        for (index, operation) in self.operations.iter().enumerate() {
            assert!(self.seen.contains(&index), "nobody calls {operation:#}");
        }
    }
}

struct World {
    at: Repository,
    commit: Commit,
    head: BranchName,
    base: BranchName,
    status: CommitStatus,
    new: NewPull,
}

fn world(url: &str) -> World {
    World {
        at: Repository::at(&url.parse().unwrap(), None, None).unwrap(),
        commit: "6dcb09b5b57875f334f61aebed695e2e4193db5e".parse().unwrap(),
        head: "flotilla/promote-prod".parse().unwrap(),
        base: "prod".parse().unwrap(),
        status: CommitStatus {
            context: "flotilla/prod".to_owned(),
            state: State::Pending,
            description: "wave 2 of 3, 118 of 312".to_owned(),
            link: "https://hub.example.org/env/prod".to_owned(),
        },
        new: NewPull {
            head: "flotilla/promote-prod".to_owned(),
            base: "prod".to_owned(),
            title: "Promote to prod".to_owned(),
            body: "text".to_owned(),
        },
    }
}

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
    let given: Vec<bool> = events.items.iter().map(|one| one.given).collect();
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
    let given: Vec<bool> = events.items.iter().map(|one| one.given).collect();
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
    let people: Vec<&str> = approvals.iter().map(|one| one.by.as_str()).collect();
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

/// GitLab's description was compared by reading (see the README beside the excerpts) and has no place here; what
/// is known of its ways is held fast.
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
    let given: Vec<bool> = events.items.iter().map(|one| one.given).collect();
    assert_eq!(given, [true, false]);
    let member = |name: &str, level: u32, state: &str| json!({"username": name, "access_level": level, "state": state});
    let members = json!([
        member("ann", 30, "active"),
        member("anna", 50, "active"),
        member("joe", 50, "blocked"),
    ]);
    let rights = w.at.rights("ann").unwrap().read(&answer(members)).unwrap();
    let wanted = [("ann", Right::Write), ("anna", Right::Admin)];
    assert_eq!(rights, wanted.map(|(name, right)| (name.to_owned(), right)));
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
