//! The common part of the APIs of GitHub, Gitea and Forgejo.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::asking::Right;
use crate::error::Error;
use crate::place::{Repository, segment};
use crate::pull::{Approval, Comment, NewPull, Page, PullRequest};
use crate::request::{Call, Method, Read, call, get};
use crate::status::State;

#[derive(Deserialize)]
pub(crate) struct User {
    #[serde(default)]
    login: String,
}

/// Returns the name of an account; empty where the account was deleted.
pub(crate) fn login(user: Option<User>) -> String {
    user.map(|user| user.login).unwrap_or_default()
}

/// A label, of which only the name matters.
#[derive(Deserialize)]
pub(crate) struct Label {
    #[serde(default)]
    pub(crate) name: String,
}

/// The head or base branch of a pull request.
#[derive(Deserialize)]
pub(crate) struct BranchRef {
    #[serde(default, rename = "ref")]
    pub(crate) branch: String,
    #[serde(default)]
    pub(crate) sha: String,
    /// The repository, on GitHub; none: the fork was deleted.
    pub(crate) repo: Option<Repo>,
    /// The repository's id, on Gitea.
    #[serde(default)]
    pub(crate) repo_id: i64,
}

#[derive(Deserialize)]
pub(crate) struct Repo {
    #[serde(default)]
    pub(crate) full_name: String,
}

/// Reads a page of a list: a full page is followed by another one.
pub(crate) fn page_of<E: DeserializeOwned, T>(
    answer: &Answer,
    size: usize,
    read: fn(E) -> Option<T>,
) -> Result<Page<T>, Error> {
    let all: Vec<E> = answer.json()?;
    Ok(Page {
        more: all.len() >= size,
        items: all.into_iter().filter_map(read).collect(),
    })
}

/// Returns the API's word for a state.
pub(crate) fn state_word(state: State) -> &'static str {
    match state {
        State::Pending => "pending",
        State::Success => "success",
        State::Failure => "failure",
    }
}

/// Reads the state of a status; unknown words count as failures.
pub(crate) fn state_of(word: &str) -> State {
    match word {
        "success" => State::Success,
        "pending" => State::Pending,
        _ => State::Failure,
    }
}

/// Refuses an incomplete list of checks: it proves nothing.
pub(crate) fn whole(count: usize, seen: usize) -> Result<(), Error> {
    if count > seen {
        return Err(Error::Unreadable(format!(
            "{count} checks, of which {seen} were shown"
        )));
    }
    Ok(())
}

pub(crate) fn pull(at: &Repository, number: u64, read: Read<PullRequest>) -> Call<PullRequest> {
    get(at, "readPull", &format!("/pulls/{number}"), read)
}

/// Returns the body of the request that opens a pull request.
pub(crate) fn new_pull(new: &NewPull) -> Value {
    json!({
        "title": new.title,
        "head": new.head,
        "base": new.base,
        "body": new.body,
    })
}

pub(crate) fn update_pull(
    at: &Repository,
    number: u64,
    (title, text): (&str, &str),
    read: Read<PullRequest>,
) -> Call<PullRequest> {
    let rest = format!("/pulls/{number}");
    let body = Some(json!({"title": title, "body": text}));
    call(at, "updatePull", Method::Patch, &rest, body, read)
}

#[derive(Deserialize)]
pub(crate) struct Note {
    id: u64,
    body: Option<String>,
    user: Option<User>,
}

impl From<Note> for Comment {
    fn from(note: Note) -> Self {
        Self {
            id: note.id,
            body: note.body.unwrap_or_default(),
            author: login(note.user),
        }
    }
}

fn read_comment(answer: &Answer) -> Result<Comment, Error> {
    answer.json_as::<Note, Comment>()
}

pub(crate) fn create_comment(at: &Repository, number: u64, text: &str) -> Call<Comment> {
    let rest = format!("/issues/{number}/comments");
    let body = Some(json!({"body": text}));
    call(at, "createComment", Method::Post, &rest, body, read_comment)
}

pub(crate) fn update_comment(at: &Repository, id: u64, text: &str) -> Call<Comment> {
    let rest = format!("/issues/comments/{id}");
    let (method, body) = (Method::Patch, Some(json!({"body": text})));
    call(at, "updateComment", method, &rest, body, read_comment)
}

/// Returns the last review of each person where it is an approval; comments do not count.
pub(crate) fn standing(reviews: impl Iterator<Item = (String, Approval)>) -> Vec<Approval> {
    let mut last: Vec<(String, Option<Approval>)> = Vec::new();
    for (state, approval) in reviews {
        let by = approval.by.clone();
        let approved = match state.as_str() {
            "APPROVED" => Some(approval),
            "CHANGES_REQUESTED" | "REQUEST_CHANGES" | "DISMISSED" => None,
            _ => continue,
        };
        last.retain(|(person, _)| *person != by);
        last.push((by, approved));
    }
    last.into_iter()
        .filter_map(|(_, approved)| approved)
        .collect()
}

pub(crate) fn rights(at: &Repository, person: &str) -> Call<Vec<(String, Right)>> {
    #[derive(Deserialize)]
    struct Permission {
        permission: String,
        user: Option<User>,
    }
    let rest = format!("/collaborators/{}/permission", segment(person));
    let read = get(at, "readRight", &rest, |answer| {
        if answer.status == 404 {
            // There is no account of that name.
            return Ok(Vec::new());
        }
        let found: Permission = answer.json()?;
        let right = Right::of_word(&found.permission);
        Ok(vec![(login(found.user), right)])
    });
    read.or_when(|answer| answer.status == 404)
}
