//! References that Kustomize allows or refuses: outside, remote, run, hidden, or secret.

use flotilla_render::{MemoryTree, Options, RenderError, Rendered, Renderer, render};

fn tree(files: &[(&str, &str)]) -> MemoryTree {
    let mut tree = MemoryTree::new();
    for (path, text) in files {
        let inserted = match text.strip_prefix("link:") {
            Some(target) => tree.insert_symlink(path, target.to_owned()),
            None => tree.insert_file(path, text.as_bytes().to_vec()),
        };
        assert_eq!(inserted, Ok(()));
    }
    tree
}

fn run(tree: &MemoryTree) -> Result<Rendered, RenderError> {
    let options = Options {
        renderer: Renderer::Kustomize,
        ..Options::default()
    };
    render(tree, "app", &options)
}

const CONFIG_MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n";

/// The application with one more field, beside files that it may not read.
fn with(field: &str) -> Result<Rendered, RenderError> {
    let kustomization = format!("resources: [x.yaml]\n{field}\n");
    run(&tree(&[
        ("app/kustomization.yaml", &kustomization),
        ("app/x.yaml", CONFIG_MAP),
        ("app/in/y.yaml", "a: b\n"),
        ("app/out.yaml", "link:../secret.yaml"),
        ("app/abs.yaml", "link:/etc/passwd"),
        ("app/up.yaml", "link:../../../etc/passwd"),
        ("app/dir", "link:../other"),
        ("app/in/link.yaml", "link:y.yaml"),
        ("secret.yaml", CONFIG_MAP),
        ("other/secret.yaml", CONFIG_MAP),
    ]))
}

fn reason(result: &Result<Rendered, RenderError>) -> &'static str {
    match result {
        Ok(_) => "rendered",
        Err(error) => error.reason().as_str(),
    }
}

#[test]
fn r05_every_reference_stays_in_its_root() {
    for field in [
        "patches: [{path: PATH}]",
        "patchesStrategicMerge: [PATH]",
        "patchesJson6902: [{path: PATH, target: {kind: ConfigMap, name: x}}]",
        "configMapGenerator: [{name: g, files: [PATH]}]",
        "configMapGenerator: [{name: g, files: ['k=PATH']}]",
        "secretGenerator: [{name: g, envs: [PATH]}]",
        "secretGenerator: [{name: g, env: PATH}]",
        "replacements: [{path: PATH}]",
        "configurations: [PATH]",
        "crds: [PATH]",
        "openapi: {path: PATH}",
        "transformers: [PATH]",
        "generators: [PATH]",
    ] {
        for (path, reasons) in [
            ("../secret.yaml", &["OutsideRoot"][..]),
            ("in/../../secret.yaml", &["OutsideRoot"]),
            ("../../../secret.yaml", &["OutsideRoot"]),
            ("/etc/passwd", &["OutsideRoot"]),
            ("out.yaml", &["OutsideRoot"]),
            ("dir/secret.yaml", &["OutsideRoot"]),
            ("abs.yaml", &["SymlinkRefused"]),
            ("up.yaml", &["SymlinkRefused"]),
            ("missing.yaml", &["PathNotFound"]),
            ("https://example.com/x", &["RemoteReference"]),
            ("git@github.com:a/b", &["RemoteReference"]),
        ] {
            // Where a path may name a base or a file, either of their reasons may be given.
            let result = with(&field.replace("PATH", path));
            assert!(
                reasons.contains(&reason(&result)),
                "{field} {path}: {result:?}"
            );
        }
    }
    assert_eq!(
        reason(&with(
            "configMapGenerator: [{name: g, files: [in/link.yaml, in/../in/y.yaml]}]"
        )),
        "rendered"
    );
    for field in ["bases", "components", "resources"] {
        for (path, expected) in [
            ("../../..", "OutsideRoot"),
            ("..", "Cycle"),
            (".", "Cycle"),
            ("in/..", "Cycle"),
            ("https://example.com/x?ref=v1", "RemoteReference"),
            ("github.com/a/b//c", "RemoteReference"),
        ] {
            let kustomization = format!("namePrefix: a-\n{field}: ['{path}']\n");
            let result = run(&tree(&[("app/kustomization.yaml", &kustomization)]));
            assert_eq!(reason(&result), expected, "{field} {path}: {result:?}");
        }
    }
}

#[test]
fn r04_what_would_run_a_program_is_refused() {
    for (field, expected) in [
        ("helmCharts: [{name: c}]", "HelmRefused"),
        ("helmGlobals: {configHome: /x}", "HelmRefused"),
        (
            "helmChartInflationGenerator: [{chartName: c}]",
            "HelmRefused",
        ),
        ("validators: [x.yaml]", "ExecRefused"),
        (
            "generators: ['{apiVersion: builtin, kind: HelmChartInflationGenerator, metadata: {name: x}}']",
            "HelmRefused",
        ),
        (
            "generators: ['{apiVersion: e.com/v1, kind: Plugin, metadata: {name: x}}']",
            "ExecRefused",
        ),
        (
            "transformers: ['{apiVersion: e.com/v1, kind: Plugin, metadata: {name: x}}']",
            "ExecRefused",
        ),
        (
            "transformers:\n- |-\n  apiVersion: builtin\n  kind: LabelTransformer\n  metadata:\n    name: x\n    \
             annotations:\n      config.kubernetes.io/function: |\n        exec: {path: /bin/sh}\n",
            "ExecRefused",
        ),
    ] {
        let result = with(field);
        assert_eq!(reason(&result), expected, "{field}: {result:?}");
    }
}

#[test]
fn r11_no_object_hides_in_a_list() {
    let nested = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: RoleList\n  items:\n  - \
                  {apiVersion: v1, kind: Role, metadata: {name: r}}\n";
    let kustomization = "resources: [x.yaml]\n";
    let rendered = run(&tree(&[
        ("app/kustomization.yaml", kustomization),
        ("app/x.yaml", nested),
    ]));
    let kinds: Vec<String> = rendered
        .iter()
        .flat_map(|rendered| &rendered.manifests)
        .map(|manifest| manifest.kind().to_owned())
        .collect();
    assert_eq!(kinds, ["Role"]);
    let result = with(
        "patches:\n- target: {kind: ConfigMap}\n  patch: |-\n    - {op: replace, path: /kind, value: List}\n    - \
         {op: add, path: /items, value: [{apiVersion: v1, kind: Secret, metadata: {name: s}}]}\n",
    );
    assert_eq!(reason(&result), "NotAManifest", "{result:?}");
}

#[test]
fn r12_errors_do_not_tell_secrets() {
    const CANARY: &str = "c4n4ry";
    let secret = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\ndata: {{k: {CANARY}}}\nnumber: 5\nlist: [{CANARY}]\n"
    );
    for field in [
        "patches: [{target: {kind: Secret}, patch: '[{op: test, path: /data/k, value: x}]'}]",
        "patches: [{target: {kind: Secret}, patch: '[{\"op\": \"test\", \"path\": \"/data/k\", \"value\": \"x\"}]'}]",
        "patches: [{target: {kind: Secret}, patch: '[{\"op\": \"add\", \"path\": \"/data/k/x\", \"value\": 1}]'}]",
        "patches: [{patch: '{apiVersion: v1, kind: Secret, metadata: {name: s}, data: {k: [a]}}'}]",
        "replacements: [{source: {kind: Secret, fieldPath: data.k}, targets: [{select: {kind: Secret}, fieldPaths: [number]}]}]",
        "replacements: [{source: {kind: Secret, fieldPath: data.k.x}, targets: [{select: {kind: Secret}}]}]",
        "replacements: [{source: {kind: Secret, fieldPath: data.k, options: {delimiter: '4', index: 9}}, targets: [{select: {kind: Secret}}]}]",
        "vars: [{name: V, objref: {apiVersion: v1, kind: Secret, name: s}, fieldref: {fieldPath: data.k.x}}]",
        "secretGenerator: [{name: g, literals: [c4n4ry]}]",
        "secretGenerator: [{name: g, literals: [a=c4n4ry, a=c4n4ry]}]",
        "secretGenerator: [{name: s, literals: [a=c4n4ry]}]",
        "secretGenerator: [{name: g, literals: [{a: c4n4ry}]}]",
        "commonLabels: [c4n4ry]",
        "configurations: [s.yaml]",
        "crds: [s.yaml]",
    ] {
        let kustomization = format!("resources: [s.yaml]\n{field}\n");
        let result = run(&tree(&[
            ("app/kustomization.yaml", &kustomization),
            ("app/s.yaml", &secret),
        ]));
        let error = result.err().map(|error| error.to_string());
        assert!(error.is_some(), "{field}");
        assert!(!error.unwrap_or_default().contains(CANARY), "{field}");
    }
}

#[test]
fn unknown_fields_are_named_with_the_nearest_known_one() {
    for (field, text) in [
        (
            "namePrefx: a-",
            "app/kustomization.yaml:2: unknown key `namePrefx`; did you mean `namePrefix`?",
        ),
        (
            "images: [{name: a, newtags: b}]",
            "app/kustomization.yaml:2: images[0]: unknown key `newtags`; did you mean `newTag`?",
        ),
        (
            "patches: [{target: {knd: a}, patch: '{}'}]",
            "app/kustomization.yaml:2: patches[0].target: unknown key `knd`; did you mean `kind`?",
        ),
        (
            "nothing:",
            "app/kustomization.yaml:2: unknown key `nothing`",
        ),
    ] {
        let error = with(field)
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(error.contains(text), "{error}");
    }
}
