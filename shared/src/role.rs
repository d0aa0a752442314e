//! Roles and their rights. The hub authorizes by this table, and the pages show actions by it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Role of an operator; each includes viewing everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// No rights: the operator was removed.
    None,
    /// View everything, change nothing.
    Viewer,
    /// Approve commits and waves that others promote.
    Approver,
    /// Promote commits; pause, resume, pin and roll back.
    Promoter,
    /// Everything: accept clusters and operators, override gates, approve own promotions.
    Admin,
}

impl Role {
    /// From the least to the most.
    pub const ALL: [Self; 5] = [
        Self::None,
        Self::Viewer,
        Self::Approver,
        Self::Promoter,
        Self::Admin,
    ];

    /// `viewer`: the one spelling, on the command line and in the API's answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Viewer => "viewer",
            Self::Approver => "approver",
            Self::Promoter => "promoter",
            Self::Admin => "admin",
        }
    }

    /// Returns the effective role in an environment of a role that was given for some environments (empty: all).
    #[must_use]
    pub fn within<E: Ord>(self, given: &BTreeSet<E>, environment: Option<&E>) -> Self {
        let everywhere = given.is_empty();
        match environment {
            Some(environment) if everywhere || given.contains(environment) => self,
            // An action that concerns no single environment requires a grant for all environments.
            None if everywhere => self,
            _ => self.min(Self::Viewer),
        }
    }
}

impl std::str::FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| {
                format!("{text:?} is not a role: write viewer, approver, promoter, admin or none")
            })
    }
}

/// Permission that an action requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Need {
    /// View the fleet.
    See,
    /// To have agents work something out for it: more than a look, since each of them fetches, renders and
    /// asks its API server, whose webhooks hear of it.
    Plan,
    /// Approve a commit.
    Approve,
    /// Promote, pause and pin.
    Promote,
    /// Accept clusters and operators, and override gates.
    Administer,
}

impl Need {
    /// Returns whether a role is sufficient. Promoting and approving a commit takes two people, unless one of them is
    /// an admin.
    #[must_use]
    pub fn is_met_by(self, role: Role) -> bool {
        match self {
            Self::See => role != Role::None,
            Self::Plan => matches!(role, Role::Approver | Role::Promoter | Role::Admin),
            Self::Approve => matches!(role, Role::Approver | Role::Admin),
            Self::Promote => matches!(role, Role::Promoter | Role::Admin),
            Self::Administer => role == Role::Admin,
        }
    }

    /// Returns the lowest role that is sufficient.
    #[must_use]
    pub fn role(self) -> Role {
        match self {
            Self::See => Role::Viewer,
            Self::Plan | Self::Approve => Role::Approver,
            Self::Promote => Role::Promoter,
            Self::Administer => Role::Admin,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Need, Role};

    const ALL: [Need; 5] = [
        Need::See,
        Need::Plan,
        Need::Approve,
        Need::Promote,
        Need::Administer,
    ];

    #[test]
    fn who_brings_commits_does_not_approve_them() {
        let may = |role| ALL.map(|need| need.is_met_by(role));
        assert_eq!(may(Role::None), [false; 5]);
        assert_eq!(may(Role::Viewer), [true, false, false, false, false]);
        assert_eq!(may(Role::Approver), [true, true, true, false, false]);
        assert_eq!(may(Role::Promoter), [true, true, false, true, false]);
        assert_eq!(may(Role::Admin), [true; 5]);
        for need in ALL {
            assert!(need.is_met_by(need.role()), "{need:?}");
        }
    }

    #[test]
    fn a_role_is_worth_something_where_it_was_given() {
        let given = BTreeSet::from(["stage"]);
        assert_eq!(Role::Admin.within(&given, Some(&"stage")), Role::Admin);
        assert_eq!(Role::Admin.within(&given, Some(&"prod")), Role::Viewer);
        assert_eq!(Role::Admin.within(&given, None), Role::Viewer);
        assert_eq!(Role::None.within(&given, Some(&"prod")), Role::None);
        assert_eq!(
            Role::Promoter.within(&BTreeSet::new(), None::<&&str>),
            Role::Promoter
        );
    }
}
