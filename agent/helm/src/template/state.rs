//! State that all templates of a release share during execution, and that functions may use.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use regex::bytes::Regex;

use super::meter::Meter;
use super::{Options, Warning};
use crate::value::Str;

/// Where a function was called.
#[derive(Debug)]
pub(crate) struct CallSite {
    pub(crate) template: Arc<str>,
    pub(crate) line: usize,
}

/// Options of a release's execution, and its state so far.
pub(crate) struct State<'a> {
    pub(crate) options: &'a Options,
    pub(crate) meter: Meter,
    /// The file that is being executed, and its number of generated values so far.
    pub(crate) file: String,
    pub(crate) generated: u64,
    /// Patterns that this release has compiled, or the error of a malformed one.
    pub(crate) patterns: HashMap<Str, Result<Rc<Regex>, String>>,
    pub(super) warnings: Vec<Warning>,
}

impl<'a> State<'a> {
    pub(super) fn new(options: &'a Options) -> Self {
        Self {
            options,
            meter: Meter::new(&options.limits),
            file: String::new(),
            generated: 0,
            patterns: HashMap::new(),
            warnings: Vec::new(),
        }
    }

    /// Begins a file.
    pub(super) fn start(&mut self, file: &str) {
        file.clone_into(&mut self.file);
        self.generated = 0;
        self.meter.start();
    }

    pub(crate) fn warn(&mut self, place: &CallSite, message: String) {
        let warning = Warning {
            template: place.template.to_string(),
            line: place.line,
            message,
        };
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }
}
