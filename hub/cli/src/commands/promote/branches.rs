//! The branches that a promotion into an environment reads.

use flotilla_status::{Branch, Environment};

/// Returns the branches of the environment and of the one before it, each with its environment: for the given
/// repository, else for all that the environment uses, since others are not promoted.
pub(super) fn concerned<'e>(
    environments: &'e [Environment],
    name: &str,
    only: Option<&str>,
) -> Vec<(&'e Environment, &'e Branch)> {
    let mut all = environments.iter();
    let Some(target) = all.find(|environment| environment.name == name) else {
        return Vec::new();
    };
    let is_meant = |branch: &Branch| match only {
        Some(only) => branch.repository == only,
        None => target.uses(&branch.repository),
    };
    let both = environments.iter().filter(|environment| {
        environment.name == target.name || environment.name == target.promotes_from
    });
    let branches = both.flat_map(|environment| {
        let own = environment.branches.iter();
        own.map(move |branch| (environment, branch))
    });
    branches.filter(|(_, branch)| is_meant(branch)).collect()
}

#[cfg(test)]
mod tests {
    use flotilla_proto::v1;

    use super::*;

    fn environment(name: &str, from: &str, branches: &[(&str, bool)]) -> Environment {
        let branches = branches.iter().map(|(repository, used)| v1::BranchStatus {
            revision: Some(v1::Revision {
                repository: (*repository).to_owned(),
                ..v1::Revision::default()
            }),
            used: Some(*used),
            ..v1::BranchStatus::default()
        });
        Environment::from(&v1::EnvironmentStatus {
            name: name.to_owned(),
            promotes_from: from.to_owned(),
            branches: branches.collect(),
            ..v1::EnvironmentStatus::default()
        })
    }

    #[test]
    fn what_the_target_uses_counts_in_both_environments() {
        let all = [
            environment("dev", "", &[("fleet", true), ("new", false), ("lab", true)]),
            environment(
                "prod",
                "dev",
                &[("fleet", true), ("new", true), ("lab", false)],
            ),
            environment("other", "prod", &[("fleet", true)]),
        ];
        let named = |name: &str, only: Option<&str>| -> Vec<String> {
            let branches = concerned(&all, name, only).into_iter();
            branches
                .map(|(environment, branch)| format!("{}/{}", environment.name, branch.repository))
                .collect()
        };
        assert_eq!(
            named("prod", None),
            ["dev/fleet", "dev/new", "prod/fleet", "prod/new"]
        );
        // An explicit repository is used in any case.
        assert_eq!(named("prod", Some("lab")), ["dev/lab", "prod/lab"]);
        assert!(named("missing", None).is_empty());
    }
}
