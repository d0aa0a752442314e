//! Plans as text.

use std::fmt::Write as _;

use super::{Paint, Tone};
use crate::view::ApplicationPlan;

/// Plans, object by object and field by field.
#[must_use]
pub fn diff(plans: &[ApplicationPlan], paint: Paint) -> String {
    let mut out = String::new();
    for plan in plans {
        let revision = plan.revision.as_ref().map(crate::view::Revision::short);
        let head = format!("{} {}", plan.application, revision.unwrap_or_default());
        let _ = writeln!(out, "{}", paint.paint(Tone::Head, head.trim_end()));
        if !plan.error.is_empty() {
            let _ = writeln!(out, "  {}", paint.paint(Tone::Bad, &plan.error));
        }
        for change in &plan.changes {
            let (sign, tone) = match change.action.as_str() {
                "create" => ("+", Tone::Good),
                "update" => ("~", Tone::Warn),
                "delete" => ("-", Tone::Bad),
                "fail" => ("!", Tone::Bad),
                _ => ("=", Tone::Dim),
            };
            let line = format!("{sign} {} {}", change.action, change.object);
            let _ = writeln!(out, "  {}", paint.paint(tone, &line));
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
