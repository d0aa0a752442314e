//! Tokens to trees.

mod pipeline;

use std::sync::Arc;

use super::function::Functions;
use super::lexer::{Kind, Lexer, Token};
use super::node::{Node, Pipe, TemplateCall, Tree};
use crate::fmt;
use crate::value::Str;

/// How deep parentheses may nest, and how deep `if`, `with` and `range`.
const DEEPEST: usize = 100;

/// What is wrong with a text, and where, in Go's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("template: {file}:{line}: {message}")]
pub(crate) struct SyntaxError {
    file: Arc<str>,
    line: usize,
    message: String,
}

/// Parses a text into the templates that it defines; that of the file itself comes last.
pub(crate) fn parse(
    functions: &'static Functions,
    name: &str,
    text: &str,
) -> Result<Vec<Arc<Tree>>, SyntaxError> {
    let shared: Arc<str> = Arc::from(text);
    let file: Arc<str> = Arc::from(name);
    let mut parser = Parser {
        functions,
        lexer: Lexer::new(text),
        file: file.clone(),
        text: shared,
        tokens: std::array::from_fn(|_| Token {
            kind: Kind::End,
            at: 0,
            text: "".into(),
            line: 0,
        }),
        peeked: 0,
        variables: vec!["$".into()],
        defined: Vec::new(),
        ranges: 0,
        parens: 0,
        nesting: 0,
        action_line: 0,
    };
    if u32::try_from(text.len()).is_err() {
        return Err(SyntaxError {
            file,
            line: 1,
            message: "the text is larger than 4 GiB".to_owned(),
        });
    }
    let root = parser.file()?;
    parser.add(file, root)?;
    Ok(parser.defined)
}

/// Where a list of nodes ended.
enum Stop {
    End,
    Else,
}

impl Stop {
    fn text(&self) -> &'static str {
        match self {
            Self::End => "{{end}}",
            Self::Else => "{{else}}",
        }
    }
}

enum Item {
    Node(Node),
    Stop(Stop),
}

struct Parser<'t> {
    functions: &'static Functions,
    lexer: Lexer<'t>,
    file: Arc<str>,
    text: Arc<str>,
    /// Three tokens of lookahead: a space may stand between a variable and what follows it.
    tokens: [Token<'t>; 3],
    peeked: usize,
    variables: Vec<Arc<str>>,
    defined: Vec<Arc<Tree>>,
    ranges: usize,
    parens: usize,
    nesting: usize,
    action_line: usize,
}

fn at(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

impl<'t> Parser<'t> {
    fn next(&mut self) -> Token<'t> {
        if self.peeked > 0 {
            self.peeked -= 1;
        } else {
            self.tokens[0] = self.lexer.next();
        }
        self.tokens[self.peeked].clone()
    }

    fn backup(&mut self) {
        self.peeked += 1;
    }

    fn peek(&mut self) -> &Token<'t> {
        if self.peeked == 0 {
            self.peeked = 1;
            self.tokens[0] = self.lexer.next();
        }
        &self.tokens[self.peeked - 1]
    }

    fn next_non_space(&mut self) -> Token<'t> {
        loop {
            let token = self.next();
            if token.kind != Kind::Space {
                return token;
            }
        }
    }

    fn peek_non_space(&mut self) -> Token<'t> {
        let token = self.next_non_space();
        self.backup();
        token
    }

    fn error<T>(&self, message: impl std::fmt::Display) -> Result<T, SyntaxError> {
        Err(SyntaxError {
            file: self.file.clone(),
            line: self.tokens[0].line,
            message: message.to_string(),
        })
    }

    fn unexpected<T>(&self, token: &Token<'_>, context: &str) -> Result<T, SyntaxError> {
        if token.kind == Kind::Error {
            let mut extra = String::new();
            if self.action_line != 0 && self.action_line != token.line {
                extra = format!(" in action started at {}:{}", self.file, self.action_line);
                if token.text.ends_with(" action") {
                    extra = extra[" in action".len()..].to_owned();
                }
            }
            return self.error(format!("{token}{extra}"));
        }
        self.error(format!("unexpected {token} in {context}"))
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Result<Token<'t>, SyntaxError> {
        let token = self.next_non_space();
        if token.kind == kind {
            Ok(token)
        } else {
            self.unexpected(&token, context)
        }
    }

    fn add(&mut self, name: Arc<str>, root: Vec<Node>) -> Result<(), SyntaxError> {
        let tree = Arc::new(Tree {
            name,
            file: self.file.clone(),
            text: self.text.clone(),
            root,
        });
        let before = self.defined.iter().position(|old| old.name == tree.name);
        match before {
            None => self.defined.push(tree),
            Some(index) if self.defined[index].is_empty() => {
                self.defined.remove(index);
                self.defined.push(tree);
            }
            Some(_) if tree.is_empty() => {}
            Some(_) => {
                let name = fmt::quote(tree.name.as_bytes());
                return self.error(format!("template: multiple definition of template {name}"));
            }
        }
        Ok(())
    }

    fn file(&mut self) -> Result<Vec<Node>, SyntaxError> {
        let mut root = Vec::new();
        while self.peek().kind != Kind::End {
            if self.peek().kind == Kind::LeftDelim {
                let delimiter = self.next();
                if self.next_non_space().kind == Kind::Define {
                    self.definition()?;
                    continue;
                }
                self.tokens[1] = delimiter;
                self.peeked = 2;
            }
            match self.text_or_action()? {
                Item::Node(node) => root.push(node),
                Item::Stop(stop) => return self.error(format!("unexpected {}", stop.text())),
            }
        }
        Ok(root)
    }

    /// Parses the body of a `define` or `block`, which sees none of the variables around it.
    fn apart(&mut self, context: &str) -> Result<Vec<Node>, SyntaxError> {
        let variables = std::mem::replace(&mut self.variables, vec!["$".into()]);
        let ranges = std::mem::take(&mut self.ranges);
        let action_line = std::mem::take(&mut self.action_line);
        let (root, stop) = self.list()?;
        if let Stop::Else = stop {
            return self.error(format!("unexpected {} in {context}", stop.text()));
        }
        self.variables = variables;
        self.ranges = ranges;
        self.action_line = action_line;
        Ok(root)
    }

    fn definition(&mut self) -> Result<(), SyntaxError> {
        let context = "define clause";
        let token = self.next_non_space();
        let name = self.template_name(&token, context)?;
        self.expect(Kind::RightDelim, context)?;
        let root = self.apart(context)?;
        self.add(name, root)
    }

    fn list(&mut self) -> Result<(Vec<Node>, Stop), SyntaxError> {
        self.nesting += 1;
        if self.nesting > DEEPEST {
            return self.error(format!("actions nest deeper than {DEEPEST}"));
        }
        let mut nodes = Vec::new();
        while self.peek_non_space().kind != Kind::End {
            match self.text_or_action()? {
                Item::Node(node) => nodes.push(node),
                Item::Stop(stop) => {
                    self.nesting -= 1;
                    return Ok((nodes, stop));
                }
            }
        }
        self.error("unexpected EOF")
    }

    fn text_or_action(&mut self) -> Result<Item, SyntaxError> {
        let token = self.next_non_space();
        match token.kind {
            Kind::Text => Ok(Item::Node(Node::Text(
                at(token.at),
                at(token.at + token.text.len()),
            ))),
            Kind::LeftDelim => {
                self.action_line = token.line;
                let item = self.action();
                self.action_line = 0;
                item
            }
            _ => self.unexpected(&token, "input"),
        }
    }

    fn action(&mut self) -> Result<Item, SyntaxError> {
        let token = self.next_non_space();
        let node = match token.kind {
            Kind::Block => {
                let context = "block clause";
                let token = self.next_non_space();
                let name = self.template_name(&token, context)?;
                let pipe = self.pipeline(context, Kind::RightDelim)?;
                let root = self.apart(context)?;
                self.add(name.clone(), root)?;
                Node::Template(TemplateCall {
                    at: at(token.at),
                    name,
                    pipe: Some(pipe),
                })
            }
            Kind::Break | Kind::Continue => {
                let word = token.text;
                let token = self.next_non_space();
                if token.kind != Kind::RightDelim {
                    return self.unexpected(&token, &format!("{{{{{word}}}}}"));
                }
                if self.ranges == 0 {
                    return self.error(format!("{{{{{word}}}}} outside {{{{range}}}}"));
                }
                if word == "break" {
                    Node::Break
                } else {
                    Node::Continue
                }
            }
            Kind::Else => {
                let next = self.peek_non_space();
                if !matches!(next.kind, Kind::If | Kind::With) {
                    self.expect(Kind::RightDelim, "else")?;
                }
                return Ok(Item::Stop(Stop::Else));
            }
            Kind::KeywordEnd => {
                self.expect(Kind::RightDelim, "end")?;
                return Ok(Item::Stop(Stop::End));
            }
            Kind::If => {
                let (branches, otherwise) = self.branches(Kind::If, "if")?;
                Node::If(branches, otherwise)
            }
            Kind::With => {
                let (branches, otherwise) = self.branches(Kind::With, "with")?;
                Node::With(branches, otherwise)
            }
            Kind::Range => self.range()?,
            Kind::Template => {
                let context = "template clause";
                let token = self.next_non_space();
                let name = self.template_name(&token, context)?;
                let pipe = if self.next_non_space().kind == Kind::RightDelim {
                    None
                } else {
                    self.backup();
                    Some(self.pipeline(context, Kind::RightDelim)?)
                };
                Node::Template(TemplateCall {
                    at: at(token.at),
                    name,
                    pipe,
                })
            }
            _ => {
                self.backup();
                Node::Action(self.pipeline("command", Kind::RightDelim)?)
            }
        };
        Ok(Item::Node(node))
    }

    #[expect(clippy::type_complexity, reason = "it is taken apart at once")]
    fn branches(
        &mut self,
        keyword: Kind,
        context: &str,
    ) -> Result<(Vec<(Pipe, Vec<Node>)>, Vec<Node>), SyntaxError> {
        let variables = self.variables.len();
        let mut branches = Vec::new();
        let mut otherwise = Vec::new();
        loop {
            let pipe = self.pipeline(context, Kind::RightDelim)?;
            let (nodes, stop) = self.list()?;
            branches.push((pipe, nodes));
            if let Stop::End = stop {
                break;
            }
            if self.peek().kind == keyword {
                self.next();
                continue;
            }
            otherwise = self.last_list()?;
            break;
        }
        self.variables.truncate(variables);
        Ok((branches, otherwise))
    }

    fn last_list(&mut self) -> Result<Vec<Node>, SyntaxError> {
        let (nodes, stop) = self.list()?;
        match stop {
            Stop::End => Ok(nodes),
            Stop::Else => self.error(format!("expected end; found {}", stop.text())),
        }
    }

    fn range(&mut self) -> Result<Node, SyntaxError> {
        let variables = self.variables.len();
        let pipe = self.pipeline("range", Kind::RightDelim)?;
        self.ranges += 1;
        let (nodes, stop) = self.list()?;
        self.ranges -= 1;
        let otherwise = match stop {
            Stop::End => Vec::new(),
            Stop::Else => self.last_list()?,
        };
        self.variables.truncate(variables);
        Ok(Node::Range(pipe, nodes, otherwise))
    }

    fn template_name(&mut self, token: &Token<'_>, context: &str) -> Result<Arc<str>, SyntaxError> {
        match token.kind {
            Kind::String | Kind::RawString => {
                let name = self.unquoted(token)?;
                Ok(Arc::from(name.lossy().as_ref()))
            }
            _ => self.unexpected(token, context),
        }
    }

    fn unquoted(&self, token: &Token<'_>) -> Result<Str, SyntaxError> {
        match fmt::unquote(&token.text) {
            Some(text) => Ok(Str::from(text)),
            None => self.error("invalid syntax"),
        }
    }
}
