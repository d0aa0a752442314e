//! A malicious Git server: replaces or modifies the true answers.

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;

/// How it misbehaves.
#[derive(Debug, Clone, Default)]
pub enum Malice {
    /// It does not.
    #[default]
    None,
    /// Answers everything with this status, and optionally `Retry-After` seconds.
    Status(u16, Option<u32>),
    /// Redirects every request to another base URL.
    Redirect(String),
    /// Admits only this `Authorization`.
    Guard(String),
    /// Truncates the answer with the pack.
    Cut,
    /// Replaces the pack.
    Pack(fn(Vec<u8>) -> Vec<u8>),
    /// Sends the answer with the pack slowly, one byte per 100 ms.
    Drip,
}

/// A request that the server received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedRequest {
    /// Path and query.
    pub path: String,
    /// Its `Authorization`.
    pub authorization: Option<String>,
}

impl ReceivedRequest {
    pub(crate) fn of(request: &Request) -> Self {
        let header = request.headers().get("authorization");
        Self {
            path: request.uri().to_string(),
            authorization: header
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned),
        }
    }
}

fn answer(status: u16, header: Option<(&'static str, String)>) -> Response {
    let mut response = Response::new(Body::from("no"));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Some((name, value)) = header
        && let Ok(value) = value.parse()
    {
        response.headers_mut().insert(name, value);
    }
    response
}

impl Malice {
    /// The answer instead of the true one.
    pub(crate) fn before(&self, request: &Request) -> Option<Response> {
        match self {
            Self::Status(status, retry) => {
                let retry = retry.map(|seconds| ("retry-after", seconds.to_string()));
                Some(answer(*status, retry))
            }
            Self::Redirect(base) => {
                let to = format!("{base}{}", request.uri());
                Some(answer(301, Some(("location", to))))
            }
            Self::Guard(expected) => {
                let given = ReceivedRequest::of(request).authorization;
                let challenge = ("www-authenticate", "Basic realm=\"git\"".to_owned());
                (given.as_ref() != Some(expected)).then(|| answer(401, Some(challenge)))
            }
            _ => None,
        }
    }

    /// Modifies the true answer.
    pub(crate) async fn after(&self, response: Response) -> Response {
        if !matches!(self, Self::Cut | Self::Pack(_) | Self::Drip) {
            return response;
        }
        let (parts, body) = response.into_parts();
        let Ok(bytes) = axum::body::to_bytes(body, 1 << 30).await else {
            return answer(500, None);
        };
        let marker = b"packfile\n";
        let Some(at) = bytes
            .windows(marker.len())
            .position(|window| window == marker)
        else {
            return Response::from_parts(parts, Body::from(bytes));
        };
        let start = at + marker.len();
        let body = match self {
            Self::Cut => Body::from(bytes.slice(..start + (bytes.len() - start) / 2)),
            Self::Pack(change) => Body::from(with_pack(&bytes, start, *change)),
            _ => drip(bytes),
        };
        let mut response = Response::from_parts(parts, body);
        response.headers_mut().remove("content-length");
        response
    }
}

fn drip(bytes: Bytes) -> Body {
    let stream = futures::stream::unfold(0, move |at| {
        let byte = (at < bytes.len()).then(|| bytes.slice(at..=at));
        async move {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            byte.map(|byte| (Ok::<_, std::io::Error>(byte), at + 1))
        }
    });
    Body::from_stream(stream)
}

/// Replaces the pack in an answer: it is in the lines of side band 1 (protocol v2, section `packfile`).
fn with_pack(bytes: &[u8], start: usize, change: fn(Vec<u8>) -> Vec<u8>) -> Vec<u8> {
    let (head, mut rest) = bytes.split_at(start);
    let mut pack = Vec::new();
    while let Some((length, after)) = rest.split_at_checked(4) {
        let length = std::str::from_utf8(length)
            .ok()
            .and_then(|text| usize::from_str_radix(text, 16).ok());
        let Some(size) = length.filter(|length| *length > 4).map(|length| length - 4) else {
            break;
        };
        let Some((line, after)) = after.split_at_checked(size) else {
            break;
        };
        if let Some((1, content)) = line.split_first() {
            pack.extend_from_slice(content);
        }
        rest = after;
    }
    let mut answer = head.to_vec();
    for part in change(pack).chunks(60_000) {
        answer.extend(format!("{:04x}\u{1}", part.len() + 5).into_bytes());
        answer.extend_from_slice(part);
    }
    answer.extend_from_slice(b"0000");
    answer
}

/// A pack of raw entries with a correct checksum.
#[must_use]
pub fn pack(count: u32, entries: &[u8]) -> Vec<u8> {
    let mut pack = b"PACK\0\0\0\x02".to_vec();
    pack.extend(count.to_be_bytes());
    pack.extend_from_slice(entries);
    let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, &pack);
    pack.extend_from_slice(digest.as_ref());
    pack
}

/// The header of an entry: kind (1 commit, 2 tree, 3 blob, 6 delta by offset) and inflated size.
#[must_use]
pub fn entry(kind: u8, mut size: u64) -> Vec<u8> {
    let low = |size: u64, bits: u32| u8::try_from(size & ((1 << bits) - 1)).unwrap_or_default();
    let mut header = vec![kind << 4 | low(size, 4)];
    size >>= 4;
    while size > 0 {
        if let Some(last) = header.last_mut() {
            *last |= 0x80;
        }
        header.push(low(size, 7));
        size >>= 7;
    }
    header
}

/// A pack with a flipped bit in the middle.
#[must_use]
pub fn flipped(mut pack: Vec<u8>) -> Vec<u8> {
    let middle = pack.len() / 2;
    if let Some(byte) = pack.get_mut(middle) {
        *byte ^= 1;
    }
    pack
}

/// A pack with an object that claims a size of one tebibyte.
#[must_use]
pub fn large(kind: u8) -> Vec<u8> {
    let mut large = entry(kind, 1 << 40);
    large.extend(stored(b"small"));
    pack(1, &large)
}

/// A pack with a delta of twenty bytes that claims to expand the object before it to one tebibyte.
#[must_use]
pub fn bomb(kind: u8) -> Vec<u8> {
    let base = [entry(kind, 5), stored(b"small")].concat();
    let mut delta = size(5);
    delta.extend(size(1 << 40));
    delta.extend([0x90, 5]);
    let back = u8::try_from(base.len()).unwrap_or_default();
    let header = entry(6, u64::try_from(delta.len()).unwrap_or_default());
    pack(2, &[base, header, vec![back], stored(&delta)].concat())
}

/// A pack with a delta whose base is far before the start of the pack.
#[must_use]
pub fn nowhere() -> Vec<u8> {
    let mut entries = entry(6, 4);
    entries.extend([0xff, 0xff, 0x7f]);
    entries.extend(stored(&[5, 5, 0x90, 5]));
    pack(1, &entries)
}

/// A number as in deltas, seven bits at a time, the lowest first.
#[must_use]
pub fn size(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(number & 0x7f).unwrap_or_default();
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// zlib with stored blocks.
#[must_use]
pub fn stored(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    let mut zlib = vec![0x78, 0x01, 0x01];
    zlib.extend(length.to_le_bytes());
    zlib.extend((!length).to_le_bytes());
    zlib.extend_from_slice(bytes);
    let (mut a, mut b) = (1u32, 0u32);
    for byte in bytes {
        a = (a + u32::from(*byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    zlib.extend(((b << 16) | a).to_be_bytes());
    zlib
}
