use std::sync::atomic::{AtomicU32, Ordering};

use flotilla_proto::v1;

use super::*;

fn key(role: &str) -> Key {
    let hub = Hub::from(&v1::GetHubResponse {
        operator: format!("somebody-{}", rand::random::<u32>()),
        rights: vec![v1::OperatorRight {
            role: role.to_owned(),
            environments: Vec::new(),
        }],
        ..v1::GetHubResponse::default()
    });
    Key::new(&hub, "/rollout/prod-1")
}

/// Fails each time with a different error, which distinguishes the calls.
struct CountingHub {
    views: Views<()>,
    made: AtomicU32,
    code: tonic::Code,
    now: Instant,
}

impl CountingHub {
    fn new(code: tonic::Code) -> Self {
        Self {
            views: Views::default(),
            made: AtomicU32::new(0),
            code,
            now: Instant::now(),
        }
    }

    async fn ask(&self, role: &str, age: Age) -> u32 {
        let make = async {
            let nth = self.made.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            Err(tonic::Status::new(self.code, nth.to_string()))
        };
        let answer = self.views.get(key(role), age, self.now, make).await;
        answer.unwrap_err().message().parse().unwrap()
    }
}

#[tokio::test]
async fn who_follows_a_page_shares_the_answer_of_a_moment_ago() {
    let mut asking = CountingHub::new(tonic::Code::Unavailable);
    let both = futures::join!(
        asking.ask("viewer", Age::Recent),
        asking.ask("viewer", Age::Recent)
    );
    assert_eq!(both, (0, 0), "asked once");
    let other = asking.ask("admin", Age::Recent).await;
    assert_eq!(other, 1, "not among those who may do other things");
    let loaded = asking.ask("viewer", Age::New).await;
    assert_eq!(loaded, 2, "a page that is loaded is new");
    let follows = asking.ask("viewer", Age::Recent).await;
    assert_eq!(follows, 2, "and serves those who follow it");
    asking.now += RECENT;
    assert_eq!(asking.ask("viewer", Age::Recent).await, 3);
}

#[tokio::test]
async fn a_refusal_is_for_one_alone() {
    let asking = CountingHub::new(tonic::Code::ResourceExhausted);
    assert_eq!(asking.ask("viewer", Age::Recent).await, 0);
    assert_eq!(asking.ask("viewer", Age::Recent).await, 1);
}
