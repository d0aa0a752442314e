//! Hashes, and encryption and key derivation without randomness.

use aes_gcm::aes::Aes256;
use aes_gcm::aes::cipher::{BlockDecrypt, BlockEncrypt, KeyInit};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest;

use super::{Function, Type, bytes, lossy, pure, scrypt, shared};
use crate::template::{EvalError, State};
use crate::value::{Host, Value};

use Type::{Str as S, Uint32 as U};

pub(super) const FUNCTIONS: &[Function] = &[
    pure("sha1sum", &[S], |a| {
        Ok(sum(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes(a, 0)))
    }),
    pure("sha256sum", &[S], |a| Ok(sum(&digest::SHA256, bytes(a, 0)))),
    pure("sha512sum", &[S], |a| Ok(sum(&digest::SHA512, bytes(a, 0)))),
    pure("adler32sum", &[S], |a| {
        let (mut one, mut two) = (1_u32, 0_u32);
        for byte in bytes(a, 0) {
            one = (one + u32::from(*byte)) % 65_521;
            two = (two + one) % 65_521;
        }
        Ok(Value::from((two << 16 | one).to_string()))
    }),
    pure("decryptAES", &[S, S], decrypt_aes),
    shared("derivePassword", &[U, S, S, S, S], derive_password),
];

fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

fn sum(algorithm: &'static digest::Algorithm, data: &[u8]) -> Value {
    Value::from(hexadecimal(digest::digest(algorithm, data).as_ref()))
}

fn aes(password: &[u8]) -> Aes256 {
    let mut key = [0_u8; 32];
    let length = password.len().min(32);
    key[..length].copy_from_slice(&password[..length]);
    Aes256::new(&key.into())
}

/// AES-256-CBC as sprig lays it out: the vector first, all of it in base64.
pub(super) fn encrypt_aes(password: &[u8], text: &[u8], vector: [u8; 16]) -> String {
    let cipher = aes(password);
    let padding = 16 - text.len() % 16;
    let mut padded = text.to_vec();
    padded.resize(text.len() + padding, u8::try_from(padding).unwrap_or(16));
    let mut out = vector.to_vec();
    let mut before = vector;
    for chunk in padded.chunks_exact(16) {
        let mut block = before;
        block
            .iter_mut()
            .zip(chunk)
            .for_each(|(one, two)| *one ^= two);
        let mut block = block.into();
        cipher.encrypt_block(&mut block);
        before = block.into();
        out.extend_from_slice(&before);
    }
    STANDARD.encode(out)
}

fn decrypt_aes(arguments: &[Value]) -> Result<Value, String> {
    let sealed = bytes(arguments, 1);
    if sealed.is_empty() {
        return Ok(Value::from(""));
    }
    let sealed = super::data::base64_decode(sealed)?;
    if sealed.len() < 16 {
        let length = sealed.len();
        return Err(format!(
            "runtime error: slice bounds out of range [:16] with capacity {length}"
        ));
    }
    if sealed.len() % 16 != 0 {
        return Err("crypto/cipher: input not full blocks".to_owned());
    }
    let cipher = aes(bytes(arguments, 0));
    let mut out = Vec::with_capacity(sealed.len());
    for pair in sealed.windows(32).step_by(16) {
        let mut block = [0_u8; 16];
        block.copy_from_slice(&pair[16..]);
        let mut block = block.into();
        cipher.decrypt_block(&mut block);
        out.extend(block.iter().zip(&pair[..16]).map(|(one, two)| one ^ two));
    }
    let padding = out.last().copied().map(usize::from);
    match padding.and_then(|padding| out.len().checked_sub(padding)) {
        Some(length) => {
            out.truncate(length);
            Ok(Value::str(out))
        }
        None => Err("runtime error: slice bounds out of range".to_owned()),
    }
}

const MASTER: &[u8] = b"com.lyndir.masterpassword";

fn templates(kind: &str) -> Option<&'static [&'static [u8]]> {
    Some(match kind {
        "maximum" => &[b"anoxxxxxxxxxxxxxxxxx", b"axxxxxxxxxxxxxxxxxno"],
        "long" => &[
            b"CvcvnoCvcvCvcv",
            b"CvcvCvcvnoCvcv",
            b"CvcvCvcvCvcvno",
            b"CvccnoCvcvCvcv",
            b"CvccCvcvnoCvcv",
            b"CvccCvcvCvcvno",
            b"CvcvnoCvccCvcv",
            b"CvcvCvccnoCvcv",
            b"CvcvCvccCvcvno",
            b"CvcvnoCvcvCvcc",
            b"CvcvCvcvnoCvcc",
            b"CvcvCvcvCvccno",
            b"CvccnoCvccCvcv",
            b"CvccCvccnoCvcv",
            b"CvccCvccCvcvno",
            b"CvcvnoCvccCvcc",
            b"CvcvCvccnoCvcc",
            b"CvcvCvccCvccno",
            b"CvccnoCvcvCvcc",
            b"CvccCvcvnoCvcc",
            b"CvccCvcvCvccno",
        ],
        "medium" => &[b"CvcnoCvc", b"CvcCvcno"],
        "short" => &[b"Cvcn"],
        "basic" => &[b"aaanaaan", b"aannaaan", b"aaannaaa"],
        "pin" => &[b"nnnn"],
        _ => return None,
    })
}

fn characters(class: u8) -> &'static [u8] {
    match class {
        b'V' => b"AEIOU",
        b'C' => b"BCDFGHJKLMNPQRSTVWXYZ",
        b'v' => b"aeiou",
        b'c' => b"bcdfghjklmnpqrstvwxyz",
        b'A' => b"AEIOUBCDFGHJKLMNPQRSTVWXYZ",
        b'a' => b"AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz",
        b'n' => b"0123456789",
        b'o' => b"@&%?,=[]_:-+*$#!'^~;()/.",
        _ => b"AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz0123456789!@#$%^&*()",
    }
}

/// Steps that one derivation counts as: it takes a tenth of a second.
const DERIVATION: usize = 2_000_000;

fn derive_password(state: &mut State<'_>, arguments: &[Value]) -> Result<Value, EvalError> {
    let kind = lossy(arguments, 1);
    let Some(templates) = templates(&kind) else {
        return Ok(Value::from(format!("cannot find password template {kind}")));
    };
    let step = state.meter.step(DERIVATION);
    step.map_err(|exceeded| EvalError::plain(exceeded.to_string()))?;
    let counter = match arguments[0] {
        Value::Uint(counter, _) => u32::try_from(counter).unwrap_or(0),
        _ => 0,
    };
    let sized = |text: &[u8]| {
        let size = u32::try_from(text.len()).unwrap_or(u32::MAX);
        [MASTER, &size.to_be_bytes(), text].concat()
    };
    let key = scrypt::key(bytes(arguments, 2), &sized(bytes(arguments, 3)));
    let mut message = sized(bytes(arguments, 4));
    message.extend_from_slice(&counter.to_be_bytes());
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &key);
    let tag = ring::hmac::sign(&key, &message);
    let seed = tag.as_ref();
    let template = templates[usize::from(seed[0]) % templates.len()];
    let password: Vec<u8> = template
        .iter()
        .zip(&seed[1..])
        .map(|(class, byte)| {
            let characters = characters(*class);
            characters[usize::from(*byte) % characters.len()]
        })
        .collect();
    Ok(Value::str(password))
}

/// sprig's certificate: two texts in PEM.
#[derive(Debug)]
struct Certificate {
    cert: String,
    key: String,
}

impl Host for Certificate {
    fn type_name(&self) -> &str {
        "sprig.certificate"
    }

    fn field(&self, name: &str) -> Option<Value> {
        match name {
            "Cert" => Some(Value::from(self.cert.as_str())),
            "Key" => Some(Value::from(self.key.as_str())),
            _ => None,
        }
    }

    fn display(&self) -> String {
        format!("{{{} {}}}", self.cert, self.key)
    }
}

/// Builds a certificate from given values.
pub(super) fn custom_certificate(arguments: &[Value]) -> Result<Value, String> {
    let decoded = |index: usize, what: &str| {
        let data = super::data::base64_decode(bytes(arguments, index))
            .map_err(|_| format!("unable to decode base64 {what}"))?;
        let text = String::from_utf8_lossy(&data).into_owned();
        if text.contains("-----BEGIN ") && text.contains("-----END ") {
            Ok(text)
        } else {
            Err(format!("unable to decode {what}"))
        }
    };
    Ok(Value::host(Certificate {
        cert: decoded(0, "certificate")?,
        key: decoded(1, "private key")?,
    }))
}

/// A certificate whose parts are this text.
pub(super) fn placeholder(text: &Value) -> Value {
    let Value::Str(text) = text else {
        return Value::Nil;
    };
    Value::host(Certificate {
        cert: text.to_string(),
        key: text.to_string(),
    })
}
