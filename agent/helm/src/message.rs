//! What Helm and the libraries that it uses say is wrong, word for word.

/// A message as Helm prints it. What it means is for people: programs of ours do not tell these errors apart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Message(String);

impl Message {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<Message> for String {
    fn from(message: Message) -> Self {
        message.0
    }
}
