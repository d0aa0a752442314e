//! Output of the demo: the time line of a commit, what to try next, the fleet as it changes.

use std::time::{Duration, Instant};

use flotilla_proto::v1;
use flotilla_tests::eventually;
use flotilla_tests::fleet::application;

use super::content::config;
use super::{Demo, say, server_of};

impl Demo {
    /// Pushes a commit to dev, and prints when what happened.
    pub(super) async fn time_line(&mut self) -> anyhow::Result<()> {
        self.repository
            .write("apps/guestbook/config.yaml", &config("Hello again"))?;
        let commit = self.repository.push("Greet again", &["dev"])?;
        let pushed = Instant::now();
        say(&format!(
            "pushed {} to dev",
            commit.get(..7).unwrap_or(&commit)
        ));
        let mut operator = self.operator.clone();
        let seen = |expected: fn(&v1::ClusterStatus, &str) -> bool| {
            let (operator, commit) = (operator.clone(), commit.clone());
            move || {
                let (mut operator, commit) = (operator.clone(), commit.clone());
                async move {
                    let cluster = operator.cluster("dev-1").await?;
                    expected(&cluster, &commit).then_some(())
                }
            }
        };
        let limit = Duration::from_secs(30);
        let assigned = |cluster: &v1::ClusterStatus, commit: &str| {
            cluster.applications.iter().any(|placement| {
                placement
                    .assigned
                    .as_ref()
                    .is_some_and(|revision| revision.commit == commit)
            })
        };
        eventually("assigned", limit, seen(assigned)).await?;
        say(&format!(
            "  {:>6.2}s assigned to dev-1",
            pushed.elapsed().as_secs_f64()
        ));
        let applied = |cluster: &v1::ClusterStatus, commit: &str| {
            application(cluster, "guestbook").is_some_and(|report| {
                report
                    .revision
                    .as_ref()
                    .is_some_and(|revision| revision.commit == commit)
            })
        };
        eventually("applied", limit, seen(applied)).await?;
        say(&format!(
            "  {:>6.2}s applied in dev-1 and reported",
            pushed.elapsed().as_secs_f64()
        ));
        self.wait_current("dev-1", Some(&commit)).await?;
        say(&format!(
            "  {:>6.2}s healthy",
            pushed.elapsed().as_secs_f64()
        ));
        let refresh = v1::RefreshRequest {
            environment: "dev".to_owned(),
        };
        operator.api.refresh(refresh).await?;
        Ok(())
    }

    pub(super) fn hints(&self) {
        let flotilla = self.binaries.join("flotilla").display().to_string();
        let context = self
            .directory
            .join("hub/operator/admin.yaml")
            .display()
            .to_string();
        let work = self.repository.work.display().to_string();
        let hub = self.hub.pid();
        say("\nTry next, in another terminal:\n");
        say(&format!("  export FLOTILLA_CONFIG={context}"));
        say(&format!("  {flotilla} status"));
        say(&format!("  {flotilla} explain prod-eu-1"));
        say(&format!(
            "  {flotilla} web --open        # the same in another browser"
        ));
        say("\n  promote dev to stage:");
        say(&format!("  {flotilla} promote stage"));
        say(
            "\n  prod takes it in waves: prod-eu-1 first, the others once that was healthy for five seconds;",
        );
        say("  its gate opens when stage was healthy at exactly this commit for five seconds:");
        say(&format!("  {flotilla} promote prod --wait"));
        say(
            "\n  a commit that fails in prod only: prod-eu-1 takes it, the others never do, and prod goes",
        );
        say("  back by itself; then fix it:");
        say(&format!(
            "  cd {work} && sed -i 's/probe:1/probe:broken/' clusters/prod/probe.yaml && git commit -qam 'Break prod' && git push origin HEAD:dev"
        ));
        say(&format!(
            "  {flotilla} promote stage --wait --yes && {flotilla} promote prod --wait --yes"
        ));
        say(&format!("  {flotilla} rollout show prod"));
        say(&format!(
            "  cd {work} && git revert --no-edit HEAD && git push origin HEAD:dev && {flotilla} promote stage --wait --yes && {flotilla} promote prod --wait --yes"
        ));
        say("\n  cause drift, and see it undone:");
        let kubeconfig = self.directory.join("dev-1.kubeconfig");
        if let Ok(server) = server_of(&kubeconfig) {
            say(&format!(
                "  curl -s -X DELETE {server}/api/v1/namespaces/guestbook/configmaps/greeting"
            ));
            say(&format!(
                "  curl -s {server}/api/v1/namespaces/guestbook/configmaps/greeting"
            ));
        }
        say("\n  take the hub away (the clusters go on), then end the demo with Ctrl-C:");
        say(&format!("  kill {hub}"));
        say(&format!(
            "\nAgents log to {}/*.log; Git is at {}\n",
            self.directory.display(),
            self.git.url("fleet.git")
        ));
    }

    /// Shows the fleet live until the hub ends.
    pub(super) async fn show(&self) -> anyhow::Result<()> {
        let mut operator = self.operator.clone();
        let request = v1::WatchRequest {
            filter: None,
            summary: true,
        };
        let mut changes = operator.api.watch(request).await?.into_inner();
        while let Ok(Some(change)) = changes.message().await {
            if let Some(v1::watch_response::Event::Cluster(cluster)) = change.event {
                let report = application(&cluster, "guestbook")
                    .cloned()
                    .unwrap_or_default();
                let commit = report
                    .revision
                    .as_ref()
                    .map_or("-", |r| r.commit.get(..7).unwrap_or("-"));
                say(&format!(
                    "{:<10} {:<6} {commit:<8} {:<12} {:<12} {} {}",
                    cluster.name,
                    cluster.environment,
                    cluster
                        .sync()
                        .as_str_name()
                        .trim_start_matches("SYNC_")
                        .to_lowercase(),
                    cluster
                        .health()
                        .as_str_name()
                        .trim_start_matches("HEALTH_")
                        .to_lowercase(),
                    report.reason,
                    report.message
                ));
            }
        }
        say("the hub is gone; the clusters go on with what they have. Ctrl-C ends the demo");
        std::future::pending().await
    }
}
