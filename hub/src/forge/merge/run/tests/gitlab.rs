//! On GitLab, where a merge is as project and request say, and all jobs of a commit are in one list of pages.

use super::super::super::tests::{FILE, fleet};
use super::*;

const PROJECT: &str = "/projects/acme%2Ffleet";

fn merge_request() -> Value {
    json!({"iid": 7, "web_url": "https://x/7", "title": "t", "state": "opened",
        "description": "<!-- flotilla:promote:prod -->\ntext", "source_branch": "flotilla/promote-prod",
        "target_branch": "prod", "source_project_id": 1, "target_project_id": 1, "sha": "b".repeat(40),
        "squash_on_merge": false, "diverged_commits_count": 0, "detailed_merge_status": "mergeable",
        "author": {"username": "bot"}, "labels": []})
}

fn jobs(all: &[(&str, &str)]) -> Value {
    let entry = |(name, status): &(&str, &str)| json!({"name": name, "status": status});
    json!(all.iter().map(entry).collect::<Vec<_>>())
}

impl World {
    async fn on_gitlab() -> Self {
        let mut fleet = fleet(&FILE.replace("github.com", "gitlab.com"));
        fleet.step(heads("b", "a"), super::super::super::tests::at(1));
        let world = Self::of(fleet).await;
        let forge = &world.forge;
        let list = json!([merge_request()]);
        forge.set(&format!("GET {PROJECT}/merge_requests?"), 200, &list);
        let approved = json!({"approved_by": [{"user": {"username": "ann"}}]});
        forge.set(
            &format!("GET {PROJECT}/merge_requests/7/approvals"),
            200,
            &approved,
        );
        forge.set(
            &format!("PUT {PROJECT}/merge_requests/7/merge"),
            200,
            &json!({}),
        );
        world.merges(&json!({"merge_method": "ff"}));
        world.request(&merge_request());
        world.jobs(&[("1", "", jobs(&[("build", "success")]))]);
        world
    }

    fn merges(&self, project: &Value) {
        self.forge.set(&format!("GET {PROJECT}"), 200, project);
    }

    fn request(&self, request: &Value) {
        let path = format!("{PROJECT}/merge_requests/7");
        self.forge.set(&format!("GET {path}?"), 200, request);
        self.forge.set(&format!("PUT {path}"), 200, request);
        let merge = format!("PUT {path}/merge");
        self.forge.set(&merge, 200, &json!({}));
    }

    /// Pages of jobs by number, each with the number of the next.
    fn jobs(&self, pages: &[(&str, &str, Value)]) {
        for (number, next, page) in pages {
            let list = format!(
                "GET {PROJECT}/repository/commits/{}/statuses?per_page=100&page={number}",
                "b".repeat(40)
            );
            let headers = format!("x-next-page: {next}\r\n");
            self.forge.put(&list, 200, &headers, &page.to_string());
        }
    }

    /// One round, whatever it waits for; the bodies of the merge calls.
    async fn merged(&mut self) -> Vec<Value> {
        self.memory.waits = Waits::default();
        let done = self.taking.round(&Round::All, &mut self.memory).await;
        done.unwrap();
        let asked = self.forge.asked().into_iter();
        let merges = asked.filter(|(line, _)| line.ends_with("/merge"));
        merges.map(|(_, body)| body).collect()
    }

    async fn wait_code(&mut self) -> (&'static str, bool) {
        assert_eq!(self.merged().await, Vec::<Value>::new());
        let waits = self.waits().await.unwrap();
        (waits.word, waits.refused)
    }
}

#[tokio::test]
async fn a_red_job_on_a_later_page_is_seen_and_many_jobs_hold_nothing_up() {
    let mut world = World::on_gitlab().await;
    let first = jobs(&[("build", "success"), ("docs", "success")]);
    world.jobs(&[
        ("1", "2", first.clone()),
        ("2", "", jobs(&[("scan", "failed")])),
    ]);
    assert_eq!(world.wait_code().await, ("check", false));
    // Without an end of the list, the remaining pages are unknown.
    world.jobs(&[("2", "3", first.clone())]);
    let all: Vec<String> = (3..=20).map(|number| number.to_string()).collect();
    for number in &all {
        world.jobs(&[(number, "1000", first.clone())]);
    }
    assert_eq!(world.wait_code().await, ("unreadable", true));
    world.jobs(&[(
        "2",
        "",
        jobs(&[("scan", "success"), ("flotilla/prod", "running")]),
    )]);
    let merged = [json!({"sha": "b".repeat(40)})];
    assert_eq!(world.merged().await, merged);
}

#[tokio::test]
async fn what_would_become_another_commit_is_not_merged_and_why_is_said() {
    let mut world = World::on_gitlab().await;
    for (project, says) in [
        (json!({"merge_method": "merge"}), "fast-forward"),
        (
            json!({"merge_method": "ff", "squash_option": "always"}),
            "squash",
        ),
        (
            json!({"merge_method": "ff", "automatic_rebase_enabled": true}),
            "rebase",
        ),
    ] {
        world.merges(&project);
        assert_eq!(world.wait_code().await, ("mergeMethod", true));
        let text = world.waits().await.unwrap().text;
        assert!(text.contains(says), "{text}");
    }
    world.merges(&json!({"merge_method": "ff"}));
    let mut request = merge_request();
    request["squash_on_merge"] = json!(true);
    world.request(&request);
    assert_eq!(world.wait_code().await, ("notReady", true));
    assert!(world.waits().await.unwrap().text.contains("squashed"));
    let mut request = merge_request();
    request["diverged_commits_count"] = json!(2);
    world.request(&request);
    assert_eq!(world.wait_code().await, ("notReady", false));
    world.request(&merge_request());
    assert_eq!(world.merged().await.len(), 1);
}

/// GitLab answers this also to a caller that may read but not merge, not only to an anonymous one.
#[tokio::test]
async fn who_may_not_merge_is_not_told_that_the_token_is_wrong() {
    let mut world = World::on_gitlab().await;
    let merge = format!("PUT {PROJECT}/merge_requests/7/merge");
    let refusal = json!({"message": "401 Unauthorized"});
    world.forge.set(&merge, 401, &refusal);
    assert_eq!(world.merged().await.len(), 1);
    let waits = world.waits().await.unwrap();
    assert_eq!((waits.word, waits.refused), ("forbidden", true));
    assert!(waits.text.contains("may not merge"), "{}", waits.text);
}
