use flotilla_shared::object::ObjectNames;
use serde_json::{Value, json};

use super::*;
use crate::plan::Desired;

mod model;

fn object(number: u8) -> ObjectRef {
    ObjectRef::from(ObjectNames {
        group: String::new(),
        kind: "ConfigMap".to_owned(),
        namespace: "web".to_owned(),
        name: format!("o{number}"),
    })
}

fn key() -> Key {
    Key {
        group: String::new(),
        kind: "ConfigMap".to_owned(),
        version: "v1".to_owned(),
        plural: "configmaps".to_owned(),
        namespaced: true,
        namespace: "web".to_owned(),
    }
}

fn baseline(number: u8, content: u8) -> Baseline {
    let value =
        json!({"metadata": {"name": format!("o{number}")}, "data": {"v": content.to_string()}});
    let desired = Desired::new(object(number), "v1".to_owned(), &value);
    Baseline::new(Arc::new(desired), &Arc::default())
}

/// An object at the API server.
#[derive(Clone)]
struct Thing {
    uid: u64,
    version: u64,
    content: u8,
}

impl Thing {
    fn live(&self, number: u8) -> Value {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": format!("o{number}"), "namespace": "web",
                "uid": self.uid.to_string(), "resourceVersion": self.version.to_string()},
            "data": {"v": self.content.to_string()},
        })
    }
}

#[test]
fn what_one_tenure_compared_is_no_other_ones() {
    let mut register = Register::new("flotilla".to_owned(), Arc::default(), Arc::default());
    let desired = |content| BTreeMap::from([(object(0), Some(baseline(0, content)))]);
    let thing = Thing {
        uid: 1,
        version: 5,
        content: 1,
    };
    let (old, _) = register.enter();
    register.follow(old, desired(1), [key()].into());
    let applied = Some(baseline(0, 1).key);
    let asked = register.moment();
    register.learn(old, &object(0), &thing.live(0), asked, applied);
    // A second tenure follows the object, later with another content; the first one is late.
    let (new, _) = register.enter();
    register.follow(new, desired(1), [key()].into());
    register.follow(old, desired(1), [key()].into());
    register.put(&object(0), &thing.live(0), ObjectSource::Event);
    register.follow(new, desired(2), [key()].into());
    assert_ne!(
        register.snapshot(new).unwrap().facts[&object(0)].fit,
        Fit::Equal
    );
    register.leave(old);
    assert!(!register.follow(old, desired(1), [key()].into()));
    assert!(register.snapshot(old).is_none());
}

#[test]
fn p03_an_apply_proves_nothing_about_what_is_desired_by_the_time_it_is_answered() {
    let mut register = Register::new("flotilla".to_owned(), Arc::default(), Arc::default());
    let desired = |content| BTreeMap::from([(object(0), Some(baseline(0, content)))]);
    // The API server stores the object differently from how it was applied.
    let thing = Thing {
        uid: 1,
        version: 5,
        content: 7,
    };
    let (tenure, changed) = register.enter();
    register.follow(tenure, desired(1), [key()].into());
    let applied = Some(baseline(0, 1).key);
    let asked = register.moment();
    register.follow(tenure, desired(2), [key()].into());
    register.learn(tenure, &object(0), &thing.live(0), asked, applied);
    let fit = |register: &Register| {
        register.snapshot(tenure).unwrap().facts[&object(0)]
            .fit
            .clone()
    };
    assert_ne!(fit(&register), Fit::Equal);
    assert!(
        changed.has_changed().unwrap(),
        "its next pass has to see it"
    );
    // The same answer, but about what is desired now: this proves it.
    register.follow(tenure, desired(1), [key()].into());
    register.learn(tenure, &object(0), &thing.live(0), asked, applied);
    assert_eq!(fit(&register), Fit::Equal);
}

#[test]
fn a_look_that_was_cancelled_leaves_an_object_unseen_and_not_gone() {
    let mut register = Register::new("flotilla".to_owned(), Arc::default(), Arc::default());
    let desired = || BTreeMap::from([(object(0), None)]);
    let (tenure, _) = register.enter();
    register.follow(tenure, desired(), [key()].into());
    // The answer never comes; the next pass follows the same objects again.
    register.follow(tenure, desired(), [key()].into());
    let unseen = |register: &Register| register.snapshot(tenure).unwrap().unseen;
    assert_eq!(unseen(&register), BTreeSet::from([object(0)]));
    let asked = register.moment();
    register.absent(&object(0), asked);
    assert_eq!(unseen(&register), BTreeSet::new());
    // While its kind can be neither listed nor watched, the object is unseen.
    register.lost(&key());
    assert_eq!(unseen(&register), BTreeSet::from([object(0)]));
}

#[test]
fn a_list_that_began_before_somebody_came_has_him_look_anew() {
    let mut register = Register::new("flotilla".to_owned(), Arc::default(), Arc::default());
    let desired = || BTreeMap::from([(object(0), Some(baseline(0, 1)))]);
    let list = register.moment();
    let (tenure, changed) = register.enter();
    register.follow(tenure, desired(), [key()].into());
    // It was created after the request, and before the version at which the watch starts.
    let asked = register.moment();
    register.absent(&object(0), asked);
    let thing = Thing {
        uid: 1,
        version: 5,
        content: 1,
    };
    let read = ObjectSource::Listed {
        version: 6,
        asked: list,
    };
    register.put(&object(0), &thing.live(0), read);
    register.listed(&key(), &[object(0)].into(), 6, list, Listing::Followed);
    let known = register.snapshot(tenure).unwrap();
    assert_eq!(known.unseen, BTreeSet::from([object(0)]));
    assert!(changed.has_changed().unwrap());
}
