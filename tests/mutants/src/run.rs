//! Finds the test that catches a mutant.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Tests up to this duration are run together.
const FAST: Duration = Duration::from_millis(500);
/// Timeout: a mutant may slow a test down, or loop forever.
const PATIENCE: u32 = 10;
const LEAST_PATIENCE: Duration = Duration::from_secs(30);
/// Memory limit in kilobytes: a mutant may allocate forever.
const MEMORY: &str = "4000000";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    Caught,
    /// A test timed out.
    TimedOut,
    /// Tests reach it, and none fails.
    Missed,
    /// No test reaches it.
    Unreached,
}

struct Test {
    time: Duration,
    program: PathBuf,
    name: String,
}

pub struct Tests {
    root: PathBuf,
    /// Fastest first.
    tests: Vec<Test>,
    /// The tests that reach each mutant.
    reach: BTreeMap<u32, BTreeSet<usize>>,
}

impl Tests {
    /// Runs every test alone once, to learn its duration and the mutants that it reaches.
    pub fn measure(programs: &[PathBuf], root: &Path, skipped: &[String]) -> Result<Self, String> {
        let mut found = Self {
            root: root.to_owned(),
            tests: Vec::new(),
            reach: BTreeMap::new(),
        };
        let seen = root.join("seen");
        let mut measured = Vec::new();
        for program in programs {
            let output = Command::new(program)
                .args(["--list", "--format", "terse"])
                .current_dir(root)
                .output()
                .map_err(|error| error.to_string())?;
            let text = String::from_utf8_lossy(&output.stdout);
            let names = text.lines().filter_map(|line| line.strip_suffix(": test"));
            for name in names.filter(|name| !skipped.iter().any(|part| name.contains(part))) {
                drop(std::fs::remove_file(&seen));
                let began = Instant::now();
                let child = found.start(0, program, &[name], Some(&seen))?;
                match wait(child, Duration::from_secs(600)) {
                    Some(true) => {}
                    _ => return Err(format!("{name} fails without a mutant")),
                }
                let text = std::fs::read_to_string(&seen).unwrap_or_default();
                let numbers: Vec<u32> = text.lines().filter_map(|line| line.parse().ok()).collect();
                let test = Test {
                    time: began.elapsed(),
                    program: program.clone(),
                    name: name.to_owned(),
                };
                measured.push((test, numbers));
            }
        }
        measured.sort_by_key(|(test, _)| test.time);
        for (index, (test, numbers)) in measured.into_iter().enumerate() {
            found.tests.push(test);
            for number in numbers {
                found.reach.entry(number).or_default().insert(index);
            }
        }
        Ok(found)
    }

    pub fn count(&self) -> usize {
        self.tests.len()
    }

    /// Runs the fast tests that reach the mutant together, then each slow one, until one fails.
    pub fn judge(&self, number: u32) -> Result<Outcome, String> {
        let Some(reach) = self.reach.get(&number) else {
            return Ok(Outcome::Unreached);
        };
        let tests = reach.iter().map(|index| &self.tests[*index]);
        let (fast, slow): (Vec<&Test>, Vec<&Test>) = tests.partition(|test| test.time < FAST);
        let mut together: BTreeMap<&Path, Vec<&Test>> = BTreeMap::new();
        for test in fast {
            together.entry(&test.program).or_default().push(test);
        }
        let slow = slow.into_iter().map(|test| vec![test]);
        for part in together.into_values().chain(slow) {
            let Some(first) = part.first() else { continue };
            let names: Vec<&str> = part.iter().map(|test| test.name.as_str()).collect();
            let time: Duration = part.iter().map(|test| test.time).sum();
            let child = self.start(number, &first.program, &names, None)?;
            match wait(child, (time * PATIENCE).max(LEAST_PATIENCE)) {
                Some(true) => {}
                Some(false) => return Ok(Outcome::Caught),
                None => return Ok(Outcome::TimedOut),
            }
        }
        Ok(Outcome::Missed)
    }

    fn start(
        &self,
        number: u32,
        program: &Path,
        names: &[&str],
        seen: Option<&Path>,
    ) -> Result<Child, String> {
        let mut command = Command::new("sh");
        command
            .args(["-c", "ulimit -v \"$0\"; exec \"$@\"", MEMORY])
            .arg(program)
            .args(["--exact", "--test-threads", "1", "--quiet"])
            .args(names)
            .env("MUTANT", number.to_string())
            .env("CARGO_MANIFEST_DIR", &self.root)
            .env_remove("RUST_BACKTRACE")
            .current_dir(&self.root)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Some(seen) = seen {
            command.env("MUTANTS_SEEN", seen);
        }
        command.spawn().map_err(|error| error.to_string())
    }
}

/// Whether it succeeded; none: it timed out.
fn wait(mut child: Child, patience: Duration) -> Option<bool> {
    let end = Instant::now() + patience;
    let mut pause = Duration::from_millis(1);
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status.success()),
            Ok(None) if Instant::now() < end => {}
            _ => {
                drop(child.kill());
                drop(child.wait());
                return None;
            }
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}
