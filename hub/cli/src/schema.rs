//! The JSON Schema of the output of `-o json`, generated from the printed types. Pure.
//!
//! It is published as `deploy/schemas/output.schema.json`: `$defs` has an entry for each command, in camelCase,
//! and one for each type, in PascalCase.

mod findings;

use flotilla_vendor::Vendored;
use schemars::consts::meta_schemas::DRAFT2020_12;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use self::findings::Findings;
use crate::difference::Difference;
use crate::printed::{
    OutdatedCharts, RolloutWithDecisions, ShownContext, StatusChange, VerifiedLog, Version,
};
use flotilla_status::{
    Application, ApplicationPlan, Cluster, Entry, Environment, EnvironmentDifference, Fleet,
    FleetPlan, Hub, NewToken, Operator, Promotion, RolloutSummary, Step, Token,
};

/// URL of the published schema, which is also its `$id`.
pub const ID: &str = "https://raw.githubusercontent.com/flotilla-dev/flotilla/main/deploy/schemas/output.schema.json";

const DESCRIPTION: &str = "An entry of $defs that begins with a small letter is a command: \
    #/$defs/rolloutShow is what flotilla rollout show prints with -o json, as its title says. The others are the \
    types that these are made of. Within a minor version keys and words are only added: ignore keys that you do not \
    know. Moments are RFC 3339. -o yaml is the same, written as YAML.";

/// Form of a command's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// One document.
    Whole,
    /// One document a line, as events happen.
    Lines,
}

/// Output of a command.
struct CommandOutput {
    /// Key in the schema.
    key: &'static str,
    /// The command, as typed after `flotilla`.
    command: &'static str,
    form: Form,
    schema: fn(&mut SchemaGenerator) -> Schema,
}

impl CommandOutput {
    const fn whole<T: JsonSchema>(key: &'static str, command: &'static str) -> Self {
        Self {
            key,
            command,
            form: Form::Whole,
            schema: SchemaGenerator::subschema_for::<T>,
        }
    }

    const fn lines<T: JsonSchema>(key: &'static str, command: &'static str) -> Self {
        Self {
            form: Form::Lines,
            ..Self::whole::<T>(key, command)
        }
    }

    /// Makes its entry: a reference to the type, with the command as title.
    fn entry(&self, generator: &mut SchemaGenerator) -> Value {
        let mut schema = (self.schema)(generator);
        let title = format!("flotilla {} -o json", self.command);
        schema.insert("title".to_owned(), title.into());
        if self.form == Form::Lines {
            let what = "Each line is a document of its own.";
            schema.insert("description".to_owned(), what.into());
        }
        schema.to_value()
    }
}

/// All outputs, by key. `render` and `cluster join-manifest` are left out: they print Kubernetes manifests.
const PRINTED: &[CommandOutput] = &[
    CommandOutput::whole::<Vec<Entry>>("audit", "audit"),
    CommandOutput::whole::<VerifiedLog>("auditVerify", "audit verify"),
    CommandOutput::whole::<OutdatedCharts<'static>>("chartOutdated", "chart outdated"),
    CommandOutput::whole::<Vendored>("chartVendor", "chart vendor"),
    CommandOutput::whole::<Findings>("check", "check"),
    CommandOutput::whole::<Vec<EnvironmentDifference>>("checkFleetFile", "check --fleet-file FILE"),
    CommandOutput::whole::<Cluster>("clusterAccept", "cluster accept"),
    CommandOutput::whole::<Vec<Cluster>>("clusterList", "cluster list"),
    CommandOutput::whole::<Vec<ShownContext<'static>>>("contextList", "context list"),
    CommandOutput::whole::<Cluster>("describeCluster", "describe cluster"),
    CommandOutput::whole::<Vec<ApplicationPlan>>("diff", "diff"),
    CommandOutput::whole::<Difference>("diffBase", "diff --base REF"),
    CommandOutput::whole::<Vec<Entry>>("events", "events"),
    CommandOutput::lines::<Entry>("eventsFollow", "events --follow"),
    CommandOutput::whole::<Vec<Step>>("explain", "explain"),
    CommandOutput::whole::<Vec<Application>>("getApplications", "get applications"),
    CommandOutput::whole::<Vec<Cluster>>("getClusters", "get clusters"),
    CommandOutput::whole::<Vec<Environment>>("getEnvironments", "get environments"),
    CommandOutput::whole::<Vec<RolloutSummary<'static>>>("history", "history"),
    CommandOutput::whole::<Hub>("hub", "hub"),
    CommandOutput::whole::<Vec<Operator>>("operatorList", "operator list"),
    CommandOutput::whole::<FleetPlan>("plan", "plan"),
    CommandOutput::whole::<Promotion>("promote", "promote"),
    CommandOutput::whole::<Vec<RolloutSummary<'static>>>("rolloutList", "rollout list"),
    CommandOutput::whole::<RolloutWithDecisions<'static>>("rolloutShow", "rollout show"),
    CommandOutput::lines::<RolloutWithDecisions<'static>>("rolloutWatch", "rollout watch"),
    CommandOutput::whole::<Fleet>("status", "status"),
    CommandOutput::lines::<StatusChange<'static>>("statusWatch", "status --watch"),
    CommandOutput::whole::<NewToken>("tokenCreate", "token create"),
    CommandOutput::whole::<Vec<Token>>("tokenList", "token list"),
    CommandOutput::whole::<Version>("version", "version"),
];

/// The whole document.
#[must_use]
pub fn document() -> Schema {
    // Describes the printed form, not the readable one: only keys that are left out where empty are optional.
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut generator = settings.into_generator();
    let mut entries = Vec::new();
    for printed in PRINTED {
        entries.push((printed.key.to_owned(), printed.entry(&mut generator)));
    }
    let mut all = generator.take_definitions(true);
    all.extend(entries);
    json_schema!({
        "$schema": DRAFT2020_12,
        "$id": ID,
        "title": "What the flotilla command line prints with -o json",
        "description": DESCRIPTION,
        "$defs": all,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory as _;

    use super::*;
    use crate::args::Args;

    /// Returns the commands that can print JSON, as typed.
    fn printing(command: &clap::Command, path: &str, found: &mut BTreeSet<String>) {
        for below in command.get_subcommands() {
            let path = format!("{path} {}", below.get_name()).trim().to_owned();
            let mut all = below.get_arguments();
            let output = all.find(|argument| argument.get_id().as_str() == "output");
            let values = output.map(clap::Arg::get_possible_values);
            if values
                .unwrap_or_default()
                .iter()
                .any(|value| value.get_name() == "json")
            {
                found.insert(path.clone());
            }
            printing(below, &path, found);
        }
    }

    #[test]
    fn every_command_that_prints_json_has_an_entry() {
        let mut command = Args::command();
        command.build();
        let mut known = BTreeSet::new();
        printing(&command, "", &mut known);
        let named = PRINTED.iter().map(|printed| {
            let words = printed.command.split(" --").next();
            words.unwrap_or_default().to_owned()
        });
        assert_eq!(named.collect::<BTreeSet<_>>(), known);
    }

    #[test]
    fn entries_are_named_like_their_commands_and_types_once() {
        for printed in PRINTED {
            let words = printed.command.split([' ', '-']);
            let words = words.filter(|word| !word.is_empty());
            // Words in capitals are placeholders.
            let words = words.filter(|word| word.chars().all(char::is_lowercase));
            let mut key = String::new();
            for word in words {
                let (first, rest) = word.split_at(1);
                match key.is_empty() {
                    true => key.push_str(word),
                    false => key += &format!("{}{rest}", first.to_uppercase()),
                }
            }
            assert_eq!(printed.key, key, "{}", printed.command);
        }
        // The generator numbers the second of two types with one name.
        let document = document();
        let all = document.get("$defs").and_then(Value::as_object).unwrap();
        let numbered = all.keys().find(|name| name.ends_with(char::is_numeric));
        assert_eq!(numbered, None);
        assert!(all.len() > 2 * PRINTED.len(), "{}", all.len());
    }
}
