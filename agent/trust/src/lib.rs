//! Whether a commit, or an approval, was signed by a key that the agent's owner pinned.
//!
//! ```text
//!   policy file --> Keyring (pinned keys, each with a window and a word on revocation)
//!                      |
//!   raw commit --> commit::split --> signature + exactly the bytes that were signed
//!                      |                 |-- SSHSIG  --> ssh      --+
//!                      |                 |-- OpenPGP --> openpgp  --+--> primitive (ring)
//!                      +--> Keyring::commit --> the key's name, or a TrustError
//!
//!   keyring file --> Certificates::clear_signed --> the text that was signed, or a TrustError
//! ```
//!
//! Pure: no clock, no file, no program. The time is passed in: it is the moment when the agent first saw
//! the commit. The date in a commit is never used, since its author chooses it.

mod clearsigned;
mod commit;
mod fault;
mod key;
mod keyring;
mod openpgp;
mod primitive;
mod ssh;

pub use clearsigned::Certificates;
pub use commit::{SignedCommit, split};
pub use fault::{Rejection, TrustError};
pub use key::{KeyError, PinnedKey};
pub use keyring::Keyring;

/// The namespace that `git` signs commits in (`gpg.format=ssh`).
pub const GIT_NAMESPACE: &str = "git";

/// Largest signature that is looked at, bytes. The largest sensible ones (RSA of 8,192 bits, armoured
/// OpenPGP with notations) are below 4 KiB.
pub const MAX_SIGNATURE_BYTES: usize = 32 << 10;

/// Largest commit object that is looked at, bytes: header and message, no content.
pub const MAX_COMMIT_BYTES: usize = 4 << 20;
