//! Prerequisites of the scale test's hub: a repository that is served, enrolled clusters, and an issuer for users of
//! the pages.

use std::path::PathBuf;
use std::time::Duration;

use flotilla_hub::fleet::ClusterRecord;
use flotilla_shared::id::ClusterName;
use flotilla_tests::git_server::GitServer;
use flotilla_tests::issuer::Issuer;
use flotilla_tests::open_pages;
use flotilla_tests::programs;
use flotilla_tests::repository::{Repository, git};
use flotilla_tests::simulated::{CertificateIssuer, accepted};
use flotilla_tests::test_hub::{Process, TestHub};

use super::Args;

/// The prerequisites; they are removed when dropped.
pub(super) struct Fixture {
    /// The issuer whose users may open the pages; none: the hub serves no pages.
    issuer: Option<Issuer>,
    pub(super) enrolled: CertificateIssuer,
    pub(super) clusters: Vec<(ClusterName, ClusterRecord)>,
    _git: GitServer,
    repository: Repository,
    branches: Vec<String>,
    directory: tempfile::TempDir,
    programs: PathBuf,
}

impl Fixture {
    /// Builds the hub, and prepares everything with a first commit.
    pub(super) async fn prepare(args: &Args) -> anyhow::Result<Self> {
        let programs: PathBuf = programs::build_some(&["flotilla-hub"]).await?;
        let directory = tempfile::tempdir()?;
        let repository = Repository::create(directory.path(), "fleet")?;
        let branches: Vec<String> = (0..args.environments)
            .map(|index| format!("env-{index}"))
            .collect();
        repository.write(
            "apps/web.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
        )?;
        push(&repository, "first", &branches)?;
        let git = GitServer::start(&directory.path().join("served"), "127.0.0.1:0").await?;
        std::fs::write(
            directory.path().join("fleet.yaml"),
            fleet_file(args, &git.url("fleet.git")),
        )?;
        let clusters = clusters(args)?;
        let enrolled = CertificateIssuer::new(&directory.path().join("hub"), &clusters).await?;
        let issuer = match args.pages {
            0 => None,
            _ => Some(Issuer::start().await?),
        };
        Ok(Self {
            issuer,
            enrolled,
            clusters,
            _git: git,
            repository,
            branches,
            directory,
            programs,
        })
    }

    pub(super) async fn start_hub(&self) -> anyhow::Result<TestHub> {
        let mut hub = TestHub::builder()
            .at(self.directory.path())
            .poll(Duration::from_secs(5))
            .process(Process {
                programs: self.programs.clone(),
                ..Process::default()
            });
        if let Some(issuer) = &self.issuer {
            open_pages::let_in(issuer);
            hub = hub.issuer(issuer, open_pages::GRANTS).pages(None);
        }
        hub.start().await
    }

    /// Pushes the application with that content to every environment.
    pub(super) fn commit(&self, message: &str, content: &str) -> anyhow::Result<()> {
        self.repository.write("apps/web.yaml", content)?;
        push(&self.repository, message, &self.branches)
    }

    /// The last commit that was pushed.
    pub(super) fn head(&self) -> anyhow::Result<String> {
        git(&self.repository.work, &["rev-parse", "HEAD"])
    }
}

fn push(repository: &Repository, message: &str, branches: &[String]) -> anyhow::Result<()> {
    let branches: Vec<&str> = branches.iter().map(String::as_str).collect();
    repository.push(message, &branches)?;
    Ok(())
}

/// The clusters, distributed evenly over the environments.
fn clusters(args: &Args) -> anyhow::Result<Vec<(ClusterName, ClusterRecord)>> {
    (0..args.agents)
        .map(|index| {
            let environment = format!("env-{}", index % args.environments);
            accepted(&format!("c{index}"), &environment)
        })
        .collect()
}

fn fleet_file(args: &Args, url: &str) -> String {
    let mut text = format!(
        "apiVersion: flotilla.dev/v1alpha1\nkind: Fleet\nrepositories:\n- {{name: fleet, url: '{url}'}}\nenvironments:\n"
    );
    for index in 0..args.environments {
        text.push_str(&format!("- name: env-{index}\n  branch: env-{index}\n"));
        if args.waves {
            text.push_str(
                "  strategy:\n    waves: [{name: first, share: '25%'}, {name: second, share: '25%'}]\n    \
                 maxConcurrent: 50%\n",
            );
        }
    }
    text.push_str("applications:\n- {name: web, repository: fleet, path: 'apps'}\n");
    text
}
