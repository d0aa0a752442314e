//! A lane for each environment: its branches, the progress of its rollout, and its gates.

use flotilla_shared::health::{Health, SyncState};
use flotilla_status::{Cluster, Connectivity, Environment, Heading, digits};
use jiff::Timestamp;

use crate::act::{Action, Offer};
use crate::mirror::Mirror;
use crate::progress::{Progress, progress};

/// Highest number of clusters of an environment that are drawn as rows.
pub const ROWS: usize = 12;
/// Highest number that are drawn as cells; with more, each group has a bar.
pub const CELLS: usize = 1000;

/// One environment of the first screen.
#[derive(Debug, Clone)]
pub struct Lane {
    /// Name of the environment; its page is `/env/NAME`.
    pub name: String,
    /// The environment that it is promoted from; empty: none.
    pub promotes_from: String,
    /// A headline for each repository.
    pub heads: Vec<Headline>,
    /// Number of its clusters.
    pub clusters: u32,
    /// Number of them that are online.
    pub online: u32,
    /// Number of them that are healthy at exactly their assignment.
    pub current: u32,
    /// Number of them that failed or refused.
    pub failed: u32,
    /// The last rollout.
    pub rollout: Option<Progress>,
    /// Its clusters, where there are few enough.
    pub cells: Vec<Cell>,
    /// Whether the cells are drawn as rows.
    pub rows: bool,
    /// Buttons.
    pub offers: Vec<Offer>,
}

/// State of a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headline {
    /// Name of the repository in the fleet file.
    pub repository: String,
    /// First digits of the head.
    pub head: String,
    /// Subject and author of the head; empty: not read.
    pub says: String,
    /// First digits of the last good commit; empty: it is the head, or there is none.
    pub good: String,
    /// Subject and author of the last good commit.
    pub good_says: String,
    /// Why the branch could not be read.
    pub problem: String,
}

/// State of a cluster: the class of its mark, and the word in the filter of lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Healthy at exactly its assignment.
    Ok,
    /// In progress.
    Busy,
    /// Refused its assignment, or failed on it.
    Failed,
    /// Gets no new assignment until an operator unlocks it.
    Locked,
    /// Its agent is offline.
    Offline,
    /// Waits to be accepted.
    Pending,
    /// Pinned to commits.
    Pinned,
    /// Suspended: its agent writes nothing.
    Suspended,
}

impl State {
    /// All states, in the order of a bar.
    pub const ALL: [Self; 8] = [
        Self::Ok,
        Self::Busy,
        Self::Failed,
        Self::Locked,
        Self::Offline,
        Self::Pending,
        Self::Pinned,
        Self::Suspended,
    ];

    /// Word of the state.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Busy => "busy",
            Self::Failed => "failed",
            Self::Locked => "locked",
            Self::Offline => "offline",
            Self::Pending => "pending",
            Self::Pinned => "pinned",
            Self::Suspended => "suspended",
        }
    }

    /// Letter in its mark, which distinguishes it without colours.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::Ok => '✓',
            Self::Busy => '…',
            Self::Failed => 'F',
            Self::Locked => 'L',
            Self::Offline => 'O',
            Self::Pending => 'P',
            Self::Pinned => 'H',
            Self::Suspended => 'S',
        }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// A cluster in a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// Name of the cluster; its page is `/cluster/NAME`.
    pub name: String,
    /// Its state.
    pub state: State,
    /// Letter in its cell.
    pub letter: char,
    /// Description, for the operator.
    pub words: String,
    /// Its applications with their health, where it is drawn as a row.
    pub applications: Vec<(String, String)>,
}

/// Returns all lanes in the order of promotion, with the clusters of small environments.
#[must_use]
pub fn lanes(mirror: &Mirror, now: Timestamp) -> Vec<Lane> {
    mirror
        .in_promotion_order()
        .into_iter()
        .map(|environment| lane(mirror, environment, ROWS, now))
        .collect()
}

/// Returns one lane, with its clusters where there are at most `most`.
#[must_use]
pub fn lane(mirror: &Mirror, environment: &Environment, most: usize, now: Timestamp) -> Lane {
    let count = usize::try_from(environment.clusters).unwrap_or(usize::MAX);
    let applications = match count <= ROWS {
        true => Applications::Shown,
        false => Applications::LeftOut,
    };
    let cells = if count <= most {
        mirror
            .clusters_of(&environment.name)
            .map(|cluster| cell(cluster, applications))
            .collect()
    } else {
        Vec::new()
    };
    Lane {
        name: environment.name.clone(),
        promotes_from: environment.promotes_from.clone(),
        heads: environment.branches.iter().filter_map(headline).collect(),
        clusters: environment.clusters,
        online: environment.online,
        current: environment.current,
        failed: environment.failed,
        rollout: environment
            .rollout
            .as_ref()
            .map(|rollout| progress(rollout, now)),
        cells,
        rows: count <= ROWS,
        offers: offers(environment),
    }
}

fn offers(environment: &Environment) -> Vec<Offer> {
    let name = environment.name.as_str();
    let mut all = vec![Offer::environment(
        Action::Refresh,
        "Refresh branches",
        name,
    )];
    match &environment.paused {
        Some(_) => all.push(Offer::environment(Action::Resume, "Resume", name)),
        // Pausing stops rollouts, which exist only with a strategy.
        None if environment.rollout.is_some() => {
            let mut pause = Offer::environment(Action::Pause, "Pause", name);
            pause.clusters = environment.clusters;
            all.push(pause);
        }
        None => {}
    }
    all
}

fn headline(branch: &flotilla_status::Branch) -> Option<Headline> {
    let head = branch
        .head
        .as_ref()
        .map(|head| digits(&head.commit).to_owned());
    let good = branch
        .approved
        .as_deref()
        .map(digits)
        .unwrap_or_default()
        .to_owned();
    if head.is_none() && branch.reason.is_empty() {
        return None;
    }
    let head = head.unwrap_or_default();
    Some(Headline {
        repository: branch.repository.clone(),
        good: if good == head { String::new() } else { good },
        head,
        says: says(branch.heading.as_ref()),
        good_says: says(branch.approved_heading.as_ref()),
        problem: branch.message.clone(),
    })
}

/// `subject, by author`.
#[must_use]
pub fn says(heading: Option<&Heading>) -> String {
    match heading {
        Some(Heading {
            subject, author, ..
        }) if !author.is_empty() => format!("{subject}, by {author}"),
        Some(heading) => heading.subject.clone(),
        None => String::new(),
    }
}

/// Returns a cluster's state, the letter of its mark, and its description.
#[must_use]
pub fn state(cluster: &Cluster) -> (State, char, String) {
    let (state, words) = standing(cluster);
    let letter = match cluster.connection {
        Connectivity::NeverSeen if state == State::Offline => 'N',
        Connectivity::Unknown if state == State::Offline => '?',
        _ => state.letter(),
    };
    (state, letter, words)
}

fn standing(cluster: &Cluster) -> (State, String) {
    let told = |fallback: &str| match cluster.reason.as_str() {
        "" => fallback.to_owned(),
        reason => format!("{fallback}: {reason}"),
    };
    if !cluster.locked.is_empty() {
        return (State::Locked, "locked".to_owned());
    }
    match cluster.connection {
        Connectivity::Pending => return (State::Pending, "waits to be accepted".to_owned()),
        Connectivity::NeverSeen => return (State::Offline, "never connected".to_owned()),
        Connectivity::Offline => return (State::Offline, "offline".to_owned()),
        Connectivity::Unknown => return (State::Offline, "unknown".to_owned()),
        Connectivity::Online => {}
    }
    let (sync, health) = (cluster.sync, cluster.health);
    if cluster.refused || health == Health::Failed || sync == SyncState::Refused {
        return (State::Failed, told("failed"));
    }
    if cluster.pin.is_some() {
        return (State::Pinned, "pinned".to_owned());
    }
    if !cluster.suspended.is_empty() {
        return (State::Suspended, "suspended".to_owned());
    }
    if cluster.assigned_generation.is_none() {
        return (State::Busy, "nothing assigned yet".to_owned());
    }
    if cluster.is_current() {
        return (State::Ok, "current".to_owned());
    }
    (State::Busy, told(&format!("{sync}, {health}")))
}

/// Whether cells show their applications.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applications {
    /// Each application with a short health.
    Shown,
    /// No applications: there are too many clusters.
    LeftOut,
}

/// Makes the cell of a cluster.
#[must_use]
pub fn cell(cluster: &Cluster, applications: Applications) -> Cell {
    let (state, letter, words) = state(cluster);
    let applications = match applications {
        Applications::Shown => cluster
            .applications
            .iter()
            .map(|placement| (placement.application.clone(), placement.health.to_string()))
            .collect(),
        Applications::LeftOut => Vec::new(),
    };
    Cell {
        name: cluster.name.clone(),
        state,
        letter,
        words,
        applications,
    }
}

#[cfg(test)]
mod tests {
    use flotilla_proto::v1;
    use flotilla_status::Cluster;

    use super::{State, state};
    use crate::samples::cluster;

    #[test]
    fn each_state_has_a_letter_of_its_own() {
        let mut seen = std::collections::BTreeMap::new();
        let mut locked = cluster("a", "dev");
        locked.locked = "x".to_owned();
        let mut failed = cluster("a", "dev");
        failed.refused = true;
        let offline = Cluster::from(&v1::ClusterStatus {
            connection: v1::Connection::Offline.into(),
            ..v1::ClusterStatus::default()
        });
        for cluster in [cluster("a", "dev"), locked, failed, offline] {
            let (word, letter, _) = state(&cluster);
            assert!(
                seen.insert(letter, word).is_none(),
                "{letter} stands for two"
            );
        }
        let letters: std::collections::BTreeSet<char> = State::ALL.map(State::letter).into();
        assert_eq!(letters.len(), State::ALL.len());
    }

    #[test]
    fn who_is_about_to_get_something_else_is_not_current() {
        let mut due = cluster("a", "dev");
        assert_eq!(state(&due).0, State::Ok);
        due.current = Some(false);
        assert_eq!(state(&due).0, State::Busy);
        due.health = super::Health::Failed;
        assert_eq!(state(&due).0, State::Failed);
    }
}
