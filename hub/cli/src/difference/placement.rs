//! Placement of an application, as far as the fleet file determines it.

use std::collections::BTreeMap;

use flotilla_shared::id::EnvironmentName;
use flotilla_spec::{Application, Selector, Spec};

/// A cluster of an environment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PlacedCluster {
    pub(super) environment: EnvironmentName,
    /// Name; empty: any cluster of the environment, if the fleet file declares none.
    pub(super) cluster: String,
}

/// Returns where it is placed, each with the directory or why there is none. Environments whose placement depends on
/// unknown clusters are added to `unknown`.
pub(super) fn places(
    spec: &Spec,
    application: &Application,
    unknown: &mut Vec<(String, String)>,
) -> BTreeMap<PlacedCluster, Result<String, String>> {
    let mut all = BTreeMap::new();
    for environment in &spec.environments {
        let mut declared = false;
        for (name, cluster) in &spec.clusters {
            if cluster.environment != environment.name {
                continue;
            }
            declared = true;
            if application
                .placement
                .matches(name, &environment.name, &cluster.labels)
            {
                let path = application
                    .path
                    .fill(name, &environment.name, &cluster.labels);
                let place = PlacedCluster {
                    environment: environment.name.clone(),
                    cluster: name.to_string(),
                };
                let path = path.map(String::from).map_err(|error| error.to_string());
                all.insert(place, path);
            }
        }
        let placement = &application.placement;
        let meant =
            placement.environments.is_empty() || placement.environments.contains(&environment.name);
        if declared || !meant || !placement.clusters.is_empty() {
            continue;
        }
        let template = application.path.as_str();
        if placement.selector != Selector::default()
            || template.contains("{cluster}")
            || template.contains("{labels.")
        {
            let why = "the fleet file declares no cluster of this environment, and selector or path \
                       depend on the cluster";
            unknown.push((environment.name.to_string(), why.to_owned()));
            continue;
        }
        let path = template.replace("{environment}", environment.name.as_str());
        let place = PlacedCluster {
            environment: environment.name.clone(),
            cluster: String::new(),
        };
        all.insert(place, Ok(path));
    }
    all
}
