//! Which operator may do what, where. Pure but for the lock around the grants.

use std::collections::BTreeMap;

use flotilla_shared::id::{EnvironmentName, OperatorName};
use flotilla_shared::identity::Identity;
use parking_lot::RwLock;
use tokio::time::Instant;
use tonic::{Request, Status};

use super::peer;
use super::rate::Rates;
use crate::store::{Grant, Role};

/// What a method asks of whoever calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Need {
    /// To look.
    See,
    /// To stand for a commit.
    Approve,
    /// To move, stop and pin.
    Promote,
    /// To let clusters and operators in, and to overrule gates.
    Administer,
}

impl Need {
    /// Whether a role is enough. Who brings commits does not approve them: that takes two people,
    /// unless one of them may do everything.
    #[must_use]
    pub fn is_met_by(self, role: Role) -> bool {
        match self {
            Self::See => role != Role::None,
            Self::Approve => matches!(role, Role::Approver | Role::Admin),
            Self::Promote => matches!(role, Role::Promoter | Role::Admin),
            Self::Administer => role == Role::Admin,
        }
    }

    fn role(self) -> Role {
        match self {
            Self::See => Role::Viewer,
            Self::Approve => Role::Approver,
            Self::Promote => Role::Promoter,
            Self::Administer => Role::Admin,
        }
    }
}

/// The grants in force.
#[derive(Debug, Default)]
pub struct Access(RwLock<BTreeMap<OperatorName, Grant>>);

impl Access {
    /// With grants from the store.
    #[must_use]
    pub fn new(grants: Vec<Grant>) -> Self {
        let grants = grants.into_iter().map(|grant| (grant.name.clone(), grant));
        Self(RwLock::new(grants.collect()))
    }

    /// All of them.
    #[must_use]
    pub fn grants(&self) -> Vec<Grant> {
        self.0.read().values().cloned().collect()
    }

    /// Takes one into force, at once.
    pub fn put(&self, grant: Grant) {
        self.0.write().insert(grant.name.clone(), grant);
    }

    /// What an operator may do. As long as nothing was granted to anyone, everyone whom the hub's own
    /// host gave a certificate may do everything; after the first grant, only who is named.
    #[must_use]
    pub fn role(&self, operator: &OperatorName, environment: Option<&EnvironmentName>) -> Role {
        let grants = self.0.read();
        if grants.is_empty() {
            return Role::Admin;
        }
        let Some(grant) = grants.get(operator) else {
            return Role::None;
        };
        let everywhere = grant.environments.is_empty();
        match environment {
            Some(environment) if everywhere || grant.environments.contains(environment) => {
                grant.role
            }
            // What concerns no one environment takes a grant for all of them.
            None if everywhere => grant.role,
            _ => grant.role.min(Role::Viewer),
        }
    }

    /// The calling operator, if allowed.
    ///
    /// # Errors
    /// When the caller is no operator, or not one who may.
    pub fn allow<T>(
        &self,
        request: &Request<T>,
        rates: &Rates,
        need: Need,
        environment: Option<&EnvironmentName>,
    ) -> Result<OperatorName, Status> {
        let operator = peer::operator(request)?;
        if !rates
            .calls
            .allow(Identity::Operator(operator.clone()), Instant::now())
        {
            return Err(Status::resource_exhausted(format!(
                "{operator} calls too often; slow down"
            )));
        }
        self.check(&operator, need, environment)?;
        Ok(operator)
    }

    /// Whether an operator may.
    ///
    /// # Errors
    /// When not; the text says what is lacking.
    pub fn check(
        &self,
        operator: &OperatorName,
        need: Need,
        environment: Option<&EnvironmentName>,
    ) -> Result<(), Status> {
        let role = self.role(operator, environment);
        if need.is_met_by(role) {
            return Ok(());
        }
        let place = match environment {
            Some(environment) => format!(" in {environment}"),
            None => String::new(),
        };
        Err(Status::permission_denied(format!(
            "{operator} is {}{place}; this needs {} (an admin may run: flotilla operator set {operator} \
             --role {})",
            role.as_str(),
            need.role().as_str(),
            need.role().as_str()
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(name: &str, role: Role, environments: &[&str]) -> Grant {
        let name: OperatorName = name.parse().unwrap();
        Grant {
            role,
            environments: environments.iter().map(|e| e.parse().unwrap()).collect(),
            ..Grant::admin(&name, jiff::Timestamp::UNIX_EPOCH)
        }
    }

    #[test]
    fn e13_roles_hold_where_they_were_given_and_nowhere_else() {
        let access = Access::new(vec![
            grant("ada", Role::Admin, &[]),
            grant("bob", Role::Promoter, &["stage"]),
            grant("eve", Role::None, &[]),
        ]);
        let role = |name: &str, environment: Option<&str>| {
            let environment = environment.map(|e| e.parse().unwrap());
            access.role(&name.parse().unwrap(), environment.as_ref())
        };
        assert_eq!(role("ada", Some("prod")), Role::Admin);
        assert_eq!(role("bob", Some("stage")), Role::Promoter);
        assert_eq!(role("bob", Some("prod")), Role::Viewer);
        assert_eq!(role("bob", None), Role::Viewer);
        assert_eq!(role("eve", Some("prod")), Role::None);
        assert_eq!(role("who", None), Role::None);
        let fresh = Access::default();
        assert_eq!(fresh.role(&"ada".parse().unwrap(), None), Role::Admin);
    }
}
