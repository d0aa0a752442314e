//! Pages: pure functions from the operators' model to HTML. Templates are the files of `templates/`;
//! askama escapes whatever they print.

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
/// Objects of one page.
const MOST_OBJECTS: usize = 500;

/// What every page shows around its content.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The page's title.
    pub title: String,
    /// Who reads it.
    pub operator: String,
    /// Their role, in words.
    pub role: String,
    /// `host:port` that agents dial, by which people tell hubs apart.
    pub hub: String,
    /// Grows with a restore.
    pub epoch: u64,
    /// `live`, or for how long nothing was heard.
    pub freshness: String,
    /// Whether that is bad.
    pub stale: bool,
    /// Errors of the fleet file on disk.
    pub fleet_errors: Vec<String>,
    /// Of the form of each act.
    pub token: String,
    /// Whether there is a session to end.
    pub signs_out: bool,
    /// What the last act came to.
    pub flash: Option<String>,
    /// The path of the page, to come back to.
    pub path: String,
    /// Names of assets, with what their content hashes to.
    pub css: &'static str,
    /// Of the module: `flotilla-HASH.js`.
    pub js: &'static str,
}

impl Frame {
    /// The frame of a page.
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
    /// For somebody with these rights.
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

/// What a page asks the hub for, beside what it knows.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// The chain of decisions.
    pub steps: Vec<Step>,
    /// Rollouts, newest first.
    pub rollouts: Vec<Rollout>,
    /// The audit log.
    pub entries: Vec<Entry>,
    /// The label that clusters are grouped by; empty: none.
    pub group: String,
    /// The group whose cells are shown.
    pub open: String,
    /// The wave of each cluster.
    pub waves: Option<BTreeMap<String, String>>,
}

/// `/cluster/NAME`: why a cluster runs what it runs, its applications and its audit entries.
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
    /// From what the hub answered.
    #[must_use]
    pub fn new(frame: Frame, hub: &Hub, cluster: Cluster, asked: Asked, now: Timestamp) -> Self {
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
                // The hub takes the one or the other.
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
    /// From what the hub answered; `plans` where a diff was asked for.
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

/// A list of clusters, a page at a time.
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

/// A row of a list.
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
    /// The page of a filter.
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
    /// From what the hub answered.
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
    /// From what the hub answered.
    #[must_use]
    pub fn new(frame: Frame, entries: Vec<Entry>) -> Self {
        Self { frame, entries }
    }
}

/// What went wrong, and what to do.
#[derive(Template)]
#[template(path = "trouble.html")]
pub struct TroublePage {
    frame: Frame,
    message: String,
}

impl TroublePage {
    /// A page that says it.
    #[must_use]
    pub fn new(frame: Frame, message: String) -> Self {
        Self { frame, message }
    }
}

/// What stands before the fleet: nothing of it is on this page.
#[derive(Template)]
#[template(path = "entrance.html")]
pub struct EntrancePage {
    title: String,
    text: String,
    way: String,
    css: &'static str,
}

impl EntrancePage {
    /// Says why somebody is not in, with the way to try again.
    #[must_use]
    pub fn new(title: &str, text: &str, way: &str) -> Self {
        Self {
            title: title.to_owned(),
            text: text.to_owned(),
            way: way.to_owned(),
            css: crate::assets::css(),
        }
    }

    /// The whole document; empty where it cannot be drawn.
    #[must_use]
    pub fn html(&self) -> String {
        self.render().unwrap_or_default()
    }
}
