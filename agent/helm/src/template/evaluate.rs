//! Commands, fields and calls: what expressions are worth.

use super::execute::{At, Got, Run, truth};
use super::fault::Fault;
use super::function::{Body, Function, Type};
use super::methods;
use super::node::{Command, Expr, ExprKind, Number};
use super::state::Place;
use crate::fmt;
use crate::value::{MapKind, Str, UintKind, Value};

impl<'t> Run<'t, '_, '_> {
    /// One command of a pipeline; the value before it is its last argument.
    pub(super) fn command(
        &mut self,
        dot: &Got,
        command: &'t Command,
        last: Option<Value>,
    ) -> Result<Value, Fault> {
        let Some((first, arguments)) = command.arguments.split_first() else {
            return Ok(Value::Nil);
        };
        match &first.kind {
            ExprKind::Field(names) => {
                self.at = At::Expr(first);
                let got = self.chain(dot, dot, names, arguments, last)?;
                return Ok(got.value);
            }
            ExprKind::Chain(inner, names) => {
                let receiver = self.inner(dot, first, inner)?;
                let got = self.chain(dot, &receiver, names, arguments, last)?;
                return Ok(got.value);
            }
            ExprKind::Function(function) => {
                self.at = At::Expr(first);
                return self.call(dot, function, At::Command(command), arguments, last);
            }
            ExprKind::Pipe(pipe) => {
                self.no_arguments(first, arguments, last.as_ref())?;
                return self.pipeline(dot, pipe);
            }
            ExprKind::Variable(name, names) => {
                self.at = At::Expr(first);
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
        self.at = At::Expr(first);
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
    ) -> Result<(), Fault> {
        if arguments.is_empty() && last.is_none() {
            return Ok(());
        }
        let shown = shown_without_parentheses(first);
        Err(self.fault(format!("can't give argument to non-function {shown}")))
    }

    /// What a number is where nobody asks for a type: its spelling says.
    fn ideal(&self, number: &Number) -> Result<Value, Fault> {
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

    /// What stands in parentheses before `.Field`.
    fn inner(&mut self, dot: &Got, chain: &'t Expr, inner: &'t Expr) -> Result<Got, Fault> {
        self.at = At::Expr(chain);
        if matches!(inner.kind, ExprKind::Nil) {
            let message = format!("indirection through explicit nil in {chain}");
            return Err(self.fault(message));
        }
        let value = self.argument(dot, Type::Any, inner)?;
        Ok(Got::plain(value))
    }

    /// `.a.b.c` of a receiver; the last name may be a method, which takes the arguments.
    fn chain(
        &mut self,
        dot: &Got,
        receiver: &Got,
        names: &[Str],
        arguments: &'t [Expr],
        last: Option<Value>,
    ) -> Result<Got, Fault> {
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
        dot: &Got,
        receiver: &Got,
        name: &Str,
        arguments: &'t [Expr],
        last: Option<Value>,
    ) -> Result<Got, Fault> {
        let has_arguments = !arguments.is_empty() || last.is_some();
        match &receiver.value {
            Value::Nil if receiver.boxed => {
                Err(self.fault(format!("nil pointer evaluating interface {{}}.{name}")))
            }
            Value::Nil => Ok(Got::plain(Value::Nil)),
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
                        Ok(value) => Ok(Got::plain(value)),
                        Err(message) => {
                            self.at = at;
                            Err(self.wrap(&name.lossy(), Fault::plain(message)))
                        }
                    };
                }
                if has_arguments {
                    return Err(self.fault(format!("{name} is not a method but has arguments")));
                }
                let value = map.get(name);
                if map.kind() == MapKind::Str {
                    return Ok(Got::plain(value.unwrap_or_else(|| Value::from(""))));
                }
                Ok(Got::boxed(value.unwrap_or_default()))
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
                        Ok(value) => Ok(Got::plain(value)),
                        Err(message) => {
                            self.at = at;
                            Err(self.wrap(&text, Fault::plain(message)))
                        }
                    };
                }
                if let Some(value) = host.field(&text) {
                    if has_arguments {
                        let message =
                            format!("{name} has arguments but cannot be invoked as function");
                        return Err(self.fault(message));
                    }
                    return Ok(Got::plain(value));
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

    /// Calls a function; `node` is what an error of it points at.
    fn call(
        &mut self,
        dot: &Got,
        function: &'static Function,
        node: At<'t>,
        arguments: &'t [Expr],
        last: Option<Value>,
    ) -> Result<Value, Fault> {
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
            let last = Got::plain(last);
            values.push(self.fitting(last, parameter(arguments.len()))?);
        }
        let result = match function.body {
            Body::Call => {
                let named = arguments.first().map(shown_without_parentheses);
                let name =
                    named.unwrap_or_else(|| format!("<{} Value>", fmt::type_name(&values[0])));
                Err(Fault::plain(match &values[0] {
                    Value::Nil => "call of nil".to_owned(),
                    other => {
                        let kind = fmt::type_name(other);
                        format!("non-function {name} of type {kind}")
                    }
                }))
            }
            Body::Pure(body) => body(&values).map_err(Fault::plain),
            Body::Placed(body) => {
                self.at = node;
                let place = Place {
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
    fn argument(&mut self, dot: &Got, kind: Type, expr: &'t Expr) -> Result<Value, Fault> {
        self.at = At::Expr(expr);
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
            ExprKind::Pipe(pipe) => Got::plain(self.pipeline(dot, pipe)?),
            ExprKind::Function(function) => {
                let value = self.call(dot, function, At::Expr(expr), &[], None)?;
                Got::plain(value)
            }
            ExprKind::Chain(inner, names) => {
                let receiver = self.inner(dot, expr, inner)?;
                self.chain(dot, &receiver, names, &[], None)?
            }
            _ => return self.literal(kind, expr),
        };
        self.fitting(got, kind)
    }

    fn literal(&self, kind: Type, expr: &Expr) -> Result<Value, Fault> {
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

    /// The value, if a parameter of this type takes it.
    fn fitting(&self, got: Got, kind: Type) -> Result<Value, Fault> {
        if kind.accepts(&got.value) {
            return Ok(match got.value {
                // A parameter's type is what the function knows of the map.
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

/// What a result counts for in steps: a function that makes much does much.
fn weight(value: &Value) -> usize {
    match value {
        Value::Str(text) => text.len() / 256,
        Value::List(list) => list.len() / 16,
        Value::Map(map) => map.len() / 16,
        _ => 0,
    }
}
