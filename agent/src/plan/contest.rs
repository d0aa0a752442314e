//! A fight with another controller over the same fields: detected, reported, and slowed down (A14).
//!
//! Pure: the time is passed in.

use std::collections::BTreeMap;
use std::time::Duration;

use flotilla_shared::object::ObjectRef;

/// Corrections in a row after which it counts as a fight.
const ROUNDS: u32 = 10;
/// Corrections further apart than this are separate edits, not a fight.
const WINDOW: Duration = Duration::from_secs(600);
/// Time between corrections in a fight; less than one write a minute.
const SLOW: Duration = Duration::from_secs(90);

#[derive(Debug, Clone)]
struct Fight {
    rounds: u32,
    last: Duration,
    manager: String,
}

/// The corrections of late. Times are durations since any fixed moment.
#[derive(Debug, Clone, Default)]
pub struct Contests {
    fights: BTreeMap<ObjectRef, Fight>,
}

impl Contests {
    /// An object was set right again at `now` after `manager` had changed it.
    pub fn corrected(&mut self, object: &ObjectRef, manager: &str, now: Duration) {
        let fight = self.fights.entry(object.clone()).or_insert(Fight {
            rounds: 0,
            last: now,
            manager: String::new(),
        });
        if now.saturating_sub(fight.last) > WINDOW {
            fight.rounds = 0;
        }
        fight.rounds += 1;
        fight.last = now;
        fight.manager = manager.to_owned();
        // Objects that are no longer contested are forgotten.
        self.fights
            .retain(|_, fight| now.saturating_sub(fight.last) <= WINDOW);
    }

    /// Objects that are contested and may not be corrected again yet, with a message for each.
    #[must_use]
    pub fn held(&self, now: Duration) -> BTreeMap<ObjectRef, String> {
        self.fights
            .iter()
            .filter(|(_, fight)| fight.rounds >= ROUNDS && now.saturating_sub(fight.last) < SLOW)
            .map(|(object, fight)| {
                let message = format!(
                    "contested by manager {:?}: corrected {} times in a row, now at most once \
                     in {} seconds; stop that manager, or leave the field to it with an ignore \
                     rule",
                    fight.manager,
                    fight.rounds,
                    SLOW.as_secs()
                );
                (object.clone(), message)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use flotilla_shared::object::ObjectNames;

    use super::*;

    fn object() -> ObjectRef {
        ObjectRef::from(ObjectNames {
            group: String::new(),
            kind: "ConfigMap".to_owned(),
            namespace: "web".to_owned(),
            name: "a".to_owned(),
        })
    }

    #[test]
    fn a14_edits_that_are_further_apart_than_the_window_are_no_fight() {
        for (apart, is_fight) in [(WINDOW, true), (WINDOW + Duration::from_secs(1), false)] {
            let mut contests = Contests::default();
            for round in 0..ROUNDS {
                contests.corrected(&object(), "other", apart * round);
            }
            let held = contests.held(apart * (ROUNDS - 1));
            assert_eq!(held.contains_key(&object()), is_fight, "{apart:?}");
        }
    }

    #[test]
    fn a14_after_ten_rounds_it_is_under_one_write_a_minute() {
        let object = object();
        let mut contests = Contests::default();
        let mut writes = Vec::new();
        for second in 0..600 {
            let now = Duration::from_secs(second);
            if !contests.held(now).contains_key(&object) {
                contests.corrected(&object, "other", now);
                writes.push(second);
            }
        }
        assert_eq!(writes[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert!(writes[9..].windows(2).all(|pair| pair[1] - pair[0] > 60));
        let message = &contests.held(Duration::from_secs(600))[&object];
        assert!(message.contains("\"other\""), "{message}");
        // It is held until its time has come, and is then corrected once more.
        let last = *writes.last().unwrap();
        let held = |after| !contests.held(Duration::from_secs(last) + after).is_empty();
        assert!(held(SLOW - Duration::from_secs(1)));
        assert!(!held(SLOW));
        assert!(contests.held(Duration::from_secs(2000)).is_empty());
    }
}
