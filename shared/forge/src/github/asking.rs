//! Open pull requests, and who requests something there by a label.

use serde::Deserialize;

use super::{PAGE, Pull};
use crate::answer::Answer;
use crate::asking::LabelEvent;
use crate::github_api::{Label, User, login, page_of};
use crate::place::{Repository, segment};
use crate::pull::{OPEN, Page, PullRequest};
use crate::request::{Call, get};

pub(crate) fn open_pulls(at: &Repository, base: &str) -> Call<Vec<PullRequest>> {
    let rest = format!(
        "/pulls?state=open&base={}&sort=updated&direction=desc&per_page={OPEN}",
        segment(base)
    );
    get(at, "listPulls", &rest, Answer::list_as::<Pull, _>)
}

/// Reads who added and removed labels, oldest first.
pub(crate) fn labellings(at: &Repository, number: u64, page: u32) -> Call<Page<LabelEvent>> {
    #[derive(Deserialize)]
    struct Event {
        #[serde(default)]
        event: String,
        actor: Option<User>,
        label: Option<Label>,
    }
    let rest = format!("/issues/{number}/events?per_page={PAGE}&page={page}");
    get(at, "readEvents", &rest, |answer| {
        page_of(answer, PAGE, |event: Event| {
            let given = match event.event.as_str() {
                "labeled" => true,
                "unlabeled" => false,
                _ => return None,
            };
            Some(LabelEvent {
                label: event.label?.name,
                by: login(event.actor),
                given,
            })
        })
    })
}
