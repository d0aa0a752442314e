//! Executes templates of one release: scopes of names, `include` and `tpl`.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use super::execute::{Got, Run};
use super::fault::Fault;
use super::meter::Meter;
use super::node::Tree;
use super::parser;
use super::{Error, Options, Templates, Warning};
use crate::functions::Memory;
use crate::value::{Str, Value};

/// The name that Helm gives the template set, and so to every text passed to `tpl`.
const ROOT: &str = "gotpl";

/// Where a function was called.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) template: Arc<str>,
    pub(crate) line: usize,
}

/// What texts passed to `tpl` define, visible inside them only.
struct Scope {
    parent: Option<Rc<Scope>>,
    names: HashMap<Arc<str>, Arc<Tree>>,
}

/// Executes templates of one release, and keeps count of what they use up.
pub struct Engine<'a> {
    templates: &'a Templates,
    pub(crate) options: &'a Options,
    pub(crate) meter: Meter,
    pub(super) out: Vec<u8>,
    scope: Option<Rc<Scope>>,
    parsed: HashMap<Str, Rc<[Arc<Tree>]>>,
    /// Which file is executed, and how many generated values it asked for.
    pub(crate) file: String,
    pub(crate) generated: u64,
    pub(crate) memory: Memory,
    warnings: Vec<Warning>,
}

impl std::fmt::Debug for Engine<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("meter", &self.meter)
            .finish_non_exhaustive()
    }
}

impl<'a> Engine<'a> {
    /// For one release.
    #[must_use]
    pub fn new(templates: &'a Templates, options: &'a Options) -> Self {
        Self {
            templates,
            options,
            meter: Meter::new(&options.limits),
            out: Vec::new(),
            scope: None,
            parsed: HashMap::new(),
            file: String::new(),
            generated: 0,
            memory: Memory::default(),
            warnings: Vec::new(),
        }
    }

    /// Executes one template with this dot (the map with `Values`, `Release`, `Chart`, `Template`, …).
    /// `<no value>` is already deleted from what comes back, as Helm does.
    ///
    /// # Errors
    ///
    /// Helm's words for what went wrong, with its place, or which bound was reached where.
    pub fn execute(&mut self, name: &str, dot: &Value) -> Result<Str, Error> {
        name.clone_into(&mut self.file);
        self.generated = 0;
        self.meter.start();
        let result = self.named(name, dot.clone());
        self.scope = None;
        match result {
            Ok(text) => Ok(Str::from(without_no_value(text))),
            Err(fault) => Err(fault.for_people(name)),
        }
    }

    /// What was noticed so far, in the order of execution.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    pub(crate) fn warn(&mut self, place: &Place, message: String) {
        let warning = Warning {
            template: place.template.to_string(),
            line: place.line,
            message,
        };
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    pub(super) fn lookup(&self, name: &str) -> Option<Arc<Tree>> {
        let mut scope = self.scope.as_ref();
        while let Some(inner) = scope {
            if let Some(tree) = inner.names.get(name) {
                return Some(tree.clone());
            }
            scope = inner.parent.as_ref();
        }
        self.templates.names.get(name).cloned()
    }

    /// `include`
    pub(crate) fn named(&mut self, name: &str, dot: Value) -> Result<Vec<u8>, Fault> {
        let Some(tree) = self.lookup(name) else {
            let name = crate::fmt::quote(name.as_bytes());
            return Err(Fault::plain(format!(
                "template: no template {name} associated with template \"{ROOT}\""
            )));
        };
        self.run(&tree, dot)
    }

    fn run(&mut self, tree: &Tree, dot: Value) -> Result<Vec<u8>, Fault> {
        let outer = std::mem::take(&mut self.out);
        let dot = Got::plain(dot);
        let mut run = Run::new(self, tree, dot.clone());
        let result = run.walk(&dot, &tree.root);
        let text = std::mem::replace(&mut self.out, outer);
        result.map(|_| text)
    }

    /// `tpl`
    pub(crate) fn text(&mut self, text: &Str, dot: Value) -> Result<Vec<u8>, Fault> {
        // Most values that go through `tpl` are no templates.
        if !text.as_bytes().windows(2).any(|pair| pair == b"{{") {
            return Ok(without_no_value(text.as_bytes().to_vec()));
        }
        let trees = match self.parsed.get(text) {
            Some(trees) => trees.clone(),
            None => {
                let parsed = parser::parse(ROOT, &text.lossy());
                let trees: Rc<[Arc<Tree>]> = match parsed {
                    Ok(trees) => trees.into(),
                    Err(error) => {
                        let shown = crate::fmt::quote(text.as_bytes());
                        let before = format!("cannot parse template {shown}: ");
                        return Err(Fault::wrapped(before, Fault::plain(error.to_string())));
                    }
                };
                self.parsed.insert(text.clone(), trees.clone());
                trees
            }
        };
        let Some(main) = trees.iter().find(|tree| *tree.name == *ROOT).cloned() else {
            return Ok(Vec::new());
        };
        let mut names = HashMap::new();
        for tree in trees.iter() {
            let hidden = tree.is_empty() && self.lookup(&tree.name).is_some();
            if !hidden {
                names.insert(tree.name.clone(), tree.clone());
            }
        }
        let outer = self.scope.take();
        self.scope = Some(Rc::new(Scope {
            parent: outer.clone(),
            names,
        }));
        let result = self.run(&main, dot);
        self.scope = outer;
        match result {
            Ok(text) => Ok(without_no_value(text)),
            Err(cause) => {
                let shown = crate::fmt::quote(text.as_bytes());
                let before = format!("error during tpl function execution for {shown}: ");
                Err(Fault::wrapped(before, cause))
            }
        }
    }
}

/// Helm deletes what Go prints for a missing value from the whole output, whoever wrote it.
fn without_no_value(text: Vec<u8>) -> Vec<u8> {
    const MARK: &[u8] = b"<no value>";
    let mut from = 0;
    let mut out: Option<Vec<u8>> = None;
    while let Some(offset) = find(&text[from..], MARK) {
        let kept = out.get_or_insert_with(Vec::new);
        kept.extend_from_slice(&text[from..from + offset]);
        from += offset + MARK.len();
    }
    match out {
        Some(mut kept) => {
            kept.extend_from_slice(&text[from..]);
            kept
        }
        None => text,
    }
}

fn find(text: &[u8], mark: &[u8]) -> Option<usize> {
    let first = *mark.first()?;
    let mut from = 0;
    while let Some(offset) = text[from..].iter().position(|byte| *byte == first) {
        let at = from + offset;
        if text[at..].starts_with(mark) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}
