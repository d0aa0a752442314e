//! Clocks that disagree (E11): certificates are backdated, five minutes cause no problem, and more has its own error
//! message.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use flotilla_hub::authority::{AGENT_LIFE, Authority, Request};
use flotilla_shared::dial::clock;
use flotilla_shared::identity::HUB_SERVER_NAME;
use flotilla_shared::tls;
use jiff::{SignedDuration, Timestamp};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;

/// The error messages with a clock that is `ahead`, for certificates of both sides made `now`; none: they are valid.
fn verdicts(ahead: SignedDuration) -> [Option<&'static str>; 2] {
    tls::install_provider();
    let now = Timestamp::from_second(1_790_000_000).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::init(directory.path(), now).unwrap();
    let mut roots = RootCertStore::empty();
    for root in tls::certificates("roots", authority.trust_bundle()).unwrap() {
        roots.add(root).unwrap();
    }
    let roots = Arc::new(roots);
    let hub = authority.hub(&[], now).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let request = rcgen::CertificateParams::default()
        .serialize_request(&key)
        .unwrap();
    let request = Request::from_der(request.der()).unwrap();
    let cluster = "spiffe://flotilla/cluster/a".parse().unwrap();
    let agent = authority
        .sign(&cluster, &request, AGENT_LIFE, 1, now)
        .unwrap();

    let seconds = u64::try_from((now + ahead).as_second()).unwrap();
    let at = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let name = ServerName::try_from(HUB_SERVER_NAME).unwrap();
    let server = WebPkiServerVerifier::builder(Arc::clone(&roots))
        .build()
        .unwrap();
    let client = WebPkiClientVerifier::builder(roots).build().unwrap();
    let chain = tls::certificates("hub", &hub.chain_pem).unwrap();
    let of_hub = rustls::client::danger::ServerCertVerifier::verify_server_cert(
        &*server,
        &chain[0],
        &chain[1..],
        &name,
        &[],
        at,
    );
    let chain = tls::certificates("agent", &agent.chain_pem).unwrap();
    let of_agent = client.verify_client_cert(&chain[0], &chain[1..], at);
    // Every one of these errors must be blamed on the clock.
    let word = |error: rustls::Error| clock(&error).unwrap_or("something else");
    [of_hub.err().map(word), of_agent.err().map(word)]
}

#[test]
fn e11_five_minutes_are_tolerated_and_more_is_named() {
    let minutes = SignedDuration::from_mins;
    for ahead in [
        minutes(-5),
        minutes(-1),
        minutes(0),
        minutes(5),
        minutes(10),
    ] {
        assert_eq!(verdicts(ahead), [None, None], "{ahead:?}");
    }
    for behind in [minutes(-6), minutes(-10), SignedDuration::from_hours(-24)] {
        assert_eq!(verdicts(behind), [Some("not valid yet"); 2], "{behind:?}");
    }
    // A certificate of an agent is valid for a day; that of the hub for longer.
    let day = SignedDuration::from_hours(24);
    assert_eq!(verdicts(day - minutes(5))[1], None);
    assert_eq!(verdicts(day + minutes(10))[1], Some("expired"));
}

#[test]
fn e11_a_cause_below_others_is_found_and_others_are_not_the_clock() {
    let expired = rustls::Error::InvalidCertificate(rustls::CertificateError::Expired);
    let wrapped = std::io::Error::other(expired);
    assert_eq!(clock(&wrapped), Some("expired"));
    let unknown = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
    assert_eq!(clock(&unknown), None);
}
