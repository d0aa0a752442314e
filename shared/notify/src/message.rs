//! An email as it goes over the wire (RFC 5322, 2045, 2047): one part of plain text. Pure.

use flotilla_shared::digest::Digest;
use flotilla_shared::hex;
use jiff::Timestamp;

use crate::compose::Post;
use crate::config::Mail;

/// Longest line of a text, with the sign that it continues, characters.
const LINE: usize = 76;
/// Bytes of a subject in one encoded word, so that the word is at most 75 characters long.
const WORD: usize = 18;

/// Returns the whole message, with CRLF and nothing in it that a mail server could take for its end. Its id is the same
/// when it is sent again, so that a mailbox can detect it.
#[must_use]
pub fn message(mail: &Mail, post: &Post, now: Timestamp) -> String {
    let field = |name: &str| post.body.get(name).and_then(serde_json::Value::as_str);
    let field = |name: &str| field(name).unwrap_or_default();
    let domain = mail
        .from
        .rsplit_once('@')
        .map_or("flotilla", |(_, domain)| domain);
    let thread = short_digest(field("thread"));
    let date = now.strftime("%a, %d %b %Y %H:%M:%S +0000");
    let headers = [
        format!("From: Flotilla <{}>", mail.from),
        format!("To: {}", mail.to.join(",\r\n ")),
        format!("Subject: {}", words(field("subject"))),
        format!("Date: {date}"),
        format!(
            "Message-ID: <{}.{thread}@{domain}>",
            short_digest(field("id"))
        ),
        // Mailboxes group the messages of one rollout by this header.
        format!("References: <{thread}@{domain}>"),
        "Auto-Submitted: auto-generated".to_owned(),
        "MIME-Version: 1.0".to_owned(),
        "Content-Type: text/plain; charset=utf-8".to_owned(),
        "Content-Transfer-Encoding: quoted-printable".to_owned(),
    ];
    format!("{}\r\n\r\n{}", headers.join("\r\n"), quoted(field("text")))
}

fn short_digest(text: &str) -> String {
    hex::encode(&Digest::of(text.as_bytes()).as_bytes()[..8])
}

/// Encodes a header text as encoded words, so that nothing in it is syntax.
fn words(text: &str) -> String {
    let mut all: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut held = 0;
    for c in text.chars() {
        if held + c.len_utf8() > WORD {
            all.push(std::mem::take(&mut word));
            held = 0;
        }
        held += c.len_utf8();
        let mut bytes = [0; 4];
        for byte in c.encode_utf8(&mut bytes).bytes() {
            match byte {
                b' ' => word.push('_'),
                byte if byte.is_ascii_alphanumeric() => word.push(char::from(byte)),
                byte => word.push_str(&format!("={byte:02X}")),
            }
        }
    }
    all.push(word);
    let all: Vec<String> = all
        .iter()
        .map(|word| format!("=?utf-8?Q?{word}?="))
        .collect();
    all.join("\r\n ")
}

/// Encodes a text as quoted-printable; dots are encoded, since a line of a single dot ends a message.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    for line in text.lines() {
        let mut width = 0;
        for byte in line.bytes() {
            let plain = (byte.is_ascii_graphic() || byte == b' ') && !b"=.".contains(&byte);
            let size = if plain { 1 } else { 3 };
            if width + size >= LINE {
                out.push_str("=\r\n");
                width = 0;
            }
            match plain {
                true => out.push(char::from(byte)),
                false => out.push_str(&format!("={byte:02X}")),
            }
            width += size;
        }
        // Mail servers may drop a blank at the end of a line.
        if out.ends_with(' ') {
            out.pop();
            out.push_str("=20");
        }
        out.push_str("\r\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::PostAuth;

    fn post(subject: &str, text: &str, id: &str) -> Post {
        let body = serde_json::json!({
            "id": id, "subject": subject, "text": text, "thread": "rollout/prod-7"
        });
        Post {
            method: "POST",
            path: String::new(),
            content_type: "text/plain",
            body,
            sign: PostAuth::No,
            names: false,
        }
    }

    fn mail() -> Mail {
        Mail {
            host: "h".to_owned(),
            port: 465,
            implicit_tls: true,
            from: "flotilla@example.org".to_owned(),
            to: vec!["a@example.org".to_owned(), "b@example.org".to_owned()],
            user_file: None,
            password_file: None,
            ca_file: None,
        }
    }

    /// Undoes both encodings.
    fn decoded(text: &str) -> String {
        let text = text.replace("=\r\n", "");
        let mut bytes = Vec::new();
        let mut rest = text.as_bytes();
        while let Some((first, more)) = rest.split_first() {
            match (first, more) {
                (b'=', [high, low, end @ ..]) => {
                    let hex = [*high, *low];
                    let hex = std::str::from_utf8(&hex).unwrap();
                    bytes.push(u8::from_str_radix(hex, 16).unwrap());
                    rest = end;
                }
                _ => {
                    bytes.push(*first);
                    rest = more;
                }
            }
        }
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn nothing_in_a_text_ends_a_header_a_line_or_the_message() {
        let now = "2026-11-27T07:00:00Z".parse().unwrap();
        let hostile = "x\r\nBcc: evil@example.org\r\n\r\n.\r\nMAIL FROM:<y>\u{1F600} =3D ?=";
        let long = format!(
            "{}\n.\n..\n{}.{} \n",
            "é".repeat(200),
            "a".repeat(75),
            "b".repeat(80)
        );
        for text in [hostile, &long, "", ".", "plain"] {
            let whole = message(&mail(), &post(text, text, "7"), now);
            assert!(whole.is_ascii());
            let (head, body) = whole.split_once("\r\n\r\n").unwrap();
            let names: Vec<&str> = head
                .split("\r\n")
                .filter(|line| !line.starts_with(' '))
                .map(|line| line.split_once(':').unwrap().0)
                .collect();
            assert_eq!(
                names,
                [
                    "From",
                    "To",
                    "Subject",
                    "Date",
                    "Message-ID",
                    "References",
                    "Auto-Submitted",
                    "MIME-Version",
                    "Content-Type",
                    "Content-Transfer-Encoding"
                ]
            );
            for line in whole.split("\r\n") {
                assert!(line.len() <= 77, "{line:?}");
                assert!(!line.contains(['\r', '\n']), "{line:?}");
            }
            assert!(
                !body.split("\r\n").any(|line| line.starts_with('.')),
                "{body:?}"
            );
            let lines: Vec<&str> = text.lines().collect();
            assert_eq!(decoded(body).lines().collect::<Vec<_>>(), lines);
        }
    }

    #[test]
    fn a_message_says_when_what_and_about_which_rollout() {
        let now = "2026-11-27T07:00:00Z".parse().unwrap();
        let first = message(&mail(), &post("[flotilla] a", "b", "7"), now);
        let again = message(&mail(), &post("[flotilla] a", "b", "7"), now);
        let other = message(&mail(), &post("[flotilla] a", "b", "8"), now);
        assert_eq!(first, again);
        let line = |text: &str, name: &str| {
            let mut lines = text.split("\r\n");
            lines
                .find(|line| line.starts_with(name))
                .unwrap()
                .to_owned()
        };
        assert_eq!(
            line(&first, "Date"),
            "Date: Fri, 27 Nov 2026 07:00:00 +0000"
        );
        assert_eq!(
            line(&first, "Subject"),
            "Subject: =?utf-8?Q?=5Bflotilla=5D_a?="
        );
        assert_eq!(line(&first, "References"), line(&other, "References"));
        assert_ne!(line(&first, "Message-ID"), line(&other, "Message-ID"));
    }
}
