use super::*;
use crate::parse;

const FILE: &str = "apiVersion: flotilla.dev/v1alpha1
kind: Fleet
repositories:
- {name: fleet, url: 'https://git.example.com/fleet.git'}
- {name: second, url: 'https://git.example.com/second.git'}
environments:
- {name: stage, branch: stage}
- {name: prod, branch: prod}
clusters:
- {name: p1, environment: prod, labels: {region: eu, size: s}}
- {name: p2, environment: prod, labels: {region: us, size: s}}
- {name: s1, environment: stage}
applications:
- name: web
  repository: fleet
  path: 'app/{labels.region}'
  placement: {environments: [prod]}
  dependsOn: [db, log]
- {name: db, repository: fleet, path: db}
- {name: log, repository: fleet, path: log, placement: {selector: size=s}}
- {name: only, repository: fleet, path: only, placement: {clusters: [s1]}}
";

fn read(text: &str) -> Specification {
    of(text, "prod")
}

fn of(text: &str, environment: &str) -> Specification {
    let spec = parse("f", text).unwrap();
    let place = |name: &ClusterName| {
        spec.clusters
            .get(name)
            .map(|entry| entry.environment.clone())
    };
    Specification::of(&spec, &environment.parse().unwrap(), place).unwrap()
}

fn touches(before: &Specification, after: &Specification, cluster: &str) -> Vec<String> {
    let cluster: ClusterName = cluster.parse().unwrap();
    let empty = Labels::new();
    let labels =
        |spec: &'_ Specification| spec.labels.get(&cluster).cloned().unwrap_or(empty.clone());
    let (old, new) = (labels(before), labels(after));
    let prod: EnvironmentName = "prod".parse().unwrap();
    let difference = Difference::between(before, after);
    let touches = difference.touches((&cluster, &prod), (&old, &new));
    touches
        .into_iter()
        .map(|(name, touch)| format!("{name} {touch:?}"))
        .collect()
}

#[test]
fn form_and_order_are_no_revision() {
    let revision = read(FILE).revision().unwrap();
    let mut lines: Vec<&str> = FILE.lines().collect();
    // The repositories, clusters and applications in another order, with comments.
    lines.swap(3, 4);
    lines.swap(9, 10);
    let text = format!("# said anew\n{}\n", lines.join("\n"))
        .replace(
            "dependsOn: [db, log]",
            "dependsOn:\n  - log\n  - db\n  - log",
        )
        .replace(
            "path: log, placement: {selector: size=s}",
            "placement: {selector: size=s}, path: log",
        );
    assert_eq!(read(&text).revision().unwrap(), revision);
    // Waves, gates, poll intervals and other environments do not change the revision either.
    let text = FILE
        .replace(
            "{name: prod, branch: prod}",
            "{name: prod, branch: prod, gates: {approvals: 2}}",
        )
        .replace("second.git'}", "second.git', pollInterval: 5m}")
        .replace("path: only", "path: elsewhere")
        .replace("clusters: [s1]", "clusters: [s1, s2]")
        .replace(
            "{name: stage, branch: stage}",
            "{name: stage, branch: other}",
        );
    // A cluster that the file does not place could still join prod.
    let text = text.replace(
        "- {name: s1, environment: stage}",
        "- {name: s1, environment: stage}\n- {name: s2, environment: stage}",
    );
    assert_eq!(read(&text).revision().unwrap(), revision);
}

/// The digest in existing stores: changing it would start a rollout everywhere.
#[test]
fn a_specification_keeps_its_digest_and_is_read_back() {
    let specification = read(FILE);
    let text = serde_json::to_string(&specification).unwrap();
    let again: Specification = serde_json::from_str(&text).unwrap();
    assert_eq!(again, specification);
    assert_eq!(again.revision(), specification.revision());
    assert_eq!(
        specification.revision().unwrap().as_str(),
        "be722f59363f8d2325cca5e6211169583f2888f98d743ad2bf20444802ad39ff"
    );
}

/// Every field of an application is part of the revision, without a list of fields.
#[test]
fn each_field_of_an_application_is_part_of_the_revision() {
    let before = read(FILE);
    let db = "- {name: db, repository: fleet, path: db";
    for (field, line) in [
        ("path: dbx", "db path: db → dbx"),
        ("path: db, renderer: plain", "db renderer: auto → plain"),
        ("path: db, namespace: x", "db namespace: \"\" → x"),
        ("path: db, substitute: true", "db substitute: false → true"),
        (
            "path: db, syncPolicy: {prune: disabled}",
            "db syncPolicy.prune: enabled → disabled",
        ),
        (
            "path: db, syncPolicy: {drift: report}",
            "db syncPolicy.drift: correct → report",
        ),
        (
            "path: db, syncPolicy: {healthTimeout: 5m}",
            "db syncPolicy.healthTimeoutSeconds: 0 → 300",
        ),
        ("path: db, dependsOn: [log]", "db dependsOn: [] → [\"log\"]"),
    ] {
        let text = FILE.replace(db, &db.replace("path: db", field));
        let after = read(&text);
        assert_ne!(before.revision(), after.revision(), "{field}");
        let difference = Difference::between(&before, &after);
        assert_eq!(difference.describe(), [line], "{field}");
        assert!(difference.defines_anew(), "{field}");
        for cluster in ["p1", "p2"] {
            assert_eq!(touches(&before, &after, cluster), ["db Changes"], "{field}");
        }
    }
    let text = FILE.replace(
        "{name: db, repository: fleet",
        "{name: db, repository: second",
    );
    let difference = read(&text);
    let difference = Difference::between(&before, &difference);
    assert_eq!(
        difference.describe(),
        [
            "db repository: fleet → second",
            "db url: https://git.example.com/fleet.git → https://git.example.com/second.git"
        ]
    );
}

/// Inline values of a chart count one by one, and values files by what a cluster gets.
#[test]
fn what_is_said_of_a_chart_is_part_of_the_revision() {
    let with = |helm: &str| read(&FILE.replace("path: db}", &format!("path: db, helm: {helm}}}")));
    let before =
        with("{values: {replicas: 2, image: {tag: a}}, valuesFiles: ['{labels.size}.yaml']}");
    let after =
        with("{values: {replicas: 2, image: {tag: b}}, valuesFiles: ['{labels.size}.yaml']}");
    let difference = Difference::between(&before, &after);
    assert_eq!(
        difference.describe(),
        ["db helm.options.values.image.tag: a → b"]
    );
    assert_ne!(before.revision(), after.revision());
    assert_eq!(touches(&before, &after, "p1"), ["db Changes"]);
    let text = serde_json::to_string(&before).unwrap();
    assert_eq!(
        serde_json::from_str::<Specification>(&text).unwrap(),
        before
    );
    let mut other = before.clone();
    let labels = other.labels.get_mut("p2").unwrap();
    labels.insert("size".to_owned(), "l".to_owned());
    assert!(touches(&before, &other, "p2").contains(&"db Changes".to_owned()));
}

#[test]
fn what_it_means_for_a_cluster_is_told_by_what_that_cluster_gets() {
    let before = read(FILE);
    // A label counts only if it determines the placement or directory of an application.
    let region = read(&FILE.replace("region: us", "region: eu"));
    assert_eq!(touches(&before, &region, "p2"), ["web Changes"]);
    assert!(touches(&before, &region, "p1").is_empty());
    assert!(!Difference::between(&before, &region).defines_anew());
    let size = read(&FILE.replace("region: us, size: s", "region: us, size: l"));
    assert_eq!(touches(&before, &size, "p2"), ["log Loses"]);
    assert_eq!(touches(&size, &before, "p2"), ["log Gains"]);
    let other = read(&FILE.replace("region: us,", "region: us, tier: x,"));
    assert!(touches(&before, &other, "p2").is_empty());
    // Or if manifests may substitute it.
    let with = |text: &str| read(&text.replace("path: db}", "path: db, substitute: true}"));
    let (one, two) = (
        with(FILE),
        with(&FILE.replace("region: us,", "region: us, tier: x,")),
    );
    assert_eq!(touches(&one, &two, "p2"), ["db Changes"]);
    // Another template for the same directory.
    let same = read(&FILE.replace("path: db}", "path: 'db'}"));
    assert!(touches(&before, &same, "p1").is_empty());
    let branch = read(&FILE.replace("name: prod, branch: prod", "name: prod, branch: main"));
    assert_eq!(touches(&before, &branch, "p1").len(), 3);
    // A template that can no longer be filled counts as a change.
    let broken = read(&FILE.replace("app/{labels.region}", "app/{labels.zone}"));
    assert_eq!(touches(&before, &broken, "p1"), ["web Changes"]);
}

const REMOVED: &str = "removed:
- {application: web, environments: [prod]}
- {application: old, clusters: [p1, s1], keepObjects: true}
";

fn without_web() -> String {
    let mut lines: Vec<&str> = FILE.lines().collect();
    let web = lines
        .iter()
        .position(|line| *line == "- name: web")
        .unwrap();
    lines.drain(web..web + 5);
    lines.join("\n") + "\n"
}

#[test]
fn what_vanishes_is_lost_and_only_what_is_removed_is_removed() {
    let (before, vanished) = (read(FILE), read(&without_web()));
    assert_eq!(touches(&before, &vanished, "p1"), ["web Loses"]);
    let removed = read(&(without_web() + REMOVED));
    assert_eq!(
        touches(&before, &removed, "p1"),
        ["old Removes", "web Removes"]
    );
    assert_eq!(touches(&before, &removed, "p2"), ["web Removes"]);
    // The result is the same if it had disappeared from the file before.
    assert_eq!(touches(&vanished, &removed, "p2"), ["web Removes"]);
    let difference = Difference::between(&before, &removed);
    assert!(
        !difference.defines_anew(),
        "which is not to say that it waits for nothing"
    );
    assert_eq!(
        difference.describe(),
        [
            "old: removed from p1, and its objects stay",
            "web: removed, with its objects"
        ]
    );
    // Deleting a completed entry affects no cluster.
    assert_eq!(touches(&removed, &vanished, "p1"), Vec::<String>::new());
    // Deleting objects that were to be kept counts as a change.
    let deletes = read(&(without_web() + &REMOVED.replace(", keepObjects: true", "")));
    assert_eq!(touches(&removed, &deletes, "p1"), ["old Removes"]);
    assert_ne!(removed.revision(), deletes.revision());
    assert_eq!(read(FILE).revision(), before.revision());
}

#[test]
fn a_removal_is_of_its_own_environment_and_clusters() {
    let text = without_web() + REMOVED;
    let name = |text: &str| -> ApplicationName { text.parse().unwrap() };
    let (prod, stage) = (of(&text, "prod"), of(&text, "stage"));
    let removes = |spec: &Specification, app: &str, cluster: &str, environment: &str| {
        let (cluster, environment) = (cluster.parse().unwrap(), environment.parse().unwrap());
        spec.removes(&name(app), (&cluster, &environment), &Labels::new())
    };
    assert_eq!(removes(&prod, "web", "p1", "prod"), Some(Objects::Delete));
    assert_eq!(removes(&prod, "old", "p1", "prod"), Some(Objects::Keep));
    assert_eq!(removes(&prod, "old", "p2", "prod"), None);
    assert_eq!(removes(&stage, "web", "s1", "stage"), None);
    assert_eq!(removes(&stage, "old", "s1", "stage"), Some(Objects::Keep));
    // A removal whose clusters are all elsewhere does not apply here, and must not be read as "all clusters".
    let elsewhere = of(&text.replace("[p1, s1]", "[s1]"), "prod");
    assert!(!elsewhere.removed.contains_key(&name("old")));
    // Stores from before removals existed contain none, and keep their digests.
    let plain = read(FILE);
    let stored = serde_json::to_string(&plain).unwrap();
    assert!(!stored.contains("removed"), "{stored}");
    assert_eq!(
        serde_json::from_str::<Specification>(&stored).unwrap(),
        plain
    );
    let stored = serde_json::to_string(&prod).unwrap();
    assert_eq!(
        serde_json::from_str::<Specification>(&stored).unwrap(),
        prod
    );
}

#[test]
fn what_labels_decide_is_decided_for_what_is_declared() {
    let text = FILE.to_owned() + "removed: [{application: log, clusters: [p1, p2]}]\n";
    let spec = read(&text);
    let log: ApplicationName = "log".parse().unwrap();
    let (p1, prod) = ("p1".parse().unwrap(), "prod".parse().unwrap());
    let at = (&p1, &prod);
    assert_eq!(spec.removes(&log, at, &spec.labels[&p1]), None);
    assert_eq!(
        spec.removes(&log, at, &Labels::new()),
        Some(Objects::Delete)
    );
}
