//! SOPS files with age recipients, decrypted as a pure function of the file and the keys.
//!
//! ```text
//!   file --> tree (order kept) --> sops.age[].enc --age::decrypt--> data key
//!                |                                                   |
//!                +--> each ENC[AES256_GCM,…] value --AES-256-GCM-----+--> text
//!                +--> all values in order --SHA-512--> compared with sops.mac
//! ```
//!
//! A file whose MAC does not match is refused as a whole. YAML, JSON, dotenv and binary files (any content
//! in an envelope of JSON) are read; INI files are not, and neither are PGP, cloud keys and Shamir's
//! shares. Formats, MAC and rules are those of sops 3.7 to 3.11 (`sops.go`, `aes/cipher.go`, `stores/`);
//! `tests/tests/sops_differential.rs` of the workspace compares them with the program, if it is installed.

mod age;
mod dotenv;
mod number;
mod tree;
mod value;

#[cfg(test)]
mod tests;

pub use age::Identity;

use flotilla_yaml::documents_to_string;
use regex::Regex;
use ring::digest;
use serde_json::Value;
use tree::{Node, Scalars};
use zeroize::Zeroizing;

/// Why a file cannot be decrypted. No message ever contains text of a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A line of the key file is not a key.
    #[error("line {line} of the age key file is not an X25519 key")]
    Key {
        /// 1 is the first.
        line: usize,
    },
    /// It is not YAML or JSON.
    #[error("it cannot be read: {0}")]
    Syntax(String),
    /// Its `sops` metadata is not supported.
    #[error("its `sops` metadata cannot be used: {0}")]
    Metadata(String),
    /// The data key cannot be decrypted.
    #[error("its data key cannot be obtained: {0}")]
    DataKey(&'static str),
    /// A value was changed or moved.
    #[error("the value at {0} is not what was encrypted there")]
    Value(String),
    /// Values were changed, added or removed.
    #[error("its MAC does not match: it was changed after it was encrypted")]
    Mac,
}

/// Whether a file looks encrypted with SOPS: a quick check whose false positives are harmless.
#[must_use]
pub fn is_encrypted(content: &[u8]) -> bool {
    contains(content, b"sops") && contains(content, b"ENC[AES256_GCM,")
}

/// Format of a file, as SOPS sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Documents of YAML.
    Yaml,
    /// One document of JSON.
    Json,
    /// Lines of `KEY=value`.
    Dotenv,
    /// Anything, in an envelope of JSON.
    Binary,
    /// Sections of `key = value`.
    Ini,
}

impl Format {
    /// The format by a file's name, as in SOPS, or else by its metadata: Kustomize's `envs` often have
    /// other names.
    #[must_use]
    pub fn of(path: &str, content: &[u8]) -> Self {
        let name = path.rsplit('/').next().unwrap_or_default();
        let extension = name.rsplit_once('.').map(|(_, extension)| extension);
        match extension {
            Some("yaml" | "yml") => Self::Yaml,
            Some("json") => Self::Json,
            Some("env") => Self::Dotenv,
            Some("ini") => Self::Ini,
            _ if contains(content, b"\nsops_mac=ENC[") => Self::Dotenv,
            _ => Self::Binary,
        }
    }
}

fn contains(content: &[u8], needle: &[u8]) -> bool {
    content.windows(needle.len()).any(|window| window == needle)
}

/// The start of a MAC over encrypted values only, so that it never equals one over all values:
/// SHA-256 of `sops` (`MACOnlyEncryptedInitialization`).
const MAC_ONLY_ENCRYPTED: [u8; 32] = [
    0x8a, 0x3f, 0xd2, 0xad, 0x54, 0xce, 0x66, 0x52, 0x7b, 0x10, 0x34, 0xf3, 0xd1, 0x47, 0xbe, 0x0b,
    0x0b, 0x97, 0x5b, 0x3b, 0xf4, 0x4f, 0x72, 0xc6, 0xfd, 0xad, 0xec, 0x81, 0x76, 0xf2, 0x7d, 0x69,
];

/// The file's decrypted content, written again: with the values of the file, but not with its layout
/// and comments.
///
/// # Errors
/// Why it stays closed.
pub fn decrypt(
    content: &[u8],
    identities: &[Identity],
    format: Format,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let text = std::str::from_utf8(content).map_err(|_| Error::Syntax("not UTF-8".to_owned()))?;
    let (mut documents, metadata) = match format {
        Format::Yaml => tree_with_metadata(text, Scalars::Yaml)?,
        Format::Json | Format::Binary => tree_with_metadata(text, Scalars::Json)?,
        Format::Dotenv => {
            let (values, metadata) = dotenv::read(text)?;
            (vec![values], metadata)
        }
        Format::Ini => return Err(Error::Syntax("INI files are not supported".to_owned())),
    };
    let key = data_key(&metadata, identities)?;
    let rules = Rules::read(&metadata, format)?;
    let mut context = digest::Context::new(&digest::SHA512);
    if rules.mac_only_encrypted {
        context.update(&MAC_ONLY_ENCRYPTED);
    }
    for document in &mut documents {
        walk(document, &mut Vec::new(), &key, &rules, &mut context)?;
    }
    let sum = context.finish();
    let sum: String = sum
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    let field = |name: &str| {
        metadata
            .get(name)
            .and_then(Value::as_str)
            .ok_or_else(|| Error::Metadata(format!("`{name}` is missing")))
    };
    let mac = value::open(field("mac")?, &key, field("lastmodified")?).ok_or(Error::Mac)?;
    if mac != Node::Leaf(Value::String(sum)) {
        return Err(Error::Mac);
    }
    write(documents, format)
}

/// All documents, and the metadata of the first: SOPS writes the same to each.
fn tree_with_metadata(text: &str, scalars: Scalars) -> Result<(Vec<Node>, Value), Error> {
    let mut documents = tree::read(text, scalars)?;
    let metadata = documents
        .iter_mut()
        .map(|document| document.take("sops"))
        .collect::<Option<Vec<Node>>>()
        .and_then(|all| all.into_iter().next())
        .ok_or_else(|| Error::Metadata("a document has none".to_owned()))?;
    Ok((documents, metadata.into_value()))
}

fn write(mut documents: Vec<Node>, format: Format) -> Result<Zeroizing<Vec<u8>>, Error> {
    if format == Format::Binary {
        let data = documents.first_mut().and_then(|node| node.take("data"));
        return match data {
            Some(Node::Bytes(bytes)) => Ok(bytes),
            Some(Node::Leaf(Value::String(text))) => Ok(Zeroizing::new(text.into_bytes())),
            _ => Err(Error::Syntax("it has no `data`".to_owned())),
        };
    }
    if let (Format::Dotenv, [values]) = (format, documents.as_slice()) {
        return Ok(Zeroizing::new(dotenv::write(values).into_bytes()));
    }
    let values: Vec<Value> = documents.into_iter().map(Node::into_value).collect();
    let text = match (format, values.as_slice()) {
        (Format::Json, [one]) => one.to_string(),
        _ => documents_to_string(&values),
    };
    Ok(Zeroizing::new(text.into_bytes()))
}

fn data_key(metadata: &Value, identities: &[Identity]) -> Result<Zeroizing<Vec<u8>>, Error> {
    if metadata
        .get("key_groups")
        .is_some_and(|groups| !groups.is_null())
    {
        return Err(Error::DataKey("it is shared between groups of keys"));
    }
    let recipients = metadata.get("age").and_then(Value::as_array);
    let recipients = recipients
        .filter(|recipients| !recipients.is_empty())
        .ok_or(Error::DataKey("it is not encrypted to an age key"))?;
    let mut error = Error::DataKey("its age file is missing");
    for recipient in recipients.iter().take(100) {
        let Some(armoured) = recipient.get("enc").and_then(Value::as_str) else {
            continue;
        };
        match age::decrypt(armoured, identities) {
            Ok(key) if key.len() == 32 => return Ok(key),
            Ok(_) => error = Error::DataKey("it does not have 32 bytes"),
            Err(why) => error = why,
        }
    }
    Err(error)
}

/// Rules for which values are encrypted, and which count for the MAC.
struct Rules {
    unencrypted_suffix: String,
    encrypted_suffix: String,
    unencrypted_regex: Option<Regex>,
    encrypted_regex: Option<Regex>,
    mac_only_encrypted: bool,
    /// Whether a value may be no text.
    takes_bytes: bool,
}

impl Rules {
    fn read(metadata: &Value, format: Format) -> Result<Self, Error> {
        let text = |name: &str| {
            metadata
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let pattern = |name: &str| match text(name) {
            "" => Ok(None),
            pattern => Regex::new(pattern)
                .map(Some)
                .map_err(|_| Error::Metadata(format!("`{name}` is not a regular expression"))),
        };
        for comment in ["encrypted_comment_regex", "unencrypted_comment_regex"] {
            if !text(comment).is_empty() {
                return Err(Error::Metadata(format!("`{comment}` is not supported")));
            }
        }
        Ok(Self {
            unencrypted_suffix: text("unencrypted_suffix").to_owned(),
            encrypted_suffix: text("encrypted_suffix").to_owned(),
            unencrypted_regex: pattern("unencrypted_regex")?,
            encrypted_regex: pattern("encrypted_regex")?,
            mac_only_encrypted: metadata.get("mac_only_encrypted") == Some(&Value::Bool(true)),
            takes_bytes: format == Format::Binary,
        })
    }

    /// As SOPS' `shouldBeEncrypted` does.
    fn encrypts(&self, path: &[String]) -> bool {
        let any = |fits: &dyn Fn(&String) -> bool| path.iter().any(fits);
        let mut encrypted = true;
        if !self.unencrypted_suffix.is_empty()
            && any(&|key| key.ends_with(&self.unencrypted_suffix))
        {
            encrypted = false;
        }
        if !self.encrypted_suffix.is_empty() {
            encrypted = any(&|key| key.ends_with(&self.encrypted_suffix));
        }
        if let Some(regex) = &self.unencrypted_regex
            && any(&|key| regex.is_match(key))
        {
            encrypted = false;
        }
        if let Some(regex) = &self.encrypted_regex {
            encrypted = any(&|key| regex.is_match(key));
        }
        encrypted
    }
}

/// Decrypts all values below a node, and adds them to the MAC in the order of the file.
fn walk(
    node: &mut Node,
    path: &mut Vec<String>,
    key: &[u8],
    rules: &Rules,
    mac: &mut digest::Context,
) -> Result<(), Error> {
    match node {
        Node::Map(entries) => {
            for (name, child) in entries {
                path.push(name.clone());
                walk(child, path, key, rules, mac)?;
                if *child == Node::Comment {
                    return Err(Error::Value(path.join(".")));
                }
                path.pop();
            }
        }
        Node::List(items) => {
            for item in items.iter_mut() {
                walk(item, path, key, rules, mac)?;
            }
            items.retain(|item| *item != Node::Comment);
        }
        Node::Leaf(leaf) if leaf.is_null() => {}
        Node::Leaf(leaf) => {
            let encrypted = rules.encrypts(path);
            if encrypted && leaf.as_str() != Some("") {
                let place = || Error::Value(path.join("."));
                let sealed = leaf.as_str().ok_or_else(place)?;
                let context: String = path.iter().map(|part| format!("{part}:")).collect();
                *node = value::open(sealed, key, &context).ok_or_else(place)?;
            }
            if encrypted || !rules.mac_only_encrypted {
                match node {
                    Node::Leaf(leaf) => mac.update(value::bytes(leaf).as_bytes()),
                    Node::Bytes(bytes) if rules.takes_bytes => mac.update(bytes),
                    Node::Comment => {}
                    _ => return Err(Error::Value(path.join("."))),
                }
            }
        }
        Node::Bytes(_) | Node::Comment => {}
    }
    Ok(())
}
