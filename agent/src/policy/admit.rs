//! Decides whether an assignment is accepted. Pure.

use flotilla_shared::assignment::{Assignment, AssignmentRef};
use flotilla_shared::id::ClusterName;
use flotilla_shared::problem::Problem;
use flotilla_shared::reason::Reason;
use flotilla_shared::revision::{BranchName, RepositoryUrl, TreePath, is_below};
use flotilla_shared::wire::{DecodedAssignment, features};

use super::Policy;

/// Largest step from one epoch to the next.
const MAX_EPOCH_STEP: u64 = 1000;

/// Reason why an assignment, or one application of it, is refused.
pub type Refusal = Problem;

/// Returns the features that an assignment needs and this agent does not support.
pub fn unknown_features(assignment: &Assignment) -> impl Iterator<Item = &str> {
    let required = assignment.required_features.iter().map(String::as_str);
    required.filter(|feature| features().all(|known| known != *feature))
}

/// Checks an assignment as a whole against the accepted one (V4, V7) and against this cluster's name.
///
/// # Errors
/// Why it is refused; the accepted one stays in force.
pub fn admit(
    offered: &DecodedAssignment,
    accepted: AssignmentRef,
    cluster: &ClusterName,
) -> Result<(), Refusal> {
    let next = offered.reference;
    if offered.assignment.cluster != *cluster {
        return Err(Refusal::new(
            Reason::WrongCluster,
            format!(
                "it is for cluster {}, but this is cluster {cluster}",
                offered.assignment.cluster
            ),
        ));
    }
    if next.place() < accepted.place() {
        return Err(Refusal::new(
            Reason::StaleAssignment,
            format!(
                "epoch {} generation {} is older than the accepted epoch {} generation {}",
                next.epoch, next.generation, accepted.epoch, accepted.generation
            ),
        ));
    }
    if next.place() == accepted.place() && next.digest != accepted.digest {
        return Err(Refusal::new(
            Reason::ConflictingAssignment,
            format!(
                "generation {} was accepted with different content",
                next.generation
            ),
        ));
    }
    // Without an accepted epoch, any one is taken as the first. Later ones grow by one per restored
    // backup; a jump far ahead would shut out every honest hub for good.
    let is_first = accepted.epoch.0 == 0;
    if !is_first && next.epoch.0.saturating_sub(accepted.epoch.0) > MAX_EPOCH_STEP {
        return Err(Refusal::new(
            Reason::EpochJump,
            format!(
                "epoch {} is more than {MAX_EPOCH_STEP} after the accepted epoch {}",
                next.epoch, accepted.epoch
            ),
        ));
    }
    let unknown: Vec<&str> = unknown_features(&offered.assignment).collect();
    if !unknown.is_empty() {
        return Err(Refusal::new(
            Reason::UpgradeRequired,
            format!(
                "it needs {}, which this agent does not support: upgrade the agent",
                unknown.join(", ")
            ),
        ));
    }
    Ok(())
}

impl Policy {
    /// Whether an application's source is allowed here (V1, V8).
    #[must_use]
    pub fn source(
        &self,
        application: &flotilla_shared::assignment::ApplicationAssignment,
    ) -> Option<Refusal> {
        if let Some(refusal) = self.origin(application) {
            return Some(refusal);
        }
        // A values file is content in the same way as the chart.
        let chart = application.helm.as_deref();
        let values = chart.into_iter().flat_map(|chart| &chart.values_files);
        let paths = std::iter::once(&application.path).chain(values.map(|file| &file.path));
        self.paths(paths)
    }

    /// Whether all of these paths are allowed.
    pub(crate) fn paths<'a>(
        &self,
        mut paths: impl Iterator<Item = &'a TreePath>,
    ) -> Option<Refusal> {
        let outside = paths.find(|path| !self.is_path_allowed(path.as_str()));
        outside.map(|path| {
            let path = path.as_str();
            let message = format!("path {path:?} is not below a path in the agent's policy");
            Refusal::new(Reason::PathNotAllowed, message)
        })
    }

    /// Whether its repository and branch are.
    pub(super) fn origin(
        &self,
        application: &flotilla_shared::assignment::ApplicationAssignment,
    ) -> Option<Refusal> {
        self.url(&application.url)
            .or_else(|| self.branch(&application.revision.branch))
    }

    /// Whether a branch is.
    pub(crate) fn branch(&self, branch: &BranchName) -> Option<Refusal> {
        if !self.branches.is_empty() && !self.branches.contains(branch) {
            let message = format!("branch {branch} is not in the agent's policy");
            return Some(Refusal::new(Reason::BranchNotAllowed, message));
        }
        None
    }

    fn is_path_allowed(&self, path: &str) -> bool {
        let mut all = self.paths.iter();
        self.paths.is_empty() || all.any(|allowed| is_below(path, allowed.as_str()))
    }

    /// Whether a repository is.
    pub(crate) fn url(&self, url: &RepositoryUrl) -> Option<Refusal> {
        let refuse = |message: String| Some(Refusal::new(Reason::RepositoryNotAllowed, message));
        if !self.repositories.is_empty() {
            return match self.repositories.contains(url) {
                true => None,
                false => refuse(format!("{url} is not in the agent's policy")),
            };
        }
        match url.scheme() {
            "https" | "ssh" => None,
            "http" if self.allow_http || url.is_loopback() => None,
            "http" => refuse(format!(
                "{url}: plain http is not allowed by the agent's policy (repositories, allowHttp)"
            )),
            "file" if self.allow_file => None,
            _ => refuse(format!(
                "{url}: file URLs are not allowed by the agent's policy (repositories, allowFile)"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use flotilla_shared::digest::Digest;
    use flotilla_shared::id::{Epoch, Generation};
    use flotilla_shared::wire::{decode_assignment, encode_assignment};

    use super::*;
    use crate::policy::samples::{application, assignment};

    fn offered(epoch: u64, generation: u64, features: &[&str]) -> DecodedAssignment {
        decode_assignment(&encode_assignment(&Assignment {
            required_features: features.iter().map(|f| (*f).to_owned()).collect(),
            ..assignment(epoch, generation)
        }))
        .unwrap()
    }

    fn reference(epoch: u64, generation: u64) -> AssignmentRef {
        AssignmentRef {
            epoch: Epoch(epoch),
            generation: Generation(generation),
            digest: Digest::of(b"other"),
        }
    }

    #[test]
    fn c06_only_newer_worlds_are_taken() {
        let cluster = "a".parse().unwrap();
        let verdict = |offer: &DecodedAssignment, accepted| {
            admit(offer, accepted, &cluster).map_err(|refusal| refusal.reason)
        };
        let offer = offered(2, 5, &[]);
        assert_eq!(verdict(&offer, AssignmentRef::default()), Ok(()));
        assert_eq!(verdict(&offer, reference(2, 4)), Ok(()));
        assert_eq!(verdict(&offer, reference(1, 99)), Ok(()), "a new epoch");
        assert_eq!(verdict(&offer, offer.reference), Ok(()), "the same again");
        assert_eq!(
            verdict(&offer, reference(2, 6)),
            Err(Reason::StaleAssignment)
        );
        assert_eq!(
            verdict(&offer, reference(3, 1)),
            Err(Reason::StaleAssignment)
        );
        assert_eq!(
            verdict(&offer, reference(2, 5)),
            Err(Reason::ConflictingAssignment)
        );
        let other = "b".parse().unwrap();
        assert_eq!(
            admit(&offer, AssignmentRef::default(), &other).map_err(|refusal| refusal.reason),
            Err(Reason::WrongCluster)
        );
        // A hub that is far ahead would shut out every honest one after it.
        let far = |step: u64| offered(7 + step, 1, &[]);
        assert_eq!(verdict(&far(1000), reference(7, 5)), Ok(()));
        assert_eq!(verdict(&far(1001), reference(7, 5)), Err(Reason::EpochJump));
        let first = AssignmentRef::default();
        assert_eq!(verdict(&far(1_000_000), first), Ok(()), "from nothing");
        let known = offered(2, 5, &features().collect::<Vec<_>>());
        assert_eq!(verdict(&known, first), Ok(()));
        let future = offered(2, 5, &["time-travel"]);
        assert_eq!(
            verdict(&future, AssignmentRef::default()),
            Err(Reason::UpgradeRequired)
        );
    }

    #[test]
    fn c01_c08_sources_outside_the_policy_are_refused() {
        let policy = Policy {
            repositories: ["https://git.example.com/fleet.git".parse().unwrap()].into(),
            branches: ["prod".parse().unwrap()].into(),
            paths: ["apps".parse().unwrap()].into(),
            ..Policy::default()
        };
        let good = "https://git.example.com/fleet.git";
        let reason = |url: &str, branch: &str, path: &str| {
            policy
                .source(&application(url, branch, path))
                .map(|refusal| refusal.reason)
        };
        assert_eq!(reason(good, "prod", "apps/web"), None);
        assert_eq!(
            reason("HTTPS://GIT.example.com/fleet.git/", "prod", "apps"),
            None
        );
        let other = "https://git.example.com/fleet2.git";
        assert_eq!(
            reason(other, "prod", "apps"),
            Some(Reason::RepositoryNotAllowed)
        );
        assert_eq!(reason(good, "dev", "apps"), Some(Reason::BranchNotAllowed));
        assert_eq!(
            reason(good, "prod", "appsecret"),
            Some(Reason::PathNotAllowed)
        );
        let default = Policy::default();
        for (url, allowed) in [
            ("https://h/r", true),
            ("http://127.0.0.1:80/r", true),
            ("http://[::1]/r", true),
            ("http://127.0.0.1.h/r", false),
            ("http://h/r", false),
            ("file:///r", false),
        ] {
            let refusal = default.source(&application(url, "prod", ""));
            assert_eq!(refusal.is_none(), allowed, "{url}");
        }
        let [http, file] = ["http://h/r", "file:///r"];
        let told = |policy: &Policy, url: &str| {
            let refusal = policy.source(&application(url, "prod", ""));
            refusal.map(|refusal| refusal.message).unwrap_or_default()
        };
        assert!(told(&default, http).contains("allowHttp"));
        assert!(told(&default, file).contains("allowFile"));
        let allow_http = Policy {
            allow_http: true,
            ..Policy::default()
        };
        assert_eq!(told(&allow_http, http), "");
        assert!(told(&allow_http, file).contains("allowFile"));
        let allow_file = Policy {
            allow_file: true,
            ..Policy::default()
        };
        assert_eq!(told(&allow_file, file), "");
        assert!(told(&allow_file, http).contains("allowHttp"));
    }
}
