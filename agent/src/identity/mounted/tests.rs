//! Directories as cert-manager and kubelet make them, and as they make them not.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType, SubjectPublicKeyInfo,
};

use super::*;
use crate::identity::IdentityFiles;

/// A root, an authority between it and leaves, and their certificates.
struct Authorities {
    root: Issuer<'static, KeyPair>,
    root_pem: String,
    middle: Issuer<'static, KeyPair>,
    middle_pem: String,
}

impl Authorities {
    fn new() -> Self {
        let params = || {
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params
        };
        let key = KeyPair::generate().unwrap();
        let root_pem = params().self_signed(&key).unwrap().pem();
        let root = Issuer::new(params(), key);
        let key = KeyPair::generate().unwrap();
        let middle_pem = params().signed_by(&key, &root).unwrap().pem();
        let middle = Issuer::new(params(), key);
        Self {
            root,
            root_pem,
            middle,
            middle_pem,
        }
    }

    fn leaf(&self, name: &str, public: &SubjectPublicKeyInfo, days: u64) -> String {
        let mut leaf = CertificateParams::default();
        leaf.subject_alt_names = vec![SanType::URI(name.try_into().unwrap())];
        let now = std::time::SystemTime::now();
        leaf.not_before = (now - Duration::from_secs(60)).into();
        leaf.not_after = (now + Duration::from_secs(days * 86_400)).into();
        leaf.signed_by(public, &self.middle).unwrap().pem()
    }
}

/// One version of a Secret.
struct Version {
    key: String,
    certificate: String,
    roots: Option<String>,
}

impl Version {
    fn new(authorities: &Authorities, days: u64) -> Self {
        let key = KeyPair::generate().unwrap();
        let public = SubjectPublicKeyInfo::from_pem(&key.public_key_pem()).unwrap();
        let leaf = authorities.leaf("spiffe://flotilla/cluster/c1", &public, days);
        Self {
            key: key.serialize_pem(),
            certificate: format!("{leaf}{}", authorities.middle_pem),
            roots: Some(authorities.root_pem.clone()),
        }
    }

    fn write(&self, directory: &Path) {
        std::fs::create_dir_all(directory).unwrap();
        std::fs::write(directory.join("tls.crt"), &self.certificate).unwrap();
        std::fs::write(directory.join("tls.key"), &self.key).unwrap();
        if let Some(roots) = &self.roots {
            std::fs::write(directory.join("ca.crt"), roots).unwrap();
        }
    }

    /// As kubelet does: a new directory, and a link that is exchanged in one step.
    fn mount(&self, directory: &Path, version: &str) {
        let inner = directory.join(format!("..{version}"));
        self.write(&inner);
        for name in ["tls.crt", "tls.key", "ca.crt"] {
            let link = directory.join(name);
            if inner.join(name).exists() && link.symlink_metadata().is_err() {
                std::os::unix::fs::symlink(Path::new("..data").join(name), link).unwrap();
            }
        }
        let next = directory.join("..data_tmp");
        std::os::unix::fs::symlink(format!("..{version}"), &next).unwrap();
        std::fs::rename(next, directory.join("..data")).unwrap();
    }
}

struct World {
    directory: tempfile::TempDir,
    authorities: Authorities,
}

impl World {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            authorities: Authorities::new(),
        }
    }

    fn mounted(&self) -> MountedIdentity {
        let directory = self.directory.path().join("mounted");
        std::fs::create_dir_all(&directory).unwrap();
        MountedIdentity {
            directory,
            roots: None,
            cluster: "c1".parse().unwrap(),
        }
    }

    fn files(&self) -> IdentityFiles {
        IdentityFiles::new(self.directory.path()).mounted(Some(self.mounted()))
    }

    /// Whether a hub that trusts the root takes this identity, and the agent this hub.
    fn shakes_hands(&self, own: &CertifiedIdentity) {
        let key = KeyPair::generate().unwrap();
        let mut hub = CertificateParams::new(vec!["hub.test".to_owned()]).unwrap();
        hub.not_before = (std::time::SystemTime::now() - Duration::from_secs(60)).into();
        let hub = hub.signed_by(&key, &self.authorities.root).unwrap().pem();
        let hub = TlsIdentity {
            chain_pem: hub,
            key_pem: key.serialize_pem(),
        };
        let server = tls::server_config(&hub, &self.authorities.root_pem).unwrap();
        let client = tls::client_config(&own.trust_bundle, Some(&own.tls)).unwrap();
        let name = "hub.test".try_into().unwrap();
        let mut client = rustls::ClientConnection::new(Arc::new(client), name).unwrap();
        let mut server = rustls::ServerConnection::new(Arc::new(server)).unwrap();
        for _ in 0..4 {
            let mut bytes = Vec::new();
            client.write_tls(&mut bytes).unwrap();
            server.read_tls(&mut bytes.as_slice()).unwrap();
            server.process_new_packets().unwrap();
            let mut bytes = Vec::new();
            server.write_tls(&mut bytes).unwrap();
            client.read_tls(&mut bytes.as_slice()).unwrap();
            client.process_new_packets().unwrap();
        }
        let shown = server.peer_certificates().map(<[_]>::len);
        assert_eq!((server.is_handshaking(), shown), (false, Some(2)));
    }
}

#[test]
fn a_secret_is_taken_as_kubelet_mounts_it_and_again_when_it_was_exchanged() {
    let world = World::new();
    let (files, mounted) = (world.files(), world.mounted());
    let missing = files.load().unwrap_err().to_string();
    assert!(missing.contains("tls.crt"), "{missing}");
    let first = Version::new(&world.authorities, 10);
    first.mount(&mounted.directory, "one");
    let own = files.load().unwrap().unwrap();
    assert_eq!(own.tls.chain_pem, first.certificate);
    assert_eq!(own.cluster.as_str(), "c1");
    world.shakes_hands(&own);
    let same = files.renewed_elsewhere(&mounted);
    assert!(matches!(same, Err(Error::NotRenewed(_))), "{same:?}");

    // A new key with the new certificate, which is cert-manager's default.
    let second = Version::new(&world.authorities, 20);
    second.mount(&mounted.directory, "two");
    std::fs::remove_dir_all(mounted.directory.join("..one")).unwrap();
    let renewed = files.renewed_elsewhere(&mounted).unwrap();
    assert_eq!(renewed.tls.chain_pem, second.certificate);
    world.shakes_hands(&files.load().unwrap().unwrap());

    // The same key with a new certificate.
    let public = KeyPair::from_pem(&second.key).unwrap().public_key_pem();
    let public = SubjectPublicKeyInfo::from_pem(&public).unwrap();
    let leaf = world
        .authorities
        .leaf("spiffe://flotilla/cluster/c1", &public, 30);
    let third = Version {
        certificate: format!("{leaf}{}", world.authorities.middle_pem),
        ..second
    };
    third.mount(&mounted.directory, "three");
    let renewed = files.renewed_elsewhere(&mounted).unwrap();
    assert_eq!(renewed.tls.chain_pem, third.certificate);
    world.shakes_hands(&renewed);
}

#[test]
fn keys_of_every_kind_and_encoding_are_taken() {
    let openssl = |arguments: &str| {
        let output = Command::new("openssl").args(arguments.split(' ')).output();
        output.ok().filter(|output| output.status.success())
    };
    if openssl("version").is_none() {
        flotilla_needs::skip("openssl");
        return;
    }
    let world = World::new();
    let (files, mounted) = (world.files(), world.mounted());
    let path = world.directory.path().join("key.pem");
    let path = path.display();
    for (kind, make, begins) in [
        (
            "PKCS#1",
            format!("genrsa -traditional -out {path} 2048"),
            "-----BEGIN RSA PRIVATE KEY",
        ),
        (
            "RSA in PKCS#8",
            format!("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out {path}"),
            "-----BEGIN PRIVATE KEY",
        ),
        (
            "SEC1",
            format!("ecparam -name prime256v1 -genkey -noout -out {path}"),
            "-----BEGIN EC PRIVATE KEY",
        ),
        (
            "SEC1 behind its parameters",
            format!("ecparam -name secp384r1 -genkey -out {path}"),
            "-----BEGIN EC PARAMETERS",
        ),
        (
            "EC in PKCS#8",
            format!("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {path}"),
            "-----BEGIN PRIVATE KEY",
        ),
        (
            "Ed25519",
            format!("genpkey -algorithm ed25519 -out {path}"),
            "-----BEGIN PRIVATE KEY",
        ),
    ] {
        openssl(&make).unwrap_or_else(|| panic!("{kind}: {make}"));
        let key = std::fs::read_to_string(path.to_string()).unwrap();
        assert!(key.starts_with(begins), "{kind}: {}", &key[..30]);
        let public = openssl(&format!("pkey -in {path} -pubout")).unwrap().stdout;
        let public = String::from_utf8(public).unwrap();
        let public = SubjectPublicKeyInfo::from_pem(&public).unwrap();
        let leaf = world
            .authorities
            .leaf("spiffe://flotilla/cluster/c1", &public, 10);
        // With other lines around the PEM blocks, as people paste them.
        let version = Version {
            key: format!("\n{key}\n\n"),
            certificate: format!("{leaf}\r\n\n{}\n \n", world.authorities.middle_pem),
            roots: Some(format!(
                "# ours, and another\n{}\n{}\n\n",
                Authorities::new().root_pem,
                world.authorities.root_pem
            )),
        };
        version.write(&mounted.directory);
        world.shakes_hands(&files.load().unwrap().unwrap());
    }
    // A key of an unsupported kind is refused with a reason instead of failing at the handshake.
    openssl(&format!(
        "ecparam -name secp521r1 -genkey -noout -out {path}"
    ))
    .unwrap();
    let fresh = World::new();
    let mut version = Version::new(&fresh.authorities, 10);
    version.key = std::fs::read_to_string(path.to_string()).unwrap();
    version.write(&fresh.mounted().directory);
    let error = fresh.files().load().unwrap_err();
    assert!(matches!(error, Error::Mounted { .. }), "{error}");
}

#[test]
fn what_cannot_be_used_takes_nothing_away_and_says_why() {
    let world = World::new();
    let (files, mounted) = (world.files(), world.mounted());
    let good = Version::new(&world.authorities, 10);
    let other = Version::new(&world.authorities, 20);
    let name = |uri: &str| {
        let key = KeyPair::generate().unwrap();
        let public = SubjectPublicKeyInfo::from_pem(&key.public_key_pem()).unwrap();
        Version {
            certificate: world.authorities.leaf(uri, &public, 10),
            key: key.serialize_pem(),
            roots: good.roots.clone(),
        }
    };
    let with = |key: &str, certificate: &str, roots: Option<&str>| Version {
        key: key.to_owned(),
        certificate: certificate.to_owned(),
        roots: roots.map(str::to_owned),
    };
    let (key, chain, roots) = (&good.key, &good.certificate, good.roots.as_deref());
    let cases = [
        // Read between the updates of two files.
        (with(&other.key, chain, roots), "KeyMismatch"),
        (with(key, &other.certificate, roots), "KeyMismatch"),
        (with(key, "", roots), "no usable certificate"),
        (with(key, &chain[..chain.len() / 3], roots), "certificate"),
        (with("", chain, roots), "private key cannot be read"),
        (with(key, chain, Some("garbage")), "trust bundle"),
        (with(key, chain, None), "--trust-bundle"),
        (with(key, chain, Some(" \n")), "--trust-bundle"),
        (name("spiffe://flotilla/cluster/c2"), "is for cluster c2"),
        (name("spiffe://flotilla/operator/ada"), "not an agent's"),
    ];
    for (bad, why) in &cases {
        let fresh = World::new();
        bad.write(&fresh.mounted().directory);
        let error = fresh.files().load().unwrap_err().to_string();
        assert!(error.contains(why), "{why}: {error}");
        assert!(!error.contains(&key[40..60]), "{error}");
    }
    good.mount(&mounted.directory, "good");
    files.load().unwrap();
    for (at, (bad, why)) in cases.iter().enumerate() {
        bad.mount(&mounted.directory, &format!("bad{at}"));
        let own = files.load().unwrap().unwrap();
        assert_eq!(&own.tls.chain_pem, chain, "{why}");
        world.shakes_hands(&own);
        let error = files.renewed_elsewhere(&mounted).unwrap_err();
        assert!(error.to_string().contains(why), "{why}: {error}");
    }
    other.mount(&mounted.directory, "other");
    let renewed = files.renewed_elsewhere(&mounted).unwrap();
    assert_eq!(renewed.tls.chain_pem, other.certificate);
}

#[test]
fn without_ca_crt_the_roots_that_were_given_count() {
    let world = World::new();
    let roots = world.directory.path().join("roots.pem");
    std::fs::write(&roots, &world.authorities.root_pem).unwrap();
    let mut mounted = world.mounted();
    mounted.roots = Some(roots);
    let mut version = Version::new(&world.authorities, 10);
    version.roots = None;
    version.mount(&mounted.directory, "one");
    let files = IdentityFiles::new(world.directory.path()).mounted(Some(mounted));
    world.shakes_hands(&files.load().unwrap().unwrap());
}

#[test]
fn an_end_that_has_passed_does_not_hide_what_is_wrong() {
    let world = World::new();
    let (files, mounted) = (world.files(), world.mounted());
    Version::new(&world.authorities, 0).mount(&mounted.directory, "ended");
    let own = files.load().unwrap().unwrap();
    assert!(own.expires_at <= Timestamp::now());
    let mut bad = Version::new(&world.authorities, 10);
    bad.certificate = String::new();
    bad.mount(&mounted.directory, "bad");
    assert!(files.load().is_err());
}
