use super::*;

/// A minute of failures sends an alert, at most once an hour; a success in between starts the minute again.
#[test]
fn s09_a_store_that_fails_is_told_after_a_minute_and_once_an_hour() {
    let start = Instant::now();
    let mut alarm = Alarm::default();
    let mut told = Vec::new();
    for second in 0..7_300u64 {
        // The store works for a moment after 30 s, then fails for good.
        let now = start + Duration::from_secs(second);
        if second == 30 {
            alarm.works();
        } else if let Some(lasts) = alarm.fails(now) {
            told.push((second, lasts.as_secs()));
        }
    }
    assert_eq!(told, [(91, 60), (3_691, 3_660), (7_291, 7_260)]);
}

#[tokio::test]
async fn s09_each_target_that_wants_it_is_told_past_the_outbox_whatever_others_do() {
    use crate::notify::deliver::tests::Hook;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (good, broken, other) = (Hook::new().await, Hook::new().await, Hook::new().await);
    broken.answer(500);
    let target = |name: &str, hook: &Hook, events: &str| {
        format!(
            "{{name: {name}, type: webhook, url: 'http://{}/x'{events}}}",
            hook.address
        )
    };
    let text = format!(
        "apiVersion: flotilla.dev/v1alpha1\nkind: Notifications\ntargets: [{}, {}, {}]\n",
        target("broken", &broken, ""),
        target("good", &good, ", minSeverity: critical"),
        target("other", &other, ", events: [fight]")
    );
    let config = flotilla_notify::parse("n", &text).unwrap();
    let sender = Sender::within(Duration::from_secs(5)).unwrap();
    let now = "2026-11-27T07:00:00Z".parse().unwrap();
    let lasts = Duration::from_secs(61);
    tell(&config, &sender, &Metrics::new(), lasts, now).await;
    let told = good.bodies();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["type"], "dev.flotilla.storeFailing");
    let reason = told[0]["data"]["reason"].as_str().unwrap();
    assert!(
        reason.contains("for 61 s") && reason.contains("not retried"),
        "{reason}"
    );
    assert_eq!((broken.bodies().len(), other.bodies().len()), (0, 0));
}
