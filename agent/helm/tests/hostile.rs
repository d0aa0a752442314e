//! Hostile charts: each one ends in an error that names its location, quickly and in little memory.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use flotilla_helm::{Engine, Generated, Limits, Map, Options, Templates, Value, functions};

/// Limits small enough that a debug build reaches them at once.
fn small() -> Options {
    Options {
        limits: Limits {
            steps: 200_000,
            output: 1 << 20,
            expansion: 1 << 16,
            ..Limits::default()
        },
        ..Options::default()
    }
}

fn render_with(text: &str, options: &Options) -> Result<String, String> {
    let mut templates = Templates::new(functions::all());
    templates
        .parse("c/templates/t.yaml", text)
        .map_err(|error| error.message)?;
    let dot = Value::Map(Map::new());
    let mut engine = Engine::new(&templates, options);
    match engine.execute("c/templates/t.yaml", &dot) {
        Ok(text) => Ok(text.to_string()),
        Err(error) => Err(error.message),
    }
}

fn refused(text: &str, why: &str) {
    let error = render_with(text, &small()).expect_err(text);
    assert!(
        error.contains(why),
        "{text}\n{}",
        &error[..error.len().min(2000)]
    );
    assert!(
        error.contains("t.yaml:"),
        "{text}\n{}",
        &error[..error.len().min(2000)]
    );
    assert!(error.len() < 1 << 20, "an error of {} bytes", error.len());
}

#[test]
fn recursion_ends() {
    refused(
        r#"{{define "a"}}{{include "a" .}}{{end}}{{include "a" .}}"#,
        "nest deeper",
    );
    refused(
        r#"{{define "a"}}{{template "a" .}}{{end}}{{template "a" .}}"#,
        "nest deeper",
    );
    refused(
        r#"{{define "a"}}{{tpl "{{include \"a\" .}}" .}}{{end}}{{include "a" .}}"#,
        "nest deeper",
    );
    let nested = r#"{{define "a"}}{{if 1}}{{with 1}}{{range list 1}}{{include "a" ((((.))))}}{{end}}{{end}}{{end}}{{end}}{{include "a" .}}"#;
    refused(nested, "nest deeper");
}

#[test]
fn nested_text_ends() {
    let deep = |open: &str, close: &str| format!("{}x{}", open.repeat(5_000), close.repeat(5_000));
    refused(&deep("{{if 1}}", "{{end}}"), "nest deeper");
    refused(&deep("{{range list 1}}", "{{end}}"), "nest deeper");
    refused(
        &format!("{{{{ {}1{} }}}}", "(".repeat(5_000), ")".repeat(5_000)),
        "max expression depth",
    );
    // A long chain of `else if` does not count as deep nesting.
    let chain = format!("{{{{if 0}}}}{}{{{{end}}}}", "{{else if 0}}a".repeat(5_000));
    assert_eq!(render_with(&chain, &Options::default()).unwrap(), "");
}

#[test]
fn loops_end() {
    refused("{{range 100000000000}}{{end}}", "steps");
    refused(
        "{{range until 5000}}{{range until 5000}}{{end}}{{end}}",
        "steps",
    );
    refused(
        "{{range until 5000}}{{range $i := until 5000}}{{$x := add $i 1}}{{end}}{{end}}",
        "steps",
    );
}

#[test]
fn sizes_are_bounded() {
    refused("{{until 100000000}}", "more than");
    refused("{{untilStep 0 100000000 1}}", "more than");
    refused("{{seq 100000000}}", "more than");
    refused(r#"{{repeat 100000000 "abc"}}"#, "more than");
    refused(r#"{{indent 100000000 "abc"}}"#, "more than");
    refused(r#"{{repeat 60000 "\n" | nindent 60000}}"#, "more than");
    refused(
        r#"{{repeat 60000 "a" | replace "a" (repeat 60000 "b")}}"#,
        "more than",
    );
    refused(
        r#"{{repeat 60000 "a" | replace "" (repeat 60000 "b")}}"#,
        "more than",
    );
    refused(
        r#"{{range until 100}}{{repeat 60000 "a"}}{{end}}"#,
        "writes more",
    );
    refused(r#"{{randAlphaNum 100000000}}"#, "randAlphaNum");
}

#[test]
fn doubling_ends() {
    let doubling = r#"{{$x := "aaaaaaaa"}}{{range until 60}}{{$x = print $x $x}}{{end}}"#;
    refused(doubling, "more than");
    let doubling = r#"{{$x := list 1 2 3 4}}{{range until 60}}{{$x = concat $x $x}}{{end}}"#;
    refused(doubling, "");
    let doubling = r#"{{$x := list 1}}{{range until 60}}{{$x = list $x $x}}{{end}}{{$x | toJson}}"#;
    refused(doubling, "");
    let doubling = r#"{{$x := list 1}}{{range until 60}}{{$x = list $x $x}}{{end}}{{$x}}"#;
    refused(doubling, "");
    let doubling = r#"{{$x := dict}}{{range until 60}}{{$x = dict "a" $x "b" $x}}{{end}}{{$y := deepCopy $x}}"#;
    refused(doubling, "");
}

#[test]
fn patterns_are_bounded() {
    refused(r#"{{mustRegexMatch (repeat 20000 "a") "a"}}"#, "more than");
    refused(
        r#"{{mustRegexMatch "(((a{1000}){1000}){1000})" "a"}}"#,
        "regexp",
    );
    // Exponential in a backtracking engine, linear in this one.
    let slow = r#"{{regexMatch "^(a+)+$" (print (repeat 5000 "a") "b")}}"#;
    assert_eq!(render_with(slow, &small()).unwrap(), "false");
}

#[test]
fn a_map_cannot_hold_itself() {
    refused(
        r#"{{$d := dict}}{{$_ := set $d "a" $d}}"#,
        "cannot hold itself",
    );
    refused(
        r#"{{$d := dict}}{{$_ := set $d "a" (list (dict "b" $d))}}"#,
        "cannot hold itself",
    );
    refused(
        r#"{{$d := dict "x" dict}}{{$_ := merge $d.x (dict "y" $d)}}"#,
        "cannot hold itself",
    );
}

#[test]
fn deep_values_are_freed_and_printed_without_a_deep_stack() {
    let deep = |end: &str| {
        format!(
            r#"{{{{$x := list}}}}{{{{range until 8000}}}}{{{{$x = list $x}}}}{{{{end}}}}{{{{{end}}}}}"#
        )
    };
    for end in [
        "len $x",
        "print $x | len",
        "toJson $x | len",
        "toYaml $x | len",
        "deepCopy $x | len",
    ] {
        // Whether it is refused or not, it must come back.
        let _ = render_with(&deep(end), &Options::default());
    }
    let deep = r#"{{$x := dict}}{{range until 8000}}{{$x = dict "a" $x}}{{end}}{{len $x}}{{deepEqual $x (deepCopy $x)}}"#;
    let _ = render_with(deep, &Options::default());
}

#[test]
fn time_and_chance_are_refused_with_their_place() {
    for call in [
        "now",
        "randAlphaNum 5",
        "randAlpha 5",
        "randNumeric 5",
        "randAscii 5",
        "randBytes 5",
        "randInt 1 5",
        r#"shuffle "abc""#,
        "uuidv4",
        r#"bcrypt "a""#,
        r#"htpasswd "a" "b""#,
        r#"genPrivateKey "rsa""#,
        r#"genCA "a" 1"#,
        r#"genSelfSignedCert "a" nil nil 1"#,
        r#"date "2006" "x""#,
        r#"ago "x""#,
        r#"encryptAES "a" "b""#,
    ] {
        let error =
            render_with(&format!("\n  {{{{ {call} }}}}"), &Options::default()).expect_err(call);
        assert!(error.contains("c/templates/t.yaml:2:5"), "{call}: {error}");
    }
}

#[test]
fn derived_values_are_the_same_at_each_render_and_others_elsewhere() {
    let derived = |seed: &str| Options {
        generated: Generated::Derive {
            seed: seed.to_owned(),
        },
        ..Options::default()
    };
    let text = r#"{{randAlphaNum 20}} {{randAlphaNum 20}} {{uuidv4}} {{now | date "2006"}} {{randInt 3 9}} {{randBytes 9}} {{shuffle "abcdefghij"}} {{encryptAES "k" "t"}}"#;
    let first = render_with(text, &derived("a")).unwrap();
    assert_eq!(first, render_with(text, &derived("a")).unwrap());
    assert_ne!(first, render_with(text, &derived("b")).unwrap());
    let words: Vec<&str> = first.split(' ').collect();
    assert_ne!(words[0], words[1]);
    assert_eq!(words[0].len(), 20);
    // A secret that anybody could derive is not a secret.
    for call in [r#"genCA "a" 1"#, r#"bcrypt "a""#, r#"genPrivateKey "rsa""#] {
        assert!(
            render_with(&format!("{{{{ {call} }}}}"), &derived("a")).is_err(),
            "{call}"
        );
    }
}

#[test]
fn lookup_is_empty_with_a_warning_or_refused() {
    let text = "\n{{ (lookup \"v1\" \"Secret\" \"ns\" \"name\").data }}";
    let mut templates = Templates::new(functions::all());
    templates.parse("c/templates/t.yaml", text).unwrap();
    let options = Options::default();
    let mut engine = Engine::new(&templates, &options);
    let dot = Value::Map(Map::new());
    assert_eq!(engine.execute("c/templates/t.yaml", &dot).unwrap(), "\n");
    let warning = &engine.warnings()[0];
    assert_eq!(
        (warning.template.as_str(), warning.line),
        ("c/templates/t.yaml", 2)
    );
    assert!(
        warning.message.contains("v1 Secret ns name"),
        "{}",
        warning.message
    );
    let strict = Options {
        strict: true,
        ..Options::default()
    };
    let error = render_with(text, &strict).unwrap_err();
    assert!(error.contains("t.yaml:2:"), "{error}");
}
