//! `promote --force` where the branch has moved already: overrides the gates that hold its commit back, and retries
//! what failed there.

use flotilla_proto::v1;
use flotilla_status::{Decisions, Held, RepositoryCommit};
use tokio::time::Instant;

use super::{rollout, steer};
use crate::args::Promote;
use crate::client::Client;
use crate::error::Error;
use crate::printer::Printer;

/// Whether the given commit is at the head of the environment's own branch.
pub(super) async fn is_there(client: &Client, args: &Promote) -> Result<bool, Error> {
    let Some(named) = &args.commit else {
        return Ok(false);
    };
    let environments = client.environments().await?;
    let name = args.environment.to_string();
    let mut heads = environments
        .iter()
        .filter(|environment| environment.name == name)
        .flat_map(|environment| &environment.branches)
        .filter_map(|branch| branch.head.as_ref());
    if heads.any(|head| head.commit.starts_with(named.as_str())) {
        return Ok(true);
    }
    // A revision of the fleet file is not on any branch.
    let (last, decisions) = rollout::get(client, &name).await?;
    let targets = last.iter().flat_map(|rollout| {
        let apart = rollout.apart.iter().map(|waiting| &waiting.commit);
        rollout.target.iter().chain(apart)
    });
    let failed = decisions
        .quarantined
        .iter()
        .flat_map(|failure| &failure.commits);
    let mut declared = targets
        .chain(failed)
        .filter(|commit| commit.is_fleet_file());
    Ok(declared.any(|commit| commit.commit.starts_with(named.as_str())))
}

pub(super) async fn run(client: &Client, args: &Promote, printer: &Printer) -> Result<(), Error> {
    let name = args.environment.to_string();
    let (_, decisions) = rollout::get(client, &name).await?;
    let held = meant(&decisions, args).ok_or_else(|| {
        Error::refused(
            format!(
                "the hub is older than this program, and does not say what is held back in {name}"
            ),
            "upgrade the hub, which comes first, or take the command line of its version",
        )
    })?;
    if held.is_empty() {
        return Err(Error::not_yet(
            format!("nothing is held back in {name}, so there is nothing to override"),
            format!("`flotilla explain {name}` shows the reasons"),
        ));
    }
    let lines: Vec<String> = held
        .iter()
        .map(|held| match held.commit.is_fleet_file() {
            true => format!("  {}, {}", title(&held.commit), held.why),
            false => {
                let of = &held.commit.repository;
                format!("  {} of {of}, {}", title(&held.commit), held.why)
            }
        })
        .collect();
    let lines = lines.join("\n");
    if args.dry_run {
        printer.say(&format!(
            "this would override the gates of {name} for\n{lines}"
        ));
        return Ok(());
    }
    if !args.branch.yes {
        printer.say(&format!("held back in {name} now:\n{lines}"));
        let question = format!("Override the gates of {name} for all of this?");
        printer.consent(&question, "nothing was overridden")?;
    }
    for RepositoryCommit { repository, commit } in held.iter().map(|held| &held.commit) {
        let request = v1::SteerRequest {
            action: v1::SteerAction::Override.into(),
            environment: name.clone(),
            repository: repository.clone(),
            commit: commit.clone(),
            reason: args.reason.clone().unwrap_or_default(),
            ..v1::SteerRequest::default()
        };
        steer::send(client, request).await?;
    }
    let done: Vec<String> = held.iter().map(|held| title(&held.commit)).collect();
    printer.say(&format!(
        "overrode the gates of {name} for {}",
        done.join(", ")
    ));
    if args.wait {
        let deadline = Instant::now() + args.wait_timeout;
        return rollout::watch(client, &name, args.output.output, Some(deadline), printer).await;
    }
    Ok(())
}

/// Returns what to override among the held commits: the given commit, else all that are still wanted. None: an older
/// hub does not report them.
fn meant<'d>(decisions: &'d Decisions, args: &Promote) -> Option<Vec<&'d Held>> {
    let all = decisions.held.as_ref()?.iter();
    let all = all.filter(|held| match &args.commit {
        Some(named) => held.commit.commit.starts_with(named.as_str()),
        None => !held.given_up,
    });
    let only = args.repository.as_ref();
    let all = all.filter(|held| only.is_none_or(|only| *only == held.commit.repository));
    Some(all.collect())
}

/// `3f2a9c1`, or `fleet file 77aa01b`.
fn title(commit: &RepositoryCommit) -> String {
    RepositoryCommit::title(std::slice::from_ref(commit))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use flotilla_shared::id::RepositoryName;
    use flotilla_status::digits;

    use super::*;
    use crate::args::{Args, Command};

    fn held(repository: &str, digit: &str, given_up: bool) -> Held {
        Held {
            commit: RepositoryCommit {
                repository: repository.to_owned(),
                commit: digit.repeat(40),
            },
            why: "which failed in prod-2: 1 failed".to_owned(),
            given_up,
        }
    }

    #[test]
    fn what_is_given_up_is_overridden_only_where_somebody_names_it() {
        let fleet_file = RepositoryName::fleet_file().as_str();
        let decisions = Decisions {
            held: Some(vec![
                held("base", "1", false),
                held("fleet", "2", false),
                held(fleet_file, "a", true),
            ]),
            ..Decisions::default()
        };
        let named = |arguments: &[&str]| {
            let words = ["flotilla", "promote", "prod"].iter().chain(arguments);
            let Command::Promote(args) = Args::parse_from(words).command else {
                panic!("another command");
            };
            let meant = meant(&decisions, &args)?;
            let commits = meant.iter().map(|held| digits(&held.commit.commit));
            Some(commits.collect::<Vec<_>>().join(" "))
        };
        assert_eq!(named(&[]).as_deref(), Some("1111111 2222222"));
        let only = ["--repository", "base"];
        assert_eq!(named(&only).as_deref(), Some("1111111"));
        let declared = ["--commit", "aaaaaaa"];
        assert_eq!(named(&declared).as_deref(), Some("aaaaaaa"));
        assert_eq!(named(&["--commit", "3333333"]).as_deref(), Some(""));
        let older = Decisions::default();
        let Command::Promote(args) = Args::parse_from(["flotilla", "promote", "prod"]).command
        else {
            panic!("another command");
        };
        assert_eq!(meant(&older, &args), None, "it does not say");
    }
}
