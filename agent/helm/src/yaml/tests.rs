//! Cases that the conformance tests lack: limits, and that written values read back.

use proptest::prelude::*;

use super::{emit, emit_pretty, json, parse};
use crate::message::Message;
use crate::value::{Map, Str, Value};

fn yaml(text: &str) -> Result<Value, String> {
    Ok(parse(text.as_bytes())?)
}

fn failed(message: Message) -> TestCaseError {
    TestCaseError::fail(String::from(message))
}

fn as_json(value: &Value) -> String {
    json::emit_raw(value).map_or_else(|error| error.to_string(), |text| text.to_string())
}

#[test]
fn merge_keys_replace_what_stands_before_them() {
    let merged = yaml("base: &b {p: 1, q: 2}\nm:\n  p: 5\n  <<: *b\n  q: 6\n").map(|v| as_json(&v));
    assert_eq!(
        merged.as_deref(),
        Ok(r#"{"base":{"p":1,"q":2},"m":{"p":1,"q":6}}"#)
    );
}

#[test]
fn an_alias_inside_its_anchor_is_refused() {
    let error = yaml("a: &x [1, *x]\n").map(|v| as_json(&v));
    assert_eq!(
        error,
        Err("error converting YAML to JSON: yaml: anchor 'x' value contains itself".to_owned())
    );
}

#[test]
fn aliases_that_unfold_without_end_are_refused() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let item = format!("*a{}, ", level - 1).repeat(10);
        text.push_str(&format!("a{level}: &a{level} [{item}]\n"));
    }
    let error = yaml(&text).map(|_| ());
    assert_eq!(
        error,
        Err("error converting YAML to JSON: yaml: document contains excessive aliasing".to_owned())
    );
}

#[test]
fn nesting_without_end_is_refused_before_it_costs_a_stack() {
    for text in [
        "[".repeat(100_000),
        "{a: ".repeat(100_000),
        "- ".repeat(100_000),
    ] {
        assert!(yaml(&text).is_err());
        assert!(json::parse(text.as_bytes()).is_err());
    }
}

#[test]
fn a_map_that_holds_itself_is_refused() {
    let map = Map::new();
    map.insert("self", map.clone());
    let value = Value::Map(map.clone());
    assert!(emit(&value).is_err());
    assert!(emit_pretty(&value).is_err());
    assert!(json::emit(&value).is_err());
    assert!(super::toml::emit(&value).is_err());
    map.remove("self");
}

#[test]
fn only_the_first_document_is_looked_at() {
    let first = yaml("a: 1\n---\n}{\n").map(|v| as_json(&v));
    assert_eq!(first.as_deref(), Ok(r#"{"a":1}"#));
}

#[test]
fn keys_are_in_natural_order() {
    let map: Map = ["a10", "a2", "b", "_x", "a", "A", "a02"]
        .into_iter()
        .map(|key| (Str::from(key), Value::Bool(true)))
        .collect();
    let text = emit(&Value::Map(map)).map(|text| text.to_string());
    let keys = text.map(|text| text.replace(": true", "").replace('\n', " "));
    assert_eq!(keys.as_deref(), Ok("_x A a a2 a02 a10 b "));
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::Bool),
        (-1.0e9..1.0e9_f64).prop_map(Value::Float),
        // Characters that YAML could misread or has to escape. No tabs: goyaml itself cannot read back a block scalar
        // that it wrote with a leading tab.
        "[-?:,\\[\\]{}#&*!|>'\"%@` \na0.~y=<\u{e9}\u{2028}\u{1f600}]{0,12}".prop_map(Value::from),
        "(y|no|null|1_0|0x1f|1e3|2020-01-01|12:30:00|\\.5|<<)".prop_map(Value::from),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::list),
            prop::collection::vec(("[a-z0-9 :#.-]{1,8}", inner), 0..5).prop_map(|entries| {
                Value::Map(
                    entries
                        .into_iter()
                        .map(|(key, value)| (Str::from(key), value))
                        .collect(),
                )
            }),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back(value in value()) {
        let compact = emit(&value).map_err(failed)?;
        let again = parse(compact.as_bytes()).map_err(failed)?;
        prop_assert_eq!(as_json(&again), as_json(&value), "{}", compact);
        let pretty = emit_pretty(&value).map_err(failed)?;
        let again = parse(pretty.as_bytes()).map_err(failed)?;
        prop_assert_eq!(as_json(&again), as_json(&value), "{}", pretty);
        let json = json::emit(&value).map_err(failed)?;
        let again = json::parse(json.as_bytes()).map_err(failed)?;
        prop_assert_eq!(as_json(&again), as_json(&value), "{}", json);
    }

    #[test]
    fn no_text_makes_the_readers_panic(text in "[-?:,\\[\\]{}#&*!|>'\"%@` \t\na0.~<\\\\x]{0,60}") {
        let _ = parse(text.as_bytes());
        let _ = json::parse(text.as_bytes());
        let _ = super::toml::parse(text.as_bytes());
    }
}

#[test]
fn toml_is_read() {
    let text = "# c\ntitle = 'a\"b'\n[a.\"b c\"]\nx = 1_000\ny = [1, 0x1F, # c\n 3.5,]\nz.w = true\n\
                [[list]]\nn = 1\n[[list]]\nn = 2\ni = {p = \"\\u00e9\", q = \"\"\"\nl\\\n  m\"\"\"}\n";
    let value = super::toml::parse(text.as_bytes()).map(|value| as_json(&value));
    assert_eq!(
        value.as_deref(),
        Ok(
            r#"{"a":{"b c":{"x":1000,"y":[1,31,3.5],"z":{"w":true}}},"list":[{"n":1},{"i":{"p":"é","q":"lm"},"n":2}],"title":"a\"b"}"#
        )
    );
    for bad in [
        "a",
        "a = ",
        "a = x",
        "[a",
        "a = 1\na = 2",
        "a = [1",
        "a = \"x",
        "a = {b = 1",
        "= 1",
    ] {
        assert!(super::toml::parse(bad.as_bytes()).is_err(), "{bad}");
    }
    for deep in [
        "[".repeat(100_000),
        format!("a = {}", "[".repeat(100_000)),
        "a.".repeat(100_000),
    ] {
        assert!(super::toml::parse(deep.as_bytes()).is_err());
    }
}
