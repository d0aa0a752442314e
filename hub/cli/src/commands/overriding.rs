//! `promote --force` where the branch has moved already: gates that hold its commit back are overridden, and
//! what failed there is tried again.

use std::collections::BTreeMap;

use flotilla_proto::v1;
use flotilla_shared::id::RepositoryName;
use flotilla_status::{Decisions, RepositoryCommit, Rollout, digits};
use jiff::Timestamp;
use tokio::time::Instant;

use super::{rollout, steer};
use crate::args::Promote;
use crate::client::Client;
use crate::error::Error;
use crate::printer::Printer;

/// Whether the commit that was named is at the head of the environment's own branch.
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
        .filter_map(|branch| branch.revision.as_ref());
    if heads.any(|head| head.commit.starts_with(named.as_str())) {
        return Ok(true);
    }
    // A revision of the fleet file is on no branch.
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
    let environments = client.environments().await?;
    let (last, decisions) = rollout::get(client, &name).await?;
    let here = environments
        .iter()
        .find(|environment| environment.name == name);
    let mut held = here.map_or_else(BTreeMap::new, |here| {
        let choice = match args.commit {
            Some(_) => Choice::Named,
            None => Choice::All,
        };
        held(here, last.as_ref(), &decisions, choice)
    });
    held.retain(|(repository, commit), _| {
        let (only, named) = (args.repository.as_ref(), args.commit.as_ref());
        only.is_none_or(|only| only == repository)
            && named.is_none_or(|named| commit.starts_with(named.as_str()))
    });
    if held.is_empty() {
        return Err(Error::not_yet(
            format!("nothing is held back in {name}, so there is nothing to override"),
            format!("`flotilla explain {name}` shows the reasons"),
        ));
    }
    let is_declared = |repository: &str| repository == RepositoryName::fleet_file().as_str();
    let lines: Vec<String> = held
        .iter()
        .map(
            |((repository, commit), why)| match is_declared(repository) {
                true => format!("  fleet file {}, {why}", digits(commit)),
                false => format!("  {} of {repository}, {why}", digits(commit)),
            },
        )
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
    for (repository, commit) in held.keys() {
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
    let done: Vec<String> = held
        .keys()
        .map(|(repository, commit)| match is_declared(repository) {
            true => format!("fleet file {}", digits(commit)),
            false => digits(commit).to_owned(),
        })
        .collect();
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

/// What is to be overridden.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    /// A commit that somebody named.
    Named,
    /// Whatever is held back.
    All,
}

/// What is held back in an environment now, by repository and commit, and why: what a rollout that is not over
/// brings, and what failed and is still asked for. What failed long ago and is asked for no more would otherwise
/// come in at once if it ever came back. A revision of the fleet file that somebody named counts whenever it
/// failed.
fn held(
    here: &v1::EnvironmentStatus,
    last: Option<&Rollout>,
    decisions: &Decisions,
    choice: Choice,
) -> BTreeMap<(String, String), String> {
    let branches = || {
        let all = here.branches.iter();
        all.filter_map(|branch| Some((branch.revision.as_ref()?, branch.approved.as_str())))
    };
    let is_head = |commit: &RepositoryCommit| {
        branches()
            .any(|(head, _)| head.repository == commit.repository && head.commit == commit.commit)
    };
    let is_good = |commit: &RepositoryCommit| {
        branches().any(|(head, good)| head.repository == commit.repository && good == commit.commit)
    };
    // Other commits of a quarantine may be asked for no more.
    let given_up = here.quarantined.iter().flat_map(|failure| &failure.commits);
    let given_up: Vec<&str> = given_up.map(|commit| commit.commit.as_str()).collect();
    let mut brought = last.iter().flat_map(|rollout| &rollout.target);
    let newest = brought.find(|commit| commit.is_fleet_file());
    let is_asked = |commit: &RepositoryCommit| match commit.is_fleet_file() {
        true => {
            let is_newest = newest.is_none_or(|newest| newest == commit);
            choice == Choice::Named || (is_newest && given_up.contains(&commit.commit.as_str()))
        }
        false => is_head(commit) && !is_good(commit),
    };
    let overridden_after = |commit: &RepositoryCommit, at: Option<Timestamp>| {
        let all = decisions.approvals.iter();
        let mut all = all.filter(|given| given.r#override && given.commit == commit.commit);
        all.any(|given| given.mark.as_ref().and_then(|mark| mark.at) > at)
    };
    let mut held = BTreeMap::new();
    let mut hold = |commit: &RepositoryCommit, why: String| {
        held.insert((commit.repository.clone(), commit.commit.clone()), why);
    };
    let waits = last.filter(|rollout| !rollout.is_over());
    if let Some(rollout) = waits {
        let new = rollout.target.iter();
        let new = new.filter(|commit| !rollout.from.contains(commit));
        for commit in new.filter(|commit| commit.is_fleet_file() || is_head(commit)) {
            if !overridden_after(commit, None) {
                hold(commit, format!("which {} brings", rollout.id));
            }
        }
        for waiting in &rollout.apart {
            hold(
                &waiting.commit,
                format!("which waits separately beside {}", rollout.id),
            );
        }
    }
    // Oldest first, so that the last failure is what is told.
    for failure in &decisions.quarantined {
        for commit in failure.commits.iter().filter(|commit| is_asked(commit)) {
            if !overridden_after(commit, failure.at) {
                let (id, why) = (&failure.rollout, &failure.reason);
                hold(commit, format!("which failed in {id}: {why}"));
            }
        }
    }
    held
}

#[cfg(test)]
mod tests {
    use flotilla_status::{Approval, Mark, Quarantine};

    use super::*;

    fn of(repository: &str, digit: &str) -> RepositoryCommit {
        RepositoryCommit {
            repository: repository.to_owned(),
            commit: digit.repeat(40),
        }
    }

    fn wire(commit: &RepositoryCommit) -> v1::RepositoryCommit {
        v1::RepositoryCommit {
            repository: commit.repository.clone(),
            commit: commit.commit.clone(),
        }
    }

    fn at(second: i64) -> Option<Timestamp> {
        Timestamp::from_second(second).ok()
    }

    fn failure(commits: &[RepositoryCommit], rollout: &str, second: i64) -> Quarantine {
        Quarantine {
            commits: commits.to_vec(),
            rollout: rollout.to_owned(),
            reason: "1 failed".to_owned(),
            at: at(second),
        }
    }

    /// An environment whose branch is at `head`, with what it ran last that was good.
    fn environment(
        head: &RepositoryCommit,
        good: &RepositoryCommit,
        given_up: &[RepositoryCommit],
    ) -> v1::EnvironmentStatus {
        v1::EnvironmentStatus {
            branches: vec![v1::BranchStatus {
                revision: Some(v1::Revision {
                    repository: head.repository.clone(),
                    branch: "prod".to_owned(),
                    commit: head.commit.clone(),
                }),
                approved: good.commit.clone(),
                ..v1::BranchStatus::default()
            }],
            quarantined: vec![v1::Quarantine {
                commits: given_up.iter().map(wire).collect(),
                ..v1::Quarantine::default()
            }],
            ..v1::EnvironmentStatus::default()
        }
    }

    fn rollout(id: &str, state: &str, target: &[RepositoryCommit]) -> Rollout {
        Rollout::from(&v1::RolloutStatus {
            id: id.to_owned(),
            state: state.to_owned(),
            target: target.iter().map(wire).collect(),
            ..v1::RolloutStatus::default()
        })
    }

    fn commits(held: &BTreeMap<(String, String), String>) -> Vec<&str> {
        held.keys().map(|(_, commit)| digits(commit)).collect()
    }

    #[test]
    fn only_what_is_held_now_is_overridden() {
        let fleet_file = RepositoryName::fleet_file().as_str();
        let (old, bad, good) = (of("fleet", "1"), of("fleet", "2"), of("fleet", "3"));
        let (first, second) = (of(fleet_file, "a"), of(fleet_file, "b"));
        let decisions = Decisions {
            quarantined: vec![
                failure(&[old, first.clone()], "prod-1", 10),
                failure(&[bad.clone(), second.clone()], "prod-2", 20),
            ],
            ..Decisions::default()
        };
        let last = rollout("prod-2", "rolledBack", &[bad.clone(), second.clone()]);
        let here = environment(&bad, &good, &[bad.clone(), second.clone()]);
        let now = held(&here, Some(&last), &decisions, Choice::All);
        assert_eq!(commits(&now), ["2222222", "bbbbbbb"]);
        assert!(
            now.values()
                .all(|why| why == "which failed in prod-2: 1 failed")
        );
        // Whoever names one means it.
        let named = held(&here, Some(&last), &decisions, Choice::Named);
        assert!(commits(&named).contains(&"aaaaaaa"), "{named:?}");
        // The fleet file went on, and its newest revision is good.
        let third = rollout("prod-3", "succeeded", &[of(fleet_file, "c")]);
        let now = held(&here, Some(&third), &decisions, Choice::All);
        assert_eq!(commits(&now), ["2222222"]);
        // Nothing is given up now: all that failed was undone.
        let here = environment(&good, &good, &[]);
        let now = held(&here, Some(&third), &decisions, Choice::All);
        assert!(now.is_empty(), "{now:?}");
    }

    #[test]
    fn what_waits_is_held_until_somebody_overrode_it() {
        let (good, new) = (of("fleet", "1"), of("fleet", "2"));
        let here = environment(&new, &good, &[]);
        let waits = rollout("prod-3", "pending", std::slice::from_ref(&new));
        let mut decisions = Decisions::default();
        let now = held(&here, Some(&waits), &decisions, Choice::All);
        assert_eq!(commits(&now), ["2222222"]);
        decisions.approvals.push(Approval {
            commit: new.commit.clone(),
            wave: String::new(),
            r#override: true,
            mark: Some(Mark {
                by: "ann".to_owned(),
                reason: "incident".to_owned(),
                at: at(30),
                rolled_back: String::new(),
                repositories: Vec::new(),
            }),
            repository: String::new(),
        });
        assert!(held(&here, Some(&waits), &decisions, Choice::All).is_empty());
        // It was let in, and failed.
        decisions.quarantined.push(failure(&[new], "prod-3", 40));
        let over = rollout("prod-3", "rolledBack", &[]);
        let now = held(&here, Some(&over), &decisions, Choice::All);
        assert_eq!(commits(&now), ["2222222"]);
    }
}
