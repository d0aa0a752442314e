//! Open merge requests, and who requests something there by a label.

use serde::Deserialize;

use super::{Merge, PAGE, User, page, username};
use crate::answer::Answer;
use crate::asking::{LabelEvent, Right};
use crate::place::{Repository, segment};
use crate::pull::{OPEN, Page, PullRequest};
use crate::request::{Call, get};

pub(crate) fn open_pulls(at: &Repository, base: &str) -> Call<Vec<PullRequest>> {
    let rest = format!(
        "/merge_requests?state=opened&target_branch={}&order_by=updated_at&sort=desc&per_page={OPEN}",
        segment(base)
    );
    get(at, "listPulls", &rest, Answer::list_as::<Merge, _>)
}

/// Reads who added and removed labels, oldest first.
pub(crate) fn labellings(at: &Repository, number: u64, part: u32) -> Call<Page<LabelEvent>> {
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
    get(at, "readEvents", &rest, |answer| {
        let all: Vec<Event> = answer.json()?;
        let came = all.len();
        let items = all.into_iter().filter_map(|event| {
            Some(LabelEvent {
                // A deleted label no longer has a name.
                label: event.label?.name,
                by: username(event.user),
                given: event.action == "add",
            })
        });
        Ok(page(answer, came, items))
    })
}

/// Finds members by part of a name: only the one named exactly `person` counts.
pub(crate) fn rights(at: &Repository, person: &str) -> Call<Vec<(String, Right)>> {
    #[derive(Deserialize)]
    struct Member {
        #[serde(default)]
        username: String,
        #[serde(default)]
        state: String,
        /// Whether the membership is active; only some editions report it.
        membership_state: Option<String>,
        #[serde(default)]
        access_level: u32,
    }
    let rest = format!("/members/all?query={}&per_page={PAGE}", segment(person));
    get(at, "readRight", &rest, |answer| {
        let all: Vec<Member> = answer.json()?;
        let active = all.into_iter().filter(|member| {
            let membership = member.membership_state.as_deref();
            member.state == "active" && membership.is_none_or(|state| state == "active")
        });
        Ok(active
            .map(|member| {
                let right = match member.access_level {
                    40.. => Right::Admin,
                    30..40 => Right::Write,
                    10..30 => Right::Read,
                    _ => Right::None,
                };
                (member.username, right)
            })
            .collect())
    })
}
