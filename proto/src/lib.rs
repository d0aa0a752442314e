//! The flotilla.v1 protocol: .proto files and the code generated from them.
