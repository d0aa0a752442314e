//! `get`, `describe`, `explain` and `hub`.

use flotilla_proto::v1;
use flotilla_shared::id::{ApplicationName, ClusterName};
use flotilla_status::{Application, Cluster, Connectivity, Hub, Step};
use jiff::Timestamp;

use super::{filter, names};
use crate::args::{FilterArgs, Output};
use crate::client::{Client, Detail};
use crate::error::Error;
use crate::printer::Printer;
use crate::render::{self, Width};

/// Clusters of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Selection {
    All,
    /// Clusters that wait to be accepted.
    Pending,
}

pub(super) async fn clusters(
    client: &Client,
    args: &FilterArgs,
    selection: Selection,
    output: Output,
    printer: &Printer,
) -> Result<(), Error> {
    let only = names(&args.applications);
    let clusters: Vec<Cluster> = client
        .clusters(&filter(args), Detail::Summary)
        .await?
        .into_iter()
        .map(|cluster| cluster.only(&only))
        .filter(|cluster| match selection {
            Selection::All => true,
            Selection::Pending => cluster.connection == Connectivity::Pending,
        })
        .collect();
    if output.is_structured() {
        return printer.value(output, &clusters);
    }
    // A person compares the pending key, so it is shown.
    let width = if output == Output::Wide || selection == Selection::Pending {
        Width::Wide
    } else {
        Width::Usual
    };
    printer.out(&render::clusters(
        &clusters,
        width,
        printer.paint,
        Timestamp::now(),
    ))
}

pub(super) async fn applications(
    client: &Client,
    name: Option<ApplicationName>,
    output: Output,
    printer: &Printer,
) -> Result<(), Error> {
    let asked = name.as_ref().map(ToString::to_string).unwrap_or_default();
    let request = client.request(v1::ListApplicationsRequest { name: asked });
    let wire = client.api().list_applications(request).await?.into_inner();
    let applications: Vec<Application> = wire.applications.iter().map(Application::from).collect();
    if output.is_structured() {
        return printer.value(output, &applications);
    }
    printer.out(&render::applications(&applications, printer.paint))
}

pub(super) async fn environments(
    client: &Client,
    output: Output,
    printer: &Printer,
) -> Result<(), Error> {
    let environments = client.environments().await?;
    if output.is_structured() {
        return printer.value(output, &environments);
    }
    printer.out(&render::environments(
        &environments,
        printer.paint,
        Timestamp::now(),
    ))
}

pub(super) async fn describe(
    client: &Client,
    name: &ClusterName,
    output: Output,
    printer: &Printer,
) -> Result<(), Error> {
    let request = client.request(v1::GetClusterRequest {
        name: name.to_string(),
    });
    let response = client.api().get_cluster(request).await?.into_inner();
    let cluster = Cluster::from(&response.cluster.ok_or(Error::Answer("the cluster"))?);
    if output.is_structured() {
        return printer.value(output, &cluster);
    }
    printer.out(&render::describe(&cluster, printer.paint, Timestamp::now()))
}

pub(super) async fn explain(
    client: &Client,
    subject: String,
    output: Output,
    printer: &Printer,
) -> Result<(), Error> {
    let request = client.request(v1::ExplainRequest { subject });
    let response = client.api().explain(request).await?.into_inner();
    let steps: Vec<Step> = response.steps.iter().map(Step::from).collect();
    if output.is_structured() {
        return printer.value(output, &steps);
    }
    printer.out(&render::explain(
        &steps,
        printer.paint,
        Timestamp::now(),
        printer.columns(),
    ))
}

pub(super) async fn hub(client: &Client, output: Output, printer: &Printer) -> Result<(), Error> {
    let request = client.request(v1::GetHubRequest {});
    let hub = Hub::from(&client.api().get_hub(request).await?.into_inner());
    if output.is_structured() {
        return printer.value(output, &hub);
    }
    printer.out(&render::hub(&hub, printer.paint, Timestamp::now()))
}
