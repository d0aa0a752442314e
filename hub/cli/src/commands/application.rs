//! Removal of an application. The fleet file is the truth, and the hub cannot write it and does not know where it is:
//! so this command shows the effect of the removal, records it in the audit log, and prints the lines to commit, or
//! pushes them with the user's own git.

use std::collections::BTreeMap;

use flotilla_proto::v1;
use flotilla_shared::words::counted;
use flotilla_spec::{Objects, remove_application};
use flotilla_status::{Application, ApplicationPlan, Cluster, Connectivity};
use tokio::task::JoinSet;

use super::fleet_file::Change;
use super::steer;
use crate::args::{ApplicationCommand, RemoveArgs};
use crate::client::{Client, Detail};
use crate::error::Error;
use crate::printer::Printer;
use crate::removal::{ClusterRemoval, Outcome};
use crate::render;

/// Number of agents that are asked concurrently.
const ASKED_AT_ONCE: usize = 16;

pub(super) async fn run(
    client: &Client,
    command: ApplicationCommand,
    printer: &Printer,
) -> Result<(), Error> {
    match command {
        ApplicationCommand::Remove(args) => remove(client, args, printer).await,
    }
}

async fn remove(client: &Client, args: RemoveArgs, printer: &Printer) -> Result<(), Error> {
    let name = args.name.to_string();
    let filter = v1::ClusterFilter {
        environments: args.environments.iter().map(ToString::to_string).collect(),
        ..v1::ClusterFilter::default()
    };
    let clusters = client.clusters(&filter, Detail::Summary).await?;
    let declared = declared(client, &name).await?;
    let here: Vec<&Cluster> = clusters
        .iter()
        .filter(|cluster| {
            cluster
                .applications
                .iter()
                .any(|app| app.application == name)
        })
        .collect();
    if here.is_empty() && declared.is_none() {
        return Err(Error::refused(
            format!("no cluster knows an application {name}, and the fleet file declares none"),
            "`flotilla get applications` lists declared applications, `flotilla status` shows \
             what clusters still have",
        ));
    }
    let requested: Vec<String> = args.environments.iter().map(ToString::to_string).collect();
    if here.is_empty() && !requested.is_empty() {
        let declared = declared.as_deref().unwrap_or_default();
        if let Some(warning) = nowhere(&name, &requested, declared)? {
            printer.warn(&warning);
        }
    }
    let objects = Objects::from(args.keep_objects);
    let places = ask(client, &name, here, objects).await;
    printer.say(&render::removal(&name, &places, printer.paint));
    let lines = lines(&name, &requested, objects);
    let hint = leaves(&name, &requested, declared.as_ref());
    let change = match &args.push {
        None => None,
        Some(file) => {
            let only = args.environments.iter().cloned().collect();
            let edit = |text: &str| remove_application(text, &args.name, &only, objects);
            Some(Change::prepare(file, edit, printer).await?)
        }
    };
    if args.dry_run {
        if change.is_some() {
            return Ok(());
        }
        printer.say(&hint);
        return printer.out(&lines);
    }
    let question = question(&name, &places, objects);
    if !args.yes {
        printer.consent(&question, "nothing was changed")?;
    }
    let environments = match requested.as_slice() {
        [] => vec![String::new()],
        some => some.to_vec(),
    };
    for environment in environments {
        let request = v1::SteerRequest {
            action: v1::SteerAction::RemoveApplication.into(),
            environment,
            application: name.clone(),
            keep_objects: args.keep_objects,
            reason: args.why.reason.clone(),
            ..v1::SteerRequest::default()
        };
        steer::send(client, request).await?;
    }
    if let Some(change) = change {
        let place = match requested.is_empty() {
            true => String::new(),
            false => format!(" from {}", requested.join(", ")),
        };
        let kept = match objects {
            Objects::Keep => ", and keep its objects",
            Objects::Delete => "",
        };
        let subject = format!("Remove application {name}{place}{kept}");
        return change.push(&subject, &args.why.reason, printer).await;
    }
    printer.say(&hint);
    printer.out(&lines)
}

/// Makes the question before a removal, with all that is known about it.
fn question(name: &str, places: &[ClusterRemoval], objects: Objects) -> String {
    let clusters = counted(places.len(), "cluster");
    if objects == Objects::Keep {
        return format!("\nStop managing {name} in {clusters}, and keep its objects?");
    }
    let deleted: usize = places.iter().map(|place| place.outcome.deletes()).sum();
    let unknown = places
        .iter()
        .filter(|place| matches!(place.outcome, Outcome::Unknown(_)));
    let more = match unknown.count() {
        0 => String::new(),
        some => format!(
            ", and all its objects in {} that could not be asked",
            counted(some, "cluster")
        ),
    };
    let deleted = counted(deleted, "object");
    format!("\nRemove {name} from {clusters}, with the {deleted} above{more}?")
}

/// Refuses where the application is placed in other environments than the requested ones, and no cluster of these has
/// it: there would be nothing to remove. Where no cluster has it at all, returns a warning instead, because the
/// requested environments may be those that declare it.
fn nowhere(name: &str, requested: &[String], placed: &[String]) -> Result<Option<String>, Error> {
    let requested_all = requested.join(", ");
    if placed.is_empty() {
        return Ok(Some(format!(
            "no cluster of {requested_all} has {name} now"
        )));
    }
    if requested
        .iter()
        .any(|environment| placed.contains(environment))
    {
        return Ok(None);
    }
    Err(Error::refused(
        format!("there is nothing of {name} in {requested_all}"),
        format!("the fleet file declares it in {}", placed.join(", ")),
    ))
}

/// Returns the environments in which the fleet file declares an application; none: it does not.
async fn declared(client: &Client, name: &str) -> Result<Option<Vec<String>>, Error> {
    let request = client.request(v1::ListApplicationsRequest {
        name: String::new(),
    });
    let answer = client.api().list_applications(request).await?.into_inner();
    let mut all = answer.applications.iter().map(Application::from);
    let found = all.find(|application| application.name == name);
    Ok(found.map(|found| {
        let places = found.placements.iter();
        let mut environments: Vec<String> = places
            .map(|placement| placement.environment.clone())
            .collect();
        environments.sort();
        environments.dedup();
        environments
    }))
}

/// Asks the agents for the effect.
async fn ask(
    client: &Client,
    name: &str,
    here: Vec<&Cluster>,
    objects: Objects,
) -> Vec<ClusterRemoval> {
    let mut places: BTreeMap<String, ClusterRemoval> = BTreeMap::new();
    let mut asked = JoinSet::new();
    for cluster in here {
        let outcome = match (objects, cluster.connection) {
            (Objects::Keep, _) => Outcome::Kept,
            (Objects::Delete, Connectivity::Online) => {
                while asked.len() >= ASKED_AT_ONCE {
                    take(asked.join_next().await, &mut places);
                }
                let (client, cluster, name) =
                    (client.clone(), cluster.name.clone(), name.to_owned());
                asked.spawn(async move {
                    let outcome = plan(&client, &cluster, &name).await;
                    (cluster, outcome)
                });
                Outcome::Unknown("its agent did not answer".to_owned())
            }
            (Objects::Delete, _) => Outcome::Unknown(
                "the cluster is not online, so its agent could not be asked".to_owned(),
            ),
        };
        let place = ClusterRemoval {
            cluster: cluster.name.clone(),
            environment: cluster.environment.clone(),
            outcome,
        };
        places.entry(cluster.name.clone()).or_insert(place);
    }
    while let Some(done) = asked.join_next().await {
        take(Some(done), &mut places);
    }
    places.into_values().collect()
}

fn take(
    done: Option<Result<(String, Outcome), tokio::task::JoinError>>,
    places: &mut BTreeMap<String, ClusterRemoval>,
) {
    if let Some(Ok((cluster, outcome))) = done
        && let Some(place) = places.get_mut(&cluster)
    {
        place.outcome = outcome;
    }
}

async fn plan(client: &Client, cluster: &str, name: &str) -> Outcome {
    let request = client.request(v1::DiffRequest {
        cluster: cluster.to_owned(),
        application: name.to_owned(),
        removal: true,
    });
    let answer = match client.api().diff(request).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => return Outcome::Unknown(Error::from(status).to_string()),
    };
    let plans: Vec<ApplicationPlan> = answer.applications.iter().map(Into::into).collect();
    match plans.iter().find(|plan| plan.application == name) {
        None => {
            Outcome::Unknown("its agent did not say; ask again, or upgrade the agent".to_owned())
        }
        Some(plan) if !plan.error.is_empty() => Outcome::Unknown(plan.error.clone()),
        Some(plan) => Outcome::of(plan),
    }
}

/// Returns the lines to add to the fleet file.
fn lines(name: &str, environments: &[String], objects: Objects) -> String {
    let mut lines = format!("removed:\n- application: {name}\n");
    if !environments.is_empty() {
        lines.push_str(&format!("  environments: [{}]\n", environments.join(", ")));
    }
    if objects == Objects::Keep {
        lines.push_str("  keepObjects: true\n");
    }
    lines
}

/// Describes the lines to remove from the fleet file, and the effect.
fn leaves(name: &str, environments: &[String], declared: Option<&Vec<String>>) -> String {
    let taken = match declared {
        None => "Commit these lines to the fleet file".to_owned(),
        Some(placed) => {
            let rest: Vec<&str> = placed
                .iter()
                .filter(|environment| {
                    !environments.is_empty() && !environments.contains(environment)
                })
                .map(String::as_str)
                .collect();
            match rest.as_slice() {
                [] => format!(
                    "Take {name} out of the fleet file's applications, and commit these lines to it"
                ),
                rest => format!(
                    "Place {name} with `placement: {{environments: [{}]}}` in the fleet file, and commit \
                     these lines to it",
                    rest.join(", ")
                ),
            }
        }
    };
    format!(
        "\n{taken} (add the entry to `removed` if the file has that list). The removal then \
         goes through waves and gates, and `flotilla status` shows what an agent holds back. \
         Once it is carried out everywhere you can delete the entry:\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_are_what_the_fleet_file_takes() {
        let base = "apiVersion: flotilla.dev/v1alpha1\nkind: Fleet\nenvironments: [{name: prod, branch: p}]\n";
        let prod = ["prod".to_owned()];
        for (environments, objects) in [
            (&[][..], Objects::Delete),
            (&prod[..], Objects::Delete),
            (&prod[..], Objects::Keep),
        ] {
            let text = format!("{base}{}", lines("web", environments, objects));
            let spec = flotilla_spec::parse("f", &text).unwrap();
            let [removal] = spec.removed.as_slice() else {
                panic!("{text}");
            };
            assert_eq!(removal.environments.len(), environments.len());
            assert_eq!(removal.objects, objects);
        }
    }

    #[test]
    fn an_environment_that_has_nothing_of_it_is_refused() {
        let (stage, prod) = (["stage".to_owned()], ["prod".to_owned()]);
        let refused = nowhere("web", &stage, &prod).unwrap_err();
        assert_eq!(refused.to_string(), "there is nothing of web in stage");
        let hint = refused.hint();
        assert_eq!(hint.unwrap(), "the fleet file declares it in prod");
        assert_eq!(nowhere("web", &prod, &prod).unwrap(), None);
        // The fleet file declares it there, but no cluster is in that environment now.
        let warned = nowhere("web", &stage, &[]).unwrap();
        assert_eq!(warned.unwrap(), "no cluster of stage has web now");
    }

    #[test]
    fn what_is_to_leave_is_named() {
        let placed = vec!["dev".to_owned(), "prod".to_owned()];
        let all = leaves("web", &[], Some(&placed));
        assert!(
            all.contains("Take web out of the fleet file's applications"),
            "{all}"
        );
        let some = leaves("web", &["prod".to_owned()], Some(&placed));
        assert!(
            some.contains("`placement: {environments: [dev]}`"),
            "{some}"
        );
        let orphan = leaves("web", &[], None);
        assert!(orphan.contains("Commit these lines"), "{orphan}");
    }
}
