//! The templates of one release during execution: names and their definitions, and the output.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use super::node::Tree;
use super::state::State;
use super::{Options, Templates};
use crate::value::Str;

/// Definitions of a text that was passed to `tpl`, visible inside it only.
pub(super) struct Scope {
    pub(super) parent: Option<Rc<Scope>>,
    pub(super) names: HashMap<Arc<str>, Arc<Tree>>,
}

pub(super) struct Session<'a> {
    pub(super) templates: &'a Templates,
    pub(super) state: State<'a>,
    pub(super) out: Vec<u8>,
    pub(super) scope: Option<Rc<Scope>>,
    /// Texts that `tpl` was given before.
    pub(super) parsed: HashMap<Str, Rc<[Arc<Tree>]>>,
}

impl<'a> Session<'a> {
    pub(super) fn new(templates: &'a Templates, options: &'a Options) -> Self {
        Self {
            templates,
            state: State::new(options),
            out: Vec::new(),
            scope: None,
            parsed: HashMap::new(),
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
}
