//! Measuring and printing, shared by the benchmarks of charts and of other renderers.

use std::time::{Duration, Instant};

/// Returns the median time of an odd number of runs.
pub(crate) fn median(runs: usize, mut run: impl FnMut()) -> Duration {
    run();
    let mut times: Vec<Duration> = (0..runs)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .collect();
    times.sort();
    times[runs / 2]
}

/// One line of the report.
pub(crate) fn line(what: &str, measured: &str, goal: &str, met: bool) {
    let verdict = if met { "met" } else { "MISSED" };
    println!("{what:<58} {measured:>12}  goal {goal:<10} {verdict}");
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
