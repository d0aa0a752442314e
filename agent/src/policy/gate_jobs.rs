//! The allowed sources of Jobs of gates. Such a Job runs before its commit is assigned, so the hub's request
//! alone must not be enough: without a rule here, none runs.

use std::collections::BTreeSet;

use flotilla_shared::assignment::Assignment;
use flotilla_shared::gate_job::GateJob;
use flotilla_shared::reason::Reason;
use flotilla_shared::revision::{TreePath, is_below};
use serde::Deserialize;

use super::{Policy, Refusal};

/// Rule for gate Jobs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct GateJobRule {
    /// Directories below which they have to lie; none: no such Job runs.
    pub paths: BTreeSet<TreePath>,
}

impl Policy {
    /// Why a Job of a gate does not run here. None: its repository, branch and path are allowed. The
    /// repository has to be listed in this policy, or be that of an accepted application.
    #[must_use]
    pub fn gate_job(&self, job: &GateJob, accepted: Option<&Assignment>) -> Option<Refusal> {
        let application = &job.application;
        if let Some(refusal) = self.origin(application) {
            return Some(refusal);
        }
        let mut assigned = accepted
            .into_iter()
            .flat_map(|assignment| assignment.applications.values());
        let is_known = self.repositories.contains(&application.url)
            || assigned.any(|other| other.url == application.url);
        if !is_known {
            let message = format!(
                "{} is neither in the agent's policy (repositories) nor the repository of an \
                 application that runs here",
                application.url
            );
            return Some(Refusal::new(Reason::RepositoryNotAllowed, message));
        }
        let path = application.path.as_str();
        if self.gate_jobs.paths.is_empty() {
            let message = "the agent's policy allows no gate Jobs: `gateJobs.paths` is empty";
            return Some(Refusal::new(Reason::GateJobNotAllowed, message));
        }
        let mut allowed = self.gate_jobs.paths.iter();
        if allowed.any(|allowed| is_below(path, allowed.as_str())) {
            return None;
        }
        let message =
            format!("path {path:?} is not below one of `gateJobs.paths` in the agent's policy");
        Some(Refusal::new(Reason::GateJobNotAllowed, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::samples::{application, assignment};

    fn policy(text: &str) -> Policy {
        flotilla_yaml::config::from_str("p", text).unwrap()
    }

    fn job(url: &str, branch: &str, path: &str) -> GateJob {
        GateJob {
            gate: "smoke".parse().unwrap(),
            attempt: 0,
            timeout_seconds: 60,
            name: "shop".parse().unwrap(),
            application: application(url, branch, path),
        }
    }

    fn runs(url: &str) -> Assignment {
        Assignment {
            applications: [(
                "shop".parse().unwrap(),
                Box::new(application(url, "prod", "apps/shop")),
            )]
            .into(),
            ..assignment(1, 1)
        }
    }

    #[test]
    fn c01_without_a_word_no_job_of_a_gate_runs() {
        let (known, job) = (
            runs("https://h/r"),
            job("https://h/r", "prod", "gates/smoke"),
        );
        let reason = |text: &str| {
            policy(text)
                .gate_job(&job, Some(&known))
                .map(|no| no.reason)
        };
        let refused = Some(Reason::GateJobNotAllowed);
        assert_eq!(reason("{}"), refused);
        assert_eq!(reason("paths: [gates]"), refused, "that is of applications");
        assert_eq!(reason("gateJobs: {paths: []}"), refused);
        assert_eq!(reason("gateJobs: {paths: [gates]}"), None);
        assert_eq!(reason("gateJobs: {paths: ['']}"), None);
        assert_eq!(reason("gateJobs: {paths: [gates/other]}"), refused);
        assert_eq!(reason("gateJobs: {paths: [gate]}"), refused);
    }

    #[test]
    fn c01_a_hub_can_name_no_repository_of_its_own() {
        let open = policy("gateJobs: {paths: ['']}");
        let reason = |policy: &Policy, url: &str, branch: &str, known: Option<&Assignment>| {
            let refusal = policy.gate_job(&job(url, branch, "gates"), known);
            refusal.map(|refusal| refusal.reason)
        };
        let known = runs("https://h/r");
        let refused = Some(Reason::RepositoryNotAllowed);
        assert_eq!(reason(&open, "https://h/r", "prod", Some(&known)), None);
        assert_eq!(
            reason(&open, "https://h/evil", "prod", Some(&known)),
            refused
        );
        assert_eq!(reason(&open, "https://h/r", "prod", None), refused);
        let named =
            policy("repositories: ['https://h/r']\nbranches: [prod]\ngateJobs: {paths: ['']}");
        assert_eq!(reason(&named, "https://h/r", "prod", None), None);
        assert_eq!(
            reason(
                &named,
                "https://h/evil",
                "prod",
                Some(&runs("https://h/evil"))
            ),
            refused
        );
        let branch = Some(Reason::BranchNotAllowed);
        assert_eq!(reason(&named, "https://h/r", "attic", None), branch);
    }
}
