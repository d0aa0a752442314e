//! GitHub and GitHub Enterprise
//! (<https://docs.github.com/rest>, <https://github.com/github/rest-api-description>).

pub(crate) mod asking;

use flotilla_shared::revision::{BranchName, Commit};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::app::AppToken;
use crate::error::Error;
use crate::github_api::{
    BranchRef, Label, Note, User, login, new_pull, page_of, standing, state_of, state_word, whole,
};
use crate::place::{Repository, path, segment};
use crate::pull::{Approval, Check, Comment, NewPull, Page, PullRequest, Required};
use crate::request::{Call, Method, Secret, call, done, get};
use crate::status::{CommitStatus, State};
use crate::text::line;

/// Entries on one page.
const PAGE: usize = 100;
/// Longest description of a status, characters.
const DESCRIPTION: usize = 140;

#[derive(Deserialize)]
struct Pull {
    number: u64,
    #[serde(default)]
    html_url: String,
    title: Option<String>,
    body: Option<String>,
    state: String,
    #[serde(default)]
    draft: Option<bool>,
    merged_at: Option<String>,
    mergeable: Option<bool>,
    head: BranchRef,
    base: BranchRef,
    user: Option<User>,
    #[serde(default)]
    labels: Vec<Label>,
}

impl From<Pull> for PullRequest {
    fn from(pull: Pull) -> Self {
        let name = |end: &BranchRef| end.repo.as_ref().map(|repo| repo.full_name.clone());
        Self {
            number: pull.number,
            link: pull.html_url,
            title: pull.title.unwrap_or_default(),
            body: pull.body.unwrap_or_default(),
            // A deleted fork no longer has a name.
            from_fork: name(&pull.head) != name(&pull.base),
            head: pull.head.branch,
            head_commit: pull.head.sha,
            base: pull.base.branch,
            open: pull.state == "open",
            merged: pull.merged_at.is_some(),
            draft: pull.draft.unwrap_or_default(),
            squash: false,
            mergeable: pull.mergeable,
            author: login(pull.user),
            labels: pull.labels.into_iter().map(|label| label.name).collect(),
            reviewers: Vec::new(),
        }
    }
}

pub(crate) fn read_pull(answer: &Answer) -> Result<PullRequest, Error> {
    answer.json_as::<Pull, PullRequest>()
}

pub(crate) fn set_status(at: &Repository, commit: &Commit, status: &CommitStatus) -> Call<()> {
    let mut body = json!({
        "state": state_word(status.state),
        "context": status.context,
        "description": line(&status.description, DESCRIPTION),
    });
    if !status.link.is_empty() {
        body["target_url"] = json!(status.link);
    }
    let rest = format!("/statuses/{commit}");
    call(at, "setStatus", Method::Post, &rest, Some(body), done)
}

pub(crate) fn find_pulls(at: &Repository, head: &str, base: &str) -> Call<Vec<PullRequest>> {
    let rest = format!(
        "/pulls?state=open&per_page={PAGE}&head={}%3A{}&base={}",
        segment(at.owner()),
        segment(head),
        segment(base)
    );
    get(at, "findPulls", &rest, Answer::list_as::<Pull, _>)
}

pub(crate) fn create_pull(at: &Repository, new: &NewPull) -> Call<PullRequest> {
    let mut body = new_pull(new);
    body["maintainer_can_modify"] = json!(false);
    let (method, rest) = (Method::Post, "/pulls");
    call(at, "createPull", method, rest, Some(body), read_pull)
}

pub(crate) fn comments(at: &Repository, number: u64, page: u32) -> Call<Page<Comment>> {
    let rest = format!("/issues/{number}/comments?per_page={PAGE}&page={page}");
    get(at, "readComments", &rest, |answer| {
        page_of(answer, PAGE, |note: Note| Some(Comment::from(note)))
    })
}

/// Moves a branch, never by force: what would not be a fast-forward is refused with 422.
pub(crate) fn move_branch(at: &Repository, branch: &str, commit: &Commit) -> Call<()> {
    let rest = format!("/git/refs/heads/{}", path(branch));
    let body = json!({"sha": commit.as_str(), "force": false});
    call(at, "moveBranch", Method::Patch, &rest, Some(body), done)
}

#[derive(Deserialize)]
struct Review {
    user: Option<User>,
    #[serde(default)]
    state: String,
    commit_id: Option<String>,
}

pub(crate) fn approvals(at: &Repository, number: u64) -> Call<Vec<Approval>> {
    let rest = format!("/pulls/{number}/reviews?per_page={PAGE}");
    get(at, "readApprovals", &rest, |answer| {
        let all: Vec<Review> = answer.json()?;
        if all.len() >= PAGE {
            // The newest reviews are on a later page, and one of them may withdraw an older approval.
            return Err(Error::Unreadable(format!("{PAGE} reviews or more")));
        }
        Ok(standing(all.into_iter().map(|review| {
            let approval = Approval {
                by: login(review.user),
                commit: review.commit_id.unwrap_or_default(),
            };
            (review.state, approval)
        })))
    })
}

#[derive(Deserialize)]
struct Rule {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    parameters: Option<Value>,
}

#[derive(Deserialize)]
struct Branch {
    #[serde(default)]
    protection: Option<Value>,
}

/// Reads rulesets and the older branch protection, either of which may have requirements.
pub(crate) fn required(at: &Repository, branch: &BranchName) -> Vec<Call<Required>> {
    let rules = format!("/rules/branches/{}?per_page={PAGE}", path(branch.as_str()));
    let rules = get(at, "readRules", &rules, |answer| {
        let rules: Vec<Rule> = answer.json()?;
        if rules.len() >= PAGE {
            return Err(Error::Unreadable(format!("{PAGE} rules or more")));
        }
        Ok(rules
            .iter()
            .fold(Required::default(), |all, rule| all.and(of_rule(rule))))
    });
    let protection = format!("/branches/{}", path(branch.as_str()));
    let protection = get(at, "readBranch", &protection, |answer| {
        let branch: Branch = answer.json()?;
        let checks = branch.protection.as_ref().and_then(|protection| {
            let checks = protection.get("required_status_checks")?;
            (checks.get("enforcement_level").and_then(Value::as_str) != Some("off"))
                .then(|| texts(checks.get("contexts"), None))
        });
        Ok(Required {
            checks: checks.unwrap_or_default(),
            ..Required::default()
        })
    });
    vec![rules, protection]
}

fn of_rule(rule: &Rule) -> Required {
    let parameter = |name: &str| rule.parameters.as_ref().and_then(|all| all.get(name));
    match rule.kind.as_str() {
        "required_status_checks" => Required {
            checks: texts(parameter("required_status_checks"), Some("context")),
            ..Required::default()
        },
        "pull_request" => Required {
            approvals: parameter("required_approving_review_count")
                .and_then(Value::as_u64)
                .and_then(|count| u32::try_from(count).ok())
                .unwrap_or_default(),
            fresh: parameter("dismiss_stale_reviews_on_push") == Some(&Value::Bool(true)),
            ..Required::default()
        },
        _ => Required::default(),
    }
}

/// Returns the texts of a list, or of one member of each entry.
fn texts(list: Option<&Value>, member: Option<&str>) -> Vec<String> {
    let all = list.and_then(Value::as_array).into_iter().flatten();
    all.filter_map(|entry| member.map_or(Some(entry), |name| entry.get(name)))
        .filter_map(Value::as_str)
        .map(ToOwned::to_owned)
        .collect()
}

#[derive(Deserialize)]
struct Combined {
    #[serde(default)]
    total_count: usize,
    #[serde(default)]
    statuses: Vec<Status>,
}

#[derive(Deserialize)]
struct Status {
    context: String,
    state: String,
}

#[derive(Deserialize)]
struct Runs {
    #[serde(default)]
    total_count: usize,
    #[serde(default)]
    check_runs: Vec<Run>,
}

#[derive(Deserialize)]
struct Run {
    name: String,
    status: String,
    conclusion: Option<String>,
}

/// Reads statuses and check runs, which GitHub keeps apart. An incomplete list proves nothing.
pub(crate) fn checks(at: &Repository, commit: &Commit) -> Vec<Call<Page<Check>>> {
    let statuses = format!("/commits/{commit}/status?per_page={PAGE}");
    let statuses = get(at, "readStatuses", &statuses, |answer| {
        let all: Combined = answer.json()?;
        whole(all.total_count, all.statuses.len())?;
        Ok(Page::only(all.statuses.into_iter().map(|status| Check {
            name: status.context,
            state: state_of(&status.state),
        })))
    });
    let runs = format!("/commits/{commit}/check-runs?per_page={PAGE}");
    let runs = get(at, "readChecks", &runs, |answer| {
        let all: Runs = answer.json()?;
        whole(all.total_count, all.check_runs.len())?;
        Ok(Page::only(all.check_runs.into_iter().map(|run| Check {
            name: run.name,
            state: match (run.status.as_str(), run.conclusion.as_deref()) {
                ("completed", Some("success" | "neutral" | "skipped")) => State::Success,
                ("completed", _) => State::Failure,
                _ => State::Pending,
            },
        })))
    });
    vec![statuses, runs]
}

pub(crate) fn installation(at: &Repository) -> Call<u64> {
    #[derive(Deserialize)]
    struct Installation {
        id: u64,
    }
    get(at, "findInstallation", "/installation", |answer| {
        answer.json::<Installation>().map(|found| found.id)
    })
}

pub(crate) fn installation_token(at: &Repository, installation: u64) -> Call<AppToken> {
    #[derive(Deserialize)]
    struct Token {
        token: String,
        expires_at: Timestamp,
    }
    let url = format!(
        "{}/app/installations/{installation}/access_tokens",
        at.api()
    );
    let name = at.full_name();
    let name = name.rsplit('/').next().unwrap_or_default();
    let body = Some(json!({"repositories": [name]}));
    Call::new(at, "createToken", Method::Post, url, body, |answer| {
        answer.json::<Token>().map(|token| AppToken {
            token: Secret::new(&token.token),
            expires_at: token.expires_at,
        })
    })
}
