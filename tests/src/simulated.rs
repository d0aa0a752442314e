//! Agents without clusters: the full protocol over mTLS, and every apply succeeds. For tests of many agents, and for
//! the scale test.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use flotilla_hub::authority::{Authority, Request};
use flotilla_hub::fleet::{ClusterRecord, Effect};
use flotilla_hub::store::Store;
use flotilla_proto::v1;
use flotilla_proto::v1::agent_service_client::AgentServiceClient;
use flotilla_shared::assignment::{Assignment, AssignmentRef};
use flotilla_shared::dial::dial;
use flotilla_shared::digest::Digest;
use flotilla_shared::health::{Health, SyncState};
use flotilla_shared::id::ClusterName;
use flotilla_shared::identity::Identity;
use flotilla_shared::object::{Action, ObjectNames};
use flotilla_shared::plan::ClusterPlan;
use flotilla_shared::report::{ApplicationReport, ObjectStatus, Report};
use flotilla_shared::tls::{self, TlsIdentity};
use flotilla_shared::wire::{assignment_ref_to_wire, encode_report, plan_result, specified};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use prost::Message as _;
use rand::Rng as _;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;

mod stream;

use stream::OpenStream;

/// What all agents have observed, and how they behave.
#[derive(Default)]
pub struct FleetState {
    /// Open streams.
    pub connected: AtomicUsize,
    /// When each agent last received an assignment of the newest commit.
    pub delivered: Mutex<BTreeMap<ClusterName, Instant>>,
    /// Longest time from an agent's first attempt to the hub's welcome.
    pub slowest_connect: Mutex<Duration>,
    /// Whether agents report failure.
    pub failing: AtomicBool,
    /// A directory whose applications never become healthy.
    pub bad_path: Mutex<String>,
    /// The name of an object that each application has; empty: no objects are reported.
    pub object: Mutex<String>,
    /// The plans with which agents answer, in turn, by the number in their names. None: requests for plans get no
    /// answer.
    pub plans: Mutex<Vec<ClusterPlan>>,
    /// The directories of each agent's last assignment.
    pub paths: Mutex<BTreeMap<ClusterName, Vec<String>>>,
}

/// A cluster that was accepted into an environment.
///
/// # Errors
/// When one of the names is invalid.
pub fn accepted(name: &str, environment: &str) -> anyhow::Result<(ClusterName, ClusterRecord)> {
    let record = ClusterRecord {
        environment: Some(environment.parse()?),
        ..ClusterRecord::default()
    };
    Ok((name.parse()?, record))
}

/// Makes records and certificates for clusters, before the hub starts.
pub struct CertificateIssuer {
    authority: Authority,
    key: rcgen::KeyPair,
    request: Request,
    csr: Vec<u8>,
}

impl CertificateIssuer {
    /// Adds accepted clusters to the store of a data directory.
    ///
    /// # Errors
    /// When authority or store cannot be used.
    pub async fn new(
        data_dir: &std::path::Path,
        clusters: &[(ClusterName, ClusterRecord)],
    ) -> anyhow::Result<Self> {
        let authority = Authority::init(data_dir, Timestamp::now())?;
        let store = Store::open(data_dir).await?;
        let effects: Vec<Effect> = clusters
            .iter()
            .map(|(name, record)| Effect::StoreCluster(name.clone(), Box::new(record.clone())))
            .collect();
        store.apply("enrolled", &effects, Timestamp::now()).await?;
        store.close().await;
        Self::with(authority)
    }

    /// Only makes certificates of an authority, for clusters that are registered in another way.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn with(authority: Authority) -> anyhow::Result<Self> {
        let key = rcgen::KeyPair::generate()?;
        let csr = rcgen::CertificateParams::default().serialize_request(&key)?;
        let request = Request::from_der(csr.der())?;
        Ok(Self {
            authority,
            key,
            request,
            csr: csr.der().to_vec(),
        })
    }

    /// The authority's root certificates.
    #[must_use]
    pub fn trust_bundle(&self) -> &str {
        self.authority.trust_bundle()
    }

    /// A certificate signing request of the shared key, DER.
    #[must_use]
    pub fn csr(&self) -> Vec<u8> {
        self.csr.clone()
    }

    /// A certificate. All share one key, because generating ten thousand keys would not measure the hub.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn identity(&self, identity: &Identity) -> anyhow::Result<TlsIdentity> {
        self.identity_for(identity, SignedDuration::from_hours(24))
    }

    /// A certificate with the given lifetime.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn identity_for(
        &self,
        identity: &Identity,
        life: SignedDuration,
    ) -> anyhow::Result<TlsIdentity> {
        let now = Timestamp::now();
        let issued = self.authority.sign(identity, &self.request, life, 0, now)?;
        Ok(TlsIdentity {
            chain_pem: issued.chain_pem,
            key_pem: self.key.serialize_pem(),
        })
    }
}

pub struct Agent {
    pub name: ClusterName,
    /// Its TLS configuration.
    pub tls: Arc<rustls::ClientConfig>,
    /// `host:port` of hubs, which it tries in turn.
    pub hubs: Arc<Vec<String>>,
    /// The time from an assignment to its report.
    pub work: Duration,
}

impl Agent {
    /// Makes an agent with its certificate.
    ///
    /// # Errors
    /// When the certificate cannot be made.
    pub fn new(
        enrolled: &CertificateIssuer,
        name: &ClusterName,
        hubs: &Arc<Vec<String>>,
        work: Duration,
    ) -> anyhow::Result<Self> {
        let identity = enrolled.identity(&Identity::Cluster(name.clone()))?;
        let tls = tls::client_config(enrolled.trust_bundle(), Some(&identity))?;
        Ok(Self {
            name: name.clone(),
            tls: Arc::new(tls),
            hubs: Arc::clone(hubs),
            work,
        })
    }

    /// Connects, works and reconnects until stopped.
    pub async fn run(self, seen: Arc<FleetState>, mut stop: watch::Receiver<bool>) {
        let mut state = State::default();
        let mut tries = 0usize;
        let mut since = Instant::now();
        while !*stop.borrow() {
            let hub = &self.hubs[tries % self.hubs.len()];
            let connected = tokio::select! {
                connected = self.stream(hub, &mut state, &seen, since) => connected,
                _ = stop.changed() => return,
            };
            if connected {
                tries = 0;
                since = Instant::now();
            }
            tries += 1;
            // Full jitter over a doubling span, like the real agent.
            let span = Duration::from_millis(250 << tries.min(4));
            let wait = span.mul_f64(rand::rng().random_range(0.0..1.0));
            tokio::time::sleep(wait).await;
        }
    }

    /// Handles one stream; returns whether it was welcomed.
    async fn stream(
        &self,
        hub: &str,
        state: &mut State,
        seen: &FleetState,
        since: Instant,
    ) -> bool {
        let Ok(channel) = dial(hub, Arc::clone(&self.tls)).await else {
            return false;
        };
        let (outbound, receiver) = mpsc::channel(4);
        let hello = v1::Hello {
            protocol_min: 1,
            protocol_max: 1,
            agent_version: "simulated".to_owned(),
            accepted: Some(assignment_ref_to_wire(state.accepted)),
            ..v1::Hello::default()
        };
        let _ = outbound.try_send(message(v1::agent_message::Body::Hello(hello)));
        let mut client = AgentServiceClient::new(channel);
        let Ok(stream) = client.connect(ReceiverStream::new(receiver)).await else {
            return false;
        };
        let mut inbound = stream.into_inner();
        let mut open = OpenStream {
            agent: self,
            state,
            seen,
            since,
            outbound,
            welcomed: false,
            due: None,
        };
        open.serve(&mut inbound).await;
        if open.welcomed {
            seen.connected.fetch_sub(1, Ordering::Relaxed);
        }
        open.welcomed
    }
}

impl Agent {
    fn planned(&self, request: v1::PlanRequest, seen: &FleetState) -> Option<v1::PlanResult> {
        let of = request.of?;
        let digits = self.name.as_str().trim_start_matches(char::is_alphabetic);
        let number: usize = digits.parse().unwrap_or_default();
        let plans = seen.plans.lock();
        let plan = plans.get(number.checked_rem(plans.len())?)?;
        Some(plan_result(request.request, of, plan))
    }
}

/// A Hello without anything optional.
#[must_use]
pub fn hello() -> v1::AgentMessage {
    message(v1::agent_message::Body::Hello(v1::Hello {
        protocol_min: 1,
        protocol_max: 1,
        ..v1::Hello::default()
    }))
}

#[must_use]
pub fn message(body: v1::agent_message::Body) -> v1::AgentMessage {
    v1::AgentMessage { body: Some(body) }
}

/// The state that an agent keeps between streams.
#[derive(Default)]
struct State {
    accepted: AssignmentRef,
    assignment: Option<Assignment>,
    report: v1::Report,
    sequence: u64,
    /// Whether the report is about the current assignment.
    reported: bool,
}

impl State {
    fn digest(&self) -> Vec<u8> {
        if self.sequence == 0 {
            return Vec::new();
        }
        Digest::of(&self.report.encode_to_vec()).as_bytes().to_vec()
    }

    /// Reports everything assigned as applied.
    fn finish(&mut self, failing: bool, bad_path: &str, object: &str) {
        let now = Timestamp::now();
        let Some(assignment) = &self.assignment else {
            return;
        };
        self.sequence += 1;
        self.reported = true;
        let applications = assignment.applications.iter().map(|(name, app)| {
            let report = ApplicationReport {
                revision: Some(app.revision.clone()),
                sync: SyncState::Synced,
                health: if failing || app.path.as_str() == bad_path {
                    Health::Failed
                } else {
                    Health::Current
                },
                applied_at: Some(now),
                objects: if object.is_empty() {
                    Vec::new()
                } else {
                    vec![named(object)]
                },
                ..ApplicationReport::default()
            };
            (name.clone(), report.into())
        });
        self.report = encode_report(&Report {
            sequence: self.sequence,
            assignment: self.accepted,
            observed_at: now,
            applications: applications.collect(),
            suspended: String::new(),
            gate_jobs: Vec::new(),
            specified: specified(&assignment.applications, &assignment.labels),
        });
    }
}

/// The status of an object.
fn named(name: &str) -> ObjectStatus {
    ObjectStatus {
        object: ObjectNames {
            group: String::new(),
            kind: "ConfigMap".to_owned(),
            namespace: "default".to_owned(),
            name: name.to_owned(),
        }
        .into(),
        action: Action::Updated,
        health: Health::Current,
        reason: None,
        message: String::new(),
    }
}
