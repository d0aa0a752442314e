use super::*;

const EXAMPLE: &str = include_str!("../../../../hub/examples/fleet.yaml");

#[test]
fn the_example_is_valid() {
    let spec = parse("fleet.yaml", EXAMPLE).unwrap();
    assert_eq!(spec.environments.len(), 3);
    assert!(!spec.applications.is_empty());
}

fn errors(text: &str) -> Vec<String> {
    let text = format!("apiVersion: flotilla.dev/v1alpha1\nkind: Fleet\n{text}");
    parse("f", &text)
        .unwrap_err()
        .into_iter()
        .map(|error| error.to_string())
        .collect()
}

#[test]
fn errors_name_line_key_and_what_is_wrong() {
    assert_eq!(
        errors("enviroments: []\n"),
        ["f:3:1: unknown key `enviroments`; did you mean `environments`?"]
    );
    assert_eq!(
        errors(
            "environments:\n- {name: a, branch: a, promotesFrom: b}\n- {name: b, branch: b, promotesFrom: a}\n- {name: c, branch: a, promotesFrom: x}\n"
        ),
        [
            "f:6:13: environments[2].branch: branch a is already used by a",
            "f:4:24: environments[0].promotesFrom: environments promote in a cycle",
            "f:5:24: environments[1].promotesFrom: environments promote in a cycle",
            "f:6:24: environments[2].promotesFrom: there is no environment x",
        ]
    );
    assert_eq!(
        errors(
            "applications:\n- name: a\n  repository: r\n  path: x/{env}\n- name: b\n  repository: r\n  path: b\n  dependsOn: [b, c]\n"
        ),
        [
            "f:5:3: applications[0].repository: there is no repository r",
            "f:6:3: applications[0].path: path template uses {env}; supported are {environment}, {cluster} and {labels.NAME}",
            "f:8:3: applications[1].repository: there is no repository r",
            "f:10:3: applications[1].dependsOn: there is no application c",
            "f:10:3: applications[1].dependsOn: b depends on itself",
        ]
    );
    assert_eq!(
        errors("repositories:\n- {name: r, url: 'https://user:pw@h/r'}\n").len(),
        1
    );
    assert_eq!(
        errors("repositories:\n- {name: r, url: 'https://h/r', pollInterval: soon}\n"),
        ["f:4:33: repositories[0].pollInterval: \"soon\" is not a duration: write 30s, 5m or 1h"]
    );
}

#[test]
fn who_moves_a_branch_is_said_without_doubt() {
    let environments = |rest: &str| {
        format!("environments: [{{name: dev, branch: dev}}, {{name: prod, branch: prod{rest}}}]\n")
    };
    assert_eq!(
        errors(&environments(", merge: fastForward")),
        ["f:3:69: environments[1].merge: it needs promotesFrom"]
    );
    let both = ", promotesFrom: dev, merge: fastForward, autoPromote: true";
    let found = errors(&environments(both));
    assert!(
        found.len() == 1 && found[0].contains("leave one of them out"),
        "{found:?}"
    );
    let found = errors(&environments(", promotesFrom: dev, merge: squash"));
    assert!(
        found.len() == 1 && found[0].contains("fastForward"),
        "{found:?}"
    );
}

#[test]
fn who_may_ask_for_a_preview_is_said_without_doubt() {
    let environments = "environments: [{name: dev, branch: dev}, {name: prod, branch: prod}]\n";
    let fleet = "repositories: [{name: r, url: 'https://h/r'}]\n";
    let other = "repositories: [{name: r, url: 'https://h/r'}, {name: s, url: 'https://h/s'}]\n";
    let previews = |fleet: &str, text: &str| {
        let text = format!("{fleet}{environments}previews:\n- {{{text}}}\n");
        parse(
            "f",
            &format!("apiVersion: flotilla.dev/v1alpha1\nkind: Fleet\n{text}"),
        )
    };
    let good = previews(
        fleet,
        "environment: prod, branch: dev, label: plan, role: write",
    )
    .unwrap();
    let preview = good.previews.first().unwrap();
    assert_eq!(
        (preview.repository.as_str(), preview.role),
        ("r", Some(crate::Role::Write))
    );
    for (fleet, text, expected) in [
        (
            fleet,
            "environment: prod, branch: dev",
            "give label, role or both",
        ),
        (
            fleet,
            "environment: x, branch: dev, label: a",
            "there is no environment x",
        ),
        (
            fleet,
            "environment: prod, branch: dev, label: ''",
            "a label must have 1 to",
        ),
        (
            fleet,
            "environment: prod, branch: dev, repository: x, label: a",
            "there is no repository x",
        ),
        (
            other,
            "environment: prod, branch: dev, label: a",
            "name it with repository",
        ),
        (
            fleet,
            "environment: prod, branch: dev, role: owner",
            "unknown value",
        ),
    ] {
        let found = previews(fleet, text).unwrap_err();
        assert!(
            found.len() == 1 && found[0].to_string().contains(expected),
            "{text}: {found:?}"
        );
    }
}

#[test]
fn a_time_has_units_and_no_fraction_as_the_schema_says() {
    let repository = |poll: &str| {
        format!("repositories:\n- {{name: r, url: 'https://h/r', pollInterval: {poll}}}\n")
    };
    for (poll, seconds) in [("1s", 1), ("1h30m", 5400), ("1000ms", 1)] {
        let text = format!(
            "apiVersion: flotilla.dev/v1alpha1\nkind: Fleet\n{}",
            repository(poll)
        );
        let spec = parse("f", &text).unwrap();
        let read = spec.repositories.values().next().unwrap().poll_interval;
        assert_eq!(read, Duration::from_secs(seconds), "{poll}");
    }
    for poll in ["'5'", "'1.5s'", "999ms", "99999999999999999999h"] {
        assert_eq!(errors(&repository(poll)).len(), 1, "{poll}");
    }
}

const FLEET: &str = "repositories: [{name: r, url: 'https://h/r'}]
environments: [{name: dev, branch: dev}, {name: prod, branch: prod}]
clusters: [{name: p1, environment: prod}, {name: p2, environment: prod}]
applications:
- {name: all, repository: r, path: a}
- {name: dev, repository: r, path: a, placement: {environments: [dev]}}
- {name: one, repository: r, path: a, placement: {clusters: [p1]}}
- {name: some, repository: r, path: a, placement: {selector: tier=edge}}
removed:
";

fn removal(entries: &str) -> Result<Spec, Vec<String>> {
    let text = format!("apiVersion: flotilla.dev/v1alpha1\nkind: Fleet\n{FLEET}{entries}");
    parse("f", &text).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

#[test]
fn an_application_is_not_declared_and_removed_in_one_place() {
    for entry in [
        "{application: all}",
        "{application: all, environments: [dev]}",
        "{application: all, environments: [prod], clusters: [p2]}",
        "{application: dev}",
        "{application: one, environments: [prod]}",
        "{application: one, clusters: [p1, p2], keepObjects: true}",
        "{application: some, environments: [prod]}",
    ] {
        let errors = removal(&format!("- {entry}\n")).unwrap_err();
        let [error] = errors.as_slice() else {
            panic!("{entry}: {errors:?}");
        };
        assert!(
            error.starts_with("f:12:3: removed[0]: ") && error.contains("is declared there, too"),
            "{error}"
        );
    }
    for entry in [
        "{application: never-was}",
        "{application: dev, environments: [prod]}",
        "{application: one, clusters: [p2]}",
        "{application: one, environments: [dev]}",
        // Where labels are known, they decide.
        "{application: some, clusters: [p1]}",
    ] {
        let spec = removal(&format!("- {entry}\n"));
        assert_eq!(
            spec.unwrap_or_else(|errors| panic!("{entry}: {errors:?}"))
                .removed
                .len(),
            1
        );
    }
}

#[test]
fn a_removal_is_said_once_and_of_what_there_is() {
    let twice = removal(
        "- {application: x, environments: [prod]}\n- {application: x, clusters: [p1], keepObjects: true}\n",
    );
    assert_eq!(
        twice.unwrap_err(),
        ["f:13:3: removed[1]: x is already removed there by an earlier entry"]
    );
    let parts = removal(
        "- {application: x, environments: [dev]}\n- {application: x, environments: [prod]}\n",
    );
    assert_eq!(parts.unwrap().removed.len(), 2);
    let misspelt = removal("- {application: x, environments: [prd]}\n").unwrap_err();
    assert!(
        misspelt[0].contains("there is no environment prd"),
        "{misspelt:?}"
    );
    let many: String = (0..201)
        .map(|n| format!("- {{application: x{n}}}\n"))
        .collect();
    assert!(removal(&many).unwrap_err()[0].contains("201 entries are more than 200"));
}
