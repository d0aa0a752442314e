//! What a fleet file would change, as text.

use flotilla_status::EnvironmentDifference;

use super::{Paint, Table, Tone, count, dash};

/// Environment by environment, with the clusters that it touches.
#[must_use]
pub fn compared(all: &[EnvironmentDifference], paint: Paint) -> String {
    if all.is_empty() {
        return "nothing changes\n".to_owned();
    }
    let mut out = String::new();
    for (index, one) in all.iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        let touched = one.clusters.len() + one.more_clusters as usize;
        let how = match (touched, one.in_waves) {
            (0, _) => "no cluster is touched".to_owned(),
            (_, true) => format!("{}, in waves", count(touched, "cluster")),
            (_, false) => format!("{}, all at once", count(touched, "cluster")),
        };
        let name = paint.paint(Tone::Head, &one.environment);
        out.push_str(&format!("{name}: {how}\n"));
        if !one.rollout.is_empty() {
            let text = format!("rollout {} changes it just now", one.rollout);
            out.push_str(&format!("  {}\n", paint.paint(Tone::Warn, &text)));
        }
        for line in &one.changes {
            out.push_str(&format!("  {line}\n"));
        }
        let mut table = Table::new(["CLUSTER", "GAINS", "LOSES", "CHANGES", "MOVES FROM"]);
        for cluster in &one.clusters {
            let names = |all: &[String]| dash(&all.join(", ")).to_owned();
            table.row([
                cluster.cluster.clone().into(),
                names(&cluster.gains).into(),
                names(&cluster.loses).into(),
                names(&cluster.changes).into(),
                dash(&cluster.moves_from).to_owned().into(),
            ]);
        }
        if !table.is_empty() {
            for line in table.render(paint).lines() {
                out.push_str(&format!("  {line}\n"));
            }
        }
        if one.more_clusters > 0 {
            out.push_str(&format!("  and {} more\n", one.more_clusters));
        }
    }
    out
}
