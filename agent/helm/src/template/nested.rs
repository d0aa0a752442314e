//! Templates executed from within templates: `include` and `tpl`.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use super::execute::{Run, SlotValue};
use super::fault::EvalError;
use super::function::Nesting;
use super::node::Tree;
use super::output::without_no_value;
use super::parser;
use super::session::{Scope, Session};
use crate::value::{Str, Value};

/// The name that Helm gives the template set, and so to every text passed to `tpl`.
const ROOT: &str = "gotpl";

impl Nesting for Session<'_> {
    fn include(&mut self, name: &str, dot: Value) -> Result<Vec<u8>, EvalError> {
        let Some(tree) = self.lookup(name) else {
            let name = crate::fmt::quote(name.as_bytes());
            return Err(EvalError::plain(format!(
                "template: no template {name} associated with template \"{ROOT}\""
            )));
        };
        run(self, &tree, dot)
    }

    fn tpl(&mut self, text: &Str, dot: Value) -> Result<Vec<u8>, EvalError> {
        // Fast path: most texts that are passed to `tpl` contain no actions.
        if !text.as_bytes().windows(2).any(|pair| pair == b"{{") {
            return Ok(without_no_value(text.as_bytes().to_vec()));
        }
        let trees = match self.parsed.get(text) {
            Some(trees) => trees.clone(),
            None => {
                let parsed = parser::parse(self.templates.functions, ROOT, &text.lossy());
                let trees: Rc<[Arc<Tree>]> = match parsed {
                    Ok(trees) => trees.into(),
                    Err(error) => {
                        let shown = crate::fmt::quote(text.as_bytes());
                        let before = format!("cannot parse template {shown}: ");
                        return Err(EvalError::wrapped(
                            before,
                            EvalError::plain(error.to_string()),
                        ));
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
        let result = run(self, &main, dot);
        self.scope = outer;
        match result {
            Ok(text) => Ok(without_no_value(text)),
            Err(cause) => {
                let shown = crate::fmt::quote(text.as_bytes());
                let before = format!("error during tpl function execution for {shown}: ");
                Err(EvalError::wrapped(before, cause))
            }
        }
    }
}

/// Executes one template, whose output is returned and not written.
fn run(session: &mut Session<'_>, tree: &Tree, dot: Value) -> Result<Vec<u8>, EvalError> {
    let outer = std::mem::take(&mut session.out);
    let dot = SlotValue::plain(dot);
    let mut run = Run::new(session, tree, dot.clone());
    let result = run.walk(&dot, &tree.root);
    let text = std::mem::replace(&mut session.out, outer);
    result.map(|_| text)
}
