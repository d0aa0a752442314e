//! Executes templates of one release, file by file.

use super::function::Nesting as _;
use super::output::without_no_value;
use super::session::Session;
use super::{Error, Options, Templates, Warning};
use crate::value::{Str, Value};

/// Executes templates of one release, and keeps count of what they use up.
pub struct Engine<'a>(Session<'a>);

impl std::fmt::Debug for Engine<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("meter", &self.0.state.meter)
            .finish_non_exhaustive()
    }
}

impl<'a> Engine<'a> {
    /// For one release.
    #[must_use]
    pub fn new(templates: &'a Templates, options: &'a Options) -> Self {
        Self(Session::new(templates, options))
    }

    /// Executes one template with this dot (the map with `Values`, `Release`, `Chart`, `Template`, …).
    /// `<no value>` is already deleted from what comes back, as Helm does.
    ///
    /// # Errors
    ///
    /// Helm's words for what went wrong, with its place, or which bound was reached where.
    pub fn execute(&mut self, name: &str, dot: &Value) -> Result<Str, Error> {
        self.0.state.start(name);
        let result = self.0.include(name, dot.clone());
        self.0.scope = None;
        match result {
            Ok(text) => Ok(Str::from(without_no_value(text))),
            Err(fault) => Err(fault.for_people(name)),
        }
    }

    /// What was noticed so far, in the order of execution.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.0.state.warnings
    }
}
