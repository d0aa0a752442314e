//! Open pull requests, and who asks for something at them.

use serde::Deserialize;

use super::{Named, PAGE, Pull, User, call, login};
use crate::asking::{Labelling, Right};
use crate::place::{Repository, segment};
use crate::pull::{OPEN, Page, PullRequest};
use crate::request::{Call, Method};

pub(crate) fn open_pulls(at: &Repository, base: &str) -> Call<Vec<PullRequest>> {
    let rest = format!(
        "/pulls?state=open&base={}&sort=updated&direction=desc&per_page={OPEN}",
        segment(base)
    );
    call(at, "listPulls", Method::Get, &rest, None, |answer| {
        let all: Vec<Pull> = answer.json()?;
        Ok(all.into_iter().map(PullRequest::from).collect())
    })
}

/// Who gave which label, oldest first.
pub(crate) fn labellings(at: &Repository, number: u64, page: u32) -> Call<Page<Labelling>> {
    #[derive(Deserialize)]
    struct Event {
        #[serde(default)]
        event: String,
        actor: Option<User>,
        label: Option<Named>,
    }
    let rest = format!("/issues/{number}/events?per_page={PAGE}&page={page}");
    call(at, "readEvents", Method::Get, &rest, None, |answer| {
        let all: Vec<Event> = answer.json()?;
        let more = all.len() >= PAGE;
        let items = all.into_iter().filter_map(|one| {
            let given = match one.event.as_str() {
                "labeled" => true,
                "unlabeled" => false,
                _ => return None,
            };
            Some(Labelling {
                label: one.label?.name,
                by: login(one.actor),
                given,
            })
        });
        Ok(Page {
            items: items.collect(),
            more,
        })
    })
}

pub(crate) fn rights(at: &Repository, person: &str) -> Call<Vec<(String, Right)>> {
    #[derive(Deserialize)]
    struct Permission {
        permission: String,
        user: Option<User>,
    }
    let rest = format!("/collaborators/{}/permission", segment(person));
    let read = call(at, "readRight", Method::Get, &rest, None, |answer| {
        if answer.status == 404 {
            // Nobody of that name.
            return Ok(Vec::new());
        }
        let found: Permission = answer.json()?;
        let right = Right::of_word(&found.permission);
        Ok(vec![(login(found.user), right)])
    });
    read.or_when(|answer| answer.status == 404)
}
