use super::maker::{
    FINGERPRINT, MADE, MESSAGE, Maker, certificate, created, fingerprint, packet, part, verdict,
};
use crate::openpgp::packet::packets;
use crate::openpgp::{Certificate, PgpSignature, Verdict, armor};

const OF_KEY: u8 = 0x20;
const OF_SUBKEY: u8 = 0x28;

fn issuer(fingerprint: &[u8]) -> Vec<u8> {
    part(FINGERPRINT, &[&[4], fingerprint].concat())
}

#[test]
fn g14_a_primary_is_revoked_by_itself_only() {
    let (key, other) = (Maker::new(1), Maker::new(2));
    let of = |revocation: &[u8]| {
        let packets = [packet(6, &key.body()), packet(2, revocation)];
        verdict(&certificate(&packets).unwrap(), &key, 0)
    };
    let (own, foreign) = (issuer(&key.fingerprint()), issuer(&other.fingerprint()));
    let parts = |issuer: &[u8]| [&created(MADE), issuer].concat();
    let by = |by: &Maker, parts: &[u8]| by.sign(OF_KEY, parts, &[], &key.hashed());
    assert_eq!(of(&by(&key, &parts(&own))), Verdict::Revoked);
    assert_eq!(of(&by(&key, &parts(&[]))), Verdict::Revoked);
    // Made by another key, whatever issuer it names.
    for issuer in [&own, &foreign, &Vec::new()] {
        assert_eq!(of(&by(&other, &parts(issuer))), Verdict::Good);
    }
    // Over another key.
    let elsewhere = key.sign(OF_KEY, &parts(&own), &[], &other.hashed());
    assert_eq!(of(&elsewhere), Verdict::Good);
    // The revocation of a subkey does not revoke the primary.
    let of_subkey = key.sign(OF_SUBKEY, &parts(&own), &[], &key.hashed());
    assert_eq!(of(&of_subkey), Verdict::Good);
}

/// Signatures that cannot be read as a whole, because of their version, hash or a critical subpacket.
#[test]
fn g14_what_cannot_be_read_grants_nothing_and_may_revoke() {
    let key = Maker::new(1);
    let of = |signature: &[u8]| {
        let packets = [packet(6, &key.body()), packet(2, signature)];
        verdict(&certificate(&packets).unwrap(), &key, 0)
    };
    let forms = |kind: u8| {
        [
            vec![3, 5, kind, 0, 0, 0, 1],
            vec![4, kind, 27, 2, 0, 0, 0, 0, 0, 0],
            vec![4, kind],
            vec![6, kind, 27, 8],
            key.sign(
                kind,
                &[created(MADE), part(0x80 | 100, b"x")].concat(),
                &[],
                b"",
            ),
        ]
    };
    for form in forms(OF_KEY) {
        assert_eq!(of(&form), Verdict::Revoked, "{form:?}");
    }
    // Old signatures of other kinds occur on many certificates.
    for kind in [0x00, 0x10, 0x13, 0x18, 0x1F, 0x30] {
        for form in forms(kind) {
            assert_eq!(of(&form), Verdict::Good, "{form:?}");
        }
    }
    for form in [&[][..], &[4], &[OF_KEY], &[3, OF_KEY, 0]] {
        assert_eq!(of(form), Verdict::Good, "{form:?}");
    }
    // On a subkey for decryption, which does not affect the primary.
    let packets = [
        packet(6, &key.body()),
        packet(14, &Maker::new(2).body()),
        packet(2, &[4, OF_SUBKEY, 27, 2]),
    ];
    let certificate = certificate(&packets).unwrap();
    assert_eq!(verdict(&certificate, &key, 0), Verdict::Good);
}

/// ring supports one hash per curve. If it cannot be verified whether the key revoked itself, it counts as
/// revoked.
#[test]
fn g14_a_curve_s_revocation_over_another_hash_counts_if_it_may_be_its_own() {
    const SHA256: u8 = 8;
    const SHA384: u8 = 9;
    const SHA512: u8 = 10;
    for (block, signature, own) in [
        (
            include_str!("../../../tests/recorded/p256.asc"),
            include_str!("../../../tests/recorded/p256.sig"),
            SHA256,
        ),
        (
            include_str!("../../../tests/recorded/p384.asc"),
            include_str!("../../../tests/recorded/p384.sig"),
            SHA384,
        ),
    ] {
        let bytes = armor::read(block.as_bytes(), "PUBLIC KEY BLOCK").unwrap();
        let certificate_packets = packets(&bytes).unwrap();
        let key = certificate_packets[0].body;
        let signature = PgpSignature::parse(signature.as_bytes()).unwrap();
        let message = include_bytes!("../../../tests/recorded/message");
        let of = |hash: u8, issuer: &[u8]| {
            // By no key: both of its numbers are one.
            let parts = [&created(MADE), issuer].concat();
            let size = u16::try_from(parts.len()).unwrap().to_be_bytes();
            let head = [4, OF_KEY, 19, hash, size[0], size[1]];
            let revocation = [&head[..], &parts, &[0, 0, 0, 0, 0, 1, 1, 0, 1, 1]].concat();
            let mut all = vec![packet(6, key), packet(2, &revocation)];
            let rest = certificate_packets[1..].iter();
            all.extend(rest.map(|it| packet(it.tag, it.body)));
            let certificate: Certificate = certificate(&all).unwrap();
            certificate.verify(&signature, message, jiff::Timestamp::UNIX_EPOCH)
        };
        let other = issuer(&Maker::new(1).fingerprint());
        for hash in [SHA256, SHA384, SHA512] {
            let expected = if hash == own {
                Verdict::Good
            } else {
                Verdict::Revoked
            };
            assert_eq!(of(hash, &issuer(&fingerprint(key))), expected, "{hash}");
            assert_eq!(of(hash, &[]), expected, "{hash}");
            assert_eq!(of(hash, &other), Verdict::Good, "{hash}");
        }
    }
}

#[test]
fn g14_a_subkey_is_revoked_by_its_primary_only() {
    let (primary, subkey) = (Maker::new(1), Maker::new(2));
    let message = [primary.hashed(), subkey.hashed()].concat();
    let back = subkey.sign(0x19, &created(MADE), &[], &message);
    let parts = [created(MADE), part(27, &[2]), part(32, &back)].concat();
    let binding = primary.sign(0x18, &parts, &[], &message);
    let of = |revocation: &[u8]| {
        let packets = [
            packet(6, &primary.body()),
            packet(14, &subkey.body()),
            packet(2, &binding),
            packet(2, revocation),
        ];
        let certificate = certificate(&packets).unwrap();
        assert_eq!(verdict(&certificate, &primary, 0), Verdict::Good);
        verdict(&certificate, &subkey, 0)
    };
    let by = |by: &Maker| by.sign(OF_SUBKEY, &created(MADE), &[], &message);
    assert_eq!(of(&by(&primary)), Verdict::Revoked);
    assert_eq!(of(&by(&subkey)), Verdict::Good);
    assert_eq!(of(&by(&Maker::new(3))), Verdict::Good);
    assert_eq!(of(&[4, OF_SUBKEY, 27, 2]), Verdict::Revoked);
    let document = primary.sign(0, &created(MADE), &[], MESSAGE);
    assert_eq!(of(&document), Verdict::Good);
}
