//! Which packages the programs may contain (SC1), and the list of their contents that they publish (SC3).
//!
//! `cargo deny check` does more (advisories), but needs a network and its own program; this checks `Cargo.lock`
//! against the rest of `deny.toml` in each run, and shows that the rules catch what they should.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use flotilla_tests::programs;
use serde_json::Value;

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The quoted strings between a key's `[` and its `]`: no more TOML is needed here.
fn list(toml: &str, key: &str) -> BTreeSet<String> {
    let begin = toml
        .find(&format!("\n{key} = ["))
        .expect("the key is there");
    let rest = &toml[begin..];
    let rest = &rest[..rest
        .find("\n]")
        .or_else(|| rest.find("]\n"))
        .expect("the list ends")];
    rest.split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// The values of `crate` in a list of tables.
fn banned(toml: &str) -> BTreeSet<String> {
    let lines = toml
        .lines()
        .filter_map(|line| line.trim().strip_prefix("{ crate = \""));
    lines
        .filter_map(|rest| rest.split('"').next())
        .map(str::to_owned)
        .collect()
}

/// Versions that are allowed beside another one: the values of `crate` with an `@`.
fn skipped_versions(toml: &str) -> BTreeSet<String> {
    let all = banned(toml);
    all.into_iter().filter(|name| name.contains('@')).collect()
}

/// For each name with several versions, all but the newest, as `name@version`.
fn doubled<'a>(packages: impl Iterator<Item = (&'a str, &'a str)>) -> BTreeSet<String> {
    let mut versions = BTreeMap::<&str, Vec<(Vec<u64>, &str)>>::new();
    for (name, version) in packages {
        let plain = version.split(['-', '+']).next().unwrap_or_default();
        let numbers = plain.split('.').map(|part| part.parse().unwrap_or(0));
        versions
            .entry(name)
            .or_default()
            .push((numbers.collect(), version));
    }
    let mut older = BTreeSet::new();
    for (name, mut all) in versions {
        all.sort();
        all.pop();
        older.extend(all.iter().map(|(_, version)| format!("{name}@{version}")));
    }
    older
}

/// The rules that a package violates.
fn faults(package: &Value, licences: &BTreeSet<String>, banned: &BTreeSet<String>) -> Vec<String> {
    let name = package["name"].as_str().unwrap();
    let mut faults = Vec::new();
    if banned.contains(name) {
        faults.push(format!("{name} is banned"));
    }
    match package["source"].as_str() {
        None | Some(REGISTRY) => {}
        Some(other) => faults.push(format!("{name} comes from {other}")),
    }
    let Some(licence) = package["license"].as_str() else {
        faults.push(format!("{name} names no licence"));
        return faults;
    };
    // SPDX: one of the alternatives has to be allowed, and all of a conjunction. The deprecated `/` means `OR`.
    let licence = licence.replace('/', " OR ").replace(['(', ')'], " ");
    let mut alternatives = licence
        .split(" OR ")
        .map(str::trim)
        .filter(|licence| !licence.is_empty());
    let is_allowed = |all: &str| {
        all.split(" AND ")
            .all(|licence| licences.contains(licence.trim()))
    };
    if !alternatives.any(is_allowed) {
        faults.push(format!("{name} is under {licence}"));
    }
    faults
}

#[test]
fn sc01_only_what_is_allowed_is_linked() {
    let toml = std::fs::read_to_string(root().join("deny.toml")).unwrap();
    let (licences, banned) = (list(&toml, "allow"), banned(&toml));
    assert!(
        licences.contains("MIT") && banned.contains("openssl"),
        "{licences:?} {banned:?}"
    );
    let platform = ["--filter-platform", "x86_64-unknown-linux-gnu"];
    let metadata = programs::metadata(&platform).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 200, "{}", packages.len());
    // Only packages that are resolved for this platform: the lock file also lists those of other systems.
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let used: BTreeSet<&str> = nodes
        .iter()
        .filter_map(|node| node["id"].as_str())
        .collect();
    let used = packages
        .iter()
        .filter(|package| used.contains(package["id"].as_str().unwrap()));
    let used: Vec<&Value> = used.collect();
    let found: Vec<String> = used
        .iter()
        .flat_map(|package| faults(package, &licences, &banned))
        .collect();
    assert!(found.is_empty(), "{found:#?}");

    // A second version needs an entry with a reason in deny.toml, and no entry may outlive its version.
    let skipped: BTreeSet<String> = skipped_versions(&toml);
    let several = doubled(used.iter().map(|package| {
        let text = |key: &str| package[key].as_str().unwrap_or_default();
        (text("name"), text("version"))
    }));
    assert_eq!(several, skipped, "deny.toml's skips against what is linked");

    // The check fails for each bad case.
    let two = [("a", "0.9.5"), ("a", "0.10.1"), ("b", "1.0.0")];
    assert_eq!(
        doubled(two.into_iter()),
        BTreeSet::from(["a@0.9.5".to_owned()])
    );
    let good = serde_json::json!({"name": "a", "source": REGISTRY, "license": "MIT OR Apache-2.0"});
    assert!(faults(&good, &licences, &banned).is_empty());
    for (key, bad) in [
        ("name", serde_json::json!("openssl")),
        ("name", serde_json::json!("serde_yaml")),
        ("source", serde_json::json!("git+https://git.example.com/a")),
        (
            "source",
            serde_json::json!("registry+https://registry.example.com/index"),
        ),
        ("license", serde_json::json!("GPL-3.0-only")),
        ("license", serde_json::json!("MIT AND GPL-2.0-only")),
        ("license", Value::Null),
    ] {
        let mut package = good.clone();
        package[key] = bad.clone();
        assert_eq!(
            faults(&package, &licences, &banned).len(),
            1,
            "{key}: {bad}"
        );
    }
}

#[test]
fn sc03_the_bill_of_materials_names_all_that_is_linked() {
    if Command::new("jq").arg("--version").output().is_err() {
        flotilla_needs::skip("jq");
        return;
    }
    for program in ["flotilla-agent", "flotilla-hub", "flotilla-cli"] {
        let output = Command::new(root().join(".ci/sbom"))
            .arg(program)
            .output()
            .unwrap();
        let bill = programs::printed(output).unwrap();
        let bill: Value = serde_json::from_slice(&bill).unwrap();
        assert_eq!(bill["bomFormat"], "CycloneDX");
        assert_eq!(bill["metadata"]["component"]["name"], program);
        let components = bill["components"].as_array().unwrap();
        let purl = |component: &Value| component["purl"].as_str().unwrap().to_owned();
        let named: BTreeSet<String> = components.iter().map(purl).collect();
        let licensed = components
            .iter()
            .all(|component| component["licenses"].is_array());
        assert!(licensed, "{program}: a component names no licence");
        let tree = Command::new("cargo")
            .args(["tree", "--locked", "-p", program, "-e", "normal"])
            .args(["--target", "x86_64-unknown-linux-gnu", "--prefix", "none"])
            .args(["--format", "{p}"])
            .current_dir(root())
            .output()
            .unwrap();
        let tree = String::from_utf8(tree.stdout).unwrap();
        let linked = tree.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
            (name != program).then(|| format!("pkg:cargo/{name}@{version}"))
        });
        let missing: BTreeSet<String> = linked.filter(|package| !named.contains(package)).collect();
        assert!(missing.is_empty(), "{program}: {missing:?}");
        assert!(
            named
                .iter()
                .any(|package| package.starts_with("pkg:cargo/ring@"))
        );
        assert!(
            !named
                .iter()
                .any(|package| package.starts_with("pkg:cargo/openssl@"))
        );
    }
}

/// Each package with its features, as cargo would build it for a selection.
fn built(selection: &[&str]) -> BTreeSet<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args([
            "tree",
            "--locked",
            "--prefix",
            "none",
            "--format",
            "{p} [{f}]",
        ])
        .args(selection)
        .current_dir(root())
        .output()
        .unwrap();
    let text = String::from_utf8(programs::printed(output).unwrap()).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty());
    lines
        .map(|line| line.trim_end_matches(" (*)").to_owned())
        .collect()
}

#[test]
fn the_demo_and_the_tests_compile_nothing_twice() {
    let tests = built(&["--workspace", "--edges", "normal,build,dev"]);
    assert!(tests.len() > 200, "{}", tests.len());
    for selection in [
        ["--package", "flotilla-tests"].as_slice(),
        ["--workspace"].as_slice(),
    ] {
        let mut words = selection.to_vec();
        words.extend(["--edges", "normal,build"]);
        let other: Vec<String> = built(&words).difference(&tests).cloned().collect();
        assert!(
            other.is_empty(),
            "built with other features than for the tests, so compiled twice: name the missing features \
             where they are not turned on (tests/Cargo.toml): {other:#?}"
        );
    }
}

/// All source of a package, without that of packages in directories below it.
fn source(directory: &Path, found: &mut String) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let is_another = path.join("Cargo.toml").exists() || path.ends_with("target");
        if path.is_dir() && !is_another {
            source(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            *found += &std::fs::read_to_string(path).unwrap();
        }
    }
}

/// Whether source refers to a crate: at the start of a path, not as a part of another name.
fn names(source: &str, dependency: &str) -> bool {
    let name = dependency.replace('-', "_");
    let beginning = format!(r"(?m)(^|[^\w:])(::)?{name}(::|!|;| as )");
    regex::Regex::new(&beginning).unwrap().is_match(source)
}

#[test]
fn every_dependency_is_named_in_the_source_of_who_has_it() {
    // Like cargo-machete, which CI would have to compile for minutes.
    let metadata = programs::metadata(&["--no-deps"]).unwrap();
    let (mut unused, mut seen) = (Vec::new(), 0);
    for package in metadata["packages"].as_array().unwrap() {
        let manifest = Path::new(package["manifest_path"].as_str().unwrap());
        let mut text = String::new();
        source(manifest.parent().unwrap(), &mut text);
        let ignored = &package["metadata"]["cargo-machete"]["ignored"];
        let ignored = ignored.as_array().into_iter().flatten();
        let ignored: BTreeSet<&str> = ignored.filter_map(Value::as_str).collect();
        for dependency in package["dependencies"].as_array().unwrap() {
            let name = dependency["rename"].as_str();
            let name = name.or(dependency["name"].as_str()).unwrap();
            seen += 1;
            if !ignored.contains(name) && !names(&text, name) {
                unused.push(format!("{}: {name}", package["name"].as_str().unwrap()));
            }
        }
    }
    assert!(seen > 200, "{seen}");
    assert!(unused.is_empty(), "nothing names {unused:#?}");

    // Finds real uses, and nothing else.
    for named in [
        "use a_b::C;",
        "::a_b::c()",
        "a_b!()",
        "use a_b as d;",
        "use a_b;",
    ] {
        assert!(names(named, "a-b"), "{named}");
    }
    for other in ["use c::a_b::D;", "let a_b = 1;", "xa_b::c()", "// a-b"] {
        assert!(!names(other, "a-b"), "{other}");
    }
}
