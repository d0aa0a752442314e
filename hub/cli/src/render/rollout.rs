//! Rollouts and decisions as text.

use flotilla_status::{
    Decisions, Mark, Phase, Pin, Progress, Quarantine, RepositoryCommit, Rollout, RolloutState,
    Wave,
};
use jiff::Timestamp;

use super::{Cell, Paint, Table, Tone, age, count, dash, span, until};

/// Width of a wave's bar, characters.
const BAR: usize = 24;
/// Number of clusters that are shown one by one.
const MAX_CLUSTERS: usize = 50;

pub(super) fn short(commits: &[RepositoryCommit]) -> String {
    dash(&RepositoryCommit::title(commits)).to_owned()
}

pub(super) fn tone(state: &RolloutState) -> Tone {
    match state {
        RolloutState::Succeeded => Tone::Good,
        RolloutState::Halted | RolloutState::RolledBack => Tone::Bad,
        RolloutState::Superseded => Tone::Dim,
        RolloutState::Pending
        | RolloutState::Running
        | RolloutState::Soaking
        | RolloutState::Paused
        | RolloutState::Other(_) => Tone::Warn,
    }
}

fn phase_tone(phase: &Phase) -> Tone {
    match phase {
        Phase::Done => Tone::Good,
        Phase::Failed => Tone::Bad,
        Phase::Waiting => Tone::Dim,
        Phase::Pinned
        | Phase::Suspended
        | Phase::Started
        | Phase::Soaking
        | Phase::Unavailable
        | Phase::Other(_) => Tone::Warn,
    }
}

/// Rollouts, a line for each.
#[must_use]
pub fn rollouts(
    rollouts: &[Rollout],
    paint: Paint,
    now: Timestamp,
    columns: Option<usize>,
) -> String {
    let mut table = Table::new(["ROLLOUT", "STATE", "COMMIT", "FROM", "WAVE", "AGE", "NOTE"]);
    for rollout in rollouts {
        table.row([
            rollout.id.as_str().into(),
            Cell::new(tone(&rollout.state), rollout.state.phrase()),
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
    table.render_within(paint, columns)
}

fn wave_of(rollout: &Rollout) -> String {
    let number = (rollout.wave + 1).min(rollout.waves.len());
    format!("{number}/{}", rollout.waves.len())
}

/// One rollout with its waves, notable clusters, and possible next commands.
#[must_use]
pub fn rollout(
    rollout: &Rollout,
    decisions: &Decisions,
    paint: Paint,
    now: Timestamp,
    columns: Option<usize>,
) -> String {
    let head = headline(rollout, now);
    let (id, rest) = head.split_at(rollout.id.len());
    let mut out = format!(
        "{}{}\n",
        paint.paint(Tone::Head, id),
        paint.paint(tone(&rollout.state), rest)
    );
    if let Some(note) = note(rollout) {
        out.push_str(&format!("  {note}\n"));
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
        "NOTE",
    ]);
    for (index, wave) in rollout.waves.iter().enumerate() {
        let present = index == rollout.wave && !rollout.is_over();
        let name = if present {
            Cell::new(Tone::Head, wave.name.as_str())
        } else {
            wave.name.as_str().into()
        };
        let way = wave.started + wave.soaking + wave.unavailable;
        let failed = if wave.failed > 0 {
            Tone::Bad
        } else {
            Tone::Plain
        };
        table.row([
            name,
            Cell::new(Tone::Plain, bar(wave)),
            format!("{}/{}", wave.done, wave.total()).into(),
            way.to_string().into(),
            Cell::new(failed, wave.failed.to_string()),
            wave.waiting.to_string().into(),
            wave_note(wave, rollout).into(),
        ]);
    }
    out.push_str(&table.render(paint));
    let mut table = Table::new(["CLUSTER", "WAVE", "PHASE", "SINCE", "WHY"]);
    let worth = rollout
        .clusters
        .iter()
        .filter(|cluster| !matches!(cluster.phase, Phase::Done | Phase::Waiting));
    for cluster in worth.clone().take(MAX_CLUSTERS) {
        table.row([
            cluster.cluster.as_str().into(),
            cluster.wave.as_str().into(),
            Cell::new(phase_tone(&cluster.phase), cluster.phase.as_str()),
            age(cluster.since, now).into(),
            why(cluster, rollout, now).into(),
        ]);
    }
    if !table.is_empty() {
        out.push('\n');
        out.push_str(&table.render_within(paint, columns));
        let more = worth.count().saturating_sub(MAX_CLUSTERS);
        if more > 0 {
            out.push_str(&format!("and {more} more; -o json has them all\n"));
        }
    }
    let told = Decisions {
        // The reason of the failure is shown above.
        quarantined: decisions
            .quarantined
            .iter()
            .map(|failure| Quarantine {
                reason: match failure.rollout == rollout.id {
                    true => String::new(),
                    false => failure.reason.clone(),
                },
                ..failure.clone()
            })
            .collect(),
        ..decisions.clone()
    };
    out.push_str(&self::decisions(&told, now));
    if let Some(next) = next(rollout) {
        out.push_str(&format!(
            "\n{}\n",
            paint.paint(Tone::Note, &format!("next: {next}"))
        ));
    }
    out
}

/// Number of clusters that the commits change, or why it is not known; empty: not computed.
fn changes(rollout: &Rollout) -> String {
    let unchanged: u32 = rollout.waves.iter().map(|wave| wave.unchanged).sum();
    let all: u32 = rollout.waves.iter().map(Wave::total).sum();
    let mut out = String::new();
    for change in &rollout.changes {
        out.push_str(&format!("  fleet file: {change}\n"));
    }
    if unchanged > 0 {
        let changed = all.saturating_sub(unchanged);
        out.push_str(&format!(
            "  changes {changed} of {}; ",
            count(all as usize, "cluster")
        ));
        out.push_str("the others render the same as before and wait for no wave\n");
    }
    if !rollout.unread.is_empty() {
        out.push_str(
            "  which clusters it changes is not known beforehand, so all wait for their waves: ",
        );
        out.push_str(&format!("{}\n", rollout.unread));
    }
    out
}

/// A rollout in one line: its commits and progress.
pub(super) fn headline(rollout: &Rollout, now: Timestamp) -> String {
    let mut text = format!(
        "{} {}: {}",
        rollout.id,
        rollout.state.phrase(),
        short(&rollout.target)
    );
    if !rollout.from.is_empty() && rollout.from != rollout.target {
        text.push_str(&format!(" over {}", short(&rollout.from)));
    }
    if !rollout.is_over() {
        let wave = rollout.waves.get(rollout.wave);
        if let (Some(wave), true) = (wave, rollout.started_at.is_some()) {
            text.push_str(&format!(", wave {} ({})", wave.name, wave_of(rollout)));
        }
    }
    let (done, total) = rollout.waves.iter().fold((0, 0), |(done, total), wave| {
        (done + wave.done, total + wave.total())
    });
    if total > 0 {
        text.push_str(&format!(
            ", {done} of {} done",
            count(total as usize, "cluster")
        ));
    }
    let began = rollout.started_at.or(rollout.created_at);
    match rollout.ended_at {
        Some(end) => text.push_str(&format!(
            ", {} ago after {}",
            age(Some(end), now),
            age(began, end)
        )),
        None if rollout.started_at.is_some() => {
            text.push_str(&format!(", began {} ago", age(began, now)));
        }
        None => text.push_str(&format!(", waiting for {}", age(began, now))),
    }
    text
}

/// Reason of the rollout's state; none: nothing to report.
pub(super) fn note(rollout: &Rollout) -> Option<&str> {
    Some(rollout.note.as_str()).filter(|note| !note.is_empty())
}

/// Commands with which the rollout can continue; none: there are none, or its note names them.
pub(crate) fn next(rollout: &Rollout) -> Option<&str> {
    Some(rollout.next.as_str()).filter(|next| !next.is_empty())
}

fn wave_note(wave: &Wave, rollout: &Rollout) -> String {
    let mut notes = Vec::new();
    if wave.total() == 0 {
        notes.push("no clusters".to_owned());
    }
    if wave.pinned > 0 {
        notes.push(format!("{} pinned", wave.pinned));
    }
    if wave.suspended > 0 {
        notes.push(format!("{} suspended", wave.suspended));
    }
    if !rollout.is_over() {
        if wave.soak_seconds > 0 && wave.done < wave.total() {
            notes.push(format!("soaks {}", span(i64::from(wave.soak_seconds))));
        }
        if wave.approvals > 0 {
            let by = match wave.approved_by.as_slice() {
                [] => String::new(),
                some => format!(" ({})", some.join(", ")),
            };
            let given = wave.approved_by.len();
            let required = count(wave.approvals as usize, "approval");
            notes.push(format!("{given} of {required}{by}"));
        }
    }
    notes.join(", ")
}

/// Reason of a cluster's state; for a soaking one, the elapsed part of the soak.
fn why(cluster: &Progress, rollout: &Rollout, now: Timestamp) -> String {
    let soak = rollout
        .waves
        .iter()
        .find(|wave| wave.name == cluster.wave)
        .map(|wave| wave.soak_seconds)
        .filter(|soak| *soak > 0);
    match (&cluster.phase, cluster.message.as_str(), soak) {
        (Phase::Soaking, "", Some(soak)) if !cluster.unchanged => format!(
            "healthy for {} of {}",
            age(cluster.since, now),
            span(i64::from(soak))
        ),
        (_, "", _) if cluster.unchanged => "changes nothing here".to_owned(),
        (Phase::Started, "", _) => "no report of this commit yet".to_owned(),
        (_, message, _) => dash(message).to_owned(),
    }
}

/// Scope, actor, reason and time of a decision.
pub(super) fn pinned(pin: &Pin, now: Timestamp) -> String {
    let (by, why) = pin
        .mark
        .as_ref()
        .map_or(("", ""), |mark| (mark.by.as_str(), mark.reason.as_str()));
    let end = match pin.expires_at {
        Some(_) => format!(", ends {}", until(pin.expires_at, now)),
        None => String::new(),
    };
    format!("to {} by {by}: {why}{end}", short(&pin.commits))
}

/// Actor, time and reason. That a rollout was rolled back is shown with that rollout.
pub(super) fn marked(mark: &Mark, now: Timestamp) -> String {
    let why = match mark.rolled_back.as_str() {
        "" => mark.reason.clone(),
        id => format!("{id} was rolled back"),
    };
    format!("by {} {} ago: {why}", mark.by, age(mark.at, now))
}

/// Who stopped rollouts or automatic promotions, a line for each.
pub(super) fn stopped<'m>(
    paused: &'m Option<Mark>,
    hold: &'m Option<Mark>,
    now: Timestamp,
) -> impl Iterator<Item = String> + 'm {
    let paused = paused.iter().map(|mark| ("paused".to_owned(), mark));
    let held = hold.iter().map(|mark| (mark.held(), mark));
    let all = paused.chain(held);
    all.map(move |(word, mark)| format!("{word} {}", marked(mark, now)))
}

/// Decisions, a line for each; empty: none.
#[must_use]
pub fn decisions(decisions: &Decisions, now: Timestamp) -> String {
    let mut lines = Vec::new();
    lines.extend(stopped(&decisions.paused, &decisions.hold, now));
    for pin in &decisions.pins {
        let subject = if pin.cluster.is_empty() {
            "the environment"
        } else {
            &pin.cluster
        };
        lines.push(format!("{subject} is pinned {}", pinned(pin, now)));
    }
    let present = decisions.quarantined.iter();
    for failure in present.filter(|failure| !decisions.is_history(failure)) {
        let colon = if failure.reason.is_empty() { "" } else { ": " };
        lines.push(format!(
            "{} is not tried again since {}{colon}{}",
            short(&failure.commits),
            failure.rollout,
            failure.reason
        ));
    }
    if let Some(good) = decisions.good.last() {
        let commits = match good.commits.is_empty() {
            true => "without any application".to_owned(),
            false => short(&good.commits),
        };
        lines.push(format!("last good: {commits}, {} ago", age(good.at, now)));
    }
    if lines.is_empty() {
        String::new()
    } else {
        format!("\n{}\n", lines.join("\n"))
    }
}

/// Done, running, failed and waiting clusters as one bar.
fn bar(wave: &Wave) -> String {
    let total = wave.total() as usize;
    if total == 0 {
        return String::new();
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
