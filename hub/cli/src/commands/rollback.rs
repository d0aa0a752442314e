//! `rollback`: a commit with the content of the last good one, on top of the branch, with the user's
//! own git. History is kept, and agents that refuse to go back in history need no exception.

mod pin;
mod push;

use flotilla_proto::v1;
use flotilla_shared::revision::{BranchName, Commit, RepositoryUrl};
use flotilla_status::{Good, RepositoryCommit, digits};

use super::{commit, repository, rollout};
use crate::args::{CommitPrefix, RollbackArgs};
use crate::client::Client;
use crate::error::Error;
use crate::git::Workspace;
use crate::printer::Printer;

/// What goes back: an environment's branch of one repository, as the hub names it and as Git has it.
struct Reversion<'a> {
    client: &'a Client,
    args: &'a RollbackArgs,
    printer: &'a Printer,
    environment: &'a v1::EnvironmentStatus,
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
    let (environment, revision) = meant(&environments, &args)?;
    let url = repository::url(client, &revision.repository).await?;
    let branch: BranchName = revision.branch.parse()?;
    let workspace = Workspace::new(args.branch.repo_dir.as_deref()).await?;
    let head = workspace.fetch(&url, &branch).await?;
    let reversion = Reversion {
        client,
        args: &args,
        printer,
        environment,
        repository: &revision.repository,
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

/// The environment that was named, and what it runs of the one repository that can be meant.
fn meant<'e>(
    environments: &'e [v1::EnvironmentStatus],
    args: &RollbackArgs,
) -> Result<(&'e v1::EnvironmentStatus, &'e v1::Revision), Error> {
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
    let revisions: Vec<&v1::Revision> = environment
        .branches
        .iter()
        .filter_map(|branch| branch.revision.as_ref())
        .filter(|revision| {
            args.repository
                .as_ref()
                .is_none_or(|only| *only == revision.repository)
        })
        .collect();
    if let (Some(only), []) = (&args.repository, revisions.as_slice()) {
        return Err(Error::refused(
            format!("{name} runs nothing of a repository {only}"),
            "`flotilla get environments` lists its branches",
        ));
    }
    let [revision] = revisions.as_slice() else {
        return Err(Error::refused(
            format!("{} repositories match", revisions.len()),
            "name one with --repository",
        ));
    };
    Ok((environment, *revision))
}

impl Reversion<'_> {
    /// The commit to go back to, named or found; refused where it was never good there, or is not before the head.
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
        // A signed way back is a pin, which has rules of its own.
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

    /// The commit that was written, by all of its id or by the first digits of one in the branch's history.
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

    /// Asks, unless it was said not to.
    fn consent(&self, question: &str) -> Result<(), Error> {
        if self.args.branch.yes {
            return Ok(());
        }
        self.printer.consent(question, "nothing was changed")
    }
}

/// Refuses a commit that was never good there: the hub lets an admin's way back past all gates.
async fn never_good(
    client: &Client,
    environment: &str,
    repository: &str,
    to: &Commit,
) -> Result<(), Error> {
    let (_, decisions) = rollout::get(client, environment).await?;
    let is_it =
        |commit: &RepositoryCommit| commit.repository == repository && commit.commit == to.as_str();
    if decisions
        .good
        .iter()
        .any(|good| good.commits.iter().any(is_it))
    {
        return Ok(());
    }
    let mut failed = decisions.quarantined.iter();
    let failed = failed.find(|failed| failed.commits.iter().any(is_it));
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
    // A head that was rolled back holds what was good before: from there it goes further back, and not to what
    // was rolled back from.
    let (mut twin, tree) = (None, workspace.tree(head).await?);
    for commit in own(&decisions.good, repository).filter(|commit| *commit != head.as_str()) {
        if tree.is_some() && workspace.tree(&commit.parse()?).await? == tree {
            twin = Some(commit);
            break;
        }
    }
    let chosen = choose(&decisions.good, repository, (head.as_str(), twin));
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

/// What a repository goes back to.
#[derive(Debug, PartialEq)]
struct Chosen {
    found: Option<Found>,
    /// Commits that came after it and were not seen to be good, with the reason.
    passed_over: Vec<(String, String)>,
}

#[derive(Debug, PartialEq)]
struct Found {
    commit: String,
    /// A rollout or its clusters said that it is good.
    is_seen: bool,
}

/// The good commits of a repository, the newest first.
fn own<'g>(good: &'g [Good], repository: &str) -> impl Iterator<Item = &'g str> {
    let all = good.iter().rev().flat_map(|good| &good.commits);
    all.filter(move |commit| commit.repository == repository)
        .map(|commit| commit.commit.as_str())
}

/// The last commit before `head` that was seen to be good; where that holds what a good commit before it held, its
/// `twin`, the last before that. Of what came without rollouts the hub notes what clusters said; what an older hub
/// has not noted is taken as it is.
fn choose(good: &[Good], repository: &str, (head, twin): (&str, Option<&str>)) -> Chosen {
    let mut passed_over: Vec<(String, String)> = Vec::new();
    // Where nothing came in between, nothing was undone.
    let last = own(good, repository).find(|commit| *commit != head);
    let mut is_undone = twin.is_some() && last != twin;
    for state in good.iter().rev() {
        let mut own = state.commits.iter();
        let own = own.find(|commit| commit.repository == repository && commit.commit != head);
        let Some(commit) = own.map(|own| own.commit.clone()) else {
            continue;
        };
        if is_undone {
            is_undone = Some(commit.as_str()) != twin;
            if is_undone && !passed_over.iter().any(|(before, _)| *before == commit) {
                passed_over.push((commit, "it was rolled back from".to_owned()));
            }
            continue;
        }
        // Its last word counts.
        if passed_over.iter().any(|(before, _)| *before == commit) {
            continue;
        }
        let seen = state.seen.iter().find(|seen| seen.repository == repository);
        if let Some(seen) = seen.filter(|seen| !seen.doubt.is_empty()) {
            let doubt = format!("it is not known to be good: {}", seen.doubt);
            passed_over.push((commit, doubt));
            continue;
        }
        let is_seen = seen.is_some() || !state.rollout.is_empty();
        return Chosen {
            found: Some(Found { commit, is_seen }),
            passed_over,
        };
    }
    Chosen {
        found: None,
        passed_over,
    }
}

#[cfg(test)]
mod tests {
    use flotilla_status::Seen;

    use super::*;

    fn good(commit: &str, rollout: &str, doubt: Option<&str>) -> Good {
        let seen = doubt.map(|doubt| Seen {
            repository: "fleet".to_owned(),
            doubt: doubt.to_owned(),
        });
        Good {
            commits: vec![RepositoryCommit {
                repository: "fleet".to_owned(),
                commit: commit.to_owned(),
            }],
            rollout: rollout.to_owned(),
            at: None,
            seen: seen.into_iter().collect(),
        }
    }

    #[test]
    fn what_was_not_seen_to_be_good_is_passed_over_with_the_reason() {
        let found = |commit: &str, is_seen| {
            Some(Found {
                commit: commit.to_owned(),
                is_seen,
            })
        };
        let all = [
            good("a", "", None),
            good("b", "", Some("")),
            good("c", "", Some("c1: web was refused")),
            good("c", "", Some("c1: web was Failed")),
            good("d", "", Some("c1: web was Failed")),
        ];
        let chosen = choose(&all, "fleet", ("d", None));
        assert_eq!(chosen.found, found("b", true));
        let doubt = "it is not known to be good: c1: web was Failed";
        let over = [("c".to_owned(), doubt.to_owned())];
        assert_eq!(chosen.passed_over, over, "its last word");
        assert_eq!(
            choose(&all[..1], "fleet", ("d", None)).found,
            found("a", false)
        );
        assert_eq!(choose(&all, "other", ("d", None)).found, None);
        let ill = choose(&all[2..], "fleet", ("d", None));
        assert_eq!((ill.found, ill.passed_over.len()), (None, 1));
        let rolled = [good("a", "prod-1", None), good("d", "prod-2", None)];
        assert_eq!(
            choose(&rolled, "fleet", ("d", None)).found,
            found("a", true)
        );
        assert_eq!(
            choose(&rolled, "fleet", ("e", None)).found,
            found("d", true)
        );
    }

    /// A second way back does not bring back what the first undid.
    #[test]
    fn what_was_rolled_back_from_is_passed_over() {
        let all = [
            good("a", "prod-1", None),
            good("b", "prod-2", None),
            good("c", "prod-3", None),
            good("back-to-b", "prod-4", None),
        ];
        let chosen = choose(&all, "fleet", ("back-to-b", Some("b")));
        assert_eq!(chosen.found.unwrap().commit, "a");
        let over = [("c".to_owned(), "it was rolled back from".to_owned())];
        assert_eq!(chosen.passed_over, over);
        let chosen = choose(&all[1..], "fleet", ("back-to-b", Some("b")));
        assert_eq!(chosen.found, None);
        let chosen = choose(&all[..2], "fleet", ("like-b", Some("b")));
        assert_eq!(chosen.found.unwrap().commit, "b");
    }
}
