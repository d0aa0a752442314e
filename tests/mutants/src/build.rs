//! Builds test programs that contain all mutants that compile.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::list::Mutant;
use crate::switch::{branches, switch};

/// The switch function. Records which mutants a test reaches, if requested.
const SWITCH: &str = r#"

pub(crate) fn mutant_is_on(number: u32) -> bool {
    use std::collections::BTreeSet;
    use std::io::Write as _;
    use std::sync::{Mutex, OnceLock};
    static ON: OnceLock<u32> = OnceLock::new();
    static SEEN: OnceLock<Option<(std::path::PathBuf, Mutex<BTreeSet<u32>>)>> = OnceLock::new();
    let seen = SEEN.get_or_init(|| Some((std::env::var_os("MUTANTS_SEEN")?.into(), Mutex::default())));
    if let Some((path, seen)) = seen
        && seen.lock().is_ok_and(|mut seen| seen.insert(number))
        && let Ok(mut file) = std::fs::OpenOptions::new().append(true).create(true).open(path)
    {
        drop(writeln!(file, "{number}"));
    }
    *ON.get_or_init(|| std::env::var("MUTANT").ok().and_then(|text| text.parse().ok()).unwrap_or(0)) == number
}
"#;

#[derive(Deserialize)]
struct Line {
    reason: String,
    message: Option<Message>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Message {
    level: String,
    rendered: Option<String>,
    code: Option<Code>,
    spans: Vec<Span>,
}

#[derive(Deserialize)]
struct Code {
    code: String,
}

/// The compiler error for a switch in a constant.
const NOT_CONST: &str = "E0015";

#[derive(Deserialize)]
struct Span {
    file_name: PathBuf,
    byte_start: usize,
    byte_end: usize,
    is_primary: bool,
    expansion: Option<Expansion>,
}

#[derive(Deserialize)]
struct Expansion {
    span: Box<Span>,
}

/// The crate's original sources, its mutants, and which of them do not compile.
pub struct Build<'a> {
    root: &'a Path,
    originals: BTreeMap<PathBuf, String>,
    mutants: &'a [Mutant],
    /// By number: the index in the list plus one.
    pub unviable: BTreeSet<u32>,
    /// Mutants that may compile, but not behind a switch.
    pub apart: BTreeSet<u32>,
}

impl<'a> Build<'a> {
    pub fn new(root: &'a Path, mutants: &'a [Mutant]) -> Result<Self, String> {
        let mut originals = BTreeMap::new();
        let files = mutants.iter().map(|mutant| mutant.file.clone());
        for file in files.chain([PathBuf::from("src/lib.rs")]) {
            let text = std::fs::read_to_string(root.join(&file));
            let text = text.map_err(|error| format!("{}: {error}", file.display()))?;
            originals.insert(file, text);
        }
        Ok(Self {
            root,
            originals,
            mutants,
            unviable: BTreeSet::new(),
            apart: BTreeSet::new(),
        })
    }

    /// Builds the test programs, and leaves out mutants that do not compile.
    pub fn run(&mut self) -> Result<Vec<PathBuf>, String> {
        loop {
            let written = self.write()?;
            let (programs, errors) = self.compile()?;
            if errors.is_empty() {
                return Ok(programs);
            }
            let before = self.unviable.len() + self.apart.len();
            for is_primary in [true, false] {
                for error in &errors {
                    let is_apart = error
                        .code
                        .as_ref()
                        .is_some_and(|code| code.code == NOT_CONST);
                    let named = error.spans.iter();
                    let named = named.filter(|span| span.is_primary == is_primary);
                    let found = named.filter_map(|span| branch(&written, span));
                    match is_apart {
                        true => self.apart.extend(found),
                        false => self.unviable.extend(found),
                    }
                }
                // Only if no primary span is inside a mutant are the secondary spans tried.
                if self.unviable.len() + self.apart.len() > before {
                    break;
                }
            }
            if self.unviable.len() + self.apart.len() == before {
                let texts = errors.into_iter().filter_map(|error| error.rendered);
                return Err(texts.take(5).collect());
            }
            eprintln!("{} mutants do not compile", self.unviable.len());
        }
    }

    pub fn is_out(&self, number: u32) -> bool {
        self.unviable.contains(&number) || self.apart.contains(&number)
    }

    fn write(&mut self) -> Result<BTreeMap<PathBuf, String>, String> {
        let mut files = BTreeMap::new();
        for (file, text) in &self.originals {
            let of_file = (1..)
                .zip(self.mutants)
                .filter(|(number, mutant)| mutant.file == *file && !self.is_out(*number));
            let switched = switch(text, &of_file.collect())
                .map_err(|error| format!("{}: {error}", file.display()))?;
            let mut text = switched.text;
            self.apart.extend(switched.apart);
            self.unviable.extend(switched.unviable);
            if file == Path::new("src/lib.rs") {
                text.push_str(SWITCH);
            }
            std::fs::write(self.root.join(file), &text).map_err(|error| error.to_string())?;
            files.insert(file.clone(), text);
        }
        Ok(files)
    }

    fn compile(&self) -> Result<(Vec<PathBuf>, Vec<Message>), String> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args([
                "test",
                "--lib",
                "--tests",
                "--no-run",
                "--message-format=json",
            ])
            .current_dir(self.root)
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| format!("cargo: {error}"))?;
        let (mut programs, mut errors) = (Vec::new(), Vec::new());
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let Ok(line) = serde_json::from_str::<Line>(line) else {
                continue;
            };
            match line.reason.as_str() {
                "compiler-message" => {
                    errors.extend(line.message.filter(|message| message.level == "error"));
                }
                "compiler-artifact" => programs.extend(line.executable),
                _ => {}
            }
        }
        if errors.is_empty() && !output.status.success() {
            return Err("the crate does not build".to_owned());
        }
        Ok((programs, errors))
    }
}

/// The mutant whose branch contains the compiler's span: the innermost.
fn branch(files: &BTreeMap<PathBuf, String>, span: &Span) -> Option<u32> {
    let found = files.get(&span.file_name).and_then(|text| {
        branches(text)
            .into_iter()
            .filter(|(at, _)| at.start <= span.byte_start && span.byte_end <= at.end)
            .min_by_key(|(at, _)| at.len())
    });
    match found {
        Some((_, number)) => Some(number),
        None => branch(files, &span.expansion.as_ref()?.span),
    }
}
