//! A promotion as text.

use flotilla_status::{Promotion, Step, short_commit};
use jiff::Timestamp;

use super::{Cell, Paint, Table, Tone, age, count, dash, step_cell};

/// Commits, clusters and gates.
#[must_use]
pub fn promotion(promotion: &Promotion, paint: Paint, columns: Option<usize>) -> String {
    let mut out = format!(
        "promote {} -> {}\n",
        paint.paint(Tone::Head, &promotion.promotes_from),
        paint.paint(Tone::Head, &promotion.environment)
    );
    for moved in &promotion.moves {
        let from = match moved.from_commit.as_str() {
            "" => "(new branch)".to_owned(),
            commit => short_commit(commit),
        };
        out.push_str(&format!(
            "\n{} ({})\n  {} {} -> {}\n",
            paint.paint(Tone::Head, &moved.repository),
            moved.url,
            moved.target_branch,
            from,
            short_commit(&moved.to_commit),
        ));
        if !moved.applications.is_empty() {
            out.push_str(&format!(
                "  applications: {}\n",
                moved.applications.join(", ")
            ));
        }
        if moved.commit_count > 0 {
            out.push_str(&format!("  {}:\n", count(moved.commit_count, "commit")));
        }
        for commit in &moved.commits {
            let (id, subject) = commit.split_once(' ').unwrap_or((commit, ""));
            out.push_str(&format!("    {} {subject}\n", paint.paint(Tone::Warn, id)));
        }
        let more = moved.commit_count.saturating_sub(moved.commits.len());
        if more > 0 {
            out.push_str(&format!("    and {more} more\n"));
        }
    }
    let clusters = match promotion.clusters.as_slice() {
        [] => "no clusters will follow".to_owned(),
        names => format!(
            "{} will follow: {}",
            count(names.len(), "cluster"),
            names.join(", ")
        ),
    };
    out.push_str(&format!("\n{clusters}\n"));
    if promotion.gates.is_empty() {
        return out;
    }
    let mut table = Table::new(["GATE", "SUBJECT", "STATE", "EVIDENCE"]);
    for gate in &promotion.gates {
        table.row([
            Cell::from(gate.step.as_str()),
            Cell::from(dash(&gate.subject)),
            step_cell(gate.state),
            evidence(gate),
        ]);
    }
    out.push('\n');
    out.push_str(&table.render_within(paint, columns));
    out
}

/// Closed gates, and since when they are waited for.
#[must_use]
pub fn waiting(
    gates: &[(&Step, Option<Timestamp>)],
    paint: Paint,
    now: Timestamp,
    columns: Option<usize>,
) -> String {
    if gates.is_empty() {
        return "the gates are open\n".to_owned();
    }
    let mut table = Table::new(["WAITS FOR", "SUBJECT", "SINCE", "EVIDENCE"]);
    for (gate, since) in gates {
        table.row([
            Cell::from(gate.step.as_str()),
            Cell::from(dash(&gate.subject)),
            Cell::from(age(*since, now)),
            evidence(gate),
        ]);
    }
    table.render_within(paint, columns)
}

fn evidence(gate: &Step) -> Cell {
    let colon = if gate.reason.is_empty() || gate.text.is_empty() {
        ""
    } else {
        ": "
    };
    Cell::from(format!("{}{colon}{}", gate.reason, gate.text))
}
