//! Rollback with a new commit: the content of the old one on top of the branch, pushed.

use flotilla_proto::v1;
use flotilla_shared::revision::{BranchName, Commit};
use flotilla_status::Environment;

use super::super::{promote, steer, unpushed};
use super::Reversion;
use crate::error::Error;

impl Reversion<'_> {
    /// Shows the undone commits, asks, makes the commit, and moves the branch to it.
    pub(super) async fn commit(
        &self,
        to: &Commit,
        environments: &[Environment],
    ) -> Result<(), Error> {
        let name = self.environment.name.as_str();
        self.show(to).await?;
        if self.args.dry_run {
            return Ok(());
        }
        self.consent(&format!("\nRoll {name} back?"))?;
        let message = format!(
            "Roll {name} back to {}\n\n{}\n\nThis has the content of commit {to}.\n",
            to.short(),
            self.args.reason
        );
        let commit = self
            .workspace
            .commit_content_of(to, &self.head, &message)
            .await?;
        // Announced first, so that the hub's gates let the rollback through when it reads the branch.
        self.announce(to, &commit).await?;
        self.push(&commit).await?;
        self.tell_how_to_go_forward(environments);
        promote::refresh(self.client, name, self.printer).await;
        Ok(())
    }

    /// Lists the commits that the rollback undoes.
    async fn show(&self, to: &Commit) -> Result<(), Error> {
        let undone = self.workspace.log(Some(to), &self.head).await?;
        self.printer.say(&format!(
            "{} of {}: content of {} on top of {}, which undoes {} commit{}:",
            self.branch,
            self.repository,
            to.short(),
            self.head.short(),
            undone.count,
            if undone.count == 1 { "" } else { "s" }
        ));
        for line in &undone.lines {
            self.printer
                .say(&format!("  {}", flotilla_status::text(line)));
        }
        Ok(())
    }

    /// Announces the new commit to the hub, with the commit whose content it has, and the reason.
    async fn announce(&self, to: &Commit, commit: &Commit) -> Result<(), Error> {
        let request = v1::SteerRequest {
            action: v1::SteerAction::Rollback.into(),
            environment: self.environment.name.clone(),
            repository: self.repository.to_owned(),
            commit: commit.to_string(),
            to_commit: to.to_string(),
            reason: self.args.reason.clone(),
            ..v1::SteerRequest::default()
        };
        steer::send(self.client, request).await?;
        Ok(())
    }

    /// Moves the branch; if the server refuses, says what the hub does until the next attempt.
    async fn push(&self, commit: &Commit) -> Result<(), Error> {
        let (name, branch) = (self.environment.name.as_str(), &self.branch);
        let pushed = self.workspace.push(&self.url, commit, branch).await;
        pushed.map_err(|error| {
            let hint = format!(
                "run the command again: it starts from the new state. The hub was told \
                 beforehand, and admits no automatic promotion of {} into {name} until \
                 `flotilla resume {name}`",
                self.repository
            );
            unpushed::refused(&error, branch, &hint)
        })?;
        self.printer
            .say(&format!("moved {branch} to {}", commit.short()));
        Ok(())
    }

    /// Says how the branch can be promoted to again, where there is an environment before it.
    fn tell_how_to_go_forward(&self, environments: &[Environment]) {
        let branch = &self.branch;
        let before = environments
            .iter()
            .find(|environment| environment.name == self.environment.promotes_from)
            .and_then(|environment| environment.branch.parse::<BranchName>().ok());
        if let Some(before) = before {
            self.printer.say(&format!(
                "{branch} now has a commit that {before} lacks. To go forward again: {}",
                promote::forward(branch, &before)
            ));
        }
    }
}
