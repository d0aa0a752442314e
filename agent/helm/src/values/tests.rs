//! Values: cases that Helm's own tests lack.

use super::strvals::{Kind, parse_into};
use super::{load, merge};
use crate::value::{Map, Value};
use crate::yaml::json;

fn text(map: &Map) -> String {
    let text = json::emit_raw(&Value::Map(map.clone()));
    text.map_or_else(|error| error.to_string(), |text| text.to_string())
}

#[test]
fn several_documents_are_merged_in_order() {
    let values = load(b"---\na: {p: 1, q: 1}\n--- # next\na: {q: 2}\nb: 3\n").unwrap();
    assert_eq!(text(&values), r#"{"a":{"p":1,"q":2},"b":3}"#);
    assert_eq!(text(&load(b"").unwrap()), "{}");
    assert_eq!(text(&load(b"# nothing\n").unwrap()), "{}");
}

#[test]
fn errors_in_values_have_the_line_of_their_document() {
    let error = load(b"---\na: 1\nb: [\n").unwrap_err().to_string();
    assert_eq!(
        error,
        "cannot unmarshal yaml document: error converting YAML to JSON: yaml: line 3: did not find expected \
         node content"
    );
}

#[test]
fn merging_leaves_both_sides_alone() {
    let below = load(b"a: {p: 1}\n").unwrap();
    let above = load(b"a: {q: 2}\n").unwrap();
    assert_eq!(text(&merge(&below, &above)), r#"{"a":{"p":1,"q":2}}"#);
    assert_eq!(text(&below), r#"{"a":{"p":1}}"#);
    assert_eq!(text(&above), r#"{"a":{"q":2}}"#);
}

#[test]
fn expressions_without_end_are_refused() {
    for kind in [Kind::Typed, Kind::Text, Kind::Json, Kind::Literal] {
        for expression in [
            "a.".repeat(100_000),
            "a[0]".repeat(100_000),
            format!("a{}=1", "[0]".repeat(100_000)),
        ] {
            assert!(parse_into(&expression, kind, &Map::new()).is_err());
        }
        assert!(parse_into("a[99999999999]=1", kind, &Map::new()).is_err());
        assert!(parse_into("a[70000]=1", kind, &Map::new()).is_err());
    }
}

#[test]
fn a_json_object_is_merged_as_a_whole() {
    let values = load(b"a: {p: 1}\n").unwrap();
    parse_into(
        r#" {"a": {"y": [1, null]}, "b": "t"} "#,
        Kind::Json,
        &values,
    )
    .unwrap();
    assert_eq!(text(&values), r#"{"a":{"p":1,"y":[1,null]},"b":"t"}"#);
    parse_into(r#"c={"d":1},e=true"#, Kind::Json, &values).unwrap();
    assert!(
        text(&values).ends_with(r#""c":{"d":1},"e":true}"#),
        "{}",
        text(&values)
    );
}
