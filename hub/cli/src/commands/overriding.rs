//! `promote --force` where the branch has moved already: gates that hold its commit back are overridden, and
//! what failed there is tried again.

use flotilla_proto::v1;
use tokio::time::Instant;

use super::{rollout, steer};
use crate::args::Promote;
use crate::client::Client;
use crate::error::Error;
use crate::printer::Printer;
use crate::view::digits;

/// Whether the commit that was named is at the head of the environment's own branch.
pub(super) async fn is_there(client: &Client, args: &Promote) -> Result<bool, Error> {
    let Some(named) = &args.commit else {
        return Ok(false);
    };
    let environments = client.environments().await?;
    let name = args.environment.to_string();
    let mut heads = environments
        .iter()
        .filter(|one| one.name == name)
        .flat_map(|one| &one.branches)
        .filter_map(|branch| branch.revision.as_ref());
    if heads.any(|head| head.commit.starts_with(named.as_str())) {
        return Ok(true);
    }
    // A revision of the fleet file is on no branch.
    let (last, decisions) = rollout::get(client, &name).await?;
    let targets = last.iter().flat_map(|rollout| &rollout.target);
    let failed = decisions.quarantined.iter().flat_map(|one| &one.commits);
    let mut declared = targets.chain(failed).filter(|one| one.is_fleet_file());
    Ok(declared.any(|one| one.commit.starts_with(named.as_str())))
}

pub(super) async fn run(client: &Client, args: &Promote, printer: &Printer) -> Result<(), Error> {
    let name = args.environment.to_string();
    let environments = client.environments().await?;
    let heads: Vec<(String, String)> = environments
        .iter()
        .filter(|one| one.name == name)
        .flat_map(|one| &one.branches)
        .filter_map(|branch| branch.revision.as_ref())
        .filter(|head| {
            let only = args.repository.as_ref();
            only.is_none_or(|only| *only == head.repository)
        })
        .map(|head| (head.repository.clone(), head.commit.clone()))
        .collect();
    let (last, decisions) = rollout::get(client, &name).await?;
    let waits = last.filter(|rollout| !rollout.is_over());
    let targets = waits.iter().flat_map(|rollout| {
        rollout
            .target
            .iter()
            .filter(|one| !rollout.from.contains(one))
    });
    let failed = decisions.quarantined.iter().flat_map(|one| &one.commits);
    let mut commits: Vec<(String, String)> = targets
        .chain(failed)
        .filter(|one| {
            let held = (one.repository.clone(), one.commit.clone());
            one.is_fleet_file() || heads.contains(&held)
        })
        .map(|one| (one.repository.clone(), one.commit.clone()))
        .filter(|(_, commit)| {
            let only = args.commit.as_ref();
            only.is_none_or(|only| commit.starts_with(only.as_str()))
        })
        .collect();
    commits.sort();
    commits.dedup();
    if commits.is_empty() {
        return Err(Error::refused(
            format!("nothing on the branch of {name} is held back"),
            format!("`flotilla explain {name}` says why it is where it is"),
        ));
    }
    let short: Vec<&str> = commits.iter().map(|(_, commit)| digits(commit)).collect();
    let what = format!("the gates of {name} for {}", short.join(", "));
    if args.dry_run {
        printer.say(&format!("this would override {what}"));
        return Ok(());
    }
    if !args.yes && !printer.ask(&format!("Override {what}?"))? {
        return Err(Error::Refused {
            message: "nothing was overridden".to_owned(),
            hint: None,
        });
    }
    for (repository, commit) in &commits {
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
    printer.say(&format!("overrode {what}"));
    if args.wait {
        let deadline = Instant::now() + args.wait_timeout;
        return rollout::watch(client, &name, args.output.output, Some(deadline), printer).await;
    }
    Ok(())
}
