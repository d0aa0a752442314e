//! Subject, author and date of a commit, all chosen by its author.

use jiff::Timestamp;

use crate::report::plain_line;

/// Longest line that is kept of a message, and longest name.
const MAX_LINE: usize = 200;

/// Subject, author and date of a commit, cut to one line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Heading {
    /// The first line of its message that is not empty.
    pub subject: String,
    /// Its author's name, without the address.
    pub author: String,
    /// Author date, by the author's clock.
    pub authored_at: Option<Timestamp>,
}

impl Heading {
    /// Creates a heading from a commit's own bytes and its author date in seconds since 1970; 0: none.
    #[must_use]
    pub fn new(message: &[u8], author: &[u8], seconds: i64) -> Self {
        let line = message
            .split(|byte| *byte == b'\n')
            .find(|line| !line.iter().all(u8::is_ascii_whitespace));
        Self {
            subject: short(line.unwrap_or_default()),
            author: short(author),
            authored_at: Timestamp::from_second(seconds).ok().filter(|_| seconds > 0),
        }
    }
}

fn short(bytes: &[u8]) -> String {
    // Four times the length that is shown is enough: replacing invalid UTF-8 makes a text longer, not shorter.
    let bytes = bytes.get(..MAX_LINE * 4).unwrap_or(bytes);
    let line = plain_line(String::from_utf8_lossy(bytes).trim(), MAX_LINE);
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::Heading;

    #[test]
    fn h11_whatever_a_commit_says_is_one_short_line() {
        let read = |message: &str| Heading::new(message.as_bytes(), b" Ada\x1b[2J ", 0);
        assert_eq!(read("\n \n fix the shop\n\nbody").subject, "fix the shop");
        assert_eq!(read("fix").author, "Ada [2J");
        assert_eq!(read("").subject, "");
        assert_eq!(read(&"ä".repeat(10_000)).subject.len(), 200);
        let bytes = Heading::new(&[0xff; 5000], &[0xfe; 5000], i64::MAX);
        assert!(bytes.subject.len() <= 200 && bytes.author.len() <= 200);
        assert_eq!(bytes.authored_at, None);
    }
}
