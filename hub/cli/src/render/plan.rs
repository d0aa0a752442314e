//! A fleet's plan of a commit, as text and as Markdown.

use std::fmt::Write as _;

use flotilla_forge::{Section, comment, marker};

use super::markdown::plain;
use super::{Paint, Tone};
use crate::view::{FleetPlan, PlanGroup, PlanVerdict, PlannedApplication, PlannedChange};

/// Most bytes of one text of others.
const MAX_TEXT: usize = 500;

/// Clusters that are named of a long list.
const NAMES: usize = 10;

fn names(group: &PlanGroup) -> String {
    let shown: Vec<&str> = group
        .clusters
        .iter()
        .take(NAMES)
        .map(String::as_str)
        .collect();
    match group.clusters.len().saturating_sub(NAMES) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn title(plan: &FleetPlan) -> String {
    let mut title = plan.environment.clone();
    if !plan.application.is_empty() {
        let _ = write!(title, "/{}", plan.application);
    }
    if let Some(revision) = &plan.revision {
        let _ = write!(title, " {} of {}", revision.short(), revision.repository);
    }
    title
}

fn sign(change: &PlannedChange) -> (&'static str, Tone) {
    match change.action.as_str() {
        "create" => ("+", Tone::Good),
        "update" => ("~", Tone::Warn),
        "delete" => ("-", Tone::Bad),
        "fail" => ("!", Tone::Bad),
        _ => ("=", Tone::Dim),
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
            "without anything of it: {}",
            flotilla_shared::words::counted(plan.unconcerned as usize, "cluster")
        );
    }
    for group in &plan.groups {
        let tone = match group.verdict {
            PlanVerdict::Nothing => Tone::Dim,
            PlanVerdict::Changes => Tone::Head,
            _ => Tone::Bad,
        };
        let _ = writeln!(out, "\n{}", paint.paint(tone, &group.words()));
        let _ = writeln!(out, "  {}", paint.paint(Tone::Dim, &names(group)));
        if !group.message.is_empty() {
            let _ = writeln!(out, "  {}", group.message);
        }
        for application in &group.applications {
            lines(application, &mut |line, tone| {
                let _ = writeln!(out, "  {}", paint.paint(tone, line));
            });
        }
    }
    out
}

/// What one application would do, line by line; nothing of one that would do nothing.
fn lines(application: &PlannedApplication, put: &mut dyn FnMut(&str, Tone)) {
    let is_quiet = application.changes.is_empty() && application.reason.is_empty();
    if is_quiet && !application.truncated {
        return;
    }
    put(&application.application, Tone::Head);
    if !application.reason.is_empty() {
        let line = format!("! {}: {}", application.reason, application.message);
        put(&line, Tone::Bad);
        return;
    }
    for change in &application.changes {
        let (sign, tone) = sign(change);
        put(&format!("{sign} {} {}", change.action, change.object), tone);
        if !change.managers.is_empty() {
            let line = format!("    managed by {}", change.managers.join(", "));
            put(&line, Tone::Bad);
        }
        if !change.reason.is_empty() {
            let line = format!("    {}: {}", change.reason, change.message);
            put(line.trim_end_matches(": "), Tone::Dim);
        }
        for field in &change.fields {
            put(&format!("    {field}"), Tone::Dim);
        }
    }
    if application.truncated {
        put("... and more", Tone::Dim);
    }
    let same = format!("{} stay as they are", application.unchanged);
    put(&same, Tone::Dim);
}

/// The summary in Markdown, with the clusters that need a person.
pub(crate) fn summary(plan: &FleetPlan) -> String {
    let mut out = format!(
        "**Flotilla plan for {}**\n\n",
        plain(&title(plan), MAX_TEXT)
    );
    if plan.groups.is_empty() {
        let _ = writeln!(out, "{}", plain(&plan.summary, MAX_TEXT));
    }
    for group in &plan.groups {
        let mark = match group.verdict {
            PlanVerdict::Changes | PlanVerdict::Nothing => "",
            _ => "⚠ ",
        };
        let _ = write!(out, "- {mark}{}", plain(&group.words(), MAX_TEXT));
        let is_well = matches!(group.verdict, PlanVerdict::Nothing | PlanVerdict::Changes);
        if !is_well {
            let _ = write!(out, " ({})", plain(&names(group), MAX_TEXT));
        }
        out.push('\n');
    }
    if plan.waiting > 0 {
        let _ = writeln!(out, "- ⚠ {} still to answer", plan.waiting);
    }
    out
}

/// What would change, a part for each group.
pub(crate) fn sections(plan: &FleetPlan) -> Vec<Section> {
    let groups = plan.groups.iter();
    let with_changes = groups.filter(|group| !group.applications.is_empty());
    let sections = with_changes.map(|group| {
        let mut text = format!("# {}\n", names(group));
        let before = text.len();
        for application in &group.applications {
            lines(application, &mut |line, _| {
                let _ = writeln!(text, "{line}");
            });
        }
        let is_empty = text.len() == before;
        (
            is_empty,
            Section {
                title: group.words(),
                text,
            },
        )
    });
    let told = sections.filter(|(is_empty, _)| !is_empty);
    told.map(|(_, section)| section).collect()
}

/// By which a plan's comment is found again: one for each environment, and application where one is asked
/// about.
pub(crate) fn mark(plan: &FleetPlan) -> String {
    match plan.application.as_str() {
        "" => marker(&format!("plan:{}", plan.environment)),
        name => marker(&format!("plan:{}/{name}", plan.environment)),
    }
}

/// For a comment of at most so many bytes.
pub(crate) fn markdown(plan: &FleetPlan, limit: usize) -> String {
    comment(
        &mark(plan),
        summary(plan).trim_end(),
        &sections(plan),
        limit,
    )
}

#[cfg(test)]
mod tests {
    use flotilla_proto::v1;

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
        let text = markdown(&fleet_plan(), 65_000);
        insta::assert_snapshot!(text);
        assert!(!text.replace("```", "").contains("\n@"), "{text}");
        for limit in [700, 1_000, 65_000] {
            let text = markdown(&fleet_plan(), limit);
            assert!(text.len() <= limit, "{} > {limit}", text.len());
            assert!(text.starts_with("<!-- flotilla:plan:prod -->\n**Flotilla plan for prod"));
        }
    }
}
