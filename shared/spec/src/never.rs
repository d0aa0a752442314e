//! Settings of a fleet file that can never take effect. A running hub uses the file all the same: clusters come and go,
//! and the settings may have made sense before.

use std::collections::BTreeMap;

use super::strategy::never_open;
use super::{Environment, Members, Spec};

/// Returns what can never work, each as the place in the file and what is wrong there.
#[must_use]
pub fn can_never_work(spec: &Spec) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (name, application) in &spec.applications {
        if let Err(error) = application.path.check() {
            found.push((format!("application {name}, path"), error.to_string()));
        }
        let placement = &application.placement;
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
    }
    for environment in &spec.environments {
        waves(spec, environment, &mut found);
        for (gate, wrong) in never_open(environment, spec) {
            found.push((
                format!("environment {}, gates.{gate}", environment.name),
                wrong,
            ));
        }
    }
    found
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
                    && !members
                        .iter()
                        .any(|(_, cluster)| selector.matches(&cluster.labels)) =>
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
    use crate::fixture::never_works;

    fn found(rest: &str) -> Vec<String> {
        never_works(rest)
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
        let gold = "{name: c, environment: p, labels: {tier: gold}}";
        for (wave, clusters, wrong) in [
            ("share: 0%", "", 1),
            ("clusters: []", "", 1),
            ("clusters: [x]", gold, 1),
            ("clusters: [x]", "", 0),
            ("clusters: [c]", gold, 0),
            ("selector: tier=silver", gold, 1),
            ("selector: tier=silver", "", 0),
            ("selector: tier=gold", gold, 0),
            ("share: 1%", gold, 0),
        ] {
            assert_eq!(
                found(&text(wave, clusters)).len(),
                wrong,
                "{wave} {clusters}"
            );
        }
    }
}
