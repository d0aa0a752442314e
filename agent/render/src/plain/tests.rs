use flotilla_shared::problem::Problem;
use flotilla_shared::reason::Reason;

use crate::{Limits, MemoryTree, Options, RenderError, Rendered, render};

fn tree(files: &[(&str, &str)]) -> MemoryTree {
    let mut tree = MemoryTree::new();
    for (path, content) in files {
        tree.insert_file(path, content.as_bytes().to_vec()).unwrap();
    }
    tree
}

fn config_map(name: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n")
}

fn names(rendered: &Rendered) -> Vec<&str> {
    rendered
        .manifests
        .iter()
        .map(crate::Manifest::name)
        .collect()
}

fn refusal(tree: &MemoryTree, path: &str) -> Problem {
    let error = render(tree, path, &Options::default()).unwrap_err();
    Problem::new(error.reason(), error.to_string())
}

#[test]
fn directories_documents_and_lists() {
    let list = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: s}}\n\
                - apiVersion: v1\n  kind: ConfigMapList\n  items:\n  - {apiVersion: v1, kind: ConfigMap, metadata: {name: in-list}}\n";
    let tree = tree(&[
        (
            "app/a.yaml",
            &format!(
                "{}---\n# nothing\n---\n{}",
                config_map("a"),
                config_map("b")
            ),
        ),
        ("app/sub/c.yml", &config_map("c")),
        (
            "app/d.json",
            r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"d"}}"#,
        ),
        ("app/list.yaml", list),
        ("app/.hidden.yaml", "not: [yaml"),
        ("app/README.md", "# not a manifest"),
        ("other/e.yaml", &config_map("e")),
    ]);
    let rendered = render(&tree, "app", &Options::default()).unwrap();
    assert_eq!(names(&rendered), ["a", "b", "d", "s", "in-list", "c"]);
    assert_eq!(
        rendered
            .files_read
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>(),
        ["app/a.yaml", "app/d.json", "app/list.yaml", "app/sub/c.yml"]
    );
    assert_eq!(rendered.manifests[1].origin.line, 8);
    assert_eq!(
        names(&render(&tree, "app/sub/c.yml", &Options::default()).unwrap()),
        ["c"]
    );
}

#[test]
fn p02_a_missing_path_is_an_error_not_an_empty_set() {
    let tree = tree(&[("apps/guestbook/a.yaml", "")]);
    assert_eq!(
        refusal(&tree, "apps/guestbok"),
        Problem::new(
            Reason::PathNotFound,
            "path \"apps/guestbok\" is not in this commit (but \"apps\" is)"
        )
    );
}

#[test]
fn p05_comments_alone_render_to_nothing() {
    let tree = tree(&[("app/a.yaml", "# one\n---\n# two\n")]);
    assert!(
        render(&tree, "app", &Options::default())
            .unwrap()
            .manifests
            .is_empty()
    );
}

#[test]
fn p04_one_bad_document_refuses_the_whole_set_and_is_named() {
    for bad in 0..4 {
        let text: Vec<String> = (0..4)
            .map(|index| {
                if index == bad {
                    "a: [\n".to_owned()
                } else {
                    config_map(&format!("c{index}"))
                }
            })
            .collect();
        let tree = tree(&[("app/a.yaml", &text.join("---\n"))]);
        let Problem { reason, message } = refusal(&tree, "app");
        assert_eq!(reason, Reason::MalformedYaml);
        assert!(message.starts_with("app/a.yaml:"), "{message}");
    }
}

#[test]
fn bad_input_names_its_file_and_reason() {
    let check = |content: &str, want: Reason| {
        let Problem { reason, message } = refusal(&tree(&[("app/x.yaml", content)]), "app");
        assert_eq!(reason, want, "{message}");
        assert!(message.contains("app/x.yaml"), "{message}");
    };
    check("kind: A\nmetadata: {name: x}\n", Reason::NotAManifest);
    check(
        "apiVersion: v1\nkind: A\nmetadata: {generateName: x-}\n",
        Reason::NotAManifest,
    );
    check(
        "apiVersion: v1\nkind: A\nmetadata: {name: 12}\n",
        Reason::NotAManifest,
    );
    check("- a\n", Reason::NotAManifest);
    check("a: 1\na: 2\n", Reason::MalformedYaml);
    check(
        &format!("{}---\n{}", config_map("a"), config_map("a")),
        Reason::DuplicateObject,
    );
    check(
        "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
        Reason::LfsPointer,
    );
}

#[test]
fn g07_submodules_links_and_large_files_are_refused_by_name() {
    let mut tree = tree(&[("app/a.yaml", &config_map("a"))]);
    tree.insert_submodule("app/vendor").unwrap();
    assert_eq!(refusal(&tree, "app").reason, Reason::Submodule);
    assert_eq!(refusal(&tree, "app/vendor").reason, Reason::Submodule);

    let mut tree = MemoryTree::new();
    tree.insert_symlink("app/x.yaml", "../../outside.yaml".to_owned())
        .unwrap();
    assert_eq!(refusal(&tree, "app").reason, Reason::SymlinkRefused);

    let mut tree = MemoryTree::new();
    tree.insert_too_large("app/x.yaml", 10 << 20).unwrap();
    assert_eq!(
        refusal(&tree, "app"),
        Problem::new(
            Reason::FileTooLarge,
            "app/x.yaml has 10485760 bytes, more than the 8388608 allowed for one file"
        )
    );
}

#[test]
fn links_inside_the_tree_are_followed_once() {
    let mut tree = tree(&[("base/a.yaml", &config_map("a"))]);
    tree.insert_symlink("app/one", "../base".to_owned())
        .unwrap();
    tree.insert_symlink("app/two", "../base".to_owned())
        .unwrap();
    tree.insert_symlink("app/three.yaml", "../base/a.yaml".to_owned())
        .unwrap();
    assert_eq!(
        names(&render(&tree, "app", &Options::default()).unwrap()),
        ["a"]
    );
}

#[test]
fn r01_budgets_end_in_an_error() {
    let many: Vec<(String, String)> = (0..20)
        .map(|index| {
            (
                format!("app/{index}.yaml"),
                config_map(&format!("c{index}")),
            )
        })
        .collect();
    let files: Vec<(&str, &str)> = many.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let tree = tree(&files);
    let check = |limits: Limits| {
        let error = render(
            &tree,
            "app",
            &Options {
                limits,
                ..Options::default()
            },
        )
        .unwrap_err();
        assert!(
            matches!(error, RenderError::LimitExceeded { .. }),
            "{error}"
        );
    };
    check(Limits {
        files: 10,
        ..Limits::default()
    });
    check(Limits {
        manifests: 10,
        ..Limits::default()
    });
    check(Limits {
        total_bytes: 100,
        ..Limits::default()
    });
}

#[test]
fn r10_rendering_twice_is_equal() {
    let tree = tree(&[
        ("app/a.yaml", &config_map("a")),
        ("app/b.yaml", &config_map("b")),
    ]);
    assert_eq!(
        render(&tree, "app", &Options::default()),
        render(&tree, "app", &Options::default())
    );
}
