//! Hooks of each forge, real and forged.

use super::*;

const SECRET: &[u8] = b"It's a Secret to Everybody";
const BODY: &[u8] = b"{\"repository\":{\"clone_url\":\"https://Git.example.com/Team/fleet.git\"}}";

fn mac(body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).unwrap();
    mac.update(body);
    flotilla_shared::digest::Digest::from_slice(&mac.finalize().into_bytes())
        .unwrap()
        .to_string()
}

fn call(provider: Provider, headers: &[(&str, &str)], body: &[u8]) -> Result<Verdict, Refusal> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name: axum::http::HeaderName = name.parse().unwrap();
        map.insert(name, value.parse().unwrap());
    }
    verify(provider, SECRET, &map, body)
}

/// The example in GitHub's own documentation.
#[test]
fn e16_the_published_example_verifies() {
    let body = b"Hello, World!";
    let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let headers = [
        ("x-hub-signature-256", signature),
        ("x-github-event", "ping"),
    ];
    assert_eq!(call(Provider::GitHub, &headers, body), Ok(Verdict::Ignored));
    assert_eq!(
        call(Provider::GitHub, &headers, b"Hello, World"),
        Err(Refusal::Forged)
    );
}

#[test]
fn e16_each_provider_is_understood_and_no_forgery_is() {
    let hex = mac(BODY);
    let prefixed = format!("sha256={hex}");
    let secret = std::str::from_utf8(SECRET).unwrap();
    let cases = [
        (
            Provider::GitHub,
            "x-hub-signature-256",
            prefixed.as_str(),
            "x-github-event",
            "push",
        ),
        (
            Provider::GitLab,
            "x-gitlab-token",
            secret,
            "x-gitlab-event",
            "Push Hook",
        ),
        (
            Provider::Gitea,
            "x-gitea-signature",
            hex.as_str(),
            "x-gitea-event",
            "push",
        ),
        (
            Provider::Gitea,
            "x-forgejo-signature",
            hex.as_str(),
            "x-forgejo-event",
            "push",
        ),
        (
            Provider::Bitbucket,
            "x-hub-signature",
            prefixed.as_str(),
            "x-event-key",
            "repo:push",
        ),
    ];
    for (provider, signed_by, signature, event_by, event) in cases {
        let headers = [(signed_by, signature), (event_by, event)];
        let Ok(Verdict::Push(urls)) = call(provider, &headers, BODY) else {
            panic!("{provider:?}");
        };
        assert!(same_repository(
            &urls[0],
            "https://git.example.com/team/fleet"
        ));
        let wrong = [(signed_by, "sha256=00"), (event_by, event)];
        assert_eq!(
            call(provider, &wrong, BODY),
            Err(Refusal::Forged),
            "{provider:?}"
        );
        let none = [(event_by, event)];
        assert_eq!(call(provider, &none, BODY), Err(Refusal::Unsigned));
        if provider != Provider::GitLab {
            assert_eq!(call(provider, &headers, b"{}"), Err(Refusal::Forged));
        }
    }
}

#[test]
fn e16_events_of_pull_requests_are_told_from_pushes_and_are_forged_no_more_easily() {
    let hex = mac(BODY);
    let prefixed = format!("sha256={hex}");
    let secret = std::str::from_utf8(SECRET).unwrap();
    let names = |provider| match provider {
        Provider::GitHub => ("x-hub-signature-256", prefixed.as_str(), "x-github-event"),
        Provider::GitLab => ("x-gitlab-token", secret, "x-gitlab-event"),
        Provider::Gitea => ("x-gitea-signature", hex.as_str(), "x-gitea-event"),
        Provider::Bitbucket => ("x-hub-signature", prefixed.as_str(), "x-event-key"),
    };
    for (provider, events, others) in [
        (
            Provider::GitHub,
            "pull_request pull_request_review status check_run check_suite",
            "issues star ping workflow_job pull_requests",
        ),
        (
            Provider::GitLab,
            "Merge Request Hook,Pipeline Hook",
            "Tag Push Hook,Issue Hook,System Hook,merge_request",
        ),
        (
            Provider::Gitea,
            "pull_request pull_request_approved pull_request_rejected pull_request_label status",
            "issues repository issue_comment",
        ),
        (
            Provider::Bitbucket,
            "pullrequest:created pullrequest:approved repo:commit_status_updated",
            "repo:fork issue:created pr:opened",
        ),
    ] {
        let (signed_by, signature, event_by) = names(provider);
        let split = |all: &'static str| -> Vec<&str> {
            let comma = all.contains(',');
            all.split(move |c| if comma { c == ',' } else { c == ' ' })
                .collect()
        };
        for event in split(events) {
            let headers = [(signed_by, signature), (event_by, event)];
            let Ok(Verdict::Pull(urls)) = call(provider, &headers, BODY) else {
                panic!("{provider:?} {event}");
            };
            assert_eq!(urls.len(), 1);
            let wrong = [(signed_by, "sha256=00"), (event_by, event)];
            assert_eq!(
                call(provider, &wrong, BODY),
                Err(Refusal::Forged),
                "{event}"
            );
            assert_eq!(
                call(provider, &[(event_by, event)], BODY),
                Err(Refusal::Unsigned),
                "{event}"
            );
        }
        for event in split(others) {
            let headers = [(signed_by, signature), (event_by, event)];
            assert_eq!(
                call(provider, &headers, BODY),
                Ok(Verdict::Ignored),
                "{event}"
            );
        }
    }
}

/// Each forge's own form of an event names the target repository, whoever opened the pull request.
#[test]
fn a_pull_request_of_a_fork_is_the_business_of_who_is_asked() {
    let fork = "https://git.example.com/eve/fleet";
    let ours = "https://git.example.com/team/fleet.git";
    for body in [
        serde_json::json!({"pull_request": {"head": {"repo": {"clone_url": fork}},
            "base": {"repo": {"clone_url": ours}}}, "repository": {"clone_url": ours}}),
        serde_json::json!({"project": {"git_http_url": ours},
            "object_attributes": {"source": {"git_http_url": fork}}}),
        serde_json::json!({"pullrequest": {"source": {"repository": {"links": {"html": {"href": fork}}}}},
            "repository": {"links": {"html": {"href": ours}}}}),
    ] {
        let found = names(&body);
        assert!(
            found.iter().all(|url| same_repository(url, ours)),
            "{found:?}"
        );
        assert_eq!(found.len(), 1);
    }
}

#[test]
fn e16_what_is_signed_and_makes_no_sense_harms_nobody() {
    let signed = |body: &[u8]| {
        let prefixed = format!("sha256={}", mac(body));
        let headers = [
            ("x-hub-signature-256", prefixed.as_str()),
            ("x-github-event", "push"),
        ];
        call(Provider::GitHub, &headers, body)
    };
    for body in [&b"[]"[..], b"{\"repository\":7}", b"{}", b"null"] {
        assert_eq!(signed(body), Ok(Verdict::Push(Vec::new())));
    }
    assert_eq!(signed(b"{\"repository\":"), Err(Refusal::Malformed));
}

#[test]
fn repositories_are_the_same_whatever_the_way_to_them() {
    let ours = "https://git.example.com/team/fleet.git";
    for same in [
        "https://git.example.com/team/fleet",
        "http://git.example.com:3000/team/fleet.git",
        "ssh://git@git.example.com:2222/team/fleet.git",
        "https://git.example.com/scm/team/fleet.git",
    ] {
        assert!(same_repository(same, ours), "{same}");
    }
    for other in [
        "https://git.example.com/team/fleet2",
        "https://x/team/fleet",
        "fleet",
        "",
    ] {
        assert!(!same_repository(other, ours), "{other}");
    }
}
