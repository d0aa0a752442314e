//! No two files of a crate need each other: who changes one has to read the other, and so on around.
//!
//! A file and the files below it are one room, which may speak both ways.

use std::collections::{BTreeMap, BTreeSet};

use super::{files_of, root};

/// A module's path in its crate; empty: the crate's root.
type Module = Vec<String>;

/// A circle that stands, and why.
const KNOWN: &[(&str, &str)] = &[(
    "agent/helm/src: template/engine, template/execute",
    "what executes a template calls the engine for the templates that it includes",
)];

/// The module that a path below `src` holds.
fn module_of(path: &str) -> Module {
    let name = path.strip_suffix(".rs").unwrap_or(path);
    if name == "lib" || name == "main" {
        return Module::new();
    }
    name.split('/').map(str::to_owned).collect()
}

/// Which modules a text names, by longest known path.
fn names(text: &str, module: &Module, known: &BTreeSet<Module>) -> BTreeSet<Module> {
    let text = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default();
    let code: Vec<&str> = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect();
    let code = code.join("\n");
    let mut found = BTreeSet::new();
    for (at, word) in code
        .match_indices("crate::")
        .chain(code.match_indices("super::"))
    {
        let before = code.get(..at).unwrap_or_default();
        if before.ends_with("::") || before.ends_with(|one: char| one.is_alphanumeric()) {
            continue;
        }
        let mut base = module.clone();
        let mut rest = code.get(at + word.len()..).unwrap_or_default();
        if word == "crate::" {
            base.clear();
        } else {
            base.pop();
            while let Some(next) = rest.strip_prefix("super::") {
                base.pop();
                rest = next;
            }
        }
        for path in paths(rest) {
            let mut place = base.clone();
            for part in path {
                place.push(part);
                if !known.contains(&place) {
                    place.pop();
                    break;
                }
            }
            found.insert(place);
        }
    }
    // A room and what is below it speak both ways.
    found.retain(|one| !one.is_empty() && !one.starts_with(module) && !module.starts_with(one));
    found
}

/// The paths that follow a prefix: `a::b`, or each of `{a::b, c}`. What is nested deeper is of no matter.
fn paths(text: &str) -> Vec<Vec<String>> {
    let of = |path: &str| -> Vec<String> {
        path.split("::")
            .map(|part| {
                part.trim()
                    .split([' ', '{', ',', ';', '(', '<'])
                    .next()
                    .unwrap_or_default()
            })
            .take_while(|part| !part.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let end = text.find([';', '\n']).unwrap_or(text.len());
    let line = text.get(..end).unwrap_or_default();
    match text.find('{').filter(|at| {
        text.get(..*at)
            .is_some_and(|head| !head.contains([';', '\n', ' ', '(']))
    }) {
        Some(at) => {
            let head = of(text.get(..at).unwrap_or_default());
            let inner = text.get(at + 1..).unwrap_or_default();
            let inner = inner.split('}').next().unwrap_or_default();
            let mut all = vec![head.clone()];
            all.extend(inner.split(',').map(|one| {
                let mut path = head.clone();
                path.extend(of(one));
                path
            }));
            all
        }
        None => vec![of(line)],
    }
}

/// Circles among modules, each with its names in order.
fn circles(edges: &BTreeMap<Module, BTreeSet<Module>>) -> Vec<Vec<String>> {
    let reach = |from: &Module| {
        let mut seen = BTreeSet::new();
        let mut next: Vec<&Module> = edges.get(from).into_iter().flatten().collect();
        while let Some(one) = next.pop() {
            if seen.insert(one) {
                next.extend(edges.get(one).into_iter().flatten());
            }
        }
        seen
    };
    let reached: BTreeMap<&Module, BTreeSet<&Module>> =
        edges.keys().map(|one| (one, reach(one))).collect();
    let mut found = BTreeSet::new();
    for (one, all) in &reached {
        if all.contains(one) {
            let circle = all
                .iter()
                .filter(|other| reached.get(*other).is_some_and(|back| back.contains(one)));
            found.insert(circle.map(|module| module.join("/")).collect::<Vec<_>>());
        }
    }
    found.into_iter().collect()
}

/// The circles of a crate whose sources are below `room`, with their texts.
fn of_crate(files: &[(String, String)]) -> Vec<Vec<String>> {
    let known: BTreeSet<Module> = files.iter().map(|(path, _)| module_of(path)).collect();
    let edges = files.iter().map(|(path, text)| {
        let module = module_of(path);
        let names = names(text, &module, &known);
        (module, names)
    });
    circles(&edges.collect())
}

#[test]
fn no_files_need_each_other() {
    let mut found = Vec::new();
    let mut read = 0;
    let mut crates = Vec::new();
    for room in ["agent", "hub", "shared", "tests/apiserver", "tests/src"] {
        let mut all: Vec<String> = files_of(room)
            .into_iter()
            .filter_map(|(path, _)| {
                path.split_once("/src/")
                    .map(|(home, _)| format!("{home}/src"))
            })
            .filter(|home| !home.contains("/target/"))
            .collect();
        all.dedup();
        crates.extend(all);
    }
    crates.sort();
    crates.dedup();
    for home in crates {
        let files: Vec<(String, String)> = files_of(&home)
            .into_iter()
            .filter_map(|(path, text)| {
                let below = path.strip_prefix(&format!("{home}/"))?;
                let of_tests = below
                    .split('/')
                    .any(|part| part.contains("tests") || part.starts_with("simulation"));
                (!of_tests).then(|| (below.to_owned(), text))
            })
            .collect();
        read += files.len();
        for circle in of_crate(&files) {
            found.push(format!("{home}: {}", circle.join(", ")));
        }
    }
    assert!(
        read > 300,
        "only {read} files were read below {}",
        root().display()
    );
    let known: BTreeSet<&str> = KNOWN.iter().map(|(circle, _)| *circle).collect();
    let new: Vec<&String> = found
        .iter()
        .filter(|one| !known.contains(one.as_str()))
        .collect();
    assert!(new.is_empty(), "circles of files:\n{new:#?}");
    for circle in known {
        assert!(
            found.iter().any(|one| one == circle),
            "{circle} is open: take it out"
        );
    }
}

#[test]
fn a_planted_circle_is_found() {
    let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let circle = [
        file("lib.rs", "mod a;\nmod b;\nmod c;\n"),
        file("a.rs", "use crate::b::B;\n"),
        file("b.rs", "use super::{c::C, d};\n"),
        file("c.rs", "fn f() -> crate::a::A { todo() }\n"),
    ];
    assert_eq!(of_crate(&circle), [["a", "b", "c"]]);
    let room = [
        file("a.rs", "mod b;\nuse b::B;\n"),
        file("a/b.rs", "use super::A; use crate::c::C;\n"),
        file(
            "c.rs",
            "// crate::a::A\n#[cfg(test)]\nmod tests {\nuse crate::a::A;\n}\n",
        ),
    ];
    assert!(of_crate(&room).is_empty());
}
