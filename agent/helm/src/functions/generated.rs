//! Functions of time or randomness. A render is a function of its inputs, so these are refused, or derived from the
//! application, the template and the number of the call in it: stable from render to render.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::time::Time;
use super::{Function, Type, int, lossy, placed};
use crate::template::{EvalError, Generated, State};
use crate::value::Value;

use Type::{Int, Str as S};

pub(super) const FUNCTIONS: &[Function] = &[
    placed("randAlphaNum", &[Int], |state, _, a| {
        letters(state, "randAlphaNum", int(a, 0), |byte| {
            byte.is_ascii_alphanumeric()
        })
    }),
    placed("randAlpha", &[Int], |state, _, a| {
        letters(state, "randAlpha", int(a, 0), |byte| {
            byte.is_ascii_alphabetic()
        })
    }),
    placed("randNumeric", &[Int], |state, _, a| {
        letters(state, "randNumeric", int(a, 0), |byte| {
            byte.is_ascii_digit()
        })
    }),
    placed("randAscii", &[Int], |state, _, a| {
        letters(state, "randAscii", int(a, 0), |byte| {
            (b' '..=b'~').contains(&byte)
        })
    }),
    placed("randBytes", &[Int], |state, _, a| {
        let count = length(state, int(a, 0))?;
        let mut stream = Stream::new(state, "randBytes")?;
        let bytes: Vec<u8> = (0..count).map(|_| stream.next()).collect();
        Ok(Value::from(STANDARD.encode(bytes)))
    }),
    placed("randInt", &[Int, Int], |state, _, a| {
        let (least, most) = (int(a, 0), int(a, 1));
        let mut stream = Stream::new(state, "randInt")?;
        let span = most.checked_sub(least).filter(|span| *span > 0);
        let Some(span) = span else {
            return Err(EvalError::plain("invalid argument to Intn"));
        };
        let drawn = stream.number() % span.unsigned_abs();
        Ok(Value::int(least.saturating_add_unsigned(drawn)))
    }),
    placed("shuffle", &[S], |state, _, a| {
        let mut stream = Stream::new(state, "shuffle")?;
        let mut letters: Vec<char> = lossy(a, 0).chars().collect();
        for last in (1..letters.len()).rev() {
            let other = stream.number() % (last as u64 + 1);
            letters.swap(last, usize::try_from(other).unwrap_or(0));
        }
        Ok(Value::from(letters.into_iter().collect::<String>()))
    }),
    placed("uuidv4", &[], |state, _, _| {
        let mut stream = Stream::new(state, "uuidv4")?;
        let mut bytes = [0_u8; 16];
        bytes.iter_mut().for_each(|byte| *byte = stream.next());
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let (a, b, c, d, e) = (
            &text[..8],
            &text[8..12],
            &text[12..16],
            &text[16..20],
            &text[20..],
        );
        Ok(Value::from(format!("{a}-{b}-{c}-{d}-{e}")))
    }),
    placed("encryptAES", &[S, S], |state, _, a| {
        let mut stream = Stream::new(state, "encryptAES")?;
        let mut vector = [0_u8; 16];
        vector.iter_mut().for_each(|byte| *byte = stream.next());
        let text = super::crypto::encrypt_aes(super::bytes(a, 0), super::bytes(a, 1), vector);
        Ok(Value::from(text))
    }),
    placed("bcrypt", &[S], |state, _, _| never(state, "bcrypt")),
    placed("htpasswd", &[S, S], |state, _, a| {
        let user = lossy(a, 0);
        if user.contains(':') {
            return Ok(Value::from(format!("invalid username: {user}")));
        }
        never(state, "htpasswd")
    }),
];

/// Returns the current time, where a render may have one.
pub(super) fn now(state: &mut State<'_>, name: &str) -> Result<Time, EvalError> {
    // An arbitrary time from 2000 to 2009, the same in every render.
    let mut stream = Stream::new(state, name)?;
    let offset = i64::try_from(stream.number() % 315_360_000).unwrap_or(0);
    Ok(Time::unix(946_684_800 + offset))
}

/// Refuses a value for anything that is applied: a secret that anybody could derive is not a secret.
pub(super) fn never(state: &State<'_>, name: &str) -> Result<Value, EvalError> {
    if state.options.generated == Generated::Display {
        return Ok(Value::from(format!("(a placeholder for {name})")));
    }
    Err(EvalError::plain(format!(
        "{name} gives a different result at each render, and cannot be derived: give the value \
         in the chart's values or in a Secret of your own"
    )))
}

fn length(state: &State<'_>, count: i64) -> Result<usize, EvalError> {
    let most = state.meter.limits().expansion;
    match usize::try_from(count) {
        Ok(count) if count <= most => Ok(count),
        Ok(_) => Err(EvalError::plain(format!(
            "{count} bytes are more than the {most} that are allowed"
        ))),
        Err(_) => Err(EvalError::plain(
            "runtime error: makeslice: len out of range",
        )),
    }
}

fn letters(
    state: &mut State<'_>,
    name: &str,
    count: i64,
    accepts: fn(u8) -> bool,
) -> Result<Value, EvalError> {
    let count = length(state, count.max(0))?;
    let mut stream = Stream::new(state, name)?;
    let mut out = Vec::with_capacity(count);
    while out.len() < count {
        let byte = stream.next() & 0x7f;
        if accepts(byte) {
            out.push(byte);
        }
    }
    Ok(Value::str(out))
}

/// A stream of bytes derived from seed, template and call.
struct Stream {
    key: ring::hmac::Key,
    block: u64,
    left: Vec<u8>,
}

impl Stream {
    fn new(state: &mut State<'_>, name: &str) -> Result<Self, EvalError> {
        let seed = match &state.options.generated {
            Generated::Derive { seed } => seed.as_str(),
            Generated::Display => "display",
            Generated::Refuse => {
                return Err(EvalError::plain(format!(
                    "{name} depends on time or randomness, so that each render would differ: \
                     give the value in the chart's values, or set `generated: derived` for the \
                     application"
                )));
            }
        };
        let file = &state.file;
        let call = state.generated;
        let sizes = [seed.len(), file.len(), name.len()];
        let material = format!("{sizes:?}{seed}{file}{name}{call}");
        state.generated += 1;
        Ok(Self {
            key: ring::hmac::Key::new(ring::hmac::HMAC_SHA256, material.as_bytes()),
            block: 0,
            left: Vec::new(),
        })
    }

    fn next(&mut self) -> u8 {
        loop {
            if let Some(byte) = self.left.pop() {
                return byte;
            }
            let tag = ring::hmac::sign(&self.key, &self.block.to_be_bytes());
            self.block += 1;
            self.left = tag.as_ref().to_vec();
        }
    }

    fn number(&mut self) -> u64 {
        (0..8).fold(0, |number, _| number << 8 | u64::from(self.next()))
    }
}
