//! The JSON Schema of what commands print with `-o json`, made of the types that are printed. Pure.
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

/// Where it is published, which is its name, too.
pub const ID: &str = "https://raw.githubusercontent.com/flotilla-dev/flotilla/main/deploy/schemas/output.schema.json";

const DESCRIPTION: &str = "An entry of $defs that begins with a small letter is a command: \
    #/$defs/rolloutShow is what flotilla rollout show prints with -o json, as its title says. The others are the \
    types that these are made of. Within a minor version keys and words are only added: ignore keys that you do not \
    know. Moments are RFC 3339. -o yaml is the same, written as YAML.";

/// How a command prints its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// One document.
    Whole,
    /// One document on each line, as things happen.
    Lines,
}

/// What a command prints.
struct Printed {
    /// Under which the schema holds it.
    key: &'static str,
    /// As it is typed behind `flotilla`.
    command: &'static str,
    form: Form,
    schema: fn(&mut SchemaGenerator) -> Schema,
}

impl Printed {
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

    /// Its entry: a reference to the type, with the command as title.
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

/// All of them, by key. `render` and `cluster join-manifest` are not among them: they print manifests of
/// Kubernetes.
const PRINTED: &[Printed] = &[
    Printed::whole::<Vec<Entry>>("audit", "audit"),
    Printed::whole::<VerifiedLog>("auditVerify", "audit verify"),
    Printed::whole::<OutdatedCharts<'static>>("chartOutdated", "chart outdated"),
    Printed::whole::<Vendored>("chartVendor", "chart vendor"),
    Printed::whole::<Findings>("check", "check"),
    Printed::whole::<Vec<EnvironmentDifference>>("checkFleetFile", "check --fleet-file FILE"),
    Printed::whole::<Cluster>("clusterAccept", "cluster accept"),
    Printed::whole::<Vec<Cluster>>("clusterList", "cluster list"),
    Printed::whole::<Vec<ShownContext<'static>>>("contextList", "context list"),
    Printed::whole::<Cluster>("describeCluster", "describe cluster"),
    Printed::whole::<Vec<ApplicationPlan>>("diff", "diff"),
    Printed::whole::<Difference>("diffBase", "diff --base REF"),
    Printed::whole::<Vec<Entry>>("events", "events"),
    Printed::lines::<Entry>("eventsFollow", "events --follow"),
    Printed::whole::<Vec<Step>>("explain", "explain"),
    Printed::whole::<Vec<Application>>("getApplications", "get applications"),
    Printed::whole::<Vec<Cluster>>("getClusters", "get clusters"),
    Printed::whole::<Vec<Environment>>("getEnvironments", "get environments"),
    Printed::whole::<Vec<RolloutSummary<'static>>>("history", "history"),
    Printed::whole::<Hub>("hub", "hub"),
    Printed::whole::<Vec<Operator>>("operatorList", "operator list"),
    Printed::whole::<FleetPlan>("plan", "plan"),
    Printed::whole::<Promotion>("promote", "promote"),
    Printed::whole::<Vec<RolloutSummary<'static>>>("rolloutList", "rollout list"),
    Printed::whole::<RolloutWithDecisions<'static>>("rolloutShow", "rollout show"),
    Printed::lines::<RolloutWithDecisions<'static>>("rolloutWatch", "rollout watch"),
    Printed::whole::<Fleet>("status", "status"),
    Printed::lines::<StatusChange<'static>>("statusWatch", "status --watch"),
    Printed::whole::<NewToken>("tokenCreate", "token create"),
    Printed::whole::<Vec<Token>>("tokenList", "token list"),
    Printed::whole::<Version>("version", "version"),
];

/// The whole document.
#[must_use]
pub fn document() -> Schema {
    // What is printed, not what could be read: a key that is left out where it is empty is optional, no other is.
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

    /// Commands that can print JSON, as they are typed.
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
            // What stands in capitals is given by who types it.
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
        // Of two types with one name the second one is numbered.
        let document = document();
        let all = document.get("$defs").and_then(Value::as_object).unwrap();
        let numbered = all.keys().find(|name| name.ends_with(char::is_numeric));
        assert_eq!(numbered, None);
        assert!(all.len() > 2 * PRINTED.len(), "{}", all.len());
    }
}
