//! Walks trees and writes output.

use std::sync::{Arc, OnceLock};

use super::fault::EvalError;
use super::node::{Command, Expr, ExprKind, Node, Pipe, TemplateCall, Tree};
use super::session::Session;
use crate::fmt;
use crate::value::{ListKind, MapKind, Value};

/// A value, and whether it was found in a slot of type `interface {}`, which Go's errors tell apart.
#[derive(Clone, Debug)]
pub(super) struct SlotValue {
    pub(super) value: Value,
    pub(super) boxed: bool,
}

impl SlotValue {
    pub(super) fn plain(value: Value) -> Self {
        Self {
            value,
            boxed: false,
        }
    }

    pub(super) fn boxed(value: Value) -> Self {
        Self { value, boxed: true }
    }

    /// Returns the type that Go would name: that of the slot, if there is one.
    pub(super) fn type_name(&self) -> &str {
        if self.boxed {
            "interface {}"
        } else {
            fmt::type_name(&self.value)
        }
    }
}

/// The node that is being executed, for errors.
#[derive(Clone, Copy)]
pub(super) enum CurrentNode<'t> {
    Start,
    Expr(&'t Expr),
    Command(&'t Command),
    Pipe(&'t Pipe),
    Template(&'t TemplateCall),
}

/// How a list of nodes ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    On,
    Break,
    Continue,
}

/// The dot within a branch that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dot {
    /// What it was, as in `if`.
    Unchanged,
    /// The value of the branch's pipeline, as in `with`.
    Value,
}

/// One template being executed.
pub(super) struct Run<'t, 'e, 'a> {
    pub(super) session: &'e mut Session<'a>,
    pub(super) tree: &'t Tree,
    pub(super) at: CurrentNode<'t>,
    variables: Vec<(Arc<str>, SlotValue)>,
}

impl<'t, 'e, 'a> Run<'t, 'e, 'a> {
    pub(super) fn new(session: &'e mut Session<'a>, tree: &'t Tree, dot: SlotValue) -> Self {
        Self {
            session,
            tree,
            at: CurrentNode::Start,
            variables: vec![(root(), dot)],
        }
    }

    /// Returns `file:line:column`, the line and the expression of the node that is being executed.
    pub(super) fn place(&self) -> (String, usize, String) {
        let (at, context) = match self.at {
            CurrentNode::Start => (0, String::new()),
            CurrentNode::Pipe(pipe) => (pipe.at, pipe.to_string()),
            CurrentNode::Expr(expr) => match &expr.kind {
                ExprKind::Pipe(pipe) => (pipe.at, pipe.to_string()),
                _ => (expr.at, expr.to_string()),
            },
            CurrentNode::Command(command) => (command.at, command.to_string()),
            CurrentNode::Template(call) => (call.at, call.to_string()),
        };
        (self.tree.location(at), self.tree.line(at), context)
    }

    fn before_message(&self) -> String {
        let (location, _, context) = self.place();
        let name = fmt::quote(self.tree.name.as_bytes());
        format!("template: {location}: executing {name} at <{context}>: ")
    }

    /// Returns an error at the node that is being executed.
    pub(super) fn fault(&self, message: impl std::fmt::Display) -> EvalError {
        EvalError::placed(format!("{}{message}", self.before_message()), None)
    }

    /// Returns an error of the function that is being called.
    pub(super) fn wrap(&self, name: &str, cause: EvalError) -> EvalError {
        let text = format!("{}error calling {name}: ", self.before_message());
        EvalError::placed(text, Some(cause))
    }

    pub(super) fn step(&mut self, count: usize) -> Result<(), EvalError> {
        match self.session.state.meter.step(count) {
            Ok(()) => Ok(()),
            Err(exceeded) => Err(self.fault(exceeded)),
        }
    }

    fn write(&mut self, text: &[u8]) -> Result<(), EvalError> {
        self.session.out.extend_from_slice(text);
        self.produced(text.len())
    }

    fn produced(&mut self, count: usize) -> Result<(), EvalError> {
        match self.session.state.meter.produced(count) {
            Ok(()) => Ok(()),
            Err(exceeded) => Err(self.fault(exceeded)),
        }
    }

    pub(super) fn enter(&mut self) -> Result<(), EvalError> {
        match self.session.state.meter.enter() {
            Ok(()) => Ok(()),
            Err(exceeded) => Err(self.fault(exceeded)),
        }
    }

    pub(super) fn walk(&mut self, dot: &SlotValue, nodes: &'t [Node]) -> Result<Flow, EvalError> {
        self.enter()?;
        for node in nodes {
            self.step(1)?;
            let flow = match node {
                Node::Text(start, end) => {
                    let tree = self.tree;
                    self.write(&tree.text.as_bytes()[*start as usize..*end as usize])?;
                    Flow::On
                }
                Node::Action(pipe) => {
                    let value = self.pipeline(dot, pipe)?;
                    if pipe.declares.is_empty() {
                        self.print(&value)?;
                    }
                    Flow::On
                }
                Node::If(branches, otherwise) => {
                    self.branch(dot, branches, otherwise, Dot::Unchanged)?
                }
                Node::With(branches, otherwise) => {
                    self.branch(dot, branches, otherwise, Dot::Value)?
                }
                Node::Range(pipe, body, otherwise) => self.range(dot, pipe, body, otherwise)?,
                Node::Template(call) => {
                    self.template(dot, call)?;
                    Flow::On
                }
                Node::Break => Flow::Break,
                Node::Continue => Flow::Continue,
            };
            if flow != Flow::On {
                self.session.state.meter.leave();
                return Ok(flow);
            }
        }
        self.session.state.meter.leave();
        Ok(Flow::On)
    }

    fn print(&mut self, value: &Value) -> Result<(), EvalError> {
        let before = self.session.out.len();
        match value {
            Value::Nil => self.session.out.extend_from_slice(b"<no value>"),
            other => fmt::append(&mut self.session.out, other),
        }
        let printed = self.session.out.len() - before;
        self.produced(printed)
    }

    fn branch(
        &mut self,
        dot: &SlotValue,
        branches: &'t [(Pipe, Vec<Node>)],
        otherwise: &'t [Node],
        inside: Dot,
    ) -> Result<Flow, EvalError> {
        let mark = self.variables.len();
        for (pipe, nodes) in branches {
            let value = self.pipeline(dot, pipe)?;
            if truth(&value) {
                let flow = match inside {
                    Dot::Unchanged => self.walk(dot, nodes)?,
                    Dot::Value => self.walk(&SlotValue::plain(value), nodes)?,
                };
                self.variables.truncate(mark);
                return Ok(flow);
            }
        }
        let flow = if otherwise.is_empty() {
            Flow::On
        } else {
            self.walk(dot, otherwise)?
        };
        self.variables.truncate(mark);
        Ok(flow)
    }

    fn range(
        &mut self,
        dot: &SlotValue,
        pipe: &'t Pipe,
        body: &'t [Node],
        otherwise: &'t [Node],
    ) -> Result<Flow, EvalError> {
        let mark = self.variables.len();
        let value = self.pipeline(dot, pipe)?;
        let ran = self.iterate(&value, pipe, body)?;
        let flow = if ran || otherwise.is_empty() {
            Flow::On
        } else {
            self.walk(dot, otherwise)?
        };
        self.variables.truncate(mark);
        Ok(flow)
    }

    /// Runs a range; returns whether it had any elements.
    fn iterate(
        &mut self,
        value: &Value,
        pipe: &'t Pipe,
        body: &'t [Node],
    ) -> Result<bool, EvalError> {
        match value {
            Value::Nil => Ok(false),
            Value::List(list) => {
                let items = list.items();
                let boxed = list.kind() == ListKind::Any;
                for (index, item) in items.iter().enumerate() {
                    let key = i64::try_from(index).unwrap_or(i64::MAX);
                    let element = SlotValue {
                        value: item.clone(),
                        boxed,
                    };
                    if !self.iteration(pipe, body, Value::int(key), &element)? {
                        break;
                    }
                }
                Ok(!items.is_empty())
            }
            Value::Map(map) => {
                let entries = map.entries();
                let boxed = map.kind() != MapKind::Str;
                let any = !entries.is_empty();
                for (key, value) in entries {
                    if !self.iteration(pipe, body, Value::Str(key), &SlotValue { value, boxed })? {
                        break;
                    }
                }
                Ok(any)
            }
            Value::Int(..) | Value::Uint(..) => {
                if pipe.declares.len() > 1 {
                    let shown = shown(value);
                    let message =
                        format!("can't use {shown} to iterate over more than one variable");
                    return Err(self.fault(message));
                }
                self.count(value, pipe, body)
            }
            Value::Host(host) => match host.entries() {
                Some(entries) => {
                    let any = !entries.is_empty();
                    for (key, element) in entries {
                        if !self.iteration(pipe, body, key, &SlotValue::plain(element))? {
                            break;
                        }
                    }
                    Ok(any)
                }
                None => Err(self.fault(format!("range can't iterate over {}", shown(value)))),
            },
            other => Err(self.fault(format!("range can't iterate over {}", shown(other)))),
        }
    }

    fn count(
        &mut self,
        limit: &Value,
        pipe: &'t Pipe,
        body: &'t [Node],
    ) -> Result<bool, EvalError> {
        let make: Box<dyn Fn(u64) -> Value> = match limit {
            Value::Uint(_, kind) => {
                let kind = *kind;
                Box::new(move |number| Value::Uint(number, kind))
            }
            Value::Int(_, kind) => {
                let kind = *kind;
                Box::new(move |number| Value::Int(number.cast_signed(), kind))
            }
            _ => return Ok(false),
        };
        let limit = match limit {
            Value::Int(limit, _) => u64::try_from(*limit).unwrap_or(0),
            Value::Uint(limit, _) => *limit,
            _ => 0,
        };
        for number in 0..limit {
            if !self.iteration(pipe, body, Value::Nil, &SlotValue::plain(make(number)))? {
                break;
            }
        }
        Ok(limit > 0)
    }

    /// Runs one iteration of a range; returns whether to continue.
    fn iteration(
        &mut self,
        pipe: &'t Pipe,
        body: &'t [Node],
        index: Value,
        element: &SlotValue,
    ) -> Result<bool, EvalError> {
        self.step(1)?;
        let index = SlotValue::plain(index);
        match (pipe.declares.as_slice(), pipe.assign) {
            ([], _) => {}
            ([name], true) => self.assign(name, element.clone())?,
            ([first, second, ..], true) => {
                self.assign(first, index)?;
                self.assign(second, element.clone())?;
            }
            ([_], false) => self.set_top(1, element.clone()),
            (_, false) => {
                self.set_top(1, element.clone());
                self.set_top(2, index);
            }
        }
        let mark = self.variables.len();
        let flow = self.walk(element, body)?;
        self.variables.truncate(mark);
        Ok(flow != Flow::Break)
    }

    fn set_top(&mut self, depth: usize, value: SlotValue) {
        let index = self.variables.len().checked_sub(depth);
        if let Some(slot) = index.and_then(|index| self.variables.get_mut(index)) {
            slot.1 = value;
        }
    }

    fn assign(&mut self, name: &str, value: SlotValue) -> Result<(), EvalError> {
        match self
            .variables
            .iter_mut()
            .rev()
            .find(|slot| *slot.0 == *name)
        {
            Some(slot) => {
                slot.1 = value;
                Ok(())
            }
            None => Err(self.fault(format!("undefined variable: {name}"))),
        }
    }

    pub(super) fn variable(&self, name: &str) -> Result<&SlotValue, EvalError> {
        match self.variables.iter().rev().find(|slot| *slot.0 == *name) {
            Some(slot) => Ok(&slot.1),
            None => Err(self.fault(format!("undefined variable: {name}"))),
        }
    }

    fn template(&mut self, dot: &SlotValue, call: &'t TemplateCall) -> Result<(), EvalError> {
        self.at = CurrentNode::Template(call);
        let Some(tree) = self.session.lookup(&call.name) else {
            let name = fmt::quote(call.name.as_bytes());
            return Err(self.fault(format!("template {name} not defined")));
        };
        let dot = match &call.pipe {
            Some(pipe) => self.pipeline(dot, pipe)?,
            None => Value::Nil,
        };
        self.enter()?;
        let dot = SlotValue::plain(dot);
        let mut run = Run::new(self.session, &tree, dot.clone());
        run.walk(&dot, &tree.root)?;
        self.session.state.meter.leave();
        Ok(())
    }

    pub(super) fn pipeline(&mut self, dot: &SlotValue, pipe: &'t Pipe) -> Result<Value, EvalError> {
        self.enter()?;
        self.at = CurrentNode::Pipe(pipe);
        let mut value = None;
        for command in &pipe.commands {
            value = Some(self.command(dot, command, value)?);
        }
        let value = value.unwrap_or_default();
        for name in &pipe.declares {
            let got = SlotValue::plain(value.clone());
            if pipe.assign {
                self.assign(name, got)?;
            } else {
                self.variables.push((name.clone(), got));
            }
        }
        self.session.state.meter.leave();
        Ok(value)
    }
}

/// The name of the first variable of every template.
fn root() -> Arc<str> {
    static ROOT: OnceLock<Arc<str>> = OnceLock::new();
    ROOT.get_or_init(|| Arc::from("$")).clone()
}

/// `%v`, for an error.
pub(super) fn shown(value: &Value) -> String {
    String::from_utf8_lossy(&fmt::sprint(std::slice::from_ref(value))).into_owned()
}

/// Returns whether `if` takes the value as true.
pub(crate) fn truth(value: &Value) -> bool {
    match value {
        Value::Nil => false,
        Value::Bool(value) => *value,
        Value::Int(number, _) => *number != 0,
        Value::Uint(number, _) => *number != 0,
        Value::Float(number) => *number != 0.0,
        Value::Str(text) => !text.is_empty(),
        Value::List(list) => !list.is_empty(),
        Value::Map(map) => !map.is_empty(),
        Value::Host(host) => host.truth(),
    }
}
