use flotilla_helm::{Engine, Limits, Options, Templates, Value, semver};

/// A chart's template: whatever it does ends, and a second render gives the same.
pub(crate) fn helm_template(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut templates = Templates::new();
    if templates.parse("c/templates/t.yaml", &text).is_err() {
        return;
    }
    let options = Options {
        limits: Limits {
            steps: 20_000,
            output: 1 << 20,
            expansion: 1 << 14,
            ..Limits::default()
        },
        ..Options::default()
    };
    let render = || {
        let json = serde_json::json!({"Values": {
            "a": 1, "s": "text \u{e9}", "l": [1, "x", null], "m": {"k": {"deep": true}}, "n": null, "f": 1e6,
        }});
        let dot = Value::from_json(&json);
        let mut engine = Engine::new(&templates, &options);
        engine.execute("c/templates/t.yaml", &dot)
    };
    let first = render();
    assert_eq!(first, render(), "{text}");
    if let Err(error) = first {
        assert!(!error.message.is_empty());
    }
}

/// A constraint on the first line, versions on the others: an order is an order, whatever they are.
pub(crate) fn helm_semver(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.lines();
    let constraint = semver::Constraint::parse(lines.next().unwrap_or_default());
    let versions: Vec<_> = lines
        .take(8)
        .filter_map(|line| semver::Version::parse(line).ok())
        .collect();
    for one in &versions {
        let again = semver::Version::parse(&one.to_string()).expect("what was read is read again");
        assert!(one.compare(&again).is_eq(), "{one}");
        if let Ok(constraint) = &constraint {
            assert_eq!(constraint.matches(one), constraint.matches(&again), "{one}");
        }
        for other in &versions {
            assert_eq!(
                one.compare(other),
                other.compare(one).reverse(),
                "{one} {other}"
            );
        }
    }
}
