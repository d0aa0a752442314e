//! Single attempts, and the messages for tokens that cannot be used.

use flotilla_shared::id::Epoch;

use super::*;
use crate::fleet::Fleet;

fn token() -> Token {
    Token {
        id: "t".to_owned(),
        new: NewToken {
            environment: Some("dev".parse().unwrap()),
            auto_accept: true,
            expires_at: Timestamp::MAX,
            ..NewToken::default()
        },
        redeemed: None,
        revoked_at: None,
    }
}

fn attempt(name: &str, key: &str) -> Attempt {
    Attempt {
        name: name.parse().unwrap(),
        key: key.to_owned(),
        uid: format!("uid of {key}"),
    }
}

/// Case 31: a token for any name, with a name that is taken, tried repeatedly.
#[test]
fn e06_a_second_key_never_gets_a_taken_name_however_often_it_asks() {
    let now = Timestamp::UNIX_EPOCH;
    let mut fleet = Fleet::new(Epoch(1));
    let (first, _) = fleet.enrol(&attempt("prod-1", "key1"), Some(token()), now);
    assert!(matches!(first, Ok(EnrolmentDecision::Join(_))));
    let mut any = token();
    any.id = "any".to_owned();
    let evil = attempt("prod-1", "key2");
    for round in 0..5 {
        let (again, effects) = fleet.enrol(&evil, Some(any.clone()), now);
        assert_eq!(again, Err(Refusal::NameTaken(evil.name.clone())));
        let entries = effects.len();
        assert_eq!(
            entries,
            usize::from(round == 0),
            "told once, not each minute"
        );
    }
    let record = &fleet.clusters()[&evil.name].record;
    assert_eq!(record.credential.locked, None);
    // The token can still be used for a free name.
    let (other, _) = fleet.enrol(&attempt("dev-2", "key2"), Some(any), now);
    assert!(matches!(other, Ok(EnrolmentDecision::Join(_))));
}

/// One row for each reason for which a token cannot be used, with its message.
#[test]
fn e01_what_is_wrong_with_a_token_is_told_to_who_has_its_secret() {
    let now = Timestamp::new(1_790_000_000, 0).unwrap();
    let judge = |token: Option<&Token>| {
        let record = None;
        judge(&attempt("c1", "key"), token, record, None, None, now)
            .unwrap_err()
            .to_string()
    };
    let with = |change: fn(&mut Token)| {
        let mut token = token();
        change(&mut token);
        token
    };
    let rows = [
        (None, "not known"),
        (
            Some(with(|token| token.revoked_at = Some(Timestamp::UNIX_EPOCH))),
            "was revoked",
        ),
        (
            Some(with(|token| token.new.expires_at = Timestamp::UNIX_EPOCH)),
            "expired at 1970",
        ),
        (
            Some(with(|token| {
                token.new.cluster = Some("c2".parse().unwrap());
            })),
            "is for the cluster c2",
        ),
        (
            Some(with(|token| {
                token.redeemed = Some(Redeemer {
                    at: Timestamp::UNIX_EPOCH,
                    cluster: "c1".parse().unwrap(),
                    key: "another".to_owned(),
                });
            })),
            "was used at 1970",
        ),
        (
            Some(with(|token| {
                token.redeemed = Some(Redeemer {
                    at: Timestamp::UNIX_EPOCH,
                    cluster: "c1".parse().unwrap(),
                    key: "key".to_owned(),
                });
            })),
            "was removed after it enrolled",
        ),
    ];
    for (token, expected) in rows {
        let text = judge(token.as_ref());
        assert!(text.contains(expected), "{text}");
        assert!(text.contains("token"), "{text}");
    }
}
