//! Rollouts, decisions and the audit log as text.

use jiff::Timestamp;

use super::{Cell, Paint, Table, Tone, age, dash, until};
use crate::view::{Decisions, Entry, Operator, RepositoryCommit, Rollout, Wave};

/// Width of a wave's bar, in characters.
const BAR: usize = 24;

fn short(commits: &[RepositoryCommit]) -> String {
    let all: Vec<String> = commits
        .iter()
        .map(|one| one.commit.chars().take(7).collect())
        .collect();
    if all.is_empty() {
        "-".to_owned()
    } else {
        all.join("+")
    }
}

fn tone(state: &str) -> Tone {
    match state {
        "succeeded" | "done" => Tone::Good,
        "halted" | "rolledBack" | "failed" => Tone::Bad,
        "superseded" | "waiting" => Tone::Dim,
        _ => Tone::Warn,
    }
}

/// Rollouts, one a line.
#[must_use]
pub fn rollouts(rollouts: &[Rollout], paint: Paint, now: Timestamp) -> String {
    let mut table = Table::new(["ROLLOUT", "STATE", "COMMIT", "FROM", "WAVE", "AGE", "NOTE"]);
    for rollout in rollouts {
        table.row([
            rollout.id.as_str().into(),
            Cell::new(tone(&rollout.state), rollout.state.as_str()),
            short(&rollout.target).into(),
            short(&rollout.from).into(),
            wave_of(rollout).into(),
            age(rollout.created_at, now).into(),
            dash(&rollout.note).into(),
        ]);
    }
    if table.is_empty() {
        return "there were no rollouts; an environment has them once it has a strategy\n"
            .to_owned();
    }
    table.render(paint)
}

fn wave_of(rollout: &Rollout) -> String {
    let number = (rollout.wave + 1).min(rollout.waves.len());
    format!("{number}/{}", rollout.waves.len())
}

/// One rollout with its waves and the clusters worth a look.
#[must_use]
pub fn rollout(rollout: &Rollout, decisions: &Decisions, paint: Paint, now: Timestamp) -> String {
    let mut out = format!(
        "{} {} {} from {}, {} old\n",
        rollout.id,
        Cell::new(tone(&rollout.state), rollout.state.as_str()).painted(paint),
        short(&rollout.target),
        short(&rollout.from),
        age(rollout.created_at, now)
    );
    if !rollout.note.is_empty() {
        out.push_str(&format!("  {}\n", rollout.note));
    }
    out.push_str(&changes(rollout));
    out.push('\n');
    let mut table = Table::new([
        "WAVE",
        "PROGRESS",
        "DONE",
        "ON THE WAY",
        "FAILED",
        "WAITING",
    ]);
    for (index, wave) in rollout.waves.iter().enumerate() {
        let name = if index == rollout.wave && !rollout.is_over() {
            Cell::new(Tone::Head, wave.name.as_str())
        } else {
            wave.name.as_str().into()
        };
        let way = wave.started + wave.soaking + wave.unavailable;
        table.row([
            name,
            Cell::new(Tone::Plain, bar(wave)),
            format!("{}/{}", wave.done, total(wave)).into(),
            way.to_string().into(),
            Cell::new(
                if wave.failed > 0 {
                    Tone::Bad
                } else {
                    Tone::Plain
                },
                wave.failed.to_string(),
            ),
            wave.waiting.to_string().into(),
        ]);
    }
    out.push_str(&table.render(paint));
    let mut table = Table::new(["CLUSTER", "WAVE", "PHASE", "SINCE", "WHY"]);
    let worth = rollout
        .clusters
        .iter()
        .filter(|one| !matches!(one.phase.as_str(), "done" | "waiting"));
    for one in worth {
        table.row([
            one.cluster.as_str().into(),
            one.wave.as_str().into(),
            Cell::new(tone(&one.phase), one.phase.as_str()),
            age(one.since, now).into(),
            match one.message.as_str() {
                "" if one.unchanged => "changes nothing here".into(),
                message => dash(message).into(),
            },
        ]);
    }
    if !table.is_empty() {
        out.push('\n');
        out.push_str(&table.render(paint));
    }
    out.push_str(&self::decisions(decisions, now));
    out
}

/// How many clusters the commits change, or why that is not known; nothing where nobody looked.
fn changes(rollout: &Rollout) -> String {
    let unchanged: u32 = rollout.waves.iter().map(|wave| wave.unchanged).sum();
    let all: u32 = rollout.waves.iter().map(total).sum();
    let mut out = String::new();
    if unchanged > 0 {
        let changed = all.saturating_sub(unchanged);
        out.push_str(&format!("  changes {changed} of {all} clusters; "));
        out.push_str("the others render the same as before and wait for no wave\n");
    }
    if !rollout.unread.is_empty() {
        out.push_str(
            "  whom it changes is not known beforehand, so that all wait for their waves: ",
        );
        out.push_str(&format!("{}\n", rollout.unread));
    }
    out
}

/// What was decided, one a line; nothing where nothing was.
#[must_use]
pub fn decisions(decisions: &Decisions, now: Timestamp) -> String {
    let mut lines = Vec::new();
    for (word, mark) in [("paused", &decisions.paused), ("held", &decisions.hold)] {
        if let Some(mark) = mark {
            lines.push(format!(
                "{word} by {} {} ago: {}",
                mark.by,
                age(mark.at, now),
                mark.reason
            ));
        }
    }
    for pin in &decisions.pins {
        let subject = if pin.cluster.is_empty() {
            "the environment"
        } else {
            &pin.cluster
        };
        let (by, why) = pin
            .mark
            .as_ref()
            .map_or(("", ""), |mark| (mark.by.as_str(), mark.reason.as_str()));
        let end = match pin.expires_at {
            Some(_) => format!(", ends {}", until(pin.expires_at, now)),
            None => String::new(),
        };
        lines.push(format!(
            "{subject} is pinned to {} by {by}: {why}{end}",
            short(&pin.commits)
        ));
    }
    for one in &decisions.quarantined {
        lines.push(format!(
            "{} is quarantined since {}",
            short(&one.commits),
            one.rollout
        ));
    }
    if let Some(good) = decisions.good.last() {
        lines.push(format!(
            "last good: {}, {} ago",
            short(&good.commits),
            age(good.at, now)
        ));
    }
    if lines.is_empty() {
        String::new()
    } else {
        format!("\n{}\n", lines.join("\n"))
    }
}

fn total(wave: &Wave) -> u32 {
    wave.waiting + wave.started + wave.soaking + wave.unavailable + wave.done + wave.failed
}

/// Done, on the way, failed and waiting clusters as one bar.
fn bar(wave: &Wave) -> String {
    let total = total(wave) as usize;
    if total == 0 {
        return "-".repeat(BAR);
    }
    let part = |count: u32| (count as usize * BAR).div_ceil(total);
    let mut bar = String::new();
    bar.push_str(&"#".repeat(part(wave.done)));
    bar.push_str(&"x".repeat(part(wave.failed)));
    bar.push_str(&">".repeat(part(wave.started + wave.soaking + wave.unavailable)));
    let mut bar: String = bar.chars().take(BAR).collect();
    bar.push_str(&".".repeat(BAR - bar.len()));
    bar
}

/// Audit entries, one a line.
#[must_use]
pub fn entries(entries: &[Entry], paint: Paint) -> String {
    let mut table = Table::new(["SEQ", "TIME", "WHO", "WHAT", "WHERE", "COMMIT", "WHY"]);
    for entry in entries {
        table.row(entry_cells(entry));
    }
    if table.is_empty() {
        return "nothing was done yet\n".to_owned();
    }
    table.render(paint)
}

/// One entry as a line of its own.
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
    let commit: Vec<String> = entry
        .commit
        .split_whitespace()
        .map(|commit| commit.chars().take(7).collect())
        .collect();
    let why = match (entry.detail.as_str(), entry.reason.as_str()) {
        (detail, "") => detail.to_owned(),
        ("", reason) => reason.to_owned(),
        (detail, reason) => format!("{detail}: {reason}"),
    };
    let place = match (entry.environment.as_str(), entry.clusters.as_slice()) {
        ("", [one]) => one.clone(),
        (environment, [one]) => format!("{environment}/{one}"),
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
        dash(&entry.action).into(),
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
