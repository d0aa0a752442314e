//! Clusters for which a commit changes nothing.

use flotilla_shared::source::{Directories, SourcePaths};

use super::super::rollout::{Phase, State};
use super::*;
use crate::status::Detail;

const FILE: &str = "apiVersion: flotilla.dev/v1alpha1
kind: Fleet
repositories:
- {name: fleet, url: 'https://git.example.com/fleet.git'}
environments:
- name: prod
  branch: prod
  strategy: {waves: [{name: canary, clusters: [a]}, {name: rest}], maxConcurrent: 1, soak: 60s}
applications:
- {name: web, repository: fleet, path: 'apps/{labels.app}'}
";

struct World {
    fleet: Fleet,
    second: i64,
}

impl World {
    /// `a` and `b` run apps/one, the others apps/two; all run the first commit.
    fn new() -> Self {
        let mut world = Self {
            fleet: Fleet::new(Epoch(1)),
            second: 0,
        };
        let spec = spec::parse("f", FILE).unwrap();
        world.step(Event::SpecChanged(Arc::new(spec)));
        for (index, cluster) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
            let app = if index < 2 { "one" } else { "two" };
            let record = ClusterRecord {
                environment: Some("prod".parse().unwrap()),
                labels: [("app".to_owned(), app.to_owned())].into(),
                ..ClusterRecord::default()
            };
            world.step(Event::ClusterPut(name(cluster), record));
            world.step(connect(cluster, index as u64 + 1, AssignmentRef::default()));
        }
        world.push(1);
        for _ in 0..400 {
            if !world.rollout().state.is_over() {
                world.report_all();
                world.step(Event::Tick);
            }
        }
        assert_eq!(world.rollout().state, State::Succeeded);
        world
    }

    fn step(&mut self, event: Event) -> Vec<Effect> {
        self.second += 1;
        // All agents send messages.
        let now = at(self.second);
        self.fleet.clusters.hear_all(now);
        self.fleet.step(event, now)
    }

    fn push(&mut self, n: u64) {
        self.step(Event::HeadsRead {
            repository: "fleet".parse().unwrap(),
            asked: vec!["prod".parse().unwrap()],
            found: [("prod".parse().unwrap(), commit(n))].into(),
        });
    }

    /// Commit 2 changed apps/one, commit 3 apps/two and 4 neither.
    fn read_trees(&mut self) {
        for missing in self.fleet.missing_trees(&"fleet".parse().unwrap()) {
            let n = (1..9).find(|n| commit(*n) == missing).unwrap();
            let trees = [
                (".", n),
                ("apps/one", n.min(2)),
                ("apps/two", u64::from(n > 2)),
            ];
            let trees = trees.map(|(path, id)| (path.to_owned(), [u8::try_from(id).unwrap(); 20]));
            self.step(Event::TreesRead {
                repository: "fleet".parse().unwrap(),
                commit: missing,
                directories: Arc::new(Directories::new(trees)),
            });
        }
    }

    fn report(&mut self, cluster: &str, paths: &[&str]) {
        let known = &self.fleet.clusters()[&name(cluster)];
        let (session, assigned) = (known.session.unwrap().0, known.assigned.clone().unwrap());
        let mut report = current(&assigned);
        for app in report.applications.values_mut() {
            app.source_paths = SourcePaths::new(paths.iter().copied());
            app.source_digest = Digest::of(b"files");
        }
        for event in taken(cluster, session, assigned.reference, report) {
            self.step(event);
        }
    }

    fn report_all(&mut self) {
        for (cluster, path) in [("a", "one"), ("b", "one"), ("c", "two"), ("d", "two")] {
            if self.fleet.clusters()[&name(cluster)].assigned.is_some() {
                self.report(cluster, &[&format!("apps/{path}")]);
            }
        }
        // Its agent is older, and does not report paths.
        if self.fleet.clusters()[&name("e")].assigned.is_some() {
            self.report("e", &[]);
        }
    }

    fn rollout(&self) -> &rollout::Rollout {
        let prod: EnvironmentName = "prod".parse().unwrap();
        &self.fleet.rollouts()[&prod]
    }

    fn touched(&self) -> Vec<&str> {
        let all = self.rollout().clusters.iter();
        all.filter(|(_, progress)| progress.phase.is_touched())
            .map(|(name, _)| name.as_str())
            .collect()
    }
}

#[test]
fn who_renders_nothing_else_gets_the_commit_as_soon_as_it_is_known() {
    let mut world = World::new();
    world.push(2);
    assert_eq!(world.touched(), ["a"]);
    world.read_trees();
    assert_eq!(world.touched(), ["a", "c", "d"], "`e` does not tell");
    let assigned = world.fleet.clusters()[&name("c")].assigned.clone().unwrap();
    assert!(
        assigned
            .assignment
            .applications
            .values()
            .all(|application| application.revision.commit == commit(2))
    );
    assert_eq!(world.rollout().clusters[&name("c")].phase, Phase::Started);
    world.report("c", &["apps/two"]);
    assert_eq!(world.rollout().clusters[&name("c")].phase, Phase::Done);
    assert_eq!(world.rollout().wave, 0);
    assert!(!world.touched().contains(&"b"));
}

#[test]
fn what_was_read_before_the_commit_came_serves_at_once() {
    let mut world = World::new();
    world.read_trees();
    world.push(4);
    world.read_trees();
    world.step(Event::Tick);
    assert_eq!(world.touched(), ["a"], "4 changes both, compared with 1");
    world.push(2);
    world.read_trees();
    // `c` still runs commit 1.
    assert_eq!(world.touched(), ["a", "c", "d"]);
}

#[test]
fn a_report_of_another_assignment_says_nothing() {
    let mut world = World::new();
    world.read_trees();
    // Another label gives another path; the report is about the former one.
    let record = ClusterRecord {
        environment: Some("prod".parse().unwrap()),
        labels: [("app".to_owned(), "one".to_owned())].into(),
        ..ClusterRecord::default()
    };
    world.step(Event::ClusterPut(name("c"), record));
    let assigned = world.fleet.clusters()[&name("c")].assigned_ref();
    let session = world.fleet.clusters()[&name("c")].session.unwrap().0;
    world.step(Event::Acked {
        cluster: name("c"),
        session,
        assignment: assigned,
        refusal: None,
        accepted: assigned,
    });
    world.push(2);
    world.read_trees();
    assert_eq!(world.touched(), ["a", "d"]);
}

#[test]
fn only_what_is_worth_it_is_read_and_kept() {
    let mut world = World::new();
    let fleet: RepositoryName = "fleet".parse().unwrap();
    assert_eq!(world.fleet.missing_trees(&fleet), [commit(1)]);
    world.push(2);
    assert_eq!(world.fleet.missing_trees(&fleet), [commit(2), commit(1)]);
    world.read_trees();
    assert!(world.fleet.missing_trees(&fleet).is_empty());
    // Another URL is another repository.
    let text = FILE.replace("fleet.git", "other.git");
    let spec = spec::parse("f", &text).unwrap();
    world.step(Event::SpecChanged(Arc::new(spec)));
    assert_eq!(world.fleet.missing_trees(&fleet), [commit(2), commit(1)]);
    // Without rollouts directories are not needed.
    let lines = FILE.lines().filter(|line| !line.contains("strategy"));
    let spec = spec::parse("f", &lines.collect::<Vec<_>>().join("\n")).unwrap();
    world.step(Event::SpecChanged(Arc::new(spec)));
    assert!(world.fleet.missing_trees(&fleet).is_empty());
}

#[test]
fn a_failure_to_read_is_told_and_holds_nothing_up() {
    let mut world = World::new();
    world.push(2);
    world.step(Event::TreesFailed {
        repository: "fleet".parse().unwrap(),
        problem: Problem::new(Reason::FilterUnsupported, "no filter"),
    });
    assert_eq!(world.touched(), ["a"]);
    let told = crate::status::rollout(
        &world.fleet,
        world.rollout(),
        Detail::Full,
        at(world.second),
    );
    assert_eq!(told.unread, "no filter");
    let steps = crate::status::explain(&world.fleet, "prod", at(world.second)).unwrap();
    assert!(steps.iter().any(|step| step.text.contains("no filter")));
    world.read_trees();
    let told = crate::status::rollout(
        &world.fleet,
        world.rollout(),
        Detail::Full,
        at(world.second),
    );
    assert_eq!(told.unread, "");
    assert_eq!(told.waves[1].unchanged, 2);
    let steps = crate::status::explain(&world.fleet, "c", at(world.second)).unwrap();
    let says = |text: &str| steps.iter().any(|step| step.text.contains(text));
    assert!(
        says("changes nothing here") && says("changes 3 of 5 clusters"),
        "{steps:#?}"
    );
}
