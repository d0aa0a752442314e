//! Types that know nothing of schemas, as the schema of `-o json` lists them.

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
            "description": "How an object is, or the worst of several, in the words of kstatus; from best to worst.",
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
            "description": "How live objects relate to the assigned commit; from best to worst.",
            "enum": SyncState::ALL.map(SyncState::as_str),
        })
    }
}

/// Stands for [`flotilla_shared::report::ObjectCounts`].
pub(crate) struct CountsForm;

/// Its fields.
const COUNTS: [(&str, &str); 8] = [
    ("total", "Objects of whatever health."),
    ("current", "Objects that are Current (kstatus)."),
    ("suspended", "Waiting for a person."),
    ("inProgress", "Objects that are InProgress (kstatus)."),
    ("failed", "Objects that are Failed (kstatus)."),
    ("terminating", "Objects that are Terminating (kstatus)."),
    ("notFound", "Objects that are NotFound (kstatus)."),
    ("unknown", "Objects of which health is not known."),
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
            "description": "How many objects of which health.",
            "properties": BTreeMap::from(counts),
            "required": COUNTS.map(|(name, _)| name),
        })
    }
}
