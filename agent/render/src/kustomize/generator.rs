//! ConfigMaps and Secrets from files, environment files and literals (`api/internal/generators`,
//! `api/kv`).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::failure::{Failure, Outcome};
use super::file::{GeneratorArgs, GeneratorOptions};
use super::node::{Key, Map, Node, Tag, plain_tag};
use super::resource::{Behavior, Resource};
use super::session::{Directory, Session};
use crate::Origin;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GeneratedKind {
    ConfigMap,
    Secret,
}

/// Generates the object.
///
/// # Errors
/// When a source is missing or malformed, or a key comes twice.
pub(crate) fn generate(
    made: GeneratedKind,
    args: &GeneratorArgs,
    session: &Session<'_>,
    directory: &Directory,
    origin: Origin,
) -> Outcome<Resource> {
    let what = match made {
        GeneratedKind::ConfigMap => "configMapGenerator",
        GeneratedKind::Secret => "secretGenerator",
    };
    if args.name.is_empty() {
        return Err(Failure::render(format!(
            "{what}: a generated object must have a name"
        )));
    }
    let data = data(args, session, directory)
        .map_err(|error| error.context(&format!("{what} {:?}", args.name)))?;
    let mut map = Map::default();
    map.insert("apiVersion", Node::text("v1"));
    let mut metadata = Map::default();
    metadata.insert("name", Node::text(&args.name));
    if !args.namespace.is_empty() {
        metadata.insert("namespace", Node::text(&args.namespace));
    }
    let options = args.options.clone().unwrap_or_default();
    for (field, pairs) in [
        ("labels", &options.labels),
        ("annotations", &options.annotations),
    ] {
        if !pairs.is_empty() {
            metadata.insert(field, texts(pairs.iter()));
        }
    }
    map.insert("metadata", Node::Map(metadata));
    if options.immutable {
        map.insert("immutable", Node::plain("true"));
    }
    match made {
        GeneratedKind::ConfigMap => {
            map.insert("kind", Node::text("ConfigMap"));
            let mut text = BTreeMap::new();
            let mut binary = BTreeMap::new();
            for (key, value) in data {
                match String::from_utf8(value) {
                    Ok(value) => text.insert(key, value),
                    Err(error) => binary.insert(key, base64_lines(error.as_bytes())),
                };
            }
            for (field, entries) in [("data", text), ("binaryData", binary)] {
                if !entries.is_empty() {
                    map.insert(field, texts(entries.iter()));
                }
            }
        }
        GeneratedKind::Secret => {
            map.insert("kind", Node::text("Secret"));
            let secret_type = if args.secret_type.is_empty() {
                "Opaque"
            } else {
                &args.secret_type
            };
            map.insert("type", Node::text(secret_type));
            let entries: BTreeMap<String, String> = data
                .into_iter()
                .map(|(key, value)| (key, base64_lines(&value)))
                .collect();
            map.insert("data", texts(entries.iter()));
        }
    }
    let mut resource = Resource::new(Node::Map(map), origin, &session.schema);
    resource.history.needs_hash = !options.disable_name_suffix_hash;
    resource.history.noted = true;
    resource.history.behavior = match args.behavior.as_str() {
        "merge" => Behavior::Merge,
        "replace" => Behavior::Replace,
        // Kustomize treats every other value as create.
        _ => Behavior::Create,
    };
    Ok(resource)
}

/// A kustomization's options under a generator's own, which win; flags that are set stay set.
pub(crate) fn with_options(
    args: &GeneratorArgs,
    global: Option<&GeneratorOptions>,
) -> GeneratorArgs {
    let mut args = args.clone();
    if let Some(global) = global {
        let options = args.options.get_or_insert_default();
        for (mine, theirs) in [
            (&mut options.labels, &global.labels),
            (&mut options.annotations, &global.annotations),
        ] {
            for (key, value) in theirs {
                mine.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
        options.disable_name_suffix_hash |= global.disable_name_suffix_hash;
        options.immutable |= global.immutable;
    }
    args
}

fn texts<'p>(pairs: impl Iterator<Item = (&'p String, &'p String)>) -> Node {
    Node::Map(Map::from_sorted(
        pairs
            .map(|(key, value)| (Key::from(key.as_str()), Node::text(value)))
            .collect(),
    ))
}

fn data(
    args: &GeneratorArgs,
    session: &Session<'_>,
    directory: &Directory,
) -> Outcome<BTreeMap<String, Vec<u8>>> {
    let mut all = BTreeMap::new();
    let mut put = |key: String, value: Vec<u8>| {
        if plain_tag(&key) != Tag::Text {
            // Kustomize writes such a key without quotes, and cannot read it again.
            return Err(Failure::render(format!(
                "key {key:?} reads as something other than text in YAML; give it another name"
            )));
        }
        session.budget.work(value.len())?;
        if all.contains_key(&key) {
            return Err(Failure::render(format!("key {key:?} occurs twice")));
        }
        all.insert(key, value);
        Ok(())
    };
    for reference in &args.envs {
        let text = session.load_text(directory, reference)?;
        // The API server decides whether a key is valid, as with Kustomize.
        for (at, line) in text.lines().enumerate() {
            let line = if at == 0 {
                line.trim_start_matches('\u{feff}')
            } else {
                line
            };
            let line = line.trim_start();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            put(key.to_owned(), value.as_bytes().to_vec())?;
        }
    }
    for literal in &args.literals {
        let (key, value) = literal
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| Failure::render("a literal must be key=value"))?;
        put(key.to_owned(), unquoted(value).as_bytes().to_vec())?;
    }
    for source in &args.files {
        let (key, path) = match source.split_once('=') {
            None => (source.rsplit('/').next().unwrap_or(source), source.as_str()),
            Some((_, path)) if path.contains('=') => {
                return Err(Failure::render(format!("{source:?} has more than one `=`")));
            }
            Some(("", _) | (_, "")) => {
                return Err(Failure::render(format!("{source:?} must be [key=]path")));
            }
            Some((key, path)) => (key, path),
        };
        let loaded = session.load(directory, path)?;
        put(key.to_owned(), loaded.content.to_vec())?;
    }
    Ok(all)
}

/// Without the quotes that are around the whole.
fn unquoted(text: &str) -> &str {
    ['"', '\'']
        .into_iter()
        .find_map(|quote| {
            (text.len() > 1)
                .then(|| text.strip_prefix(quote)?.strip_suffix(quote))
                .flatten()
        })
        .unwrap_or(text)
}

/// Base64 in lines of 70, as Kustomize writes it.
fn base64_lines(content: &[u8]) -> String {
    const LINE: usize = 70;
    let encoded = STANDARD.encode(content);
    if encoded.len() < LINE {
        return encoded;
    }
    let mut lines = String::with_capacity(encoded.len() + encoded.len() / LINE + 1);
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(LINE.min(rest.len()));
        lines.push_str(line);
        lines.push('\n');
        rest = after;
    }
    lines
}
