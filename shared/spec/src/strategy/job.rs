//! Jobs as gates: they run in one cluster of the environment, from the commit that waits at the gate.

use std::time::Duration;

use flotilla_shared::gate_job::{MAX_GATE_JOBS, MAX_TIMEOUT_SECONDS};
use flotilla_shared::id::{ApplicationName, ClusterName, GateName};
use flotilla_shared::revision::{TreePath, is_below};
use serde::Deserialize;

use super::problems::{Problems, time};
use crate::{Environment, Spec};

/// Default timeout of a Job.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);

/// A Job that has to succeed before a commit is rolled out.
#[derive(Debug, Clone, PartialEq)]
pub struct JobGate {
    /// Its name, unique in the environment.
    pub name: GateName,
    /// The application whose repository, namespace and account it uses.
    pub application: ApplicationName,
    /// Path of the Job in the repository.
    pub path: TreePath,
    /// The cluster that it runs in; none: the first cluster of the first wave.
    pub cluster: Option<ClusterName>,
    /// Its timeout.
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

/// Reads them; errors are added to `problems`.
pub(super) fn read(entries: &[JobEntry], problems: &mut Problems) -> Vec<JobGate> {
    let mut jobs: Vec<JobGate> = Vec::new();
    if entries.len() > MAX_GATE_JOBS {
        problems.push(("jobs".to_owned(), format!("more than {MAX_GATE_JOBS}")));
    }
    for (index, entry) in entries.iter().enumerate() {
        let key = format!("jobs[{index}]");
        if jobs.iter().any(|job| job.name == entry.name) {
            let message = format!("job {} is listed twice", entry.name);
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

/// Checks that what Jobs refer to exists.
pub(super) fn misfits(environment: &Environment, spec: &Spec, problems: &mut Problems) {
    for (index, job) in environment.gates.jobs.iter().enumerate() {
        if !spec.applications.contains_key(&job.application) {
            let message = format!("there is no application {}", job.application);
            problems.push((format!("jobs[{index}].application"), message));
        }
        let cluster = job.cluster.as_ref();
        let declared = cluster.and_then(|name| spec.clusters.get(name));
        if let Some(other) = declared.filter(|cluster| cluster.environment != environment.name) {
            let message = format!("that cluster belongs to environment {}", other.environment);
            problems.push((format!("jobs[{index}].cluster"), message));
        }
    }
}

/// Returns Jobs that never run, and those that would run as an application's own objects.
pub(super) fn never_open(environment: &Environment, spec: &Spec, problems: &mut Problems) {
    for job in &environment.gates.jobs {
        let Some(application) = spec.applications.get(&job.application) else {
            continue;
        };
        let key = format!("jobs {}", job.name);
        let placement = &application.placement.environments;
        if !placement.is_empty() && !placement.contains(&environment.name) {
            problems.push((
                key.clone(),
                format!(
                    "application {} is not placed in {}, so none of its commits is rolled out \
                     there and the Job never runs",
                    job.application, environment.name
                ),
            ));
        }
        let (own, path) = (application.path.as_str(), job.path.as_str());
        let own = own.trim_end_matches('/').trim_start_matches("./");
        if own == "." || is_below(path, own) {
            problems.push((
                key,
                format!(
                    "{path:?} is in the directory of application {}, which would apply the Job \
                     as one of its own objects; put it outside",
                    job.application
                ),
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::fixture::places;
    use crate::parse;

    const FILE: &str = "apiVersion: flotilla.dev/v1alpha1
kind: Fleet
repositories: [{name: r, url: 'https://h/r'}]
environments:
- {name: dev, branch: dev}
- {name: prod, branch: prod, gates: {jobs: [JOBS]}}
clusters: [{name: d1, environment: dev}, {name: p1, environment: prod}]
applications: [{name: shop, repository: r, path: apps/shop}]
";

    fn wrong(jobs: &str) -> Vec<String> {
        let errors = parse("f", &FILE.replace("JOBS", jobs)).unwrap_err();
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_job_names_an_application_a_path_and_perhaps_a_cluster() {
        let text = "{name: smoke, application: shop, path: gates/smoke}, \
                    {name: load, application: shop, path: gates/load, cluster: p1, timeout: 1h}";
        let spec = parse("f", &FILE.replace("JOBS", text)).unwrap();
        let prod = &spec.environments[1];
        assert!(
            prod.strategy.is_some(),
            "a gate needs something to hold back"
        );
        let jobs = &prod.gates.jobs;
        assert_eq!(
            (jobs[0].timeout, jobs[0].cluster.as_ref()),
            (Duration::from_secs(600), None)
        );
        assert_eq!(jobs[1].timeout, Duration::from_secs(3600));
    }

    #[test]
    fn what_is_not_there_or_not_bounded_is_named_with_its_key() {
        let two =
            "{name: smoke, application: shop, path: a}, {name: smoke, application: shop, path: b}";
        let many: Vec<String> = (0..17)
            .map(|n| format!("{{name: j{n}, application: shop, path: a}}"))
            .collect();
        for (jobs, key) in [
            (
                "{name: smoke, application: web, path: a}",
                "jobs[0].application",
            ),
            (
                "{name: smoke, application: shop, path: ../a}",
                "jobs[0].path",
            ),
            (
                "{name: smoke, application: shop, path: a, cluster: d1}",
                "jobs[0].cluster",
            ),
            (
                "{name: smoke, application: shop, path: a, timeout: 0s}",
                "jobs[0].timeout",
            ),
            (
                "{name: smoke, application: shop, path: a, timeout: 25h}",
                "jobs[0].timeout",
            ),
            (
                "{name: smoke, application: shop, path: a, timeout: soon}",
                "jobs[0].timeout",
            ),
            (two, "jobs[1].name"),
            (&many.join(", "), "gates.jobs"),
        ] {
            let wrong = wrong(jobs);
            assert!(
                wrong.iter().all(|line| line.contains(key)),
                "{jobs}: {wrong:?}"
            );
        }
    }

    #[test]
    fn jobs_that_never_run_or_run_twice_are_found() {
        let text = |job: &str, path: &str| {
            format!(
                "environments:\n- {{name: s, branch: s}}\n\
                 - {{name: p, branch: p, gates: {{jobs: [{{name: j, application: {job}, path: {path}}}]}}}}\n\
                 applications:\n- {{name: a, repository: r, path: apps/a}}\n\
                 - {{name: b, repository: r, path: 'apps/{{environment}}', placement: {{environments: [s]}}}}\n"
            )
        };
        for (job, path, wrong) in [
            ("a", "gates/a", 0),
            ("a", "apps/a", 1),
            ("a", "apps/a/jobs", 1),
            ("a", "apps/ab", 0),
            ("b", "gates/b", 1),
        ] {
            let found = places(&text(job, path));
            assert_eq!(found.len(), wrong, "{job} {path}");
            let mut places = found.iter();
            assert!(
                places.all(|place| place == "environment p, gates.jobs j"),
                "{found:?}"
            );
        }
    }
}
