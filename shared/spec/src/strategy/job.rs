//! Jobs as gates: run in one cluster of the environment, from the commit that is to go in.

use std::time::Duration;

use flotilla_shared::gate_job::{MAX_GATE_JOBS, MAX_TIMEOUT_SECONDS};
use flotilla_shared::id::{ApplicationName, ClusterName, GateName};
use flotilla_shared::revision::TreePath;
use serde::Deserialize;

use super::problems::{Problems, time};

/// How long a Job may take that says nothing of it.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);

/// A Job that has to succeed before a commit goes in.
#[derive(Debug, Clone, PartialEq)]
pub struct JobGate {
    /// Its name, unique in the environment.
    pub name: GateName,
    /// Whose repository it comes from, and in whose namespace and with whose account it runs.
    pub application: ApplicationName,
    /// Where the Job lies in the repository.
    pub path: TreePath,
    /// Where it runs; none: in the first cluster of the first wave.
    pub cluster: Option<ClusterName>,
    /// How long it may take.
    pub timeout: Duration,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct JobEntry {
    name: GateName,
    application: ApplicationName,
    path: String,
    #[serde(default)]
    cluster: Option<ClusterName>,
    #[serde(default)]
    timeout: Option<String>,
}

/// Reads them; what is wrong is added to `problems`.
pub(super) fn read(entries: &[JobEntry], problems: &mut Problems) -> Vec<JobGate> {
    let mut jobs: Vec<JobGate> = Vec::new();
    if entries.len() > MAX_GATE_JOBS {
        problems.push(("jobs".to_owned(), format!("more than {MAX_GATE_JOBS}")));
    }
    for (index, entry) in entries.iter().enumerate() {
        let key = format!("jobs[{index}]");
        if jobs.iter().any(|job| job.name == entry.name) {
            let message = format!("job {} is already there", entry.name);
            problems.push((format!("{key}.name"), message));
        }
        let timeout_key = format!("{key}.timeout");
        let timeout = time(
            entry.timeout.as_ref(),
            &timeout_key,
            DEFAULT_TIMEOUT,
            problems,
        );
        if !(1..=u64::from(MAX_TIMEOUT_SECONDS)).contains(&timeout.as_secs()) {
            problems.push((timeout_key, "give 1s to 24h".to_owned()));
        }
        match entry.path.parse::<TreePath>() {
            Ok(path) => jobs.push(JobGate {
                name: entry.name.clone(),
                application: entry.application.clone(),
                path,
                cluster: entry.cluster.clone(),
                timeout,
            }),
            Err(error) => problems.push((format!("{key}.path"), error.to_string())),
        }
    }
    jobs
}
