//! Pull requests by the forge's own API: one for each environment, found again by a marker and written anew
//! in place. A thin shell around the calls of `flotilla-forge`.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use flotilla_forge::{Call, Credential, NewPull, PullRequest, Repository, Secret, comment, marker};
use flotilla_shared::report::plain_line;
use flotilla_shared::revision::BranchName;

use crate::error::Error;
use crate::view::{Move, Promotion, StepState, short_commit};

/// Longest wait for one answer.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Somebody who may speak to a forge.
pub(crate) struct Forge {
    client: reqwest::Client,
    at: Repository,
    credential: Credential,
}

impl Forge {
    /// With a token from a file.
    pub(crate) fn open(at: Repository, token: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(token).map_err(|cause| Error::File {
            path: token.to_owned(),
            cause,
        })?;
        if text.trim().is_empty() {
            return Err(Error::Refused {
                message: format!("{} is empty", token.display()),
                hint: None,
            });
        }
        let client = flotilla_http::client(TIMEOUT)
            .user_agent(concat!("flotilla/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Error::Local(std::io::Error::other(error.to_string())))?;
        Ok(Self {
            client,
            at,
            credential: Credential::Token(Secret::new(&text)),
        })
    }

    async fn send<T>(&self, call: &Call<T>) -> Result<T, Error> {
        let refused = |error: &flotilla_forge::Error| Error::Refused {
            message: format!("{}: {error}", self.at.host()),
            hint: match error {
                flotilla_forge::Error::Unauthorized(_) | flotilla_forge::Error::Forbidden(_) => {
                    Some("the token needs to write pull requests of this repository".to_owned())
                }
                _ => None,
            },
        };
        let answer = flotilla_http::forge::ask(&self.client, call, &self.credential).await;
        let answer = answer.map_err(|error| refused(&error))?;
        call.read(&answer).map_err(|error| refused(&error))
    }

    /// Opens the environment's pull request, or writes the one that is open anew; whether it is new.
    pub(crate) async fn propose(
        &self,
        head: &BranchName,
        base: &BranchName,
        promotion: &Promotion,
        one: &Move,
    ) -> Result<(PullRequest, bool), Error> {
        let mark = marker(&format!("promote:{}", promotion.environment));
        let title = format!(
            "Promote {} to {}",
            short_commit(&one.to_commit),
            promotion.environment
        );
        let body = comment(
            &mark,
            &text(promotion, one),
            &[],
            self.at.kind().comment_limit(),
        );
        let open = self.send(&self.at.find_pulls(head, base)).await?;
        let ours = open.into_iter().find(|pull| {
            pull.open && !pull.from_fork && pull.head == head.as_str() && pull.body.contains(&mark)
        });
        if let Some(pull) = ours {
            let updated = self.at.update_pull(pull.number, &title, &body);
            return Ok((self.send(&updated).await?, false));
        }
        let new = NewPull {
            head: head.to_string(),
            base: base.to_string(),
            title,
            body,
        };
        Ok((self.send(&self.at.create_pull(&new)).await?, true))
    }
}

/// What moves, and what has to hold first.
fn text(promotion: &Promotion, one: &Move) -> String {
    let mut out = format!(
        "`{}` moves from {} to {}, which {} has.\n\n",
        plain(&one.target_branch),
        match one.from_commit.as_str() {
            "" => "nothing".to_owned(),
            commit => short_commit(commit),
        },
        one.to_commit,
        plain(&promotion.promotes_from),
    );
    for commit in &one.commits {
        let _ = writeln!(out, "- {}", plain(commit));
    }
    let more = one.commit_count.saturating_sub(one.commits.len());
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
        let (name, subject) = (plain(&gate.step), plain(&gate.subject));
        let _ = writeln!(
            out,
            "| {name} | {subject} | {state} | {} |",
            plain(&gate.text)
        );
    }
    let _ = writeln!(
        out,
        "\nMerge it by fast-forward where the forge can; a merge that holds exactly these files counts as \
         proven, too. `flotilla explain {}`",
        plain(&promotion.environment)
    );
    out
}

/// Text of others in a line or a table of Markdown.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for c in plain_line(text, 300).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // A name is told, and nobody is called by it.
            '@' => out.push_str("@\u{200b}"),
            c if "\\`*_[]|#~!".contains(c) => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;
    use serde_json::{Value, json};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::view::Step;

    type Asked = Arc<Mutex<Vec<(String, Value)>>>;

    /// Answers in turn, and keeps what it was asked.
    async fn forge(answers: Vec<(u16, Value)>) -> (String, Asked) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Asked::default();
        let all = Arc::clone(&asked);
        tokio::spawn(async move {
            for (status, body) in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (mut bytes, mut buffer) = (Vec::new(), [0; 8192]);
                let request = loop {
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    if let Some((head, sent)) = text.split_once("\r\n\r\n") {
                        let head = head.to_owned();
                        let length = head.lines().find_map(|line| {
                            let (name, value) = line.split_once(": ")?;
                            name.eq_ignore_ascii_case("content-length").then_some(value)
                        });
                        let length: usize = length.and_then(|text| text.parse().ok()).unwrap_or(0);
                        if sent.len() >= length {
                            break (head, serde_json::from_str(sent).unwrap_or(Value::Null));
                        }
                    }
                    match stream.read(&mut buffer).await.unwrap() {
                        0 => return,
                        count => bytes.extend_from_slice(&buffer[..count]),
                    }
                };
                all.lock().push(request);
                let body = body.to_string();
                let text = format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(text.as_bytes()).await.unwrap();
            }
        });
        (address, asked)
    }

    fn promotion() -> (Promotion, Move) {
        let one = Move {
            repository: "fleet".to_owned(),
            url: "https://github.com/acme/fleet".to_owned(),
            source_branch: "dev".to_owned(),
            target_branch: "prod".to_owned(),
            from_commit: "a".repeat(40),
            to_commit: "b".repeat(40),
            applications: Vec::new(),
            commits: vec!["bbbbbbb Fix <b> @all | [x](y)".to_owned()],
            commit_count: 3,
        };
        let promotion = Promotion {
            environment: "prod".to_owned(),
            promotes_from: "dev".to_owned(),
            moves: vec![one.clone()],
            clusters: vec!["eu-1".to_owned()],
            gates: vec![Step {
                step: "health".to_owned(),
                subject: "d1".to_owned(),
                state: StepState::Ok,
                text: "runs exactly this, synced and healthy".to_owned(),
                reason: String::new(),
                at: None,
                may_open: false,
                opens_at: None,
            }],
        };
        (promotion, one)
    }

    fn pull(number: u64, body: &str) -> Value {
        let end = |branch: &str| json!({"ref": branch, "sha": "b".repeat(40), "repo": {"full_name": "acme/fleet"}});
        json!({"number": number, "html_url": "https://x/7", "title": "t", "body": body, "state": "open",
            "head": end("flotilla/promote-prod"), "base": end("prod"), "user": {"login": "bot"}})
    }

    async fn propose(
        answers: Vec<(u16, Value)>,
    ) -> (Result<(PullRequest, bool), Error>, Vec<(String, Value)>) {
        let (address, asked) = forge(answers).await;
        let url = "https://github.com/acme/fleet".parse().unwrap();
        let at = Repository::at(&url, None, Some(&format!("http://{address}"))).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let token = directory.path().join("token");
        std::fs::write(&token, "s3cret\n").unwrap();
        let forge = Forge::open(at, &token).unwrap();
        let (promotion, one) = promotion();
        let (head, base) = (
            "flotilla/promote-prod".parse().unwrap(),
            "prod".parse().unwrap(),
        );
        let result = forge.propose(&head, &base, &promotion, &one).await;
        let asked = asked.lock().clone();
        (result, asked)
    }

    #[tokio::test]
    async fn one_pull_request_is_opened_and_then_written_anew_in_place() {
        let other = pull(3, "somebody else's");
        let answers = vec![(200, json!([other])), (201, pull(7, ""))];
        let (opened, asked) = propose(answers).await;
        let (opened, new) = opened.unwrap();
        assert_eq!((opened.number, new), (7, true));
        let body = asked[1].1["body"].as_str().unwrap().to_owned();
        assert!(
            asked[1].0.starts_with("POST /repos/acme/fleet/pulls "),
            "{asked:?}"
        );
        assert!(
            body.starts_with("<!-- flotilla:promote:prod -->\n"),
            "{body}"
        );
        assert!(
            body.contains(&"b".repeat(40)) && body.contains("and 2 more"),
            "{body}"
        );
        assert!(
            body.contains("| health | d1 | open | runs exactly this"),
            "{body}"
        );
        assert!(!body.contains("<b>") && !body.contains("@all"), "{body}");

        let answers = vec![(200, json!([other, pull(7, &body)])), (200, pull(7, &body))];
        let (again, asked) = propose(answers).await;
        assert!(!again.unwrap().1);
        assert!(
            asked[1].0.starts_with("PATCH /repos/acme/fleet/pulls/7 "),
            "{asked:?}"
        );
    }

    #[tokio::test]
    async fn a_refusal_says_what_the_token_needs_and_never_shows_it() {
        for (status, wanted) in [
            (401, "does not take the credential"),
            (403, "may not do this"),
            (404, "no such thing"),
            (500, "unwell"),
            (302, "another place"),
        ] {
            let (result, _) = propose(vec![(status, json!({"message": "no"}))]).await;
            let error = result.unwrap_err().to_string();
            assert!(
                error.contains(wanted) && !error.contains("s3cret"),
                "{error}"
            );
        }
    }
}
