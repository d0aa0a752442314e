//! The rules that are part of the program, one file per kind: `rules/GROUP/KIND.yaml`. `_` stands for any
//! kind, and `_.SUFFIX` for any group with that suffix. The first line of a file says where the operator's
//! states are documented, so that the rule can be checked; few were checked there when they were written.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, OnceLock};

use cel::Env;
use flotilla_shared::health::Health;
use flotilla_yaml::config::ConfigError;
use serde_json::Value;

use super::cel_rule::CompiledRule;
use super::rule::HealthRule;
use super::{ObjectHealth, generic};

mod list;

struct Entry {
    text: &'static str,
    /// None: the file is not a valid rule; a test reads each of them.
    compiled: OnceLock<Option<CompiledRule>>,
}

struct Library {
    env: Arc<Env>,
    by_group: HashMap<&'static str, HashMap<&'static str, Entry>>,
}

static LIBRARY: LazyLock<Library> = LazyLock::new(|| {
    let mut by_group: HashMap<_, HashMap<_, _>> = HashMap::new();
    for &(group, kind, text) in list::FILES {
        let compiled = OnceLock::new();
        let entry = Entry { text, compiled };
        by_group.entry(group).or_default().insert(kind, entry);
    }
    Library {
        env: Arc::new(Env::stdlib()),
        by_group,
    }
});

/// Health by the rule for the kind; None without a rule. No rule of the library makes an object Current
/// whose status plainly says that it failed: a rule covers only the states that its author knew.
pub(super) fn compute(group: &str, kind: &str, object: &Value) -> Option<ObjectHealth> {
    let library = &*LIBRARY;
    let entry = library.find(group, kind)?;
    let compiled = entry.compiled.get_or_init(|| {
        let rule = read(entry.text).ok()?;
        CompiledRule::new(&library.env, &rule).ok()
    });
    let health = compiled.as_ref()?.compute(&library.env, object);
    if health.health == Health::Current {
        let plain = generic::compute(object);
        if plain.health == Health::Failed {
            return Some(plain);
        }
    }
    Some(health)
}

impl Library {
    fn find(&self, group: &str, kind: &str) -> Option<&Entry> {
        if let Some(entry) = self.of(group, kind) {
            return Some(entry);
        }
        // For a.b.c: _.b.c, then _.c.
        let mut rest = group;
        while let Some((_, parent)) = rest.split_once('.') {
            if let Some(entry) = self.of(&format!("_.{parent}"), kind) {
                return Some(entry);
            }
            rest = parent;
        }
        None
    }

    fn of(&self, group: &str, kind: &str) -> Option<&Entry> {
        let kinds = self.by_group.get(group)?;
        kinds.get(kind).or_else(|| kinds.get("_"))
    }
}

fn read(text: &str) -> Result<HealthRule, ConfigError> {
    flotilla_yaml::config::from_str("rule", text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_is_listed_and_every_listed_rule_can_be_asked() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/health/rules");
        let mut files = BTreeSet::new();
        for group in std::fs::read_dir(&root).unwrap() {
            let group = group.unwrap();
            for kind in std::fs::read_dir(group.path()).unwrap() {
                let kind = kind.unwrap().path();
                assert_eq!(kind.extension().unwrap(), "yaml", "{}", kind.display());
                let group = group.file_name().into_string().unwrap();
                files.insert((
                    group,
                    kind.file_stem().unwrap().to_str().unwrap().to_owned(),
                ));
            }
        }
        let listed = list::FILES.iter();
        let listed: BTreeSet<_> = listed
            .map(|(group, kind, _)| ((*group).to_owned(), (*kind).to_owned()))
            .collect();
        assert_eq!(listed.len(), list::FILES.len(), "a kind is listed twice");
        let missing: Vec<_> = files.difference(&listed).collect();
        assert!(missing.is_empty(), "not in library/list.rs: {missing:?}");
        let env = Env::stdlib();
        for (group, kind, text) in list::FILES {
            assert!(text.starts_with("# "), "{group}/{kind} names no source");
            let rule = read(text).unwrap_or_else(|error| panic!("{group}/{kind}: {error}"));
            if let Err((expression, cause)) = CompiledRule::new(&env, &rule) {
                panic!("{group}/{kind}: {expression}: {cause}");
            }
            let is_empty = rule.failed.is_empty() && rule.current.is_empty();
            assert!(!is_empty, "{group}/{kind} decides nothing");
        }
    }

    #[test]
    fn a_kind_of_its_own_wins_over_any_kind_and_the_nearer_group_over_the_farther() {
        let found = |group: &str, kind: &str| {
            let entry = LIBRARY.find(group, kind)?;
            LIBRARY.by_group.iter().find_map(|(group, kinds)| {
                let (kind, _) = kinds.iter().find(|(_, own)| std::ptr::eq(*own, entry))?;
                Some(format!("{group}/{kind}"))
            })
        };
        let is = |group, kind, name: &str| assert_eq!(found(group, kind).as_deref(), Some(name));
        is("s3.aws.upbound.io", "Bucket", "_.upbound.io/_");
        is(
            "aws.upbound.io",
            "ProviderConfig",
            "_.upbound.io/ProviderConfig",
        );
        is("aws.m.upbound.io", "Bucket", "_.m.upbound.io/_");
        is(
            "pkg.crossplane.io",
            "Provider",
            "pkg.crossplane.io/Provider",
        );
        is(
            "constraints.gatekeeper.sh",
            "AnyName",
            "constraints.gatekeeper.sh/_",
        );
        assert_eq!(found("upbound.io", "Bucket"), None);
        assert_eq!(found("example.com", "Widget"), None);
        assert_eq!(found("", "Pod"), None);
    }
}
