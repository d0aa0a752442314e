use super::maker::{
    CREATED, EXPIRES, FINGERPRINT, KEY_ID, MADE, MESSAGE, Maker, armoured, certificate, created,
    number, packet, part, read,
};
use crate::openpgp::{PgpSignature, Verdict};

/// The kinds of subpackets that may be marked as critical: the meaning of each is known, or known not to matter
/// here.
const KNOWN: &[std::ops::RangeInclusive<u8>] = &[2..=7, 9..=12, 16..=16, 21..=35];

#[test]
fn g14_a_critical_part_that_is_not_understood_makes_a_signature_void() {
    let key = Maker::new(1);
    for kind in 0..=127_u8 {
        // Four bytes that are a valid number, and before any expiry.
        let value = if kind == CREATED { MADE } else { 0 };
        let is_read = |kind: u8, is_signed: bool| {
            let more = number(kind, value);
            let (signed, others) = if is_signed {
                ([created(MADE), more].concat(), Vec::new())
            } else {
                (created(MADE), more)
            };
            read(&key.sign(0, &signed, &others, MESSAGE))
        };
        assert!(is_read(kind, true).is_ok(), "{kind}");
        // An unsigned subpacket can be added by anyone.
        assert!(is_read(0x80 | kind, false).is_ok(), "{kind}");
        let is_known = KNOWN.iter().any(|known| known.contains(&kind));
        match is_read(0x80 | kind, true) {
            Ok(_) => assert!(is_known, "{kind}"),
            Err(error) => {
                let why = format!("critical subpacket {kind}");
                assert!(!is_known && error.ends_with(&why), "{kind}: {error}");
            }
        }
    }
}

#[test]
fn g14_what_is_not_signed_says_neither_when_it_was_made_nor_when_it_ends() {
    let key = Maker::new(1);
    let error = read(&key.sign(0, &[], &created(MADE), MESSAGE)).unwrap_err();
    assert!(error.contains("has no creation time"), "{error}");
    let certificate = certificate(&[packet(6, &key.body())]).unwrap();
    for (signed, others, is_good) in [
        (number(EXPIRES, 1), Vec::new(), false),
        (Vec::new(), number(EXPIRES, 1), true),
    ] {
        let signed = [created(MADE), signed].concat();
        let signature = read(&key.sign(0, &signed, &others, MESSAGE)).unwrap();
        let seen = jiff::Timestamp::from_second(i64::from(MADE) + 1).unwrap();
        let verdict = certificate.verify(&signature, MESSAGE, seen);
        assert_eq!(verdict == Verdict::Good, is_good);
    }
}

#[test]
fn g14_numbers_and_lengths_that_do_not_fit_are_refused() {
    let key = Maker::new(1);
    let with = |more: &[u8]| {
        let signed = [&created(MADE), more].concat();
        read(&key.sign(0, &signed, &[], MESSAGE))
    };
    assert!(with(&[]).is_ok());
    for broken in [
        part(CREATED, &[1, 2, 3]),
        part(EXPIRES, &[1, 2, 3, 4, 5]),
        // A length of zero, and lengths beyond the end.
        vec![0],
        vec![5, 100],
        vec![192],
        vec![255, 0, 0, 0],
    ] {
        let error = with(&broken).unwrap_err();
        assert!(
            error.contains("a subpacket is malformed"),
            "{broken:?}: {error}"
        );
    }
    // Every encoding of a length.
    for size in [1, 191, 192, 193, 8383, 8384, 16319] {
        let value = vec![0; size - 1];
        let long = part(100, &value);
        assert!(with(&long).is_ok(), "{size}");
        let lengths = match u16::try_from(size).unwrap() {
            size @ ..192 => vec![u8::try_from(size).unwrap()],
            size => {
                let [high, low] = (size - 192).to_be_bytes();
                vec![high + 192, low]
            }
        };
        let short = [&lengths, &[100][..], &value].concat();
        assert!(with(&short).is_ok(), "{size}");
    }
}

#[test]
fn g14_a_fingerprint_is_a_better_name_than_a_key_id() {
    let key = Maker::new(1);
    let of = |parts: &[Vec<u8>]| {
        let signed = [created(MADE), parts.concat()].concat();
        read(&key.sign(0, &signed, &[], MESSAGE)).unwrap().issuer()
    };
    let id = part(KEY_ID, &[0xAB; 8]);
    let fingerprint = part(FINGERPRINT, &[&[4], &[0xCD; 20][..]].concat());
    let by_id = format!("OpenPGP key {}", "AB".repeat(8));
    let by_fingerprint = format!("OpenPGP key {}", "CD".repeat(20));
    assert_eq!(of(std::slice::from_ref(&id)), by_id);
    assert_eq!(of(std::slice::from_ref(&fingerprint)), by_fingerprint);
    assert_eq!(of(&[id.clone(), fingerprint.clone()]), by_fingerprint);
    assert_eq!(of(&[fingerprint.clone(), id.clone()]), by_fingerprint);
    // Of another size, they do not name a key of this version.
    let nobody = "an OpenPGP key that it does not name";
    assert_eq!(of(&[]), nobody);
    for size in [0, 1, 7, 9, 20, 22, 33] {
        assert_eq!(of(&[part(KEY_ID, &vec![1; size])]), nobody, "{size}");
        assert_eq!(of(&[part(FINGERPRINT, &vec![1; size])]), nobody, "{size}");
    }
    // The first key ID counts.
    let second = part(KEY_ID, &[1; 8]);
    assert_eq!(of(&[id, second]), by_id);
}

#[test]
fn g14_a_detached_signature_is_one_packet_over_bytes() {
    let key = Maker::new(1);
    let good = packet(2, &key.sign(0, &created(MADE), &[], MESSAGE));
    let error = |bytes: &[u8]| {
        let text = armoured("SIGNATURE", bytes);
        let fault = PgpSignature::parse(text.as_bytes()).unwrap_err();
        fault.to_string()
    };
    assert!(error(&[]).contains("0 packets"));
    assert!(error(&[&good[..], &good].concat()).contains("2 packets"));
    assert!(error(&packet(6, &key.body())).contains("not a signature packet"));
    let text = packet(2, &key.sign(1, &created(MADE), &[], MESSAGE));
    assert!(error(&text).contains("of kind 0x01"));
    let text = armoured("SIGNATURE", &text);
    assert!(PgpSignature::parse_text(text.as_bytes()).is_ok());
}
