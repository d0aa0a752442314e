//! Certificates and signatures that no program writes but an attacker may: built byte by byte.

mod certificate;
mod maker;
mod revocation;
mod signature;
