//! The tree of one document, as libyaml's parser makes it of the tokens.

use std::collections::HashMap;
use std::rc::Rc;

use super::scan::{Mark, Problem, Scanner, Token, TokenKind};

/// What determines a scalar's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Typing {
    /// From its text.
    Implicit,
    /// From its tag, or from how it is quoted.
    Explicit,
}

#[derive(Debug)]
pub(super) enum Node {
    Scalar {
        value: Vec<u8>,
        tag: Vec<u8>,
        typing: Typing,
    },
    Sequence(Vec<Node>),
    Mapping(Vec<(Node, Node)>),
    /// An anchored node, which its aliases share.
    Anchored(Rc<Node>),
    Alias(Rc<Node>),
    /// An alias inside its own anchor.
    Cycle(Vec<u8>),
}

impl Node {
    fn empty() -> Self {
        Self::Scalar {
            value: Vec::new(),
            tag: Vec::new(),
            typing: Typing::Implicit,
        }
    }

    /// The node itself, where this is an anchored one or an alias.
    pub(super) fn inner(&self) -> &Self {
        match self {
            Self::Anchored(node) | Self::Alias(node) => node.inner(),
            other => other,
        }
    }
}

enum Anchor {
    Open(usize),
    Closed(Rc<Node>),
}

/// Context of a node, which determines the kinds of nodes that are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NodeContext {
    Block,
    /// A key or a value of a block mapping, where a sequence needs no indentation of its own.
    BlockMapping,
    /// Between brackets or braces, where no block begins.
    Flow,
}

struct Parser<'a> {
    scanner: Scanner<'a>,
    tags: Vec<(Vec<u8>, Vec<u8>)>,
    anchors: HashMap<Vec<u8>, Anchor>,
    opened: usize,
}

/// The first document; what follows it is not looked at, as goyaml does.
pub(super) fn first_document(text: &[u8]) -> Result<Option<Node>, Problem> {
    Parser {
        scanner: Scanner::new(text),
        tags: Vec::new(),
        anchors: HashMap::new(),
        opened: 0,
    }
    .document()
}

fn problem(message: &str, context: Mark, at: Mark) -> Problem {
    Problem::parser(message, context, at)
}

impl Parser<'_> {
    fn peek(&mut self) -> Result<&TokenKind, Problem> {
        Ok(&self.scanner.peek()?.kind)
    }

    fn start(&mut self) -> Result<Mark, Problem> {
        Ok(self.scanner.peek()?.start)
    }

    fn skip(&mut self) -> Result<Token, Problem> {
        self.scanner.next()
    }

    /// Takes the next token where it is this one.
    fn take(&mut self, kind: &TokenKind) -> Result<bool, Problem> {
        let found = self.peek()? == kind;
        if found {
            self.skip()?;
        }
        Ok(found)
    }

    fn next_is_one_of(&mut self, kinds: &[TokenKind]) -> Result<bool, Problem> {
        let next = self.peek()?;
        Ok(kinds.contains(next))
    }

    fn document(mut self) -> Result<Option<Node>, Problem> {
        self.skip()?;
        let explicit = match self.peek()? {
            TokenKind::StreamEnd => return Ok(None),
            TokenKind::Version { .. }
            | TokenKind::TagDirective { .. }
            | TokenKind::DocumentStart => true,
            _ => false,
        };
        self.directives()?;
        if explicit {
            let at = self.start()?;
            if !self.take(&TokenKind::DocumentStart)? {
                return Err(problem(
                    "did not find expected <document start>",
                    Mark::default(),
                    at,
                ));
            }
        }
        let nothing = explicit
            && matches!(
                self.peek()?,
                TokenKind::Version { .. }
                    | TokenKind::TagDirective { .. }
                    | TokenKind::DocumentStart
                    | TokenKind::DocumentEnd
                    | TokenKind::StreamEnd
            );
        let node = if nothing {
            Node::empty()
        } else {
            self.node(NodeContext::Block)?
        };
        self.peek()?;
        Ok(Some(node))
    }

    fn directives(&mut self) -> Result<(), Problem> {
        let mut version = false;
        loop {
            let at = self.start()?;
            let wrong = |message| problem(message, Mark::default(), at);
            match self.peek()?.clone() {
                TokenKind::Version { major, minor } => {
                    if version {
                        return Err(wrong("found duplicate %YAML directive"));
                    }
                    if (major, minor) != (1, 1) {
                        return Err(wrong("found incompatible YAML document"));
                    }
                    version = true;
                }
                TokenKind::TagDirective { handle, prefix } => {
                    if self.tags.iter().any(|(known, _)| *known == handle) {
                        return Err(wrong("found duplicate %TAG directive"));
                    }
                    self.tags.push((handle, prefix));
                }
                _ => break,
            }
            self.skip()?;
        }
        for (handle, prefix) in [("!", "!"), ("!!", super::resolve::PREFIX)] {
            if !self
                .tags
                .iter()
                .any(|(known, _)| known == handle.as_bytes())
            {
                self.tags.push((handle.into(), prefix.into()));
            }
        }
        Ok(())
    }

    fn node(&mut self, within: NodeContext) -> Result<Node, Problem> {
        if let TokenKind::Alias(name) = self.peek()? {
            let name = name.clone();
            let node = match self.anchors.get(&name) {
                None => {
                    return Err(Problem::plain(format!(
                        "unknown anchor '{}' referenced",
                        String::from_utf8_lossy(&name)
                    )));
                }
                Some(Anchor::Open(_)) => Node::Cycle(name),
                Some(Anchor::Closed(node)) => Node::Alias(Rc::clone(node)),
            };
            self.skip()?;
            return Ok(node);
        }
        let start = self.start()?;
        let (anchor, tag) = self.properties(start)?;
        let Some(name) = anchor else {
            return self.content(within, start, tag, None);
        };
        self.opened += 1;
        let number = self.opened;
        self.anchors.insert(name.clone(), Anchor::Open(number));
        let node = self.content(within, start, tag, Some(name.as_slice()))?;
        let node = Rc::new(node);
        // Closes the anchor, unless one of the same name inside has taken its place.
        if let Some(entry @ Anchor::Open(_)) = self.anchors.get_mut(&name)
            && matches!(entry, Anchor::Open(open) if *open == number)
        {
            *entry = Anchor::Closed(Rc::clone(&node));
        }
        Ok(Node::Anchored(node))
    }

    /// An anchor and a tag, in either order.
    #[allow(
        clippy::type_complexity,
        reason = "two optional byte strings, named by the pattern that takes them"
    )]
    fn properties(&mut self, start: Mark) -> Result<(Option<Vec<u8>>, Vec<u8>), Problem> {
        let mut anchor = None;
        let mut tag: Option<(Vec<u8>, Vec<u8>, Mark)> = None;
        loop {
            let at = self.start()?;
            match self.peek()? {
                TokenKind::Anchor(name) if anchor.is_none() => anchor = Some(name.clone()),
                TokenKind::Tag { handle, suffix } if tag.is_none() => {
                    tag = Some((handle.clone(), suffix.clone(), at));
                }
                _ => break,
            }
            self.skip()?;
        }
        let Some((handle, suffix, at)) = tag else {
            return Ok((anchor, Vec::new()));
        };
        if handle.is_empty() {
            return Ok((anchor, suffix));
        }
        match self.tags.iter().find(|(known, _)| *known == handle) {
            Some((_, prefix)) => Ok((anchor, [prefix.as_slice(), &suffix].concat())),
            None => Err(problem("found undefined tag handle", start, at)),
        }
    }

    fn content(
        &mut self,
        within: NodeContext,
        start: Mark,
        tag: Vec<u8>,
        anchor: Option<&[u8]>,
    ) -> Result<Node, Problem> {
        let at = self.start()?;
        match self.peek()? {
            TokenKind::BlockEntry if within == NodeContext::BlockMapping => {
                self.indentless_sequence()
            }
            TokenKind::Scalar { .. } => {
                let TokenKind::Scalar { value, plain } = self.skip()?.kind else {
                    return Ok(Node::empty());
                };
                let typing = if (tag.is_empty() && plain) || tag == b"!" {
                    Typing::Implicit
                } else {
                    Typing::Explicit
                };
                Ok(Node::Scalar { value, tag, typing })
            }
            TokenKind::FlowSequenceStart => self.flow_sequence(at),
            TokenKind::FlowMappingStart => self.flow_mapping(at),
            TokenKind::BlockSequenceStart if within != NodeContext::Flow => self.block_sequence(at),
            TokenKind::BlockMappingStart if within != NodeContext::Flow => self.block_mapping(at),
            _ if anchor.is_some() || !tag.is_empty() => Ok(Node::Scalar {
                value: Vec::new(),
                typing: if tag.is_empty() {
                    Typing::Implicit
                } else {
                    Typing::Explicit
                },
                tag,
            }),
            _ => Err(problem("did not find expected node content", start, at)),
        }
    }

    fn block_sequence(&mut self, context: Mark) -> Result<Node, Problem> {
        self.skip()?;
        let mut items = Vec::new();
        loop {
            if self.take(&TokenKind::BlockEntry)? {
                let ends = self.next_is_one_of(&[TokenKind::BlockEntry, TokenKind::BlockEnd])?;
                items.push(if ends {
                    Node::empty()
                } else {
                    self.node(NodeContext::Block)?
                });
            } else if self.take(&TokenKind::BlockEnd)? {
                return Ok(Node::Sequence(items));
            } else {
                let at = self.start()?;
                return Err(problem("did not find expected '-' indicator", context, at));
            }
        }
    }

    fn indentless_sequence(&mut self) -> Result<Node, Problem> {
        let mut items = Vec::new();
        while self.take(&TokenKind::BlockEntry)? {
            let ends = self.next_is_one_of(&[
                TokenKind::BlockEntry,
                TokenKind::Key,
                TokenKind::Value,
                TokenKind::BlockEnd,
            ])?;
            items.push(if ends {
                Node::empty()
            } else {
                self.node(NodeContext::Block)?
            });
        }
        Ok(Node::Sequence(items))
    }

    fn block_mapping(&mut self, context: Mark) -> Result<Node, Problem> {
        const ENDS: [TokenKind; 3] = [TokenKind::Key, TokenKind::Value, TokenKind::BlockEnd];
        self.skip()?;
        let mut entries = Vec::new();
        loop {
            if self.take(&TokenKind::Key)? {
                let key = if self.next_is_one_of(&ENDS)? {
                    Node::empty()
                } else {
                    self.node(NodeContext::BlockMapping)?
                };
                let value = if self.take(&TokenKind::Value)? && !self.next_is_one_of(&ENDS)? {
                    self.node(NodeContext::BlockMapping)?
                } else {
                    Node::empty()
                };
                entries.push((key, value));
            } else if self.take(&TokenKind::BlockEnd)? {
                return Ok(Node::Mapping(entries));
            } else {
                let at = self.start()?;
                return Err(problem("did not find expected key", context, at));
            }
        }
    }

    fn flow_sequence(&mut self, context: Mark) -> Result<Node, Problem> {
        self.skip()?;
        let mut items = Vec::new();
        loop {
            if self.take(&TokenKind::FlowSequenceEnd)? {
                return Ok(Node::Sequence(items));
            }
            if !items.is_empty() {
                let at = self.start()?;
                if !self.take(&TokenKind::FlowEntry)? {
                    return Err(problem("did not find expected ',' or ']'", context, at));
                }
            }
            if self.take(&TokenKind::Key)? {
                items.push(self.single_pair()?);
            } else if self.take(&TokenKind::FlowSequenceEnd)? {
                return Ok(Node::Sequence(items));
            } else {
                items.push(self.node(NodeContext::Flow)?);
            }
        }
    }

    /// `[a: b]` is a list of one mapping.
    fn single_pair(&mut self) -> Result<Node, Problem> {
        let key = if self.next_is_one_of(&[
            TokenKind::Value,
            TokenKind::FlowEntry,
            TokenKind::FlowSequenceEnd,
        ])? {
            // libyaml skips the token that ended the key.
            self.skip()?;
            Node::empty()
        } else {
            self.node(NodeContext::Flow)?
        };
        let value = if self.take(&TokenKind::Value)?
            && !self.next_is_one_of(&[TokenKind::FlowEntry, TokenKind::FlowSequenceEnd])?
        {
            self.node(NodeContext::Flow)?
        } else {
            Node::empty()
        };
        Ok(Node::Mapping(vec![(key, value)]))
    }

    fn flow_mapping(&mut self, context: Mark) -> Result<Node, Problem> {
        const ENDS: [TokenKind; 2] = [TokenKind::FlowEntry, TokenKind::FlowMappingEnd];
        self.skip()?;
        let mut entries = Vec::new();
        loop {
            if self.take(&TokenKind::FlowMappingEnd)? {
                return Ok(Node::Mapping(entries));
            }
            if !entries.is_empty() {
                let at = self.start()?;
                if !self.take(&TokenKind::FlowEntry)? {
                    return Err(problem("did not find expected ',' or '}'", context, at));
                }
            }
            if self.take(&TokenKind::Key)? {
                let empty = self.next_is_one_of(&ENDS)? || *self.peek()? == TokenKind::Value;
                let key = if empty {
                    Node::empty()
                } else {
                    self.node(NodeContext::Flow)?
                };
                let value = if self.take(&TokenKind::Value)? && !self.next_is_one_of(&ENDS)? {
                    self.node(NodeContext::Flow)?
                } else {
                    Node::empty()
                };
                entries.push((key, value));
            } else if self.take(&TokenKind::FlowMappingEnd)? {
                return Ok(Node::Mapping(entries));
            } else {
                let key = self.node(NodeContext::Flow)?;
                entries.push((key, Node::empty()));
            }
        }
    }
}
