//! Effect of a change on a fleet, as text and as Markdown.

use std::fmt::Write as _;

use flotilla_forge::{Form, Section, comment};

use super::markdown::plain;
use super::{Paint, Tone};
use crate::difference::{Action, At, Difference, Group};

/// Longest text of others, bytes.
const MAX_TEXT: usize = 500;

/// Number of names that are shown of a long list.
const NAMES: usize = 5;

fn count(number: usize, noun: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{s}")
}

fn names(all: &[String]) -> String {
    let named: Vec<&str> = all
        .iter()
        .map(String::as_str)
        .filter(|name| !name.is_empty())
        .collect();
    if named.is_empty() {
        return "every cluster".to_owned();
    }
    let shown = named
        .iter()
        .take(NAMES)
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    match named.len().saturating_sub(NAMES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn at(place: &At) -> String {
    format!(
        "{} in {}: {}",
        place.application,
        place.environment,
        names(&place.clusters)
    )
}

fn summary(all: &Difference) -> String {
    let objects: usize = all.changes.iter().map(|group| group.objects.len()).sum();
    let failed = all
        .changes
        .iter()
        .filter(|group| !group.error.is_empty())
        .count();
    let mut parts = Vec::new();
    if objects > 0 {
        parts.push(format!(
            "{} in {}",
            count(objects, "changed object"),
            count(all.changes.len() - failed, "different way")
        ));
    }
    if failed > 0 {
        parts.push(format!("{} that does not render", count(failed, "place")));
    }
    let placed = |pick: fn(&crate::difference::Moved) -> usize| -> usize {
        all.placements.iter().map(pick).sum()
    };
    let (gained, lost) = (
        placed(|moved| moved.gained.len()),
        placed(|moved| moved.lost.len()),
    );
    if gained + lost > 0 {
        parts.push(format!("placements: {gained} gained, {lost} lost"));
    }
    if !all.removals.is_empty() {
        parts.push(format!(
            "{} removed on purpose",
            count(all.removals.len(), "application")
        ));
    }
    if !all.settings.is_empty() {
        parts.push(format!(
            "{} with other settings",
            count(all.settings.len(), "application")
        ));
    }
    if parts.is_empty() {
        parts.push("nothing differs".to_owned());
    }
    format!(
        "{} ({} the same)",
        parts.join("; "),
        count(all.unchanged, "render")
    )
}

fn sign(action: Action) -> (&'static str, Tone) {
    match action {
        Action::Create => ("+", Tone::Good),
        Action::Delete => ("-", Tone::Bad),
        Action::Update => ("~", Tone::Warn),
    }
}

/// For a terminal.
pub(crate) fn text(all: &Difference, paint: Paint) -> String {
    let mut out = String::new();
    for group in &all.changes {
        for place in &group.at {
            let _ = writeln!(out, "{}", paint.paint(Tone::Head, &at(place)));
        }
        for (what, error) in [
            ("does not render", &group.error),
            ("did not render before", &group.error_before),
        ] {
            if !error.is_empty() {
                let _ = writeln!(
                    out,
                    "  {}",
                    paint.paint(Tone::Bad, &format!("{what}: {error}"))
                );
            }
        }
        for change in &group.objects {
            let (sign, tone) = sign(change.action);
            let line = format!("{sign} {} {}", change.action, change.object);
            let _ = writeln!(out, "  {}", paint.paint(tone, &line));
            for line in &change.lines {
                let tone = match line.as_bytes().first() {
                    Some(b'+') => Tone::Good,
                    Some(b'-') => Tone::Bad,
                    _ => Tone::Dim,
                };
                let _ = writeln!(out, "      {}", paint.paint(tone, line));
            }
        }
    }
    for moved in &all.placements {
        let place = format!("{} in {}", moved.application, moved.environment);
        if !moved.gained.is_empty() {
            let line = format!("+ {place} comes to {}", names(&moved.gained));
            let _ = writeln!(out, "{}", paint.paint(Tone::Good, &line));
        }
        if !moved.lost.is_empty() {
            let line = format!(
                "- {place} is no longer placed on {}{}",
                names(&moved.lost),
                stays(all, moved)
            );
            let _ = writeln!(out, "{}", paint.paint(Tone::Bad, &line));
        }
    }
    for removal in &all.removals {
        let line = format!("- {}", removal.words());
        let _ = writeln!(out, "{}", paint.paint(Tone::Bad, &line));
    }
    for setting in &all.settings {
        let line = format!(
            "~ {}: other {}",
            setting.application,
            setting.keys.join(", ")
        );
        let _ = writeln!(out, "{}", paint.paint(Tone::Warn, &line));
    }
    for left in &all.left_out {
        let environment = if left.environment.is_empty() {
            String::new()
        } else {
            format!(" in {}", left.environment)
        };
        let line = format!(
            "? {}{environment} is not compared: {}",
            left.application, left.why
        );
        let _ = writeln!(out, "{}", paint.paint(Tone::Dim, &line));
    }
    let _ = writeln!(out, "{}", summary(all));
    out
}

/// For a comment, within the size limit of its form.
pub(crate) fn markdown(all: &Difference, form: Form) -> String {
    let mut top = format!("**Flotilla: {}**\n", summary(all));
    for moved in &all.placements {
        let place = plain(
            &format!("{} in {}", moved.application, moved.environment),
            MAX_TEXT,
        );
        if !moved.gained.is_empty() {
            let _ = writeln!(
                top,
                "- {place} comes to {}",
                plain(&names(&moved.gained), MAX_TEXT)
            );
        }
        if !moved.lost.is_empty() {
            let lost = plain(&names(&moved.lost), MAX_TEXT);
            let stays = stays(all, moved);
            let _ = writeln!(top, "- {place} is no longer placed on {lost}{stays}");
        }
    }
    for removal in &all.removals {
        let _ = writeln!(top, "- **{}**", plain(&removal.words(), MAX_TEXT));
    }
    for setting in &all.settings {
        let _ = writeln!(
            top,
            "- {}: other {}",
            plain(&setting.application, MAX_TEXT),
            setting.keys.join(", ")
        );
    }
    for group in all.changes.iter().filter(|group| !group.error.is_empty()) {
        let places: Vec<String> = group
            .at
            .iter()
            .map(|place| plain(&at(place), MAX_TEXT))
            .collect();
        let _ = writeln!(
            top,
            "- **does not render**: {}: {}",
            places.join("; "),
            plain(&group.error, MAX_TEXT)
        );
    }
    if !all.left_out.is_empty() {
        let _ = writeln!(top, "- {} not compared", count(all.left_out.len(), "place"));
    }
    let groups = all.changes.iter().filter(|group| group.error.is_empty());
    let sections: Vec<Section> = groups.map(section).collect();
    comment(form, "diff", top.trim_end(), &sections)
}

fn section(group: &Group) -> Section {
    let mut text = String::new();
    for place in &group.at {
        let _ = writeln!(text, "# {}", at(place));
    }
    for change in &group.objects {
        let (sign, _) = sign(change.action);
        let _ = writeln!(text, "{sign} {} {}", change.action, change.object);
        for line in &change.lines {
            let _ = writeln!(text, "{line}");
        }
    }
    let first = group.at.first().map(at).unwrap_or_default();
    let more = match group.at.len() {
        0 | 1 => String::new(),
        more => format!(" and {} more", more - 1),
    };
    Section {
        title: format!("{}: {first}{more}", count(group.objects.len(), "object")),
        text,
    }
}

/// Describes what happens to the objects of an application that loses its place.
fn stays(all: &Difference, lost: &crate::difference::Moved) -> &'static str {
    let mut removals = all.removals.iter();
    match removals.any(|removal| removal.deletes(&lost.application, &lost.environment)) {
        true => "",
        false => "; its objects stay",
    }
}
