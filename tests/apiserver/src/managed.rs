//! Field ownership (`metadata.managedFields`): server-side apply and all other writes.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::fieldset::Set;
use crate::schema::Schema;
use crate::typed;

/// kube-apiserver's limit on managers of updates; beyond it the oldest are merged.
const MAX_UPDATERS: usize = 10;
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The identity of an entry in managedFields.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Manager {
    pub(crate) operation: &'static str,
    pub(crate) name: String,
    /// Empty for apply, which has one entry for all versions.
    version: String,
    pub(crate) subresource: String,
}

/// The fields that a manager owns.
#[derive(Debug, Clone, PartialEq)]
struct OwnedFields {
    api_version: String,
    time: String,
    fields: Set,
}

type Managers = BTreeMap<Manager, OwnedFields>;

/// Fields that another manager owns with another value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Conflict {
    pub(crate) manager: Manager,
    pub(crate) api_version: String,
    pub(crate) fields: Set,
}

/// Why an apply is refused.
#[derive(Debug)]
pub(crate) enum Refusal {
    Conflicts(Vec<Conflict>),
    /// The configuration itself is invalid.
    Typed(String),
}

/// The context of a write.
pub(crate) struct Write<'w> {
    pub(crate) schema: &'w Schema,
    pub(crate) api_version: &'w str,
    pub(crate) manager: &'w str,
    pub(crate) subresource: &'w str,
    /// Fields that this endpoint does not write.
    pub(crate) reset: Set,
    pub(crate) now: &'w str,
}

/// Fields without ownership.
fn stripped() -> Set {
    Set::of(&[
        &["apiVersion"],
        &["kind"],
        &["metadata"],
        &["metadata", "name"],
        &["metadata", "namespace"],
        &["metadata", "creationTimestamp"],
        &["metadata", "selfLink"],
        &["metadata", "uid"],
        &["metadata", "generation"],
        &["metadata", "managedFields"],
        &["metadata", "resourceVersion"],
    ])
}

fn read(object: &Value) -> Managers {
    let entries = object.pointer("/metadata/managedFields");
    let entries = entries.and_then(Value::as_array);
    let mut managers = Managers::new();
    for entry in entries.into_iter().flatten() {
        let text = |name: &str| {
            let text = entry.get(name).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        let operation = match text("operation").as_str() {
            "Apply" => "Apply",
            "Update" => "Update",
            _ => return Managers::new(),
        };
        let api_version = text("apiVersion");
        let manager = Manager {
            operation,
            name: text("manager"),
            version: match operation {
                "Apply" => String::new(),
                _ => api_version.clone(),
            },
            subresource: text("subresource"),
        };
        let owned = OwnedFields {
            api_version,
            time: text("time"),
            fields: Set::read(entry.get("fieldsV1").unwrap_or(&Value::Null)),
        };
        managers.insert(manager, owned);
    }
    managers
}

fn write(object: &mut Value, managers: &Managers) {
    let mut entries: Vec<(&Manager, &OwnedFields)> = managers
        .iter()
        .filter(|(_, owned)| !owned.fields.is_empty())
        .collect();
    entries.sort_by(|(a, x), (b, y)| {
        (
            a.operation,
            &x.time,
            &a.name,
            &x.api_version,
            &a.subresource,
        )
            .cmp(&(
                b.operation,
                &y.time,
                &b.name,
                &y.api_version,
                &b.subresource,
            ))
    });
    let list: Vec<Value> = entries
        .into_iter()
        .map(|(manager, owned)| {
            let mut entry = Map::new();
            entry.insert("manager".to_owned(), json!(manager.name));
            entry.insert("operation".to_owned(), json!(manager.operation));
            entry.insert("apiVersion".to_owned(), json!(owned.api_version));
            entry.insert("fieldsType".to_owned(), json!("FieldsV1"));
            entry.insert("fieldsV1".to_owned(), owned.fields.write());
            if !owned.time.is_empty() {
                entry.insert("time".to_owned(), json!(owned.time));
            }
            if !manager.subresource.is_empty() {
                entry.insert("subresource".to_owned(), json!(manager.subresource));
            }
            Value::Object(entry)
        })
        .collect();
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        if list.is_empty() {
            metadata.remove("managedFields");
        } else {
            metadata.insert("managedFields".to_owned(), Value::Array(list));
        }
    }
}

/// The object without managedFields, for comparing and merging.
fn bare(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        metadata.remove("managedFields");
    }
    object
}

/// Takes changed fields from their managers; without force that is a conflict.
fn take(
    write: &Write<'_>,
    before: &Value,
    after: &Value,
    managers: &mut Managers,
    actor: Option<&Manager>,
    force: bool,
) -> Result<typed::Comparison, Vec<Conflict>> {
    let mut found = typed::compare(write.schema, before, after);
    for set in [&mut found.removed, &mut found.modified, &mut found.added] {
        *set = set.recursive_difference(&write.reset);
    }
    let changed = found.modified.union(&found.added);
    let mut conflicts = Vec::new();
    for (manager, owned) in managers.iter() {
        let fields = owned.fields.intersection(&changed);
        if Some(manager) != actor && !fields.is_empty() {
            conflicts.push(Conflict {
                manager: manager.clone(),
                api_version: owned.api_version.clone(),
                fields,
            });
        }
    }
    if !force && !conflicts.is_empty() {
        return Err(conflicts);
    }
    let gone = found.removed.union(&changed);
    for (manager, owned) in managers.iter_mut() {
        if Some(manager) != actor {
            owned.fields = owned.fields.difference(&gone);
        }
    }
    managers.retain(|_, owned| !owned.fields.is_empty());
    Ok(found)
}

/// Records an update; for a creation, `before` is the empty object of the kind.
pub(crate) fn update(write: &Write<'_>, before: &Value, after: &mut Value, is_create: bool) {
    let given = after.pointer("/metadata/managedFields").cloned();
    let is_reset = match given.as_ref().and_then(Value::as_array) {
        Some(list) => {
            list.is_empty()
                || (list.len() == 1
                    && list
                        .first()
                        .and_then(Value::as_object)
                        .is_some_and(Map::is_empty))
        }
        None => false,
    };
    let mut managers = if write.subresource.is_empty() {
        if is_reset {
            Managers::new()
        } else {
            let own = read(after);
            if own.is_empty() { read(before) } else { own }
        }
    } else {
        read(before)
    };
    if managers.is_empty() && !is_create {
        self::write(after, &managers);
        return;
    }
    let (old, new) = (bare(before), bare(after));
    let Ok(found) = take(write, &old, &new, &mut managers, None, true) else {
        return;
    };
    let manager = Manager {
        operation: "Update",
        name: write.manager.to_owned(),
        version: write.api_version.to_owned(),
        subresource: write.subresource.to_owned(),
    };
    let fields = found
        .modified
        .union(&found.added)
        .recursive_difference(&write.reset)
        .difference(&stripped());
    if !fields.is_empty() {
        let owned = managers.entry(manager).or_insert_with(|| OwnedFields {
            api_version: write.api_version.to_owned(),
            time: String::new(),
            fields: Set::default(),
        });
        owned.fields = owned.fields.union(&fields);
        owned.time = write.now.to_owned();
    }
    cap(&mut managers);
    self::write(after, &managers);
}

/// Merges the entries of the oldest managers of updates.
fn cap(managers: &mut Managers) {
    let mut updaters: Vec<(String, Manager)> = managers
        .iter()
        .filter(|(manager, _)| manager.operation == "Update")
        .map(|(manager, owned)| (owned.time.clone(), manager.clone()))
        .collect();
    updaters.sort();
    let mut count = updaters.len();
    for (_, manager) in updaters {
        if count <= MAX_UPDATERS {
            return;
        }
        let Some(old) = managers.remove(&manager) else {
            continue;
        };
        let bucket = Manager {
            operation: "Update",
            name: "ancient-changes".to_owned(),
            version: old.api_version.clone(),
            subresource: String::new(),
        };
        if let Some(owned) = managers.get_mut(&bucket) {
            owned.fields = owned.fields.union(&old.fields);
            owned.time = old.time;
            count -= 1;
        } else {
            managers.insert(bucket, old);
        }
    }
}

/// Applies a configuration to the live object (for a creation: the empty object of the kind).
pub(crate) fn apply(
    write: &Write<'_>,
    live: &Value,
    configuration: &Value,
    force: bool,
    is_create: bool,
) -> Result<Value, Refusal> {
    let result = applied(write, live, configuration, force, is_create);
    // kubectl takes over fields of its last client-side apply, unless another manager changed them since.
    match result {
        Err(Refusal::Conflicts(conflicts)) if write.manager == "kubectl" => {
            let Some(allowed) = from_last_applied(write, live) else {
                return Err(Refusal::Conflicts(conflicts));
            };
            let left: Vec<Conflict> = conflicts
                .into_iter()
                .map(|conflict| Conflict {
                    fields: conflict.fields.difference(&allowed),
                    ..conflict
                })
                .filter(|conflict| !conflict.fields.is_empty())
                .collect();
            if !left.is_empty() {
                return Err(Refusal::Conflicts(left));
            }
            applied(write, live, configuration, true, is_create)
        }
        result => result,
    }
    .map(|mut object| {
        let pointer = "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration";
        if let (true, Some(text)) = (write.manager == "kubectl", object.pointer_mut(pointer)) {
            let mut bare = configuration.clone();
            if let Some(Value::Object(annotations)) = bare.pointer_mut("/metadata/annotations") {
                annotations.remove(LAST_APPLIED);
            }
            *text = Value::String(format!("{bare}\n"));
        }
        object
    })
}

fn from_last_applied(write: &Write<'_>, live: &Value) -> Option<Set> {
    let text = live
        .pointer("/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration")
        .and_then(Value::as_str)?;
    let last: Value = serde_json::from_str(text).ok()?;
    if last.get("apiVersion")?.as_str()? != write.api_version {
        return None;
    }
    let found = typed::compare(write.schema, &last, &bare(live));
    let set = typed::fields(write.schema, &last);
    Some(
        set.difference(&found.modified)
            .difference(&found.added)
            .difference(&found.removed),
    )
}

fn applied(
    write: &Write<'_>,
    live: &Value,
    configuration: &Value,
    force: bool,
    is_create: bool,
) -> Result<Value, Refusal> {
    let mut managers = read(live);
    let old = bare(live);
    if managers.is_empty() && !is_create {
        let fields = typed::fields(write.schema, &old)
            .recursive_difference(&write.reset)
            .difference(&stripped());
        let before = Manager {
            operation: "Update",
            name: "before-first-apply".to_owned(),
            version: write.api_version.to_owned(),
            subresource: write.subresource.to_owned(),
        };
        let owned = OwnedFields {
            api_version: write.api_version.to_owned(),
            time: write.now.to_owned(),
            fields,
        };
        managers.insert(before, owned);
    }
    let actor = Manager {
        operation: "Apply",
        name: write.manager.to_owned(),
        version: String::new(),
        subresource: write.subresource.to_owned(),
    };
    let merged = typed::merge(write.schema, &old, configuration).map_err(Refusal::Typed)?;
    let last = managers.get(&actor).cloned();
    let fields = typed::fields(write.schema, configuration).recursive_difference(&write.reset);
    let owned = OwnedFields {
        api_version: write.api_version.to_owned(),
        time: last
            .as_ref()
            .map(|last| last.time.clone())
            .unwrap_or_default(),
        fields,
    };
    managers.insert(actor.clone(), owned);
    let new = match &last {
        Some(last) => prune(write.schema, &merged, &managers, &last.fields),
        None => merged,
    };
    take(write, &old, &new, &mut managers, Some(&actor), force).map_err(Refusal::Conflicts)?;
    let is_same = old == new;
    if let Some(owned) = managers.get_mut(&actor) {
        owned.fields = owned.fields.difference(&stripped());
        if !is_same || owned.time.is_empty() {
            owned.time = write.now.to_owned();
        }
    }
    let mut new = if is_same { old } else { new };
    self::write(&mut new, &managers);
    Ok(new)
}

/// Removes fields that the manager applied last time but not this time, unless another manager owns them.
fn prune(schema: &Schema, merged: &Value, managers: &Managers, last: &Set) -> Value {
    if last.is_empty() {
        return merged.clone();
    }
    let last = last.with_named_fields(schema);
    let pruned = typed::without(schema, merged, &last);
    let everybody = managers
        .values()
        .fold(Set::default(), |all, owned| all.union(&owned.fields));
    let named = |value: &Value| typed::fields(schema, value).with_named_fields(schema);
    let merged_set = named(merged);
    // Restore what other managers own.
    let keep = named(&pruned).union(&everybody.with_named_fields(schema));
    let pruned = typed::without(schema, merged, &merged_set.difference(&keep));
    // Restore what this manager never applied.
    let gone = merged_set.difference(&named(&pruned)).intersection(&last);
    typed::without(schema, merged, &gone)
}

/// Whether two objects are the same except for the times in managedFields, which makes the write a no-op.
pub(crate) fn is_same(before: &Value, after: &Value) -> bool {
    let timeless = |object: &Value| {
        let managers = read(object);
        let entries: Vec<(Manager, String, Set)> = managers
            .into_iter()
            .map(|(manager, owned)| (manager, owned.api_version, owned.fields))
            .collect();
        (bare(object), entries)
    };
    timeless(before) == timeless(after)
}
