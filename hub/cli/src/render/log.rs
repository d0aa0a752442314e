//! The audit log and operators as text.

use flotilla_status::{Entry, Operator, digits};
use jiff::Timestamp;

use super::{Cell, Paint, Table, age, dash};

/// Audit entries, one a line.
#[must_use]
pub fn entries(entries: &[Entry], paint: Paint, columns: Option<usize>) -> String {
    let mut table = Table::new(["SEQ", "TIME", "WHO", "WHAT", "WHERE", "COMMIT", "WHY"]);
    for entry in entries {
        table.row(entry_cells(entry));
    }
    if table.is_empty() {
        return "nothing was done yet\n".to_owned();
    }
    table.render_within(paint, columns)
}

/// One entry as a line.
#[must_use]
pub fn entry(entry: &Entry, paint: Paint) -> String {
    let cells: Vec<String> = entry_cells(entry)
        .iter()
        .skip(1)
        .map(|cell| cell.painted(paint))
        .collect();
    format!("{}\n", cells.join("  "))
}

fn entry_cells(entry: &Entry) -> [Cell; 7] {
    let commit: Vec<&str> = entry.commit.split_whitespace().map(digits).collect();
    let why = match (entry.detail.as_str(), entry.reason.as_str()) {
        (detail, "") => detail.to_owned(),
        ("", reason) => reason.to_owned(),
        (detail, reason) => format!("{detail}: {reason}"),
    };
    let place = match (entry.environment.as_str(), entry.clusters.as_slice()) {
        ("", [cluster]) => cluster.clone(),
        (environment, [cluster]) => format!("{environment}/{cluster}"),
        (environment, _) => environment.to_owned(),
    };
    let at = entry
        .at
        .map(|at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
        .unwrap_or_default();
    [
        entry.seq.to_string().into(),
        dash(&at).into(),
        dash(&entry.actor).into(),
        dash(entry.action.as_str()).into(),
        dash(&place).into(),
        dash(&commit.join("+")).into(),
        dash(&why).into(),
    ]
}

/// Operators, one a line.
#[must_use]
pub fn operators(operators: &[Operator], paint: Paint, now: Timestamp) -> String {
    if operators.is_empty() {
        return "nothing was granted yet: every certificate from the hub's host is an admin's\n"
            .to_owned();
    }
    let mut table = Table::new(["NAME", "ROLE", "WHERE", "BY", "SINCE"]);
    for operator in operators {
        let place = match operator.environments.as_slice() {
            [] => "everywhere".to_owned(),
            some => some.join(","),
        };
        table.row([
            operator.name.as_str().into(),
            operator.role.as_str().into(),
            place.into(),
            operator.changed_by.as_str().into(),
            age(operator.changed_at, now).into(),
        ]);
    }
    table.render(paint)
}
