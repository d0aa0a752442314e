//! Files of `KEY=value` lines, with metadata in such lines as well: `sops_age__list_0__map_enc=…`.

use serde_json::{Map, Value};

use crate::Error;
use crate::tree::{MAX_BYTES, MAX_NODES, Node};

const PREFIX: &str = "sops_";
/// Recipients that are looked at.
const MAX_RECIPIENTS: usize = 100;

/// The values, in the order of the file, and the metadata.
pub(crate) fn read(text: &str) -> Result<(Node, Value), Error> {
    if text.len() > MAX_BYTES {
        return Err(Error::Syntax(format!("more than {MAX_BYTES} bytes")));
    }
    let mut values: Vec<(String, Node)> = Vec::new();
    let mut flat: Vec<(&str, String)> = Vec::new();
    // Comments are encrypted, but not covered by the MAC; consumers of this file ignore them.
    let lines = text.split('\n').enumerate();
    for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        if number > MAX_NODES {
            return Err(Error::Syntax("it has too many lines".to_owned()));
        }
        let (key, value) = line
            .split_once('=')
            .ok_or_else(|| Error::Syntax(format!("line {} has no `=`", number + 1)))?;
        let value = value.replace("\\n", "\n");
        match key.strip_prefix(PREFIX) {
            Some(name) => flat.push((name, value)),
            None => values.push((key.to_owned(), Node::Leaf(Value::String(value)))),
        }
    }
    Ok((Node::Map(values), metadata(&flat)))
}

fn metadata(flat: &[(&str, String)]) -> Value {
    let mut fields = Map::new();
    let mut recipients = Vec::new();
    for (name, value) in flat {
        if name.starts_with("age__list_") && name.ends_with("__map_enc") {
            if recipients.len() < MAX_RECIPIENTS {
                recipients.push(serde_json::json!({ "enc": value }));
            }
        } else if name.starts_with("key_groups__") {
            fields.insert("key_groups".to_owned(), Value::Bool(true));
        } else {
            let value = match (*name, value.as_str()) {
                ("mac_only_encrypted", "true") => Value::Bool(true),
                _ => Value::String(value.clone()),
            };
            fields.insert((*name).to_owned(), value);
        }
    }
    fields.insert("age".to_owned(), Value::Array(recipients));
    Value::Object(fields)
}

/// Lines as SOPS writes them.
pub(crate) fn write(values: &Node) -> String {
    let Node::Map(entries) = values else {
        return String::new();
    };
    let mut text = String::new();
    for (key, value) in entries {
        let value = match value {
            Node::Leaf(value) => crate::value::bytes(value).replace('\n', "\\n"),
            _ => String::new(),
        };
        text.push_str(&format!("{key}={value}\n"));
    }
    text
}
