use std::collections::BTreeMap;

use flotilla_shared::object::{Action, ObjectNames, ObjectRef};
use flotilla_shared::plan::{ApplicationChanges, Change};
use proptest::prelude::*;

use super::*;

fn cluster(number: usize) -> ClusterName {
    format!("c{number:05}").parse().unwrap()
}

fn clusters(count: usize) -> Vec<ClusterName> {
    (0..count).map(cluster).collect()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A plan with this many changed objects; 0: no change.
fn answer(objects: usize, action: Action) -> Answer {
    let changes = (0..objects).map(|number| Change {
        object: ObjectRef::from(ObjectNames {
            group: String::new(),
            kind: "ConfigMap".to_owned(),
            namespace: "web".to_owned(),
            name: format!("m{number}"),
        }),
        action,
        reason: None,
        managers: Vec::new(),
        fields: vec!["/data/a".to_owned()],
        message: String::new(),
    });
    let changes = ApplicationChanges {
        changes: changes.collect(),
        ..ApplicationChanges::default()
    };
    Answer::Plan(ClusterPlan {
        applications: [("web".parse().unwrap(), changes)].into(),
    })
}

fn refused(reason: Reason) -> Answer {
    let refused = ApplicationChanges::refused(reason, "not signed");
    Answer::Plan(ClusterPlan {
        applications: [("web".parse().unwrap(), refused)].into(),
    })
}

fn shown(plan: &PlanInquiry) -> Vec<(PlanVerdict, usize, Option<Reason>)> {
    let groups = plan.groups().shown();
    let all = groups.iter();
    all.map(|group| (group.verdict, group.clusters.len(), group.reason))
        .collect()
}

#[test]
fn equal_answers_are_one_group_and_the_rest_is_told_apart() {
    let mut plan = PlanInquiry::new(clusters(318), Duration::ZERO, Limits::default());
    let asked = plan.next(Duration::ZERO);
    assert_eq!(asked.len(), 318);
    for (number, name) in asked.iter().enumerate() {
        let heard = match number {
            0..312 => answer(4, Action::Updated),
            312..314 => answer(1, Action::Failed),
            314..317 => Answer::Away,
            _ => refused(Reason::SignatureMissing),
        };
        plan.heard(name, heard, seconds(1));
    }
    assert!(plan.is_done());
    assert_eq!(
        shown(&plan),
        [
            (PlanVerdict::Changes, 312, None),
            (PlanVerdict::Conflict, 2, None),
            (PlanVerdict::Refused, 1, Some(Reason::SignatureMissing)),
            (PlanVerdict::Offline, 3, None),
        ]
    );
    let groups = plan.groups().shown();
    assert_eq!(groups[2].message, "not signed");
    let kept = groups[0].plan.as_ref().unwrap();
    assert_eq!(kept.applications["web"].changes.len(), 4);
    assert!(plan.wake_at().is_none());
}

#[test]
fn no_more_agents_than_may_work_at_once_and_the_next_as_one_is_done() {
    let limits = Limits {
        at_once: 3,
        ..Limits::default()
    };
    let mut plan = PlanInquiry::new(clusters(5), Duration::ZERO, limits);
    assert_eq!(plan.next(Duration::ZERO), clusters(3));
    assert_eq!(plan.next(seconds(1)), []);
    plan.heard(&cluster(1), answer(0, Action::Created), seconds(1));
    assert_eq!(plan.next(seconds(1)), [cluster(3)]);
    assert_eq!(plan.waiting(), 4);
}

#[test]
fn an_answer_that_comes_too_late_or_unasked_is_none() {
    let mut plan = PlanInquiry::new(clusters(2), Duration::ZERO, Limits::default());
    plan.heard(&cluster(0), answer(1, Action::Created), seconds(0));
    assert_eq!(shown(&plan), [], "nobody was asked");
    plan.next(Duration::ZERO);
    plan.heard(&cluster(0), answer(1, Action::Created), seconds(1));
    plan.heard(&cluster(0), answer(2, Action::Created), seconds(1));
    let late = Limits::default().answer;
    assert_eq!(plan.wake_at(), Some(late));
    plan.heard(&cluster(1), answer(1, Action::Created), late);
    assert_eq!(plan.next(late), []);
    assert_eq!(
        shown(&plan),
        [
            (PlanVerdict::Changes, 1, None),
            (PlanVerdict::TimedOut, 1, None)
        ]
    );
    plan.heard(&cluster(1), answer(1, Action::Created), late);
    assert_eq!(plan.groups().shown()[0].clusters, [cluster(0)]);
}

#[test]
fn who_is_busy_is_asked_again_and_who_is_away_only_as_long_as_was_asked_for() {
    let mut plan = PlanInquiry::new(clusters(2), seconds(10), Limits::default());
    plan.next(Duration::ZERO);
    plan.heard(&cluster(0), Answer::Busy(seconds(5)), seconds(1));
    plan.heard(&cluster(1), Answer::Away, seconds(1));
    assert_eq!(plan.next(seconds(2)), []);
    assert_eq!(plan.wake_at(), Some(seconds(3)));
    assert_eq!(plan.next(seconds(3)), [cluster(1)]);
    assert_eq!(plan.next(seconds(6)), [cluster(0)]);
    plan.heard(&cluster(0), answer(0, Action::Created), seconds(7));
    plan.heard(&cluster(1), Answer::Away, seconds(10));
    assert!(plan.is_done());
    assert_eq!(
        shown(&plan),
        [
            (PlanVerdict::Offline, 1, None),
            (PlanVerdict::Nothing, 1, None)
        ]
    );
}

#[test]
fn at_the_end_of_its_time_a_plan_is_done_whoever_is_missing() {
    let mut plan = PlanInquiry::new(clusters(3), seconds(3600), Limits::default());
    plan.next(Duration::ZERO);
    plan.heard(&cluster(0), Answer::Away, seconds(1));
    plan.heard(&cluster(1), Answer::Busy(seconds(9999)), seconds(1));
    // A longer wait for offline clusters extends the time limit of the plan.
    plan.next(seconds(300));
    assert!(!plan.is_done());
    assert_eq!(plan.next(seconds(3600)), []);
    assert!(plan.is_done());
    let all: BTreeMap<PlanVerdict, usize> =
        shown(&plan).into_iter().map(|(v, n, _)| (v, n)).collect();
    assert_eq!(all, [(PlanVerdict::TimedOut, 3)].into());
}

#[test]
fn a_thousand_different_answers_take_the_room_of_few() {
    let mut plan = PlanInquiry::new(clusters(1000), Duration::ZERO, Limits::default());
    let mut now = Duration::ZERO;
    while !plan.is_done() {
        for name in plan.next(now) {
            let number: usize = name.as_str()[1..].parse().unwrap();
            plan.heard(&name, answer(number % 180, Action::Created), now);
        }
        now += seconds(1);
    }
    let groups = plan.groups().shown();
    assert!(groups.len() <= 66, "{}", groups.len());
    let folded: Vec<&Group> = groups.iter().filter(|group| group.folded).collect();
    assert_eq!(folded.len(), 1);
    assert!(folded[0].plan.is_none());
    let told: usize = groups.iter().map(|group| group.clusters.len()).sum();
    assert_eq!(told, 1000, "nobody is lost");
    let bytes: usize = groups
        .iter()
        .filter_map(|group| group.plan.as_ref())
        .map(ClusterPlan::weight)
        .sum();
    assert!(bytes <= 1 << 20);
}

fn question(commit: char) -> Question {
    Question {
        environment: "prod".parse().unwrap(),
        revision: Revision {
            repository: "fleet".parse().unwrap(),
            branch: "main".parse().unwrap(),
            commit: commit.to_string().repeat(40).parse().unwrap(),
        },
        application: None,
    }
}

#[test]
fn the_same_question_is_worked_on_once_and_few_are_kept_for_some_minutes() {
    let mut shelf: Shelf<u32> = Shelf::default();
    let begin = |shelf: &mut Shelf<u32>, id: u32, commit: char, now: u64| {
        let wait = Duration::ZERO;
        shelf.begin(id.to_string(), question(commit), wait, id, seconds(now))
    };
    for (id, commit) in (0..).zip("abcd".chars()) {
        begin(&mut shelf, id, commit, 0).unwrap();
    }
    let same = shelf.under_way(&question('b'), Duration::ZERO);
    assert_eq!(same, Some(("1".to_owned(), 1)));
    let patient = shelf.under_way(&question('b'), seconds(60));
    assert_eq!(patient, None, "it would wait less than is asked for");
    assert_eq!(begin(&mut shelf, 4, 'e', 0), Err(ShelfFull));
    shelf.end("1", seconds(5));
    assert!(shelf.under_way(&question('b'), Duration::ZERO).is_none());
    begin(&mut shelf, 4, 'e', 5).unwrap();
    assert_eq!(shelf.get("1", seconds(604)).map(|(_, id)| id), Some(1));
    assert_eq!(shelf.get("1", seconds(605)), None);
    // Plans in progress are kept, however many others begin and end.
    for id in 10..40 {
        shelf.end(&(id - 1).to_string(), seconds(700));
        shelf.end("4", seconds(700));
        begin(&mut shelf, id, 'f', 700).unwrap();
    }
    assert_eq!(shelf.get("0", seconds(700)).map(|(_, id)| id), Some(0));
    assert_eq!(
        shelf.get("11", seconds(700)),
        None,
        "only the newest are kept"
    );
}

proptest! {
    /// Whatever agents do, every cluster is in exactly one group in the end, and no more than the limit are asked at
    /// once.
    #[test]
    fn every_cluster_ends_in_one_group(
        count in 1usize..40,
        at_once in 1usize..8,
        patience in 0u64..60,
        doings in proptest::collection::vec(0u8..6, 1..200),
    ) {
        let limits = Limits { at_once, whole: seconds(100), answer: seconds(20), ..Limits::default() };
        let mut plan = PlanInquiry::new(clusters(count), seconds(patience), limits);
        let mut now = Duration::ZERO;
        let mut doings = doings.iter().cycle();
        let mut asked: Vec<ClusterName> = Vec::new();
        for _ in 0..10_000 {
            if plan.is_done() {
                break;
            }
            asked.extend(plan.next(now));
            prop_assert!(plan.asked.len() <= at_once);
            if let Some(name) = asked.pop() {
                let heard = match doings.next().copied().unwrap_or_default() {
                    0 => answer(2, Action::Created),
                    1 => Answer::Busy(seconds(1)),
                    2 => Answer::Away,
                    3 => Answer::Failed(None, "no".to_owned()),
                    4 => refused(Reason::BranchNotAllowed),
                    // It never answers.
                    _ => continue,
                };
                plan.heard(&name, heard, now);
            } else if let Some(wake) = plan.wake_at() {
                prop_assert!(wake <= seconds(100));
                now = now.max(wake);
            }
        }
        prop_assert!(plan.is_done());
        let mut told: Vec<ClusterName> =
            plan.groups().shown().into_iter().flat_map(|group| group.clusters).collect();
        told.sort();
        prop_assert_eq!(told, clusters(count));
    }
}
