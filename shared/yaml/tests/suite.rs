//! The YAML test suite: everything that go-yaml v2 or libyaml reads is read, with equal values and events.

#![allow(clippy::print_stderr, reason = "says how much was compared")]

use std::collections::BTreeSet;
use std::path::Path;

use flotilla_yaml::events::{Event, Events, ScalarStyle};
use flotilla_yaml::{DuplicateKeys, Limits, YamlError, parse_documents};
use serde_json::Value;

type Failure = Box<dyn std::error::Error>;

/// What differs from go-yaml's values, and why.
const OTHER_VALUES: [(&str, &str); 0] = [];

/// What differs from libyaml's events, and why.
const OTHER_EVENTS: [(&str, &str); 0] = [];

fn cases(name: &str) -> Result<Vec<Value>, Failure> {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/yaml-test-suite");
    Ok(serde_json::from_slice(&std::fs::read(folder.join(name))?)?)
}

fn text<'c>(case: &'c Value, key: &str) -> Option<&'c str> {
    case.get(key).and_then(Value::as_str)
}

/// In go-yaml a later key wins; duplicates are refused here by a rule of this project, which is tested elsewhere.
fn values(yaml: &str) -> Result<Vec<Value>, YamlError> {
    let limits = Limits {
        duplicate_keys: DuplicateKeys::LastWins,
        ..Limits::default()
    };
    let documents = parse_documents(yaml, &limits)?;
    Ok(documents
        .into_iter()
        .map(|document| document.value)
        .collect())
}

fn events(yaml: &str) -> Result<String, YamlError> {
    let mut events = Events::new(yaml)?;
    let mut out = String::new();
    loop {
        match events.next_event()?.0 {
            Event::StreamEnd => return Ok(out),
            Event::DocumentStart => out.push_str("+DOC;"),
            Event::DocumentEnd => out.push_str("-DOC;"),
            Event::Alias(_) => out.push_str("=ALI;"),
            Event::SequenceStart(_) => out.push_str("[;"),
            Event::SequenceEnd => out.push_str("];"),
            Event::MappingStart(_) => out.push_str("{;"),
            Event::MappingEnd => out.push_str("};"),
            Event::Scalar(scalar) => {
                if let Some(tag) = scalar.properties.tag {
                    out.push_str(&format!("<{tag}>"));
                }
                out.push(match scalar.style {
                    ScalarStyle::Plain => ':',
                    ScalarStyle::Quoted => '"',
                    ScalarStyle::Block => '|',
                });
                for c in scalar.text.chars() {
                    match c {
                        '\\' => out.push_str("\\\\"),
                        '\n' => out.push_str("\\n"),
                        '\t' => out.push_str("\\t"),
                        '\r' => out.push_str("\\r"),
                        c => out.push(c),
                    }
                }
                out.push(';');
            }
        }
    }
}

fn check(file: &str) -> Result<(), Failure> {
    let cases = cases(file)?;
    let (mut by_go, mut by_libyaml, mut wrong) = (0, 0, BTreeSet::new());
    for case in &cases {
        let (Some(id), Some(yaml)) = (text(case, "id"), text(case, "yaml")) else {
            return Err("a case has no id or text".into());
        };
        let (go, libyaml) = (case.get("go"), text(case, "libyaml"));
        let is_named = |list: &[(&str, &str)]| list.iter().any(|(name, _)| *name == id);
        if let Some(expected) = go {
            by_go += 1;
            match values(yaml) {
                Ok(got) if expected.as_array() == Some(&got) => {}
                got if !is_named(&OTHER_VALUES) => {
                    wrong.insert(format!("{id} {yaml:?}\n  go   {expected}\n  ours {got:?}"));
                }
                _ => {}
            }
        }
        if let Some(expected) = libyaml {
            by_libyaml += 1;
            match events(yaml) {
                Ok(got) if got == expected => {}
                got if !is_named(&OTHER_EVENTS) => {
                    wrong.insert(format!(
                        "{id} {yaml:?}\n  libyaml {expected}\n  ours    {got:?}"
                    ));
                }
                _ => {}
            }
        }
        if go.is_none() && libyaml.is_none() && events(yaml).is_ok() && values(yaml).is_ok() {
            wrong.insert(format!("{id} {yaml:?}\n  is read by nobody else"));
        }
    }
    eprintln!(
        "{file}: {by_go} as go-yaml v2, {by_libyaml} as libyaml, of {}",
        cases.len()
    );
    let wrong: Vec<String> = wrong.into_iter().collect();
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(by_go > 240 && by_libyaml > 270, "the data is not whole");
    Ok(())
}

#[test]
fn r01_the_suite_is_read_as_go_yaml_and_libyaml_read_it() -> Result<(), Failure> {
    check("suite.json")
}

#[test]
fn r01_texts_with_random_changes_are_read_alike() -> Result<(), Failure> {
    check("changed.json")
}
