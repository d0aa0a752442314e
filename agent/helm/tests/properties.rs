//! A render is a function of its inputs: twice the same, whatever order the values came in.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use flotilla_helm::{Engine, Options, Templates, Value, functions};
use proptest::prelude::*;

const PIECES: [&str; 16] = [
    "{{ . }}",
    "{{ toJson . }}",
    "{{ toYaml . | nindent 2 }}",
    "{{ keys . | join \",\" }}",
    "{{ values . }}",
    "{{ range $k, $v := . }}{{ $k }}={{ $v }};{{ end }}",
    "{{ printf \"%v %#v %T\" . . . }}",
    "{{ $_ := set . \"zz\" (list 1 2) }}",
    "{{ $_ := unset . \"a\" }}",
    "{{ $_ := mergeOverwrite . (dict \"b\" (dict \"c\" 1)) }}",
    "{{ toJson . | sha256sum }}",
    "{{ with .a }}{{ . | quote }}{{ else }}none{{ end }}",
    "{{ tpl \"{{ len . }}\" . }}",
    "{{ pick . \"a\" \"b\" }}{{ omit . \"a\" }}",
    "{{ default \"d\" .b }}{{ coalesce .c .b \"x\" }}",
    "{{ deepCopy . | merge (dict \"a\" 5) | toJson }}",
];

fn value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        (-1.0e9..1.0e9_f64).prop_map(Into::into),
        "[a-c \"\n:{}<é]{0,6}".prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::vec(("[a-e]{1,2}", inner), 0..4)
                .prop_map(|entries| entries.into_iter().collect()),
        ]
    })
}

fn render(text: &str, entries: &[(String, serde_json::Value)]) -> Result<String, String> {
    let mut templates = Templates::new(functions::all());
    templates.parse("c/templates/t.yaml", text).unwrap();
    let map = flotilla_helm::Map::new();
    for (key, value) in entries {
        map.insert(key.as_str(), Value::from_json(value));
    }
    let options = Options::default();
    let mut engine = Engine::new(&templates, &options);
    match engine.execute("c/templates/t.yaml", &Value::Map(map)) {
        Ok(text) => Ok(text.to_string()),
        Err(error) => Err(error.message),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_render_twice_is_equal_in_any_order(
        entries in prop::collection::btree_map("[a-e]", value(), 0..5),
        pieces in prop::collection::vec(0..PIECES.len(), 1..6),
    ) {
        let text: String = pieces.iter().map(|index| PIECES[*index]).collect();
        let mut entries: Vec<_> = entries.into_iter().collect();
        let first = render(&text, &entries);
        prop_assert_eq!(&first, &render(&text, &entries));
        entries.reverse();
        prop_assert_eq!(&first, &render(&text, &entries));
    }

    #[test]
    fn any_text_is_parsed_or_refused(text in "(\\{\\{|\\}\\}|-|[ \n.$a-z|():=\"`,0-9]|if|end|range|define|with){0,40}") {
        let mut templates = Templates::new(functions::all());
        if templates.parse("c/templates/t.yaml", &text).is_ok() {
            let options = Options::default();
            let mut engine = Engine::new(&templates, &options);
            let _ = engine.execute("c/templates/t.yaml", &Value::Map(flotilla_helm::Map::new()));
        }
    }
}
