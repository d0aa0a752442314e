//! Pipelines, commands and operands.

use std::sync::Arc;

use super::super::lexer::Kind;
use super::super::node::{Command, Expr, ExprKind, Pipe};
use super::super::number;
use super::{DEEPEST, Parser, SyntaxError, at};
use crate::fmt;
use crate::value::Str;

impl Parser<'_> {
    pub(super) fn pipeline(&mut self, context: &str, end: Kind) -> Result<Pipe, SyntaxError> {
        let first = self.peek_non_space();
        let mut pipe = Pipe {
            at: at(first.at),
            assign: false,
            declares: Vec::new(),
            commands: Vec::new(),
        };
        self.declarations(&mut pipe, context)?;
        loop {
            let token = self.next_non_space();
            match token.kind {
                kind if kind == end => {
                    self.check(&pipe, context)?;
                    return Ok(pipe);
                }
                Kind::Bool
                | Kind::CharConstant
                | Kind::Complex
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Nil
                | Kind::RawString
                | Kind::String
                | Kind::Variable
                | Kind::LeftParen => {
                    self.backup();
                    let command = self.command()?;
                    pipe.commands.push(command);
                }
                _ => return self.unexpected(&token, context),
            }
        }
    }

    fn declarations(&mut self, pipe: &mut Pipe, context: &str) -> Result<(), SyntaxError> {
        loop {
            let variable = self.peek_non_space();
            if variable.kind != Kind::Variable {
                return Ok(());
            }
            self.next();
            let after = self.peek().clone();
            let next = self.peek_non_space();
            let comma = next.kind == Kind::Char && next.text == ",";
            if comma || matches!(next.kind, Kind::Assign | Kind::Declare) {
                self.next_non_space();
                let name: Arc<str> = Arc::from(variable.text.as_ref());
                pipe.declares.push(name.clone());
                self.variables.push(name);
                if !comma {
                    pipe.assign = next.kind == Kind::Assign;
                    return Ok(());
                }
                if context != "range" || pipe.declares.len() >= 2 {
                    return self.error(format!("too many declarations in {context}"));
                }
                match self.peek_non_space().kind {
                    Kind::Variable | Kind::RightDelim | Kind::RightParen => {}
                    _ => return self.error("range can only initialize variables"),
                }
                continue;
            }
            if after.kind == Kind::Space {
                self.tokens[1] = after;
                self.tokens[2] = variable;
                self.peeked = 3;
            } else {
                self.tokens[1] = variable;
                self.peeked = 2;
            }
            return Ok(());
        }
    }

    fn check(&self, pipe: &Pipe, context: &str) -> Result<(), SyntaxError> {
        if pipe.commands.is_empty() {
            return self.error(format!("missing value for {context}"));
        }
        for (index, command) in pipe.commands.iter().enumerate().skip(1) {
            if let Some(Expr {
                kind:
                    ExprKind::Bool(_)
                    | ExprKind::Dot
                    | ExprKind::Nil
                    | ExprKind::Number(_)
                    | ExprKind::String(..),
                ..
            }) = command.arguments.first()
            {
                let stage = index + 1;
                return self.error(format!("non executable command in pipeline stage {stage}"));
            }
        }
        Ok(())
    }

    fn command(&mut self) -> Result<Command, SyntaxError> {
        let mut command = Command {
            at: at(self.peek_non_space().at),
            arguments: Vec::new(),
        };
        loop {
            self.peek_non_space();
            if let Some(operand) = self.operand()? {
                command.arguments.push(operand);
            }
            let token = self.next();
            match token.kind {
                Kind::Space => continue,
                Kind::RightDelim | Kind::RightParen => self.backup(),
                Kind::Pipe => {}
                _ => return self.unexpected(&token, "operand"),
            }
            break;
        }
        if command.arguments.is_empty() {
            return self.error("empty command");
        }
        Ok(command)
    }

    fn operand(&mut self) -> Result<Option<Expr>, SyntaxError> {
        let Some(term) = self.term()? else {
            return Ok(None);
        };
        if self.peek().kind != Kind::Field {
            return Ok(Some(term));
        }
        let position = at(self.peek().at);
        let mut names = Vec::new();
        while self.peek().kind == Kind::Field {
            names.push(Str::from(&self.next().text[1..]));
        }
        let kind = match term.kind {
            ExprKind::Field(mut fields) => {
                fields.extend(names);
                ExprKind::Field(fields)
            }
            ExprKind::Variable(name, mut fields) => {
                fields.extend(names);
                ExprKind::Variable(name, fields)
            }
            ExprKind::Bool(_)
            | ExprKind::String(..)
            | ExprKind::Number(_)
            | ExprKind::Nil
            | ExprKind::Dot => {
                let text = fmt::quote(term.to_string().as_bytes());
                return self.error(format!("unexpected . after term {text}"));
            }
            _ => ExprKind::Chain(Box::new(term), names),
        };
        Ok(Some(Expr { at: position, kind }))
    }

    fn term(&mut self) -> Result<Option<Expr>, SyntaxError> {
        let token = self.next_non_space();
        let kind = match token.kind {
            Kind::Identifier => match self.functions.find(&token.text) {
                Some(function) => ExprKind::Function(function),
                None => {
                    let name = fmt::quote(token.text.as_bytes());
                    return self.error(format!("function {name} not defined"));
                }
            },
            Kind::Dot => ExprKind::Dot,
            Kind::Nil => ExprKind::Nil,
            Kind::Variable => {
                if !self.variables.iter().any(|name| **name == token.text) {
                    let name = fmt::quote(token.text.as_bytes());
                    return self.error(format!("undefined variable {name}"));
                }
                ExprKind::Variable(Arc::from(token.text.as_ref()), Vec::new())
            }
            Kind::Field => ExprKind::Field(vec![Str::from(&token.text[1..])]),
            Kind::Bool => ExprKind::Bool(token.text == "true"),
            Kind::CharConstant | Kind::Complex | Kind::Number => {
                match number::parse(&token.text, token.kind) {
                    Ok(number) => ExprKind::Number(number),
                    Err(error) => return self.error(error),
                }
            }
            Kind::LeftParen => {
                if self.parens >= DEEPEST {
                    return self.error("max expression depth exceeded");
                }
                self.parens += 1;
                let pipe = self.pipeline("parenthesized pipeline", Kind::RightParen)?;
                self.parens -= 1;
                return Ok(Some(Expr {
                    at: pipe.at,
                    kind: ExprKind::Pipe(Box::new(pipe)),
                }));
            }
            Kind::String | Kind::RawString => {
                let text = self.unquoted(&token)?;
                ExprKind::String(token.text.as_ref().into(), text)
            }
            _ => {
                self.backup();
                return Ok(None);
            }
        };
        Ok(Some(Expr {
            at: at(token.at),
            kind,
        }))
    }
}
