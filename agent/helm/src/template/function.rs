//! Functions as parser and execution see them: a name, Go types, and a body.
//!
//! The table of functions is an input, like Go's `FuncMap`: it comes with the templates, names are looked up while
//! parsing, and a body gets what it needs of the execution as an argument.

use std::collections::HashMap;

use super::fault::EvalError;
use super::state::{CallSite, State};
use crate::value::{IntKind, ListKind, MapKind, Str, Value};

/// A parameter's Go type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    /// `interface {}`
    Any,
    /// `reflect.Value`, which Go's own functions take: anything at all.
    Reflect,
    Str,
    Int,
    Uint32,
    Float,
    Bool,
    /// `map[string]interface {}`
    Map,
    /// `[]interface {}`
    List,
    /// `time.Time`
    Time,
    /// A certificate of sprig, which no value here can be.
    Certificate,
}

impl Type {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Any => "interface {}",
            Self::Reflect => "reflect.Value",
            Self::Str => "string",
            Self::Int => "int",
            Self::Uint32 => "uint32",
            Self::Float => "float64",
            Self::Bool => "bool",
            Self::Map => "map[string]interface {}",
            Self::List => "[]interface {}",
            Self::Time => "time.Time",
            Self::Certificate => "sprig.certificate",
        }
    }

    pub(crate) fn can_be_nil(self) -> bool {
        matches!(self, Self::Any | Self::Reflect | Self::Map | Self::List)
    }

    pub(crate) fn accepts(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Any | Self::Reflect, _)
            | (Self::Str, Value::Str(_))
            | (Self::Int, Value::Int(_, IntKind::Int))
            | (Self::Float, Value::Float(_))
            | (Self::Bool, Value::Bool(_)) => true,
            (Self::Map, Value::Map(map)) => map.kind() != MapKind::Str,
            (Self::List, Value::List(list)) => list.kind() == ListKind::Any,
            (Self::Time, Value::Host(host)) => host.type_name() == "time.Time",
            (Self::Certificate, Value::Host(host)) => host.type_name() == "sprig.certificate",
            _ => false,
        }
    }
}

/// Executes templates from within a template, for `include` and `tpl`.
pub(crate) trait Nesting {
    /// Returns the output of a template that is defined where this is called.
    fn include(&mut self, name: &str, dot: Value) -> Result<Vec<u8>, EvalError>;

    /// Returns the output of a text that is a template itself; its definitions are visible within it only.
    fn tpl(&mut self, text: &Str, dot: Value) -> Result<Vec<u8>, EvalError>;
}

pub(crate) type Pure = fn(&[Value]) -> Result<Value, String>;
pub(crate) type Placed = fn(&mut State<'_>, &CallSite, &[Value]) -> Result<Value, EvalError>;
pub(crate) type Shared = fn(&mut State<'_>, &[Value]) -> Result<Value, EvalError>;
pub(crate) type Nested = fn(&mut dyn Nesting, &[Value]) -> Result<Value, EvalError>;

/// The body of a function.
#[derive(Clone, Copy)]
pub(crate) enum Body {
    /// A function of its arguments.
    Pure(Pure),
    /// Needs what the release shares, and where it is called.
    Placed(Placed),
    /// Needs the release's limits, or the patterns that it has compiled.
    Shared(Shared),
    /// Executes other templates.
    Nested(Nested),
    /// `call`, which always fails, since no value here is a function.
    Call,
    /// `and`, which evaluates no more than it must.
    And,
    /// `or`, evaluated as `and` is.
    Or,
}

/// One function of the language.
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) params: &'static [Type],
    /// The type of any further arguments.
    pub(crate) rest: Option<Type>,
    pub(crate) body: Body,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// The functions that templates may call, by name.
#[derive(Debug)]
pub struct Functions(HashMap<&'static str, &'static Function>);

impl Functions {
    /// Makes a table; of two functions with one name, the later one counts.
    pub(crate) fn new(functions: impl IntoIterator<Item = &'static Function>) -> Self {
        let named = functions
            .into_iter()
            .map(|function| (function.name, function));
        Self(named.collect())
    }

    pub(super) fn find(&self, name: &str) -> Option<&'static Function> {
        self.0.get(name).copied()
    }
}
