//! One encrypted value: `ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]`.

use aes_gcm::aead::consts::U32;
use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::aes::Aes256;
use aes_gcm::{AesGcm, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::number::number;
use crate::tree::Node;

/// Decrypts a value with the context that it is bound to. None: it was not sealed with this key and context.
pub(crate) fn open(sealed: &str, key: &[u8], context: &str) -> Option<Node> {
    let inner = sealed.strip_prefix("ENC[AES256_GCM,")?.strip_suffix(']')?;
    let mut parts = inner.split(',');
    let mut part = |name: &str| parts.next()?.strip_prefix(name)?.strip_prefix(':');
    let decode = |text: &str| STANDARD.decode(text).ok();
    let mut data = decode(part("data")?)?;
    let iv: [u8; 32] = decode(part("iv")?)?.try_into().ok()?;
    let tag = decode(part("tag")?)?;
    let kind = part("type")?.to_owned();
    if tag.len() != 16 || key.len() != 32 || parts.next().is_some() {
        return None;
    }
    data.extend(tag);
    let cipher = AesGcm::<Aes256, U32>::new_from_slice(key).ok()?;
    let payload = Payload {
        msg: &data,
        aad: context.as_bytes(),
    };
    let plain = Zeroizing::new(cipher.decrypt(&Nonce::<U32>::from(iv), payload).ok()?);
    if kind == "comment" {
        return Some(Node::Comment);
    }
    let Ok(text) = std::str::from_utf8(&plain) else {
        let is_text = matches!(kind.as_str(), "str" | "bytes");
        return is_text.then(|| Node::Bytes(plain));
    };
    let value = match kind.as_str() {
        // A time is RFC 3339 text, as in JSON.
        "str" | "bytes" | "time" => Value::String(text.to_owned()),
        "int" => Value::from(text.parse::<i64>().ok()?),
        "float" => number(text.parse().ok()?)?,
        "bool" => match text {
            "True" | "true" => Value::Bool(true),
            "False" | "false" => Value::Bool(false),
            _ => return None,
        },
        _ => return None,
    };
    Some(Node::Leaf(value))
}

/// A value's bytes for the MAC, as SOPS' `ToBytes` writes them.
pub(crate) fn bytes(value: &Value) -> String {
    match value {
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_f64() {
            // Go's shortest form without an exponent, which is Rust's as well.
            Some(float) if number.is_f64() => format!("{float}"),
            _ => number.to_string(),
        },
        _ => String::new(),
    }
}
