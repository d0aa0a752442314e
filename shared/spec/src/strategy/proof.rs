//! Proof as a gate: the environment before was healthy at exactly the commit that waits at the gate.

use std::time::Duration;

use flotilla_shared::id::EnvironmentName;
use serde::Deserialize;

use super::Amount;
use super::entry::{AmountEntry, amount};
use super::problems::{Problems, time};
use crate::{Environment, Spec};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ProofEntry {
    #[serde(default)]
    soak: Option<String>,
    #[serde(default)]
    offline: Option<AmountEntry>,
}

impl ProofEntry {
    /// Reads for how long it has to be healthy, and how many of its clusters may be offline; errors are added to
    /// `problems`.
    pub(super) fn read(&self, problems: &mut Problems) -> (Duration, Option<Amount>) {
        let soak = time(self.soak.as_ref(), "proof.soak", Duration::ZERO, problems);
        let offline = self.offline.as_ref();
        let offline =
            offline.map(|entry| amount(Some(entry), "proof.offline", Amount::Count(0), problems));
        (soak, offline)
    }
}

/// Checks that there is an environment before.
pub(super) fn misfits(environment: &Environment, problems: &mut Problems) {
    if environment.gates.proof.is_some() && environment.promotes_from.is_none() {
        let message = "it needs promotesFrom: no environment before this one can prove anything";
        problems.push(("proof".to_owned(), message.to_owned()));
    }
}

/// Returns applications that the environment before does not run.
pub(super) fn never_open(environment: &Environment, spec: &Spec, problems: &mut Problems) {
    let (Some(_), Some(from)) = (environment.gates.proof, &environment.promotes_from) else {
        return;
    };
    for (name, application) in &spec.applications {
        let placed = &application.placement.environments;
        let is_in = |name: &EnvironmentName| placed.is_empty() || placed.contains(name);
        if is_in(&environment.name) && !is_in(from) {
            let message = format!(
                "application {name} is not placed in {from}, so nothing there can prove its \
                 commits; place it there, or remove the gate"
            );
            problems.push(("proof".to_owned(), message));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::places;
    use crate::parse;

    #[test]
    fn it_takes_an_environment_before() {
        let text = "apiVersion: flotilla.dev/v1alpha1\nkind: Fleet\n\
                    environments: [{name: p, branch: p, gates: {proof: {soak: 1m}}}]\n";
        let errors = parse("f", text).unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:?}");
        let error = errors[0].to_string();
        assert!(error.contains("environments[0].gates.proof"), "{error}");
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
        assert_eq!(places(&text("p")), ["environment p, gates.proof"]);
        assert!(places(&text("s, p")).is_empty());
        assert!(places(&text("")).is_empty());
    }
}
