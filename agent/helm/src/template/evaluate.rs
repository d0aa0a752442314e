//! Evaluates commands, fields and calls.

use super::execute::{CurrentNode, Run, SlotValue, truth};
use super::fault::EvalError;
use super::function::{Body, Function, Type};
use super::methods;
use super::node::{Command, Expr, ExprKind, Number};
use super::state::CallSite;
use crate::fmt;
use crate::value::{MapKind, Str, UintKind, Value};

impl<'t> Run<'t, '_, '_> {
    /// One command of a pipeline; the value before it is its last argument.
    pub(super) fn command(
        &mut self,
        dot: &SlotValue,
        command: &'t Command,
        last: Option<Value>,
    ) -> Result<Value, EvalError> {
        let Some((first, arguments)) = command.arguments.split_first() else {
            return Ok(Value::Nil);
        };
        match &first.kind {
            ExprKind::Field(names) => {
                self.at = CurrentNode::Expr(first);
                let got = self.chain(dot, dot, names, arguments, last)?;
                return Ok(got.value);
            }
            ExprKind::Chain(inner, names) => {
                let receiver = self.inner(dot, first, inner)?;
                let got = self.chain(dot, &receiver, names, arguments, last)?;
                return Ok(got.value);
            }
            ExprKind::Function(function) => {
                self.at = CurrentNode::Expr(first);
                return self.call(
                    dot,
                    function,
                    CurrentNode::Command(command),
                    arguments,
                    last,
                );
            }
            ExprKind::Pipe(pipe) => {
                self.no_arguments(first, arguments, last.as_ref())?;
                return self.pipeline(dot, pipe);
            }
            ExprKind::Variable(name, names) => {
                self.at = CurrentNode::Expr(first);
                let receiver = self.variable(name)?.clone();
                if names.is_empty() {
                    self.no_arguments(first, arguments, last.as_ref())?;
                    return Ok(receiver.value);
                }
                let got = self.chain(dot, &receiver, names, arguments, last)?;
                return Ok(got.value);
            }
            _ => {}
        }
        self.at = CurrentNode::Expr(first);
        self.no_arguments(first, arguments, last.as_ref())?;
        match &first.kind {
            ExprKind::Bool(value) => Ok(Value::Bool(*value)),
            ExprKind::Dot => Ok(dot.value.clone()),
            ExprKind::Number(number) => self.ideal(number),
            ExprKind::String(_, text) => Ok(Value::Str(text.clone())),
            _ => Err(self.fault("nil is not a command")),
        }
    }

    fn no_arguments(
        &mut self,
        first: &Expr,
        arguments: &[Expr],
        last: Option<&Value>,
    ) -> Result<(), EvalError> {
        if arguments.is_empty() && last.is_none() {
            return Ok(());
        }
        let shown = shown_without_parentheses(first);
        Err(self.fault(format!("can't give argument to non-function {shown}")))
    }

    /// Returns a number where no type is required: its spelling determines the type.
    fn ideal(&self, number: &Number) -> Result<Value, EvalError> {
        if number.complex {
            let text = &number.text;
            return Err(self.fault(format!("complex numbers such as {text} are not supported")));
        }
        let text: &str = &number.text;
        let character = text.starts_with('\'');
        let hexadecimal = text.len() > 2
            && (text.starts_with("0x") || text.starts_with("0X"))
            && !text.contains(['p', 'P']);
        if let Some(float) = number.float
            && !character
            && !hexadecimal
            && text.contains(['.', 'e', 'E', 'p', 'P'])
        {
            return Ok(Value::Float(float));
        }
        match number.int {
            Some(int) => Ok(Value::int(int)),
            None => Err(self.fault(format!("{text} overflows int"))),
        }
    }

    /// Evaluates the parentheses before `.Field`.
    fn inner(
        &mut self,
        dot: &SlotValue,
        chain: &'t Expr,
        inner: &'t Expr,
    ) -> Result<SlotValue, EvalError> {
        self.at = CurrentNode::Expr(chain);
        if matches!(inner.kind, ExprKind::Nil) {
            let message = format!("indirection through explicit nil in {chain}");
            return Err(self.fault(message));
        }
        let value = self.argument(dot, Type::Any, inner)?;
        Ok(SlotValue::plain(value))
    }

    /// Evaluates `.a.b.c` of a receiver; the last name may be a method, which gets the arguments.
    fn chain(
        &mut self,
        dot: &SlotValue,
        receiver: &SlotValue,
        names: &[Str],
        arguments: &'t [Expr],
        last: Option<Value>,
    ) -> Result<SlotValue, EvalError> {
        let Some((final_name, names)) = names.split_last() else {
            return Ok(receiver.clone());
        };
        let mut current = None;
        for name in names {
            let got = self.field(dot, current.as_ref().unwrap_or(receiver), name, &[], None)?;
            current = Some(got);
        }
        let receiver = current.as_ref().unwrap_or(receiver);
        self.field(dot, receiver, final_name, arguments, last)
    }

    fn field(
        &mut self,
        dot: &SlotValue,
        receiver: &SlotValue,
        name: &Str,
        arguments: &'t [Expr],
        last: Option<Value>,
    ) -> Result<SlotValue, EvalError> {
        let has_arguments = !arguments.is_empty() || last.is_some();
        match &receiver.value {
            Value::Nil if receiver.boxed => {
                Err(self.fault(format!("nil pointer evaluating interface {{}}.{name}")))
            }
            Value::Nil => Ok(SlotValue::plain(Value::Nil)),
            Value::Map(map) => {
                if map.kind() == MapKind::Values
                    && let Some(method) = methods::find(&name.lossy())
                {
                    let at = self.at;
                    let mut values = vec![receiver.value.clone()];
                    for argument in arguments {
                        values.push(self.argument(dot, Type::Any, argument)?);
                    }
                    values.extend(last);
                    return match method(&values) {
                        Ok(value) => Ok(SlotValue::plain(value)),
                        Err(message) => {
                            self.at = at;
                            Err(self.wrap(&name.lossy(), EvalError::plain(message)))
                        }
                    };
                }
                if has_arguments {
                    return Err(self.fault(format!("{name} is not a method but has arguments")));
                }
                let value = map.get(name);
                if map.kind() == MapKind::Str {
                    return Ok(SlotValue::plain(value.unwrap_or_else(|| Value::from(""))));
                }
                Ok(SlotValue::boxed(value.unwrap_or_default()))
            }
            Value::Host(host) => {
                let text = name.lossy();
                if host.has_method(&text) {
                    let at = self.at;
                    let mut values = Vec::with_capacity(arguments.len() + 1);
                    for argument in arguments {
                        values.push(self.argument(dot, Type::Any, argument)?);
                    }
                    values.extend(last);
                    return match host.call(&text, &values) {
                        Ok(value) => Ok(SlotValue::plain(value)),
                        Err(message) => {
                            self.at = at;
                            Err(self.wrap(&text, EvalError::plain(message)))
                        }
                    };
                }
                if let Some(value) = host.field(&text) {
                    if has_arguments {
                        let message =
                            format!("{name} has arguments but cannot be invoked as function");
                        return Err(self.fault(message));
                    }
                    return Ok(SlotValue::plain(value));
                }
                let kind = receiver.type_name();
                Err(self.fault(format!("can't evaluate field {name} in type {kind}")))
            }
            _ => {
                let kind = receiver.type_name();
                Err(self.fault(format!("can't evaluate field {name} in type {kind}")))
            }
        }
    }

    /// Calls a function; its errors point at `node`.
    fn call(
        &mut self,
        dot: &SlotValue,
        function: &'static Function,
        node: CurrentNode<'t>,
        arguments: &'t [Expr],
        last: Option<Value>,
    ) -> Result<Value, EvalError> {
        let count = arguments.len() + usize::from(last.is_some());
        let fixed = function.params.len();
        if function.rest.is_some() {
            if count < fixed {
                return Err(self.fault(format!(
                    "wrong number of args for {}: want at least {fixed} got {}",
                    function.name,
                    arguments.len()
                )));
            }
        } else if count != fixed {
            return Err(self.fault(format!(
                "wrong number of args for {}: want {fixed} got {count}",
                function.name
            )));
        }
        if let Body::And | Body::Or = function.body {
            let or = matches!(function.body, Body::Or);
            let mut value = Value::Nil;
            for argument in arguments {
                value = self.argument(dot, Type::Reflect, argument)?;
                if truth(&value) == or {
                    return Ok(value);
                }
            }
            return Ok(last.unwrap_or(value));
        }
        let parameter = |index: usize| {
            let fixed = function.params.get(index).copied();
            fixed.or(function.rest).unwrap_or(Type::Any)
        };
        let mut values = Vec::with_capacity(count);
        for (index, argument) in arguments.iter().enumerate() {
            values.push(self.argument(dot, parameter(index), argument)?);
        }
        if let Some(last) = last {
            let last = SlotValue::plain(last);
            values.push(self.fitting(last, parameter(arguments.len()))?);
        }
        let result = match function.body {
            Body::Call => {
                let named = arguments.first().map(shown_without_parentheses);
                let name =
                    named.unwrap_or_else(|| format!("<{} Value>", fmt::type_name(&values[0])));
                Err(EvalError::plain(match &values[0] {
                    Value::Nil => "call of nil".to_owned(),
                    other => {
                        let kind = fmt::type_name(other);
                        format!("non-function {name} of type {kind}")
                    }
                }))
            }
            Body::Pure(body) => body(&values).map_err(EvalError::plain),
            Body::Placed(body) => {
                self.at = node;
                let place = CallSite {
                    template: self.tree.file.clone(),
                    line: self.place().1,
                };
                body(&mut self.session.state, &place, &values)
            }
            Body::Shared(body) => body(&mut self.session.state, &values),
            Body::Nested(body) => body(self.session, &values),
            Body::And | Body::Or => Ok(Value::Nil),
        };
        match result {
            Ok(value) => {
                self.at = node;
                self.step(1 + weight(&value))?;
                Ok(value)
            }
            Err(cause) => {
                self.at = node;
                Err(self.wrap(function.name, cause))
            }
        }
    }

    /// An argument, which must fit the parameter's type.
    fn argument(
        &mut self,
        dot: &SlotValue,
        kind: Type,
        expr: &'t Expr,
    ) -> Result<Value, EvalError> {
        self.at = CurrentNode::Expr(expr);
        let got = match &expr.kind {
            ExprKind::Dot => dot.clone(),
            ExprKind::Nil => {
                if kind.can_be_nil() {
                    return Ok(Value::Nil);
                }
                return Err(self.fault(format!("cannot assign nil to {}", kind.name())));
            }
            ExprKind::Field(names) => self.chain(dot, dot, names, &[], None)?,
            ExprKind::Variable(name, names) => {
                let receiver = self.variable(name)?;
                if names.is_empty() {
                    receiver.clone()
                } else {
                    let receiver = receiver.clone();
                    self.chain(dot, &receiver, names, &[], None)?
                }
            }
            ExprKind::Pipe(pipe) => SlotValue::plain(self.pipeline(dot, pipe)?),
            ExprKind::Function(function) => {
                let value = self.call(dot, function, CurrentNode::Expr(expr), &[], None)?;
                SlotValue::plain(value)
            }
            ExprKind::Chain(inner, names) => {
                let receiver = self.inner(dot, expr, inner)?;
                self.chain(dot, &receiver, names, &[], None)?
            }
            _ => return self.literal(kind, expr),
        };
        self.fitting(got, kind)
    }

    fn literal(&self, kind: Type, expr: &Expr) -> Result<Value, EvalError> {
        let expected = match (kind, &expr.kind) {
            (Type::Any | Type::Reflect, ExprKind::Bool(value)) => return Ok(Value::Bool(*value)),
            (Type::Any | Type::Reflect, ExprKind::Number(number)) => return self.ideal(number),
            (Type::Any | Type::Reflect | Type::Str, ExprKind::String(_, text)) => {
                return Ok(Value::Str(text.clone()));
            }
            (Type::Bool, ExprKind::Bool(value)) => return Ok(Value::Bool(*value)),
            (Type::Int, ExprKind::Number(Number { int: Some(int), .. })) => {
                return Ok(Value::int(*int));
            }
            (
                Type::Float,
                ExprKind::Number(Number {
                    float: Some(float), ..
                }),
            ) => {
                return Ok(Value::Float(*float));
            }
            (
                Type::Uint32,
                ExprKind::Number(Number {
                    uint: Some(uint), ..
                }),
            ) => {
                return Ok(Value::Uint(*uint, UintKind::Uint));
            }
            (Type::Uint32, _) => "unsigned integer",
            (Type::Str, _) => "string",
            (Type::Bool, _) => "bool",
            (Type::Int, _) => "integer",
            (Type::Float, _) => "float",
            _ => {
                let name = kind.name();
                return Err(self.fault(format!("can't handle {expr} for arg of type {name}")));
            }
        };
        Err(self.fault(format!("expected {expected}; found {expr}")))
    }

    /// Converts a value to a parameter's type, or refuses it.
    fn fitting(&self, got: SlotValue, kind: Type) -> Result<Value, EvalError> {
        if kind.accepts(&got.value) {
            return Ok(match got.value {
                // The function sees the map as the type of its parameter.
                Value::Map(map) if kind == Type::Map => Value::Map(map.with_kind(MapKind::Any)),
                value => value,
            });
        }
        let name = kind.name();
        if got.value.is_nil() && !got.boxed {
            if kind.can_be_nil() {
                return Ok(Value::Nil);
            }
            return Err(self.fault(format!("invalid value; expected {name}")));
        }
        let given = if got.value.is_nil() {
            "interface {}"
        } else {
            fmt::type_name(&got.value)
        };
        Err(self.fault(format!(
            "wrong type for value; expected {name}; got {given}"
        )))
    }
}

fn shown_without_parentheses(expr: &Expr) -> String {
    match &expr.kind {
        ExprKind::Pipe(pipe) => pipe.to_string(),
        _ => expr.to_string(),
    }
}

/// Returns the steps that a result counts as: a large result takes much work.
fn weight(value: &Value) -> usize {
    match value {
        Value::Str(text) => text.len() / 256,
        Value::List(list) => list.len() / 16,
        Value::Map(map) => map.len() / 16,
        _ => 0,
    }
}
