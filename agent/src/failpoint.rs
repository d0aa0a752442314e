//! Points at which tests kill the process (A16): SIGKILL, between a step's effect and the next step.
//!
//! Debug builds only, and only where `FLOTILLA_FAILPOINT` names a point and how often it is passed
//! unharmed before (`applied:2` kills at the third pass). A release build contains none of it.

/// The points, in the order in which a pass reaches them.
pub const POINTS: [&str; 11] = [
    "offered",
    "stored",
    "acked",
    "fetched",
    "verified",
    "rendered",
    "journaled",
    "applied",
    "pruned",
    "narrowed",
    "reported",
];

/// Dies here, if a test asks for it.
#[cfg(debug_assertions)]
pub(crate) fn reach(point: &str) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicUsize, Ordering};

    static ASKED: LazyLock<Option<(String, usize)>> = LazyLock::new(|| {
        let asked = std::env::var("FLOTILLA_FAILPOINT").ok()?;
        let (point, times) = asked.split_once(':').unwrap_or((&asked, "0"));
        Some((point.to_owned(), times.parse().unwrap_or_default()))
    });
    static PASSED: AtomicUsize = AtomicUsize::new(0);

    let Some((asked, times)) = &*ASKED else {
        return;
    };
    if asked == point && PASSED.fetch_add(1, Ordering::Relaxed) == *times {
        // SIGKILL, so that nothing runs after this point: no destructor, no flush, no signal handler.
        let _ =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

/// Nothing, in a release build.
#[cfg(not(debug_assertions))]
pub(crate) const fn reach(_point: &str) {}
