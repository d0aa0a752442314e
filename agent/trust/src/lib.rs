//! Whether a commit, or an approval, was signed by somebody whom the agent's owner named.
//!
//! ```text
//!   policy file --> Keyring (pinned keys, each with a window and a word on revocation)
//!                      |
//!   raw commit --> commit::split --> signature + exactly the bytes that were signed
//!                      |                 |-- SSHSIG  --> ssh      --+
//!                      |                 |-- OpenPGP --> openpgp  --+--> primitive (ring)
//!                      +--> Keyring::commit --> the key's name, or a Fault
//!
//!   keyring file --> Certificates::clear_signed --> the text that was signed, or a Fault
//! ```
//!
//! Pure: no clock, no file, no program. Time comes in as the moment when the agent first saw the commit;
//! what a commit says of its own date is never asked, since whoever makes a commit chooses its date.

mod clearsigned;
mod commit;
mod fault;
mod key;
mod keyring;
mod openpgp;
mod primitive;
mod ssh;

pub use clearsigned::Certificates;
pub use commit::{Signed, split};
pub use fault::{Fault, NotTaken};
pub use key::{KeyError, PinnedKey};
pub use keyring::Keyring;

/// The namespace that `git` signs commits in (`gpg.format=ssh`).
pub const GIT_NAMESPACE: &str = "git";

/// Largest signature that is looked at, bytes. The largest sensible ones (RSA of 8,192 bits, armoured
/// OpenPGP with notations) are below 4 KiB.
pub const MAX_SIGNATURE_BYTES: usize = 32 << 10;

/// Largest commit object that is looked at, bytes: header and message, no content.
pub const MAX_COMMIT_BYTES: usize = 4 << 20;
