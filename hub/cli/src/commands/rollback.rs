//! `rollback`: a commit with the content of the last good one, on top of the branch, with the user's own git. The
//! history is kept, and agents that refuse to go back in history need no exception.

mod pin;
mod push;

use flotilla_shared::revision::{BranchName, Commit, RepositoryUrl};
use flotilla_status::{Environment, digits};

use super::{commit, repository, rollout};
use crate::args::{CommitPrefix, RollbackArgs};
use crate::client::Client;
use crate::error::Error;
use crate::git::Workspace;
use crate::printer::Printer;

/// A rollback of an environment's branch of one repository, with the state in the hub and in Git.
struct Reversion<'a> {
    client: &'a Client,
    args: &'a RollbackArgs,
    printer: &'a Printer,
    environment: &'a Environment,
    repository: &'a str,
    url: RepositoryUrl,
    branch: BranchName,
    workspace: Workspace,
    head: Commit,
}

pub(super) async fn run(
    client: &Client,
    args: RollbackArgs,
    printer: &Printer,
) -> Result<(), Error> {
    let environments = client.environments().await?;
    let (environment, repository) = meant(&environments, &args)?;
    let url = repository::url(client, repository).await?;
    let branch: BranchName = environment.branch.parse()?;
    let workspace = Workspace::new(args.branch.repo_dir.as_deref()).await?;
    let head = workspace.fetch(&url, &branch).await?;
    let reversion = Reversion {
        client,
        args: &args,
        printer,
        environment,
        repository,
        url,
        branch,
        workspace,
        head,
    };
    let to = reversion.target().await?;
    match &args.signing.sign {
        Some(key) => reversion.pin(&to, key).await,
        None => reversion.commit(&to, &environments).await,
    }
}

/// Returns the named environment, and its only matching repository.
fn meant<'e>(
    environments: &'e [Environment],
    args: &RollbackArgs,
) -> Result<(&'e Environment, &'e str), Error> {
    let name = args.environment.as_str();
    let environment = environments
        .iter()
        .find(|environment| environment.name == name)
        .ok_or_else(|| {
            Error::refused(
                format!("there is no environment {name}"),
                "`flotilla get environments` lists them",
            )
        })?;
    let repositories: Vec<&str> = environment
        .branches
        .iter()
        .map(|branch| branch.repository.as_str())
        .filter(|name| match &args.repository {
            Some(only) => only == name,
            None => environment.uses(name),
        })
        .collect();
    if let (Some(only), []) = (&args.repository, repositories.as_slice()) {
        return Err(Error::refused(
            format!("{name} runs nothing of a repository {only}"),
            "`flotilla get environments` lists its branches",
        ));
    }
    let [repository] = repositories.as_slice() else {
        return Err(Error::refused(
            format!("{} repositories match", repositories.len()),
            "name one with --repository",
        ));
    };
    Ok((environment, *repository))
}

impl Reversion<'_> {
    /// Returns the commit to go back to, given or found; refused where it was never good there, or is not an ancestor
    /// of the head.
    async fn target(&self) -> Result<Commit, Error> {
        let (args, environment) = (self.args, self.environment.name.as_str());
        let to = match &args.to {
            Some(prefix) => self.named(prefix).await?,
            None => {
                last_good(
                    self.client,
                    environment,
                    self.repository,
                    (&self.workspace, &self.head),
                    self.printer,
                )
                .await?
            }
        };
        // A signed rollback is a pin, which has its own rules.
        if args.to.is_some() && !args.force && args.signing.sign.is_none() {
            never_good(self.client, environment, self.repository, &to).await?;
        }
        if !self.workspace.is_ancestor(&to, &self.head).await? || to == self.head {
            return Err(Error::refused(
                format!(
                    "{} is not before the head of {}, {}",
                    to.short(),
                    self.branch,
                    self.head.short()
                ),
                "name a commit of the branch's own history with --to",
            ));
        }
        Ok(to)
    }

    /// Returns the given commit, by its full id or by the first digits of one in the branch's history.
    async fn named(&self, prefix: &CommitPrefix) -> Result<Commit, Error> {
        match prefix.whole() {
            Some(commit) => Ok(commit),
            None => {
                let found = self.workspace.find(prefix.as_str(), &self.head).await?;
                commit::one(prefix, &found)?.ok_or_else(|| {
                    Error::refused(
                        format!("no commit of the branch begins with {prefix}"),
                        "`flotilla rollout list` shows what was there",
                    )
                })
            }
        }
    }

    /// Asks for confirmation, unless `--yes` is given.
    fn consent(&self, question: &str) -> Result<(), Error> {
        if self.args.branch.yes {
            return Ok(());
        }
        self.printer.consent(question, "nothing was changed")
    }
}

/// Refuses a commit that was never good there, because the hub lets an admin's rollback past all gates.
async fn never_good(
    client: &Client,
    environment: &str,
    repository: &str,
    to: &Commit,
) -> Result<(), Error> {
    let (_, decisions) = rollout::get(client, environment).await?;
    if decisions.was_good(repository, to.as_str()) {
        return Ok(());
    }
    let failed = decisions.failure_of(repository, to.as_str());
    let why = failed.map_or_else(String::new, |failed| {
        format!(", and failed in {}", failed.rollout)
    });
    Err(Error::refused(
        format!(
            "{} was never good in {environment} as far back as the hub remembers{why}",
            to.short()
        ),
        "`flotilla rollback ENVIRONMENT --reason TEXT` finds the last good one; --force goes \
         back to this one, bypassing all gates (admin only)",
    ))
}

async fn last_good(
    client: &Client,
    environment: &str,
    repository: &str,
    (workspace, head): (&Workspace, &Commit),
    printer: &Printer,
) -> Result<Commit, Error> {
    let (_, decisions) = rollout::get(client, environment).await?;
    // If the head is a rollback itself, its tree equals that of an earlier good commit: continue before that one, and
    // not with the commit that was rolled back from.
    let (mut twin, tree) = (None, workspace.tree(head).await?);
    let good = decisions.good_commits(repository);
    for commit in good.filter(|commit| *commit != head.as_str()) {
        if tree.is_some() && workspace.tree(&commit.parse()?).await? == tree {
            twin = Some(commit);
            break;
        }
    }
    let chosen = decisions.way_back(repository, head.as_str(), twin);
    for (commit, doubt) in &chosen.passed_over {
        let short = digits(commit);
        printer.say(&format!("skipping {short}: {doubt}"));
    }
    let Some(found) = chosen.found else {
        let other = match chosen.passed_over.is_empty() {
            true => "no other good commit",
            false => "no earlier commit is known to be good",
        };
        return Err(Error::refused(
            format!("the hub knows {other} of {environment}"),
            "name one with --to",
        ));
    };
    if !found.is_seen {
        printer.warn(&format!(
            "{environment} has no rollouts, so whether {} was good there is not recorded; --to \
             names another commit",
            digits(&found.commit)
        ));
    }
    Ok(found.commit.parse()?)
}
