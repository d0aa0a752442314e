//! `flotilla diff`: what an agent would change now.

use flotilla_proto::v1;
use flotilla_shared::id::{ApplicationName, ClusterName};

use crate::args::Output;
use crate::client::Client;
use crate::error::Error;
use crate::printer::Printer;
use crate::render;
use crate::view::ApplicationPlan;

pub(super) async fn run(
    client: &Client,
    cluster: &ClusterName,
    application: Option<ApplicationName>,
    output: Output,
    printer: &Printer,
) -> Result<(), Error> {
    let request = client.request(v1::DiffRequest {
        cluster: cluster.to_string(),
        application: application.map(|name| name.to_string()).unwrap_or_default(),
    });
    let response = client.api().diff(request).await?.into_inner();
    let plans: Vec<ApplicationPlan> = response
        .applications
        .iter()
        .map(ApplicationPlan::from)
        .collect();
    if output.is_structured() {
        printer.value(output, &plans)?;
    } else {
        printer.out(&render::diff(&plans, printer.paint))?;
    }
    if plans.iter().any(ApplicationPlan::differs) {
        return Err(Error::Differs);
    }
    Ok(())
}
