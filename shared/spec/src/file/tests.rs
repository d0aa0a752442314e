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
            "f:6:13: environments[2].branch: branch a is already that of a",
            "f:4:24: environments[0].promotesFrom: environments promote in a circle",
            "f:5:24: environments[1].promotesFrom: environments promote in a circle",
            "f:6:24: environments[2].promotesFrom: there is no environment x",
        ]
    );
    assert_eq!(
        errors(
            "applications:\n- name: a\n  repository: r\n  path: x/{env}\n- name: b\n  repository: r\n  path: b\n  dependsOn: [b, c]\n"
        ),
        [
            "f:5:3: applications[0].repository: there is no repository r",
            "f:6:3: applications[0].path: path template uses {env}; known are {environment}, {cluster} and {labels.NAME}",
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
fn durations() {
    for (text, want) in [("300ms", 300), ("30s", 30_000), ("1h30m", 5_400_000)] {
        assert_eq!(duration(text), Some(Duration::from_millis(want)));
    }
    for bad in ["", "5", "s", "5x", "-5s", "99999999999999999999h"] {
        assert_eq!(duration(bad), None, "{bad}");
    }
}
