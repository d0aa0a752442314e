//! Git for hub and agent: a branch's tip, an exact commit, a tree's blobs.
//!
//! ```text
//!   hub    --tips------------------>  Remote  --reference advertisement-->  Git server
//!   hub    --directories----------->  Remote  --fetch without files------>
//!   agent  --tips, fetch, read_tree-> Remote  --shallow fetch, bare cache-> Git server
//! ```
//!
//! Blocking: call from `spawn_blocking`. Everything is bounded in time, bytes and entries. Nothing in a repository is
//! ever executed or obeyed: no work tree, hooks, filters, attributes, submodules or configuration. For http(s) no
//! program is started; `ssh://` starts OpenSSH's client (see `ssh.rs`), and `file://` starts `git upload-pack`, which
//! the machine's owner has to allow.

mod access;
mod error;
mod fetch;
mod history;
mod lineage;
mod meter;
mod packs;
mod remote;
mod ssh;
mod tree;
mod trees;

pub use access::{Access, Credentials, SshKey};
pub use error::Error;
pub use history::{Chain, ChainEnd};
pub use lineage::Lineage;
pub use remote::{Limits, Remote};
pub use tree::{Blob, TreeEntry};
pub use trees::TreeLimits;
