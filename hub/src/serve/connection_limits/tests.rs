use super::*;

#[test]
fn h06_under_pressure_each_source_has_its_share_and_gives_it_back() {
    let bounds = ConnectionLimits::new(Limits {
        handshakes: 10,
        handshakes_unshared: 4,
        handshakes_of_source: 2,
        ..Limits::default()
    });
    let [loud, quiet]: [IpAddr; 2] = [[10, 0, 0, 1].into(), [10, 0, 0, 2].into()];
    let mut held = Vec::new();
    let begin = |from| {
        let permit = Arc::clone(&bounds.handshakes).try_acquire_owned().ok()?;
        bounds.handshake(from).map(|share| (permit, share))
    };
    for _ in 0..20 {
        held.extend(begin(loud));
    }
    assert_eq!(held.len(), 4, "the loud one is held to what is unshared");
    assert!(begin(quiet).is_some(), "there is room for others");
    held.clear();
    assert!(begin(loud).is_some());
    assert!(bounds.sources.0.lock().is_empty(), "nothing is remembered");
}
