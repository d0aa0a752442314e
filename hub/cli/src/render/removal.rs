//! Effect of the removal of an application, as text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Paint, Tone};
use crate::removal::{ClusterRemoval, Fate, Outcome};

/// Highest number of clusters that a line names.
const NAMED: usize = 8;

/// Lists the clusters; those of one environment with the same effect are merged.
#[must_use]
pub(crate) fn removal(name: &str, places: &[ClusterRemoval], paint: Paint) -> String {
    let mut groups: BTreeMap<(&str, &Outcome), Vec<&str>> = BTreeMap::new();
    for place in places {
        let group = groups.entry((&place.environment, &place.outcome));
        group.or_default().push(&place.cluster);
    }
    let mut out = String::new();
    if groups.is_empty() {
        let _ = writeln!(out, "no cluster has anything of {name}");
    }
    for ((environment, outcome), clusters) in groups {
        let more = clusters.len().saturating_sub(NAMED);
        let some: Vec<&str> = clusters.iter().take(NAMED).copied().collect();
        let mut head = format!("{environment}: {}", some.join(", "));
        if more > 0 {
            let _ = write!(head, " and {more} more");
        }
        let _ = writeln!(out, "{}", paint.paint(Tone::Head, &head));
        match outcome {
            Outcome::Kept => {
                let _ = writeln!(out, "  its objects stay");
            }
            Outcome::Unknown(why) => {
                let line = format!("  what would be deleted is not known: {why}");
                let _ = writeln!(out, "{}", paint.paint(Tone::Warn, &line));
            }
            Outcome::Planned(lines, _) if lines.is_empty() => {
                let _ = writeln!(out, "  nothing of it is there");
            }
            Outcome::Planned(lines, _) => {
                for (fate, text) in lines {
                    let (sign, tone) = match fate {
                        Fate::Deleted => ("- delete", Tone::Bad),
                        Fate::Untold => (" ", Tone::Dim),
                        Fate::Stays => ("= stays ", Tone::Warn),
                    };
                    let _ = writeln!(out, "  {}", paint.paint(tone, &format!("{sign} {text}")));
                }
            }
        }
    }
    out.trim_end().to_owned()
}
