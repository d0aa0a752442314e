//! Collects facts from the API server, Git and the disk. A failure to collect one is itself a fact.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::SystemTime;

use flotilla_git::{Access, Limits, Remote};
use flotilla_shared::identity::PeerCertificate;
use flotilla_shared::revision::{BranchName, RepositoryUrl};
use flotilla_shared::tls;
use futures::StreamExt as _;
use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    CertificateFacts, CheckFacts, DiskFacts, Fact, KeyFile, Kind, LeaseFacts, RepositoryFacts,
    Right, RightCheck, to_install, to_run,
};
use crate::api::discovery::Discovery;
use crate::api::{Api, access};
use crate::args::Check;
use crate::fence::Fence;
use crate::inventory::Entry;
use crate::leader::LEASE;
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::policy::Policy;
use crate::policy_file;
use crate::source;

/// Maximum number of concurrent requests.
const AT_ONCE: usize = 16;
/// Maximum number of requests per second: an agent may run beside this.
const RATE: u32 = 50;
/// Maximum number of checked repositories.
const REPOSITORIES: usize = 100;
/// Maximum number of listed keys and credentials.
const FILES: usize = 1000;

pub(crate) async fn gather(args: &Check) -> CheckFacts {
    let policy = policy_file::read(args.policy.as_deref()).map_err(|error| format!("{error:#}"));
    let mut facts = CheckFacts {
        now: Timestamp::now(),
        pre: args.pre,
        namespace: args.api.namespace.clone(),
        kubernetes: Err(String::new()),
        has_namespace: None,
        rights: Vec::new(),
        unserved: Vec::new(),
        lease: None,
        certificate: None,
        disk: args.data_dir.as_deref().map(disk),
        repositories: Vec::new(),
        credentials: args
            .git_credentials
            .as_deref()
            .map(files)
            .unwrap_or_default(),
        age_keys: None,
        age_files: args.sops_age_keys.as_deref().map(files).unwrap_or_default(),
        policy,
    };
    let count = |path| source::count_keys(path).map_err(|error| error.to_string());
    facts.age_keys = args.sops_age_keys.as_deref().map(count);
    facts.kubernetes = cluster(args, &mut facts).await;
    facts.repositories = repositories(args, facts.policy.as_ref().ok()).await;
    facts
}

fn text(value: &Value, pointer: &str) -> String {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// Collects facts from the API server.
async fn cluster(args: &Check, facts: &mut CheckFacts) -> Fact<String> {
    let plain = |error: &dyn std::fmt::Display| error.to_string();
    let (kubeconfig, context) = (args.api.kubeconfig.as_deref(), args.api.context.as_deref());
    let client = access::client(kubeconfig, context, access::CHECK_INTERVAL)
        .await
        .map_err(|error| format!("{error:#}"))?;
    let api = Api::new(client, RATE, Fence::open(), Metrics::default());
    let version = api.get("/version").await.map_err(|error| plain(&error))?;
    let namespace = &args.api.namespace;
    let found = api.find(&format!("/api/v1/namespaces/{namespace}")).await;
    facts.has_namespace = Some(
        found
            .map(|object| object.is_some())
            .map_err(|error| plain(&error)),
    );
    let mut kinds = Vec::new();
    if !args.pre {
        facts.lease = Some(lease(&api, namespace).await);
        facts.certificate = Some(certificate(&api, namespace).await);
        let mut names = match &facts.policy {
            Ok(policy) => policy.kinds.clone(),
            Err(_) => BTreeSet::new(),
        };
        names.extend(applied(&api, namespace).await);
        let mut discovery = Discovery::default();
        discovery.read(&api).await.map_err(|error| plain(&error))?;
        for name in names {
            let (kind, group) = name.split_once('.').unwrap_or((&name, ""));
            match discovery.find(group, "", kind) {
                Some(resource) => kinds.push(Kind {
                    group: resource.group.clone(),
                    resource: resource.plural.clone(),
                }),
                None => facts.unserved.push(name),
            }
        }
    }
    let accounts = match &facts.policy {
        Ok(policy) => policy.service_accounts.clone(),
        Err(_) => Default::default(),
    };
    let rights = match args.pre {
        true => to_install(namespace),
        false => to_run(namespace, &kinds, &accounts),
    };
    let asked = rights.into_iter().map(|right| {
        let api = &api;
        async move {
            let allowed = allowed(api, &right).await;
            RightCheck { right, allowed }
        }
    });
    facts.rights = futures::stream::iter(asked)
        .buffered(AT_ONCE)
        .collect()
        .await;
    Ok(text(&version, "/gitVersion"))
}

/// Asks whether the caller has a right, which every account may ask.
async fn allowed(api: &Api, right: &Right) -> Fact<bool> {
    let body = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {
            "group": right.group,
            "resource": right.resource,
            "verb": right.verb,
            "namespace": right.namespace,
            "name": right.name,
        }},
    });
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let answer = api
        .send(Method::POST, path, "application/json", Some(&body))
        .await
        .map_err(|error| error.to_string())?;
    let word = answer.pointer("/status/allowed").and_then(Value::as_bool);
    word.ok_or_else(|| "the API server did not answer the access review".to_owned())
}

/// Kinds in the agent's inventories, as `Kind` or `Kind.group`.
async fn applied(api: &Api, namespace: &str) -> BTreeSet<String> {
    let path =
        format!("/api/v1/namespaces/{namespace}/configmaps?labelSelector=flotilla.dev%2Finventory");
    // The check of rights reports it if these cannot be read.
    let list = api.get(&path).await.unwrap_or_default();
    let items = list.get("items").and_then(Value::as_array);
    let mut kinds = BTreeSet::new();
    for item in items.into_iter().flatten() {
        let entries = serde_json::from_str::<Vec<Entry>>(&text(item, "/data/entries"));
        for entry in entries.unwrap_or_default() {
            let object = &entry.object;
            kinds.insert(match object.group.as_str() {
                "" => object.kind.clone(),
                group => format!("{}.{group}", object.kind),
            });
        }
    }
    kinds
}

async fn lease(api: &Api, namespace: &str) -> Fact<Option<LeaseFacts>> {
    let path = format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{LEASE}");
    let found = api.find(&path).await.map_err(|error| error.to_string())?;
    Ok(found.map(|lease| LeaseFacts {
        holder: text(&lease, "/spec/holderIdentity"),
        renewed: text(&lease, "/spec/renewTime").parse().ok(),
    }))
}

async fn certificate(api: &Api, namespace: &str) -> Fact<Option<CertificateFacts>> {
    use base64::Engine as _;
    let path = format!("/api/v1/namespaces/{namespace}/secrets/flotilla-agent-identity");
    let found = api.find(&path).await.map_err(|error| error.to_string())?;
    let Some(secret) = found else { return Ok(None) };
    let encoded = text(&secret, "/data/tls.crt");
    if encoded.is_empty() {
        return Ok(None);
    }
    let unread = || "the Secret flotilla-agent-identity holds no certificate".to_owned();
    let bytes = base64::engine::general_purpose::STANDARD.decode(encoded);
    let pem = String::from_utf8(bytes.map_err(|_| unread())?).map_err(|_| unread())?;
    let chain = tls::certificates("certificate", &pem).map_err(|_| unread())?;
    let leaf = chain.first().ok_or_else(unread)?;
    let leaf = PeerCertificate::from_der(leaf).map_err(|error| error.to_string())?;
    let moment = |seconds| Timestamp::from_second(seconds).map_err(|_| unread());
    Ok(Some(CertificateFacts {
        begin: moment(leaf.not_before)?,
        end: moment(leaf.not_after)?,
    }))
}

fn disk(path: &Path) -> Fact<DiskFacts> {
    let name = path.display().to_string();
    let room = rustix::fs::statvfs(path).map_err(|error| format!("{name}: {error}"))?;
    let probe = tempfile::Builder::new().prefix(".check-").tempfile_in(path);
    Ok(DiskFacts {
        path: name,
        free: room.f_bavail.saturating_mul(room.f_frsize),
        writable: probe.map(|_| ()).map_err(|error| error.to_string()),
    })
}

/// The files of a mounted Secret or a directory of directories, and when they were written.
fn files(path: &Path) -> Vec<KeyFile> {
    let mut all = Vec::new();
    let mut open = vec![(path.to_owned(), 0)];
    while let Some((path, depth)) = open.pop() {
        // `metadata` follows symbolic links, which a mounted Secret consists of.
        let Ok(metadata) = std::fs::metadata(&path) else {
            continue;
        };
        let name = path.file_name().and_then(|name| name.to_str());
        if metadata.is_file() && all.len() < FILES {
            let written = metadata.modified().ok();
            let since = written.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
            all.push(KeyFile {
                name: name.unwrap_or_default().to_owned(),
                written: since
                    .and_then(|since| i64::try_from(since.as_secs()).ok())
                    .and_then(|seconds| Timestamp::from_second(seconds).ok()),
            });
        } else if metadata.is_dir() && depth < 2 {
            let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
            // A mounted Secret keeps its versions in hidden directories.
            let visible =
                entries.filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'));
            open.extend(visible.take(FILES).map(|entry| (entry.path(), depth + 1)));
        }
    }
    all.sort_by(|file, other| file.name.cmp(&other.name));
    all
}

/// Asks each repository that the policy, the ledger or the command line names.
async fn repositories(args: &Check, policy: Option<&Policy>) -> Vec<RepositoryFacts> {
    let mut urls: BTreeSet<RepositoryUrl> = args.repo.iter().cloned().collect();
    let mut branches: BTreeSet<BranchName> = BTreeSet::new();
    if let Some(policy) = policy {
        urls.extend(policy.repositories.iter().cloned());
        branches.extend(policy.branches.iter().cloned());
    }
    let ledger = args
        .data_dir
        .as_deref()
        .map(|path| Ledger::new(path).load());
    if let Some(Ok(Some(accepted))) = ledger {
        let all = accepted.assignment.applications.values();
        urls.extend(all.map(|application| application.url.clone()));
    }
    let branches: Vec<BranchName> = branches.into_iter().collect();
    let credentials = args.git_credentials.clone();
    let work = urls.into_iter().take(REPOSITORIES).map(|url| {
        let (branches, credentials) = (branches.clone(), credentials.clone());
        let name = url.to_string();
        async move {
            let work =
                tokio::task::spawn_blocking(move || ask(&url, &branches, credentials.as_deref()));
            work.await.unwrap_or_else(|error| RepositoryFacts {
                url: name,
                with: String::new(),
                answer: Err(error.to_string()),
            })
        }
    });
    futures::stream::iter(work).buffered(4).collect().await
}

fn ask(
    url: &RepositoryUrl,
    branches: &[BranchName],
    credentials: Option<&Path>,
) -> RepositoryFacts {
    let mut with = String::new();
    let answer = missing(url, branches, credentials, &mut with);
    RepositoryFacts {
        url: url.to_string(),
        with,
        answer,
    }
}

/// Returns the branches that the repository does not have. `with` receives the kind of credentials, also on failure.
fn missing(
    url: &RepositoryUrl,
    branches: &[BranchName],
    credentials: Option<&Path>,
    with: &mut String,
) -> Fact<Vec<String>> {
    let plain = |error: flotilla_git::Error| error.to_string();
    let access = Access::read(credentials, url).map_err(plain)?;
    let mut means = Vec::new();
    means.extend(access.credentials.as_ref().map(|_| "a token or password"));
    means.extend(access.ssh.as_ref().map(|_| "an SSH key"));
    means.extend(access.roots.as_ref().map(|_| "its own CA certificates"));
    *with = means.join(" and ");
    let cache = tempfile::tempdir().map_err(|error| error.to_string())?;
    let remote =
        Remote::open(cache.path(), url.clone(), Limits::default(), access).map_err(plain)?;
    // A server that answers for a branch that does not exist can be reached.
    let probe: Vec<BranchName> = match branches {
        [] => "main".parse().into_iter().collect(),
        some => some.to_vec(),
    };
    let tips = remote.tips(&probe).map_err(plain)?;
    let missing = branches.iter().filter(|branch| !tips.contains_key(branch));
    Ok(missing.map(ToString::to_string).collect())
}
