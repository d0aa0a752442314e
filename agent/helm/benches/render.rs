//! Time and memory of rendering charts, compared with their goals and with Helm: `cargo bench -p flotilla-helm`.
//!
//! Everything is measured in one run on one machine, and only values of that run are compared. Ratios to Helm need
//! `FLOTILLA_HELM`, a `helm`; ratios of whole processes also need `FLOTILLA_CLI`, a `flotilla` of a release build.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark prints, and fails by panicking"
)]

#[path = "../tests/conformance/folder.rs"]
mod folder;
mod measure;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use flotilla_helm::capabilities::Capabilities;
use flotilla_helm::chart::Chart;
use flotilla_helm::release::{Print, Release, render};
use flotilla_helm::{Cache, Generated, Map, Options};
use measure::{line, median, milliseconds};

fn release() -> Release {
    Release {
        name: "r".to_owned(),
        namespace: "ns".to_owned(),
        revision: 1,
        is_upgrade: false,
        capabilities: Capabilities::default(),
        skip_schema: false,
        template: Options {
            generated: Generated::Display,
            ..Options::default()
        },
    }
}

fn process(program: &Path, arguments: &[&str]) -> Duration {
    median(5, || {
        let status = Command::new(program)
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(status.unwrap().success());
    })
}

/// Returns the KiB of one line of `/proc/self/status`.
fn status(field: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(":"));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    number.unwrap().parse().unwrap()
}

/// Returns the peak KiB of a run above what was resident before it. A run may reuse memory of earlier runs, so the
/// first run of a process is the most reliable.
fn above_the_tree<T>(run: impl FnOnce() -> T) -> u64 {
    let before = status("VmRSS");
    // Resets the peak resident size (proc(5)).
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    std::hint::black_box(run());
    status("VmHWM").saturating_sub(before)
}

/// The allocator of the released programs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    // `cargo bench -p flotilla-helm -- cert-manager` measures that chart only.
    let only: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/helm/charts");
    let named = |variable: &str| std::env::var_os(variable).map(PathBuf::from);
    let (helm, ours) = (named("FLOTILLA_HELM"), named("FLOTILLA_CLI"));
    for (name, chart, goal) in [
        ("podinfo", "podinfo", 1.5),
        ("cert-manager", "cert-manager", 15.0),
        (
            "kube-prometheus-stack",
            "prometheus-community--kube-prometheus-stack",
            100.0,
        ),
    ] {
        if !only.is_empty() && !only.iter().any(|chosen| chosen == name) {
            continue;
        }
        let path = data.join(chart).join("chart");
        let files = folder::read(&path);
        let release = release();
        let memory = above_the_tree(|| {
            let chart = Chart::from_folder(files.clone()).unwrap();
            let rendered = render(chart, &Map::new(), &release).unwrap();
            rendered.print(&Print::default()).unwrap().len()
        });
        line(
            &format!("{name}: peak resident above the tree"),
            &format!("{:.1} MiB", memory as f64 / 1024.0),
            "64 MiB",
            memory < 64 << 10,
        );
        let whole = median(15, || {
            let chart = Chart::from_folder(files.clone()).unwrap();
            let rendered = render(chart, &Map::new(), &release).unwrap();
            rendered.print(&Print::default()).unwrap();
        });
        let goal_text = format!("{goal} ms");
        let text = format!("{:.2} ms", milliseconds(whole));
        line(
            &format!("{name}: load and render"),
            &text,
            &goal_text,
            milliseconds(whole) < goal,
        );
        let loaded = Chart::from_folder(files.clone()).unwrap();
        // As in an agent that has rendered this chart before, with other values.
        let mut release = release;
        release.template.parsed = Some(Cache::default());
        let again = median(15, || {
            let rendered = render(loaded.clone(), &Map::new(), &release).unwrap();
            rendered.print(&Print::default()).unwrap();
        });
        let text = format!("{:.2} ms", milliseconds(again));
        let share = again.as_secs_f64() / whole.as_secs_f64();
        line(
            &format!("{name}: render again, {:.0} % of that", share * 100.0),
            &text,
            "50 %",
            share < 0.5,
        );
        if let (Some(helm), Some(ours)) = (&helm, &ours) {
            let path = path.to_str().unwrap();
            let theirs = process(helm, &["template", "r", path]);
            let ours = process(
                ours,
                &[
                    "render",
                    path,
                    "--renderer",
                    "helm",
                    "--generated",
                    "allow-for-display",
                ],
            );
            let ratio = theirs.as_secs_f64() / ours.as_secs_f64();
            let what = format!(
                "{name}: process, {:.0} ms of Helm to {:.1} ms",
                milliseconds(theirs),
                milliseconds(ours)
            );
            line(&what, &format!("{ratio:.1}"), "15", ratio >= 15.0);
        }
    }
}
