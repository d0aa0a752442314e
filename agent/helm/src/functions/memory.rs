//! What functions keep between calls.

use std::collections::HashMap;
use std::rc::Rc;

use regex::bytes::Regex;

use crate::value::Str;

/// What was compiled before in this release.
#[derive(Default)]
pub(crate) struct Memory {
    pub(super) compiled: HashMap<Str, Result<Rc<Regex>, String>>,
}
