//! URLs as Go's `net/url` takes them apart.

use super::{Function, Type, lossy, map, pure};
use crate::fmt::{kind_name, quote};
use crate::value::{Map, Value};

use Type::{Map as M, Str as S};

pub(super) const FUNCTIONS: &[Function] = &[
    pure("urlParse", &[S], |a| {
        let url = parse(&lossy(a, 0)).map_err(|error| format!("unable to parse url: {error}"))?;
        let dict = Map::new();
        dict.insert("scheme", url.scheme);
        dict.insert("hostname", hostname(&url.host));
        dict.insert("host", url.host);
        dict.insert("path", url.path);
        dict.insert("query", url.query);
        dict.insert("opaque", url.opaque);
        dict.insert("fragment", url.fragment);
        dict.insert("userinfo", url.user.unwrap_or_default());
        Ok(Value::Map(dict))
    }),
    pure("urlJoin", &[M], join),
];

#[derive(Default)]
struct Url {
    scheme: String,
    opaque: String,
    user: Option<String>,
    host: String,
    path: String,
    query: String,
    fragment: String,
}

fn hostname(host: &str) -> String {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default().to_owned();
    }
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name.to_owned(),
        _ => host.to_owned(),
    }
}

fn parse(text: &str) -> Result<Url, String> {
    let wrong = |why: String| format!("parse {}: {why}", quote(text.as_bytes()));
    if text.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
        return Err(wrong(
            "net/url: invalid control character in URL".to_owned(),
        ));
    }
    let (body, fragment) = text.split_once('#').unwrap_or((text, ""));
    let mut url = Url {
        fragment: decode(fragment).map_err(wrong)?,
        ..Url::default()
    };
    if body == "*" {
        url.path = "*".to_owned();
        return Ok(url);
    }
    let mut rest = body;
    for (index, letter) in body.char_indices() {
        match letter {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if index > 0 => {}
            ':' if index == 0 => return Err(wrong("missing protocol scheme".to_owned())),
            ':' => {
                url.scheme = body[..index].to_ascii_lowercase();
                rest = &body[index + 1..];
                break;
            }
            _ => break,
        }
    }
    let (before, query) = match rest.split_once('?') {
        Some((before, query)) => (before, query),
        None => (rest, ""),
    };
    query.clone_into(&mut url.query);
    rest = before;
    if !rest.starts_with('/') {
        if !url.scheme.is_empty() {
            rest.clone_into(&mut url.opaque);
            return Ok(url);
        }
        if rest.split('/').next().unwrap_or_default().contains(':') {
            return Err(wrong(
                "first path segment in URL cannot contain colon".to_owned(),
            ));
        }
    }
    if let Some(after) = rest.strip_prefix("//")
        && (!url.scheme.is_empty() || !rest.starts_with("///"))
    {
        let (authority, path) = match after.find('/') {
            Some(slash) => after.split_at(slash),
            None => (after, ""),
        };
        let host = match authority.rsplit_once('@') {
            Some((user, host)) => {
                url.user = Some(user_text(user).map_err(wrong)?);
                host
            }
            None => authority,
        };
        check_port(host).map_err(wrong)?;
        url.host = decode(host).map_err(wrong)?;
        rest = path;
    }
    url.path = decode(rest).map_err(wrong)?;
    Ok(url)
}

fn check_port(host: &str) -> Result<(), String> {
    let port = match host.rfind(']') {
        Some(bracket) => &host[bracket + 1..],
        None => host.find(':').map_or("", |colon| &host[colon..]),
    };
    let digits = port.strip_prefix(':').unwrap_or(port);
    if port.is_empty() || port.starts_with(':') && digits.bytes().all(|byte| byte.is_ascii_digit())
    {
        return Ok(());
    }
    let port = quote(port.as_bytes());
    Err(format!("invalid port {port} after host"))
}

fn user_text(user: &str) -> Result<String, String> {
    let (name, password) = match user.split_once(':') {
        Some((name, password)) => (name, Some(password)),
        None => (user, None),
    };
    let again = |text: &str| decode(text).map(|text| encode(&text, "-_.~$&+,;="));
    let name = again(name)?;
    Ok(match password {
        Some(password) => format!("{name}:{}", again(password)?),
        None => name,
    })
}

fn decode(text: &str) -> Result<String, String> {
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'%' {
            out.push(bytes[at]);
            at += 1;
            continue;
        }
        let digits = text.get(at + 1..at + 3);
        let byte = digits
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            Some(byte) => out.push(byte),
            None => {
                let end = bytes.len().min(at + 3);
                return Err(format!("invalid URL escape {}", quote(&bytes[at..end])));
            }
        }
        at += 3;
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// Escapes all but letters, digits and these.
fn encode(text: &str, kept: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || kept.as_bytes().contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// `url.QueryEscape`
pub(super) fn query_escape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        match byte {
            b' ' => out.push(b'+'),
            b'-' | b'_' | b'.' | b'~' => out.push(*byte),
            byte if byte.is_ascii_alphanumeric() => out.push(*byte),
            byte => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    out
}

fn join(arguments: &[Value]) -> Result<Value, String> {
    let dict = map(arguments, 0);
    let part = |key: &str| match dict.get(key) {
        None => Ok(String::new()),
        Some(Value::Str(text)) => Ok(text.lossy().into_owned()),
        Some(other) => Err(format!(
            "unable to parse {key} key, must be of type string, but {} found",
            kind_name(&other)
        )),
    };
    let (scheme, host, path) = (part("scheme")?, part("host")?, part("path")?);
    let (query, opaque, fragment) = (part("query")?, part("opaque")?, part("fragment")?);
    let user = match part("userinfo")? {
        user if user.is_empty() => None,
        user => {
            let url = parse(&format!("proto://{user}@host"))
                .map_err(|error| format!("unable to parse userinfo in dict: {error}"))?;
            url.user
        }
    };
    let mut out = String::new();
    if !scheme.is_empty() {
        out.push_str(&format!("{scheme}:"));
    }
    if opaque.is_empty() {
        if !scheme.is_empty() || !host.is_empty() || user.is_some() {
            if !host.is_empty() || !path.is_empty() || user.is_some() {
                out.push_str("//");
            }
            if let Some(user) = user {
                out.push_str(&format!("{user}@"));
            }
            out.push_str(&encode(&host, "-_.~!$&'()*+,;=:[]<>\""));
        }
        let escaped = encode(&path, "-_.~$&+,/:;=@");
        if !escaped.is_empty() && !escaped.starts_with('/') && !host.is_empty() {
            out.push('/');
        }
        if out.is_empty()
            && escaped
                .split('/')
                .next()
                .is_some_and(|first| first.contains(':'))
        {
            out.push_str("./");
        }
        out.push_str(&escaped);
    } else {
        out.push_str(&opaque);
    }
    if !query.is_empty() {
        out.push_str(&format!("?{query}"));
    }
    if !fragment.is_empty() {
        out.push_str(&format!("#{}", encode(&fragment, "-_.~!$&'()*+,/:;=?@")));
    }
    Ok(Value::from(out))
}
