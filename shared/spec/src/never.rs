//! What a fleet file says that can never come true. It is no reason for a running hub to put the file
//! away: clusters come and go, and yesterday it may have made sense.

use std::collections::BTreeMap;

use flotilla_shared::revision::is_below;

use super::{Environment, Members, Spec};

/// What can never work, each as the place in the file and what is wrong there.
#[must_use]
pub fn can_never_work(spec: &Spec) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (name, application) in &spec.applications {
        if let Err(error) = application.path.check() {
            found.push((format!("application {name}, path"), error.to_string()));
        }
        let placement = &application.placement;
        let of_environment = |environment: &Environment| {
            placement.environments.is_empty() || placement.environments.contains(&environment.name)
        };
        let declared: Vec<&BTreeMap<String, String>> = spec
            .clusters
            .values()
            .filter(|cluster| {
                placement.environments.is_empty()
                    || placement.environments.contains(&cluster.environment)
            })
            .map(|cluster| &cluster.labels)
            .collect();
        if !declared.is_empty()
            && !declared
                .iter()
                .any(|labels| placement.selector.matches(labels))
        {
            found.push((
                format!("application {name}, placement.selector"),
                "none of the clusters of this file has these labels".to_owned(),
            ));
        }
        for environment in spec.environments.iter().filter(|one| of_environment(one)) {
            let (Some(_), Some(from)) = (environment.gates.proof, &environment.promotes_from)
            else {
                continue;
            };
            let from = spec.environment(from);
            if from.is_some_and(|from| !of_environment(from)) {
                let from = environment.promotes_from.as_ref();
                let from = from.map_or_else(String::new, ToString::to_string);
                found.push((
                    format!("environment {}, gates.proof", environment.name),
                    format!(
                        "application {name} is not placed in {from}, so that nothing there can prove \
                         its commits; place it there, or take the gate away"
                    ),
                ));
            }
        }
    }
    for environment in &spec.environments {
        waves(spec, environment, &mut found);
        jobs(spec, environment, &mut found);
    }
    found
}

fn jobs(spec: &Spec, environment: &Environment, found: &mut Vec<(String, String)>) {
    for job in &environment.gates.jobs {
        let Some(application) = spec.applications.get(&job.application) else {
            continue;
        };
        let place = format!("environment {}, gates.jobs {}", environment.name, job.name);
        let placement = &application.placement.environments;
        if !placement.is_empty() && !placement.contains(&environment.name) {
            found.push((
                place.clone(),
                format!(
                    "application {} is not placed in {}, so that none of its commits goes in there, and \
                     the Job never runs",
                    job.application, environment.name
                ),
            ));
        }
        let (own, path) = (application.path.as_str(), job.path.as_str());
        let own = own.trim_end_matches('/').trim_start_matches("./");
        if own == "." || is_below(path, own) {
            found.push((
                place,
                format!(
                    "{path:?} lies in the directory of application {}, which would apply the Job as one \
                     of its own objects; put it beside",
                    job.application
                ),
            ));
        }
    }
}

fn waves(spec: &Spec, environment: &Environment, found: &mut Vec<(String, String)>) {
    let Some(strategy) = &environment.strategy else {
        return;
    };
    let members: Vec<_> = spec
        .clusters
        .iter()
        .filter(|(_, cluster)| cluster.environment == environment.name)
        .collect();
    for wave in &strategy.waves {
        let wrong = match &wave.members {
            Members::Share(0) => "a share of 0% takes no cluster",
            Members::Clusters(names) if names.is_empty() => "it names no cluster",
            Members::Clusters(names)
                if !members.is_empty()
                    && !members.iter().any(|(name, _)| names.contains(*name)) =>
            {
                "none of its clusters is declared in this environment"
            }
            Members::Selector(selector)
                if !members.is_empty()
                    && !members.iter().any(|(_, one)| selector.matches(&one.labels)) =>
            {
                "none of the environment's clusters in this file has these labels"
            }
            _ => continue,
        };
        found.push((
            format!("environment {}, wave {}", environment.name, wave.name),
            wrong.to_owned(),
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    fn found(rest: &str) -> Vec<String> {
        let text = format!(
            "apiVersion: flotilla.dev/v1alpha1\nkind: Fleet\n\
             repositories: [{{name: r, url: 'https://h/r'}}]\n{rest}"
        );
        let spec = parse("f", &text).unwrap();
        can_never_work(&spec)
            .into_iter()
            .map(|(place, wrong)| format!("{place}: {wrong}"))
            .collect()
    }

    #[test]
    fn paths_outside_of_a_repository_are_found() {
        for path in ["/app", "../app", "a/../../b", "a//b"] {
            let text = format!("applications: [{{name: a, repository: r, path: '{path}'}}]\n");
            assert_eq!(found(&text).len(), 1, "{path}");
        }
        for path in ["app", "a/{cluster}/{labels.region}", "a/{environment}"] {
            let text = format!("applications: [{{name: a, repository: r, path: '{path}'}}]\n");
            assert!(found(&text).is_empty(), "{path}");
        }
    }

    #[test]
    fn waves_that_take_nobody_are_found() {
        let text = |wave: &str, clusters: &str| {
            format!(
                "environments:\n- {{name: p, branch: p, strategy: {{waves: [{{name: w, {wave}}}]}}}}\n\
                 clusters: [{clusters}]\n"
            )
        };
        let one = "{name: c, environment: p, labels: {tier: gold}}";
        for (wave, clusters, wrong) in [
            ("share: 0%", "", 1),
            ("clusters: []", "", 1),
            ("clusters: [x]", one, 1),
            ("clusters: [x]", "", 0),
            ("clusters: [c]", one, 0),
            ("selector: tier=silver", one, 1),
            ("selector: tier=silver", "", 0),
            ("selector: tier=gold", one, 0),
            ("share: 1%", one, 0),
        ] {
            assert_eq!(
                found(&text(wave, clusters)).len(),
                wrong,
                "{wave} {clusters}"
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
            assert_eq!(found(&text(job, path)).len(), wrong, "{job} {path}");
        }
    }

    #[test]
    fn a_proof_that_nobody_can_give_is_found() {
        let text = |placed: &str| {
            format!(
                "environments:\n- {{name: s, branch: s}}\n\
                 - {{name: p, branch: p, promotesFrom: s, gates: {{proof: {{soak: 1m}}}}}}\n\
                 applications: [{{name: a, repository: r, path: a, placement: {{environments: [{placed}]}}}}]\n"
            )
        };
        assert_eq!(found(&text("p")).len(), 1);
        assert!(found(&text("s, p")).is_empty());
        assert!(found(&text("")).is_empty());
    }
}
