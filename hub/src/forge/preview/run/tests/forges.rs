//! Previews on forges that have other ways than GitHub, and of pull requests from forks.

use super::*;
use crate::forge::fake::{unwell, waits_for};

const CLOUD: &str = "/repositories/acme/fleet";

/// A pull request of Bitbucket Cloud.
fn cloud_pull(digit: &str, source: &str) -> Value {
    let end = |branch: &str, repository: &str| {
        json!({"branch": {"name": branch}, "commit": {"hash": digit.repeat(12)},
            "repository": {"full_name": repository}})
    };
    json!({"id": 7, "title": "t", "state": "OPEN", "source": end("feature/x", source),
        "destination": end("main", "acme/fleet"), "links": {"html": {"href": "https://x/7"}},
        "author": {"display_name": "Ann", "uuid": "{1}"}})
}

impl World {
    /// Sets the answers of Bitbucket Cloud for an author with this right.
    fn cloud(&self, digit: &str, source: &str, permission: &str) {
        let forge = &self.forge;
        let page = |item: Value| json!({"values": [item]});
        let pulls = format!("GET {CLOUD}/pullrequests?");
        forge.set(&pulls, 200, &page(cloud_pull(digit, source)));
        let right = json!({"type": "repository_permission", "permission": permission,
            "user": {"display_name": "Ann", "uuid": "{1}"}});
        let rights = "GET /workspaces/acme/permissions/repositories/fleet?";
        forge.set(rights, 200, &page(right));
        let commit = format!("GET {CLOUD}/commit/{}", digit.repeat(12));
        forge.set(&commit, 200, &json!({"hash": digit.repeat(40)}));
        let comments = format!("{CLOUD}/pullrequests/7/comments");
        forge.set(&format!("GET {comments}"), 200, &json!({"values": []}));
        forge.set(&format!("POST {comments}"), 201, &json!({"id": 3}));
        forge.set(&format!("PUT {comments}/"), 200, &json!({"id": 3}));
    }
}

#[tokio::test]
async fn bitbucket_cloud_is_told_in_one_comment_by_what_the_author_may_do() {
    let mut world = World::on("bitbucket.org", "role: write").await;
    world.cloud("a", "acme/fleet", "read");
    assert_eq!(world.round().await, [], "a stranger is not answered");
    assert_eq!(world.plans(), []);

    world.memory = Memory::default();
    world.cloud("a", "acme/fleet", "write");
    let written = world.round().await;
    let comments = format!("{CLOUD}/pullrequests/7/comments");
    assert_eq!(written[0].0, format!("POST {comments}"));
    let text = written[0].1.clone();
    assert!(
        text.starts_with("[//]: # (flotilla:plan:prod)\n\n**Flotilla plan for prod"),
        "{text}"
    );
    // The forge shortens the commit to twelve digits, and agents are asked for the full one.
    let plans = world.plans();
    assert_eq!(plans[0].revision.commit.as_str(), "a".repeat(40));
    assert_eq!(plans[0].revision.branch.as_str(), "feature/x");
    assert!(
        plans[0].why.ends_with("asked by Ann {1}"),
        "{}",
        plans[0].why
    );
    assert_eq!(world.round().await, [], "once for each head");

    // A new plan updates the same comment, also after a restart of the hub.
    world.cloud("b", "acme/fleet", "admin");
    let written = world.round().await;
    assert_eq!(written[0].0, format!("PUT {comments}/3"));
    world.memory = Memory::default();
    world.cloud("c", "acme/fleet", "admin");
    let own = json!({"id": 5, "content": {"raw": text}});
    let other = json!({"id": 4, "content": {"raw": "> [//]: # (flotilla:plan:prod)"}});
    let all = json!({"values": [other, own]});
    world.forge.set(&format!("GET {comments}"), 200, &all);
    let written = world.round().await;
    assert_eq!(written[0].0, format!("PUT {comments}/5"));
    assert_eq!(world.plans().len(), 2);

    // A commit that does not begin with the listed digits, or no longer exists, is not planned.
    for (digit, status, body) in [
        ("d", 200, json!({"hash": "e".repeat(40)})),
        (
            "f",
            404,
            json!({"type": "error", "error": {"message": "gone"}}),
        ),
    ] {
        world.cloud(digit, "acme/fleet", "write");
        let commit = format!("GET {CLOUD}/commit/{}", digit.repeat(12));
        world.forge.set(&commit, status, &body);
        let written = world.round().await;
        assert!(
            written[0].1.contains("does not report its full commit"),
            "{written:?}"
        );
        assert_eq!(world.plans(), []);
    }
}

#[tokio::test]
async fn a_label_is_nothing_that_bitbucket_cloud_has_and_that_is_said() {
    let mut world = World::on("bitbucket.org", "label: plan, role: write").await;
    world.cloud("a", "acme/fleet", "write");
    assert_eq!(world.round().await, []);
    assert_eq!(world.forge.asked(), []);
    let waits = world.memory.waits.holds(&place(), Instant::now());
    assert!(waits, "it is not said again and again");
}

fn place() -> (EnvironmentName, RepositoryName, BranchName) {
    (
        "prod".parse().unwrap(),
        "fleet".parse().unwrap(),
        "main".parse().unwrap(),
    )
}

/// Each forge keeps a fork's head in the target repository, where agents could fetch it. They are not asked for it, and
/// the comment says why.
#[tokio::test]
async fn forks_are_refused_in_words_on_every_forge() {
    let github = {
        let mut fork = pull("a", &["plan"]);
        fork["head"]["repo"]["full_name"] = json!("eve/fleet");
        fork
    };
    let gone = {
        let mut fork = pull("a", &["plan"]);
        fork["head"]["repo"] = Value::Null;
        fork
    };
    let gitlab = json!({"iid": 7, "web_url": "https://x/7", "title": "t", "state": "opened",
        "source_branch": "feature/x", "target_branch": "main", "source_project_id": 2,
        "target_project_id": 1, "sha": "a".repeat(40), "author": {"username": "ann"}, "labels": ["plan"]});
    let gitea = json!({"number": 7, "html_url": "https://x/7", "title": "t", "state": "open",
        "head": {"ref": "feature/x", "sha": "a".repeat(40), "repo_id": 6},
        "base": {"ref": "main", "sha": "1", "repo_id": 5}, "user": {"login": "ann"},
        "labels": [{"name": "plan"}]});
    let on_github = format!("{REPO}/issues/7/comments");
    let merge = "/projects/acme%2Ffleet/merge_requests";
    for (host, ask, list, answer, comments) in [
        (
            "github.com",
            "label: plan",
            format!("GET {REPO}/pulls?"),
            github,
            on_github.clone(),
        ),
        (
            "github.com",
            "label: plan",
            format!("GET {REPO}/pulls?"),
            gone,
            on_github.clone(),
        ),
        (
            "gitlab.com",
            "label: plan",
            format!("GET {merge}?"),
            gitlab,
            format!("{merge}/7/notes"),
        ),
        (
            "codeberg.org",
            "label: plan",
            format!("GET {REPO}/pulls?"),
            gitea,
            on_github,
        ),
        (
            "bitbucket.org",
            "role: write",
            format!("GET {CLOUD}/pullrequests?"),
            cloud_pull("a", "eve/fleet"),
            format!("{CLOUD}/pullrequests/7/comments"),
        ),
    ] {
        let mut world = World::on(host, ask).await;
        world.cloud("a", "eve/fleet", "write");
        let list_of = match host {
            "bitbucket.org" => json!({"values": [answer]}),
            _ => json!([answer]),
        };
        world.forge.set(
            &format!("GET {REPO}/pulls?state=open&base=main&"),
            200,
            &list_of,
        );
        world.forge.set(&list, 200, &list_of);
        let none = if host == "bitbucket.org" {
            json!({"values": []})
        } else {
            json!([])
        };
        world.forge.set(&format!("GET {comments}"), 200, &none);
        let new = json!({"id": 3, "body": "", "user": {"login": "bot"}});
        world.forge.set(&format!("POST {comments}"), 201, &new);
        let written = world.round().await;
        assert_eq!(written.len(), 1, "{host}: {written:?}");
        let (line, text) = &written[0];
        assert!(
            line.starts_with(&format!("POST {comments}")),
            "{host}: {line}"
        );
        assert!(
            text.contains("no plan: it comes from a fork")
                && text.contains("push it to a branch here"),
            "{host}: {text}"
        );
        assert_eq!(world.plans(), [], "{host}: agents were asked");
        assert_eq!(world.round().await, [], "{host}: once");
    }
}

#[tokio::test]
async fn bitbucket_cloud_that_is_unwell_is_left_alone_for_a_while() {
    let limited = "x-ratelimit-remaining: 0\r\nretry-after: 120\r\n";
    let comments = format!("{CLOUD}/pullrequests/7/comments");
    let calls = [
        (format!("GET {CLOUD}/pullrequests?"), true),
        (
            "GET /workspaces/acme/permissions/repositories/fleet?".to_owned(),
            false,
        ),
        (format!("GET {CLOUD}/commit/"), false),
        (format!("GET {comments}"), false),
        (format!("POST {comments}"), false),
        (format!("PUT {comments}/5"), false),
    ];
    let mut world = World::on("bitbucket.org", "role: write").await;
    let mut spent = false;
    for (call, is_list) in calls {
        let too_often = (429, "", "{}");
        for (status, headers, body) in unwell(limited).into_iter().chain([too_often]) {
            world.memory = Memory::default();
            let is_limit = status == 429 || !headers.is_empty() && status == 403;
            // A sender that was told to wait is replaced, and only one that never gets an answer has the short
            // time-out.
            if spent || status == 0 {
                world.previewing.sender = waits_for(status);
            }
            spent = status == 0 || is_limit;
            world.cloud("a", "acme/fleet", "write");
            if call.starts_with("PUT") {
                let own = json!({"id": 5, "content": {"raw": "[//]: # (flotilla:plan:prod)"}});
                let all = json!({"values": [own]});
                world.forge.set(&format!("GET {comments}"), 200, &all);
            }
            let beginning = match call.strip_suffix("/commit/") {
                Some(_) => format!("{call}{}", "a".repeat(12)),
                None => call.clone(),
            };
            world.forge.put(&beginning, status, headers, body);
            let written = world.round().await;
            let what = format!("{call} {status}");
            // A missing commit is reported.
            let is_said = status == 404 && call.contains("/commit/");
            // A comment that the hub may not change, or that was deleted, is replaced by a new one.
            let is_theirs = call.starts_with("PUT") && [401, 403, 404].contains(&status);
            let is_theirs = is_theirs && headers.is_empty();
            let writes = call.starts_with("POST") || call.starts_with("PUT");
            let most = usize::from(is_said || writes) + usize::from(is_theirs);
            assert!(written.len() <= most, "{what}: {written:?}");
            assert!(written.iter().all(|(_, text)| !text.contains("s3cret")));
            assert!(world.plans().len() <= 1, "{what}");
            world.round().await;
            assert_eq!(world.plans(), [], "{what}: nobody works again");
            let passes = status >= 500 || status == 0 || is_limit || body.starts_with("<html>l");
            let waits = world.memory.waits.holds(&place(), Instant::now());
            assert_eq!(waits, is_list || passes, "{what}");
        }
    }
}
