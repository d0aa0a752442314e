use std::sync::Arc;

use flotilla_status::{GateKind, Step, StepKind};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

type Requests = Arc<Mutex<Vec<(String, Value)>>>;

/// Answers in turn, and records the requests.
async fn forge(answers: Vec<(u16, Value)>) -> (String, Requests) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let asked = Requests::default();
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
    let moved = Move {
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
        moves: vec![moved.clone()],
        clusters: vec!["eu-1".to_owned()],
        gates: vec![Step {
            step: StepKind::Gate(GateKind::Health),
            subject: "d1".to_owned(),
            state: StepState::Ok,
            text: "runs exactly this, synced and healthy".to_owned(),
            reason: String::new(),
            at: None,
            may_open: false,
            opens_at: None,
        }],
    };
    (promotion, moved)
}

fn pull(number: u64, body: &str) -> Value {
    let end = |branch: &str| json!({"ref": branch, "sha": "b".repeat(40), "repo": {"full_name": "acme/fleet"}});
    json!({"number": number, "html_url": "https://x/7", "title": "t", "body": body, "state": "open",
        "head": end("flotilla/promote-prod"), "base": end("prod"), "user": {"login": "bot"}})
}

/// A forge with these answers, opened with a token, and the recorded requests.
async fn open(answers: Vec<(u16, Value)>) -> (Forge, Requests) {
    let (address, asked) = forge(answers).await;
    let url = "https://github.com/acme/fleet".parse().unwrap();
    let at = Repository::at(&url, None, Some(&format!("http://{address}"))).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    flotilla_disk::create(&token, b"s3cret\n").unwrap();
    let token = super::token(&token).unwrap();
    (Forge::open(at, token).unwrap(), asked)
}

async fn propose(
    answers: Vec<(u16, Value)>,
) -> (Result<(PullRequest, Outcome), Error>, Vec<(String, Value)>) {
    let (forge, asked) = open(answers).await;
    let (promotion, moved) = promotion();
    let (head, base) = (
        "flotilla/promote-prod".parse().unwrap(),
        "prod".parse().unwrap(),
    );
    let result = forge.propose(&head, &base, &promotion, &moved, None).await;
    let asked = asked.lock().clone();
    (result, asked)
}

#[tokio::test]
async fn one_pull_request_is_opened_and_then_written_anew_in_place() {
    let other = pull(3, "somebody else's");
    let answers = vec![(200, json!([other])), (201, pull(7, ""))];
    let (opened, asked) = propose(answers).await;
    let (opened, written) = opened.unwrap();
    assert_eq!((opened.number, written), (7, Outcome::First));
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

    let answers = vec![
        (200, json!([other, pull(7, &body)])),
        (200, pull(7, &body)),
        (200, pull(7, &body)),
    ];
    let (again, asked) = propose(answers).await;
    assert_eq!(again.unwrap().1, Outcome::Anew);
    assert!(
        asked[2].0.starts_with("PATCH /repos/acme/fleet/pulls/7 "),
        "{asked:?}"
    );
}

#[test]
fn a_token_that_others_read_is_refused_with_what_mends_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    std::fs::write(&path, "s3cret\n").unwrap();
    for mode in [0o644, 0o640, 0o604] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let error = super::token(&path).err().unwrap();
        let hint = error.hint().unwrap_or_default();
        assert!(error.to_string().contains("readable by others"), "{error}");
        assert!(hint.contains("chmod 600"), "{hint}");
    }
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(super::token(&path).is_ok());
}

#[tokio::test]
async fn what_may_be_missing_is_said() {
    for (status, expected) in [(404, "called acme/fleet"), (302, "its new URL")] {
        let (result, _) = propose(vec![(status, json!({"message": "no"}))]).await;
        let hint = result.unwrap_err().hint().unwrap_or_default();
        assert!(hint.contains(expected), "{status}: {hint}");
    }
}

#[tokio::test]
async fn a_refusal_says_what_the_token_needs_and_never_shows_it() {
    for (status, expected) in [
        (401, "rejected the credential"),
        (403, "lacks permission"),
        (404, "not found"),
        (500, "HTTP 500"),
        (302, "another place"),
    ] {
        let (result, _) = propose(vec![(status, json!({"message": "no"}))]).await;
        let error = result.unwrap_err().to_string();
        assert!(
            error.contains(expected) && !error.contains("s3cret"),
            "{error}"
        );
    }
}

/// The full pull request is read before the update: lists leave out fields that some forges require in it.
#[tokio::test]
async fn what_cannot_be_read_in_whole_is_not_written_anew() {
    let ours = pull(7, "<!-- flotilla:promote:prod -->\nold");
    for status in [401, 403, 404, 409, 422, 429, 500, 302] {
        let answers = vec![(200, json!([ours])), (status, json!({"message": "no"}))];
        let (result, asked) = propose(answers).await;
        let error = result.unwrap_err().to_string();
        assert!(!error.contains("s3cret"), "{error}");
        let lines: Vec<&str> = asked.iter().map(|(head, _)| head.as_str()).collect();
        assert_eq!(lines.len(), 2, "{status}: {lines:?}");
        assert!(
            lines[1].starts_with("GET /repos/acme/fleet/pulls/7 "),
            "{status}: {lines:?}"
        );
    }
}

async fn write_comment(
    answers: Vec<(u16, Value)>,
) -> (Result<Outcome, Error>, Vec<(String, Value)>) {
    let (forge, asked) = open(answers).await;
    let mark = marker(flotilla_forge::Kind::Github, "plan:prod");
    let result = forge.comment(7, &mark, &format!("{mark}\nnew")).await;
    let asked = asked.lock().clone();
    (result, asked)
}

fn comment(id: u64, body: &str) -> Value {
    json!({"id": id, "body": body, "user": {"login": "bot"}})
}

#[tokio::test]
async fn one_comment_is_written_and_then_written_anew_in_place() {
    let quoted = comment(1, "> <!-- flotilla:plan:prod -->\n> old");
    let other = comment(2, "<!-- flotilla:plan:stage -->\nold");
    let none = json!([quoted, other]);
    let (new, asked) = write_comment(vec![(200, none), (201, comment(3, ""))]).await;
    assert_eq!(new.unwrap(), Outcome::First);
    assert!(
        asked[1]
            .0
            .starts_with("POST /repos/acme/fleet/issues/7/comments "),
        "{asked:?}"
    );
    assert_eq!(asked[1].1["body"], "<!-- flotilla:plan:prod -->\nnew");

    // The comment is on the second page: the first is full.
    let full: Vec<Value> = (10..110).map(|id| comment(id, "talk")).collect();
    let own = comment(3, "<!-- flotilla:plan:prod -->\nold");
    let answers = vec![
        (200, json!(full)),
        (200, json!([other, own])),
        (200, comment(3, "")),
    ];
    let (again, asked) = write_comment(answers).await;
    assert_eq!(again.unwrap(), Outcome::Anew);
    assert!(
        asked[2]
            .0
            .starts_with("PATCH /repos/acme/fleet/issues/comments/3 "),
        "{asked:?}"
    );
}

#[tokio::test]
async fn a_comment_of_somebody_else_with_our_mark_is_left_alone() {
    let theirs = comment(3, "<!-- flotilla:plan:prod -->\nlies");
    let answers = vec![
        (200, json!([theirs])),
        (403, json!({"message": "not yours"})),
        (201, comment(4, "")),
    ];
    let (new, asked) = write_comment(answers).await;
    assert_eq!(new.unwrap(), Outcome::First, "{asked:?}");
    let (limited, _) = write_comment(vec![
        (200, json!([theirs])),
        (500, json!({"message": "unwell"})),
    ])
    .await;
    let error = limited.unwrap_err().to_string();
    assert!(
        error.contains("HTTP 500") && !error.contains("s3cret"),
        "{error}"
    );
}
