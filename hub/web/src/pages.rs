//! Pages: pure functions from the operators' model to HTML. Templates are the files of `templates/`, whose values
//! askama escapes.

mod environment;
mod promotion;
mod rollout;

use std::collections::BTreeMap;

use askama::Template;
use flotilla_status::{ApplicationPlan, Cluster, Entry, Hub, Placement, Rollout, Step};
use jiff::Timestamp;

use crate::act::{Action, Offer};
use crate::attention::Need;
use crate::difference::Group;
use crate::filter::Filter;
use crate::lane::{Lane, State, state};
use crate::mirror::Mirror;
use crate::overview::Overview;
use crate::text;

pub use environment::{EnvironmentPage, EnvironmentView};
pub use promotion::{PlanPage, PromotePage};
pub use rollout::{RolloutPage, RolloutView};

/// Rows of one page of a list.
pub const PAGE: usize = 100;
/// Highest number of objects of one page.
const MOST_OBJECTS: usize = 500;

/// Frame of every page.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Title of the page.
    pub title: String,
    /// Name of the reader.
    pub operator: String,
    /// Description of the reader's role.
    pub role: String,
    /// `host:port` that agents dial, which distinguishes hubs.
    pub hub: String,
    /// Epoch of the store; it increases with a restore.
    pub epoch: u64,
    /// `live`, or the time since the last message of the hub.
    pub freshness: String,
    /// Whether the data is stale.
    pub stale: bool,
    /// Errors of the fleet file on disk.
    pub fleet_errors: Vec<String>,
    /// Token of the session's forms.
    pub token: String,
    /// Whether there is a session to end.
    pub signs_out: bool,
    /// Outcome of the last action.
    pub flash: Option<String>,
    /// Path of the page, to return to.
    pub path: String,
    /// Name of the stylesheet, with its hash.
    pub css: &'static str,
    /// Name of the module: `flotilla-HASH.js`.
    pub js: &'static str,
}

impl Frame {
    /// Makes the frame of a page.
    #[must_use]
    pub fn new(hub: &Hub, mirror: &Mirror, path: &str, title: &str, now: Timestamp) -> Self {
        let roles: Vec<String> = hub
            .rights
            .iter()
            .map(|right| match right.environments.as_slice() {
                [] => right.role.clone(),
                environments => format!("{} in {}", right.role, environments.join(", ")),
            })
            .collect();
        let (freshness, stale) = match (mirror.lost, mirror.known) {
            (Some(lost), _) => (format!("stale for {}", text::age(Some(lost), now)), true),
            (None, false) => ("connecting".to_owned(), true),
            (None, true) => ("live".to_owned(), false),
        };
        Self {
            title: title.to_owned(),
            operator: hub.operator.clone(),
            role: if roles.is_empty() {
                "no role".to_owned()
            } else {
                roles.join("; ")
            },
            hub: hub.address.clone(),
            epoch: hub.epoch,
            freshness,
            stale,
            fleet_errors: hub.fleet_errors.clone(),
            token: String::new(),
            signs_out: false,
            flash: None,
            path: path.to_owned(),
            css: crate::assets::css(),
            js: crate::assets::js(),
        }
    }
}

/// The first screen.
#[derive(Template)]
#[template(path = "home.html")]
pub struct Home {
    frame: Frame,
    needs: Vec<Need>,
    more_needs: usize,
    lanes: Vec<Lane>,
    groups: Vec<Group>,
    total: usize,
    fine: usize,
}

impl Home {
    /// Makes it for a reader with these rights.
    #[must_use]
    pub fn new(frame: Frame, hub: &Hub, overview: &Overview) -> Self {
        let Overview {
            mut needs,
            more_needs,
            mut lanes,
            groups,
            total,
            fine,
        } = overview.clone();
        for need in &mut needs {
            need.offer = need.offer.take().filter(|offer| offer.is_for(hub));
        }
        for lane in &mut lanes {
            lane.offers.retain(|offer| offer.is_for(hub));
        }
        Self {
            frame,
            needs,
            more_needs,
            lanes,
            groups,
            total,
            fine,
        }
    }
}

/// Answers of the hub for a page, beside the mirror.
#[derive(Debug, Clone, Default)]
pub struct PageData {
    /// Decision chain.
    pub steps: Vec<Step>,
    /// Rollouts, newest first.
    pub rollouts: Vec<Rollout>,
    /// Entries of the audit log.
    pub entries: Vec<Entry>,
    /// Label that clusters are grouped by; empty: none.
    pub group: String,
    /// Group whose cells are shown.
    pub open: String,
    /// Wave of each cluster.
    pub waves: Option<BTreeMap<String, String>>,
}

/// `/cluster/NAME`: the decision chain of a cluster, its applications and its audit entries.
#[derive(Template)]
#[template(path = "cluster.html")]
pub struct ClusterPage {
    frame: Frame,
    cluster: Cluster,
    class: State,
    letter: char,
    words: String,
    steps: Vec<Step>,
    entries: Vec<Entry>,
    offers: Vec<Offer>,
    now: Timestamp,
}

impl ClusterPage {
    /// Makes it from the hub's answers.
    #[must_use]
    pub fn new(frame: Frame, hub: &Hub, cluster: Cluster, asked: PageData, now: Timestamp) -> Self {
        let (class, letter, words) = state(&cluster);
        let mut pin = match cluster.pin {
            Some(_) => Offer::cluster(Action::Unpin, "Unpin", &cluster.name),
            None => Offer::cluster(Action::Pin, "Pin to what it runs", &cluster.name),
        };
        pin.environment.clone_from(&cluster.environment);
        let mut offers = vec![pin];
        if !cluster.pending_fingerprint.is_empty() {
            let mut accept = Offer::cluster(Action::Accept, "Accept", &cluster.name);
            accept.fingerprint.clone_from(&cluster.pending_fingerprint);
            offers = vec![accept];
        }
        offers.retain(|offer| offer.is_for(hub));
        for offer in &mut offers {
            if offer.action != "accept" {
                // The hub accepts either a cluster or an environment.
                offer.environment.clear();
            }
        }
        Self {
            frame,
            class,
            letter,
            words,
            steps: asked.steps,
            entries: asked.entries,
            cluster,
            offers,
            now,
        }
    }
}

/// One application in one cluster.
#[derive(Template)]
#[template(path = "application.html")]
pub struct ApplicationPage {
    frame: Frame,
    placement: Placement,
    objects: Vec<flotilla_status::Object>,
    more: u32,
    plans: Option<Vec<ApplicationPlan>>,
    now: Timestamp,
}

impl ApplicationPage {
    /// Makes it from the hub's answers; `plans` where a diff was requested.
    #[must_use]
    pub fn new(
        frame: Frame,
        placement: Placement,
        plans: Option<Vec<ApplicationPlan>>,
        now: Timestamp,
    ) -> Self {
        let mut objects = placement.objects.clone();
        objects.sort_by(|a, b| {
            b.health
                .cmp(&a.health)
                .then_with(|| (&a.kind, &a.name).cmp(&(&b.kind, &b.name)))
        });
        objects.truncate(MOST_OBJECTS);
        let shown = u32::try_from(objects.len()).unwrap_or(u32::MAX);
        Self {
            more: placement.counts.total.saturating_sub(shown),
            frame,
            placement,
            objects,
            plans,
            now,
        }
    }
}

/// A list of clusters, in pages.
#[derive(Template)]
#[template(path = "clusters.html")]
pub struct ClustersPage {
    frame: Frame,
    filter: Filter,
    rows: Vec<Row>,
    found: usize,
    from: usize,
    next: Option<String>,
    previous: Option<String>,
    environments: Vec<String>,
}

/// A row of the list.
#[derive(Debug, Clone)]
pub struct Row {
    name: String,
    environment: String,
    class: State,
    letter: char,
    words: String,
    applications: String,
}

impl ClustersPage {
    /// Makes the page that a filter selects.
    #[must_use]
    pub fn new(frame: Frame, mirror: &Mirror, filter: Filter) -> Self {
        let matching: Vec<&Cluster> = mirror
            .clusters
            .values()
            .map(AsRef::as_ref)
            .filter(|cluster| filter.matches(cluster))
            .collect();
        let from = filter.from.min(matching.len());
        let rows = matching
            .iter()
            .skip(from)
            .take(PAGE)
            .map(|cluster| row(cluster))
            .collect();
        let next = (from + PAGE < matching.len()).then(|| filter.at(from + PAGE));
        let previous = (from > 0).then(|| filter.at(from.saturating_sub(PAGE)));
        Self {
            frame,
            found: matching.len(),
            rows,
            from,
            next,
            previous,
            environments: mirror
                .environments
                .iter()
                .map(|environment| environment.name.clone())
                .collect(),
            filter,
        }
    }
}

fn row(cluster: &Cluster) -> Row {
    let (class, letter, words) = state(cluster);
    let applications: Vec<String> = cluster
        .applications
        .iter()
        .filter(|placement| !placement.is_current())
        .take(3)
        .map(|placement| format!("{} {}", placement.application, placement.sync))
        .collect();
    Row {
        name: cluster.name.clone(),
        environment: cluster.environment.clone(),
        class,
        letter,
        words,
        applications: applications.join(", "),
    }
}

/// Rollouts of all environments.
#[derive(Template)]
#[template(path = "rollouts.html")]
pub struct RolloutsPage {
    frame: Frame,
    rollouts: Vec<Rollout>,
}

impl RolloutsPage {
    /// Makes it from the hub's answer.
    #[must_use]
    pub fn new(frame: Frame, rollouts: Vec<Rollout>) -> Self {
        Self { frame, rollouts }
    }
}

/// The audit log.
#[derive(Template)]
#[template(path = "audit.html")]
pub struct AuditPage {
    frame: Frame,
    entries: Vec<Entry>,
}

impl AuditPage {
    /// Makes it from the hub's answer.
    #[must_use]
    pub fn new(frame: Frame, entries: Vec<Entry>) -> Self {
        Self { frame, entries }
    }
}

/// An error, and how to resolve it.
#[derive(Template)]
#[template(path = "trouble.html")]
pub struct TroublePage {
    frame: Frame,
    message: String,
}

impl TroublePage {
    /// Makes the page of an error.
    #[must_use]
    pub fn new(frame: Frame, message: String) -> Self {
        Self { frame, message }
    }
}

/// Page for callers without access; it shows nothing of the fleet.
#[derive(Template)]
#[template(path = "entrance.html")]
pub struct EntrancePage {
    title: String,
    text: String,
    way: String,
    css: &'static str,
}

impl EntrancePage {
    /// Makes the page that says why access was refused, with a way to try again.
    #[must_use]
    pub fn new(title: &str, text: &str, way: &str) -> Self {
        Self {
            title: title.to_owned(),
            text: text.to_owned(),
            way: way.to_owned(),
            css: crate::assets::css(),
        }
    }

    /// The whole document; empty where it cannot be rendered.
    #[must_use]
    pub fn html(&self) -> String {
        self.render().unwrap_or_default()
    }
}
