//! Tokens of one or three characters, and their effect on indentation and on possible keys.

use super::{MAX_DEPTH, Problem, Scanner, SimpleKey, Token, TokenKind};

impl Scanner<'_> {
    pub(super) fn fetch_stream_end(&mut self) -> Result<(), Problem> {
        if self.cursor.mark.column != 0 {
            self.cursor.mark.column = 0;
            self.cursor.mark.line += 1;
        }
        self.unroll_indent(-1);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        self.ended = true;
        self.push(TokenKind::StreamEnd, self.cursor.mark);
        Ok(())
    }

    pub(super) fn fetch_directive(&mut self) -> Result<(), Problem> {
        self.unroll_indent(-1);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        let token = self.scan_directive()?;
        self.tokens.push_back(token);
        Ok(())
    }

    pub(super) fn fetch_document_indicator(&mut self, kind: TokenKind) -> Result<(), Problem> {
        self.unroll_indent(-1);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        let start = self.cursor.mark;
        self.cursor.skip_ascii(3);
        self.push(kind, start);
        Ok(())
    }

    pub(super) fn fetch_flow_start(&mut self, kind: TokenKind) -> Result<(), Problem> {
        self.save_simple_key()?;
        self.simple_keys.push(SimpleKey {
            number: self.taken + self.tokens.len(),
            mark: self.cursor.mark,
            ..SimpleKey::default()
        });
        self.flow_level += 1;
        if self.indents.len() + self.flow_level > MAX_DEPTH {
            let mark = self.cursor.mark;
            return Err(self.problem(mark, &format!("exceeded max depth of {MAX_DEPTH}")));
        }
        self.simple_key_allowed = true;
        self.one_character(kind);
        Ok(())
    }

    pub(super) fn fetch_flow_end(&mut self, kind: TokenKind) -> Result<(), Problem> {
        self.remove_simple_key()?;
        if self.flow_level > 0 {
            self.flow_level -= 1;
            self.simple_keys.pop();
        }
        self.simple_key_allowed = false;
        self.one_character(kind);
        Ok(())
    }

    pub(super) fn fetch_flow_entry(&mut self) -> Result<(), Problem> {
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        self.one_character(TokenKind::FlowEntry);
        Ok(())
    }

    pub(super) fn fetch_block_entry(&mut self) -> Result<(), Problem> {
        self.begin_block(
            TokenKind::BlockSequenceStart,
            "block sequence entries are not allowed in this context",
        )?;
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        self.one_character(TokenKind::BlockEntry);
        Ok(())
    }

    pub(super) fn fetch_key(&mut self) -> Result<(), Problem> {
        self.begin_block(
            TokenKind::BlockMappingStart,
            "mapping keys are not allowed in this context",
        )?;
        self.remove_simple_key()?;
        self.simple_key_allowed = self.flow_level == 0;
        self.one_character(TokenKind::Key);
        Ok(())
    }

    pub(super) fn fetch_value(&mut self) -> Result<(), Problem> {
        let last = self.simple_keys.len().saturating_sub(1);
        if self.key_is_valid(last)? {
            let key = std::mem::take(&mut self.simple_keys[last]);
            self.simple_keys[last].number = key.number;
            let token = Token {
                kind: TokenKind::Key,
                start: key.mark,
            };
            self.insert(key.number, token);
            let column = key.mark.signed_column();
            self.roll_indent(
                column,
                Some(key.number),
                TokenKind::BlockMappingStart,
                key.mark,
            )?;
            self.simple_key_allowed = false;
        } else {
            self.begin_block(
                TokenKind::BlockMappingStart,
                "mapping values are not allowed in this context",
            )?;
            self.simple_key_allowed = self.flow_level == 0;
        }
        self.one_character(TokenKind::Value);
        Ok(())
    }

    /// Begins a block here, unless it has begun; outside of brackets only where a key is allowed.
    fn begin_block(&mut self, kind: TokenKind, refusal: &str) -> Result<(), Problem> {
        if self.flow_level > 0 {
            return Ok(());
        }
        let mark = self.cursor.mark;
        if !self.simple_key_allowed {
            return Err(self.problem(mark, refusal));
        }
        self.roll_indent(self.cursor.column(), None, kind, mark)
    }

    fn one_character(&mut self, kind: TokenKind) {
        let start = self.cursor.mark;
        self.cursor.skip_ascii(1);
        self.push(kind, start);
    }
}
