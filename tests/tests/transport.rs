//! Peers of other versions, peers that send nonsense, and a network that drops everything.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flotilla_proto::v1;
use flotilla_proto::v1::agent_service_client::AgentServiceClient;
use flotilla_shared::id::ClusterName;
use flotilla_tests::eventually;
use flotilla_tests::proxy::{Proxy, Traffic};
use flotilla_tests::raw_codec::Raw;
use flotilla_tests::simulated::{Agent, FleetState, accepted, hello, message};
use flotilla_tests::test_hub::TestHub;
use prost::Message as _;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic::transport::Channel;

/// A hub that knows four clusters.
async fn hub() -> TestHub {
    let clusters = (0..4).map(|index| accepted(&format!("c{index}"), "prod").unwrap());
    let hub = TestHub::builder().clusters(clusters).start();
    hub.await.unwrap()
}

async fn channel(hub: &TestHub, uri: &str) -> Channel {
    hub.channel(Some(uri)).await.unwrap()
}

async fn connection(hub: &TestHub, name: &str) -> v1::Connection {
    let mut operator = hub.operator("ada").await.unwrap();
    operator.cluster(name).await.unwrap().connection()
}

/// Nothing is closed, but traffic is no longer forwarded: both ends must notice in time.
async fn swallowed(traffic: Traffic) {
    let hub = hub().await;
    let proxy = Proxy::start(hub.address).await.unwrap();
    let hubs = Arc::new(vec![proxy.address.to_string()]);
    let seen = Arc::new(FleetState::default());
    let (_stop, stopped) = watch::channel(false);
    let name: ClusterName = "c1".parse().unwrap();
    let agent = Agent::new(&hub.enrolled, &name, &hubs, Duration::ZERO).unwrap();
    tokio::spawn(agent.run(Arc::clone(&seen), stopped));
    let limit = Duration::from_secs(60);
    let connected = || seen.connected.load(std::sync::atomic::Ordering::Relaxed);
    eventually("connected", limit, || async {
        (connection(&hub, "c1").await == v1::Connection::Online).then_some(())
    })
    .await
    .unwrap();
    proxy.set(traffic);
    let began = Instant::now();
    let agent_notices = eventually("the agent notices", limit, || async {
        (connected() == 0).then(|| began.elapsed())
    });
    let hub_notices = eventually("the hub notices", limit, || async {
        let is_gone = connection(&hub, "c1").await == v1::Connection::Offline;
        is_gone.then(|| began.elapsed())
    });
    let (by_agent, by_hub) = tokio::join!(agent_notices, hub_notices);
    let (by_agent, by_hub) = (by_agent.unwrap(), by_hub.unwrap());
    assert!(by_agent < Duration::from_secs(30), "{by_agent:?}");
    assert!(by_hub < Duration::from_secs(30), "{by_hub:?}");
    proxy.set(Traffic::Fair);
    eventually("it is back", limit, || async {
        (connection(&hub, "c1").await == v1::Connection::Online).then_some(())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h10_a_network_that_swallows_everything_is_noticed_by_both_ends() {
    swallowed(Traffic::Silent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h10_a_network_that_swallows_what_agents_say_is_noticed_by_both_ends() {
    swallowed(Traffic::Deaf).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h10_a_network_that_swallows_what_agents_are_told_is_noticed_by_both_ends() {
    swallowed(Traffic::Mute).await;
}

/// Methods of all services, and some that do not exist.
fn paths() -> Vec<String> {
    let set = prost_types::FileDescriptorSet::decode(flotilla_proto::FILE_DESCRIPTOR_SET).unwrap();
    let mut paths: Vec<String> = set
        .file
        .iter()
        .flat_map(|file| &file.service)
        .flat_map(|service| {
            let name = service.name();
            let methods = service.method.iter();
            methods.map(move |method| format!("/flotilla.v1.{name}/{}", method.name()))
        })
        .collect();
    paths.extend(
        [
            "/",
            "//",
            "/flotilla.v1.FleetService",
            "/flotilla.v1.FleetService/Nothing",
            "/a/b/c",
        ]
        .map(str::to_owned),
    );
    paths
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h13_random_bytes_to_every_method_break_nothing() {
    let hub = hub().await;
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let callers = [
        channel(&hub, "spiffe://flotilla/operator/bob").await,
        channel(&hub, "spiffe://flotilla/cluster/c1").await,
        channel(&hub, "spiffe://flotilla/cluster/c2").await,
    ];
    // Almost valid messages get deeper into the hub than random bytes.
    let samples: Vec<Vec<u8>> = vec![
        hello().encode_to_vec(),
        v1::SteerRequest {
            action: 3,
            environment: "prod".to_owned(),
            commit: "3f2a9c1b".repeat(5),
            reason: "x".to_owned(),
            ..v1::SteerRequest::default()
        }
        .encode_to_vec(),
        v1::GetClusterRequest {
            name: "c1".to_owned(),
        }
        .encode_to_vec(),
        Vec::new(),
    ];
    for round in 0..40 {
        for path in paths() {
            let mut content = samples[random.random_range(0..samples.len())].clone();
            for _ in 0..random.random_range(0..8) {
                let at = random.random_range(0..=content.len());
                match random.random_range(0..3) {
                    0 => content.insert(at, random.random()),
                    1 if at < content.len() => content[at] = random.random(),
                    _ => content.truncate(at),
                }
            }
            let caller = callers[random.random_range(0..callers.len())].clone();
            let mut grpc = tonic::client::Grpc::new(caller);
            grpc.ready().await.unwrap();
            let call = async {
                let request = tonic::Request::new(Bytes::from(content));
                let answer = grpc.server_streaming(request, path.parse().unwrap(), Raw);
                match answer.await {
                    Err(status) => status.code(),
                    Ok(stream) => match stream.into_inner().message().await {
                        Err(status) => status.code(),
                        Ok(_) => Code::Ok,
                    },
                }
            };
            // A stream that was admitted may stay silent.
            let code = tokio::time::timeout(Duration::from_millis(100), call).await;
            let code = code.unwrap_or(Code::Ok);
            assert!(
                !matches!(code, Code::Unknown | Code::DataLoss),
                "seed {seed}, round {round}, {path}: {code:?}"
            );
        }
    }
    let mut operator = hub.operator("ada").await.unwrap();
    operator.api.get_hub(v1::GetHubRequest {}).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h12_versions_that_do_not_fit_say_so_and_what_is_not_known_is_let_be() {
    let hub = hub().await;
    let channel = channel(&hub, "spiffe://flotilla/cluster/c3").await;
    for (low, high, fits) in [
        (1, 1, true),
        (1, 7, true),
        (2, 7, false),
        (0, 0, false),
        (3, 2, false),
    ] {
        let body = v1::agent_message::Body::Hello(v1::Hello {
            protocol_min: low,
            protocol_max: high,
            features: vec!["from-the-future".to_owned()],
            ..v1::Hello::default()
        });
        let stream = futures::StreamExt::chain(
            tokio_stream::iter([message(body)]),
            futures::stream::pending(),
        );
        let mut client = AgentServiceClient::new(channel.clone());
        match client.connect(stream).await {
            Ok(stream) => {
                let first = stream.into_inner().message().await.unwrap().unwrap();
                let Some(v1::hub_message::Body::Welcome(welcome)) = first.body else {
                    panic!("{first:?}");
                };
                assert!(fits);
                assert_eq!(welcome.protocol, 1);
            }
            Err(status) => {
                assert!(!fits, "{status:?}");
                assert_eq!(status.code(), Code::FailedPrecondition);
                assert!(status.message().contains("upgrade"), "{}", status.message());
            }
        }
    }
    // An unknown body and unknown fields of a newer agent, then a known message: the stream survives.
    let (outbound, stream) = mpsc::channel(4);
    outbound.send(hello()).await.unwrap();
    let mut client = AgentServiceClient::new(channel);
    let mut inbound = client
        .connect(ReceiverStream::new(stream))
        .await
        .unwrap()
        .into_inner();
    outbound
        .send(v1::AgentMessage { body: None })
        .await
        .unwrap();
    let ack = v1::Ack {
        assignment: Some(v1::AssignmentRef::default()),
        verdict: 99,
        reason: "ReasonOfANewerAgent".to_owned(),
        accepted: Some(v1::AssignmentRef::default()),
        ..v1::Ack::default()
    };
    let body = v1::agent_message::Body::Ack(ack);
    outbound.send(message(body)).await.unwrap();
    let heartbeat = v1::Heartbeat {
        report_digest: vec![7; 32],
        ..v1::Heartbeat::default()
    };
    let body = v1::agent_message::Body::Heartbeat(heartbeat);
    outbound.send(message(body)).await.unwrap();
    let asked = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            let body = inbound.message().await.unwrap().unwrap().body;
            if let Some(v1::hub_message::Body::ReportRequest(_)) = body {
                return;
            }
        }
    });
    asked.await.expect("the hub goes on");
}
