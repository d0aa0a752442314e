//! Schemas of `-o json` for types that do not have one of their own.

use std::borrow::Cow;
use std::collections::BTreeMap;

use flotilla_shared::health::{Health, SyncState};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// Stands for [`Health`].
pub(crate) struct HealthWord;

impl JsonSchema for HealthWord {
    fn schema_name() -> Cow<'static, str> {
        "Health".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "Health of an object, or the worst of several, in the words of \
                 kstatus; from best to worst.",
            "enum": Health::ALL.map(Health::as_str),
        })
    }
}

/// Stands for [`SyncState`].
pub(crate) struct SyncWord;

impl JsonSchema for SyncWord {
    fn schema_name() -> Cow<'static, str> {
        "SyncState".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "Relation of live objects to the assigned commit; from best to worst.",
            "enum": SyncState::ALL.map(SyncState::as_str),
        })
    }
}

/// Stands for [`flotilla_shared::report::ObjectCounts`].
pub(crate) struct CountsForm;

const COUNTS: [(&str, &str); 8] = [
    ("total", "All objects, whatever their health."),
    ("current", "Objects that are Current (kstatus)."),
    ("suspended", "Objects that wait for a person."),
    ("inProgress", "Objects that are InProgress (kstatus)."),
    ("failed", "Objects that are Failed (kstatus)."),
    ("terminating", "Objects that are Terminating (kstatus)."),
    ("notFound", "Objects that are NotFound (kstatus)."),
    ("unknown", "Objects whose health is not known."),
];

impl JsonSchema for CountsForm {
    fn schema_name() -> Cow<'static, str> {
        "ObjectCounts".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let count = |about: &str| {
            json_schema!({
                "type": "integer",
                "description": about,
                "format": "uint32",
                "minimum": 0,
            })
        };
        let counts = COUNTS.map(|(name, about)| (name, count(about)));
        json_schema!({
            "type": "object",
            "description": "Number of objects by health.",
            "properties": BTreeMap::from(counts),
            "required": COUNTS.map(|(name, _)| name),
        })
    }
}
