//! Pull requests: the hub merges that of a promotion, at exactly the commit that live clusters have proven.

use flotilla_tests::forge::{Forge, PullRequest};
use flotilla_tests::repository::git;

use crate::*;

impl World {
    /// Restarts the hub with a forge, and with `file` in place of the environments and all that follows.
    async fn with_forge(&mut self, file: &str) -> Forge {
        let forge = Forge::start(&self.repository.bare).await.unwrap();
        // On a forge, repositories belong to owners.
        let owner = self.path("served/acme");
        std::fs::create_dir_all(&owner).unwrap();
        std::os::unix::fs::symlink(&self.repository.bare, owner.join("fleet.git")).unwrap();
        write_private(&self.path("forge-token"), "s3cret").unwrap();
        let forges = format!(
            "apiVersion: flotilla.dev/v1alpha1\nkind: Forges\nintervalSeconds: 1\nforges:\n- {{repository: \
             fleet, kind: github, api: '{}', tokenFile: '{}'}}\n",
            forge.api,
            self.path("forge-token").display()
        );
        let forges = flotilla_hub::forge::config::parse("forges.yaml", &forges).unwrap();
        self.hub.config.forges = Some(forges);
        let fleet = format!(
            "apiVersion: flotilla.dev/v1alpha1\nkind: Fleet\nrepositories:\n- {{name: fleet, url: '{}'}}\n{file}",
            self.git.url("acme/fleet.git")
        );
        std::fs::write(self.path("fleet.yaml"), fleet).unwrap();
        self.restart_hub().await;
        forge
    }

    /// Restarts the hub in the same way as the program does.
    async fn restart_hub(&mut self) {
        self.hub.stop().await.unwrap();
        self.start_hub_again().await;
    }

    async fn step(&self, name: &str, expected: &str) -> v1::ExplainStep {
        let last = std::cell::RefCell::new(Vec::new());
        let found = eventually(&format!("{name} says {expected}"), LIMIT, || {
            let mut api = self.operator.api.clone();
            let last = &last;
            async move {
                let request = v1::ExplainRequest {
                    subject: "prod".to_owned(),
                };
                let steps = api.explain(request).await.ok()?.into_inner().steps;
                last.borrow_mut().clone_from(&steps);
                let mut steps = steps.into_iter();
                steps.find(|step| step.step == name && step.text.contains(expected))
            }
        })
        .await;
        found.unwrap_or_else(|error| panic!("{error}: {:#?}", last.borrow()))
    }

    fn served(&self, branch: &str) -> String {
        let reference = format!("refs/heads/{branch}");
        git(&self.repository.bare, &["rev-parse", &reference]).unwrap()
    }
}

const TWO: &str = "environments:
- {name: dev, branch: dev}
- {name: prod, branch: prod, promotesFrom: dev, merge: fastForward, gates: {proof: {soak: 1s}}}
applications:
- {name: web, repository: fleet, path: apps/web, namespace: web}
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promotions_pull_request_is_taken_at_the_commit_that_live_clusters_proved() {
    let mut world = World::embedded(WEB).await;
    let first = world.head();
    git(
        &world.repository.bare,
        &["update-ref", "refs/heads/prod", &first],
    )
    .unwrap();
    let forge = world.with_forge(TWO).await;
    let files = &world.repository;
    files
        .write("apps/web/config.yaml", &config_map("config", "two"))
        .unwrap();
    let second = files.push("second", &["dev"]).unwrap();
    world.step("merge", "no pull request is open").await;

    // Like `flotilla promote prod --pull-request`.
    git(
        &world.repository.bare,
        &["update-ref", "refs/heads/flotilla/promote-prod", &second],
    )
    .unwrap();
    forge.state.lock().pulls.push(PullRequest {
        head: "flotilla/promote-prod".to_owned(),
        base: "prod".to_owned(),
        body: "<!-- flotilla:promote:prod -->\nMoves prod.".to_owned(),
        // The approval was given for the previous head.
        approvals: vec![("ann".to_owned(), first.clone())],
        ..PullRequest::default()
    });
    world.current("web", &second).await;
    let step = world.step("merge", "0 of 1 approval").await;
    assert_eq!(step.subject, "fleet, pull request 1");
    assert_eq!(world.served("prod"), first);
    let told = eventually("the commit says what it waits for", LIMIT, || async {
        let there = forge.state.lock();
        let mut all = there.statuses.iter();
        let found = all.find(|(commit, context, _, text)| {
            *commit == second && context == "flotilla/prod" && text.contains("approval")
        });
        found.cloned()
    });
    assert_eq!(told.await.unwrap().2, "pending");
    let says = async |expected: &str| {
        let what = format!("its text says {expected}");
        let found = eventually(&what, LIMIT, || async {
            let text = forge.state.lock().pulls[0].body.clone();
            text.contains(expected).then_some(text)
        });
        found.await.unwrap()
    };
    let text = says("**Waiting to merge:** ").await;
    assert!(
        text.starts_with("<!-- flotilla:promote:prod -->\n") && text.ends_with("\nMoves prod."),
        "{text}"
    );

    // A restart loses none of this.
    world.restart_hub().await;
    world.step("merge", "0 of 1 approval").await;
    let approval = ("ann".to_owned(), second.clone());
    forge.state.lock().pulls[0].approvals.push(approval);
    eventually("prod is moved", LIMIT, || async {
        (world.served("prod") == second).then_some(())
    })
    .await
    .unwrap();
    let mut api = world.operator.api.clone();
    let request = v1::ListAuditRequest {
        environment: "prod".to_owned(),
        ..v1::ListAuditRequest::default()
    };
    let log = api.list_audit(request).await.unwrap().into_inner().entries;
    let promoted: Vec<_> = log
        .iter()
        .filter(|entry| entry.action == "promote")
        .collect();
    assert_eq!(promoted.len(), 1, "{log:?}");
    assert!(
        promoted[0].reason.ends_with("approved by ann"),
        "{promoted:?}"
    );
    assert_eq!(promoted[0].commit, second);
    let text = says("**Merged** at ").await;
    assert!(
        text.contains("approved by ann.") && text.ends_with("\nMoves prod."),
        "{text}"
    );
    assert!(!text.contains("Waits"), "{text}");
}

const PREVIEWS: &str = "environments:
- {name: dev, branch: dev}
applications:
- {name: web, repository: fleet, path: apps/web, namespace: web}
previews:
- {environment: dev, branch: dev, label: plan, role: write}
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pull_request_with_a_label_is_told_what_it_would_change_on_live_clusters() {
    let mut world = World::embedded(WEB).await;
    let policy = "plan: {branches: ['feature/*']}\n";
    world.stop_agent().await;
    std::fs::write(world.path("policy.yaml"), policy).unwrap();
    world.start_agent().await;
    let forge = world.with_forge(PREVIEWS).await;
    world.current("web", &world.head()).await;
    forge.state.lock().writers.push("ann".to_owned());
    let files = &world.repository;
    files
        .write("apps/web/config.yaml", &config_map("config", "two"))
        .unwrap();
    let first = files.push("feature", &["feature/x", "other"]).unwrap();
    let pull = |head: &str, by: &str| PullRequest {
        head: head.to_owned(),
        base: "dev".to_owned(),
        labels: vec![("plan".to_owned(), by.to_owned())],
        ..PullRequest::default()
    };
    // One labelled by a person who may request plans, one by a person who may not, and one that the policy refuses.
    let pulls = [
        pull("feature/x", "ann"),
        pull("feature/x", "eve"),
        pull("other", "ann"),
    ];
    forge.state.lock().pulls.extend(pulls);
    let says = async |index: usize, expected: &str| {
        let what = format!("{index} says {expected}");
        let found = eventually(&what, LIMIT, || async {
            let there = forge.state.lock();
            let comments = &there.pulls[index].comments;
            comments
                .last()
                .filter(|text| text.contains(expected))
                .cloned()
        });
        let there = found.await;
        there.unwrap_or_else(|error| panic!("{error}: {:#?}", forge.state.lock().pulls))
    };
    let short = |commit: &str| commit.get(..7).unwrap().to_owned();
    let text = says(0, "1 cluster: 1 change").await;
    assert!(text.starts_with("<!-- flotilla:plan:dev -->\n"), "{text}");
    assert!(
        text.contains(&short(&first)) && text.contains("/data/value"),
        "{text}"
    );
    assert!(!text.contains("two"), "values are not told: {text}");
    says(1, "added by eve, who may not request plans").await;
    says(2, "BranchNotAllowed").await;

    // A new push updates the same comment.
    let files = &world.repository;
    files
        .write("apps/web/new.yaml", &config_map("new", "one"))
        .unwrap();
    let second = files.push("more", &["feature/x"]).unwrap();
    let text = says(0, "1 cluster: 2 changes").await;
    assert!(text.contains(&short(&second)), "{text}");
    let there = forge.state.lock();
    assert!(
        there.pulls.iter().all(|pull| pull.comments.len() == 1),
        "{there:?}"
    );
}
