//! What all templates of a release share while they are executed, and functions may use.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use regex::bytes::Regex;

use super::meter::Meter;
use super::{Options, Warning};
use crate::value::Str;

/// Where a function was called.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) template: Arc<str>,
    pub(crate) line: usize,
}

/// How a release is executed, and what it has come to so far.
pub(crate) struct State<'a> {
    pub(crate) options: &'a Options,
    pub(crate) meter: Meter,
    /// Which file is executed, and how many generated values it asked for.
    pub(crate) file: String,
    pub(crate) generated: u64,
    /// Patterns that were compiled before in this release, the wrong ones with what is wrong.
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

    /// A file's turn begins.
    pub(super) fn start(&mut self, file: &str) {
        file.clone_into(&mut self.file);
        self.generated = 0;
        self.meter.start();
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
}
