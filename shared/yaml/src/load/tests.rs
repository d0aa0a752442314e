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
fn a_block_that_the_text_ends_in_has_no_line_break_of_its_own() {
    assert_eq!(parse("a: |\n  b").unwrap(), [json!({"a": "b"})]);
    assert_eq!(parse("a: |\n  b\n").unwrap(), [json!({"a": "b\n"})]);
    assert_eq!(parse("a: >\n  b\n  c").unwrap(), [json!({"a": "b c"})]);
    assert_eq!(
        parse("a: |\n  b\n---\nc: |\n  ä").unwrap(),
        [json!({"a": "b\n"}), json!({"c": "ä"})]
    );
    assert_eq!(
        parse("a: |\n  b\n\nc: d").unwrap(),
        [json!({"a": "b\n", "c": "d"})]
    );
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
    assert!(parse("a: !ruby/object x\n").is_err());
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
