use serde_json::json;

use super::*;

fn parse(text: &str) -> Result<Vec<Value>, YamlError> {
    parse_documents(text, &Limits::default()).map(|documents| {
        documents
            .into_iter()
            .map(|document| document.value)
            .collect()
    })
}

#[test]
fn a_block_at_the_end_of_a_text_ends_as_with_kubectl() {
    assert_eq!(parse("a: |\n  b").unwrap(), [json!({"a": "b\n"})]);
    assert_eq!(parse("a: |\n  b\n").unwrap(), [json!({"a": "b\n"})]);
    assert_eq!(parse("a: |-\n  b").unwrap(), [json!({"a": "b"})]);
    assert_eq!(parse("a: >\n  b\n  c").unwrap(), [json!({"a": "b c\n"})]);
    assert_eq!(
        parse("a: |\n  b\n---\nc: |\n  ä").unwrap(),
        [json!({"a": "b\n"}), json!({"c": "ä\n"})]
    );
}

#[test]
fn r01_tags_and_keys_mean_what_they_mean_to_kubectl() {
    for (text, expected) in [
        ("!ruby/object x", json!("x")),
        ("!!set x", json!("x")),
        ("!!binary aGVsbG8=", json!("hello")),
        ("!!binary |\n  aGVs\n  bG8=", json!("hello")),
        ("!!binary 'aGVsbG8='", json!("hello")),
        ("!!binary /w==", json!("\u{fffd}")),
        ("!!int '3'", json!(3)),
        ("1.5: a", json!({"1.5": "a"})),
        ("1.23456789: a", json!({"1.2345679": "a"})),
        ("1e30: a", json!({"1e+30": "a"})),
        ("010: a", json!({"8": "a"})),
        ("on: a", json!({"true": "a"})),
        (
            "x: &x {a: 1}\nz: {a: 2, <<: *x}",
            json!({"x": {"a": 1}, "z": {"a": 1}}),
        ),
        (
            "x: &x {a: 1}\nz: {<<: *x, a: 2}",
            json!({"x": {"a": 1}, "z": {"a": 2}}),
        ),
        ("x: {'<<': 1}", json!({"x": {"<<": 1}})),
    ] {
        assert_eq!(parse(text), Ok(vec![expected]), "{text}");
    }
    for refused in [
        "null: a",
        "~: a",
        "? \n: a",
        "!!binary '*'",
        "!!int x",
        "!!bool 1",
        "&a [*a]",
        "x: &a 1\ny: &a {z: *a}",
        "{a: 1, a: 2}",
    ] {
        assert!(parse(refused).is_err(), "{refused}");
    }
}

#[test]
fn r01_json_is_read_as_json() {
    let read = |text: &str| {
        parse_manifests(text.as_bytes(), &Limits::default()).map(|documents| {
            let pairs = documents
                .into_iter()
                .map(|document| (document.line, document.value));
            pairs.collect::<Vec<_>>()
        })
    };
    assert_eq!(
        read("{\"a\": \"\\ud83d\\ude00\"}\n\n{\"b\": [1, 1.0, 1.5, null]}{\"c\": \"\\/\"}"),
        Ok(vec![
            (1, json!({"a": "😀"})),
            (3, json!({"b": [1, 1, 1.5, null]})),
            (3, json!({"c": "/"})),
        ])
    );
    // YAML that begins like JSON, and what follows JSON.
    assert_eq!(
        read("{a: b}\n---\nc: d\n"),
        Ok(vec![(1, json!({"a": "b"})), (3, json!({"c": "d"}))])
    );
    assert_eq!(
        read("{\"a\": 1}\n---\n{\"b\": yes}\n"),
        Ok(vec![(1, json!({"a": 1})), (3, json!({"b": true}))])
    );
    let twice = read("{\"a\": 1}\n{\"b\": 1,\n\"b\": 2}").unwrap_err();
    assert_eq!(
        (twice.line, twice.message.as_str()),
        (3, "key \"b\" is already there")
    );
    let deep = format!("{{\"a\": {}{}}}", "[".repeat(110), "]".repeat(110));
    assert!(read(&deep).unwrap_err().message.contains("nested deeper"));
}

#[test]
fn positions_count_characters() {
    let error = parse("ä: 'ö'\nü: ä: b\n").unwrap_err();
    assert_eq!((error.line, error.column), (2, 5));
}

#[test]
fn documents_comments_and_byte_order_marks() {
    let text = "\u{feff}# head\na: 1\r\n---\n# only a comment\n---\nb: [x, 'yes', yes]\n...\n";
    assert_eq!(
        parse(text),
        Ok(vec![
            json!({"a": 1}),
            json!(null),
            json!({"b": ["x", "yes", true]})
        ])
    );
}

#[test]
fn anchors_and_merge_keys() {
    let text = "base: &b {a: 1, b: 2}\nx:\n  <<: *b\n  b: 3\nz:\n  <<: [*b, {c: 4, a: 9}]\n";
    assert_eq!(
        parse(text),
        Ok(vec![json!({
            "base": {"a": 1, "b": 2},
            "x": {"a": 1, "b": 3},
            "z": {"a": 1, "b": 2, "c": 4}
        })])
    );
}

#[test]
fn keys_become_strings() {
    assert_eq!(
        parse("1: a\ntrue: b\n"),
        Ok(vec![json!({"1": "a", "true": "b"})])
    );
}

#[test]
fn r01_duplicate_keys_name_their_line() {
    let error = parse("a: 1\nb: 2\na: 3\n").unwrap_err();
    assert_eq!(
        (error.line, error.message.as_str()),
        (3, "key \"a\" is already there")
    );
}

#[test]
fn r01_alias_bombs_depth_and_size_end_in_an_error() {
    let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..12 {
        let previous = format!("*a{}", level - 1);
        let items = vec![previous; 10].join(",");
        bomb.push_str(&format!("a{level}: &a{level} [{items}]\n"));
    }
    assert!(
        parse(&bomb)
            .unwrap_err()
            .message
            .contains("aliases written out")
    );
    let deep = "[".repeat(10_000);
    assert!(parse(&deep).is_err());
    let many = "---\na: 1\n".repeat(10_001);
    assert!(parse(&many).unwrap_err().message.contains("documents"));
    let limits = Limits {
        bytes: 10,
        ..Limits::default()
    };
    assert!(parse_documents("aaaaaaaaaaaaaaa", &limits).is_err());
}

#[test]
fn r01_bad_utf8_tabs_and_tags() {
    assert_eq!(
        parse_documents_bytes(b"a: 1\nb: \xff\n", &Limits::default())
            .unwrap_err()
            .line,
        2
    );
    assert!(parse("a:\n\t- b\n").is_err());
    assert_eq!(
        parse("a: !!str 12\nb: ! 12\n"),
        Ok(vec![json!({"a": "12", "b": "12"})])
    );
    assert!(parse("a: .inf\n").is_err());
    assert!(parse("a: *nothing\n").is_err());
    assert!(parse("a: {b\n").is_err());
}

#[test]
fn positions_are_those_of_keys_and_items() {
    let (_, positions) = parse_spanned("a:\n  - b: 1\n    c: 2\n", &Limits::default()).unwrap();
    assert_eq!(positions.nearest("a[0].c"), (3, 5));
    assert_eq!(positions.nearest("a[0].nope"), (2, 5));
    assert_eq!(positions.nearest("zzz"), (1, 1));
}

proptest::proptest! {
    #[test]
    fn r01_arbitrary_text_never_panics(text: String) {
        let _ = parse(&text);
    }

    #[test]
    fn r01_yaml_like_text_never_panics(text in "[-a:&*<>!?|{}\\[\\],'\"# \n]{0,80}") {
        let _ = parse(&text);
    }
}
