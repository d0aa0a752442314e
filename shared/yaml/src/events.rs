//! From tokens to events: the nodes of a text, in order.

mod collections;

use std::borrow::Cow;

use crate::error::YamlError;
use crate::scan::{Kind, Outcome, Scanner, SyntaxError, Token};
pub use crate::scan::{Mark, ScalarStyle};

/// The prefix of the tags of YAML itself, `!!` for short.
pub const CORE_TAG: &str = "tag:yaml.org,2002:";

/// One step through a text.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<'t> {
    /// The text is over.
    StreamEnd,
    /// A document begins.
    DocumentStart,
    /// A document is over.
    DocumentEnd,
    /// The node that an earlier anchor of the document names.
    Alias(&'t str),
    /// A scalar.
    Scalar(Scalar<'t>),
    /// A sequence begins; its items follow.
    SequenceStart(Properties<'t>),
    /// A sequence is over.
    SequenceEnd,
    /// A mapping begins; its keys and values follow alternately.
    MappingStart(Properties<'t>),
    /// A mapping is over.
    MappingEnd,
}

/// Anchor and tag of a node.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Properties<'t> {
    /// The name that aliases give it.
    pub anchor: Option<&'t str>,
    /// The tag, written out; `!` alone says that it is text.
    pub tag: Option<Cow<'t, str>>,
}

/// A scalar node.
#[derive(Debug, Clone, PartialEq)]
pub struct Scalar<'t> {
    /// Without quotes and escapes.
    pub text: Cow<'t, str>,
    /// Style of the scalar.
    pub style: ScalarStyle,
    /// Anchor and tag in front of it.
    pub properties: Properties<'t>,
}

/// Start and end of a node; of a collection, of its first token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// Its first character.
    pub start: Mark,
    /// Behind its last character.
    pub end: Mark,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    FirstDocument,
    DocumentStart,
    DocumentContent,
    DocumentEnd,
    BlockNode,
    BlockSequenceEntry,
    IndentlessEntry,
    BlockMappingKey,
    BlockMappingValue,
    FlowSequenceFirst,
    FlowSequenceEntry,
    FlowPairKey,
    FlowPairValue,
    FlowPairEnd,
    FlowMappingFirst,
    FlowMappingKey,
    FlowMappingValue,
    FlowMappingEmptyValue,
    End,
}

/// Reads a text event by event. The caller has to bound the nesting.
pub struct Events<'t> {
    scanner: Scanner<'t>,
    next: Option<Token<'t>>,
    state: State,
    states: Vec<State>,
    /// Handles of the document and their prefixes.
    handles: Vec<(Cow<'t, str>, Cow<'t, str>)>,
}

type Step<'t> = Outcome<(Event<'t>, Span)>;

/// Whether an entry is the first one, which needs no separator before it.
#[derive(Clone, Copy, PartialEq)]
enum EntryPosition {
    First,
    Later,
}

/// Context of a node, which determines the allowed kinds of nodes.
#[derive(Clone, Copy, PartialEq)]
enum NodeContext {
    /// In block style.
    Block,
    /// In a mapping in block style, where the dashes of a sequence need not be indented.
    BlockMapping,
    /// In flow style.
    Flow,
}

impl<'t> Events<'t> {
    /// Begins to read; a byte order mark is skipped.
    ///
    /// # Errors
    /// Where the text has a character that YAML does not allow.
    pub fn new(text: &'t str) -> Result<Self, YamlError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if let Some(offset) = forbidden(text) {
            let before = text.get(..offset).unwrap_or_default();
            let line = before.rsplit('\n').next().unwrap_or_default();
            return Err(YamlError {
                line: 1 + before.matches('\n').count(),
                column: 1 + line.chars().count(),
                message: "control characters are not allowed".to_owned(),
            });
        }
        Ok(Self {
            scanner: Scanner::new(text),
            next: None,
            state: State::FirstDocument,
            states: Vec::new(),
            handles: Vec::new(),
        })
    }

    /// Returns the next event; after the end, the end again.
    ///
    /// # Errors
    /// At the first syntax error.
    pub fn next_event(&mut self) -> Result<(Event<'t>, Span), YamlError> {
        self.step().map_err(|trouble| YamlError {
            line: trouble.mark.line(),
            column: trouble.mark.column(),
            message: trouble.message,
        })
    }

    fn peek(&mut self) -> Outcome<&Token<'t>> {
        let token = match self.next.take() {
            Some(token) => token,
            None => self.scanner.next()?,
        };
        Ok(self.next.insert(token))
    }

    fn take(&mut self) -> Outcome<Token<'t>> {
        match self.next.take() {
            Some(token) => Ok(token),
            None => self.scanner.next(),
        }
    }

    /// Takes the next token where it is of this kind.
    fn take_if(&mut self, kind: &Kind<'_>) -> Outcome<Option<Span>> {
        let token = self.peek()?;
        if token.kind != *kind {
            return Ok(None);
        }
        let span = span(token);
        self.next = None;
        Ok(Some(span))
    }

    fn pop(&mut self) {
        self.state = self.states.pop().unwrap_or(State::End);
    }

    fn step(&mut self) -> Step<'t> {
        match self.state {
            State::FirstDocument => self.document_start(EntryPosition::First),
            State::DocumentStart => self.document_start(EntryPosition::Later),
            State::DocumentContent => self.document_content(),
            State::DocumentEnd => self.document_end(),
            State::BlockNode => self.node(NodeContext::Block),
            State::BlockSequenceEntry => self.block_entry(),
            State::IndentlessEntry => self.indentless_entry(),
            State::BlockMappingKey => self.block_key(),
            State::BlockMappingValue => self.block_value(),
            State::FlowSequenceFirst => self.flow_entry(EntryPosition::First),
            State::FlowSequenceEntry => self.flow_entry(EntryPosition::Later),
            State::FlowPairKey => self.flow_pair_key(),
            State::FlowPairValue => self.flow_pair_value(),
            State::FlowPairEnd => {
                self.state = State::FlowSequenceEntry;
                let span = span(self.peek()?);
                Ok((Event::MappingEnd, span))
            }
            State::FlowMappingFirst => self.flow_key(EntryPosition::First),
            State::FlowMappingKey => self.flow_key(EntryPosition::Later),
            State::FlowMappingValue => self.flow_value(),
            State::FlowMappingEmptyValue => {
                self.state = State::FlowMappingKey;
                self.empty_here()
            }
            State::End => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn document_start(&mut self, turn: EntryPosition) -> Step<'t> {
        if turn == EntryPosition::Later {
            while self.take_if(&Kind::DocumentEnd)?.is_some() {}
        }
        let token = self.peek()?;
        let here = span(token);
        match token.kind {
            Kind::StreamEnd => {
                self.state = State::End;
                return Ok((Event::StreamEnd, here));
            }
            Kind::Version | Kind::TagDirective(..) | Kind::DocumentStart => {}
            _ if turn == EntryPosition::First => {
                self.states.push(State::DocumentEnd);
                self.state = State::BlockNode;
                return Ok((Event::DocumentStart, here));
            }
            _ => {}
        }
        self.directives()?;
        if self.take_if(&Kind::DocumentStart)?.is_none() {
            return self.trouble("did not find expected <document start> (`---`)");
        }
        self.states.push(State::DocumentEnd);
        self.state = State::DocumentContent;
        Ok((Event::DocumentStart, here))
    }

    fn directives(&mut self) -> Outcome<()> {
        let mut has_version = false;
        loop {
            let token = self.peek()?;
            let mark = token.start;
            let repeated = |message: &str| {
                Err(SyntaxError {
                    mark,
                    message: message.to_owned(),
                })
            };
            match &token.kind {
                Kind::Version if has_version => return repeated("found a second %YAML directive"),
                Kind::Version => has_version = true,
                Kind::TagDirective(handle, prefix) => {
                    let (handle, prefix) = (handle.clone(), prefix.clone());
                    if self.handles.iter().any(|(known, _)| *known == handle) {
                        return repeated("found a second %TAG directive for this handle");
                    }
                    self.handles.push((handle, prefix));
                }
                _ => return Ok(()),
            }
            self.next = None;
        }
    }

    fn document_content(&mut self) -> Step<'t> {
        match self.peek()?.kind {
            Kind::Version
            | Kind::TagDirective(..)
            | Kind::DocumentStart
            | Kind::DocumentEnd
            | Kind::StreamEnd => {
                self.pop();
                self.empty_here()
            }
            _ => self.node(NodeContext::Block),
        }
    }

    fn document_end(&mut self) -> Step<'t> {
        let here = span(self.peek()?);
        self.take_if(&Kind::DocumentEnd)?;
        self.handles.clear();
        self.state = State::DocumentStart;
        Ok((Event::DocumentEnd, here))
    }

    fn trouble<T>(&mut self, message: &str) -> Outcome<T> {
        let mark = self.peek()?.start;
        Err(SyntaxError {
            mark,
            message: message.to_owned(),
        })
    }

    /// Returns null for a missing value.
    fn empty_here(&mut self) -> Step<'t> {
        let mark = self.peek()?.start;
        Ok(empty(mark))
    }

    fn properties(&mut self) -> Outcome<(Properties<'t>, Option<Mark>)> {
        let mut properties = Properties::default();
        let (mut has_tag, mut start) = (false, None);
        loop {
            let fits = match self.peek()?.kind {
                Kind::Anchor(_) => properties.anchor.is_none(),
                Kind::Tag(..) => !has_tag,
                _ => false,
            };
            if !fits {
                return Ok((properties, start));
            }
            let token = self.take()?;
            start = start.or(Some(token.start));
            match token.kind {
                Kind::Anchor(name) => properties.anchor = Some(name),
                Kind::Tag(handle, suffix) => {
                    has_tag = true;
                    properties.tag = Some(self.tag(&handle, suffix, token.start)?);
                }
                _ => {}
            }
        }
    }

    fn tag(&self, handle: &str, suffix: Cow<'t, str>, mark: Mark) -> Outcome<Cow<'t, str>> {
        if handle.is_empty() {
            return Ok(suffix);
        }
        let mut handles = self.handles.iter();
        let prefix = match handles.find(|(known, _)| known == handle) {
            Some((_, prefix)) => prefix,
            None if handle == "!" => "!",
            None if handle == "!!" => CORE_TAG,
            None => {
                return Err(SyntaxError {
                    mark,
                    message: format!("no %TAG directive defines `{handle}`"),
                });
            }
        };
        Ok(Cow::Owned(format!("{prefix}{suffix}")))
    }

    fn node(&mut self, place: NodeContext) -> Step<'t> {
        if let Kind::Alias(name) = self.peek()?.kind {
            let span = span(&self.take()?);
            self.pop();
            return Ok((Event::Alias(name), span));
        }
        let (properties, start) = self.properties()?;
        let token = self.peek()?;
        let here = Span {
            start: start.unwrap_or(token.start),
            end: token.end,
        };
        match token.kind {
            Kind::BlockEntry if place == NodeContext::BlockMapping => {
                self.state = State::IndentlessEntry;
                Ok((Event::SequenceStart(properties), here))
            }
            Kind::Scalar(..) => {
                let token = self.take()?;
                self.pop();
                let Kind::Scalar(text, style) = token.kind else {
                    return Ok(empty(here.start));
                };
                let scalar = Scalar {
                    text,
                    style,
                    properties,
                };
                Ok((Event::Scalar(scalar), here))
            }
            Kind::FlowSequenceStart => {
                self.next = None;
                self.state = State::FlowSequenceFirst;
                Ok((Event::SequenceStart(properties), here))
            }
            Kind::FlowMappingStart => {
                self.next = None;
                self.state = State::FlowMappingFirst;
                Ok((Event::MappingStart(properties), here))
            }
            Kind::BlockSequenceStart if place != NodeContext::Flow => {
                self.next = None;
                self.state = State::BlockSequenceEntry;
                Ok((Event::SequenceStart(properties), here))
            }
            Kind::BlockMappingStart if place != NodeContext::Flow => {
                self.next = None;
                self.state = State::BlockMappingKey;
                Ok((Event::MappingStart(properties), here))
            }
            _ if start.is_some() => {
                self.pop();
                let scalar = Scalar {
                    text: Cow::Borrowed(""),
                    style: ScalarStyle::Plain,
                    properties,
                };
                Ok((Event::Scalar(scalar), here))
            }
            _ => self.trouble("did not find expected node content"),
        }
    }
}

fn span(token: &Token<'_>) -> Span {
    Span {
        start: token.start,
        end: token.end,
    }
}

fn empty<'t>(mark: Mark) -> (Event<'t>, Span) {
    let scalar = Scalar {
        text: Cow::Borrowed(""),
        style: ScalarStyle::Plain,
        properties: Properties::default(),
    };
    let here = Span {
        start: mark,
        end: mark,
    };
    (Event::Scalar(scalar), here)
}

/// Returns the offset of the first character that YAML does not allow.
fn forbidden(text: &str) -> Option<usize> {
    // Fast path: almost all texts are almost entirely ASCII.
    let suspicious = |byte: u8| !(b' '..=b'~').contains(&byte) && byte != b'\n';
    let start = text.bytes().position(suspicious)?;
    let rest = text.get(start..).or_else(|| text.get(..))?;
    rest.char_indices()
        .find(|(_, character)| {
            !matches!(
                character,
                '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{fffd}'
                    | '\u{10000}'..
            )
        })
        .map(|(offset, _)| start + offset)
}
