//! What the Jobs of gates name has to be there.

use super::Checker;

impl Checker<'_> {
    pub(super) fn job_gates(&mut self) {
        let mut wrong = Vec::new();
        for (index, environment) in self.spec.environments.iter().enumerate() {
            for (number, job) in environment.gates.jobs.iter().enumerate() {
                let path = format!("environments[{index}].gates.jobs[{number}]");
                if !self.spec.applications.contains_key(&job.application) {
                    let message = format!("there is no application {}", job.application);
                    wrong.push((format!("{path}.application"), message));
                }
                let cluster = job.cluster.as_ref();
                let declared = cluster.and_then(|name| self.spec.clusters.get(name));
                if let Some(other) = declared.filter(|one| one.environment != environment.name) {
                    let message = format!("that cluster is of environment {}", other.environment);
                    wrong.push((format!("{path}.cluster"), message));
                }
            }
        }
        for (path, message) in wrong {
            self.error(&path, message);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
                wrong.iter().all(|one| one.contains(key)),
                "{jobs}: {wrong:?}"
            );
        }
    }
}
