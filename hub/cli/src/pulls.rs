//! Pull requests with the forge's API: one for each environment, found by a marker and updated in place. Uses the calls
//! of `flotilla-forge`.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use flotilla_forge::{
    Call, Credential, Form, NewPull, PullRequest, Repository, Secret, comment, marker,
};
use flotilla_shared::revision::BranchName;
use flotilla_status::{FleetPlan, Move, Promotion, StepState, short_commit};

use crate::context::refuse_readable;
use crate::error::Error;
use crate::render;
use crate::render::markdown::plain;

/// Bytes reserved in the text of a promotion's pull request for the hub's part.
const ROOM: usize = 2_000;
/// Longest text of others, bytes.
const MAX_TEXT: usize = 300;

/// Time limit of one answer.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Highest number of pages of a pull request's comments that are read.
const MAX_PAGES: u32 = 30;

/// Outcome of writing a comment or pull request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A new one was created.
    First,
    /// The existing one was updated.
    Anew,
}

/// Reads a token from a file that others cannot read.
pub(crate) fn token(path: &Path) -> Result<Secret, Error> {
    let failed = |cause| Error::File {
        path: path.to_owned(),
        cause,
    };
    let mut file = std::fs::File::open(path).map_err(failed)?;
    refuse_readable(path, &file.metadata().map_err(failed)?)?;
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(failed)?;
    if text.trim().is_empty() {
        return Err(Error::Refused {
            message: format!("{} is empty", path.display()),
            hint: None,
        });
    }
    Ok(Secret::new(&text))
}

/// A forge with the credential to call it.
pub(crate) struct Forge {
    client: reqwest::Client,
    at: Repository,
    credential: Credential,
}

impl Forge {
    /// Makes it with a token.
    pub(crate) fn open(at: Repository, token: Secret) -> Result<Self, Error> {
        let client = flotilla_http::client(TIMEOUT)
            .user_agent(concat!("flotilla/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Error::Local(std::io::Error::other(error.to_string())))?;
        Ok(Self {
            client,
            at,
            credential: Credential::Token(token),
        })
    }

    async fn send<T>(&self, call: &Call<T>) -> Result<T, Error> {
        self.answer(call)
            .await?
            .map_err(|error| self.refused(&error))
    }

    /// Calls the forge, and returns its answer.
    async fn answer<T>(&self, call: &Call<T>) -> Result<Result<T, flotilla_forge::Error>, Error> {
        let answer = flotilla_http::forge::ask(&self.client, call, &self.credential).await;
        let answer = answer.map_err(|error| self.refused(&error))?;
        Ok(call.read(&answer))
    }

    fn refused(&self, error: &flotilla_forge::Error) -> Error {
        Error::Refused {
            message: format!("{}: {error}", self.at.host()),
            hint: match error {
                flotilla_forge::Error::Unauthorized(_) | flotilla_forge::Error::Forbidden(_) => {
                    Some("the token needs to write pull requests of this repository".to_owned())
                }
                flotilla_forge::Error::NotFound(_) => Some(format!(
                    "check that the repository is called {} there, as in its URL in the fleet \
                     file, and that the token may read it",
                    self.at.full_name()
                )),
                flotilla_forge::Error::Redirected(_) => Some(
                    "a repository that was renamed or moved needs its new URL in the fleet file, and as the \
                     remote of clones (git remote set-url); --forge-api names another address of the API"
                        .to_owned(),
                ),
                _ => None,
            },
        }
    }

    /// Writes a comment that begins with a marker: updates the existing one, or adds a new one. Comments of others with
    /// the same marker, which this token may not change, are left alone.
    pub(crate) async fn comment(
        &self,
        number: u64,
        mark: &str,
        body: &str,
    ) -> Result<Outcome, Error> {
        let mut ours = Vec::new();
        for page in 1..=MAX_PAGES {
            let page = self.send(&self.at.comments(number, page)).await?;
            let marked = page
                .items
                .iter()
                .filter(|comment| comment.body.starts_with(mark));
            ours.extend(marked.map(|comment| comment.id));
            if !page.more {
                break;
            }
        }
        for comment in ours {
            let call = self.at.update_comment(number, comment, body);
            match self.answer(&call).await? {
                Ok(_) => return Ok(Outcome::Anew),
                Err(
                    flotilla_forge::Error::Forbidden(_)
                    | flotilla_forge::Error::NotFound(_)
                    | flotilla_forge::Error::Unauthorized(_),
                ) => {}
                Err(error) => return Err(self.refused(&error)),
            }
        }
        self.send(&self.at.create_comment(number, body)).await?;
        Ok(Outcome::First)
    }

    /// Opens the environment's pull request, or updates the open one.
    pub(crate) async fn propose(
        &self,
        head: &BranchName,
        base: &BranchName,
        promotion: &Promotion,
        moved: &Move,
        plan: Option<&FleetPlan>,
    ) -> Result<(PullRequest, Outcome), Error> {
        let purpose = format!("promote:{}", promotion.environment);
        let mark = marker(self.at.kind(), &purpose);
        let title = format!(
            "Promote {} to {}",
            short_commit(&moved.to_commit),
            promotion.environment
        );
        let mut text = text(promotion, moved);
        if let Some(plan) = plan {
            let _ = write!(text, "\n{}", render::plan_summary(plan));
        }
        let sections = plan.map(render::plan_sections).unwrap_or_default();
        let kind = self.at.kind();
        // Leaves room for the part that the hub adds: what the pull request waits for.
        let limit = kind.comment_limit() - ROOM;
        let body = comment(Form { kind, limit }, &purpose, &text, &sections);
        let open = self.send(&self.at.find_pulls(head, base)).await?;
        let ours = open.into_iter().find(|pull| {
            pull.open && !pull.from_fork && pull.head == head.as_str() && pull.body.contains(&mark)
        });
        if let Some(pull) = ours {
            let whole = self.send(&self.at.pull(pull.number)).await?;
            let updated = self.at.update_pull(&whole, &title, &body);
            return Ok((self.send(&updated).await?, Outcome::Anew));
        }
        let new = NewPull {
            head: head.to_string(),
            base: base.to_string(),
            title,
            body,
        };
        Ok((self.send(&self.at.create_pull(&new)).await?, Outcome::First))
    }
}

/// Describes the commits that move, and the gates.
fn text(promotion: &Promotion, moved: &Move) -> String {
    let mut out = format!(
        "`{}` moves from {} to {}, which {} has.\n\n",
        plain(&moved.target_branch, MAX_TEXT),
        match moved.from_commit.as_str() {
            "" => "nothing".to_owned(),
            commit => short_commit(commit),
        },
        moved.to_commit,
        plain(&promotion.promotes_from, MAX_TEXT),
    );
    for commit in &moved.commits {
        let _ = writeln!(out, "- {}", plain(commit, MAX_TEXT));
    }
    let more = moved.commit_count.saturating_sub(moved.commits.len());
    if more > 0 {
        let _ = writeln!(out, "- and {more} more");
    }
    let clusters = promotion.clusters.len();
    let s = if clusters == 1 { "" } else { "s" };
    let _ = writeln!(out, "\n{clusters} cluster{s} will follow.\n");
    if !promotion.gates.is_empty() {
        out.push_str("| gate | subject | state | evidence |\n|---|---|---|---|\n");
    }
    for gate in &promotion.gates {
        let state = match gate.state {
            StepState::Ok => "open",
            StepState::Failed => "**closed**",
            StepState::Waiting => "not yet",
            _ => "-",
        };
        let (name, subject) = (
            plain(gate.step.as_str(), MAX_TEXT),
            plain(&gate.subject, MAX_TEXT),
        );
        let _ = writeln!(
            out,
            "| {name} | {subject} | {state} | {} |",
            plain(&gate.text, MAX_TEXT)
        );
    }
    let _ = writeln!(
        out,
        "\nWhere the environment says `merge: fastForward`, the hub takes this once it is approved, its required \
         checks are green and all gates are open. Otherwise merge it by fast-forward where the forge can; a \
         merge that holds exactly these files counts as proven, too. What it waits for: `flotilla explain {}`",
        plain(&promotion.environment, MAX_TEXT)
    );
    out
}

#[cfg(test)]
mod tests;
