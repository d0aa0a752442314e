//! Renewal of certificates.

use std::sync::Arc;
use std::time::Duration;

use flotilla_hub::fleet::ClusterRecord;
use flotilla_proto::v1;
use flotilla_proto::v1::enrollment_service_client::EnrollmentServiceClient;
use flotilla_shared::dial::dial;
use flotilla_shared::id::ClusterName;
use flotilla_shared::identity::Identity;
use flotilla_shared::tls;
use flotilla_tests::simulated::CertificateIssuer;
use flotilla_tests::test_hub::TestHub;
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::time::Instant;

use super::percentiles;

/// Renews certificates with a concurrency of eight, and prints what 10,000 per hour would cost.
pub(super) async fn renew(
    hub: &TestHub,
    enrolled: &CertificateIssuer,
    clusters: impl Iterator<Item = &(ClusterName, ClusterRecord)>,
) -> anyhow::Result<()> {
    let (before, began) = (hub.usage(), Instant::now());
    let calls = clusters.map(|(name, _)| async {
        let identity = enrolled.identity(&Identity::Cluster(name.clone()))?;
        let tls = tls::client_config(enrolled.trust_bundle(), Some(&identity))?;
        let asked = Instant::now();
        let channel = dial(&hub.address.to_string(), Arc::new(tls)).await?;
        EnrollmentServiceClient::new(channel)
            .renew(v1::RenewRequest {
                csr: enrolled.csr(),
            })
            .await?;
        anyhow::Ok(asked.elapsed())
    });
    let calls: Vec<_> = calls.collect();
    let took: Vec<Duration> = futures::stream::iter(calls)
        .buffer_unordered(8)
        .try_collect()
        .await?;
    if took.is_empty() {
        return Ok(());
    }
    let cpu = hub.usage().cpu.saturating_sub(before.cpu);
    let each = cpu.as_secs_f64() / took.len() as f64;
    println!(
        "{} renewals in {:?}: {:.2} ms of the hub's CPU each, {:.2} % of a core for 10,000 an hour",
        took.len(),
        began.elapsed(),
        each * 1e3,
        each * 10_000.0 / 3600.0 * 100.0
    );
    percentiles("renewal with its handshake", took);
    Ok(())
}
