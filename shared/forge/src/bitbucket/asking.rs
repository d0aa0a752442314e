//! Open pull requests, and the access of people who request something there. There are no labels.

use serde::Deserialize;

use super::{PAGE, Paged, Pull, Tip, User};
use crate::asking::Right;
use crate::place::{Repository, segment};
use crate::pull::{OPEN, PullRequest};
use crate::request::{Call, Method, get};

pub(crate) fn open_pulls(at: &Repository, base: &str) -> Call<Vec<PullRequest>> {
    let base = base.replace('"', "\\\"");
    let query = format!("state=\"OPEN\" AND destination.branch.name=\"{base}\"");
    let rest = format!(
        "/pullrequests?pagelen={OPEN}&sort=-updated_on&q={}",
        segment(&query)
    );
    get(at, "listPulls", &rest, |answer| {
        let all: Paged<Pull> = answer.json()?;
        Ok(all.values.into_iter().map(PullRequest::from).collect())
    })
}

/// Returns the call for a person's highest access; only for a known id, since names can be chosen freely.
pub(crate) fn rights(at: &Repository, person: &str) -> Option<Call<Vec<(String, Right)>>> {
    #[derive(Deserialize)]
    struct Permission {
        #[serde(default)]
        permission: String,
        user: Option<User>,
    }
    let id = id(person)?;
    let url = format!(
        "{}/workspaces/{}/permissions/repositories/{}?pagelen={PAGE}&q={}",
        at.api(),
        segment(at.owner()),
        segment(at.name()),
        segment(&format!("user.uuid=\"{id}\""))
    );
    Some(Call::new(
        at,
        "readRight",
        Method::Get,
        url,
        None,
        |answer| {
            let all: Paged<Permission> = answer.json()?;
            let of_people = all.values.into_iter().filter_map(|permission| {
                let right = Right::of_word(&permission.permission);
                Some((permission.user?.name(), right))
            });
            Ok(of_people.collect())
        },
    ))
}

/// Returns the id in a person's internal name.
fn id(person: &str) -> Option<&str> {
    let id = person.get(person.rfind('{')?..)?;
    let digits = id.strip_prefix('{')?.strip_suffix('}')?;
    let is_plain = |c: char| c.is_ascii_hexdigit() || c == '-';
    (!digits.is_empty() && digits.chars().all(is_plain)).then_some(id)
}

/// Pull requests contain only twelve digits of a commit.
pub(crate) fn whole_commit(at: &Repository, beginning: &str) -> Option<Call<String>> {
    let is_part = beginning.len() >= 12 && beginning.bytes().all(|c| c.is_ascii_hexdigit());
    if !is_part {
        return None;
    }
    let rest = format!("/commit/{beginning}");
    Some(get(at, "readCommit", &rest, |answer| {
        answer.json::<Tip>().map(|tip| tip.hash)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_told_apart_by_what_they_cannot_choose() {
        for (person, expected) in [
            ("Ann {504c3b62-8120}", Some("{504c3b62-8120}")),
            // A display name that looks like an id is followed by the real id.
            ("{d301} {504c}", Some("{504c}")),
            ("Ann", None),
            ("Ann {}", None),
            ("Ann {504c} ", None),
            ("Ann {1\" OR user.uuid=\"{2}", Some("{2}")),
            ("Ann {504c\"}", None),
            ("", None),
        ] {
            assert_eq!(id(person), expected, "{person}");
        }
    }
}
