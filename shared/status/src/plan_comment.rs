//! A fleet's plan of a commit as a comment of a pull request, and the lines that it is made of.

use std::fmt::Write as _;

use flotilla_forge::{Form, Kind, Section, comment, marker};

use crate::markdown::plain;
use crate::{FleetPlan, PlanGroup, PlanVerdict, PlannedAction, PlannedApplication};

/// Longest text from others, bytes.
const MAX_TEXT: usize = 500;

/// Meaning of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineKind {
    /// Heading of the lines below it.
    Head,
    /// An object would be created.
    Create,
    /// An object would change.
    Update,
    /// An object would be deleted, or something fails.
    Bad,
    /// Details of the line above.
    Detail,
}

/// Number of clusters that are named of a long list.
const NAMES: usize = 10;

/// Returns the names of a group's clusters, with the rest counted.
#[must_use]
pub fn names(group: &PlanGroup) -> String {
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

/// Returns the title: what is planned, and where.
#[must_use]
pub fn title(plan: &FleetPlan) -> String {
    let mut title = plan.environment.clone();
    if !plan.application.is_empty() {
        let _ = write!(title, "/{}", plan.application);
    }
    if let Some(revision) = &plan.revision {
        let _ = write!(title, " {} of {}", revision.short(), revision.repository);
    }
    title
}

fn weight(action: PlannedAction) -> LineKind {
    match action {
        PlannedAction::Create => LineKind::Create,
        PlannedAction::Update => LineKind::Update,
        PlannedAction::Delete | PlannedAction::Fail => LineKind::Bad,
        PlannedAction::Skip
        | PlannedAction::Hold
        | PlannedAction::Nothing
        | PlannedAction::Unknown => LineKind::Detail,
    }
}

/// Writes the changes of one application line by line; nothing where nothing changes.
pub fn lines(application: &PlannedApplication, put: &mut dyn FnMut(&str, LineKind)) {
    let is_quiet = application.changes.is_empty() && application.reason.is_empty();
    if is_quiet && !application.truncated {
        return;
    }
    put(&application.application, LineKind::Head);
    if !application.reason.is_empty() {
        let line = format!("! {}: {}", application.reason, application.message);
        put(&line, LineKind::Bad);
        return;
    }
    for change in &application.changes {
        let action = change.action;
        let line = format!("{} {action} {}", action.sign(), change.object);
        put(&line, weight(action));
        if !change.managers.is_empty() {
            let line = format!("    managed by {}", change.managers.join(", "));
            put(&line, LineKind::Bad);
        }
        if !change.reason.is_empty() {
            let line = format!("    {}: {}", change.reason, change.message);
            put(line.trim_end_matches(": "), LineKind::Detail);
        }
        for field in &change.fields {
            put(&format!("    {field}"), LineKind::Detail);
        }
    }
    if application.truncated {
        put("... and more", LineKind::Detail);
    }
    let same = format!("{} unchanged", application.unchanged);
    put(&same, LineKind::Detail);
}

/// Returns the summary in Markdown, with the clusters that need an operator.
#[must_use]
pub fn summary(plan: &FleetPlan) -> String {
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

/// Returns the changes, one section for each group.
#[must_use]
pub fn sections(plan: &FleetPlan) -> Vec<Section> {
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

/// Returns the marker by which a plan's comment is found again: one for each environment, and for each application that
/// is planned alone.
#[must_use]
pub fn mark(plan: &FleetPlan, kind: Kind) -> String {
    marker(kind, &purpose(plan))
}

fn purpose(plan: &FleetPlan) -> String {
    match plan.application.as_str() {
        "" => format!("plan:{}", plan.environment),
        name => format!("plan:{}/{name}", plan.environment),
    }
}

/// Returns the plan as a comment on a forge.
#[must_use]
pub fn markdown(plan: &FleetPlan, form: impl Into<Form>) -> String {
    let summary = summary(plan);
    comment(
        form.into(),
        &purpose(plan),
        summary.trim_end(),
        &sections(plan),
    )
}
