//! Mutation testing from one build: `flotilla-mutants CRATE LIST OUT [--jobs N] [--skip-tests PART]...`
//!
//! CRATE is a copy of the crate, whose sources are overwritten; LIST is the output of `cargo mutants --list --json`
//! for it. cargo-mutants builds once per mutant and runs all tests; this builds all mutants behind switches, and runs
//! only the tests that reach them.

mod build;
mod list;
mod run;
mod switch;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use build::Build;
use list::Mutant;
use run::{Outcome, Tests};

struct Args {
    root: PathBuf,
    list: PathBuf,
    out: PathBuf,
    jobs: usize,
    skipped: Vec<String>,
}

fn args() -> Option<Args> {
    let (mut places, mut jobs, mut skipped) = (Vec::new(), 2, Vec::new());
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--jobs" => jobs = words.next()?.parse().ok()?,
            "--skip-tests" => skipped.push(words.next()?),
            _ => places.push(PathBuf::from(word)),
        }
    }
    let [root, list, out] = <[PathBuf; 3]>::try_from(places).ok()?;
    let root = root.canonicalize().ok()?;
    Some(Args {
        root,
        list,
        out,
        jobs,
        skipped,
    })
}

fn main() -> ExitCode {
    let Some(args) = args() else {
        eprintln!("flotilla-mutants CRATE LIST OUT [--jobs N] [--skip-tests PART]...");
        return ExitCode::from(2);
    };
    match judge_all(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(2)
        }
    }
}

/// Whether every mutant that compiles was caught.
fn judge_all(args: &Args) -> Result<bool, String> {
    let text = std::fs::read_to_string(&args.list).map_err(|error| error.to_string())?;
    let mutants: Vec<Mutant> = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let mut build = Build::new(&args.root, &mutants)?;
    let programs = build.run()?;
    let tests = Tests::measure(&programs, &args.root, &args.skipped)?;
    eprintln!("{} mutants, {} tests", mutants.len(), tests.count());

    let found: Mutex<BTreeMap<Outcome, Vec<&str>>> = Mutex::default();
    let next = AtomicU32::new(1);
    let work = || -> Result<(), String> {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(mutant) = mutants.get(number as usize - 1) else {
                return Ok(());
            };
            if build.is_out(number) {
                continue;
            }
            let outcome = tests.judge(number)?;
            if outcome != Outcome::Caught {
                println!("{outcome:?}: {}", mutant.name);
            }
            if let Ok(mut found) = found.lock() {
                found.entry(outcome).or_default().push(&mutant.name);
            }
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..args.jobs).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .try_for_each(|worker| match worker.join() {
                Ok(result) => result,
                Err(_) => Err("a worker panicked".to_owned()),
            })
    })?;

    let mut found = found.into_inner().map_err(|error| error.to_string())?;
    let names = |numbers: &BTreeSet<u32>| -> Vec<&str> {
        let numbers = numbers.iter();
        numbers
            .map(|number| mutants[*number as usize - 1].name.as_str())
            .collect()
    };
    std::fs::create_dir_all(&args.out).map_err(|error| error.to_string())?;
    let mut counts = Vec::new();
    let mut write = |name: &str, mut mutants: Vec<&str>| {
        counts.push(format!("{} {name}", mutants.len()));
        mutants.sort_unstable();
        let lines: String = mutants.iter().map(|name| format!("{name}\n")).collect();
        std::fs::write(args.out.join(format!("{name}.txt")), lines)
            .map_err(|error| error.to_string())
    };
    let mut of = |outcome| found.remove(&outcome).unwrap_or_default();
    let (missed, unreached) = (of(Outcome::Missed), of(Outcome::Unreached));
    let is_clean = missed.is_empty() && unreached.is_empty();
    write("caught", of(Outcome::Caught))?;
    write("timeout", of(Outcome::TimedOut))?;
    write("missed", missed)?;
    write("unreached", unreached)?;
    write("unviable", names(&build.unviable))?;
    write("apart", names(&build.apart))?;
    println!("{} mutants: {}", mutants.len(), counts.join(", "));
    Ok(is_clean)
}
