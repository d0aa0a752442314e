//! What a change does to a fleet, as text and as Markdown.

use std::fmt::Write as _;

use flotilla_forge::{Form, Section, comment};

use super::markdown::plain;
use super::{Paint, Tone};
use crate::difference::{At, Difference, Group};

/// Most bytes of one text of others.
const MAX_TEXT: usize = 500;

/// Names that are shown of a long list.
const NAMES: usize = 5;

fn count(number: usize, one: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {one}{s}")
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

fn at(one: &At) -> String {
    format!(
        "{} in {}: {}",
        one.application,
        one.environment,
        names(&one.clusters)
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
    let (gained, lost) = (placed(|one| one.gained.len()), placed(|one| one.lost.len()));
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

fn sign(action: &str) -> (&'static str, Tone) {
    match action {
        "create" => ("+", Tone::Good),
        "delete" => ("-", Tone::Bad),
        _ => ("~", Tone::Warn),
    }
}

/// For a terminal.
pub(crate) fn text(all: &Difference, paint: Paint) -> String {
    let mut out = String::new();
    for group in &all.changes {
        for one in &group.at {
            let _ = writeln!(out, "{}", paint.paint(Tone::Head, &at(one)));
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
    for one in &all.placements {
        let place = format!("{} in {}", one.application, one.environment);
        if !one.gained.is_empty() {
            let line = format!("+ {place} comes to {}", names(&one.gained));
            let _ = writeln!(out, "{}", paint.paint(Tone::Good, &line));
        }
        if !one.lost.is_empty() {
            let line = format!(
                "- {place} is no longer placed on {}{}",
                names(&one.lost),
                stays(all, one)
            );
            let _ = writeln!(out, "{}", paint.paint(Tone::Bad, &line));
        }
    }
    for one in &all.removals {
        let line = format!("- {}", one.words());
        let _ = writeln!(out, "{}", paint.paint(Tone::Bad, &line));
    }
    for one in &all.settings {
        let line = format!("~ {}: other {}", one.application, one.keys.join(", "));
        let _ = writeln!(out, "{}", paint.paint(Tone::Warn, &line));
    }
    for one in &all.left_out {
        let environment = if one.environment.is_empty() {
            String::new()
        } else {
            format!(" in {}", one.environment)
        };
        let line = format!(
            "? {}{environment} is not compared: {}",
            one.application, one.why
        );
        let _ = writeln!(out, "{}", paint.paint(Tone::Dim, &line));
    }
    let _ = writeln!(out, "{}", summary(all));
    out
}

/// For a comment of at most so many bytes.
pub(crate) fn markdown(all: &Difference, form: Form) -> String {
    let mut top = format!("**Flotilla: {}**\n", summary(all));
    for one in &all.placements {
        let place = plain(
            &format!("{} in {}", one.application, one.environment),
            MAX_TEXT,
        );
        if !one.gained.is_empty() {
            let _ = writeln!(
                top,
                "- {place} comes to {}",
                plain(&names(&one.gained), MAX_TEXT)
            );
        }
        if !one.lost.is_empty() {
            let lost = plain(&names(&one.lost), MAX_TEXT);
            let stays = stays(all, one);
            let _ = writeln!(top, "- {place} is no longer placed on {lost}{stays}");
        }
    }
    for one in &all.removals {
        let _ = writeln!(top, "- **{}**", plain(&one.words(), MAX_TEXT));
    }
    for one in &all.settings {
        let _ = writeln!(
            top,
            "- {}: other {}",
            plain(&one.application, MAX_TEXT),
            one.keys.join(", ")
        );
    }
    for group in all.changes.iter().filter(|group| !group.error.is_empty()) {
        let places: Vec<String> = group
            .at
            .iter()
            .map(|one| plain(&at(one), MAX_TEXT))
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
    for one in &group.at {
        let _ = writeln!(text, "# {}", at(one));
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

/// What becomes of the objects of an application that loses its place.
fn stays(all: &Difference, lost: &crate::difference::Moved) -> &'static str {
    let mut removals = all.removals.iter();
    match removals.any(|one| one.deletes(&lost.application, &lost.environment)) {
        true => "",
        false => "; its objects stay",
    }
}
