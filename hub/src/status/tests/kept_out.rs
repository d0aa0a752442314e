//! The hub derives facts that clients would otherwise have to derive themselves.

use flotilla_status::{Held, digits};

use super::*;

/// Returns the commits of the repository that an override lets in.
fn held(fleet: &Fleet, second: i64) -> Vec<String> {
    let spec = Arc::clone(fleet.spec());
    let prod = spec.environment(&"prod".parse().unwrap()).unwrap();
    let mut held = decisions(fleet, prod, at(second)).held.unwrap();
    held.retain(|held| held.commit.repository == "fleet");
    let line = |held: &Held| format!("{} {}", digits(&held.commit.commit), held.why);
    held.iter().map(line).collect()
}

#[test]
fn what_an_override_lets_in_is_told_until_somebody_overrides() {
    let mut fleet = waiting();
    assert_eq!(held(&fleet, 3), ["aaaaaaa which prod-1 brings"]);
    approve(&mut fleet, Scope::Override, 3).unwrap();
    assert!(held(&fleet, 4).is_empty());
    let abort = Action::Abort("prod".parse().unwrap());
    fleet.act(&abort, "ada", "crashes", at(4)).unwrap();
    fleet.advance(at(4));
    let failed = "aaaaaaa which failed in prod-1: aborted by ada: crashes";
    assert_eq!(held(&fleet, 5), [failed]);
    approve(&mut fleet, Scope::Override, 6).unwrap();
    assert!(held(&fleet, 7).is_empty());
}

#[test]
fn a_repository_that_nobody_uses_there_is_told_apart() {
    let spare = "[{name: spare, url: 'https://git.example.com/spare.git'}, ";
    let text = FILE.replace("repositories: [", &format!("repositories: {spare}"));
    let prod = environments(&connected(&text), at(3)).remove(0);
    assert!(prod.branches.iter().all(|branch| branch.used.is_some()));
    assert!(prod.uses("fleet") && !prod.uses("spare"));
}

/// The cluster is shown as healthy, but its assignment is due.
#[test]
fn a_cluster_whose_assignment_is_worked_out_anew_is_current_to_nobody() {
    let mut fleet = fleet("a");
    let shown = |fleet: &Fleet| cluster(fleet, &name(), at(4), Detail::Summary).unwrap();
    assert!(shown(&fleet).is_current());
    let spec = Arc::new(spec::parse("f", FILE).unwrap());
    // An assignment that is computed in the same step is no visible change.
    let before = fleet.clusters()[&name()].version;
    fleet.step(Event::SpecChanged(Arc::clone(&spec)), at(4));
    assert!(shown(&fleet).is_current());
    assert_eq!(fleet.clusters()[&name()].version, before);
    // More clusters than one batch come before it.
    for index in 0..1_000 {
        let other = format!("a{index}").parse().unwrap();
        let record = ClusterRecord {
            environment: Some("prod".parse().unwrap()),
            ..ClusterRecord::default()
        };
        fleet.absorb(Event::ClusterPut(other, record), at(4));
    }
    fleet.step(Event::SpecChanged(spec), at(4));
    assert!(!shown(&fleet).is_current());
    let (clusters, all) = (fleet.version(), fleet.environments_version());
    while fleet.has_due() {
        fleet.advance(at(4));
    }
    assert!(shown(&fleet).is_current());
    // Nothing else changed, but watchers are informed.
    assert!(fleet.clusters()[&name()].version > clusters);
    assert!(fleet.environments_version() > all);
}
