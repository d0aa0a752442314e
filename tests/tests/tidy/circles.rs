//! No two files of a crate depend on each other, directly or through others: to change one, all of the circle would
//! have to be read.
//!
//! A file and the files below it are one room, in which dependencies may go both ways. A name that a file re-exports
//! (`pub use child::Name`) counts as the file that declares it, so that no circle is hidden by its room; and a call of
//! a method counts as a reference to the file that declares the method.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;

use super::{files_of, root};

/// A module's path in its crate; empty: the crate's root.
type Module = Vec<String>;

/// A path in code, split at `::`.
type Path = Vec<String>;

/// The maximum number of re-exports that are followed.
const HOPS: usize = 8;

/// One `use`, without the keyword.
static USE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?m)^ *(pub(?:\([a-z_: ]+\))? )?use ([^;]+);").unwrap());

/// A qualified name: `room::Name`.
static PATH: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\w+(?:::\w+)+").unwrap());

/// A name that is declared.
static ITEM: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\b(?:const fn|const|enum|fn|mod|static|struct|trait|type) (\w+)").unwrap()
});

/// An `impl` of a type whose methods are spread over many files, and call each other without a `use`.
static SPREAD: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?ms)^impl Fleet \{$(.*?)^\}$").unwrap());

/// A method of it.
static METHOD: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\bfn (\w+)").unwrap());

/// A call of one.
static CALL: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\bself\s*\.(\w+)\(").unwrap());

/// The module of a path below `src`.
fn module_of(path: &str) -> Module {
    let name = path.strip_suffix(".rs").unwrap_or(path);
    if name == "lib" || name == "main" {
        return Module::new();
    }
    name.split('/').map(str::to_owned).collect()
}

/// What a file declares and refers to.
#[derive(Default)]
struct File {
    /// Imported names and their paths; `*`: a glob import.
    imports: Vec<(String, Path)>,
    /// Paths of the imports that it does not re-export.
    used: Vec<Path>,
    /// Other qualified names.
    paths: Vec<Path>,
    /// Names that it declares.
    declared: BTreeSet<String>,
    /// Methods of a spread type that it has.
    methods: BTreeSet<String>,
    /// Methods of that type that it calls.
    calls: BTreeSet<String>,
}

impl File {
    fn read(&mut self, text: &str) {
        let text = text
            .split("#[cfg(test)]\nmod tests {")
            .next()
            .unwrap_or_default();
        let code: Vec<&str> = text
            .lines()
            .map(|line| line.split("//").next().unwrap_or_default())
            .collect();
        let code = code.join("\n");
        for found in USE.captures_iter(&code) {
            let before = self.imports.len();
            import(&[], &found[2], &mut self.imports);
            if found.get(1).is_none() {
                let own = self.imports.iter().skip(before);
                self.used.extend(own.map(|(_, path)| path.clone()));
            }
        }
        let rest = USE.replace_all(&code, "");
        let paths = PATH.find_iter(&rest).map(|found| found.as_str());
        self.paths
            .extend(paths.map(|path| path.split("::").map(str::to_owned).collect::<Path>()));
        let items = ITEM.captures_iter(&code);
        self.declared.extend(items.map(|found| found[1].to_owned()));
        for found in SPREAD.captures_iter(&code) {
            let methods = METHOD.captures_iter(&found[1]);
            self.methods
                .extend(methods.map(|found| found[1].to_owned()));
            let calls = CALL.captures_iter(&found[1]);
            self.calls.extend(calls.map(|found| found[1].to_owned()));
        }
    }
}

/// The names that a `use` imports: `a::{b, c as d}` is `b` from `a::b`, and `d` from `a::c`.
fn import(head: &[String], tree: &str, found: &mut Vec<(String, Path)>) {
    let (path, group) = tree.split_once('{').unwrap_or((tree, ""));
    let (path, alias) = path.split_once(" as ").unwrap_or((path, ""));
    let parts = path.split("::").map(str::trim);
    let parts = parts.filter(|part| !part.is_empty()).map(str::to_owned);
    let mut path: Path = head.iter().cloned().chain(parts).collect();
    if let Some(group) = group.trim_end().strip_suffix('}') {
        let mut depth = 0;
        let branches = group.split(|one: char| {
            match one {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            one == ',' && depth == 0
        });
        for branch in branches.filter(|branch| !branch.trim().is_empty()) {
            import(&path, branch, found);
        }
        return;
    }
    let is_all = path.last().is_some_and(|last| last == "*");
    if is_all || path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    let name = match (is_all, alias.trim()) {
        (true, _) => "*".to_owned(),
        (false, "") => path.last().cloned().unwrap_or_default(),
        (false, alias) => alias.to_owned(),
    };
    found.push((name, path));
}

/// The files of a crate.
struct Crate(BTreeMap<Module, File>);

impl Crate {
    /// The file that declares what a path refers to, resolved in a file. A name that no file of the crate declares
    /// counts as that file's own.
    fn find(&self, from: &Module, path: &[String], hops: usize) -> Module {
        let Some((first, rest)) = path.split_first() else {
            return from.clone();
        };
        let mut next = from.clone();
        match first.as_str() {
            "crate" => next.clear(),
            "super" => {
                next.pop();
            }
            "self" => {}
            name => next.push(name.to_owned()),
        }
        if next.len() <= from.len() || self.0.contains_key(&next) {
            return self.find(&next, rest, hops);
        }
        // Not a file, so it is a name: imported or declared there.
        let (Some(file), Some(hops)) = (self.0.get(from), hops.checked_sub(1)) else {
            return from.clone();
        };
        if let Some((_, path)) = file.imports.iter().find(|(name, _)| name == first) {
            let path = [path.as_slice(), rest].concat();
            return self.find(from, &path, hops);
        }
        let all = file.imports.iter().filter(|(name, _)| name == "*");
        all.map(|(_, path)| self.find(from, path, 0))
            .find(|there| {
                let there = self.0.get(there);
                there.is_some_and(|file| file.declared.contains(first))
            })
            .unwrap_or_else(|| from.clone())
    }

    /// The files on which a file depends. Not counted: what a room re-exports from the files below it, and what those
    /// files use of the room.
    fn needs(&self, module: &Module, file: &File) -> BTreeSet<Module> {
        let imports = file.imports.iter().map(|(_, path)| path);
        let imports = imports.map(|path| self.find(module, path, HOPS));
        let imports = imports.filter(|other| !other.starts_with(module));
        let used = file.used.iter().chain(&file.paths);
        let used = used.map(|path| self.find(module, path, HOPS));
        let called = self.0.iter();
        let called = called.filter(|(_, other)| !other.methods.is_disjoint(&file.calls));
        imports
            .chain(used)
            .chain(called.map(|(other, _)| other.clone()))
            .filter(|other| !module.starts_with(other))
            .collect()
    }
}

/// Circles of modules, each with its names sorted.
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

/// The circles of a crate, from its sources with their paths.
fn of_crate(files: &[(String, String)]) -> Vec<Vec<String>> {
    let mut all: BTreeMap<Module, File> = BTreeMap::new();
    for (path, text) in files {
        all.entry(module_of(path)).or_default().read(text);
    }
    let all = Crate(all);
    let edges = all
        .0
        .iter()
        .map(|(module, file)| (module.clone(), all.needs(module, file)));
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
    assert!(found.is_empty(), "circles of files:\n{found:#?}");
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
    // A method call needs no `use`.
    let method = |name: &str, called: &str| {
        let body = format!("    fn {name}(&self) {{\n        self\n.{called}()\n    }}");
        format!("use super::Fleet;\nimpl Fleet {{\n{body}\n}}\n")
    };
    let spread = [
        file("fleet.rs", "mod a;\nmod b;\nstruct Fleet;\n"),
        file("fleet/a.rs", &method("one", "two")),
        file("fleet/b.rs", &method("two", "one")),
    ];
    assert_eq!(of_crate(&spread), [["fleet/a", "fleet/b"]]);
    // What the room only re-exports counts as the file that declares it.
    let hidden = [
        file(
            "room.rs",
            "mod a;\nmod b;\nmod c;\npub use a::{A, Other as Another};\npub(super) use b::*;\n",
        ),
        file("room/a.rs", "use super::{\n    B,\n    c::{self, C},\n};\n"),
        file(
            "room/b.rs",
            "use super::super::room;\npub struct B(room::Another);\n",
        ),
        file("room/c.rs", "fn f() -> crate::room::A {}\n"),
        file("d.rs", "use crate::room::B;\n"),
    ];
    assert_eq!(of_crate(&hidden), [["room/a", "room/b", "room/c"]]);
    let declared = [
        file("room.rs", "mod a;\nmod b;\npub use other::B;\nstruct A;\n"),
        file("room/a.rs", "use super::{A, B, b};\n"),
        file("room/b.rs", "use super::{A, B};\n"),
    ];
    assert!(of_crate(&declared).is_empty());
    // A room that calls a file below it, which depends on the room through a third file.
    let called = [
        file("a.rs", "mod b;\npub struct A;\nfn f() {\n    b::f()\n}\n"),
        file("a/b.rs", "use crate::c::C;\n"),
        file("c.rs", "use crate::a::A;\n"),
    ];
    assert_eq!(of_crate(&called), [["a", "a/b", "c"]]);
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
