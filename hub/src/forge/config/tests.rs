use super::*;

#[test]
fn mistakes_are_named_with_their_place() {
    let errors = |rest: &str| -> Vec<String> {
        let text = format!("apiVersion: flotilla.dev/v1alpha1\nkind: Forges\n{rest}");
        match parse("forges.yaml", &text) {
            Ok(_) => Vec::new(),
            Err(errors) => errors.iter().map(ToString::to_string).collect(),
        }
    };
    let good = "forges:\n- {repository: fleet, tokenFile: /run/token}\n- {repository: other, app: \
                {id: '1', privateKeyFile: /run/key}}\n";
    assert_eq!(errors(good), Vec::<String>::new());
    for (text, expected) in [
        (
            "forges:\n- {repository: fleet}\n",
            "give either tokenFile or app",
        ),
        (
            "forges:\n- {repository: fleet, token: abc}\n",
            "unknown key",
        ),
        (
            "forges:\n- {repository: fleet, tokenFile: /a}\n- {repository: fleet, tokenFile: /a}\n",
            "listed twice",
        ),
        (
            "forges:\n- {repository: f, kind: gitlab, app: {id: '1', privateKeyFile: /k}}\n",
            "GitHub only",
        ),
        ("link: http://x\n", "https://"),
        ("intervalSeconds: 0\n", "between 1 and 3600"),
    ] {
        let found = errors(text);
        assert!(
            found.len() == 1 && found[0].contains(expected),
            "{text}: {found:?}"
        );
        assert!(found[0].starts_with("forges.yaml:"), "{found:?}");
    }
}

#[test]
fn a_repository_is_found_by_its_name_alone() {
    let text = "apiVersion: flotilla.dev/v1alpha1\nkind: Forges\nforges:\n- {repository: fleet, \
                tokenFile: /run/token}\n";
    let forges = parse("f", text).unwrap();
    let url = "https://github.com/acme/fleet".parse().unwrap();
    assert!(forges.of(&"fleet".parse().unwrap(), &url).is_some());
    assert!(forges.of(&"other".parse().unwrap(), &url).is_none());
    let nowhere = "file:///srv/fleet".parse().unwrap();
    assert!(forges.of(&"fleet".parse().unwrap(), &nowhere).is_none());
}
