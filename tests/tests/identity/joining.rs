//! How a cluster joins, is recovered, and is removed.

use crate::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e05_a_token_alone_gives_no_assignment_and_a_person_accepts() {
    let hub = Hub::new().await;
    let token = hub.token(v1::CreateTokenRequest::default()).await;
    let key = rcgen::KeyPair::generate().unwrap();
    let response = hub.enroll(&token, "c1", &key).await.unwrap();
    assert_eq!(response.state(), v1::EnrollmentState::Pending);
    assert!(response.certificate_chain.is_empty());
    let mut operator = hub.operator().await;
    let waiting = operator
        .get_cluster(v1::GetClusterRequest {
            name: "c1".to_owned(),
        })
        .await
        .unwrap();
    let waiting = waiting.into_inner().cluster.unwrap();
    assert_eq!(waiting.connection(), v1::Connection::Pending);
    let accept = |fingerprint: &str, environment: &str| v1::AcceptClusterRequest {
        name: "c1".to_owned(),
        fingerprint: fingerprint.to_owned(),
        environment: environment.to_owned(),
        labels: Vec::new(),
    };
    assert!(
        operator
            .accept_cluster(accept("another key", "prod"))
            .await
            .is_err()
    );
    assert!(
        operator.accept_cluster(accept("", "")).await.is_err(),
        "it belongs nowhere yet"
    );
    operator
        .accept_cluster(accept(&waiting.pending_fingerprint, "prod"))
        .await
        .unwrap();
    // Level-triggered: the agent's next, identical call receives the certificate.
    let response = hub.enroll(&token, "c1", &key).await.unwrap();
    assert_eq!(response.state(), v1::EnrollmentState::Accepted);
    // Another key with the same token, or a second cluster of that name, is refused.
    let other = rcgen::KeyPair::generate().unwrap();
    assert_eq!(
        hub.enroll(&token, "c1", &other).await,
        Err(Code::PermissionDenied)
    );
    let second = hub.token(v1::CreateTokenRequest::default()).await;
    assert_eq!(
        hub.enroll(&second, "c1", &other).await,
        Err(Code::AlreadyExists)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e09_removing_a_cluster_cuts_its_stream_at_once() {
    let hub = Hub::new().await;
    let request = v1::CreateTokenRequest {
        environment: "prod".to_owned(),
        auto_accept: true,
        ..v1::CreateTokenRequest::default()
    };
    let token = hub.token(request).await;
    let key = rcgen::KeyPair::generate().unwrap();
    let response = hub.enroll(&token, "c1", &key).await.unwrap();
    let identity = TlsIdentity {
        chain_pem: response.certificate_chain,
        key_pem: key.serialize_pem(),
    };
    let mut stream = connect(hub.channel(Some(&identity)).await).await.unwrap();
    let first = stream.message().await.unwrap().unwrap();
    assert!(matches!(
        first.body,
        Some(v1::hub_message::Body::Welcome(_))
    ));
    let mut operator = hub.operator().await;
    let remove = v1::RemoveClusterRequest {
        name: "c1".to_owned(),
        reason: "test".to_owned(),
    };
    operator.remove_cluster(remove).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            match stream.message().await {
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return,
            }
        }
    });
    ended.await.expect("the stream ends within ten seconds");
    let again = eventually(
        "new streams are refused",
        Duration::from_secs(10),
        || async {
            let again = connect(hub.channel(Some(&identity)).await).await;
            again.err().map(|status| status.code())
        },
    );
    assert_eq!(again.await.unwrap(), Code::PermissionDenied);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e10_only_a_known_key_whose_certificate_is_no_good_recovers() {
    let hub = Hub::new().await;
    let key = rcgen::KeyPair::generate().unwrap();
    hub.joined("c1", &key).await;
    // The key is still valid.
    assert_eq!(
        hub.recover(&key).await.err(),
        Some(Code::FailedPrecondition)
    );
    let stranger = rcgen::KeyPair::generate().unwrap();
    assert_eq!(
        hub.recover(&stranger).await.err(),
        Some(Code::PermissionDenied)
    );
    // The authority is being rotated out: the key is enough, also when the old root has been removed.
    let rotation = Rotation(&hub.0.config.data_dir);
    rotation.begin(Timestamp::now()).unwrap();
    let recovered = eventually("it recovers", Duration::from_secs(10), || async {
        hub.recover(&key).await.ok()
    });
    let recovered = recovered.await.unwrap();
    assert_eq!(recovered.state(), v1::EnrollmentState::Accepted);
    assert!(!recovered.endorsements.is_empty());
    let identity = identity(&recovered.certificate_chain, &key);
    assert!(hub.first_word(&identity).await.is_ok());
}

/// Each with its own key, name and connection; with and without acceptance by an operator.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e02_of_many_that_show_a_token_at_once_one_comes_in_and_the_others_are_told() {
    let hub = Hub::new().await;
    for (auto_accept, expected) in [
        (false, v1::EnrollmentState::Pending),
        (true, v1::EnrollmentState::Accepted),
    ] {
        let request = v1::CreateTokenRequest {
            environment: "prod".to_owned(),
            auto_accept,
            ..v1::CreateTokenRequest::default()
        };
        let token = hub.token(request).await;
        let names: Vec<String> = (0..8)
            .map(|index| format!("c{index}-{auto_accept}"))
            .collect();
        let keys: Vec<rcgen::KeyPair> = names
            .iter()
            .map(|_| rcgen::KeyPair::generate().unwrap())
            .collect();
        let tries = names.iter().zip(&keys);
        let tries = tries.map(|(name, key)| hub.try_enroll(&token, name, key));
        let answers = futures::future::join_all(tries).await;
        let (mut joined, mut told) = (Vec::new(), Vec::new());
        for (name, answer) in names.iter().zip(answers) {
            match answer {
                Ok(response) => joined.push((name, response.state())),
                Err(status) => told.push(status),
            }
        }
        let [(winner, state)] = joined[..] else {
            panic!("{joined:?} of {}", names.len());
        };
        assert_eq!(state, expected);
        assert_eq!(told.len(), names.len() - 1);
        for status in told {
            assert_eq!(status.code(), Code::PermissionDenied, "{status}");
            let by = format!("by the cluster {winner},");
            let message = status.message();
            assert!(message.contains("was used at"), "{message}");
            assert!(message.contains(&by), "{message}");
        }
        let list = v1::ListClustersRequest::default();
        let list = hub.operator().await.list_clusters(list).await.unwrap();
        let rows = list.into_inner().clusters;
        let rows: Vec<&String> = rows.iter().map(|row| &row.name).collect();
        let rows = rows.into_iter().filter(|row| names.contains(row));
        assert_eq!(rows.collect::<Vec<_>>(), [winner]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e03_guessing_tokens_is_cut_off_and_others_are_not() {
    let hub = Hub::new().await;
    let key = rcgen::KeyPair::generate().unwrap();
    let mut answers = std::collections::BTreeMap::<i32, usize>::new();
    for round in 0..40 {
        let token = format!("flt_{round:012x}_{round:064x}");
        let code = hub.enroll(&token, "c9", &key).await.unwrap_err();
        *answers.entry(code as i32).or_default() += 1;
    }
    assert!(
        answers[&(Code::PermissionDenied as i32)] <= 30,
        "{answers:?}"
    );
    assert!(
        answers[&(Code::ResourceExhausted as i32)] >= 10,
        "{answers:?}"
    );
    // A cluster with a certificate is not delayed.
    let began = std::time::Instant::now();
    hub.operator()
        .await
        .get_hub(v1::GetHubRequest {})
        .await
        .unwrap();
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e01_a_guesser_learns_nothing_and_who_has_the_secret_learns_what_is_wrong() {
    let hub = Hub::new().await;
    let key = rcgen::KeyPair::generate().unwrap();
    let bound = |cluster: &str, seconds: u32| v1::CreateTokenRequest {
        cluster: cluster.to_owned(),
        environment: "prod".to_owned(),
        lifetime_seconds: seconds,
        ..v1::CreateTokenRequest::default()
    };
    let short = hub.token(bound("c1", 1)).await;
    let foreign = hub.token(bound("c2", 600)).await;
    let revoked = hub.token(bound("c1", 600)).await;
    let id = revoked.split('_').nth(1).unwrap().to_owned();
    let revoke = v1::RevokeTokenRequest { id };
    hub.operator().await.revoke_token(revoke).await.unwrap();
    let spent = hub.token(bound("c3", 600)).await;
    let first = rcgen::KeyPair::generate().unwrap();
    hub.enroll(&spent, "c3", &first).await.unwrap();
    let good = hub.token(bound("c1", 600)).await;
    let last = if good.ends_with('0') { '1' } else { '0' };
    let guessed = format!("{}{last}", &good[..good.len() - 1]);
    let mut times = Vec::new();
    for (token, cluster, reason) in [
        ("flt_000000000000_00", "c1", "not known"),
        ("nonsense", "c1", "not known"),
        (guessed.as_str(), "c1", "not known"),
        (&foreign, "c1", "is for the cluster c2"),
        (&revoked, "c1", "was revoked"),
        (&spent, "c3", "was used at"),
    ] {
        let began = std::time::Instant::now();
        let status = hub.try_enroll(token, cluster, &key).await.unwrap_err();
        times.push(began.elapsed());
        assert_eq!(status.code(), Code::PermissionDenied, "{reason}");
        assert!(status.message().contains(reason), "{}", status.message());
    }
    let expired = eventually("it ends", Duration::from_secs(10), || async {
        hub.try_enroll(&short, "c1", &first).await.err()
    });
    let expired = expired.await.unwrap();
    assert!(expired.message().contains("expired at"), "{expired}");
    // Each attempt waits for the same time, which hides the duration of the lookup.
    let shortest = times.iter().min().unwrap();
    assert!(*shortest >= Duration::from_millis(250), "{times:?}");
    // None of the attempts has used up the valid token.
    assert!(hub.enroll(&good, "c1", &key).await.is_ok());
}

/// Case 31 over the whole protocol: a second key requests again and again, and the cluster continues.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e06_a_token_without_a_name_never_gives_a_taken_one_and_is_not_used_up() {
    let hub = Hub::new().await;
    let right = rcgen::KeyPair::generate().unwrap();
    let identity = hub.joined("c1", &right).await;
    let any = v1::CreateTokenRequest {
        environment: "prod".to_owned(),
        auto_accept: true,
        ..v1::CreateTokenRequest::default()
    };
    let any = hub.token(any).await;
    let other = rcgen::KeyPair::generate().unwrap();
    for _ in 0..3 {
        assert_eq!(
            hub.enroll(&any, "c1", &other).await,
            Err(Code::AlreadyExists)
        );
    }
    assert!(hub.first_word(&identity).await.is_ok(), "it is not locked");
    let joined = hub.enroll(&any, "c2", &other).await.unwrap();
    assert_eq!(joined.state(), v1::EnrollmentState::Accepted);
}

/// A certificate of a removed cluster is useless against its successor of the same name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e06_who_had_a_name_before_neither_speaks_for_it_nor_locks_it() {
    let hub = Hub::new().await;
    let old = rcgen::KeyPair::generate().unwrap();
    let before = hub.joined("c1", &old).await;
    let remove = v1::RemoveClusterRequest {
        name: "c1".to_owned(),
        reason: "test".to_owned(),
    };
    hub.operator().await.remove_cluster(remove).await.unwrap();
    let new = rcgen::KeyPair::generate().unwrap();
    let now = hub.joined("c1", &new).await;
    assert!(hub.first_word(&now).await.is_ok());
    assert!(hub.first_word(&before).await.is_err());
    assert!(hub.first_word(&now).await.is_ok(), "it is not locked");
}
