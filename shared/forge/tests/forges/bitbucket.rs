//! Bitbucket Cloud, against its description.

use flotilla_forge::PullRequest;

use super::*;

#[test]
fn bitbucket_cloud() {
    let mut cloud = Cloud::new();
    cloud.statuses();
    cloud.lists_of_pulls();
    assert!(cloud.w.at.labellings(7, 1).is_none());
    cloud.rights();
    cloud.whole_commits();
    let read = cloud.one_pull();
    cloud.changes_of_pulls();
    cloud.comments();
    cloud.merge(&read);
    cloud.approvals_and_checks();
    cloud.keys_of_statuses();
    cloud.api.all_seen();
}

/// A repository, with a pull request in the form of the API's answers.
struct Cloud {
    w: World,
    api: Description,
    pull: Value,
}

fn user(name: &str) -> Value {
    json!({"display_name": name, "uuid": "{1}"})
}

impl Cloud {
    fn new() -> Self {
        let w = world("https://bitbucket.org/acme/fleet.git");
        let api = Description::read("bitbucket", "https://api.bitbucket.org/2.0");
        let end = |branch: &str, repository: &str| {
            json!({"branch": {"name": branch}, "commit": {"hash": w.commit.as_str().get(..12)},
                "repository": {"full_name": repository}})
        };
        let pull = json!({
            "id": 7, "title": "t", "summary": {"raw": "b"}, "state": "OPEN",
            "source": end("flotilla/promote-prod", "acme/fleet"),
            "destination": end("prod", "acme/fleet"),
            "author": user("ann"), "links": {"html": {"href": "https://x/7"}},
            "participants": [{"user": user("bob"), "approved": true}, {"user": user("eve"), "approved": false}],
        });
        Self { w, api, pull }
    }

    /// A URL is sent with each status, even without a link.
    fn statuses(&mut self) {
        let w = &self.w;
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
            self.api.check(&call, Some(json!({})));
        }
    }

    fn lists_of_pulls(&mut self) {
        let (w, pull) = (&self.w, &self.pull);
        let found = w.at.find_pulls(&w.head, &w.base);
        let found = self.api.check(&found, Some(json!({"values": [pull]})));
        assert_eq!(found.first().unwrap().body, "b");
        let open = w.at.open_pulls(&w.base);
        let open = self.api.check(&open, Some(json!({"values": [pull]})));
        assert_eq!(open.len(), 1);
    }

    /// They are requested by the person's id.
    fn rights(&mut self) {
        let w = &self.w;
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
        let rights = self.api.check(&rights, Some(all));
        assert_eq!(rights, [(person.to_owned(), Right::Write)]);
        assert!(w.at.rights("ann").is_none(), "a name alone is nobody");
    }

    /// Pull requests contain twelve digits of a commit.
    fn whole_commits(&mut self) {
        let w = &self.w;
        let short = w.commit.as_str().get(..12).unwrap();
        let whole = w.at.whole_commit(short).unwrap();
        let whole = self.api.check(
            &whole,
            Some(json!({"type": "commit", "hash": w.commit.as_str()})),
        );
        assert_eq!(whole, w.commit.as_str());
        for odd in ["6dcb09b", "../../pullrequests/7", ""] {
            assert!(w.at.whole_commit(odd).is_none(), "{odd}");
        }
    }

    fn one_pull(&mut self) -> PullRequest {
        let call = self.w.at.pull(7);
        let read = self.api.check(&call, Some(self.pull.clone()));
        assert!(read.open && !read.merged && !read.from_fork);
        read
    }

    /// One is created, and one gets another text.
    fn changes_of_pulls(&mut self) {
        let (w, pull) = (&self.w, &self.pull);
        let create = w.at.create_pull(&w.new);
        self.api.check(&create, Some(pull.clone()));
        let mut whole = pull.clone();
        whole["reviewers"] = json!([user("bob")]);
        let whole = self.api.check(&w.at.pull(7), Some(whole));
        let update = w.at.update_pull(&whole, "t", "b");
        assert_eq!(
            update.request.body.as_ref().unwrap()["reviewers"],
            json!([{"uuid": "{1}"}]),
            "nobody is left out by a change of words"
        );
        self.api.check(&update, Some(pull.clone()));
    }

    fn comments(&mut self) {
        let at = &self.w.at;
        let comment = json!({"id": 3, "content": {"raw": "b"}, "user": user("ann")});
        let page = json!({"values": [comment], "next": "https://api.bitbucket.org/x"});
        assert!(self.api.check(&at.comments(7, 1), Some(page)).more);
        let create = at.create_comment(7, "x");
        self.api.check(&create, Some(comment.clone()));
        let update = at.update_comment(7, 3, "x");
        self.api.check(&update, Some(comment));
    }

    fn merge(&mut self, read: &PullRequest) {
        let merge = self.w.at.fast_forward(read, &self.w.commit);
        assert_eq!(
            merge.request.body.as_ref().unwrap()["merge_strategy"],
            "fast_forward"
        );
        self.api.check(&merge, None);
        let later = Answer {
            status: 202,
            ..Answer::default()
        };
        assert!(merge.read(&later).is_err(), "nobody knows yet how it ends");
    }

    fn approvals_and_checks(&mut self) {
        let w = &self.w;
        let approvals = w.at.approvals(7);
        let approvals = self.api.check(&approvals, Some(self.pull.clone()));
        assert_eq!(approvals.len(), 1);
        let calls = w.at.checks(&w.commit, 1);
        let checks = json!({"values": [{"key": "build", "state": "STOPPED"}]});
        let checks = self.api.check(calls.first().unwrap(), Some(checks));
        assert_eq!(checks.items.first().unwrap().state, State::Failure);
    }

    /// They are short, and differ where the contexts do.
    fn keys_of_statuses(&self) {
        let w = &self.w;
        let long = CommitStatus {
            context: format!("flotilla/{}", "x".repeat(60)),
            ..w.status.clone()
        };
        let other = CommitStatus {
            context: format!("flotilla/{}y", "x".repeat(60)),
            ..w.status.clone()
        };
        let key = |status| {
            let body = w.at.set_status(&w.commit, status).request.body.unwrap();
            body["key"].as_str().unwrap().to_owned()
        };
        assert!(key(&long).len() <= 40 && key(&long) != key(&other));
    }
}
