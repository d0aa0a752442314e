//! For any world: every deletion of a plan is proven.

use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

use super::*;

/// In any world, a deletion is of an object in the inventory, with the live object's UID, that is
/// neither desired nor claimed, and never happens on partial knowledge or over the budget.
#[test]
fn p21_no_plan_deletes_without_proof() {
    let seed: u64 = rand::rng().random();
    eprintln!("seed {seed}");
    let kinds = [
        "ConfigMap",
        "Namespace",
        "Deployment",
        "PersistentVolumeClaim",
    ];
    for round in 0..100_000u64 {
        let mut rng = rand::rngs::StdRng::seed_from_u64(seed.wrapping_add(round));
        let mut world = world();
        world.desired.clear();
        world.observed = Observed {
            complete: rng.random_bool(0.7),
            ..Observed::default()
        };
        world.inventory = Inventory::default();
        world.claims.complete = rng.random_bool(0.8);
        world.prune_enabled = rng.random_bool(0.8);
        for number in 0..rng.random_range(0..12) {
            let kind = *kinds.choose(&mut rng).unwrap();
            let name = format!("o{number}");
            let id = object(kind, &name);
            if rng.random_bool(0.5) {
                world.desired.push(desired(kind, &name));
            }
            if rng.random_bool(0.6) {
                let uid = ["", "1", "2"].choose(&mut rng).unwrap();
                world.inventory.insert(entry(kind, &name, uid));
            }
            if rng.random_bool(0.7) {
                let mut live = live(["1", "2"].choose(&mut rng).unwrap());
                if rng.random_bool(0.5) {
                    live.fit = Fit::Unknown;
                }
                live.terminating = rng.random_bool(0.1);
                live.application = (*["app", "other", ""].choose(&mut rng).unwrap()).to_owned();
                live.health = *[Health::Current, Health::Failed].choose(&mut rng).unwrap();
                live.prune = (*["", "", "disabled", "confirm", "confirmed"]
                    .choose(&mut rng)
                    .unwrap())
                .to_owned();
                world.observed.live.insert(id.clone(), live);
            }
            if rng.random_bool(0.1) {
                world.claims.owners.insert(id, vec!["other".into()]);
            }
        }
        let plan = world.plan();
        let deletes: Vec<_> = plan.prune.iter().flatten().collect();
        assert!(
            !world
                .policy
                .over_budget(deletes.len(), world.inventory.len())
        );
        for step in deletes {
            let Step::Prune(id, uid) = step else {
                panic!("{step:?}")
            };
            let at = format!("seed {seed} round {round}: {id}");
            assert!(
                world.observed.complete && world.claims.complete && world.prune_enabled,
                "{at}"
            );
            let entry = world.inventory.get(id).expect(&at);
            let live = &world.observed.live[id];
            assert_eq!(*uid, live.uid, "{at}");
            assert!(
                entry.uid == live.uid || (entry.uid.is_empty() && live.application == "app"),
                "{at}"
            );
            assert!(live.application != "other" && !live.terminating, "{at}");
            assert!(!world.desired.iter().any(|d| d.object == *id), "{at}");
            assert!(!world.claims.owners.contains_key(id), "{at}");
            assert!(
                live.prune == "confirmed" || !world.policy.is_protected(id),
                "{at}"
            );
        }
    }
}
