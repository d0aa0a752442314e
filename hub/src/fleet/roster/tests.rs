use std::ops::Deref as _;

use super::*;
use crate::fleet::environment::{Mark, Pin};
use crate::spec;

const FILE: &str = "apiVersion: flotilla.dev/v1alpha1
kind: Fleet
repositories: [{name: fleet, url: 'https://git.example.com/fleet.git'}]
environments:
- {name: dev, branch: dev}
- name: prod
  branch: prod
  strategy: {waves: [{name: canary, clusters: [a]}], soak: 3s, progressDeadline: 20s}
applications: [{name: web, repository: fleet, path: web}]
";

struct World {
    roster: Roster,
    versions: Versions,
    effects: Vec<Effect>,
}

impl World {
    /// Clusters of prod.
    fn with(clusters: &[&str]) -> Self {
        let mut world = Self {
            roster: Roster::default(),
            versions: Versions::default(),
            effects: Vec::new(),
        };
        for cluster in clusters {
            world.put(cluster, "prod");
        }
        world
    }

    fn put(&mut self, cluster: &str, environment: &str) {
        let environment = environment.parse().unwrap();
        let (versions, effects) = (&mut self.versions, &mut self.effects);
        self.roster
            .put_record(&name(cluster), versions, effects, |record| {
                record.environment = Some(environment);
            });
    }

    fn change(
        &mut self,
        cluster: &str,
        change: impl FnOnce(&mut ClusterRecord),
    ) -> Option<RecordChange> {
        let (versions, effects) = (&mut self.versions, &mut self.effects);
        self.roster
            .change_record(&name(cluster), versions, effects, change)
    }

    fn members(&mut self, spec: &Arc<Spec>, strategy: &Strategy) -> Arc<Members> {
        let prod = spec.environment(&"prod".parse().unwrap()).unwrap();
        self.roster.members(spec, prod, strategy)
    }
}

fn name(text: &str) -> ClusterName {
    text.parse().unwrap()
}

fn pin(expires: bool) -> Pin {
    Pin {
        commits: BTreeMap::new(),
        mark: Mark {
            by: "ada".to_owned(),
            reason: "why".to_owned(),
            at: jiff::Timestamp::UNIX_EPOCH,
        },
        epoch: 1,
        expires_at: expires.then_some(jiff::Timestamp::MAX),
        approval: None,
        unproven: false,
        in_place: false,
    }
}

#[test]
fn a_record_that_changes_is_stored_and_shown_and_says_who_has_to_look() {
    type Edit = fn(&mut ClusterRecord);
    let mut world = World::with(&["a"]);
    let changes: [(Edit, bool, bool); 6] = [
        (
            |record| record.certificate_expires_at = Some(jiff::Timestamp::MAX),
            false,
            false,
        ),
        (|record| record.credential.issued = 7, false, false),
        (|record| record.pin = Some(pin(false)), false, true),
        (|record| record.pending = Some("key".to_owned()), true, true),
        (|record| record.environment = None, true, true),
        (
            |record| drop(record.labels.insert("a".to_owned(), "b".to_owned())),
            true,
            true,
        ),
    ];
    for (index, (change, moves, matters)) in changes.into_iter().enumerate() {
        let before = world.versions.newest();
        let found = world.change("a", change);
        assert_eq!(found, Some(RecordChange { moves, matters }), "{index}");
        let cluster = world.roster.get(&name("a")).unwrap();
        let stored = Effect::StoreCluster(name("a"), Box::new(cluster.record.deref().clone()));
        assert_eq!(world.effects.last(), Some(&stored), "{index}");
        assert!(cluster.version > before, "{index}");
    }
    assert_eq!(world.change("b", |_| ()), None);
}

#[test]
fn pins_that_end_are_counted_whatever_becomes_of_their_clusters() {
    let mut world = World::with(&["a", "b"]);
    for cluster in ["a", "b"] {
        world.change(cluster, |record| record.pin = Some(pin(true)));
    }
    world.change("a", |record| record.pin = Some(pin(false)));
    assert!(world.roster.has_expiring_pins());
    let stored = StoredCluster {
        name: name("c"),
        record: world.roster.get(&name("b")).unwrap().record.deref().clone(),
        assignment: None,
        report: None,
        current_since: None,
    };
    world.roster.restore(stored, &mut world.versions);
    world.roster.remove(&name("b"));
    assert!(world.roster.has_expiring_pins());
    world.change("c", |record| record.pin = None);
    assert!(!world.roster.has_expiring_pins());
}

#[test]
fn members_are_worked_out_again_when_anything_that_they_follow_from_changes() {
    let file = Arc::new(spec::parse("f", FILE).unwrap());
    let strategy = |file: &Arc<Spec>| {
        let prod = file.environment(&"prod".parse().unwrap()).unwrap();
        prod.strategy.clone().unwrap()
    };
    let first = strategy(&file);
    let mut world = World::with(&["a", "b"]);
    let members = world.members(&file, &first);
    assert_eq!(members.len(), 2);
    world.change("a", |record| record.pin = Some(pin(false)));
    assert!(Arc::ptr_eq(&members, &world.members(&file, &first)));
    world.put("c", "prod");
    assert_eq!(world.members(&file, &first).len(), 3);
    world.change("b", |record| record.environment = None);
    assert_eq!(world.members(&file, &first).len(), 2);
    world.roster.remove(&name("c"));
    assert_eq!(world.members(&file, &first).len(), 1);
    let other =
        Arc::new(spec::parse("f", &FILE.replace("clusters: [a]", "clusters: [b]")).unwrap());
    let wave = |members: &Members| members[&name("a")].0;
    assert_eq!(wave(&world.members(&file, &first)), 0);
    assert_eq!(wave(&world.members(&file, &strategy(&other))), 1);
    let text = FILE.replace(
        "applications:",
        "clusters: [{name: b, environment: prod}]\napplications:",
    );
    let other = Arc::new(spec::parse("f", &text).unwrap());
    assert_eq!(world.members(&other, &first).len(), 2);
}

#[test]
fn who_is_gone_is_not_due() {
    let mut world = World::with(&["a", "b"]);
    world.roster.mark_due([name("a"), name("x")].into());
    world.roster.mark_due_where(|name, _| name.as_str() == "b");
    assert_eq!(world.roster.next_due(), [name("a"), name("b")]);
    assert!(world.roster.get(&name("a")).unwrap().is_due());
    world.roster.remove(&name("a"));
    let versions = &mut world.versions;
    world.roster.no_longer_due(&name("b"), versions);
    assert!(!world.roster.has_due());
    assert!(!world.roster.get(&name("b")).unwrap().is_due());
}
