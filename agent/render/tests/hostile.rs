//! Input that wants to cost more than it may: it ends in an error, in time and in memory.

mod support;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use flotilla_render::{MemoryTree, Options, RenderError, Rendered, Renderer, render};

/// The time that the catalogue allows a hostile tree, and the extra time of a debug build.
const LIMIT: Duration = Duration::from_secs(if cfg!(debug_assertions) { 20 } else { 2 });

fn tree<'f>(files: impl IntoIterator<Item = (&'f str, String)>) -> MemoryTree {
    let mut tree = MemoryTree::new();
    for (path, text) in files {
        assert_eq!(tree.insert_file(path, text.into_bytes()), Ok(()));
    }
    tree
}

fn run(tree: &MemoryTree, path: &str, renderer: Renderer) -> Result<Rendered, RenderError> {
    let options = Options {
        renderer,
        ..Options::default()
    };
    support::reset_peak();
    let before = support::peak_resident_kib();
    let start = Instant::now();
    let result = render(tree, path, &options);
    let took = start.elapsed();
    if let (Some(before), Some(peak)) = (before, support::peak_resident_kib()) {
        assert!(
            peak.saturating_sub(before) < 256 * 1024,
            "{path} took {peak} KiB, from {before}"
        );
    }
    assert!(took < LIMIT, "{path} took {took:?}");
    result
}

/// Eight files of a text, without a kustomization.
#[track_caller]
fn plain_is_refused(text: &str) {
    let paths = [
        "0.yaml", "1.yaml", "2.yaml", "3.yaml", "4.yaml", "5.yaml", "6.yaml", "7.yaml",
    ];
    let files = paths.into_iter().map(|path| {
        let text = text.replace("name: x", &format!("name: n{}", &path[..1]));
        (path, text)
    });
    assert!(run(&tree(files), "", Renderer::Plain).is_err());
}

#[track_caller]
fn refused(tree: &MemoryTree, path: &str, reasons: &[&str]) {
    let error = run(tree, path, Renderer::Kustomize).err();
    let reason = error.as_ref().map(|error| error.reason().as_str());
    assert!(
        reason.is_some_and(|reason| reasons.contains(&reason)),
        "{error:?}"
    );
    assert!(error.is_some_and(|error| error.to_string().len() < 2000));
}

const CONFIG_MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {a: b}\n";

fn tree_of(kustomization: &str, resource: String) -> MemoryTree {
    tree([
        ("kustomization.yaml", kustomization.to_owned()),
        ("x.yaml", resource),
    ])
}

fn alias_bombs_and_depth_are_refused() {
    let mut bomb =
        String::from("apiVersion: v1\nkind: X\nmetadata: {name: x}\na0: &a0 [x, x, x, x]\n");
    for level in 1..30 {
        let previous = level - 1;
        let _ = writeln!(
            bomb,
            "a{level}: &a{level} [*a{previous}, *a{previous}, *a{previous}, *a{previous}]"
        );
    }
    refused(
        &tree_of("resources: [x.yaml]\n", bomb.clone()),
        "",
        &["MalformedYaml"],
    );
    let patch = "patches:\n- path: x.yaml\n  target: {kind: X}\nresources: [y.yaml]\n".to_owned();
    let bombed = tree([
        ("kustomization.yaml", patch),
        ("x.yaml", bomb.clone()),
        ("y.yaml", CONFIG_MAP.to_owned()),
    ]);
    refused(&bombed, "", &["MalformedYaml", "RenderFailed"]);
    refused(&tree_of(&bomb, String::new()), "", &["MalformedYaml"]);
    for (open, close) in [("[", "]"), ("{a: ", "}")] {
        let deep = format!("a: {}{}", open.repeat(100_000), close.repeat(100_000));
        refused(
            &tree_of("resources: [x.yaml]\n", deep.clone()),
            "",
            &["MalformedYaml"],
        );
        refused(&tree_of(&deep, String::new()), "", &["MalformedYaml"]);
        let inline =
            format!("resources: [x.yaml]\npatches:\n- patch: '{deep}'\n  target: {{kind: X}}\n");
        refused(
            &tree_of(&inline, CONFIG_MAP.to_owned()),
            "",
            &["MalformedYaml", "RenderFailed"],
        );
    }
    let many = format!("{CONFIG_MAP}---\n").repeat(20_000);
    refused(
        &tree_of("resources: [x.yaml]\n", many),
        "",
        &["MalformedYaml", "DuplicateObject"],
    );
    plain_is_refused(&bomb);
    let wide = format!("{CONFIG_MAP}list: [{}]\n", "a,".repeat(3_000_000));
    plain_is_refused(&wide);
    refused(
        &tree_of("resources: [x.yaml]\n", wide),
        "",
        &["MalformedYaml"],
    );
}

fn overlays_without_end_are_refused() {
    // Bases that form a cycle.
    let circle = tree([
        ("a/kustomization.yaml", "resources: [../b]\n".to_owned()),
        ("b/kustomization.yaml", "resources: [../c]\n".to_owned()),
        ("c/kustomization.yaml", "components: [../a]\n".to_owned()),
        ("d/e/kustomization.yaml", "resources: [..]\n".to_owned()),
        ("d/kustomization.yaml", "resources: [e]\n".to_owned()),
    ]);
    refused(&circle, "a", &["Cycle"]);
    refused(&circle, "d", &["Cycle"]);
    refused(&circle, "d/e", &["Cycle"]);
    // Ten thousand nested bases.
    let mut chain = MemoryTree::new();
    for number in 0..10_000 {
        let text = format!("resources: [../o{}]\n", number + 1);
        let path = format!("o{number}/kustomization.yaml");
        assert_eq!(chain.insert_file(&path, text.into_bytes()), Ok(()));
    }
    refused(&chain, "o0", &["LimitExceeded"]);
    // Ten thousand bases side by side, each with a name of its own for the same base.
    let mut wide = MemoryTree::new();
    let mut list = String::from("resources:\n");
    for number in 0..10_000 {
        let _ = writeln!(list, "- ../o{number}");
        let text = format!("namePrefix: n{number}-\nresources: [../base]\n");
        let path = format!("o{number}/kustomization.yaml");
        assert_eq!(wide.insert_file(&path, text.into_bytes()), Ok(()));
    }
    assert_eq!(
        wide.insert_file("base/kustomization.yaml", b"resources: [x.yaml]\n".to_vec()),
        Ok(())
    );
    assert_eq!(
        wide.insert_file("base/x.yaml", CONFIG_MAP.as_bytes().to_vec()),
        Ok(())
    );
    assert_eq!(
        wide.insert_file("all/kustomization.yaml", list.into_bytes()),
        Ok(())
    );
    refused(&wide, "all", &["LimitExceeded"]);
    // Each base is twice as large as the one before.
    let mut doubling = MemoryTree::new();
    for number in 0..30 {
        let below = number + 1;
        for (side, prefix) in [("l", "l-"), ("r", "r-")] {
            let text = format!("namePrefix: {prefix}\nresources: [../o{below}]\n");
            let path = format!("o{number}{side}/kustomization.yaml");
            assert_eq!(doubling.insert_file(&path, text.into_bytes()), Ok(()));
        }
        let text = format!("resources: [../o{number}l, ../o{number}r]\n");
        let path = format!("o{number}/kustomization.yaml");
        assert_eq!(doubling.insert_file(&path, text.into_bytes()), Ok(()));
    }
    assert_eq!(
        doubling.insert_file("o10/x.yaml", CONFIG_MAP.as_bytes().to_vec()),
        Ok(())
    );
    refused(&doubling, "o0", &["LimitExceeded", "PathNotFound"]);
}

fn steps_that_double_are_refused() {
    let object = || {
        "apiVersion: v1\nkind: X\nmetadata: {name: x, labels: {l: v}}\nspec: {a: b}\ntext: abcd,efgh\n"
            .to_owned()
    };
    // A replacement that copies an object into itself.
    let mut kustomization = String::from("resources: [x.yaml]\nreplacements:\n");
    for number in 0..60 {
        let _ = writeln!(
            kustomization,
            "- source: {{kind: X, fieldPath: spec}}\n  targets:\n  - select: {{kind: X}}\n    \
             fieldPaths: [spec.n{number}]\n    options: {{create: true}}"
        );
    }
    refused(&tree_of(&kustomization, object()), "", &["LimitExceeded"]);
    // A replacement that copies a text into itself.
    let mut kustomization = String::from("resources: [x.yaml]\nreplacements:\n");
    for _ in 0..60 {
        kustomization.push_str(
            "- source: {kind: X, fieldPath: text}\n  targets:\n  - select: {kind: X}\n    \
             fieldPaths: [text]\n    options: {delimiter: ',', index: 1}\n",
        );
    }
    refused(&tree_of(&kustomization, object()), "", &["LimitExceeded"]);
    // JSON patches that copy.
    let mut patch =
        String::from("resources: [x.yaml]\npatches:\n- target: {kind: X}\n  patch: |-\n");
    for number in 0..60 {
        let _ = writeln!(
            patch,
            "    - {{op: copy, from: /spec, path: /spec/n{number}}}"
        );
    }
    refused(&tree_of(&patch, object()), "", &["LimitExceeded"]);
    // Variables whose values are the texts of variables, many times over.
    let value = "y".repeat(100_000);
    let uses = "$(A)".repeat(100_000);
    let variables = "resources: [x.yaml]\nvars:\n- name: A\n  objref: {apiVersion: v1, kind: X, name: \
                     x}\n  fieldref: {fieldPath: value}\n";
    let resource = format!("{}value: {value}\nmetadata2: 1\n", object())
        .replace("labels: {l: v}", &format!("labels: {{l: '{uses}'}}"));
    refused(&tree_of(variables, resource), "", &["LimitExceeded"]);
    // Large labels on many objects.
    let label = "z".repeat(1_000_000);
    let labels = format!("resources: [x.yaml]\ncommonLabels: {{big: {label}}}\n");
    let mut many = String::new();
    for number in 0..5_000 {
        let _ = writeln!(
            many,
            "---\napiVersion: v1\nkind: X\nmetadata: {{name: n{number}}}"
        );
    }
    refused(&tree_of(&labels, many), "", &["LimitExceeded"]);
}

fn comparisons_of_each_with_each_are_bounded() {
    let mut list = String::new();
    for number in 0..100_000 {
        let _ = write!(list, "{{name: n{number}}}, ");
    }
    let pod = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: x}}\nspec:\n  containers:\n  - {{name: a, env: [{list}]}}\n"
    );
    let patched = tree([
        (
            "kustomization.yaml",
            "resources: [x.yaml]\npatches: [{path: x.yaml}]\n".to_owned(),
        ),
        ("x.yaml", pod),
    ]);
    refused(&patched, "", &["LimitExceeded"]);
    // An expression that explodes in backtracking engines.
    let expression = "resources: [x.yaml]\npatches:\n- target: {name: '(a+)+(a+)+(a+)+b'}\n  patch: \
                      '[{op: remove, path: /data}]'\n";
    let name = "a".repeat(5_000);
    let resource = CONFIG_MAP.replace("name: x", &format!("name: {name}"));
    let _ = run(
        &tree_of(expression, resource.clone()),
        "",
        Renderer::Kustomize,
    );
    let huge = "resources: [x.yaml]\npatches:\n- target: {name: '((a{1,500}){1,500}){1,500}'}\n  patch: '{}'\n";
    refused(&tree_of(huge, resource), "", &["RenderFailed"]);
}

/// One test, so that the process's peak is that of one render.
#[test]
fn r01_r06_hostile_input_is_refused_in_time_and_memory() {
    alias_bombs_and_depth_are_refused();
    overlays_without_end_are_refused();
    steps_that_double_are_refused();
    comparisons_of_each_with_each_are_bounded();
}

#[test]
fn g08_a_pointer_of_git_lfs_is_named_and_not_applied() {
    let pointer = "version https://git-lfs.github.com/spec/v1\n\
                   oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n\
                   size 12345\n";
    let kustomization = "resources: [a.yaml]\n";
    let files = [("a.yaml", pointer), ("kustomization.yaml", kustomization)];
    let tree = tree(files.map(|(path, text)| (path, text.to_owned())));
    refused(&tree, "", &["LfsPointer"]);
    let error = run(&tree, "a.yaml", Renderer::Plain).unwrap_err();
    assert_eq!(error.reason().as_str(), "LfsPointer");
    assert!(error.to_string().contains("a.yaml"), "{error}");
}
