//! What steers rollouts: pause, resume, retry, abort, pin, unpin, approve.

use flotilla_proto::v1;
use flotilla_shared::revision::Commit;
use flotilla_status::{RepositoryCommit, Rollout, digits};
use jiff::{SignedDuration, Timestamp};

use super::{approval, commit, repository, rollout};
use crate::args::{ApproveArgs, PinArgs, ReasonArgs, SubjectArgs, SuspendArgs};
use crate::client::{Client, Detail};
use crate::error::Error;
use crate::printer::Printer;

/// Sends an action; returns the outcome once the hub has stored it.
pub(super) async fn send(client: &Client, request: v1::SteerRequest) -> Result<String, Error> {
    let request = client.request(request);
    let answer = client.api().steer(request).await?.into_inner();
    Ok(flotilla_status::text(&answer.detail))
}

/// Sends an action on an environment.
pub(super) async fn environment(
    client: &Client,
    action: v1::SteerAction,
    environment: &str,
    reason: &str,
    done: &str,
    printer: &Printer,
) -> Result<(), Error> {
    let request = v1::SteerRequest {
        action: action.into(),
        environment: environment.to_owned(),
        reason: reason.to_owned(),
        ..v1::SteerRequest::default()
    };
    send(client, request).await?;
    printer.say(&format!("{environment}: {done}"));
    Ok(())
}

/// Pauses the environment; reports whose earlier pause it replaces.
pub(super) async fn pause(
    client: &Client,
    args: ReasonArgs,
    printer: &Printer,
) -> Result<(), Error> {
    let name = args.environment;
    let request = v1::SteerRequest {
        action: v1::SteerAction::Pause.into(),
        environment: name.to_string(),
        reason: args.reason,
        ..v1::SteerRequest::default()
    };
    let before = match send(client, request).await?.as_str() {
        "" => String::new(),
        before => format!("; {before}"),
    };
    printer.say(&format!(
        "{name} is paused: no further cluster is started{before}"
    ));
    Ok(())
}

fn subject(args: &SubjectArgs) -> (String, String) {
    let cluster = args.cluster.as_ref().map(ToString::to_string);
    let environment = args.environment.as_ref().map(ToString::to_string);
    (cluster.unwrap_or_default(), environment.unwrap_or_default())
}

pub(super) async fn pin(client: &Client, args: PinArgs, printer: &Printer) -> Result<(), Error> {
    let (cluster, environment) = subject(&args.subject);
    let name = format!("{cluster}{environment}");
    let commit = match &args.commit {
        None => None,
        Some(prefix) => {
            let environment = match &args.subject.cluster {
                Some(cluster) => commit::environment_of(client, cluster).await?,
                None => environment.clone(),
            };
            let place = commit::CommitScope {
                environment: &environment,
                repository: args.repository.as_deref(),
            };
            let whole = commit::whole(client, &place, prefix).await?;
            commit::on_branch(client, &place, &whole, printer).await?;
            Some(whole)
        }
    };
    let approval = match &args.signing.sign {
        None => None,
        Some(key) => Some(pin_approval(client, &args, commit.as_ref(), key, printer).await?),
    };
    let expires = args.expires.map_or(0, |time| time.as_secs());
    let request = v1::SteerRequest {
        action: v1::SteerAction::Pin.into(),
        environment,
        cluster,
        repository: args.repository.unwrap_or_default(),
        commit: commit.map(|commit| commit.to_string()).unwrap_or_default(),
        reason: args.reason,
        expires_seconds: u32::try_from(expires).unwrap_or(u32::MAX),
        approval,
        ..v1::SteerRequest::default()
    };
    let to = match send(client, request).await?.as_str() {
        "" => String::new(),
        commits => format!(" to {commits}"),
    };
    let end = match i64::try_from(expires) {
        Ok(seconds @ 1..) => Timestamp::now()
            .checked_add(SignedDuration::from_secs(seconds))
            .map_or(String::new(), |end| {
                format!(" until {}", end.strftime("%Y-%m-%d %H:%M UTC"))
            }),
        _ => ", until it is unpinned".to_owned(),
    };
    printer.say(&format!("{name} is pinned{to}{end}"));
    Ok(())
}

/// Makes the signed approval of a pin. Passing a key is the consent to sign; the signed text is shown.
async fn pin_approval(
    client: &Client,
    args: &PinArgs,
    commit: Option<&Commit>,
    key: &std::path::Path,
    printer: &Printer,
) -> Result<v1::SignedApproval, Error> {
    let (Some(repository), Some(to)) = (&args.repository, commit) else {
        return Err(Error::refused(
            "an approval names a repository and a commit",
            "give --repository and --commit with --sign",
        ));
    };
    let (cluster, environment) = subject(&args.subject);
    let url = repository::url(client, repository).await?;
    let terms = approval::Terms {
        subject: if cluster.is_empty() {
            approval::Subject::Environment(&environment)
        } else {
            approval::Subject::Cluster(&cluster)
        },
        repository,
        url: &url,
        to,
        life: args.signing.approval_expires,
    };
    let unsigned = approval::make(client, &terms, printer).await?;
    approval::sign(&unsigned, key).await
}

pub(super) async fn unpin(
    client: &Client,
    args: &SubjectArgs,
    printer: &Printer,
) -> Result<(), Error> {
    let (cluster, environment) = subject(args);
    let name = format!("{cluster}{environment}");
    let request = v1::SteerRequest {
        action: v1::SteerAction::Unpin.into(),
        environment,
        cluster,
        ..v1::SteerRequest::default()
    };
    send(client, request).await?;
    printer.say(&format!("{name} is no longer pinned"));
    Ok(())
}

/// Resumes a paused environment or a suspended cluster, whichever has the name.
pub(super) async fn resume(
    client: &Client,
    subject: String,
    printer: &Printer,
) -> Result<(), Error> {
    let environments = client.environments().await?;
    let environment = environments
        .iter()
        .find(|environment| environment.name == subject);
    let is_stopped = environment
        .is_none_or(|environment| environment.paused.is_some() || environment.hold.is_some());
    // If a cluster has the name of an environment, the stopped one of them is resumed.
    let cluster = match (environment, is_stopped) {
        (None, _) => true,
        (Some(_), true) => false,
        (Some(_), false) => {
            let filter = v1::ClusterFilter::default();
            let clusters = client.clusters(&filter, Detail::Summary).await?;
            clusters
                .iter()
                .any(|cluster| cluster.name == subject && !cluster.suspended.is_empty())
        }
    };
    if !cluster {
        let (action, done) = (v1::SteerAction::Resume, "resumed");
        return self::environment(client, action, &subject, "", done, printer).await;
    }
    let request = v1::SteerRequest {
        action: v1::SteerAction::Resume.into(),
        cluster: subject.clone(),
        ..v1::SteerRequest::default()
    };
    send(client, request).await?;
    printer.say(&format!(
        "resumed {subject}: its agent writes again, what is assigned now"
    ));
    Ok(())
}

pub(super) async fn suspend(
    client: &Client,
    args: SuspendArgs,
    printer: &Printer,
) -> Result<(), Error> {
    let request = v1::SteerRequest {
        action: v1::SteerAction::Suspend.into(),
        cluster: args.cluster.to_string(),
        reason: args.reason,
        ..v1::SteerRequest::default()
    };
    send(client, request).await?;
    let name = args.cluster;
    printer.say(&format!(
        "suspended {name}: its agent stops writing as soon as it knows, and rollouts leave it \
         out; flotilla resume {name} ends it"
    ));
    Ok(())
}

pub(super) async fn approve(
    client: &Client,
    args: ApproveArgs,
    printer: &Printer,
) -> Result<(), Error> {
    let environment = args.environment.to_string();
    let mut wave = args.wave.clone();
    let commits = match &args.commit {
        Some(prefix) => {
            let place = commit::CommitScope {
                environment: &environment,
                repository: args.repository.as_deref(),
            };
            let whole = commit::whole(client, &place, prefix).await?;
            let repository = args.repository.clone().unwrap_or_default();
            vec![(repository, whole.to_string())]
        }
        None => {
            let (rollout, _) = rollout::get(client, &environment).await?;
            let rollout = rollout
                .filter(|rollout| !rollout.is_over())
                .ok_or_else(|| {
                    Error::refused(
                        format!("no rollout of {environment} is waiting"),
                        "name the commit with --commit",
                    )
                })?;
            if wave.is_none() && rollout.started_at.is_some() {
                wave = Some(rollout.wave_to_approve.clone()).filter(|wave| !wave.is_empty());
            }
            let mut all = asked(&rollout, wave.as_deref());
            if all.is_empty() && rollout.started_at.is_some() {
                return Err(Error::refused(
                    format!("nothing of {} is waiting for an approval", rollout.id),
                    "name a coming wave with --wave",
                ));
            }
            all.retain(|commit| {
                args.repository
                    .as_ref()
                    .is_none_or(|only| *only == commit.repository)
            });
            if all.is_empty() {
                return Err(Error::refused(
                    format!(
                        "nothing of that repository is waiting for an approval in {environment}"
                    ),
                    format!("`flotilla explain {environment}` shows what is waiting"),
                ));
            }
            all.into_iter()
                .map(|commit| (commit.repository.clone(), commit.commit.clone()))
                .collect()
        }
    };
    for (repository, commit) in commits {
        let request = v1::SteerRequest {
            action: v1::SteerAction::Approve.into(),
            environment: environment.clone(),
            repository,
            commit: commit.clone(),
            wave: wave.clone().unwrap_or_default(),
            reason: args.why.reason.clone(),
            ..v1::SteerRequest::default()
        };
        send(client, request).await?;
        let short = digits(&commit);
        let place = match &wave {
            Some(wave) => format!("wave {wave} of {environment}"),
            None => environment.clone(),
        };
        printer.say(&format!("you approved {short} in {place}"));
    }
    Ok(())
}

/// Returns the commits that wait for an approval: those of a rollout that has begun wait in a wave, and those beside it
/// have no wave yet.
fn asked<'r>(rollout: &'r Rollout, wave: Option<&str>) -> Vec<&'r RepositoryCommit> {
    let new = rollout.target.iter();
    let new = new.filter(|commit| !rollout.from.contains(commit));
    let new = new.filter(|_| wave.is_some() || rollout.started_at.is_none());
    let apart = rollout.apart.iter();
    let apart = apart.filter(|waiting| wave.is_none() && waiting.wants_approval());
    new.chain(apart.map(|waiting| &waiting.commit)).collect()
}
