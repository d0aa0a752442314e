//! A fleet's plan of a commit, as text and as Markdown.

use std::fmt::Write as _;

use flotilla_status::plan_comment::{LineKind, lines, names, title};
use flotilla_status::{FleetPlan, PlanVerdict};

use super::{Paint, Tone};

fn tone(weight: LineKind) -> Tone {
    match weight {
        LineKind::Head => Tone::Head,
        LineKind::Create => Tone::Good,
        LineKind::Update => Tone::Warn,
        LineKind::Bad => Tone::Bad,
        LineKind::Detail => Tone::Dim,
    }
}

/// For a terminal.
#[must_use]
pub fn plan(plan: &FleetPlan, paint: Paint) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}", paint.paint(Tone::Head, &title(plan)));
    let _ = writeln!(out, "{}", plan.summary);
    if plan.unconcerned > 0 && plan.groups.is_empty() {
        let _ = writeln!(
            out,
            "not affected: {}",
            flotilla_shared::words::counted(plan.unconcerned as usize, "cluster")
        );
    }
    for group in &plan.groups {
        let head = match group.verdict {
            PlanVerdict::Nothing => Tone::Dim,
            PlanVerdict::Changes => Tone::Head,
            _ => Tone::Bad,
        };
        let _ = writeln!(out, "\n{}", paint.paint(head, &group.words()));
        let _ = writeln!(out, "  {}", paint.paint(Tone::Dim, &names(group)));
        if !group.message.is_empty() {
            let _ = writeln!(out, "  {}", group.message);
        }
        for application in &group.applications {
            lines(application, &mut |line, weight| {
                let _ = writeln!(out, "  {}", paint.paint(tone(weight), line));
            });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use flotilla_forge::{Form, Kind};
    use flotilla_proto::v1;
    use flotilla_status::plan_comment::markdown;

    use super::*;

    fn object(kind: &str, name: &str) -> Option<v1::ObjectRef> {
        Some(v1::ObjectRef {
            group: String::new(),
            kind: kind.to_owned(),
            namespace: "shop".to_owned(),
            name: name.to_owned(),
        })
    }

    fn change(kind: &str, name: &str, action: v1::Action, fields: &[&str]) -> v1::ObjectChange {
        v1::ObjectChange {
            object: object(kind, name),
            action: action.into(),
            fields: fields
                .iter()
                .map(|path| v1::FieldChange {
                    path: (*path).to_owned(),
                    ..v1::FieldChange::default()
                })
                .collect(),
            ..v1::ObjectChange::default()
        }
    }

    fn group(
        verdict: v1::PlanVerdict,
        clusters: usize,
        changes: Vec<v1::ObjectChange>,
    ) -> v1::PlanGroup {
        v1::PlanGroup {
            verdict: verdict.into(),
            clusters: (0..clusters).map(|n| format!("eu-{n:03}")).collect(),
            applications: vec![v1::ApplicationPlan {
                application: "shop".to_owned(),
                changes,
                unchanged: 12,
                ..v1::ApplicationPlan::default()
            }],
            ..v1::PlanGroup::default()
        }
    }

    pub(crate) fn fleet_plan() -> FleetPlan {
        use v1::{Action, PlanVerdict as Verdict};
        let conflict = v1::ObjectChange {
            reason: "Conflict".to_owned(),
            message: "fields are managed by <b>X</b> @all".to_owned(),
            managers: vec!["kubectl-edit".to_owned()],
            ..change("Service", "web", Action::Failed, &[])
        };
        let refused = v1::PlanGroup {
            reason: "SignatureMissing".to_owned(),
            message: "commit is not signed".to_owned(),
            applications: Vec::new(),
            ..group(Verdict::Refused, 1, Vec::new())
        };
        let offline = v1::PlanGroup {
            applications: Vec::new(),
            ..group(Verdict::Offline, 3, Vec::new())
        };
        FleetPlan::from(&v1::FleetPlan {
            id: "1".to_owned(),
            environment: "prod".to_owned(),
            revision: Some(v1::Revision {
                repository: "fleet".to_owned(),
                branch: "main".to_owned(),
                commit: "a".repeat(40),
            }),
            done: true,
            groups: vec![
                group(
                    Verdict::Changes,
                    312,
                    vec![
                        change("ConfigMap", "new", Action::Created, &[]),
                        change("Secret", "key", Action::Updated, &["/data/password"]),
                        change("Service", "old", Action::Pruned, &[]),
                    ],
                ),
                group(Verdict::Conflict, 2, vec![conflict]),
                refused,
                offline,
            ],
            ..v1::FleetPlan::default()
        })
    }

    #[test]
    fn a_plan_is_read_from_its_first_line_down() {
        insta::assert_snapshot!(plan(&fleet_plan(), Paint::Plain));
    }

    #[test]
    fn a_comment_begins_with_its_mark_and_summary_and_calls_nobody() {
        let text = markdown(&fleet_plan(), Kind::Github);
        insta::assert_snapshot!(text);
        assert!(!text.replace("```", "").contains("\n@"), "{text}");
        let kind = Kind::Github;
        for limit in [700, 1_000, 65_000] {
            let text = markdown(&fleet_plan(), Form { kind, limit });
            assert!(text.len() <= limit, "{} > {limit}", text.len());
            assert!(text.starts_with("<!-- flotilla:plan:prod -->\n**Flotilla plan for prod"));
        }
    }
}
