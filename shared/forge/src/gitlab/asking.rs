//! Open merge requests, and who asks for something at them.

use serde::Deserialize;

use super::{Merge, PAGE, User, call, page, username};
use crate::asking::{Labelling, Right};
use crate::place::{Repository, segment};
use crate::pull::{OPEN, Page, PullRequest};
use crate::request::{Call, Method};

pub(crate) fn open_pulls(at: &Repository, base: &str) -> Call<Vec<PullRequest>> {
    let rest = format!(
        "/merge_requests?state=opened&target_branch={}&order_by=updated_at&sort=desc&per_page={OPEN}",
        segment(base)
    );
    call(at, "listPulls", Method::Get, &rest, None, |answer| {
        let all: Vec<Merge> = answer.json()?;
        Ok(all.into_iter().map(PullRequest::from).collect())
    })
}

/// Who gave which label, oldest first.
pub(crate) fn labellings(at: &Repository, number: u64, part: u32) -> Call<Page<Labelling>> {
    #[derive(Deserialize)]
    struct Event {
        #[serde(default)]
        action: String,
        user: Option<User>,
        label: Option<Label>,
    }
    #[derive(Deserialize)]
    struct Label {
        name: String,
    }
    let rest =
        format!("/merge_requests/{number}/resource_label_events?per_page={PAGE}&page={part}");
    call(at, "readEvents", Method::Get, &rest, None, |answer| {
        let all: Vec<Event> = answer.json()?;
        let came = all.len();
        let items = all.into_iter().filter_map(|one| {
            Some(Labelling {
                // A label that was deleted has no name any more.
                label: one.label?.name,
                by: username(one.user),
                given: one.action == "add",
            })
        });
        Ok(page(answer, came, items))
    })
}

/// Its members by part of a name: what is wanted is in `person`, and only that counts.
pub(crate) fn rights(at: &Repository, person: &str) -> Call<Vec<(String, Right)>> {
    #[derive(Deserialize)]
    struct Member {
        #[serde(default)]
        username: String,
        #[serde(default)]
        state: String,
        /// Whether the membership counts yet; only some editions say so.
        membership_state: Option<String>,
        #[serde(default)]
        access_level: u32,
    }
    let rest = format!("/members/all?query={}&per_page={PAGE}", segment(person));
    call(at, "readRight", Method::Get, &rest, None, |answer| {
        let all: Vec<Member> = answer.json()?;
        let active = all.into_iter().filter(|one| {
            let membership = one.membership_state.as_deref();
            one.state == "active" && membership.is_none_or(|state| state == "active")
        });
        Ok(active
            .map(|one| {
                let right = match one.access_level {
                    40.. => Right::Admin,
                    30..40 => Right::Write,
                    10..30 => Right::Read,
                    _ => Right::None,
                };
                (one.username, right)
            })
            .collect())
    })
}
