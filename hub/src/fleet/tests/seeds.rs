//! Sequences of simulations, one for each seed, on all processors.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// Returns a number from the environment.
pub(in crate::fleet) fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Returns the first seed: that of the environment, or a random one.
pub(in crate::fleet) fn first() -> u64 {
    number("FLOTILLA_SEED").unwrap_or_else(rand::random)
}

/// Runs a sequence for each seed from `first` on, and fails with the name of every seed that fails. Results are in any
/// order.
pub(in crate::fleet) fn each<T: Send>(
    name: &str,
    first: u64,
    runs: u64,
    play: impl Fn(u64) -> T + Sync,
) -> Vec<T> {
    eprintln!("{name}: FLOTILLA_SEED={first}");
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (next, all, failed) = (AtomicU64::new(0), Mutex::default(), Mutex::default());
    let work = || loop {
        let run = next.fetch_add(1, Ordering::Relaxed);
        if run >= runs {
            return;
        }
        let seed = first.wrapping_add(run);
        match catch_unwind(AssertUnwindSafe(|| play(seed))) {
            Ok(done) => Vec::push(&mut all.lock(), done),
            Err(_) => Vec::push(&mut failed.lock(), seed),
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let mut failed: Vec<u64> = failed.into_inner();
    failed.sort_unstable();
    assert!(
        failed.is_empty(),
        "{name}: these fail, each by itself with FLOTILLA_SEED: {failed:?}"
    );
    all.into_inner()
}
