//! Actions of a browser. Force, abort, remove, unlock, operators and tokens are left out: for those the page shows the
//! command line.

use std::collections::BTreeMap;

use flotilla_shared::duration;
use flotilla_shared::revision::Commit;
use flotilla_shared::role::{Need, Role};
use flotilla_status::{Hub, Rollout};

/// Longest field of a form.
const MAX_FIELD: usize = 512;
const MAX_REASON: usize = 1024;
/// Longest list of commits.
const MAX_COMMITS: usize = 4096;

/// An action that a browser can request; rollbacks, overrides and the like need the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Approves a commit or a wave.
    Approve,
    /// Pauses: starts no further clusters.
    Pause,
    /// Resumes a paused environment or a suspended cluster.
    Resume,
    /// Retries a halted rollout.
    Retry,
    /// Reads an environment's branches now.
    Refresh,
    /// Pins a cluster or an environment to its current commits.
    Pin,
    /// Removes the pin.
    Unpin,
    /// Accepts a pending cluster.
    Accept,
    /// Asks an environment's agents what a commit would change.
    Plan,
    /// Has the hub move an environment's branches.
    Promote,
}

impl Action {
    const ALL: [(Self, &'static str); 10] = [
        (Self::Approve, "approve"),
        (Self::Pause, "pause"),
        (Self::Resume, "resume"),
        (Self::Retry, "retry"),
        (Self::Refresh, "refresh"),
        (Self::Pin, "pin"),
        (Self::Unpin, "unpin"),
        (Self::Accept, "accept"),
        (Self::Plan, "plan"),
        (Self::Promote, "promote"),
    ];

    /// Name of the action in a form.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        let found = Self::ALL.iter().find(|(action, _)| *action == self);
        found.map_or("", |(_, word)| word)
    }

    fn parse(word: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(_, name)| *name == word);
        found.map(|(action, _)| *action)
    }

    /// Whether it changes more than one cluster at once, and so requires a reason.
    #[must_use]
    pub fn takes_reason(self) -> bool {
        matches!(self, Self::Pause | Self::Pin | Self::Promote)
    }

    /// The right that it needs. The hub checks it again; here it only decides which buttons are drawn.
    #[must_use]
    pub fn needs(self) -> Need {
        match self {
            Self::Refresh => Need::See,
            Self::Approve => Need::Approve,
            Self::Plan => Need::Plan,
            Self::Pause | Self::Resume | Self::Retry | Self::Pin | Self::Unpin | Self::Promote => {
                Need::Promote
            }
            Self::Accept => Need::Administer,
        }
    }
}

/// Whether the caller may do something in an environment (empty: without a particular environment), by the hub's own
/// table.
#[must_use]
pub fn may(hub: &Hub, action: Action, environment: &str) -> bool {
    let place = (!environment.is_empty()).then_some(environment);
    let role = hub.rights.iter().map(|right| {
        // A role of a newer hub, which is unknown here, grants nothing.
        let role: Role = right.role.parse().unwrap_or(Role::None);
        let given = right.environments.iter().map(String::as_str).collect();
        role.within(&given, place.as_ref())
    });
    action.needs().is_met_by(role.max().unwrap_or(Role::None))
}

/// A button, with the content of its form.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Offer {
    /// Name of the action, see [`Action::as_str`].
    pub action: &'static str,
    /// Text of the button.
    pub label: &'static str,
    /// An environment's name; empty: only a cluster is named.
    pub environment: String,
    /// Name of the cluster; empty: it concerns the environment.
    pub cluster: String,
    /// The wave, for approvals.
    pub wave: String,
    /// The commits, for approvals, plans and promotions: `repository@commit`, separated by one blank.
    pub commits: String,
    /// The branch, for plans.
    pub branch: String,
    /// Fingerprint of the pending key, for acceptances.
    pub fingerprint: String,
    /// Number of clusters concerned; 0: not counted.
    pub clusters: u32,
    /// Whether the form has a field for the reason.
    pub reason: bool,
    /// Whether the form has a field for the expiry.
    pub expires: bool,
}

impl Offer {
    /// Makes a button for an environment.
    #[must_use]
    pub fn environment(action: Action, label: &'static str, environment: &str) -> Self {
        Self {
            action: action.as_str(),
            label,
            environment: environment.to_owned(),
            reason: action.takes_reason(),
            expires: action == Action::Pin,
            ..Self::default()
        }
    }

    /// Makes a button for a cluster.
    #[must_use]
    pub fn cluster(action: Action, label: &'static str, cluster: &str) -> Self {
        Self {
            cluster: cluster.to_owned(),
            ..Self::environment(action, label, "")
        }
    }

    /// Makes the approval of the new commits of a rollout; `wave` is empty for an approval of the commits themselves.
    #[must_use]
    pub fn approval(rollout: &Rollout, wave: &str, label: &'static str) -> Self {
        let new = rollout
            .target
            .iter()
            .filter(|commit| !rollout.from.contains(commit));
        let commits: Vec<String> = new
            .map(|commit| format!("{}@{}", commit.repository, commit.commit))
            .collect();
        Self {
            wave: wave.to_owned(),
            commits: commits.join(" "),
            ..Self::environment(Action::Approve, label, &rollout.environment)
        }
    }

    /// Whether all its commits are of this repository.
    #[must_use]
    pub fn is_of(&self, repository: &str) -> bool {
        let rest = self.commits.strip_prefix(repository);
        rest.is_some_and(|rest| rest.starts_with('@') && !rest.contains(' '))
    }

    /// Whether the caller has the right.
    #[must_use]
    pub fn is_for(&self, hub: &Hub) -> bool {
        Action::parse(self.action).is_some_and(|action| may(hub, action, &self.environment))
    }
}

/// A submitted form, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// The form's `action`; an unknown name is rejected.
    pub action: Action,
    /// An environment's name; empty only where `cluster` is set.
    pub environment: String,
    /// A cluster's name; empty: it concerns the environment.
    pub cluster: String,
    /// The commits, each with its repository, for approvals, plans and promotions.
    pub commits: Vec<(String, String)>,
    /// The branch, for plans.
    pub branch: String,
    /// For approvals: only this wave; empty: the commits as a whole.
    pub wave: String,
    /// At most 1,024 bytes; never empty where [`Action::takes_reason`].
    pub reason: String,
    /// Expiry of a pin, seconds.
    pub expires: u32,
    /// Fingerprint of the accepted key.
    pub fingerprint: String,
}

/// Error of a form, worded for the person who submitted it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// A field is too long.
    #[error("{name} is longer than {most} characters")]
    TooLong {
        /// The field's name.
        name: &'static str,
        /// Its limit, bytes.
        most: usize,
    },
    /// The action needs the command line, or does not exist.
    #[error("{0:?} cannot be done from a browser")]
    Action(String),
    /// Neither an environment nor a cluster is given.
    #[error("name an environment or a cluster")]
    Nowhere,
    /// It changes many clusters, and no reason is given.
    #[error("say why: {} takes a reason", .0.as_str())]
    NoReason(Action),
    /// It concerns commits, and none is given.
    #[error("{} names the commits that it is about", .0.as_str())]
    NoCommits(Action),
    /// An acceptance needs the fingerprint of the key.
    #[error("a cluster is accepted by the fingerprint of its key")]
    NoFingerprint,
    /// A commit is not of the form `repository@commit`.
    #[error("{0:?} is not a repository and a whole commit id")]
    Commit(String),
    /// The expiry is not a number with a unit.
    #[error("{0:?} is not a duration: write hours or days, such as 2h or 3d")]
    Expiry(String),
}

/// Reads a form.
///
/// # Errors
/// See [`FormError`].
pub fn parse(form: &BTreeMap<String, String>) -> Result<Act, FormError> {
    let field = |name: &'static str| -> Result<String, FormError> {
        let value = form.get(name).map(|text| text.trim()).unwrap_or_default();
        let most = match name {
            "reason" => MAX_REASON,
            "commits" => MAX_COMMITS,
            _ => MAX_FIELD,
        };
        if value.len() > most {
            return Err(FormError::TooLong { name, most });
        }
        Ok(flotilla_status::text(value))
    };
    let word = field("action")?;
    let action = Action::parse(&word).ok_or(FormError::Action(word))?;
    let act = Act {
        action,
        environment: field("environment")?,
        cluster: field("cluster")?,
        commits: commits(&field("commits")?)?,
        branch: field("branch")?,
        wave: field("wave")?,
        reason: field("reason")?,
        expires: expiry(&field("expires")?)?,
        fingerprint: field("fingerprint")?,
    };
    if act.environment.is_empty() && act.cluster.is_empty() {
        return Err(FormError::Nowhere);
    }
    if action.takes_reason() && act.reason.is_empty() {
        return Err(FormError::NoReason(action));
    }
    let names_commits = matches!(action, Action::Approve | Action::Plan | Action::Promote);
    if names_commits && act.commits.is_empty() {
        return Err(FormError::NoCommits(action));
    }
    if action == Action::Accept && act.fingerprint.is_empty() {
        return Err(FormError::NoFingerprint);
    }
    Ok(act)
}

/// Reads commits of the form `repository@commit`, separated by one blank.
fn commits(text: &str) -> Result<Vec<(String, String)>, FormError> {
    let parts = text.split_whitespace().map(|part| {
        let wrong = || FormError::Commit(part.to_owned());
        let (repository, commit) = part.split_once('@').ok_or_else(wrong)?;
        let commit: Commit = commit.parse().map_err(|_| wrong())?;
        Ok((repository.to_owned(), commit.to_string()))
    });
    parts.collect()
}

/// Reads a duration with its unit, such as `2h` or `3d`; empty: no expiry.
fn expiry(text: &str) -> Result<u32, FormError> {
    if text.is_empty() {
        return Ok(0);
    }
    let time = duration::read(text).ok();
    let seconds = time.and_then(|time| u32::try_from(time.as_secs()).ok());
    seconds
        .filter(|seconds| *seconds > 0)
        .ok_or_else(|| FormError::Expiry(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use flotilla_proto::v1;
    use flotilla_status::Hub;

    use super::{Action, may, parse};

    fn form(fields: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        fields.iter().map(owned).collect()
    }

    fn with_role(role: &str, environments: &[&str]) -> Hub {
        Hub::from(&v1::GetHubResponse {
            rights: vec![v1::OperatorRight {
                role: role.to_owned(),
                environments: environments.iter().map(|name| (*name).to_owned()).collect(),
            }],
            ..v1::GetHubResponse::default()
        })
    }

    #[test]
    fn what_takes_an_admin_at_a_terminal_is_no_form() {
        for word in [
            "abort", "override", "remove", "unlock", "rollback", "", "APPROVE",
        ] {
            let act = parse(&form(&[("action", word), ("environment", "prod")]));
            assert!(act.is_err(), "{word}");
        }
    }

    #[test]
    fn what_changes_many_takes_a_reason() {
        for word in ["pause", "pin", "promote"] {
            let fields = [("action", word), ("environment", "prod"), ("reason", " ")];
            let error = parse(&form(&fields)).unwrap_err();
            assert!(error.to_string().contains("why"), "{error}");
        }
        let resumed = parse(&form(&[("action", "resume"), ("environment", "prod")])).unwrap();
        assert_eq!(resumed.action, Action::Resume);
    }

    #[test]
    fn an_approval_stands_for_commits() {
        let commit = "3f2a9c1d".repeat(5);
        let read = |commits: &str| {
            let fields = [
                ("action", "approve"),
                ("environment", "prod"),
                ("wave", "rest"),
                ("commits", commits),
            ];
            parse(&form(&fields)).map(|act| act.commits)
        };
        let two = read(&format!("fleet@{commit} apps@{commit}")).unwrap();
        assert_eq!(two.len(), 2);
        assert_eq!(two[1], ("apps".to_owned(), commit));
        for text in ["", "fleet", "fleet@3f2a", "@", "fleet@main"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_end_is_minutes_hours_or_days() {
        let ends = |text: &str| {
            let fields = [
                ("action", "pin"),
                ("cluster", "a"),
                ("reason", "x"),
                ("expires", text),
            ];
            parse(&form(&fields)).map(|act| act.expires)
        };
        assert_eq!(ends("2h"), Ok(7200));
        assert_eq!(ends("1h30m"), Ok(5400));
        assert_eq!(ends(""), Ok(0));
        for text in ["h", "2", "-1h", "0d", "300ms", "99999999d", "2é"] {
            assert!(ends(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_role_counts_where_it_holds() {
        let hub = with_role("promoter", &["stage"]);
        assert!(may(&hub, Action::Pause, "stage"));
        assert!(!may(&hub, Action::Pause, "prod"));
        assert!(!may(&hub, Action::Accept, "stage"));
        assert!(!may(&with_role("viewer", &[]), Action::Approve, "prod"));
        assert!(
            !may(&with_role("promoter", &[]), Action::Approve, "prod"),
            "who brings commits does not approve them"
        );
        assert!(may(&with_role("approver", &[]), Action::Approve, "prod"));
        assert!(!may(&with_role("approver", &[]), Action::Pause, "prod"));
        assert!(may(&with_role("admin", &[]), Action::Accept, ""));
        assert!(
            !may(&with_role("owner", &[]), Action::Refresh, ""),
            "a newer hub's word"
        );
    }
}
