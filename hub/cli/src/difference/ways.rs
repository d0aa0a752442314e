//! Rendering options of an application for a cluster, as its agent would use them.

use std::collections::BTreeMap;

use flotilla_render::{Facts, MissingFact, Options, Release};
use flotilla_shared::chart::{ChartOptions, Generated};
use flotilla_shared::id::{ApplicationName, ClusterName, NameError};
use flotilla_shared::revision::TreePath;
use flotilla_spec::{Application, Spec, TemplateError};

use super::Key;
use super::placement::PlacedCluster;

/// Name of an undeclared cluster: references to facts stay as they are written.
const UNKNOWN: &str = "${cluster.name}";
/// The same where a valid name is required, as in those of values files.
const ANY: &str = "any-cluster";
/// Seed of generated values: any will do, since both sides have the same.
const SEED: &str = "for comparison";

/// Why an application cannot be rendered for a cluster.
#[derive(Debug, thiserror::Error)]
pub(super) enum WayError {
    #[error(transparent)]
    Name(#[from] NameError),
    #[error(transparent)]
    Values(#[from] TemplateError),
}

/// Everything that determines a render besides the tree, and the options that follow.
pub(super) fn way(
    spec: &Spec,
    (name, application): (&ApplicationName, &Application),
    place: &PlacedCluster,
    path: &str,
) -> Result<(Key, Options), WayError> {
    let declared = spec
        .clusters
        .iter()
        .find(|(name, _)| name.as_str() == place.cluster);
    let none = BTreeMap::new();
    let labels = declared.map_or(&none, |(_, cluster)| &cluster.labels);
    let facts = application.substitute.then(|| {
        let cluster = match place.cluster.as_str() {
            "" => UNKNOWN,
            cluster => cluster,
        };
        (
            cluster.to_owned(),
            place.environment.to_string(),
            labels.clone(),
        )
    });
    let (release, chart) = release((name, application), place, path, labels)?;
    let key = Key {
        path: path.to_owned(),
        renderer: application.renderer as u8,
        chart,
        facts: facts.clone(),
    };
    let options = Options {
        renderer: application.renderer,
        facts: facts.map(|(cluster, environment, labels)| {
            let facts = Facts::of_cluster(&cluster, &environment, &labels);
            // Facts of an undeclared cluster are not known, so a missing one is not an error.
            facts.with_missing(if cluster == UNKNOWN {
                MissingFact::Keep
            } else {
                MissingFact::Refuse
            })
        }),
        release,
        ..Options::default()
    };
    Ok((key, options))
}

/// Inputs of a chart before its first release, with the APIs of a current cluster; and all of them as text.
fn release(
    (name, application): (&ApplicationName, &Application),
    place: &PlacedCluster,
    path: &str,
    labels: &BTreeMap<String, String>,
) -> Result<(Release, String), WayError> {
    let options = match &application.helm {
        None => ChartOptions::default(),
        Some(helm) => {
            let cluster = match place.cluster.as_str() {
                "" => ANY,
                cluster => cluster,
            };
            let cluster: ClusterName = cluster.parse()?;
            let chart: TreePath = path.parse()?;
            helm.fill(&chart, &cluster, &place.environment, labels)?
        }
    };
    let or = |text, other| match text {
        "" => other,
        text => text,
    };
    let name = or(options.release_name.as_str(), name.as_str());
    let namespace = or(application.namespace.as_str(), "default");
    let key = format!("{name} {namespace} {options:?}");
    let release = Release {
        seed: (options.generated == Generated::Derived).then(|| SEED.to_owned()),
        ..Release::declared(name, namespace, &options)
    };
    Ok((release, key))
}
