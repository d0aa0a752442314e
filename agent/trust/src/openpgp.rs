//! OpenPGP signatures of version 4 (RFC 9580, RFC 4880): only what is needed to verify a detached
//! signature with a pinned certificate.
//!
//! Own code, since the crates that read all of OpenPGP bring some hundred packages of ciphers, key
//! exchanges and old hashes, none of which a verifier needs. There is no SHA-1, no DSA, no
//! decompression, no partial length, no web of trust: the pinned certificate is the trust.

mod armor;
mod certificate;
mod packet;
mod signature;
#[cfg(test)]
mod tests;

pub(crate) use certificate::{Certificate, Verdict, keyring};
pub(crate) use signature::PgpSignature;
