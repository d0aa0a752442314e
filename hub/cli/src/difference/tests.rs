use flotilla_forge::{Form, Kind};
use flotilla_render::MemoryTree;

use super::*;
use crate::render;

const FLEET: &str = "apiVersion: flotilla.dev/v1alpha1
kind: Fleet
repositories:
- {name: fleet, url: 'https://github.com/acme/fleet'}
- {name: other, url: 'https://github.com/acme/other'}
environments:
- {name: dev, branch: dev}
- {name: prod, branch: prod, promotesFrom: dev}
clusters:
- {name: eu-1, environment: prod, labels: {region: eu}}
- {name: eu-2, environment: prod, labels: {region: eu}}
- {name: us-1, environment: prod, labels: {region: us}}
applications:
- {name: web, repository: fleet, path: 'web/{environment}'}
- {name: api, repository: fleet, path: api, substitute: true}
- {name: region, repository: fleet, path: 'regions/{labels.region}'}
- {name: far, repository: other, path: far}
";

fn map(name: &str, value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{v: '{value}'}}\n")
}

fn tree(change: &[(&str, &str)]) -> MemoryTree {
    let mut files: BTreeMap<&str, String> = BTreeMap::new();
    for path in ["web/dev/a.yaml", "web/prod/a.yaml"] {
        files.insert(path, map("web", "1"));
    }
    files.insert("api/a.yaml", map("api", "${cluster.labels.region:-none}"));
    for path in ["regions/eu/a.yaml", "regions/us/a.yaml"] {
        files.insert(path, map("region", "1"));
    }
    for (path, text) in change {
        files.insert(path, (*text).to_owned());
    }
    let mut tree = MemoryTree::new();
    for (path, text) in files {
        if !text.is_empty() {
            tree.insert_file(path, text.into_bytes()).unwrap();
        }
    }
    tree
}

fn diff_of(old_fleet: &str, new_fleet: &str, old: &MemoryTree, new: &MemoryTree) -> Difference {
    let spec = |text: &str| flotilla_spec::parse("fleet.yaml", text).unwrap();
    let (old_spec, new_spec) = (spec(old_fleet), spec(new_fleet));
    let old = Side {
        spec: &old_spec,
        tree: old,
    };
    let new = Side {
        spec: &new_spec,
        tree: new,
    };
    compare(&old, &new, &"fleet".parse().unwrap())
}

fn diff(change: &[(&str, &str)]) -> Difference {
    diff_of(FLEET, FLEET, &tree(&[]), &tree(change))
}

fn places(group: &Group) -> Vec<String> {
    let all = group.at.iter();
    all.map(|at| {
        format!(
            "{}/{}:{}",
            at.application,
            at.environment,
            at.clusters.join("+")
        )
    })
    .collect()
}

#[test]
fn the_same_tree_differs_in_nothing_and_says_what_it_left_out() {
    let all = diff(&[]);
    assert!(!all.differs() && !all.fails());
    let left: Vec<String> = all
        .left_out
        .iter()
        .map(|place| format!("{}/{}", place.application, place.environment))
        .collect();
    // The regions of dev are not known, and another repository is not available here.
    assert_eq!(left, ["far/", "region/dev"]);
    assert!(
        render::difference(&all, render::Paint::Plain)
            .ends_with("nothing differs (8 renders the same)\n")
    );
}

#[test]
fn equal_differences_are_told_once_with_every_place() {
    let two = map("web", "2");
    let all = diff(&[("web/dev/a.yaml", &two), ("web/prod/a.yaml", &two)]);
    let [group] = all.changes.as_slice() else {
        panic!("{:#?}", all.changes);
    };
    assert_eq!(places(group), ["web/dev:", "web/prod:eu-1+eu-2+us-1"]);
    let [object] = group.objects.as_slice() else {
        panic!("{group:#?}");
    };
    assert_eq!(
        (object.object.as_str(), object.action.as_str()),
        ("ConfigMap web", "update")
    );
    assert!(
        object.lines.contains(&"-   v: '1'".to_owned()),
        "{:?}",
        object.lines
    );
    assert!(object.lines.contains(&"+   v: '2'".to_owned()));
    // Only where a render actually differs.
    let all = diff(&[("regions/eu/a.yaml", &map("region", "2"))]);
    assert_eq!(
        places(all.changes.first().unwrap()),
        ["region/prod:eu-1+eu-2"]
    );
    let all = diff(&[("api/a.yaml", &map("api", "${cluster.labels.region:-some}"))]);
    assert_eq!(
        places(all.changes.first().unwrap()),
        ["api/dev:"],
        "facts differ, not texts"
    );
}

#[test]
fn what_comes_and_goes_is_told_by_name() {
    let (gone, new) = (String::new(), map("new", "1"));
    let all = diff(&[("web/dev/a.yaml", &gone), ("web/dev/b.yaml", &new)]);
    let objects: Vec<(&str, &str)> = all
        .changes
        .first()
        .unwrap()
        .objects
        .iter()
        .map(|object| (object.object.as_str(), object.action.as_str()))
        .collect();
    assert_eq!(
        objects,
        [("ConfigMap new", "create"), ("ConfigMap web", "delete")]
    );
}

#[test]
fn what_does_not_render_is_an_error_with_its_reason() {
    let all = diff(&[("web/dev/a.yaml", "kind: [")]);
    assert!(all.fails() && all.differs());
    let group = all.changes.first().unwrap();
    assert!(
        group.error.starts_with("InvalidYaml") || !group.error.is_empty(),
        "{}",
        group.error
    );
    assert_eq!(places(group), ["web/dev:"]);
    let mended = diff_of(
        FLEET,
        FLEET,
        &tree(&[("web/dev/a.yaml", "kind: [")]),
        &tree(&[]),
    );
    assert!(mended.differs() && !mended.fails());
}

#[test]
fn no_byte_of_a_secret_is_shown() {
    let secret = |value: &str, more: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: s, annotations: \
             {{kubectl.kubernetes.io/last-applied-configuration: '{value}'}}}}\nstringData: {{a: {value}, \
             same: sesame{more}}}\n"
        )
    };
    let old = tree(&[("web/dev/s.yaml", &secret("hunter2", ""))]);
    let new = tree(&[("web/dev/s.yaml", &secret("hunter3", ", b: swordfish"))]);
    let all = diff_of(FLEET, FLEET, &old, &new);
    let shown = [
        render::difference(&all, render::Paint::Plain),
        render::difference_markdown(&all, Kind::Github.into()),
        serde_json::to_string(&all).unwrap(),
    ];
    for text in shown {
        for secret in ["hunter", "swordfish", "sesame"] {
            assert!(!text.contains(secret), "{text}");
        }
        assert!(
            text.contains("Secret s") && text.contains("masked, after"),
            "{text}"
        );
    }
}

#[test]
fn a_fleet_file_that_changes_tells_who_gains_and_who_loses() {
    let new = FLEET.replace("region: us", "region: eu").replace(
        "path: 'web/{environment}'",
        "path: 'web/{environment}', namespace: shop, placement: {clusters: [eu-1]}",
    ) + "- {name: more, repository: fleet, path: web/dev, placement: {environments: [dev]}}\n";
    let all = diff_of(FLEET, &new, &tree(&[]), &tree(&[]));
    let moved: Vec<String> = all
        .placements
        .iter()
        .map(|moved| {
            format!(
                "{}/{} +{:?} -{:?}",
                moved.application, moved.environment, moved.gained, moved.lost
            )
        })
        .collect();
    assert_eq!(
        moved,
        [
            r#"more/dev +[""] -[]"#,
            r#"web/dev +[] -[""]"#,
            r#"web/prod +[] -["eu-2", "us-1"]"#,
        ]
    );
    let settings: Vec<_> = all
        .settings
        .iter()
        .map(|setting| (setting.application.as_str(), setting.keys.clone()))
        .collect();
    assert_eq!(settings, [("web", vec!["namespace"])]);
    // A different label is a different fact in a substituted text.
    let changed: Vec<String> = all.changes.iter().flat_map(places).collect();
    assert_eq!(changed, ["api/prod:us-1"]);
    let text = render::difference(&all, render::Paint::Plain);
    assert!(
        text.contains("web in prod is no longer placed on eu-2, us-1; its objects stay"),
        "{text}"
    );
}

#[test]
fn markdown_fits_and_takes_no_word_from_the_tree_for_its_own() {
    let hostile = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {v: \"````\\n</details>\\n@all\"}\n";
    let all = diff(&[("web/dev/a.yaml", hostile), ("api/a.yaml", "kind: [")]);
    let text = render::difference_markdown(&all, Kind::Github.into());
    assert!(
        text.starts_with("<!-- flotilla:diff -->\n**Flotilla: 1 changed object"),
        "{text}"
    );
    assert!(text.contains("**does not render**"), "{text}");
    assert!(text.contains("\n`````diff\n"), "{text}");
    let form = Form {
        kind: Kind::Github,
        limit: 900,
    };
    assert!(render::difference_markdown(&all, form).len() <= 900);
}

#[test]
fn what_is_taken_away_on_purpose_is_told_apart_from_what_vanishes() {
    let far = "- {name: far, repository: other, path: far}\n";
    let vanished = FLEET.replace(far, "");
    let removed = format!("{vanished}removed: [{{application: far, environments: [prod]}}]\n");
    let (old, new) = (tree(&[]), tree(&[]));
    let text =
        |fleet: &str| render::difference(&diff_of(FLEET, fleet, &old, &new), render::Paint::Plain);
    assert!(
        text(&vanished)
            .contains("far in prod is no longer placed on eu-1, eu-2, us-1; its objects stay")
    );
    let told = text(&removed);
    assert!(
        told.contains("- far is removed in prod; its objects are deleted")
            && !told
                .contains("far in prod is no longer placed on eu-1, eu-2, us-1; its objects stay"),
        "{told}"
    );
    // An entry that both sides have is not a difference.
    assert!(!diff_of(&removed, &removed, &old, &new).differs());
    let kept = removed.replace("[prod]}", "[prod], keepObjects: true}");
    assert!(text(&kept).contains("its objects are kept, unmanaged"));
}
