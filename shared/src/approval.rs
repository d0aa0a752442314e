//! A signed approval for clusters to roll back: made and signed on the operator's machine, relayed by the
//! hub, which cannot forge it, and verified by each agent with keys that the hub does not hold (V5).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::ClusterName;
use crate::revision::{Commit, RepositoryUrl};

/// The SSHSIG namespace of approvals, so that no other signature can be taken for one.
pub const NAMESPACE: &str = "flotilla-rollback";

/// First line of an approval; it names the version of the format.
const TITLE: &str = "flotilla rollback approval, version 1";

/// Largest approval, bytes.
pub const MAX_BYTES: usize = 256 << 10;

/// Most clusters of one approval.
const MAX_CLUSTERS: usize = 2000;

/// Content of an approval to roll back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollbackApproval {
    /// URL of the repository in which clusters roll back.
    pub repository: RepositoryUrl,
    /// The commit to roll back to.
    pub to: Commit,
    /// The clusters, each with the commit that it leaves.
    pub from: BTreeMap<ClusterName, Commit>,
    /// Expiry: the approval is not valid at or after this time.
    pub expires_at: Timestamp,
    /// 32 hexadecimal digits, used once by each cluster.
    pub nonce: String,
}

/// An approval and its signature, both opaque to the hub.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct SignedApproval {
    /// The text that was signed.
    #[serde(with = "base64_text")]
    pub content: bytes::Bytes,
    /// The armoured SSHSIG.
    #[serde(with = "base64_text")]
    pub signature: bytes::Bytes,
}

/// Bytes as base64 text, for stores that keep JSON.
mod base64_text {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(
        bytes: &bytes::Bytes,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<bytes::Bytes, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).map_err(de::Error::custom)?;
        Ok(bytes.into())
    }
}

/// Why a text is not an approval.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is not a rollback approval: {0}")]
pub struct ApprovalError(String);

impl RollbackApproval {
    /// The text that is signed: lines that a person can read before they sign.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!(
            "{TITLE}\nrepository {}\nto {}\nexpires {}\nnonce {}\n",
            self.repository, self.to, self.expires_at, self.nonce
        );
        for (cluster, from) in &self.from {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "cluster {cluster} from {from}");
        }
        text
    }

    /// Reads the output of [`RollbackApproval::to_text`], and nothing else: each approval has exactly one text.
    ///
    /// # Errors
    /// Why it is not an approval.
    pub fn parse(bytes: &[u8]) -> Result<Self, ApprovalError> {
        let fail = |why: &str| ApprovalError(why.to_owned());
        if bytes.len() > MAX_BYTES {
            return Err(fail("it is too long"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| fail("it is not text"))?;
        let mut lines = text.lines();
        if lines.next() != Some(TITLE) {
            return Err(fail("its first line is not that of version 1"));
        }
        let mut value = |key: &str| {
            lines
                .next()
                .and_then(|line| line.strip_prefix(key)?.strip_prefix(' '))
                .ok_or_else(|| ApprovalError(format!("the line `{key}` is missing or misplaced")))
        };
        let named = |error: crate::id::NameError| ApprovalError(error.to_string());
        let repository = value("repository")?.parse().map_err(named)?;
        let to = value("to")?.parse().map_err(named)?;
        let expires_at = value("expires")?
            .parse()
            .map_err(|_| fail("its expiry is not a time"))?;
        let nonce = value("nonce")?.to_owned();
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if nonce.len() != 32 || !nonce.bytes().all(is_hex) {
            return Err(fail("its nonce does not have 32 hexadecimal digits"));
        }
        let mut from = BTreeMap::new();
        for line in lines {
            let (cluster, commit) = line
                .strip_prefix("cluster ")
                .and_then(|rest| rest.split_once(" from "))
                .ok_or_else(|| fail("a line does not name a cluster"))?;
            from.insert(
                cluster.parse().map_err(named)?,
                commit.parse().map_err(named)?,
            );
            if from.len() > MAX_CLUSTERS {
                return Err(fail("it names too many clusters"));
            }
        }
        let approval = Self {
            repository,
            to,
            from,
            expires_at,
            nonce,
        };
        if approval.to_text() != text {
            return Err(fail("it is not in its canonical form"));
        }
        Ok(approval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn approval() -> RollbackApproval {
        let commit = |c: &str| c.repeat(40).parse::<Commit>().unwrap();
        RollbackApproval {
            repository: "https://git.example.com/fleet.git".parse().unwrap(),
            to: commit("a"),
            from: [
                ("c1".parse().unwrap(), commit("b")),
                ("c2".parse().unwrap(), commit("c")),
            ]
            .into(),
            expires_at: "2026-01-02T03:04:05Z".parse().unwrap(),
            nonce: "0123456789abcdef".repeat(2),
        }
    }

    #[test]
    fn c04_one_text_stands_for_one_approval() {
        let approval = approval();
        let text = approval.to_text();
        assert_eq!(RollbackApproval::parse(text.as_bytes()), Ok(approval));
        for (from, to) in [
            ("version 1", "version 2"),
            ("nonce 0", "nonce G"),
            ("cluster c1", "cluster c2"),
            ("cluster c1 from", "cluster c1  from"),
            ("2026-01-02T03", "2026-01-02t03"),
            ("\nto ", "\n to "),
            ("https://git.", "https://GIT."),
            ("05Z\n", "05Z\r\n"),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text);
            assert!(
                RollbackApproval::parse(changed.as_bytes()).is_err(),
                "{changed}"
            );
        }
        assert!(RollbackApproval::parse(text.trim_end().as_bytes()).is_err());
        assert!(RollbackApproval::parse(b"\xff").is_err());
    }
}
