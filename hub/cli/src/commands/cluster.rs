//! `cluster list`, `accept`, `unlock` and `remove`.

use flotilla_proto::v1;
use flotilla_status::Cluster;

use super::labels;
use super::show::{self, Selection};
use crate::args::ClusterCommand;
use crate::client::Client;
use crate::error::Error;
use crate::printer::Printer;

pub(super) async fn run(
    client: &Client,
    command: ClusterCommand,
    printer: &Printer,
) -> Result<(), Error> {
    match command {
        ClusterCommand::List {
            pending,
            filter,
            output,
        } => {
            let selection = match pending {
                true => Selection::Pending,
                false => Selection::All,
            };
            show::clusters(client, &filter, selection, output.output, printer).await
        }
        ClusterCommand::Accept {
            name,
            place,
            fingerprint,
            output,
        } => {
            let request = client.request(v1::AcceptClusterRequest {
                name: name.to_string(),
                fingerprint: fingerprint.unwrap_or_default().to_ascii_lowercase(),
                environment: place
                    .environment
                    .map(|environment| environment.to_string())
                    .unwrap_or_default(),
                labels: labels(place.labels),
            });
            let response = client.api().accept_cluster(request).await?.into_inner();
            let detail = match flotilla_status::text(&response.detail) {
                empty if empty.is_empty() => empty,
                detail => format!("; {detail}"),
            };
            let cluster = Cluster::from(&response.cluster.ok_or(Error::Answer("the cluster"))?);
            if output.output.is_structured() {
                return printer.value(output.output, &cluster);
            }
            let environment = match cluster.environment.as_str() {
                "" => String::new(),
                name => format!(" in environment {name}"),
            };
            printer.say(&format!("cluster {name} was accepted{environment}{detail}"));
            Ok(())
        }
        ClusterCommand::Remove { name, reason, yes } => {
            if !yes {
                // Checked first, so that no confirmation is asked for a cluster that does not exist.
                let request = client.request(v1::GetClusterRequest {
                    name: name.to_string(),
                });
                client.api().get_cluster(request).await?;
                let question = format!(
                    "Remove {name} from the fleet? What runs there is kept; to come back, its \
                     agent must enrol again."
                );
                printer.consent(&question, &format!("{name} was not removed"))?;
            }
            let request = client.request(v1::RemoveClusterRequest {
                name: name.to_string(),
                reason,
            });
            client.api().remove_cluster(request).await?;
            printer.say(&format!("cluster {name} was removed"));
            Ok(())
        }
        ClusterCommand::Unlock { name, reason } => {
            let request = client.request(v1::UnlockClusterRequest {
                name: name.to_string(),
                reason,
            });
            client.api().unlock_cluster(request).await?;
            printer.say(&format!(
                "cluster {name} was unlocked; if two agents still use its identity it is locked \
                 again: then remove it and enrol it again"
            ));
            Ok(())
        }
        // Handled by the caller, since it also creates a token.
        ClusterCommand::JoinManifest(join) => super::join::run(client, join, printer).await,
    }
}
