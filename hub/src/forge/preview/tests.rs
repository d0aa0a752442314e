use super::*;

fn preview(label: Option<&str>, role: Option<Role>) -> Preview {
    Preview {
        environment: "prod".parse().unwrap(),
        repository: "fleet".parse().unwrap(),
        branch: "main".parse().unwrap(),
        label: label.map(str::to_owned),
        role,
    }
}

fn pull(number: u64, head: &str, labels: &[&str]) -> PullRequest {
    PullRequest {
        number,
        open: true,
        base: "main".to_owned(),
        head_commit: head.repeat(40),
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        ..PullRequest::default()
    }
}

#[test]
fn only_what_asks_is_taken_up_and_each_head_once() {
    let with_label = preview(Some("plan"), None);
    let mut told = PreviewStates::default();
    let now = Instant::now();
    let mut other = pull(4, "a", &["plan"]);
    other.base = "prod".to_owned();
    let open = || {
        vec![
            pull(1, "a", &["plan"]),
            pull(2, "a", &["docs"]),
            pull(3, "b", &["docs", "plan"]),
            other.clone(),
        ]
    };
    let numbers = |told: &mut PreviewStates, open: Vec<PullRequest>, now| -> Vec<u64> {
        let due = told.due(&with_label, open, now);
        due.iter().map(|pull| pull.number).collect()
    };
    assert_eq!(numbers(&mut told, open(), now), [1, 3]);
    let done = |told: &mut PreviewStates, number, head: &str, again| {
        let known = PreviewState {
            head: head.repeat(40),
            comment: Some(5),
            again,
        };
        told.0.insert(key(&with_label, number), known);
    };
    done(&mut told, 1, "a", None);
    done(&mut told, 3, "b", Some(now + AGAIN));
    assert_eq!(numbers(&mut told, open(), now), Vec::<u64>::new());
    assert_eq!(
        numbers(&mut told, open(), now + AGAIN),
        [3],
        "who was refused may be allowed by now"
    );
    // A push requests a new plan.
    let pushed = vec![pull(1, "c", &["plan"]), pull(3, "b", &["plan"])];
    assert_eq!(numbers(&mut told, pushed, now), [1]);
    // Removing the label and setting it again requests a new plan.
    let without = vec![pull(1, "a", &[]), pull(3, "b", &["plan"])];
    assert_eq!(numbers(&mut told, without, now), Vec::<u64>::new());
    let again = vec![pull(1, "a", &["plan"]), pull(3, "b", &["plan"])];
    assert_eq!(numbers(&mut told, again, now), [1]);
    // A few at a time, counted for each preview.
    let many = (10..30)
        .map(|number| pull(number, "a", &["plan"]))
        .collect();
    assert_eq!(numbers(&mut told, many, now).len(), PER_TURN);
    let stage = Preview {
        environment: "stage".parse().unwrap(),
        ..with_label.clone()
    };
    told.0.clear();
    done(&mut told, 1, "a", None);
    assert_eq!(
        told.due(&stage, vec![pull(1, "a", &["plan"])], now).len(),
        1
    );
    told.retain(std::slice::from_ref(&with_label));
    assert_eq!(told.0.len(), 1);
    told.retain(&[stage]);
    assert!(told.0.is_empty());
}

#[test]
fn a_role_is_enough_from_the_one_demanded_on() {
    for (right, enough) in [
        (Right::None, [false, false, false]),
        (Right::Read, [true, false, false]),
        (Right::Write, [true, true, false]),
        (Right::Admin, [true, true, true]),
    ] {
        let found = [Role::Read, Role::Write, Role::Admin].map(|role| is_enough(right, role));
        assert_eq!(found, enough, "{right:?}");
    }
    let by = "<b>@eve</b>".to_owned();
    let role = Role::Write;
    let denied = Denial::Giver {
        label: "plan".to_owned(),
        by,
        role,
    };
    let environment = "prod".parse().unwrap();
    let text = refusal(
        &environment,
        &"a".repeat(40),
        &denied.to_string(),
        Kind::Github,
    );
    assert!(
        text.starts_with("<!-- flotilla:plan:prod -->\n**Flotilla plan for prod aaaaaaa**"),
        "{text}"
    );
    assert!(text.contains("write access to this repository"), "{text}");
    assert!(!text.contains("<b>") && !text.contains("@eve"), "{text}");
    let author = Denial::Author {
        by: "eve".to_owned(),
        role,
    };
    assert!(!author.is_told() && denied.is_told());
}
