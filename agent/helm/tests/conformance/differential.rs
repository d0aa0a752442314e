//! Differential test: every chart below the given folders is rendered here and by a `helm`, and the bytes are compared.
//!
//! The program is `FLOTILLA_HELM` or one of the search path; folders are `FLOTILLA_CHARTS` (separated by
//! colons, charts or folders of charts) besides those of `tests/conformance`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::{Case, data, folder};

/// Folders with a `Chart.yaml`, here or one level down; a chart's own subcharts are its business.
fn charts() -> Vec<PathBuf> {
    let mut roots = Vec::new();
    for entry in std::fs::read_dir(data().join("charts")).unwrap() {
        roots.push(entry.unwrap().path().join("chart"));
    }
    if let Some(more) = std::env::var_os("FLOTILLA_CHARTS") {
        roots.extend(std::env::split_paths(&more));
    }
    let mut charts = Vec::new();
    for root in roots {
        if root.join("Chart.yaml").is_file() {
            charts.push(root);
            continue;
        }
        let below = std::fs::read_dir(&root).into_iter().flatten().flatten();
        charts.extend(
            below
                .map(|entry| entry.path())
                .filter(|path| path.join("Chart.yaml").is_file()),
        );
    }
    charts.sort();
    charts
}

fn theirs(helm: &Path, chart: &Path, home: &Path) -> Output {
    Command::new(helm)
        .args(["template", "rel"])
        .arg(chart)
        .args(["--namespace", "ns", "--include-crds"])
        .env("HOME", home)
        .env("XDG_CACHE_HOME", home)
        .output()
        .unwrap()
}

#[test]
fn charts_equal_those_of_helm() {
    let Some(helm) = flotilla_needs::program("helm", Some("FLOTILLA_HELM"), &["helm"]) else {
        return;
    };
    let home = std::env::temp_dir();
    let mut wrong = Vec::new();
    let (mut equal, mut refused, mut by_chance) = (0, 0, 0);
    for chart in charts() {
        let mut case = Case::default();
        case.print.include_crds = true;
        let ours = case.run(folder::read(&chart));
        let output = theirs(&helm, &chart, &home);
        let name = chart.display();
        match (output.status.success(), ours) {
            (true, Ok(ours)) if ours.as_bytes() == output.stdout => equal += 1,
            // What differs from run to run cannot be compared.
            (true, Ok(_)) if theirs(&helm, &chart, &home).stdout != output.stdout => by_chance += 1,
            (true, Ok(_)) => wrong.push(format!("{name}: differs")),
            (true, Err(error)) => wrong.push(format!("{name}: refused: {error}")),
            (false, Ok(_)) => wrong.push(format!(
                "{name}: helm refuses: {}",
                String::from_utf8_lossy(&output.stderr)
            )),
            (false, Err(_)) => refused += 1,
        }
    }
    eprintln!(
        "{equal} charts equal, {refused} refused by both, {by_chance} change from run to run"
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
