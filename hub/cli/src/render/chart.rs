//! Dependencies of charts, a row for each.

use flotilla_shared::report::plain_line;
use flotilla_vendor::{Change, Checked, LockChange, Outdated, Standing, Vendored};

use super::{Cell, Paint, Table, Tone, dash};

/// Longest name or URL that is shown.
const MAX: usize = 200;

/// Vendored dependencies.
#[must_use]
pub(crate) fn vendored(vendored: &Vendored, paint: Paint) -> String {
    if vendored.lock == LockChange::None {
        return "The chart has no dependencies.\n".to_owned();
    }
    let mut table = Table::new([
        "CHART",
        "VERSION",
        "FILE",
        "CHECKED",
        "CHANGE",
        "REPOSITORY",
    ]);
    for chart in &vendored.dependencies {
        let checked: Vec<&str> = chart
            .checked
            .iter()
            .map(|checked| checked_text(*checked))
            .collect();
        let change = match chart.change {
            Change::Added => Cell::new(Tone::Good, "added"),
            Change::Updated => Cell::new(Tone::Good, "updated"),
            Change::Unchanged => Cell::from("unchanged"),
        };
        table.row([
            Cell::from(chart.name.as_str()),
            Cell::from(dash(&chart.version)),
            Cell::from(dash(chart.file.as_deref().unwrap_or_default())),
            Cell::from(dash(&checked.join(","))),
            change,
            Cell::from(dash(&plain_line(&chart.repository, MAX))),
        ]);
    }
    let mut text = table.render(paint);
    for name in &vendored.removed {
        text.push_str(&format!("Removed charts/{name}.\n"));
    }
    text.push_str(match vendored.lock {
        LockChange::Written => "Chart.lock was written.\n",
        LockChange::Unchanged | LockChange::None => "Chart.lock is unchanged.\n",
    });
    text
}

fn checked_text(checked: Checked) -> &'static str {
    match checked {
        Checked::Index => "index",
        Checked::Manifest => "manifest",
        Checked::Provenance => "provenance",
    }
}

/// Dependencies with their newest versions.
#[must_use]
pub(crate) fn outdated(standings: &[Outdated], paint: Paint) -> String {
    if standings.is_empty() {
        return "The chart has no dependencies.\n".to_owned();
    }
    let mut table = Table::new([
        "CHART",
        "RANGE",
        "LOCKED",
        "IN RANGE",
        "NEWEST",
        "STANDING",
        "REPOSITORY",
    ]);
    for chart in standings {
        let standing = match chart.standing {
            Standing::Current => Cell::new(Tone::Good, "current"),
            Standing::Update => Cell::new(Tone::Warn, "newer in range"),
            Standing::Beyond => Cell::new(Tone::Warn, "newer beyond range"),
            Standing::Missing => Cell::new(Tone::Bad, "not locked"),
            Standing::Local => Cell::from("in the tree"),
        };
        let version =
            |version: &Option<String>| Cell::from(dash(version.as_deref().unwrap_or_default()));
        table.row([
            Cell::from(chart.name.as_str()),
            Cell::from(dash(&plain_line(&chart.range, MAX))),
            version(&chart.current),
            version(&chart.in_range),
            version(&chart.newest),
            standing,
            Cell::from(dash(&plain_line(&chart.repository, MAX))),
        ]);
    }
    table.render(paint)
}
