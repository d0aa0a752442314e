//! Go's `text/template` as Helm uses it: [`Templates`] are parsed once, an [`Engine`] executes them.
//!
//! The shell around it (chart order, notes, partials) is the release's business: parse all files in Helm's
//! order (shallowest and alphabetically first file last, so that its `define`s win), then `execute` each.

mod cache;
mod engine;
mod evaluate;
mod execute;
mod fault;
mod function;
mod lexer;
mod meter;
mod methods;
mod nested;
mod node;
mod number;
mod output;
mod parser;
mod session;
mod state;

use std::collections::HashMap;
use std::sync::Arc;

pub use cache::Cache;
pub use engine::Engine;
pub(crate) use execute::truth;
pub(crate) use fault::EvalError;
pub use function::Functions;
pub(crate) use function::{Body, Function, Nested, Placed, Pure, Shared, Type};
use node::Tree;
pub(crate) use state::{CallSite, State};

/// Whether functions of time or randomness may run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Generated {
    /// They are errors that name file and line.
    #[default]
    Refuse,
    /// They are functions of this seed, the template's name and the call's number in it: stable over renders.
    /// Certificates and keys stay refused.
    Derive {
        /// Identifies this application on this cluster.
        seed: String,
    },
    /// They return constants, certificates and keys included: for displaying a render, never for applying it.
    Display,
}

/// Limits of one release. All are generous for real charts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Nodes executed and elements walked, over all templates of a release.
    pub steps: u64,
    /// Total nesting of templates, lists of actions and parentheses.
    pub depth: usize,
    /// Bytes of output and of any one value, over all templates of a release.
    pub output: usize,
    /// Bytes of one regular expression.
    pub regexp: usize,
    /// Bytes that one call of `repeat` or `indent` may give, and elements of `until` or `seq`.
    pub expansion: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            steps: 20_000_000,
            depth: 1_000,
            output: 64 << 20,
            regexp: 16 << 10,
            expansion: 8 << 20,
        }
    }
}

/// Options of executing a release.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Time and randomness.
    pub generated: Generated,
    /// `lookup` is an error instead of empty with a warning.
    pub strict: bool,
    /// Limits of the release; exceeding one is an error.
    pub limits: Limits,
    /// Cache of parsed files; none: nothing is cached.
    pub parsed: Option<Cache>,
}

/// Warning about a template's behaviour that its author may not expect, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The template's name, as `chart/templates/x.yaml`.
    pub template: String,
    /// The line, counted from 1.
    pub line: usize,
    /// Message for operators: what happened, and what to do.
    pub message: String,
}

/// Why a template cannot be parsed or executed: Helm's own text, places and all, ready to print.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// As Helm prints it after `Error: `, without what the command line adds.
    pub message: String,
}

/// Parsed templates by name. Cheap to clone, free of `Rc`, so that it may be kept between renders.
#[derive(Clone, Debug)]
pub struct Templates {
    functions: &'static Functions,
    names: HashMap<Arc<str>, Arc<Tree>>,
}

impl Templates {
    /// Without any template; [`Templates::parse`] adds them, and all may call these functions.
    #[must_use]
    pub fn new(functions: &'static Functions) -> Self {
        Self {
            functions,
            names: HashMap::new(),
        }
    }

    /// Parses a file under this name (`chart/templates/x.yaml`); what it defines replaces what was defined
    /// before under the same name, as in Go.
    ///
    /// # Errors
    ///
    /// Helm's words for what is wrong with the text, with its place.
    pub fn parse(&mut self, name: &str, text: &str) -> Result<(), Error> {
        let file = Parsed::new(self.functions, name, text)?;
        self.add(&file);
        Ok(())
    }

    /// Adds what a file defines. An empty definition replaces no other.
    pub fn add(&mut self, file: &Parsed) {
        for tree in file.trees.iter() {
            if !(tree.is_empty() && self.names.contains_key(&tree.name)) {
                self.names.insert(tree.name.clone(), tree.clone());
            }
        }
    }
}

/// One file, parsed: to be kept between renders and added to the [`Templates`] of each.
#[derive(Clone, Debug)]
pub struct Parsed {
    trees: Arc<[Arc<Tree>]>,
}

impl Parsed {
    /// Parses a file under this name (`chart/templates/x.yaml`), which may call these functions.
    ///
    /// # Errors
    ///
    /// Helm's words for what is wrong with the text, with its place.
    pub fn new(functions: &'static Functions, name: &str, text: &str) -> Result<Self, Error> {
        match parser::parse(functions, name, text) {
            Ok(trees) => Ok(Self {
                trees: trees.into(),
            }),
            Err(error) => Err(fault::parse_error(name, &error.to_string())),
        }
    }
}
