use jiff::Timestamp;

use super::maker::{
    CERTIFIES, DECRYPTS, EMBEDDED, EXPIRES, FINGERPRINT, FLAGS, KEY_EXPIRES, MADE, MESSAGE, Maker,
    SIGNS, armoured, certificate, created, number, packet, part, read, verdict, with_user_id,
};
use crate::Rejection;
use crate::openpgp::{Certificate, Verdict, keyring};

const DIRECT: u8 = 0x1F;
const BINDING: u8 = 0x18;
const BACK: u8 = 0x19;
const USER_ID: &[u8] = b"somebody";

/// A signature packet of the primary over itself and its user ID.
fn certification(key: &Maker, kind: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    let message = with_user_id(key, USER_ID);
    packet(2, &key.sign(kind, &parts.concat(), &[], &message))
}

fn direct(key: &Maker, parts: &[Vec<u8>]) -> Vec<u8> {
    packet(2, &key.sign(DIRECT, &parts.concat(), &[], &key.hashed()))
}

/// A primary with a user ID and signatures over it.
fn with(key: &Maker, signatures: &[Vec<u8>]) -> Result<Certificate, Rejection> {
    let mut packets = vec![packet(6, &key.body()), packet(13, USER_ID)];
    packets.extend_from_slice(signatures);
    certificate(&packets)
}

/// The last second, after the creation of the keys, at which a signature by the key is good. None: it never
/// expires.
fn last_good(certificate: &Certificate, by: &Maker) -> Option<i64> {
    let signature = by.document();
    let is_good = |after: i64| {
        let seen = Timestamp::from_second(i64::from(MADE) + after).unwrap();
        match certificate.verify(&signature, MESSAGE, seen) {
            Verdict::Good => true,
            Verdict::Outside(_) => false,
            other => panic!("{other:?}"),
        }
    };
    let (mut good, mut ended) = (0, 1_000_000);
    assert!(is_good(good));
    if is_good(ended) {
        return None;
    }
    while ended - good > 1 {
        let between = (good + ended) / 2;
        *(if is_good(between) {
            &mut good
        } else {
            &mut ended
        }) = between;
    }
    Some(good)
}

fn ends_after(seconds: u32) -> Vec<u8> {
    number(KEY_EXPIRES, seconds)
}

#[test]
fn g14_the_newest_certification_of_a_primary_says_when_it_ends() {
    let key = Maker::new(1);
    let of = |signatures: &[Vec<u8>]| last_good(&with(&key, signatures).unwrap(), &key);
    assert_eq!(of(&[]), None);
    for kind in 0x10..=0x13 {
        let ending = certification(&key, kind, &[created(MADE), ends_after(100)]);
        assert_eq!(of(&[ending]), Some(99), "{kind}");
    }
    // A revoked user ID, a binding, a signature of a document: none of them certifies anything.
    for kind in [0x00, 0x01, 0x0F, 0x14, 0x18, 0x20, 0x30] {
        let other = certification(&key, kind, &[created(MADE), ends_after(100)]);
        assert_eq!(of(&[other]), None, "{kind}");
    }
    let at = |seconds, end| certification(&key, 0x13, &[created(seconds), ends_after(end)]);
    assert_eq!(of(&[at(MADE, 100), at(MADE + 9, 200)]), Some(199));
    assert_eq!(of(&[at(MADE + 9, 200), at(MADE, 100)]), Some(199));
    assert_eq!(of(&[at(MADE + 9, 100), at(MADE, 200)]), Some(99));
    assert_eq!(of(&[at(MADE, 100), at(MADE, 200)]), Some(199));
    // The newest signature removes the expiry: zero means none, and so does its absence.
    assert_eq!(of(&[at(MADE, 100), at(MADE + 9, 0)]), None);
    let open = certification(&key, 0x13, &[created(MADE + 9)]);
    assert_eq!(of(&[at(MADE, 100), open]), None);
    // A certification that expires itself.
    let parts = [created(MADE + 9), number(EXPIRES, 50), ends_after(200)];
    assert_eq!(of(&[certification(&key, 0x13, &parts)]), Some(58));
}

/// gpg's `addrevoker` makes a direct signature without an expiry: that must not keep an expired key alive.
#[test]
fn g14_a_direct_signature_and_a_certification_may_only_shorten_each_other() {
    let key = Maker::new(1);
    let user = |end| certification(&key, 0x13, &[created(MADE), ends_after(end)]);
    let later = |end| direct(&key, &[created(MADE + 9), ends_after(end)]);
    let of = |first: Vec<u8>, second: Vec<u8>| {
        let one_way = with(&key, &[first.clone(), second.clone()]).unwrap();
        let other_way = with(&key, &[second, first]).unwrap();
        let end = last_good(&one_way, &key);
        assert_eq!(last_good(&other_way, &key), end);
        end
    };
    assert_eq!(of(user(100), direct(&key, &[created(MADE + 9)])), Some(99));
    assert_eq!(of(user(100), later(200)), Some(99));
    assert_eq!(of(user(200), later(100)), Some(99));
    assert_eq!(of(user(0), later(100)), Some(99));
    // Both signed by the primary itself.
    let other = Maker::new(2);
    let foreign = other.sign(DIRECT, &created(MADE), &[], &key.hashed());
    assert_eq!(of(user(0), packet(2, &foreign)), None);
}

#[test]
fn g14_a_primary_that_only_certifies_signs_no_commit() {
    let key = Maker::new(1);
    let flags = |flags: u8| [created(MADE), part(FLAGS, &[flags])];
    for (of, is_taken) in [
        (SIGNS, true),
        (CERTIFIES | SIGNS, true),
        (CERTIFIES, false),
        (DECRYPTS, false),
        (0, false),
    ] {
        for packet in [
            certification(&key, 0x13, &flags(of)),
            direct(&key, &flags(of)),
        ] {
            let read = with(&key, &[packet]);
            assert_eq!(read.is_ok(), is_taken, "{of}");
        }
    }
    let error = with(&key, &[direct(&key, &flags(CERTIFIES))]).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("none of its keys can sign"), "{error}");
    // With a subkey that signs, the certificate is usable, and the primary still is not.
    let subkey = Maker::new(2);
    let signatures = [
        certification(&key, 0x13, &flags(CERTIFIES)),
        packet(14, &subkey.body()),
        binding(&key, &subkey, SIGNS, Some(&subkey), BACK),
    ];
    let certificate = with(&key, &signatures).unwrap();
    assert_eq!(verdict(&certificate, &subkey, 0), Verdict::Good);
    assert_eq!(verdict(&certificate, &key, 0), Verdict::BySomebodyElse);
}

/// A binding of a subkey, with a back-signature by the given key.
fn binding(by: &Maker, subkey: &Maker, flags: u8, back: Option<&Maker>, kind: u8) -> Vec<u8> {
    let primary = Maker::new(1);
    let message = [primary.hashed(), subkey.hashed()].concat();
    let mut parts = [created(MADE), part(FLAGS, &[flags])].concat();
    if let Some(back) = back {
        let back = back.sign(kind, &created(MADE), &[], &message);
        parts.extend(part(EMBEDDED, &back));
    }
    packet(2, &by.sign(BINDING, &parts, &[], &message))
}

/// Otherwise the author of a certificate could pass off the commits of another key as its own.
#[test]
fn g14_a_subkey_signs_only_if_it_says_so_itself() {
    let (primary, subkey, other) = (Maker::new(1), Maker::new(2), Maker::new(3));
    let of = |binding: Vec<u8>| {
        let certificate = with(&primary, &[packet(14, &subkey.body()), binding]).unwrap();
        verdict(&certificate, &subkey, 0)
    };
    let good = binding(&primary, &subkey, SIGNS, Some(&subkey), BACK);
    assert_eq!(of(good), Verdict::Good);
    for bad in [
        // By another primary; not for signing; no back-signature; one by another key; one of another kind.
        binding(&other, &subkey, SIGNS, Some(&subkey), BACK),
        binding(&primary, &subkey, DECRYPTS, Some(&subkey), BACK),
        binding(&primary, &subkey, CERTIFIES, Some(&subkey), BACK),
        binding(&primary, &subkey, SIGNS, None, BACK),
        binding(&primary, &subkey, SIGNS, Some(&primary), BACK),
        binding(&primary, &subkey, SIGNS, Some(&subkey), BINDING),
        binding(&primary, &subkey, SIGNS, Some(&subkey), 0),
    ] {
        assert_eq!(of(bad), Verdict::BySomebodyElse);
    }
    // Without flags, a subkey may not sign.
    let message = [primary.hashed(), subkey.hashed()].concat();
    let back = subkey.sign(BACK, &created(MADE), &[], &message);
    let parts = [created(MADE), part(EMBEDDED, &back)].concat();
    let silent = primary.sign(BINDING, &parts, &[], &message);
    assert_eq!(of(packet(2, &silent)), Verdict::BySomebodyElse);
}

#[test]
fn g14_the_newest_binding_of_a_subkey_takes_away_what_it_leaves_out() {
    let (primary, subkey) = (Maker::new(1), Maker::new(2));
    let message = [primary.hashed(), subkey.hashed()].concat();
    let back = subkey.sign(BACK, &created(MADE), &[], &message);
    let at = |seconds, flags: u8, end| {
        let parts = [
            created(seconds),
            part(FLAGS, &[flags]),
            part(EMBEDDED, &back),
            ends_after(end),
        ];
        packet(2, &primary.sign(BINDING, &parts.concat(), &[], &message))
    };
    let of = |bindings: &[Vec<u8>]| {
        let packets = [&[packet(14, &subkey.body())], bindings].concat();
        with(&primary, &packets).unwrap()
    };
    let (signs, ended, decrypts) = (
        at(MADE, SIGNS, 0),
        at(MADE + 9, SIGNS, 100),
        at(MADE + 9, DECRYPTS, 0),
    );
    for bindings in [[signs.clone(), ended.clone()], [ended, signs.clone()]] {
        assert_eq!(last_good(&of(&bindings), &subkey), Some(99));
    }
    for bindings in [[signs.clone(), decrypts.clone()], [decrypts, signs]] {
        let verdict = verdict(&of(&bindings), &subkey, 0);
        assert_eq!(verdict, Verdict::BySomebodyElse);
    }
    // A subkey expires with its primary at the latest.
    let ending = certification(&primary, 0x13, &[created(MADE), ends_after(50)]);
    let packets = [ending, packet(14, &subkey.body()), at(MADE, SIGNS, 0)];
    let certificate = with(&primary, &packets).unwrap();
    assert_eq!(last_good(&certificate, &subkey), Some(49));
}

#[test]
fn g14_a_certificate_is_one_and_has_a_key_that_can_sign() {
    let key = Maker::new(1);
    let error = |packets: &[Vec<u8>]| certificate(packets).unwrap_err().to_string();
    assert_eq!(error(&[]), "it is empty");
    assert!(error(&[packet(13, USER_ID)]).contains("does not begin with a public key"));
    let primary = packet(6, &key.body());
    assert!(error(&[primary.clone(), primary.clone()]).contains("more than one certificate"));
    for version in [3, 5, 6] {
        let mut body = key.body();
        body[0] = version;
        assert!(error(&[packet(6, &body)]).contains("only keys of version 4"));
    }
    // DSA; and Ed25519 with one byte too many.
    let mut dsa = key.body();
    dsa[5] = 17;
    let longer = [&key.body()[..], &[0]].concat();
    for body in [dsa, longer] {
        assert!(error(&[packet(6, &body)]).contains("none of its keys can sign"));
    }
    let body = |size: usize| [&[4][..], &vec![0; size - 1]].concat();
    assert!(error(&[packet(6, &body(65535))]).contains("none of its keys can sign"));
    assert!(error(&[packet(6, &body(65536))]).contains("too long"));
    // An unusable subkey does not affect the other keys.
    let certificate = certificate(&[primary, packet(14, &body(100))]).unwrap();
    assert_eq!(verdict(&certificate, &key, 0), Verdict::Good);
}

#[test]
fn g14_a_signature_that_names_nobody_accuses_nobody() {
    let (key, other) = (Maker::new(1), Maker::new(2));
    let certificate = with(&key, &[]).unwrap();
    let seen = Timestamp::UNIX_EPOCH;
    let of = |by: &Maker, issuer: Option<&Maker>| {
        let mut parts = created(MADE);
        if let Some(issuer) = issuer {
            let value = [&[4], &issuer.fingerprint()[..]].concat();
            parts.extend(part(FINGERPRINT, &value));
        }
        let body = by.sign(0, &parts, &[], MESSAGE);
        let signature = read(&body).unwrap();
        certificate.verify(&signature, MESSAGE, seen)
    };
    assert_eq!(of(&key, None), Verdict::Good);
    assert_eq!(of(&other, None), Verdict::BySomebodyElse);
    assert_eq!(of(&other, Some(&other)), Verdict::BySomebodyElse);
    assert_eq!(of(&other, Some(&key)), Verdict::OverOtherBytes);
    // The issuer is a hint, and never decides in favour of a key.
    assert_eq!(of(&key, Some(&other)), Verdict::BySomebodyElse);
}

#[test]
fn a_keyring_is_armoured_or_binary_and_below_its_limit() {
    let (first, second) = (
        packet(6, &Maker::new(1).body()),
        packet(6, &Maker::new(2).body()),
    );
    let unusable = packet(6, &[4; 30]);
    let count = |bytes: &[u8]| keyring(bytes).map(|found| found.len());
    let binary = [&first[..], &unusable, &second].concat();
    assert_eq!(count(&binary), Ok(2));
    let block = |bytes: &[u8]| armoured("PUBLIC KEY BLOCK", bytes);
    assert_eq!(count(block(&binary).as_bytes()), Ok(2));
    let blocks = format!("\n{}\n{}\n", block(&first), block(&second));
    assert_eq!(count(blocks.as_bytes()), Ok(2));
    let error = |bytes: &[u8]| keyring(bytes).unwrap_err().to_string();
    assert!(error(&unusable).contains("none of its keys can sign"));
    assert!(error(b"").contains("holds no certificate"));
    // The message describes the content and does not mention armour that was never there.
    assert!(error(b"hello").contains("a packet's length is malformed"));
    assert!(error(b"-----BEGIN NOTHING-----").contains("does not begin with"));
    for (size, is_over) in [(0, false), (1, true), (2, true)] {
        let large = error(&vec![b'a'; (4 << 20) + size]);
        assert_eq!(
            large.contains("more than 4194304 bytes"),
            is_over,
            "{large}"
        );
    }
}
