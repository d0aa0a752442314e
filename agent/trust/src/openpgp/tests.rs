//! What no program writes, and somebody may: certificates and signatures laid byte by byte.

mod certificate;
mod maker;
mod revocation;
mod signature;
