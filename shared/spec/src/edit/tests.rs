use super::*;

const HEAD: &str = "# The fleet, as of today.
apiVersion: flotilla.dev/v1alpha1
kind: Fleet
repositories:
  - {name: r, url: 'https://h/r'}   # one for all
environments:
- {name: dev, branch: dev}
- {name: prod, branch: prod}
";

fn names(environments: &[&str]) -> BTreeSet<EnvironmentName> {
    environments
        .iter()
        .map(|name| name.parse().unwrap())
        .collect()
}

fn edited(text: &str, environments: &[&str], objects: Objects) -> Result<String, EditError> {
    remove_application(text, &"web".parse().unwrap(), &names(environments), objects)
}

/// The lines that differ: `-` taken away, `+` added, in order.
fn difference(before: &str, after: &str) -> Vec<String> {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let (mut i, mut j, mut found) = (0, 0, Vec::new());
    while i < old.len() || j < new.len() {
        match (old.get(i), new.get(j)) {
            (Some(a), Some(b)) if a == b => (i, j) = (i + 1, j + 1),
            (Some(a), _) if !new[j..].contains(a) => {
                found.push(format!("-{a}"));
                i += 1;
            }
            (_, Some(b)) => {
                found.push(format!("+{b}"));
                j += 1;
            }
            (Some(a), None) => {
                found.push(format!("-{a}"));
                i += 1;
            }
            (None, None) => break,
        }
    }
    found
}

#[test]
fn only_the_entry_leaves_and_all_else_stays_as_it_is_written() {
    let text = format!(
        "{HEAD}applications:
- name: api      # first
  repository: r
  path: api
# what people see
- name: web
  repository: r
  path: web   # the pages

- {{name: jobs, repository: r, path: jobs}}
# the end
"
    );
    let after = edited(&text, &[], Objects::Delete).unwrap();
    let expected = [
        "-- name: web",
        "-  repository: r",
        "-  path: web   # the pages",
        "+removed:",
        "+- application: web",
    ];
    let found = difference(&text, &after);
    // Lines that also occur elsewhere do not count as differences.
    let found: Vec<&str> = found.iter().map(String::as_str).collect();
    assert!(
        found.iter().all(|problem| expected.contains(problem)),
        "{found:#?}"
    );
    for kept in [
        "# first",
        "# what people see",
        "# one for all",
        "# the end",
        "jobs",
    ] {
        assert!(after.contains(kept), "{after}");
    }
    assert!(!after.contains("name: web"));
    assert_eq!(
        edited(&after, &[], Objects::Delete),
        Err(EditError::Nothing)
    );
}

#[test]
fn every_way_to_write_lists_is_understood() {
    let web = "{name: web, repository: r, path: web}";
    let api = "{name: api, repository: r, path: api}";
    let old = "{application: old}";
    for applications in [
        format!("applications: [{api}, {web}]\n"),
        format!("applications: [{web}, {api}]\n"),
        format!("applications: [{web}]\n"),
        format!("applications:\n- {web}\n"),
        format!("applications:   # all\n  - {api}\n  - {web}\n"),
        "applications:\n-\n  name: web\n  repository: r\n  path: web\n".to_owned(),
    ] {
        for removed in [
            String::new(),
            format!("removed: [{old}]\n"),
            "removed: []\n".to_owned(),
            "removed:\n".to_owned(),
            format!("removed:\n- {old}\n"),
            "removed:\n  - application: old\n    keepObjects: true\n  # more\n".to_owned(),
        ] {
            for text in [
                format!("{HEAD}{applications}{removed}"),
                format!("{HEAD}{removed}{applications}"),
                format!("{HEAD}{applications}{removed}")
                    .trim_end()
                    .to_owned(),
                format!("{HEAD}{removed}{applications}").replace('\n', "\r\n"),
                format!("\u{feff}{HEAD}{removed}{applications}"),
            ] {
                let after = edited(&text, &[], Objects::Keep);
                let after = after.unwrap_or_else(|error| panic!("{error}\n{text}"));
                assert!(!after.contains("name: web"), "{after}");
                assert_eq!(after.contains("\r\n"), text.contains("\r\n"));
                assert_eq!(
                    after.matches('\r').count() * 2,
                    after.matches(['\r', '\n']).count() * usize::from(text.contains('\r')),
                    "{after:?}"
                );
            }
        }
    }
}

#[test]
fn of_some_environments_the_placement_is_narrowed() {
    for placement in [
        "",
        ", placement: {}",
        ", placement: {environments: [dev, prod]}",
        ", placement: {selector: tier=gold}",
    ] {
        let text =
            format!("{HEAD}applications:\n- {{name: web, repository: r, path: web{placement}}}\n");
        let after = edited(&text, &["prod"], Objects::Delete).unwrap();
        assert!(after.contains("environments: [dev]"), "{after}");
        assert!(
            after.contains("- application: web\n  environments: [prod]\n"),
            "{after}"
        );
    }
    for placement in [
        "",
        "  placement:\n    environments: [dev, prod]\n",
        "  placement:\n    environments:\n    - dev   # first\n    - prod\n",
        "  placement:\n    selector: tier=gold\n",
        "  placement: {selector: tier=gold}\n",
    ] {
        let text = format!(
            "{HEAD}applications:\n- name: web\n  repository: r\n  path: web\n{placement}# end\n"
        );
        let after = edited(&text, &["prod"], Objects::Delete).unwrap();
        assert!(
            after.contains("# end") && !after.contains("    - prod"),
            "{after}"
        );
        let all = edited(&text, &["dev", "prod"], Objects::Delete).unwrap();
        assert!(!all.contains("name: web"), "{all}");
    }
}

#[test]
fn an_entry_that_is_there_is_named_with_what_says_both() {
    let applications = "applications:\n- {name: api, repository: r, path: api}\n";
    for (there, environments, objects, instead) in [
        // All of prod is more than one cluster of it.
        (
            "{application: web, environments: [prod], clusters: [prod-1]}",
            &["prod"][..],
            Objects::Delete,
            "{application: web, environments: [prod]}",
        ),
        (
            "{application: web, clusters: [prod-1]}",
            &["prod"][..],
            Objects::Delete,
            "{application: web, environments: [dev], clusters: [prod-1]}, \
             {application: web, environments: [prod]}",
        ),
        (
            "{application: web, environments: [dev, prod]}",
            &["prod"][..],
            Objects::Keep,
            "{application: web, environments: [dev]}, \
             {application: web, environments: [prod], keepObjects: true}",
        ),
        (
            "{application: web, environments: [dev]}",
            &[][..],
            Objects::Delete,
            "{application: web}",
        ),
    ] {
        let text = format!("{HEAD}{applications}removed:\n- {there}\n");
        let expected = EditError::Twice {
            there: there.to_owned(),
            instead: instead.to_owned(),
        };
        assert_eq!(
            edited(&text, environments, objects),
            Err(expected),
            "{there}"
        );
    }
    // A removal elsewhere becomes an entry of its own.
    let text =
        format!("{HEAD}{applications}removed:\n- {{application: web, environments: [dev]}}\n");
    let after = edited(&text, &["prod"], Objects::Delete).unwrap();
    assert!(
        after.ends_with("- application: web\n  environments: [prod]\n"),
        "{after}"
    );
}

#[test]
fn what_cannot_be_changed_is_left_alone_and_told() {
    let used = format!(
        "{HEAD}applications:\n- {{name: web, repository: r, path: web}}\n\
         - {{name: api, repository: r, path: api, dependsOn: [web]}}\n"
    );
    let refused = edited(&used, &[], Objects::Delete).unwrap_err();
    assert!(matches!(&refused, EditError::Refused(why) if why.contains("no application web")));
    let anchored = format!("{HEAD}applications:\n- &web {{name: web, repository: r, path: web}}\n");
    let refused = edited(&anchored, &[], Objects::Delete).unwrap_err();
    assert!(matches!(refused, EditError::Unusual(_)), "{refused:?}");
    for text in ["kind: Fleet\n", "[]"] {
        let refused = edited(text, &[], Objects::Delete).unwrap_err();
        assert!(matches!(refused, EditError::Invalid(_)), "{refused:?}");
    }
    // An application that the file does not declare may have objects left.
    let none = format!("{HEAD}applications: []\n");
    let after = edited(&none, &[], Objects::Delete).unwrap();
    assert_eq!(after, format!("{none}removed:\n- application: web\n"));
}
