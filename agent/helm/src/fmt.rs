//! Go's `fmt` and `strconv`: verbs, flags, and the shortest text of a number.

mod flags;
mod number;
mod print;
mod printf;
mod quote;
mod types;

pub use number::{format_float, parse_float, parse_int, parse_uint, shortest};
pub use print::{append, append_all, sprint, sprintln};
pub use printf::sprintf;
pub use quote::{is_print, quote, quote_ascii, quote_into, unquote, unquote_char};
pub use types::{kind_name, type_name};
