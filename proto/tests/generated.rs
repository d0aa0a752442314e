//! The committed code is exactly what the `.proto` files generate.

use std::path::Path;

use prost::Message as _;

const FILES: [&str; 4] = [
    "flotilla/v1/types.proto",
    "flotilla/v1/agent.proto",
    "flotilla/v1/enrollment.proto",
    "flotilla/v1/fleet.proto",
];

#[test]
fn generated_code_is_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = tempfile::tempdir().expect("a temporary directory");
    let set = protox::compile(FILES, [root]).expect("the .proto files compile");
    tonic_prost_build::configure()
        // `AgentService.Connect` would collide with the generated transport constructor of that name.
        .build_transport(false)
        .codec_path("crate::codec::SmallCodec")
        .out_dir(out.path())
        .bytes(".flotilla.v1.Assignment.content")
        .compile_fds(set.clone())
        .expect("code is generated");
    let mut code = std::fs::read_to_string(out.path().join("flotilla.v1.rs")).expect("one file");
    code.insert_str(
        0,
        "// Generated from flotilla/v1/*.proto by tests/generated.rs; do not edit.\n",
    );
    let descriptors = set.encode_to_vec();

    let code_path = root.join("src/gen/flotilla.v1.rs");
    let set_path = root.join("src/gen/flotilla.v1.binpb");
    if std::env::var_os("FLOTILLA_REGENERATE").is_some() {
        std::fs::write(&code_path, &code).expect("write the code");
        std::fs::write(&set_path, &descriptors).expect("write the descriptors");
    }
    let hint = "stale: run `FLOTILLA_REGENERATE=1 cargo test -p flotilla-proto` and commit";
    assert!(
        std::fs::read_to_string(&code_path).is_ok_and(|have| have == code),
        "code is {hint}"
    );
    assert!(
        std::fs::read(&set_path).is_ok_and(|have| have == descriptors),
        "descriptors are {hint}"
    );
}
