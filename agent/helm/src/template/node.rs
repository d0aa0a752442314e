//! Parsed templates. Free of `Rc`, so that they may be kept and shared between renders.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use super::function::Function;
use crate::value::Str;

/// One template: a file, or what a `define` or `block` names.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) name: Arc<str>,
    /// The file that the nodes were parsed from.
    pub(crate) file: Arc<str>,
    pub(crate) text: Arc<str>,
    pub(crate) root: Vec<Node>,
}

impl Tree {
    /// Returns whether it contains only white space: such a definition does not replace another one.
    pub(crate) fn is_empty(&self) -> bool {
        self.root.iter().all(|node| match node {
            Node::Text(start, end) => {
                let text = &self.text[*start as usize..*end as usize];
                text.trim().is_empty()
            }
            _ => false,
        })
    }

    /// `file:line:column`, as Go counts: columns in bytes from 0.
    pub(crate) fn location(&self, at: u32) -> String {
        let before = &self.text[..at as usize];
        let line = self.line(at);
        let column = before
            .rfind('\n')
            .map_or(before.len(), |newline| before.len() - newline - 1);
        format!("{}:{line}:{column}", self.file)
    }

    pub(crate) fn line(&self, at: u32) -> usize {
        1 + self.text.as_bytes()[..at as usize]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
    }
}

#[derive(Debug)]
pub(crate) enum Node {
    /// Start and end in the tree's text.
    Text(u32, u32),
    Action(Pipe),
    /// The branches of `if`, `else if`, and `else`.
    If(Vec<(Pipe, Vec<Node>)>, Vec<Node>),
    With(Vec<(Pipe, Vec<Node>)>, Vec<Node>),
    Range(Pipe, Vec<Node>, Vec<Node>),
    Template(TemplateCall),
    Break,
    Continue,
}

#[derive(Debug)]
pub(crate) struct TemplateCall {
    pub(crate) at: u32,
    pub(crate) name: Arc<str>,
    pub(crate) pipe: Option<Pipe>,
}

#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) at: u32,
    pub(crate) assign: bool,
    pub(crate) declares: Vec<Arc<str>>,
    pub(crate) commands: Vec<Command>,
}

#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) at: u32,
    pub(crate) arguments: Vec<Expr>,
}

#[derive(Debug)]
pub(crate) struct Expr {
    pub(crate) at: u32,
    pub(crate) kind: ExprKind,
}

#[derive(Debug)]
pub(crate) enum ExprKind {
    Bool(bool),
    Nil,
    Dot,
    Number(Number),
    String(Box<str>, Str),
    /// `.a.b`
    Field(Vec<Str>),
    /// `$x.a.b`: the name with its sign, then fields.
    Variable(Arc<str>, Vec<Str>),
    /// `(…).a.b`
    Chain(Box<Expr>, Vec<Str>),
    Function(&'static Function),
    Pipe(Box<Pipe>),
}

/// A number as each Go type that can hold it; the context determines which one is used.
#[derive(Debug, Default)]
pub(crate) struct Number {
    pub(crate) text: Box<str>,
    pub(crate) int: Option<i64>,
    pub(crate) uint: Option<u64>,
    pub(crate) float: Option<f64>,
    pub(crate) complex: bool,
}

impl fmt::Display for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.declares.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            f.write_str(name)?;
        }
        if !self.declares.is_empty() {
            f.write_str(if self.assign { " = " } else { " := " })?;
        }
        for (index, command) in self.commands.iter().enumerate() {
            if index > 0 {
                f.write_str(" | ")?;
            }
            command.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, argument) in self.arguments.iter().enumerate() {
            if index > 0 {
                f.write_char(' ')?;
            }
            argument.fmt(f)?;
        }
        Ok(())
    }
}

fn fields(f: &mut fmt::Formatter<'_>, names: &[Str]) -> fmt::Result {
    names.iter().try_for_each(|name| write!(f, ".{name}"))
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Bool(value) => value.fmt(f),
            ExprKind::Nil => f.write_str("nil"),
            ExprKind::Dot => f.write_char('.'),
            ExprKind::Number(number) => f.write_str(&number.text),
            ExprKind::String(quoted, _) => f.write_str(quoted),
            ExprKind::Field(names) => fields(f, names),
            ExprKind::Variable(name, names) => {
                f.write_str(name)?;
                fields(f, names)
            }
            ExprKind::Chain(inner, names) => {
                inner.fmt(f)?;
                fields(f, names)
            }
            ExprKind::Function(function) => f.write_str(function.name),
            ExprKind::Pipe(pipe) => write!(f, "({pipe})"),
        }
    }
}

impl fmt::Display for TemplateCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = crate::fmt::quote(self.name.as_bytes());
        match &self.pipe {
            Some(pipe) => write!(f, "{{{{template {name} {pipe}}}}}"),
            None => write!(f, "{{{{template {name}}}}}"),
        }
    }
}
