//! Object ids use a hash that detects attempts at collisions and refuses them (G15).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

/// The first of the two messages of "SHA-1 is a Shambles" (Leurent and Peyrin, 2020), whose SHA-1 are
/// equal.
const SHAMBLES: &[&str] = &[
    "99040d047fe81780012000ff4b65792069732070617274206f66206120636f6c6c6973696f6e2120",
    "49742773206120747261702179c61af0afcc054515d9274e7307624b1dc7fb23988bb8de8b575dba",
    "7b9eab31c1674b6d974378a827732ff5851c76a2e60772b5a47ce1eac40bb993c12d8c70e24a4f8d",
    "5fcdedc1b32c9cf19e31af2429759d42e4dfdb31719f587623ee552939b6dcdc459fca53553b70f8",
    "7ede30a247ea3af6c759a2f20b320d760db64ff479084fd3ccb3cdd48362d96a9c430617caff6c36",
    "c637e53fde28417f626fec54ed7943a46e5f5730f2bb38fb1df6e0090010d00e24ad78bf92641993",
    "608e8d158a789f34c46fe1e6027f35a4cbfb827076c50eca0e8b7cca69bb2c2b790259f9bf9570dd",
    "8d4437a3115faff7c3cac09ad25266055c27104755178eaeff825a2caa2acfb5de64ce7641dc59a5",
    "41a9fc9c756756e2e23dc713c8c24c9790aa6b0e38a7f55f14452a1ca2850ddd9562fd9a18ad4249",
    "6aa97008f74672f68ef461eb88b09933d626b4f918749cc027fddd6c425fc4216835d0134d15285b",
    "ab2cb784a4f7cbb4fb514d4bf0f6237cf00a9e9f132b9a066e6fd17f6c42987478586ff651af9674",
    "7fb426b9872b9a88e4063f59bb334cc00650f83a80c42751b71974d300fc2819a2e8f1e32c1b51cb",
    "18e6bfc4db9baef675d4aaf5b1574a047f8f6dd2ec153a93412293974d928f88ced9363cfef97ce2",
    "e742bf34c96b8ef3875676fea5cca8e5f7dea0bab2413d4de00ee71ee01f162bdb6d1eafd925e6ae",
    "baae6a354ef17cf205a404fbdb12fc454d41fdd95cf2459664a2ad032d1da60a73264075d7f1e0d6",
    "c1403ae7a0d861df3fe5707188dd5e07d1589b9f8b6630553f8fc352b3e0c27da80bddba4c64020d",
];

fn message() -> Vec<u8> {
    let hex = SHAMBLES.concat();
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

fn has_id(bytes: &[u8]) -> bool {
    let mut hasher = gix::hash::hasher(gix::hash::Kind::Sha1);
    hasher.update(bytes);
    hasher.try_finalize().is_ok()
}

#[test]
fn g15_a_message_made_for_a_collision_gets_no_id() {
    let mut message = message();
    assert_eq!(message.len(), 640);
    assert!(!has_id(&message));
    message[0] ^= 1;
    assert!(has_id(&message));
}
