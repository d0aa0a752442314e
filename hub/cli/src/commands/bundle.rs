//! `support-bundle`: diagnostics for a helper, without secrets.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use flotilla_http::BodyError;
use flotilla_proto::v1;
use flotilla_status::{Application, Cluster, Connectivity, Entry, Operator, Rollout, Step, text};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::{Connector, check};
use crate::args::BundleArgs;
use crate::bundle::{BundleFile, contents};
use crate::check::{CheckFacts, judge};
use crate::client::Client;
use crate::error::Error;
use crate::printer::Printer;

/// Highest number of subjects that are explained.
const EXPLAINED: usize = 50;
/// Longest text of metrics, bytes.
const MAX_METRICS: usize = 8 << 20;
/// Folder of all files in the archive.
const ROOT: &str = "flotilla-support";

/// Collects the parts, lists them, asks, and writes the file.
pub(super) async fn run(
    reach: &Connector,
    args: BundleArgs,
    printer: &Printer,
) -> Result<(), Error> {
    let parts = gather(reach, &args).await;
    let list = contents(&parts);
    printer.out(&list)?;
    let Some(file) = args.file.as_deref().filter(|_| !args.dry_run) else {
        return Ok(());
    };
    if !args.yes {
        let question = format!("Write this to {}?", file.display());
        printer.consent(&question, "nothing was written")?;
    }
    write(file, &parts, &list)?;
    printer.say(&format!(
        "wrote {}; it contains names of clusters, repositories and people: read it before you \
         share it",
        file.display()
    ));
    Ok(())
}

fn write(file: &Path, parts: &[BundleFile], list: &str) -> Result<(), Error> {
    let names: Vec<String> = parts
        .iter()
        .map(|part| format!("{ROOT}/{}", part.name))
        .collect();
    let texts = names.iter().zip(parts);
    let texts =
        texts.filter_map(|(name, part)| Some((name.as_str(), part.text.as_ref().ok()?.as_bytes())));
    let contents = format!("{ROOT}/contents.txt");
    let all = std::iter::once((contents.as_str(), list.as_bytes())).chain(texts);
    let bytes = flotilla_vendor::tar::archive(all, 0o600, Timestamp::now().as_second());
    let failed = |cause| Error::File {
        path: file.to_owned(),
        cause,
    };
    let mut zip = GzEncoder::new(Vec::new(), Compression::default());
    zip.write_all(&bytes).map_err(failed)?;
    let zipped = zip.finish().map_err(failed)?;
    flotilla_disk::create(file, &zipped).map_err(failed)
}

/// Makes a part of a value, or of the reason why it is not available.
fn part<T: Serialize>(name: &str, what: &'static str, value: Result<T, Error>) -> BundleFile {
    match value.and_then(|value| Ok(serde_json::to_string_pretty(&value)?)) {
        Ok(text) => BundleFile::new(name, what, &(text + "\n")),
        Err(error) => BundleFile::missing(name, what, &error.to_string()),
    }
}

async fn gather(reach: &Connector, args: &BundleArgs) -> Vec<BundleFile> {
    let facts = check::gather(reach, None).await;
    let mut parts = vec![
        part(
            "versions.json",
            "versions of this program, the hub and agents",
            Ok(versions(&facts)),
        ),
        part("check.json", "what flotilla check finds", Ok(judge(&facts))),
    ];
    if let Some(Ok(clusters)) = &facts.clusters {
        let what = "clusters and what runs there, as the hub shows them";
        parts.push(part("clusters.json", what, Ok(clusters)));
    }
    if let Some(Ok(environments)) = &facts.environments {
        let what = "environments of the fleet file, and their branches";
        parts.push(part("fleet/environments.json", what, Ok(environments)));
    }
    if let Some(Ok(hub)) = &facts.hub {
        parts.push(part("hub.json", "the hub's own state", Ok(&hub.hub)));
    }
    if matches!(facts.hub, Some(Ok(_))) {
        match reach.connect().await {
            Ok(client) => asked(&client, &facts, args, &mut parts).await,
            Err(error) => {
                parts.push(BundleFile::missing(
                    "audit.jsonl",
                    "the hub",
                    &error.to_string(),
                ));
            }
        }
    }
    for (index, url) in args.metrics.iter().enumerate() {
        let name = format!("metrics-{index}.txt");
        parts.push(match metrics(url, reach.timeout).await {
            Ok(text) => BundleFile::new(name, "metrics", &text),
            Err(error) => BundleFile::missing(name, "metrics", &error.to_string()),
        });
    }
    parts
}

/// Asks the hub for all parts.
async fn asked(
    client: &Client,
    facts: &CheckFacts,
    args: &BundleArgs,
    parts: &mut Vec<BundleFile>,
) {
    let request = client.request(v1::ListRepositoriesRequest {});
    let repositories = client.api().list_repositories(request).await;
    let repositories = repositories.map(|answer| {
        let all = answer.into_inner().repositories;
        let all = all.iter();
        all.map(|repository| json!({"name": text(&repository.name), "url": text(&repository.url)}))
            .collect::<Vec<_>>()
    });
    let what = "repositories of the fleet file";
    parts.push(part(
        "fleet/repositories.json",
        what,
        repositories.map_err(Error::from),
    ));
    let request = client.request(v1::ListApplicationsRequest::default());
    let applications = client.api().list_applications(request).await;
    let applications = applications.map(|answer| {
        let all = answer.into_inner().applications;
        all.iter().map(Application::from).collect::<Vec<_>>()
    });
    let what = "applications of the fleet file, and where they are";
    parts.push(part(
        "fleet/applications.json",
        what,
        applications.map_err(Error::from),
    ));
    let request = client.request(v1::ListOperatorsRequest {});
    let operators = client.api().list_operators(request).await;
    let operators = operators.map(|answer| {
        let all = answer.into_inner().operators;
        all.iter().map(Operator::from).collect::<Vec<_>>()
    });
    let what = "operators and their roles";
    parts.push(part("operators.json", what, operators.map_err(Error::from)));
    let request = client.request(v1::ListRolloutsRequest {
        environment: String::new(),
        limit: 50,
    });
    let rollouts = client.api().list_rollouts(request).await;
    let rollouts = rollouts.map(|answer| {
        let all = answer.into_inner().rollouts;
        all.iter().map(Rollout::from).collect::<Vec<_>>()
    });
    parts.push(part(
        "rollouts.json",
        "the last rollouts",
        rollouts.map_err(Error::from),
    ));
    let request = client.request(v1::ListAuditRequest {
        environment: String::new(),
        after: 0,
        limit: args.audit,
    });
    let what = "the end of the audit log, one entry a line";
    parts.push(match client.api().list_audit(request).await {
        Ok(answer) => {
            let entries = answer.into_inner().entries;
            let lines = entries.iter().map(Entry::from);
            let lines = lines.filter_map(|entry| serde_json::to_string(&entry).ok());
            let lines: String = lines.map(|line| line + "\n").collect();
            BundleFile::new("audit.jsonl", what, &lines)
        }
        Err(status) => BundleFile::missing("audit.jsonl", what, &Error::from(status).to_string()),
    });
    for subject in not_well(facts) {
        let request = client.request(v1::ExplainRequest {
            subject: subject.clone(),
        });
        let steps = client.api().explain(request).await;
        let steps = steps.map(|answer| {
            let all = answer.into_inner().steps;
            all.iter().map(Step::from).collect::<Vec<_>>()
        });
        let name = format!("explain/{subject}.json");
        parts.push(part(&name, "explanation", steps.map_err(Error::from)));
    }
}

/// Returns the environments, and the clusters that are not ready.
fn not_well(facts: &CheckFacts) -> Vec<String> {
    let environments = facts.environments.iter().flatten().flatten();
    let clusters = facts.clusters.iter().flatten().flatten();
    let clusters = clusters
        .filter(|cluster| cluster.connection != Connectivity::Pending && !cluster.is_current())
        .map(|cluster| cluster.name.clone());
    let names = environments
        .map(|environment| environment.name.clone())
        .chain(clusters);
    // The name becomes a file's name, so it must be plain.
    let is_plain = |name: &String| {
        let is_good = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        name.len() <= 63 && !name.is_empty() && name.bytes().all(is_good)
    };
    names.filter(is_plain).take(EXPLAINED).collect()
}

fn versions(facts: &CheckFacts) -> serde_json::Value {
    let agents = facts.clusters.iter().flatten().flatten();
    let agents: Vec<_> = agents
        .map(|cluster: &Cluster| {
            json!({
                "cluster": cluster.name,
                "agent": cluster.agent_version,
                "kubernetes": cluster.kubernetes_version,
            })
        })
        .collect();
    let hub = facts.hub.as_ref().and_then(|hub| hub.as_ref().ok());
    json!({
        "flotilla": facts.version,
        "os": std::env::consts::OS,
        "architecture": std::env::consts::ARCH,
        "writtenAt": facts.now,
        "hub": hub.map(|hub| hub.hub.version.clone()),
        "agents": agents,
    })
}

/// Fetches metrics over plain HTTP, as probes and Prometheus do.
async fn metrics(url: &str, timeout: Duration) -> Result<String, Error> {
    flotilla_shared::tls::install_provider();
    let refused = |message: String| Error::Refused {
        message,
        hint: None,
    };
    let client = reqwest::Client::builder()
        .timeout(timeout)
        .build()
        .map_err(|error| refused(error.to_string()))?;
    let no_answer = |error: reqwest::Error| refused(flotilla_http::why(&error));
    let answer = client.get(url).send().await.map_err(no_answer)?;
    let mut answer = answer.error_for_status().map_err(no_answer)?;
    let bytes = flotilla_http::body(&mut answer, MAX_METRICS).await;
    let bytes = bytes.map_err(|error| match error {
        BodyError::TooLarge => refused("more than 8 MiB".to_owned()),
        broken => refused(broken.to_string()),
    })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
