//! Bitbucket Cloud (<https://developer.atlassian.com/cloud/bitbucket/rest/>).

pub(crate) mod asking;

use flotilla_shared::revision::Commit;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::error::Error;
use crate::place::{Repository, segment};
use crate::pull::{Approval, Check, Comment, NewPull, Page, PullRequest};
use crate::request::{Call, Method, call, done, get};
use crate::status::{CommitStatus, State};
use crate::text::{cut, line};

/// Entries on one page.
const PAGE: usize = 50;
/// Longest key of a status, characters.
const KEY: usize = 40;
/// Longest description of a status, characters.
const DESCRIPTION: usize = 255;

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    display_name: String,
    /// Names are not unique; this is.
    #[serde(default)]
    uuid: String,
}

impl User {
    fn name(self) -> String {
        match self.uuid.as_str() {
            "" => self.display_name,
            uuid => format!("{} {uuid}", self.display_name),
        }
    }
}

#[derive(Deserialize)]
struct Paged<T> {
    #[serde(default = "Vec::new")]
    values: Vec<T>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Text {
    #[serde(default)]
    raw: String,
}

#[derive(Deserialize)]
struct Href {
    #[serde(default)]
    href: String,
}

#[derive(Deserialize)]
struct Links {
    html: Option<Href>,
}

#[derive(Deserialize)]
struct Branch {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Tip {
    #[serde(default)]
    hash: String,
}

#[derive(Deserialize)]
struct Repo {
    #[serde(default)]
    full_name: String,
}

#[derive(Deserialize)]
struct BranchRef {
    branch: Option<Branch>,
    commit: Option<Tip>,
    repository: Option<Repo>,
}

#[derive(Deserialize)]
struct Participant {
    user: Option<User>,
    #[serde(default)]
    approved: bool,
}

#[derive(Deserialize)]
struct Pull {
    id: u64,
    #[serde(default)]
    title: String,
    summary: Option<Text>,
    description: Option<String>,
    state: String,
    #[serde(default)]
    draft: bool,
    source: BranchRef,
    destination: BranchRef,
    author: Option<User>,
    links: Option<Links>,
    #[serde(default)]
    participants: Vec<Participant>,
    /// Only present where a single pull request is read, not in lists.
    #[serde(default)]
    reviewers: Vec<User>,
}

impl From<Pull> for PullRequest {
    fn from(pull: Pull) -> Self {
        let name = |end: &BranchRef| end.repository.as_ref().map(|repo| repo.full_name.clone());
        let branch = |end: &BranchRef| end.branch.as_ref().map(|branch| branch.name.clone());
        let link = pull.links.and_then(|links| links.html);
        let body = pull.description.or(pull.summary.map(|text| text.raw));
        Self {
            number: pull.id,
            link: link.map(|link| link.href).unwrap_or_default(),
            title: pull.title,
            body: body.unwrap_or_default(),
            from_fork: name(&pull.source) != name(&pull.destination),
            head: branch(&pull.source).unwrap_or_default(),
            base: branch(&pull.destination).unwrap_or_default(),
            head_commit: pull.source.commit.map(|tip| tip.hash).unwrap_or_default(),
            open: pull.state == "OPEN",
            merged: pull.state == "MERGED",
            draft: pull.draft,
            squash: false,
            mergeable: None,
            author: pull.author.map(User::name).unwrap_or_default(),
            labels: Vec::new(),
            reviewers: pull.reviewers.into_iter().map(|user| user.uuid).collect(),
        }
    }
}

fn read_pull(answer: &Answer) -> Result<PullRequest, Error> {
    answer.json_as::<Pull, PullRequest>()
}

/// Returns a key of at most forty characters: a longer context keeps its beginning and gets a hash at its end.
pub(crate) fn key(context: &str) -> String {
    if context.len() <= KEY {
        return context.to_owned();
    }
    let hash = context
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    format!("{}-{hash:016x}", cut(context, KEY - 17))
}

pub(crate) fn set_status(at: &Repository, commit: &Commit, status: &CommitStatus) -> Call<()> {
    let state = match status.state {
        State::Pending => "INPROGRESS",
        State::Success => "SUCCESSFUL",
        State::Failure => "FAILED",
    };
    // Bitbucket requires a URL for each status.
    let link = if status.link.is_empty() {
        format!("https://bitbucket.org/{}/commits/{commit}", at.full_name())
    } else {
        status.link.clone()
    };
    let body = json!({
        "state": state,
        "key": key(&status.context),
        "name": status.context,
        "description": line(&status.description, DESCRIPTION),
        "url": link,
    });
    let rest = format!("/commit/{commit}/statuses/build");
    call(at, "setStatus", Method::Post, &rest, Some(body), done)
}

pub(crate) fn find_pulls(at: &Repository, head: &str, base: &str) -> Call<Vec<PullRequest>> {
    let quoted = |branch: &str| format!("\"{}\"", branch.replace('"', "\\\""));
    let query = format!(
        "state=\"OPEN\" AND source.branch.name={} AND destination.branch.name={}",
        quoted(head),
        quoted(base)
    );
    let rest = format!("/pullrequests?pagelen={PAGE}&q={}", segment(&query));
    get(at, "findPulls", &rest, |answer| {
        let all: Paged<Pull> = answer.json()?;
        Ok(all.values.into_iter().map(PullRequest::from).collect())
    })
}

pub(crate) fn pull(at: &Repository, number: u64) -> Call<PullRequest> {
    let rest = format!("/pullrequests/{number}");
    get(at, "readPull", &rest, read_pull)
}

pub(crate) fn create_pull(at: &Repository, new: &NewPull) -> Call<PullRequest> {
    let body = json!({
        "title": new.title,
        "description": new.body,
        "source": {"branch": {"name": new.head}},
        "destination": {"branch": {"name": new.base}},
    });
    let rest = "/pullrequests";
    call(at, "createPull", Method::Post, rest, Some(body), read_pull)
}

/// Reviewers that are not sent back are removed.
pub(crate) fn update_pull(
    at: &Repository,
    pull: &PullRequest,
    (title, text): (&str, &str),
) -> Call<PullRequest> {
    let rest = format!("/pullrequests/{}", pull.number);
    let ids = pull.reviewers.iter().filter(|id| !id.is_empty());
    let reviewers: Vec<Value> = ids.map(|id| json!({"uuid": id})).collect();
    let body = json!({"title": title, "description": text, "reviewers": reviewers});
    call(at, "updatePull", Method::Put, &rest, Some(body), read_pull)
}

#[derive(Deserialize)]
struct Note {
    id: u64,
    content: Option<Text>,
    user: Option<User>,
}

impl From<Note> for Comment {
    fn from(note: Note) -> Self {
        Self {
            id: note.id,
            body: note.content.map(|text| text.raw).unwrap_or_default(),
            author: note.user.map(User::name).unwrap_or_default(),
        }
    }
}

fn read_comment(answer: &Answer) -> Result<Comment, Error> {
    answer.json_as::<Note, Comment>()
}

pub(crate) fn comments(at: &Repository, number: u64, page: u32) -> Call<Page<Comment>> {
    let rest = format!("/pullrequests/{number}/comments?pagelen={PAGE}&page={page}");
    get(at, "readComments", &rest, |answer| {
        let all: Paged<Note> = answer.json()?;
        Ok(Page {
            more: all.next.is_some(),
            items: all.values.into_iter().map(Comment::from).collect(),
        })
    })
}

pub(crate) fn create_comment(at: &Repository, number: u64, text: &str) -> Call<Comment> {
    let rest = format!("/pullrequests/{number}/comments");
    let body = Some(json!({"content": {"raw": text}}));
    call(at, "createComment", Method::Post, &rest, body, read_comment)
}

pub(crate) fn update_comment(at: &Repository, number: u64, id: u64, text: &str) -> Call<Comment> {
    let rest = format!("/pullrequests/{number}/comments/{id}");
    let body = Some(json!({"content": {"raw": text}}));
    call(at, "updateComment", Method::Put, &rest, body, read_comment)
}

pub(crate) fn merge(at: &Repository, number: u64) -> Call<()> {
    let rest = format!("/pullrequests/{number}/merge");
    let body = json!({"type": "pullrequest_merge_parameters", "merge_strategy": "fast_forward"});
    call(at, "merge", Method::Post, &rest, Some(body), |answer| {
        // 202: the merge is still running, and its result is not known yet.
        match answer.status {
            202 => Err(Error::Conflict("the merge is still in progress".to_owned())),
            _ => Ok(()),
        }
    })
}

pub(crate) fn approvals(at: &Repository, number: u64) -> Call<Vec<Approval>> {
    let rest = format!("/pullrequests/{number}");
    get(at, "readApprovals", &rest, |answer| {
        let pull: Pull = answer.json()?;
        let approved = pull
            .participants
            .into_iter()
            .filter(|participant| participant.approved);
        Ok(approved
            .filter_map(|participant| participant.user)
            .map(|user| Approval {
                by: user.name(),
                commit: String::new(),
            })
            .collect())
    })
}

pub(crate) fn checks(at: &Repository, commit: &Commit) -> Call<Page<Check>> {
    #[derive(Deserialize)]
    struct Status {
        #[serde(default)]
        key: String,
        state: String,
    }
    let rest = format!("/commit/{commit}/statuses?pagelen={PAGE}");
    get(at, "readStatuses", &rest, |answer| {
        let all: Paged<Status> = answer.json()?;
        if all.next.is_some() {
            return Err(Error::Unreadable(format!("more than {PAGE} statuses")));
        }
        Ok(Page::only(all.values.into_iter().map(|status| Check {
            name: status.key,
            state: match status.state.as_str() {
                "SUCCESSFUL" => State::Success,
                "INPROGRESS" => State::Pending,
                _ => State::Failure,
            },
        })))
    })
}
