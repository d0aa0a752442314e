use super::{Attempt, Secret};
use crate::serve::oidc::Tokens;

fn secret(letter: char) -> Secret {
    Secret::parse(&letter.to_string().repeat(64)).unwrap()
}

#[test]
fn what_is_sealed_opens_with_its_own_cookie_alone() {
    let tokens = Tokens {
        id_token: "a.b.c".to_owned(),
        refresh_token: "again".to_owned(),
    };
    let sealed = secret('a').seal(&tokens, [7; 12]).unwrap();
    assert_eq!(secret('a').open(&sealed), Some(tokens));
    assert_eq!(secret('b').open(&sealed), None);
    for at in [0, 12, sealed.len() - 1] {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert_eq!(secret('a').open(&changed), None, "{at}");
    }
    assert_eq!(secret('a').open(&sealed[..5]), None);
    let text = String::from_utf8_lossy(&sealed);
    assert!(!text.contains("again"));
}

#[test]
fn each_purpose_has_a_word_of_its_own_and_none_tells_the_secret() {
    let attempt = Attempt {
        secret: secret('a'),
        back: "/env/prod?x=1".to_owned(),
    };
    let words = [attempt.state(), attempt.nonce(), attempt.verifier()];
    assert!(words.iter().all(|word| word.len() == 43));
    assert!(words[0] != words[1] && words[1] != words[2] && words[0] != words[2]);
    assert_ne!(attempt.challenge(), attempt.verifier());
    let again = Attempt::parse(&attempt.text()).unwrap();
    assert_eq!(
        (again.state(), again.back),
        (attempt.state(), attempt.back.clone())
    );
    assert_eq!(secret('a').hash().len(), 64);
}

#[test]
fn a_cookie_that_is_none_of_ours_is_nothing() {
    for text in ["", "a", &"g".repeat(64), &"a".repeat(65)] {
        assert!(Secret::parse(text).is_none(), "{text}");
    }
    let evil = format!("{}.Ly9ldmls", "a".repeat(64));
    assert_eq!(Attempt::parse(&evil).unwrap().back, "/", "//evil");
    for text in ["", "a.b", &"a".repeat(64)] {
        assert!(Attempt::parse(text).is_none(), "{text}");
    }
}
