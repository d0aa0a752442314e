//! Plans as text.

use std::fmt::Write as _;

use flotilla_status::{ApplicationPlan, PlannedAction, Revision};

use super::{Paint, Tone};

fn tone(action: PlannedAction) -> Tone {
    match action {
        PlannedAction::Create => Tone::Good,
        PlannedAction::Update => Tone::Warn,
        PlannedAction::Delete | PlannedAction::Fail => Tone::Bad,
        PlannedAction::Skip
        | PlannedAction::Hold
        | PlannedAction::Nothing
        | PlannedAction::Unknown => Tone::Dim,
    }
}

/// Plans, object by object and field by field.
#[must_use]
pub fn diff(plans: &[ApplicationPlan], paint: Paint) -> String {
    let mut out = String::new();
    for plan in plans {
        let revision = plan.revision.as_ref().map(Revision::short);
        let head = format!("{} {}", plan.application, revision.unwrap_or_default());
        let _ = writeln!(out, "{}", paint.paint(Tone::Head, head.trim_end()));
        if !plan.error.is_empty() {
            let _ = writeln!(out, "  {}", paint.paint(Tone::Bad, &plan.error));
        }
        for change in &plan.changes {
            let action = change.action;
            let line = format!("{} {action} {}", action.sign(), change.object);
            let _ = writeln!(out, "  {}", paint.paint(tone(action), &line));
            if !change.reason.is_empty() {
                let _ = writeln!(out, "      {}: {}", change.reason, change.message);
            }
            for field in &change.fields {
                let value = |text: &str| match text {
                    "" => "(none)".to_owned(),
                    text => text.to_owned(),
                };
                let _ = writeln!(
                    out,
                    "      {}: {} -> {}",
                    field.path,
                    paint.paint(Tone::Bad, &value(&field.live)),
                    paint.paint(Tone::Good, &value(&field.desired)),
                );
            }
        }
        if plan.truncated {
            let _ = writeln!(out, "  ... and more");
        }
        let _ = writeln!(
            out,
            "  {}",
            paint.paint(Tone::Dim, &format!("{} unchanged", plan.unchanged))
        );
    }
    out
}
