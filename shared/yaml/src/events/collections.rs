//! The insides of sequences and mappings, in block and in flow style.

use super::{
    EntryPosition, Event, Events, Kind, NodeContext, Properties, Span, State, Step, empty, span,
};

impl<'t> Events<'t> {
    pub(super) fn block_entry(&mut self) -> Step<'t> {
        if let Some(entry) = self.take_if(&Kind::BlockEntry)? {
            if matches!(self.peek()?.kind, Kind::BlockEntry | Kind::BlockEnd) {
                return Ok(empty(entry.end));
            }
            self.states.push(State::BlockSequenceEntry);
            return self.node(NodeContext::Block);
        }
        match self.take_if(&Kind::BlockEnd)? {
            Some(span) => {
                self.pop();
                Ok((Event::SequenceEnd, span))
            }
            None => self.trouble("did not find expected '-' indicator"),
        }
    }

    pub(super) fn indentless_entry(&mut self) -> Step<'t> {
        let Some(entry) = self.take_if(&Kind::BlockEntry)? else {
            self.pop();
            let mark = self.peek()?.start;
            let here = Span {
                start: mark,
                end: mark,
            };
            return Ok((Event::SequenceEnd, here));
        };
        if matches!(
            self.peek()?.kind,
            Kind::BlockEntry | Kind::Key | Kind::Value | Kind::BlockEnd
        ) {
            return Ok(empty(entry.end));
        }
        self.states.push(State::IndentlessEntry);
        self.node(NodeContext::Block)
    }

    pub(super) fn block_key(&mut self) -> Step<'t> {
        if let Some(key) = self.take_if(&Kind::Key)? {
            if matches!(self.peek()?.kind, Kind::Key | Kind::Value | Kind::BlockEnd) {
                self.state = State::BlockMappingValue;
                return Ok(empty(key.end));
            }
            self.states.push(State::BlockMappingValue);
            return self.node(NodeContext::BlockMapping);
        }
        match self.take_if(&Kind::BlockEnd)? {
            Some(span) => {
                self.pop();
                Ok((Event::MappingEnd, span))
            }
            None => self.trouble("did not find expected key"),
        }
    }

    pub(super) fn block_value(&mut self) -> Step<'t> {
        self.state = State::BlockMappingKey;
        let Some(value) = self.take_if(&Kind::Value)? else {
            return self.empty_here();
        };
        if matches!(self.peek()?.kind, Kind::Key | Kind::Value | Kind::BlockEnd) {
            return Ok(empty(value.end));
        }
        self.states.push(State::BlockMappingKey);
        self.node(NodeContext::BlockMapping)
    }

    pub(super) fn flow_entry(&mut self, turn: EntryPosition) -> Step<'t> {
        if self.peek()?.kind != Kind::FlowSequenceEnd {
            if turn == EntryPosition::Later && self.take_if(&Kind::FlowEntry)?.is_none() {
                return self.trouble("did not find expected ',' or ']'");
            }
            if let Some(span) = self.take_if(&Kind::Key)? {
                self.state = State::FlowPairKey;
                return Ok((Event::MappingStart(Properties::default()), span));
            }
            if self.peek()?.kind != Kind::FlowSequenceEnd {
                self.states.push(State::FlowSequenceEntry);
                return self.node(NodeContext::Flow);
            }
        }
        let span = span(&self.take()?);
        self.pop();
        Ok((Event::SequenceEnd, span))
    }

    /// A key in a sequence, `[a: b]`, is a mapping of its own.
    pub(super) fn flow_pair_key(&mut self) -> Step<'t> {
        if matches!(
            self.peek()?.kind,
            Kind::Value | Kind::FlowEntry | Kind::FlowSequenceEnd
        ) {
            // libyaml consumes the token, so that no value can follow.
            let mark = self.take()?.end;
            self.state = State::FlowPairValue;
            return Ok(empty(mark));
        }
        self.states.push(State::FlowPairValue);
        self.node(NodeContext::Flow)
    }

    pub(super) fn flow_pair_value(&mut self) -> Step<'t> {
        self.state = State::FlowPairEnd;
        if self.take_if(&Kind::Value)?.is_some()
            && !matches!(self.peek()?.kind, Kind::FlowEntry | Kind::FlowSequenceEnd)
        {
            self.states.push(State::FlowPairEnd);
            return self.node(NodeContext::Flow);
        }
        self.empty_here()
    }

    pub(super) fn flow_key(&mut self, turn: EntryPosition) -> Step<'t> {
        if self.peek()?.kind != Kind::FlowMappingEnd {
            if turn == EntryPosition::Later && self.take_if(&Kind::FlowEntry)?.is_none() {
                return self.trouble("did not find expected ',' or '}'");
            }
            if self.take_if(&Kind::Key)?.is_some() {
                self.state = State::FlowMappingValue;
                if matches!(
                    self.peek()?.kind,
                    Kind::Value | Kind::FlowEntry | Kind::FlowMappingEnd
                ) {
                    return self.empty_here();
                }
                self.states.push(State::FlowMappingValue);
                return self.node(NodeContext::Flow);
            }
            if self.peek()?.kind != Kind::FlowMappingEnd {
                self.states.push(State::FlowMappingEmptyValue);
                return self.node(NodeContext::Flow);
            }
        }
        let span = span(&self.take()?);
        self.pop();
        Ok((Event::MappingEnd, span))
    }

    pub(super) fn flow_value(&mut self) -> Step<'t> {
        self.state = State::FlowMappingKey;
        if self.take_if(&Kind::Value)?.is_some()
            && !matches!(self.peek()?.kind, Kind::FlowEntry | Kind::FlowMappingEnd)
        {
            self.states.push(State::FlowMappingKey);
            return self.node(NodeContext::Flow);
        }
        self.empty_here()
    }
}
