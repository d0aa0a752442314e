//! Paths with slashes; Helm runs where files have them, too.

use super::{Function, Type, lossy, pure};
use crate::value::Value;

use Type::Str as S;

pub(super) const FUNCTIONS: &[Function] = &[
    pure("base", &[S], |a| Ok(Value::from(base(&lossy(a, 0))))),
    pure("osBase", &[S], |a| Ok(Value::from(base(&lossy(a, 0))))),
    pure("dir", &[S], |a| Ok(Value::from(dir(&lossy(a, 0))))),
    pure("osDir", &[S], |a| Ok(Value::from(dir(&lossy(a, 0))))),
    pure("clean", &[S], |a| Ok(Value::from(clean(&lossy(a, 0))))),
    pure("osClean", &[S], |a| Ok(Value::from(clean(&lossy(a, 0))))),
    pure("ext", &[S], |a| Ok(Value::from(ext(&lossy(a, 0))))),
    pure("osExt", &[S], |a| Ok(Value::from(ext(&lossy(a, 0))))),
    pure("isAbs", &[S], |a| {
        Ok(Value::Bool(lossy(a, 0).starts_with('/')))
    }),
    pure("osIsAbs", &[S], |a| {
        Ok(Value::Bool(lossy(a, 0).starts_with('/')))
    }),
];

fn base(path: &str) -> &str {
    if path.is_empty() {
        return ".";
    }
    let path = path.trim_end_matches('/');
    match path.rsplit('/').next() {
        Some("") | None => "/",
        Some(name) => name,
    }
}

fn ext(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rfind('.').map_or("", |dot| &name[dot..])
}

fn dir(path: &str) -> String {
    clean(path.rfind('/').map_or("", |slash| &path[..=slash]))
}

fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => match parts.last() {
                Some(last) if *last != ".." => {
                    parts.pop();
                }
                _ if rooted => {}
                _ => parts.push(".."),
            },
            name => parts.push(name),
        }
    }
    let joined = parts.join("/");
    if rooted {
        format!("/{joined}")
    } else if joined.is_empty() {
        ".".to_owned()
    } else {
        joined
    }
}
