//! Words of types that know nothing of schemas, as the schema of `-o json` lists them.

use std::borrow::Cow;

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
