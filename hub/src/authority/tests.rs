use flotilla_shared::identity::PeerCertificate;
use flotilla_shared::tls;

use rcgen::{BasicConstraints, IsCa};

use super::*;

fn now() -> Timestamp {
    Timestamp::new(1_790_000_000, 0).unwrap()
}

#[test]
fn an_authority_that_cannot_be_looked_at_is_not_said_to_be_missing() {
    let directory = tempfile::tempdir().unwrap();
    let opened = Authority::open(directory.path());
    assert!(matches!(opened, Err(Error::Missing(_))));
    // Like a directory without access: what is below a file cannot be looked up, not even by root.
    let data_dir = directory.path().join("data");
    std::fs::write(&data_dir, "no directory").unwrap();
    for opened in [
        Authority::open(&data_dir),
        Authority::init(&data_dir, now()),
    ] {
        let Err(Error::File { path, .. }) = opened else {
            panic!("not a fault of the file");
        };
        assert!(path.ends_with("data/ca.crt"), "{}", path.display());
    }
    let begun = Rotation(&data_dir).has_begun();
    assert!(matches!(begun, Err(Error::File { .. })));
}

#[test]
fn e04_nothing_a_request_asks_for_is_copied() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::init(directory.path(), now()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut asked = CertificateParams::new(vec!["evil.example.com".to_owned()]).unwrap();
    asked.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    asked.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    asked.subject_alt_names.push(uri(&Identity::Hub).unwrap());
    let csr = asked.serialize_request(&key).unwrap();
    let request = Request::from_der(csr.der()).unwrap();
    let identity: Identity = "spiffe://flotilla/cluster/a".parse().unwrap();
    let issued = authority
        .sign(&identity, &request, AGENT_LIFE, 7, now())
        .unwrap();
    let der = tls::certificates("leaf", &issued.chain_pem)
        .unwrap()
        .remove(0);
    let peer = PeerCertificate::from_der(&der).unwrap();
    assert_eq!((peer.identity.clone(), peer.counter()), (identity, 7));
    let (_, leaf) = x509_parser::parse_x509_certificate(&der).unwrap();
    assert!(!leaf.is_ca());
    assert_eq!(
        leaf.subject_alternative_name()
            .unwrap()
            .unwrap()
            .value
            .general_names
            .len(),
        1
    );
    assert_eq!(
        leaf.validity().not_before.timestamp(),
        now().as_second() - 300
    );
}

#[test]
fn e04_broken_requests_are_refused() {
    let key = KeyPair::generate().unwrap();
    let csr = CertificateParams::default()
        .serialize_request(&key)
        .unwrap();
    let mut der = csr.der().to_vec();
    let last = der.len() - 1;
    der[last] ^= 1;
    assert!(Request::from_der(&der).is_err());
    assert!(Request::from_der(b"junk").is_err());
    assert!(Request::from_der(&vec![0x30; 1 << 20]).is_err());
    let mut trailing = csr.der().to_vec();
    trailing.push(0);
    assert!(Request::from_der(&trailing).is_err());
    // RSA with 1,024 bits and a valid signature.
    let weak = include_bytes!("../../../tests/fuzz/corpus/request/rsa-1024.der");
    assert!(Request::from_der(weak).is_err());
    let strong = include_bytes!("../../../tests/fuzz/corpus/request/rsa.der");
    assert!(Request::from_der(strong).is_ok());
}

#[test]
fn e15_init_is_idempotent_and_keys_are_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let first = Authority::init(directory.path(), now()).unwrap();
    let second = Authority::init(directory.path(), now()).unwrap();
    assert_eq!(first.trust_bundle(), second.trust_bundle());
    let key = directory.path().join("ca.key");
    assert_eq!(
        std::fs::metadata(&key).unwrap().permissions().mode() & 0o777,
        0o600
    );
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(
        Authority::open(directory.path()),
        Err(Error::Readable(_))
    ));
}
