//! The template language against what the official Helm printed (`tests/conformance/helm`): Go's templates and
//! `fmt`, and every function of sprig and Helm.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

use flotilla_helm::{Engine, Map, Options, Templates, Value, functions};
use serde_json::Value as Json;

/// Cases that deliberately differ, by a part of their text, with the reason.
const OTHERWISE: &[(&str, &str)] = &[
    ("htmlDate", "the present day, where no time is given"),
    ("ago .Time", "the present moment"),
    ("date_in_zone", "the present day, where no time is given"),
    (
        "encryptAES",
        "draws on chance, though it is decrypted again",
    ),
];

/// Complex numbers: no chart has any.
fn is_complex(template: &str) -> bool {
    let bytes = template.as_bytes();
    (1..bytes.len()).any(|at| {
        let after = bytes
            .get(at + 1)
            .is_none_or(|byte| !byte.is_ascii_alphanumeric());
        bytes[at] == b'i' && bytes[at - 1].is_ascii_digit() && after
    })
}

struct Case {
    template: String,
    data: Json,
    expected: Result<String, String>,
    changes: bool,
}

fn cases(file: &str) -> Vec<Case> {
    let path = format!(
        "{}/../../tests/conformance/helm/{file}",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let json: Json = serde_json::from_str(&text).unwrap();
    let mut cases = Vec::new();
    for group in json["groups"].as_array().unwrap() {
        for case in group["cases"].as_array().unwrap() {
            let text = |key: &str| case[key].as_str().map(str::to_owned);
            cases.push(Case {
                template: text("template").unwrap_or_default(),
                data: group["data"].clone(),
                expected: match text("error") {
                    Some(error) => Err(error),
                    None => Ok(text("expect").unwrap_or_default()),
                },
                changes: case.get("nondeterministic").is_some(),
            });
        }
    }
    cases
}

fn render(template: &str, data: &Json) -> Result<String, String> {
    let mut templates = Templates::new(functions::all());
    let file = "{{ tpl .Values.t .Values.d }}";
    templates.parse("c/templates/t.yaml", file).unwrap();
    let values = Map::new();
    values.insert("t", template);
    values.insert("d", Value::from_json(data));
    let dot = Map::new();
    dot.insert("Values", values);
    let options = Options::default();
    let mut engine = Engine::new(&templates, &options);
    match engine.execute("c/templates/t.yaml", &Value::Map(dot)) {
        Ok(text) => Ok(text.to_string()),
        Err(error) => Err(error.message),
    }
}

fn run(file: &str, most_elsewhere: f64) {
    let (mut wrong, mut errors, mut placed) = (Vec::new(), 0, 0);
    let cases = cases(file);
    for case in &cases {
        if case.changes {
            continue;
        }
        let got = render(&case.template, &case.data);
        let known = is_complex(&case.template)
            || OTHERWISE
                .iter()
                .any(|known| case.template.contains(known.0));
        match (&case.expected, &got) {
            (Ok(expected), Ok(got)) if expected == got => {}
            (Err(expected), Err(got)) => {
                errors += 1;
                // The location precedes the message: `executing "gotpl" at <.x>`.
                let place = expected.split_once(">: ").map_or("", |parts| parts.0);
                if got.contains(place) {
                    placed += 1;
                } else if std::env::var_os("SHOW").is_some() {
                    eprintln!(
                        "PLACE {:?}\n  helm: {expected}\n  ours: {got}",
                        case.template
                    );
                }
                if std::env::var_os("SHOW_TEXT").is_some() && !got.contains(expected.as_str()) {
                    eprintln!(
                        "TEXT {:?}\n  helm: {expected}\n  ours: {got}",
                        case.template
                    );
                }
            }
            _ if known => {}
            (expected, got) => wrong.push(format!(
                "{:?} with {}\n  helm: {expected:?}\n  ours: {got:?}",
                case.template,
                &case.data.to_string().chars().take(300).collect::<String>()
            )),
        }
    }
    eprintln!(
        "{file}: {} cases, {} wrong, {placed} of {errors} errors in the same place",
        cases.len(),
        wrong.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(f64::from(placed) >= f64::from(errors) * (1.0 - most_elsewhere));
}

#[test]
fn go_templates_print_what_helm_prints() {
    run("templates/go-and-core.json", 0.1);
}

#[test]
fn functions_give_what_helm_gives() {
    run("sprig/sprig.json", 0.1);
}

#[test]
fn yaml_json_and_toml_are_byte_for_byte() {
    run("yaml/yaml.json", 0.1);
}
