//! One cluster in full, and its decision chain.

use flotilla_shared::clock::off_by;
use flotilla_status::{Cluster, Object, ObjectAction, Placement, Revision, Step};
use jiff::Timestamp;

use super::list::labels;
use super::rollout::pinned;
use super::{
    Cell, Paint, Table, Tone, age, connection_cell, dash, health_cell, step_cell, sync_cell, until,
};

/// Output of `flotilla describe cluster`.
#[must_use]
pub fn describe(cluster: &Cluster, paint: Paint, now: Timestamp) -> String {
    let mut out = String::new();
    let mut field = |name: &str, value: String| {
        let name = format!("{name}:");
        out.push_str(&format!("{name:<14}{value}\n"));
    };
    let painted = |cell: Cell| cell.painted(paint);
    field("name", paint.paint(Tone::Head, &cluster.name));
    field("environment", dash(&cluster.environment).to_owned());
    field("labels", labels(&cluster.labels));
    let since = match cluster.connected_since {
        Some(_) => format!(" for {}", age(cluster.connected_since, now)),
        None => format!(", last seen {}", ago(cluster.last_seen, now)),
    };
    let connection = painted(connection_cell(cluster.connection));
    field("agent", format!("{connection}{since}"));
    if let Some(ahead) = cluster.clock_ahead_seconds {
        let text = format!("{} the hub's", off_by(ahead));
        field("clock", paint.paint(Tone::Bad, &text));
    }
    if !cluster.pending_fingerprint.is_empty() {
        field("waiting key", cluster.pending_fingerprint.clone());
    }
    if !cluster.locked.is_empty() {
        field("locked", paint.paint(Tone::Bad, &cluster.locked));
    }
    field(
        "versions",
        format!(
            "agent {}, Kubernetes {}",
            dash(&cluster.agent_version),
            dash(&cluster.kubernetes_version)
        ),
    );
    field("cluster UID", dash(&cluster.cluster_uid).to_owned());
    field(
        "certificate",
        match cluster.certificate_expires_at {
            Some(end) => format!("ends {} ({end})", until(Some(end), now)),
            None => "-".to_owned(),
        },
    );
    let generation =
        |number: Option<u64>| number.map_or("-".to_owned(), |number| number.to_string());
    field(
        "generation",
        format!(
            "assigned {}, runs {}",
            generation(cluster.assigned_generation),
            generation(cluster.accepted_generation)
        ),
    );
    field("sync", painted(sync_cell(cluster.sync)));
    field("health", painted(health_cell(cluster.health)));
    field("reported", ago(cluster.reported_at, now));
    if cluster.refused {
        let text = reasoned(&cluster.reason, &cluster.message, Tone::Bad, paint);
        field("refused", text);
    }
    if let Some(pin) = &cluster.pin {
        field("pinned", paint.paint(Tone::Warn, &pinned(pin, now)));
    }
    if !cluster.suspended.is_empty() {
        field("suspended", paint.paint(Tone::Warn, &cluster.suspended));
    }
    for app in &cluster.applications {
        out.push('\n');
        out.push_str(&placement(app, paint, now));
    }
    out
}

fn placement(placement: &Placement, paint: Paint, now: Timestamp) -> String {
    let short = |revision: &Option<Revision>| {
        revision.as_ref().map_or("-".to_owned(), |revision| {
            format!("{} {}", revision.repository, revision.short())
        })
    };
    let mut out = format!(
        "{} {}\n  {} {}, {} of {} objects current\n  runs      {}, applied {}\n",
        paint.paint(Tone::Head, "application"),
        paint.paint(Tone::Head, &placement.application),
        sync_cell(placement.sync).painted(paint),
        health_cell(placement.health).painted(paint),
        placement.counts.current,
        placement.counts.total,
        short(&placement.revision),
        ago(placement.applied_at, now),
    );
    if placement.assigned != placement.revision {
        out.push_str(&format!("  assigned  {}\n", short(&placement.assigned)));
    }
    out.push_str(&format!("  path      {}\n", dash(&placement.path)));
    out.push_str(&format!(
        "  reconcile last pass wrote {}, deleted {}; state since {}\n",
        placement.written,
        placement.pruned,
        age(placement.changed_at, now)
    ));
    if !placement.reason.is_empty() || !placement.message.is_empty() {
        let text = reasoned(&placement.reason, &placement.message, Tone::Bad, paint);
        out.push_str(&format!("  {text}\n"));
    }
    if !placement.objects.is_empty() {
        let mut objects: Vec<&Object> = placement.objects.iter().collect();
        // Agents send the worst objects first; sorted here in case one does not.
        objects.sort_by(|a, b| {
            let rank = |object: &Object| (object.health, object.action == ObjectAction::Failed);
            rank(b).cmp(&rank(a))
        });
        let mut table = Table::new(["KIND", "NAMESPACE", "NAME", "ACTION", "HEALTH", "MESSAGE"]);
        for object in objects {
            let kind = match object.group.as_str() {
                "" => object.kind.clone(),
                group => format!("{}.{group}", object.kind),
            };
            let colon = if object.reason.is_empty() || object.message.is_empty() {
                ""
            } else {
                ": "
            };
            let message = format!("{}{colon}{}", object.reason, object.message);
            let action = match object.action {
                ObjectAction::Failed => Tone::Bad,
                ObjectAction::Held => Tone::Warn,
                _ => Tone::Plain,
            };
            table.row([
                Cell::from(kind),
                Cell::from(dash(&object.namespace)),
                Cell::from(object.name.as_str()),
                Cell::new(action, object.action.as_str()),
                health_cell(object.health),
                Cell::from(message),
            ]);
        }
        for line in table.render(paint).lines() {
            out.push_str(&format!("  {line}\n"));
        }
        let more = (placement.counts.total as usize).saturating_sub(placement.objects.len());
        if more > 0 {
            out.push_str(&format!("  and {more} more, none of them worse\n"));
        }
    }
    out
}

fn ago(then: Option<Timestamp>, now: Timestamp) -> String {
    match then {
        Some(_) => format!("{} ago", age(then, now)),
        None => "never".to_owned(),
    }
}

fn reasoned(reason: &str, message: &str, tone: Tone, paint: Paint) -> String {
    let colon = if reason.is_empty() || message.is_empty() {
        ""
    } else {
        ": "
    };
    format!("{}{colon}{message}", paint.paint(tone, reason))
}

/// A decision chain, a row for each step.
#[must_use]
pub fn explain(steps: &[Step], paint: Paint, now: Timestamp, columns: Option<usize>) -> String {
    let mut table = Table::new(["STEP", "SUBJECT", "STATE", "AGE", "WHY"]);
    for step in steps {
        let colon = if step.reason.is_empty() || step.text.is_empty() {
            ""
        } else {
            ": "
        };
        table.row([
            Cell::from(step.step.as_str()),
            Cell::from(step.subject.as_str()),
            step_cell(step.state),
            Cell::from(age(step.at, now)),
            Cell::from(format!("{}{colon}{}", step.reason, step.text)),
        ]);
    }
    if table.is_empty() {
        return "nothing to explain\n".to_owned();
    }
    table.render_within(paint, columns)
}
