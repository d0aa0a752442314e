//! age files for X25519 recipients: the age-encryption.org/v1 format, as far as a SOPS data key needs
//! it. Own code, since the `age` crate brings some sixty packages of translations, plugins and
//! post-quantum ciphers, where two key agreements and an AEAD are needed.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::{hkdf, hmac};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::Error;

const BEGIN: &str = "-----BEGIN AGE ENCRYPTED FILE-----";
const END: &str = "-----END AGE ENCRYPTED FILE-----";
/// Largest armoured file: a data key has 32 bytes, and a file may have many recipients.
const MAX: usize = 64 << 10;

/// A private key.
#[derive(Clone)]
pub struct Identity {
    secret: StaticSecret,
    public: PublicKey,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity(..)")
    }
}

impl Identity {
    /// All keys of a file as `age-keygen` writes it: a key a line, comments after `#`.
    ///
    /// # Errors
    /// When a line is not an X25519 key; its content is not repeated.
    pub fn read_all(text: &str) -> Result<Vec<Self>, Error> {
        let lines = text.lines().map(str::trim).enumerate();
        lines
            .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
            .map(|(number, line)| Self::parse(line).ok_or(Error::Key { line: number + 1 }))
            .collect()
    }

    fn parse(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(bech32(text, "age-secret-key-")?);
        let secret = StaticSecret::from(<[u8; 32]>::try_from(bytes.as_slice()).ok()?);
        Some(Self {
            public: PublicKey::from(&secret),
            secret,
        })
    }

    fn unwrap(&self, share: &[u8; 32], wrapped: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let shared = self.secret.diffie_hellman(&PublicKey::from(*share));
        if !shared.was_contributory() {
            return None;
        }
        let mut salt = share.to_vec();
        salt.extend_from_slice(self.public.as_bytes());
        let key = derive(&salt, shared.as_bytes(), b"age-encryption.org/v1/X25519")?;
        open(&key, [0; 12], wrapped)
    }
}

/// The content of an armoured file.
pub(crate) fn decrypt(
    armoured: &str,
    identities: &[Identity],
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let broken = || Error::DataKey("its age file is malformed");
    if armoured.len() > MAX {
        return Err(broken());
    }
    let body = armoured
        .trim()
        .strip_prefix(BEGIN)
        .and_then(|rest| rest.strip_suffix(END));
    let body: String = body.ok_or_else(broken)?.split_whitespace().collect();
    let bytes = STANDARD.decode(body).map_err(|_| broken())?;
    let end = bytes
        .windows(5)
        .position(|five| five == b"\n--- ")
        .ok_or_else(broken)?;
    // The MAC covers the header up to and including the three dashes.
    let (header, rest) = bytes.split_at(end + 4);
    let line = rest
        .iter()
        .position(|byte| *byte == b'\n')
        .ok_or_else(broken)?;
    let (mac, payload) = rest.split_at(line);
    let mac = mac
        .strip_prefix(b" ")
        .and_then(|mac| STANDARD_NO_PAD.decode(mac).ok());
    let mac = mac.ok_or_else(broken)?;
    let payload = payload.get(1..).ok_or_else(broken)?;
    let text = std::str::from_utf8(header).map_err(|_| broken())?;
    let mut lines = text.lines();
    if lines.next() != Some("age-encryption.org/v1") {
        return Err(broken());
    }
    let mut file_key = None;
    while let Some(stanza) = lines.next().and_then(|line| line.strip_prefix("-> ")) {
        let mut wrapped = String::new();
        // A stanza's body ends with a line that is not full.
        for part in lines.by_ref() {
            wrapped.push_str(part);
            if part.len() < 64 {
                break;
            }
        }
        let Some(share) = stanza.strip_prefix("X25519 ") else {
            continue;
        };
        let share: [u8; 32] = STANDARD_NO_PAD
            .decode(share)
            .ok()
            .and_then(|share| share.try_into().ok())
            .ok_or_else(broken)?;
        let wrapped = STANDARD_NO_PAD.decode(wrapped).map_err(|_| broken())?;
        let mut keys = identities.iter();
        file_key = file_key.or_else(|| keys.find_map(|key| key.unwrap(&share, &wrapped)));
    }
    let file_key = file_key.ok_or(Error::DataKey("none of the agent's age keys decrypts it"))?;
    let mac_key = derive(b"", &file_key, b"header").ok_or_else(broken)?;
    let mac_key = hmac::Key::new(hmac::HMAC_SHA256, mac_key.as_slice());
    hmac::verify(&mac_key, header, &mac).map_err(|_| broken())?;
    let (nonce, sealed) = payload.split_at_checked(16).ok_or_else(broken)?;
    let key = derive(nonce, &file_key, b"payload").ok_or_else(broken)?;
    // A single, final chunk: counter 0 with the final flag.
    let mut counter = [0; 12];
    counter[11] = 1;
    open(&key, counter, sealed).ok_or_else(broken)
}

fn derive(salt: &[u8], secret: &[u8], info: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, salt);
    let extracted = salt.extract(secret);
    let info = [info];
    let expanded = extracted.expand(&info, hkdf::HKDF_SHA256).ok()?;
    let mut key = Zeroizing::new([0; 32]);
    expanded.fill(key.as_mut_slice()).ok()?;
    Some(key)
}

fn open(key: &[u8; 32], nonce: [u8; 12], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).ok()?);
    let mut bytes = Zeroizing::new(sealed.to_vec());
    let nonce = Nonce::assume_unique_for_key(nonce);
    let length = key
        .open_in_place(nonce, Aad::empty(), &mut bytes)
        .ok()?
        .len();
    bytes.truncate(length);
    Some(bytes)
}

/// BIP 173, with the prefix `hrp`.
fn bech32(text: &str, hrp: &str) -> Option<Vec<u8>> {
    const LETTERS: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    const GENERATOR: [u32; 5] = [
        0x3b6a_57b2,
        0x2650_8e6d,
        0x1ea1_19fa,
        0x3d42_33dd,
        0x2a14_62b3,
    ];
    let is_mixed = text.bytes().any(|b| b.is_ascii_lowercase())
        && text.bytes().any(|b| b.is_ascii_uppercase());
    if is_mixed || text.len() > 200 {
        return None;
    }
    let text = text.to_ascii_lowercase();
    let data = text.strip_prefix(hrp)?.strip_prefix('1')?;
    let value = |byte: u8| LETTERS.iter().position(|letter| *letter == byte);
    let values: Option<Vec<u32>> = data
        .bytes()
        .map(|byte| value(byte).and_then(|value| u32::try_from(value).ok()))
        .collect();
    let values = values?;
    let expanded = hrp
        .bytes()
        .map(|byte| u32::from(byte >> 5))
        .chain(std::iter::once(0))
        .chain(hrp.bytes().map(|byte| u32::from(byte & 31)))
        .chain(values.iter().copied());
    let checksum = expanded.fold(1u32, |sum, value| {
        let top = sum >> 25;
        GENERATOR.iter().enumerate().fold(
            (sum & 0x01ff_ffff) << 5 ^ value,
            |sum, (bit, generator)| {
                if top >> bit & 1 == 1 {
                    sum ^ generator
                } else {
                    sum
                }
            },
        )
    });
    if checksum != 1 {
        return None;
    }
    let payload = values.get(..values.len().checked_sub(6)?)?;
    let mut bytes = Vec::new();
    let (mut bits, mut held) = (0u32, 0u32);
    for value in payload {
        bits = bits << 5 | value;
        held += 5;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).ok()?);
        }
        bits &= (1 << held) - 1;
    }
    (held < 5 && bits == 0).then_some(bytes)
}
