//! The `flotilla.v1` protocol: the `.proto` files and the code generated from them, nothing else.
//!
//! The generated code is committed, so a build needs no protoc; `tests/generated.rs` generates it anew
//! and compares. To change the protocol, edit `flotilla/v1/*.proto` and run
//! `FLOTILLA_REGENERATE=1 cargo test -p flotilla-proto`.
//!
//! Wire types end at the edge: rooms other than `flotilla_shared::wire` and the gRPC services convert
//! them to domain values at once.

pub mod codec;

/// Package `flotilla.v1`.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::pedantic,
    reason = "generated code; its documentation is in the .proto files"
)]
pub mod v1 {
    include!("gen/flotilla.v1.rs");
}

/// The encoded `FileDescriptorSet` of all our files, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("gen/flotilla.v1.binpb");
