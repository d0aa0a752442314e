//! Effect of a fleet file, as text.

use flotilla_status::EnvironmentDifference;

use super::{Paint, Table, Tone, count, dash};

/// Lists environments with the affected clusters.
#[must_use]
pub fn compared(all: &[EnvironmentDifference], paint: Paint) -> String {
    if all.is_empty() {
        return "nothing changes\n".to_owned();
    }
    let mut out = String::new();
    for (index, environment) in all.iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        let touched = environment.clusters.len() + environment.more_clusters as usize;
        let how = match (touched, environment.in_waves) {
            (0, _) => "no cluster is affected".to_owned(),
            (_, true) => format!("{}, in waves", count(touched, "cluster")),
            (_, false) => format!("{}, all at once", count(touched, "cluster")),
        };
        let name = paint.paint(Tone::Head, &environment.environment);
        out.push_str(&format!("{name}: {how}\n"));
        if !environment.rollout.is_empty() {
            let text = format!("rollout {} is in progress", environment.rollout);
            out.push_str(&format!("  {}\n", paint.paint(Tone::Warn, &text)));
        }
        for line in &environment.changes {
            out.push_str(&format!("  {line}\n"));
        }
        let mut table = Table::new(["CLUSTER", "GAINS", "LOSES", "CHANGES", "MOVES FROM"]);
        for cluster in &environment.clusters {
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
        if environment.more_clusters > 0 {
            out.push_str(&format!("  and {} more\n", environment.more_clusters));
        }
    }
    out
}
