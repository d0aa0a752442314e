use flotilla_helm::capabilities::KubeVersion;
use flotilla_shared::chart::Crds;
use flotilla_shared::problem::Problem;
use flotilla_shared::reason::Reason;

use crate::{
    Capabilities, MemoryTree, Options, Release, RenderError, Rendered, Renderer, ValuesFile,
    chart_files, render,
};

const CHART: &str = "apiVersion: v2\nname: web\nversion: 1.0.0\n";

fn config(name: &str, annotations: &str, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  annotations: {{{annotations}}}\ndata:\n  \
         value: {value}\n"
    )
}

fn job(name: &str, annotations: &str) -> String {
    format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: {name}\n  annotations: {{{annotations}}}\n"
    )
}

fn tree(files: &[(&str, &str)]) -> MemoryTree {
    let mut tree = MemoryTree::new();
    for (path, text) in [("charts/web/Chart.yaml", CHART)].iter().chain(files) {
        tree.insert_file(path, text.as_bytes().to_vec()).unwrap();
    }
    tree
}

fn options(release: Release) -> Options {
    Options {
        release: Release {
            name: "web".to_owned(),
            ..release
        },
        ..Options::default()
    }
}

fn rendered(files: &[(&str, &str)], release: Release) -> Result<Rendered, RenderError> {
    render(&tree(files), "charts/web", &options(release))
}

/// Names of objects with an annotation of theirs.
fn annotated(rendered: &Rendered, key: &str) -> Vec<(String, String)> {
    let manifests = rendered.manifests.iter();
    manifests
        .map(|manifest| {
            let annotations = manifest.value.pointer("/metadata/annotations");
            let word = annotations.and_then(|all| all.get(key)?.as_str());
            (manifest.name().to_owned(), word.unwrap_or("-").to_owned())
        })
        .collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |(name, word): &(&str, &str)| ((*name).to_owned(), (*word).to_owned());
    expected.iter().map(own).collect()
}

#[test]
fn a_chart_is_found_and_takes_its_values_in_order() {
    let template = config(
        "{{ .Release.Name }}",
        "",
        "'{{ .Values.a }} {{ .Values.b }} {{ .Values.c }} {{ .Values.d }} {{ .Release.Namespace }}'",
    );
    let files = [
        ("charts/web/templates/a.yaml", template.as_str()),
        (
            "charts/web/values.yaml",
            "a: chart\nb: chart\nc: chart\nd: chart\n",
        ),
        ("charts/web/prod.yaml", "b: file\nc: file\nd: file\n"),
        ("shared/eu.yaml", "c: shared\nd: shared\n"),
    ];
    let release = Release {
        namespace: "front".to_owned(),
        values_files: vec![
            ValuesFile::parse("charts/web/prod.yaml"),
            ValuesFile::parse("shared/eu.yaml?"),
            ValuesFile::parse("shared/none.yaml?"),
        ],
        values: r#"{"d": "own"}"#.to_owned(),
        ..Release::default()
    };
    let rendered = rendered(&files, release.clone()).unwrap();
    let [manifest] = rendered.manifests.as_slice() else {
        panic!("{rendered:#?}");
    };
    assert_eq!(manifest.name(), "web");
    assert_eq!(
        manifest.value.pointer("/data/value").unwrap(),
        "chart file shared own front"
    );
    assert_eq!(manifest.origin.to_string(), "charts/web/templates/a.yaml:1");
    let read: Vec<&str> = rendered.files_read.iter().map(String::as_str).collect();
    assert_eq!(
        read,
        [
            "charts/web/Chart.yaml",
            "charts/web/prod.yaml",
            "charts/web/templates/a.yaml",
            "charts/web/values.yaml",
            "shared/eu.yaml"
        ]
    );
    // A missing file decides as well, by the directory it would be in.
    let paths: Vec<&str> = rendered.source_paths.iter().collect();
    assert_eq!(paths, ["charts/web", "shared"]);
    let known = chart_files(&tree(&files), "charts/web", &options(release)).unwrap();
    assert_eq!(known, Some(rendered.files_read));
}

#[test]
fn the_renderer_that_is_named_wins() {
    let template = config("a", "", "x");
    let files = [("charts/web/a.yaml", template.as_str())];
    let names = |renderer| {
        let options = Options {
            renderer,
            ..options(Release::default())
        };
        let rendered = render(&tree(&files), "charts/web", &options);
        rendered.map(|rendered| rendered.manifests.len())
    };
    // A file beside `templates/` is not a manifest of a chart.
    assert_eq!(names(Renderer::Auto), Ok(0));
    assert_eq!(names(Renderer::Helm), Ok(0));
    assert!(names(Renderer::Plain).is_err(), "Chart.yaml is no object");
    let mut tree = MemoryTree::new();
    tree.insert_file("plain/a.yaml", template.into_bytes())
        .unwrap();
    let options = Options {
        renderer: Renderer::Helm,
        ..Options::default()
    };
    let error = render(&tree, "plain", &options).unwrap_err();
    assert_eq!(error.reason(), Reason::PathNotFound);
    assert!(error.to_string().contains("plain/Chart.yaml"), "{error}");
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let refused = |files: &[(&str, &str)], release: Release| {
        let error = rendered(files, release).unwrap_err();
        Problem::new(error.reason(), error.to_string())
    };
    let Problem { reason, message } = refused(
        &[(
            "charts/web/templates/a.yaml",
            "a: 1\nb: {{ .Values.x.y }}\n",
        )],
        Release::default(),
    );
    assert_eq!(reason, Reason::RenderFailed);
    assert!(message.contains("web/templates/a.yaml:2:"), "{message}");
    let missing = Release {
        values_files: vec![ValuesFile::parse("charts/web/prod.yaml")],
        ..Release::default()
    };
    let Problem { reason, message } = refused(&[], missing);
    assert_eq!(reason, Reason::PathNotFound);
    assert!(
        message.contains("charts/web/prod.yaml") && message.contains('?'),
        "{message}"
    );
    let random = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {a: {{ randAlphaNum 8 }}}\n";
    let Problem { message, .. } = refused(
        &[("charts/web/templates/a.yaml", random)],
        Release::default(),
    );
    assert!(
        message.contains("a.yaml:4") && message.contains("randAlphaNum"),
        "{message}"
    );
    let derived = Release {
        seed: Some("secret".to_owned()),
        ..Release::default()
    };
    let files = [("charts/web/templates/a.yaml", random)];
    let twice = [rendered(&files, derived.clone()), rendered(&files, derived)];
    assert!(twice[0].is_ok() && twice[0] == twice[1], "{twice:?}");
}

#[test]
fn r12_nothing_of_a_sealed_values_file_is_told() {
    const SECRET: &str = "hunter2";
    let failing = [
        "{{ fail (printf \"bad %s\" .Values.password) }}\n",
        "{{ .Values.password.deeper }}\n",
        "{{ tpl .Values.password . }}{{ required \"x\" .Values.none }}\n",
        "a: {{ .Values.password }}: b: {{ .Values.password }}\n",
        "{{ .Values.password | b64enc | fail }}\n",
        "{{ .Values.password }}\n",
    ];
    for template in failing {
        let files = [
            ("charts/web/templates/a.yaml", template),
            ("charts/web/secret.yaml", "password: hunter2\n"),
        ];
        let release = Release {
            values_files: vec![ValuesFile::parse("charts/web/secret.yaml")],
            sealed: ["charts/web/secret.yaml".to_owned()].into(),
            ..Release::default()
        };
        let text = rendered(&files, release.clone()).unwrap_err().to_string();
        assert!(
            !text.contains(SECRET) && !text.contains("aHVudGVyMg"),
            "{text}"
        );
        assert!(text.contains("templates/a.yaml"), "{template}: {text}");
        // The same message in the clear, where nothing is secret.
        let open = Release {
            sealed: std::collections::BTreeSet::new(),
            ..release
        };
        assert!(rendered(&files, open).is_err());
    }
    let broken = Release {
        values_files: vec![ValuesFile::parse("charts/web/secret.yaml")],
        sealed: ["charts/web/secret.yaml".to_owned()].into(),
        ..Release::default()
    };
    let text = rendered(&[("charts/web/secret.yaml", "hunter2\n")], broken).unwrap_err();
    assert!(!text.to_string().contains(SECRET), "{text}");
}

#[test]
fn hooks_are_those_of_this_kind_of_release() {
    let weight = "helm.sh/hook: pre-install, helm.sh/hook-weight: '-5'";
    let goes = "helm.sh/hook: 'pre-upgrade,post-install', helm.sh/hook-delete-policy: 'before-hook-creation,hook-succeeded'";
    let all = [
        job("first", weight),
        job("both", goes),
        config("account", weight, "x"),
        config(
            "rbac",
            "helm.sh/hook: 'pre-install,pre-upgrade,post-install'",
            "x",
        ),
        config("main", "", "x"),
        job("never", "helm.sh/hook: 'pre-delete,post-delete'"),
        job("back", "helm.sh/hook: pre-rollback"),
        job("check", "helm.sh/hook: test"),
    ]
    .join("---\n");
    let files = [("charts/web/templates/a.yaml", all.as_str())];
    let install = rendered(&files, Release::default()).unwrap();
    let is = |rendered: &Rendered, key: &str, expected: &[(&str, &str)]| {
        let mut found = annotated(rendered, key);
        found.retain(|(_, word)| word != "-");
        found.sort();
        assert_eq!(found, pairs(expected), "{key}");
    };
    let names = |rendered: &Rendered| {
        let mut names: Vec<&str> = rendered
            .manifests
            .iter()
            .map(crate::Manifest::name)
            .collect();
        names.sort_unstable();
        names.join(" ")
    };
    assert_eq!(names(&install), "account both first main rbac");
    is(
        &install,
        "flotilla.dev/hook",
        &[("both", "post-sync"), ("first", "pre-sync")],
    );
    is(
        &install,
        "flotilla.dev/hook-helper",
        &[("account", "pre-sync"), ("rbac", "both")],
    );
    is(
        &install,
        "flotilla.dev/wave",
        &[
            ("account", "-5"),
            ("both", "0"),
            ("first", "-5"),
            ("rbac", "0"),
        ],
    );
    is(
        &install,
        "flotilla.dev/hook-delete",
        &[("both", "succeeded")],
    );
    is(
        &install,
        "flotilla.dev/prune",
        &[("account", "disabled"), ("rbac", "disabled")],
    );
    let upgrade = Release {
        is_upgrade: true,
        ..Release::default()
    };
    let upgrade = rendered(&files, upgrade).unwrap();
    assert_eq!(names(&upgrade), "both main rbac");
    is(&upgrade, "flotilla.dev/hook", &[("both", "pre-sync")]);
    let told: Vec<(Reason, &str)> = upgrade
        .notes
        .iter()
        .map(|note| (note.reason, note.message.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (
                Reason::HookNotRun,
                "charts/web/templates/a.yaml: Job never is a delete hook, which is not run"
            ),
            (
                Reason::HookNotRun,
                "charts/web/templates/a.yaml: Job back is a rollback hook, which is not run: a rollback is \
                 an upgrade here"
            ),
        ]
    );
}

#[test]
fn definitions_come_first_and_kept_objects_stay() {
    let definition = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: a.b}\n";
    let kept = config("data", "helm.sh/resource-policy: keep", "x");
    let files = [
        ("charts/web/crds/a.yaml", definition),
        ("charts/web/templates/a.yaml", kept.as_str()),
    ];
    let with = |crds| {
        let release = Release {
            crds,
            ..Release::default()
        };
        rendered(&files, release).unwrap()
    };
    let apply = with(Crds::Apply);
    assert_eq!(
        annotated(&apply, "flotilla.dev/prune"),
        pairs(&[("a.b", "disabled"), ("data", "disabled")])
    );
    assert_eq!(
        annotated(&apply, "flotilla.dev/hook-helper"),
        pairs(&[("a.b", "first"), ("data", "-")])
    );
    assert_eq!(
        annotated(&apply, "flotilla.dev/create-only"),
        pairs(&[("a.b", "-"), ("data", "-")])
    );
    assert_eq!(
        annotated(&with(Crds::Create), "flotilla.dev/create-only")[0].1,
        "true"
    );
    assert_eq!(with(Crds::Skip).manifests.len(), 1);
}

#[test]
fn warnings_name_the_file_in_the_tree() {
    let template = config("a", "", "{{ lookup \"v1\" \"Secret\" \"a\" \"b\" | len }}");
    let files = [("charts/web/templates/a.yaml", template.as_str())];
    let warned = rendered(&files, Release::default()).unwrap();
    let [note] = warned.notes.as_slice() else {
        panic!("{warned:#?}");
    };
    assert_eq!(note.reason, Reason::ChartWarning);
    assert!(
        note.message.starts_with("charts/web/templates/a.yaml:7: "),
        "{}",
        note.message
    );
    let strict = Release {
        strict: true,
        ..Release::default()
    };
    assert!(rendered(&files, strict).is_err());
}

#[test]
fn a_lock_that_is_out_of_sync_is_told_and_missing_charts_are_refused() {
    use flotilla_helm::chart::{Dependency, Lock, digest};
    let asked = |version: &str| {
        format!(
            "dependencies: [{{name: db, version: '{version}', repository: 'https://charts.example.com'}}]\n"
        )
    };
    let lock = |asked: &str, locked: &str| {
        let dependencies =
            |version: &str| vec![Dependency::new("db", version, "https://charts.example.com")];
        let lock = Lock {
            generated: "2026-11-27T10:00:00Z".to_owned(),
            digest: digest(&dependencies(asked), &dependencies(locked)),
            dependencies: dependencies(locked),
        };
        lock.to_yaml().unwrap().lossy().into_owned()
    };
    let notes = |asked_for: &str, lock: &str, present: &str| {
        let (chart, db) = (
            asked(asked_for),
            format!("apiVersion: v2\nname: db\nversion: {present}\n"),
        );
        let files = [
            ("charts/web/requirements.yaml", chart.as_str()),
            ("charts/web/Chart.lock", lock),
            ("charts/web/charts/db/Chart.yaml", &db),
        ];
        let rendered = rendered(&files, Release::default()).unwrap();
        let texts = rendered.notes.into_iter();
        texts
            .map(|note| format!("{}: {}", note.reason, note.message))
            .collect::<Vec<_>>()
    };
    assert!(notes("^1.0.0", &lock("^1.0.0", "1.2.0"), "1.2.0").is_empty());
    assert_eq!(
        notes("^2.0.0", &lock("^1.0.0", "1.2.0"), "1.2.0"),
        [
            "ChartWarning: charts/web: the lock is out of sync with Chart.yaml: it has db 1.2.0, but the chart \
             asks for ^2.0.0; `flotilla chart vendor charts/web` updates both"
        ]
    );
    assert_eq!(
        notes("^1.0.0", &lock("^1.0.0", "1.2.0"), "1.1.0"),
        [
            "ChartWarning: charts/web: the lock has db 1.2.0, but charts/ holds another version of it; \
             `flotilla chart vendor charts/web` updates both"
        ]
    );
    let error = rendered(
        &[("charts/web/requirements.yaml", &asked("^1.0.0"))],
        Release::default(),
    );
    let text = error.unwrap_err().to_string();
    assert!(text.contains("`helm dependency build`"), "{text}");
    assert!(
        text.contains("`flotilla chart vendor charts/web` fetches them"),
        "{text}"
    );
}

#[test]
fn what_was_asked_of_the_cluster_is_known_afterwards() {
    let asks = config(
        "a",
        "",
        "'{{ .Capabilities.APIVersions.Has \"batch/v1/Job\" }}'",
    );
    let of = |version: &str, apis: &[&str]| {
        let version = KubeVersion::parse(version).unwrap();
        Capabilities::of_cluster(version, apis.iter().map(|api| (*api).to_owned()))
    };
    let cluster = of("1.31.0", &["batch/v1", "batch/v1/Job"]);
    let (capabilities, asked) = cluster.clone().noting();
    let release = Release {
        capabilities,
        ..Release::default()
    };
    let made = rendered(&[("charts/web/templates/a.yaml", &asks)], release).unwrap();
    assert_eq!(
        made.manifests[0].value.pointer("/data/value").unwrap(),
        "true"
    );
    let answers = cluster.answers(&asked);
    assert!(of("1.32.0", &["batch/v1/Job"]).agrees(&answers));
    assert!(!of("1.31.0", &["batch/v1"]).agrees(&answers));
}

#[test]
fn r05_hostile_trees_are_refused() {
    let big = "x".repeat(9 << 20);
    let error = rendered(&[("charts/web/files/big", &big)], Release::default()).unwrap_err();
    assert_eq!(error.reason(), Reason::FileTooLarge);
    let mut circle = tree(&[]);
    circle
        .insert_symlink("charts/web/templates/again", "../../web".to_owned())
        .unwrap();
    let error = render(&circle, "charts/web", &options(Release::default())).unwrap_err();
    assert_eq!(error.reason(), Reason::LimitExceeded);
    let mut out = tree(&[]);
    out.insert_symlink("charts/web/files/out", "../../../../etc/passwd".to_owned())
        .unwrap();
    let error = render(&out, "charts/web", &options(Release::default())).unwrap_err();
    assert_eq!(error.reason(), Reason::SymlinkRefused);
    let mut module = tree(&[]);
    module.insert_submodule("charts/web/charts/sub").unwrap();
    let error = render(&module, "charts/web", &options(Release::default())).unwrap_err();
    assert_eq!(error.reason(), Reason::Submodule);
}
