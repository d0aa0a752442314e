//! Applications of a cluster that do not count, because they were unhealthy there before.

use std::collections::BTreeSet;

use flotilla_shared::id::ApplicationName;

use super::words::listed;

/// Applications that do not count on a cluster of a rollout.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exemptions {
    pub applications: BTreeSet<ApplicationName>,
    /// What the rollout takes away as soon as those can be assigned.
    pub waits: BTreeSet<ApplicationName>,
    /// Whether the rollout brings nothing new for all others, so that this cluster proves nothing.
    pub leaves_nothing: bool,
}

impl Exemptions {
    /// Returns it in words; `place`: here or there.
    pub(super) fn text(&self, place: &str) -> String {
        let applications = listed(&self.applications);
        let text = format!("ignoring {applications}, unhealthy {place} before");
        if self.waits.is_empty() {
            return text;
        }
        let waits = listed(&self.waits);
        format!(
            "{text}, and without the removal of {waits}, which waits until all that is declared \
             {place} can be assigned"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removal_that_waits_for_what_is_left_aside_is_told() {
        let names = |name: &str| -> BTreeSet<ApplicationName> { [name.parse().unwrap()].into() };
        let mut aside = Exemptions {
            applications: names("shop"),
            ..Exemptions::default()
        };
        let text = "ignoring shop, unhealthy here before";
        assert_eq!(aside.text("here"), text);
        aside.waits = names("web");
        let waits = "and without the removal of web, which waits until all that is declared \
                     here can be assigned";
        assert_eq!(aside.text("here"), format!("{text}, {waits}"));
    }
}
