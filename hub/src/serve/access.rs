//! Roles of operators. Pure, except for the lock around the grants.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use flotilla_shared::id::{EnvironmentName, OperatorName};
pub use flotilla_shared::role::Need;
use flotilla_status::HUB_ACTOR;
use jiff::Timestamp;
use parking_lot::RwLock;
use tokio::time::Instant;
use tonic::{Request, Status};

use super::oidc::{Oidc, Person};
use super::peer;
use super::rate::Rates;
use crate::store::{Grant, Role};

/// The grants in force.
#[derive(Default)]
pub struct Access {
    grants: RwLock<BTreeMap<OperatorName, Grant>>,
    /// Held while a grant changes: what allows a change must still hold when it is stored.
    changes: tokio::sync::Mutex<()>,
    oidc: Option<Arc<Oidc>>,
}

impl Access {
    /// Makes it with grants from the store and users of an issuer.
    #[must_use]
    pub fn new(grants: Vec<Grant>, oidc: Option<Arc<Oidc>>) -> Self {
        let grants = grants.into_iter().map(|grant| (grant.name.clone(), grant));
        Self {
            grants: RwLock::new(grants.collect()),
            changes: tokio::sync::Mutex::default(),
            oidc,
        }
    }

    /// Returns the issuer whose users may log in.
    #[must_use]
    pub fn oidc(&self) -> Option<&Arc<Oidc>> {
        self.oidc.as_ref()
    }

    /// Returns all grants.
    #[must_use]
    pub fn grants(&self) -> Vec<Grant> {
        self.grants.read().values().cloned().collect()
    }

    /// Waits for the changes of grants before it, and keeps others waiting until it is dropped. Returns the grants as
    /// they are then.
    ///
    /// # Errors
    /// When the caller is no longer an admin.
    pub async fn change(
        &self,
        caller: &Principal,
    ) -> Result<(tokio::sync::MutexGuard<'_, ()>, Vec<Grant>), Status> {
        let changes = self.changes.lock().await;
        self.check(caller, Need::Administer, None)?;
        Ok((changes, self.grants()))
    }

    /// Puts a grant in force at once.
    pub fn put(&self, grant: Grant) {
        self.grants.write().insert(grant.name.clone(), grant);
    }

    /// Removes a grant at once. The last one stays: without any, everyone would be an admin.
    pub fn remove(&self, operator: &OperatorName) {
        let mut grants = self.grants.write();
        if grants.len() > 1 {
            grants.remove(operator);
        }
    }

    /// Returns the role of an operator with a certificate. As long as no grant exists, every operator with a
    /// certificate from the hub's own host is an admin; after the first grant, only operators with grants have roles.
    #[must_use]
    pub fn role(&self, operator: &OperatorName, environment: Option<&EnvironmentName>) -> Role {
        let given = self.given(operator);
        given.map_or(Role::None, |(role, environments)| {
            role.within(&environments, environment)
        })
    }

    /// Returns an operator's role and its environments; see [`Access::role`].
    fn given(&self, operator: &OperatorName) -> Option<(Role, BTreeSet<EnvironmentName>)> {
        let grants = self.grants.read();
        if grants.is_empty() {
            return Some((Role::Admin, BTreeSet::new()));
        }
        let grant = grants.get(operator)?;
        Some((grant.role, grant.environments.clone()))
    }

    /// Returns the calling operator, if allowed.
    ///
    /// # Errors
    /// When the caller is not an operator, or lacks the right.
    pub fn allow<T>(
        &self,
        request: &Request<T>,
        rates: &Rates,
        need: Need,
        environment: Option<&EnvironmentName>,
    ) -> Result<Principal, Status> {
        let caller = self.caller(request)?;
        if !rates.calls.allow(&caller.to_string(), Instant::now()) {
            return Err(Status::resource_exhausted(format!(
                "{caller} calls too often; slow down"
            )));
        }
        self.check(&caller, need, environment)?;
        Ok(caller)
    }

    /// Returns the caller: by certificate or, where the caller presents none, by an issuer's token.
    fn caller<T>(&self, request: &Request<T>) -> Result<Principal, Status> {
        if peer::is_itself(request) {
            return Ok(Principal::Hub);
        }
        let token = match (&self.oidc, peer::token(request)?) {
            (Some(oidc), Some(token)) => oidc.person(token, Timestamp::now()),
            _ => return peer::operator(request).map(Principal::Operator),
        };
        match token {
            Ok(person) => Ok(Principal::Person(person)),
            Err(error) => Err(Status::unauthenticated(format!("token rejected: {error}"))),
        }
    }

    /// Returns a caller's rights and their environments, for the caller to see.
    #[must_use]
    pub fn rights(&self, caller: &Principal) -> Vec<flotilla_status::Right> {
        let right = |role: Role, environments: &BTreeSet<EnvironmentName>| flotilla_status::Right {
            role: role.as_str().to_owned(),
            environments: environments.iter().map(ToString::to_string).collect(),
        };
        match (caller, &self.oidc) {
            (Principal::Operator(operator), _) => self
                .given(operator)
                .iter()
                .map(|(role, environments)| right(*role, environments))
                .collect(),
            (Principal::Person(person), Some(oidc)) => oidc
                .config()
                .grants_of(person)
                .map(|(role, environments)| right(role, environments))
                .collect(),
            (Principal::Hub | Principal::Person(_), _) => Vec::new(),
        }
    }

    /// Checks whether a caller has a right.
    ///
    /// # Errors
    /// When the right is lacking; the text says which one.
    pub fn check(
        &self,
        caller: &Principal,
        need: Need,
        environment: Option<&EnvironmentName>,
    ) -> Result<(), Status> {
        let role = match (caller, &self.oidc) {
            (Principal::Operator(operator), _) => self.role(operator, environment),
            (Principal::Person(person), Some(oidc)) => oidc.config().role(person, environment),
            (Principal::Person(_), None) => Role::None,
            (Principal::Hub, _) => Role::Viewer,
        };
        if need.is_met_by(role) {
            return Ok(());
        }
        let place = match environment {
            Some(environment) => format!(" in {environment}"),
            None => String::new(),
        };
        let needed = need.role().as_str();
        let way = match caller {
            // Promoters move commits and must not approve them, so a higher role is not the answer.
            Principal::Operator(_) if need == Need::Approve && role == Role::Promoter => {
                "promoters cannot approve: ask an approver or an admin".to_owned()
            }
            Principal::Operator(operator) => {
                let own = self.grants.read().get(operator).cloned();
                let scope = own.map(|own| own.environments).unwrap_or_default();
                // The command replaces all grants of an operator, so it repeats the environments of existing ones.
                let places: String = match environment {
                    Some(place) => scope
                        .iter()
                        .filter(|other| *other != place)
                        .chain([place])
                        .map(|place| format!(" --env {place}"))
                        .collect(),
                    None => String::new(),
                };
                format!(
                    "an admin may run: flotilla operator set {operator} --role {needed}{places}"
                )
            }
            Principal::Hub => "the hub itself can only read".to_owned(),
            Principal::Person(_) => "roles come from the hub's OIDC configuration".to_owned(),
        };
        Err(Status::permission_denied(format!(
            "{caller} is {}{place}; this needs {needed} ({way})",
            role.as_str(),
        )))
    }
}

/// A caller of the Fleet API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// An operator, known by certificate.
    Operator(OperatorName),
    /// A person with an issuer's token.
    Person(Person),
    /// The hub itself, which reads the fleet for its own pages.
    Hub,
}

impl fmt::Display for Principal {
    /// Formats it as in the audit log. No operator's name has a colon.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator(name) => write!(f, "{name}"),
            Self::Person(person) => write!(f, "oidc:{}", person.user),
            Self::Hub => f.write_str(HUB_ACTOR),
        }
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
        let access = Access::new(
            vec![
                grant("ada", Role::Admin, &[]),
                grant("bob", Role::Promoter, &["stage"]),
                grant("eve", Role::None, &[]),
            ],
            None,
        );
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
