//! The cost of a validation, estimated beforehand: with schemas that refer to one another it can double with each
//! reference, and the validator itself has no limit.

use std::collections::{HashMap, HashSet};

use serde_json::Value as Json;

/// Highest number of pairs of schema and value that a validation may visit; repeated visits count.
const MAX_STEPS: u64 = 2_000_000;
/// Highest number of different pairs, which bounds the cost of the estimate itself.
const MAX_PAIRS: usize = 500_000;
/// Deepest chain of schemas and values.
const MAX_DEPTH: usize = 400;

/// Schemas that judge the same value.
const SAME_LISTS: [&str; 3] = ["allOf", "anyOf", "oneOf"];
const SAME_ONES: [&str; 4] = ["not", "if", "then", "else"];
const SAME_MAPS: [&str; 2] = ["dependentSchemas", "dependencies"];
const REFERENCES: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];
/// Schemas that judge each item, or each property.
const OF_EACH: [&str; 7] = [
    "items",
    "additionalItems",
    "contains",
    "unevaluatedItems",
    "additionalProperties",
    "unevaluatedProperties",
    "propertyNames",
];

/// Validating the values would take too long, or too deep a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TooExpensive {
    #[error(
        "the schema would take more than {most} steps for these values: its parts refer to each other too \
         often",
        most = MAX_STEPS
    )]
    Steps,
    #[error(
        "the schema would be checked against more than {most} values and parts of them",
        most = MAX_PAIRS
    )]
    Pairs,
    #[error("schemas nest or refer to each other more than {most} deep", most = MAX_DEPTH)]
    Depth,
}

/// Refuses what would take too long.
pub(super) fn check(schema: &Json, values: &Json) -> Result<(), TooExpensive> {
    let mut cost = Cost {
        root: schema,
        named: HashMap::new(),
        known: HashMap::new(),
        open: HashSet::new(),
    };
    cost.name(schema, 0)?;
    let steps = cost.of(schema, values, 0)?;
    if steps > MAX_STEPS {
        return Err(TooExpensive::Steps);
    }
    Ok(())
}

struct Cost<'s> {
    root: &'s Json,
    /// Schemas by anchor (`#name`) and by identifier. Which of several is meant depends on the reference's base, so the
    /// most expensive one counts.
    named: HashMap<&'s str, Vec<&'s Json>>,
    /// Known costs, by the addresses of schema and value.
    known: HashMap<(usize, usize), u64>,
    open: HashSet<(usize, usize)>,
}

fn place(value: &Json) -> usize {
    std::ptr::from_ref(value).addr()
}

impl<'s> Cost<'s> {
    fn name(&mut self, schema: &'s Json, depth: usize) -> Result<(), TooExpensive> {
        if depth > MAX_DEPTH {
            return Err(TooExpensive::Depth);
        }
        match schema {
            Json::Array(items) => items.iter().try_for_each(|item| self.name(item, depth + 1)),
            Json::Object(map) => {
                for key in ["$id", "id", "$anchor", "$dynamicAnchor"] {
                    if let Some(Json::String(name)) = map.get(key) {
                        let name = name.trim_start_matches('#');
                        self.named.entry(name).or_default().push(schema);
                    }
                }
                map.values().try_for_each(|item| self.name(item, depth + 1))
            }
            _ => Ok(()),
        }
    }

    /// Returns the schemas that a reference may resolve to.
    fn targets(&self, reference: &str) -> Vec<&'s Json> {
        let (file, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let bases: Vec<&'s Json> = match file {
            "" => {
                // A JSON pointer starts at the nearest schema with an identifier, or at the root.
                let named = self.named.values().flatten().copied();
                std::iter::once(self.root)
                    .chain(named.filter(|_| fragment.starts_with('/')))
                    .collect()
            }
            file => self.named.get(file).cloned().unwrap_or_default(),
        };
        match fragment {
            "" => bases.into_iter().take(1).collect(),
            pointer if pointer.starts_with('/') => {
                let pointer = pointer.replace("%25", "%").replace("%22", "\"");
                let found = bases.into_iter().filter_map(|base| base.pointer(&pointer));
                found.take(8).collect()
            }
            anchor => self.named.get(anchor).cloned().unwrap_or_default(),
        }
    }

    fn of(&mut self, schema: &'s Json, value: &Json, depth: usize) -> Result<u64, TooExpensive> {
        let Json::Object(map) = schema else {
            return Ok(1);
        };
        let pair = (place(schema), place(value));
        if let Some(steps) = self.known.get(&pair) {
            return Ok(*steps);
        }
        if depth > MAX_DEPTH {
            return Err(TooExpensive::Depth);
        }
        // The validator itself reports a cycle on one value.
        if !self.open.insert(pair) {
            return Ok(1);
        }
        if self.known.len() > MAX_PAIRS {
            return Err(TooExpensive::Pairs);
        }
        let mut steps: u64 = 1;
        let mut same: Vec<&'s Json> = Vec::new();
        for key in SAME_LISTS {
            same.extend(map.get(key).and_then(Json::as_array).into_iter().flatten());
        }
        same.extend(SAME_ONES.iter().filter_map(|key| map.get(*key)));
        for key in SAME_MAPS {
            let below = map.get(key).and_then(Json::as_object);
            same.extend(below.into_iter().flat_map(|below| below.values()));
        }
        for below in same {
            steps = steps.saturating_add(self.of(below, value, depth + 1)?);
        }
        for key in REFERENCES {
            let Some(reference) = map.get(key).and_then(Json::as_str) else {
                continue;
            };
            let mut dearest = 0;
            for target in self.targets(reference) {
                dearest = dearest.max(self.of(target, value, depth + 1)?);
            }
            steps = steps.saturating_add(dearest);
        }
        steps = steps.saturating_add(self.below(map, value, depth)?);
        self.open.remove(&pair);
        self.known.insert(pair, steps);
        Ok(steps)
    }

    /// Returns the cost of validating items and properties.
    fn below(
        &mut self,
        map: &'s serde_json::Map<String, Json>,
        value: &Json,
        depth: usize,
    ) -> Result<u64, TooExpensive> {
        let children: Vec<(&str, &Json)> = match value {
            Json::Array(items) => items.iter().map(|item| ("", item)).collect(),
            Json::Object(entries) => entries
                .iter()
                .map(|(key, value)| (key.as_str(), value))
                .collect(),
            _ => return Ok(0),
        };
        let mut steps: u64 = 0;
        let properties = map.get("properties").and_then(Json::as_object);
        let patterns = map.get("patternProperties").and_then(Json::as_object);
        let lists = ["prefixItems", "items"];
        for (at, (name, child)) in children.into_iter().enumerate() {
            let mut judges: Vec<&'s Json> = Vec::new();
            judges.extend(properties.and_then(|all| all.get(name)));
            judges.extend(patterns.into_iter().flat_map(|all| all.values()));
            judges.extend(OF_EACH.iter().filter_map(|key| map.get(*key)));
            for key in lists {
                let list = map.get(key).and_then(Json::as_array);
                judges.extend(list.and_then(|list| list.get(at)));
            }
            for judge in judges {
                steps = steps.saturating_add(self.of(judge, child, depth + 1)?);
            }
        }
        Ok(steps)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A schema in which `a0` refers to `a1` twice, and so on.
    fn doubling(levels: usize, reference: impl Fn(usize) -> Json) -> Json {
        let mut definitions = serde_json::Map::new();
        for level in 0..levels {
            let next = reference(level + 1);
            definitions.insert(
                format!("a{level}"),
                json!({"$anchor": format!("n{level}"), "allOf": [next, next]}),
            );
        }
        definitions.insert(
            format!("a{levels}"),
            json!({"$anchor": format!("n{levels}")}),
        );
        json!({"$ref": "#/definitions/a0", "definitions": definitions})
    }

    #[test]
    fn r07_schemas_that_double_are_refused() {
        let by_pointer = |level: usize| json!({"$ref": format!("#/definitions/a{level}")});
        let by_name = |level: usize| json!({"$ref": format!("#n{level}")});
        assert!(check(&doubling(10, by_pointer), &json!({})).is_ok());
        assert!(check(&doubling(40, by_pointer), &json!({})).is_err());
        assert!(check(&doubling(40, by_name), &json!({})).is_err());
        // Deep chains without branches.
        let chain = |levels: usize| {
            let mut schema = json!({});
            for _ in 0..levels {
                schema = json!({"not": schema});
            }
            schema
        };
        assert!(check(&chain(100), &json!({})).is_ok());
        assert!(check(&chain(1000), &json!({})).is_err());
    }

    #[test]
    fn r07_values_that_double_are_refused() {
        let twice = json!({"properties": {"x": {"$ref": "#"}}});
        let schema = json!({"allOf": [twice.clone(), twice]});
        let deep = |levels: usize| {
            let mut value = json!({});
            for _ in 0..levels {
                value = json!({"x": value});
            }
            value
        };
        assert!(check(&schema, &deep(10)).is_ok());
        assert!(check(&schema, &deep(60)).is_err());
        // A large tree alone is not refused.
        let each = json!({"additionalProperties": {"$ref": "#"}, "items": {"$ref": "#"}});
        let wide: Vec<Json> = (0..5000).map(|number| json!({"a": number})).collect();
        assert!(check(&each, &json!({"list": wide})).is_ok());
    }
}
