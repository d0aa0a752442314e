//! Measures what a fetch uses while it runs, and ends it as soon as that is too much.
//!
//! gix keeps each entry of a pack in memory until its last byte has arrived (`EntryDataMode::KeepAndCrc32` of
//! gix-pack), and a delta's bases as long as they are needed. Neither is visible on disk, so that a pushed large file
//! could get every process killed that fetches it. gix reports progress between two reads of the pack, and each read
//! checks whether to continue, so that a fetch ends before it uses more.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use gix::progress::{Count, Id, MessageLevel, NestedProgress, Progress, Step, StepShared, Unit};
use parking_lot::{Mutex, const_mutex};

use crate::Limits;

/// Limit that a fetch exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excess {
    /// It takes too long.
    Time,
    /// Its pack is too large.
    Pack,
    /// One of its objects is too large.
    Object,
    /// It has too many objects.
    Objects,
    /// Together its objects take too much memory.
    Memory,
}

/// Resources that one fetch has used so far.
#[derive(Debug)]
pub(crate) struct Meter {
    limits: Limits,
    /// Set to end the fetch; gix checks it before each read.
    pub(crate) stop: AtomicBool,
    excess: OnceLock<Excess>,
    /// Whether memory for the list of the pack's objects could be allocated.
    has_list: AtomicBool,
    received: AtomicU64,
    /// Bytes received when the last object was complete.
    done: AtomicU64,
    /// Bytes of all objects that were unpacked. gix adds to it directly.
    unpacked: StepShared,
}

impl Meter {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            limits: limits.clone(),
            stop: AtomicBool::new(false),
            excess: OnceLock::new(),
            has_list: AtomicBool::new(false),
            received: AtomicU64::new(0),
            done: AtomicU64::new(0),
            unpacked: StepShared::default(),
        })
    }

    /// Ends the fetch. The first reason counts.
    pub(crate) fn end(&self, excess: Excess) {
        self.excess.get_or_init(|| excess);
        self.stop.store(true, Ordering::SeqCst);
    }

    pub(crate) fn excess(&self) -> Option<Excess> {
        self.excess.get().copied()
    }

    /// Returns the limit that was exceeded when gix was refused an allocation.
    pub(crate) fn refused_memory(&self) -> Excess {
        if self.has_list.load(Ordering::SeqCst) {
            Excess::Object
        } else {
            Excess::Objects
        }
    }

    /// Returns whether the fetch, with others that run at the same time, uses so much memory that it has to end. A
    /// small fetch never has to, since it does not cause the process's other memory use.
    pub(crate) fn is_short_of_memory(&self, running: &Running) -> bool {
        let unpacked = self.unpacked.load(Ordering::Relaxed) as u64;
        let received = self.received.load(Ordering::SeqCst);
        let limit = self.limits.memory_bytes;
        received.saturating_add(unpacked) > limit / 8 && running.grown() > Some(limit)
    }

    fn receive(&self, bytes: u64) {
        let received = self.received.fetch_add(bytes, Ordering::SeqCst) + bytes;
        if received - self.done.load(Ordering::SeqCst) > self.limits.object_bytes {
            self.end(Excess::Object);
        } else if received > self.limits.pack_bytes {
            self.end(Excess::Pack);
        }
    }

    /// Notes that an object is complete. gix already holds the next one in memory, so an excess is of one after that.
    fn list(&self) {
        self.done
            .store(self.received.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    fn announce(&self, objects: u64) {
        self.has_list.store(true, Ordering::SeqCst);
        if objects > self.limits.objects {
            self.end(Excess::Objects);
        }
    }

    /// Notes an object that was looked through; it will have to be unpacked whole.
    fn look_through(&self, bytes: u64) {
        if bytes > self.limits.object_bytes {
            self.end(Excess::Object);
        }
    }
}

/// What a progress counter of gix counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CounterKind {
    /// Bytes of the pack.
    Received,
    /// Objects of the pack, while its index is built.
    Listed,
    /// Bytes of its objects.
    Unpacked,
    /// Anything else, which is ignored.
    Other,
}

impl CounterKind {
    /// By the ids of `bundle::write::ProgressId` and `index::write::ProgressId` of gix-pack.
    fn of(id: Id) -> Self {
        match &id {
            b"BWRB" => Self::Received,
            b"IWIO" => Self::Listed,
            // Used for objects that are looked through and for objects that are unpacked.
            b"IWDB" => Self::Unpacked,
            _ => Self::Other,
        }
    }
}

/// Receives gix's progress for a meter.
#[derive(Debug)]
pub(crate) struct MeterProgress {
    meter: Arc<Meter>,
    counts: CounterKind,
}

impl MeterProgress {
    pub(crate) fn to(meter: &Arc<Meter>) -> Self {
        Self {
            meter: Arc::clone(meter),
            counts: CounterKind::Other,
        }
    }
}

impl Count for MeterProgress {
    fn set(&self, _: Step) {}

    fn step(&self) -> Step {
        0
    }

    fn inc_by(&self, step: Step) {
        match self.counts {
            CounterKind::Received => self.meter.receive(step as u64),
            CounterKind::Listed => self.meter.list(),
            CounterKind::Unpacked => self.meter.look_through(step as u64),
            CounterKind::Other => {}
        }
    }

    fn counter(&self) -> StepShared {
        match self.counts {
            CounterKind::Unpacked => Arc::clone(&self.meter.unpacked),
            _ => StepShared::default(),
        }
    }
}

impl Progress for MeterProgress {
    fn init(&mut self, max: Option<Step>, _: Option<Unit>) {
        if let (CounterKind::Listed, Some(objects)) = (self.counts, max) {
            self.meter.announce(objects as u64);
        }
    }

    fn set_name(&mut self, _: String) {}

    fn name(&self) -> Option<String> {
        None
    }

    fn id(&self) -> Id {
        gix::progress::UNKNOWN
    }

    fn message(&self, _: MessageLevel, _: String) {}
}

impl NestedProgress for MeterProgress {
    type SubProgress = Self;

    fn add_child(&mut self, _: impl Into<String>) -> Self {
        Self::to(&self.meter)
    }

    fn add_child_with_id(&mut self, _: impl Into<String>, id: Id) -> Self {
        Self {
            meter: Arc::clone(&self.meter),
            counts: CounterKind::of(id),
        }
    }
}

/// A running fetch. All concurrent fetches count from the memory that the process had before the first of them, so that
/// they share one limit.
#[derive(Debug)]
pub(crate) struct Running(());

struct Fetches {
    running: usize,
    before: Option<u64>,
}

static FETCHES: Mutex<Fetches> = const_mutex(Fetches {
    running: 0,
    before: None,
});

impl Running {
    pub(crate) fn begin() -> Self {
        let mut fetches = FETCHES.lock();
        if fetches.running == 0 {
            fetches.before = resident();
        }
        fetches.running += 1;
        Self(())
    }

    /// Returns by how many bytes the process has grown; none: the system does not tell.
    fn grown(&self) -> Option<u64> {
        let before = FETCHES.lock().before?;
        Some(resident()?.saturating_sub(before))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        FETCHES.lock().running -= 1;
    }
}

/// Returns the resident memory of this process in bytes, without file pages; none: the system does not tell.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let mut lines = status.lines();
    let kib = lines.find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kib: u64 = kib.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_measured_from_the_one_before_it() {
        let meter = Meter::new(&Limits {
            object_bytes: 10,
            pack_bytes: 30,
            objects: 5,
            ..Limits::default()
        });
        let mut told = MeterProgress::to(&meter);
        let mut part = |id: &Id| told.add_child_with_id("", *id);
        let (pack, mut list) = (part(b"BWRB"), part(b"IWIO"));
        assert_eq!(meter.refused_memory(), Excess::Objects);
        list.init(Some(5), None);
        assert_eq!(meter.refused_memory(), Excess::Object);
        for _ in 0..3 {
            pack.inc_by(9);
            list.inc();
        }
        part(b"IWDB").inc_by(10);
        assert_eq!(meter.excess(), None);
        assert!(!meter.stop.load(Ordering::SeqCst));
        pack.inc_by(4);
        assert_eq!(meter.excess(), Some(Excess::Pack));
        assert!(meter.stop.load(Ordering::SeqCst));
        // A later excess does not replace the first one.
        pack.inc_by(7);
        assert_eq!(meter.excess(), Some(Excess::Pack));
    }

    #[test]
    fn one_part_that_is_too_much_ends_the_fetch() {
        let ended = |tell: &dyn Fn(&mut MeterProgress)| {
            let limits = Limits {
                object_bytes: 10,
                objects: 5,
                ..Limits::default()
            };
            let meter = Meter::new(&limits);
            tell(&mut MeterProgress::to(&meter));
            meter.excess()
        };
        let object = Some(Excess::Object);
        let part = |told: &mut MeterProgress, id: &Id| told.add_child_with_id("", *id);
        assert_eq!(ended(&|told| part(told, b"BWRB").inc_by(11)), object);
        assert_eq!(ended(&|told| part(told, b"IWDB").inc_by(11)), object);
        let many = ended(&|told| part(told, b"IWIO").init(Some(6), None));
        assert_eq!(many, Some(Excess::Objects));
        assert_eq!(ended(&|told| part(told, b"IWBW").inc_by(11)), None);
    }
}
