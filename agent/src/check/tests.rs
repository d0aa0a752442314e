//! Each fault has its finding, and a healthy part has none.

use flotilla_shared::findings::Outcome;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn policy(text: &str) -> Policy {
    flotilla_yaml::config::from_str("policy", text).unwrap()
}

/// A policy that leaves nothing open.
const CLOSED: &str = "
repositories: ['https://git.example.org/fleet.git']
branches: [prod]
paths: [apps]
namespaces: [web]
kinds: [ConfigMap]
keys:
- name: ada
  ssh: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ4bzQXA0vX6KwFjm8tsNIjhFi1+FyJNU3zIVFBVbUqN a'
  validUntil: 2031-01-01T00:00:00Z
signatures: [{branches: [prod], mode: range, keys: [ada]}]
rollback: {mode: refuse}
serviceAccounts: {'*': web/deployer}
";

fn good() -> CheckFacts {
    let closed = policy(CLOSED);
    let kinds = [Kind {
        group: "apps".to_owned(),
        resource: "deployments".to_owned(),
    }];
    let rights = to_run("flotilla-system", &kinds, &closed.service_accounts);
    let file = |name: &str| KeyFile {
        name: name.to_owned(),
        written: Some(at("2029-12-01T00:00:00Z")),
    };
    CheckFacts {
        now: at("2030-01-01T00:00:00Z"),
        pre: false,
        namespace: "flotilla-system".to_owned(),
        kubernetes: Ok("v1.33.1".to_owned()),
        has_namespace: Some(Ok(true)),
        rights: rights
            .into_iter()
            .map(|right| RightCheck {
                right,
                allowed: Ok(true),
            })
            .collect(),
        unserved: Vec::new(),
        lease: Some(Ok(Some(LeaseFacts {
            holder: "agent-x".to_owned(),
            renewed: Some(at("2029-12-31T23:59:57Z")),
        }))),
        certificate: Some(Ok(Some(CertificateFacts {
            begin: at("2029-12-31T18:00:00Z"),
            end: at("2030-01-01T18:00:00Z"),
        }))),
        disk: Some(Ok(DiskFacts {
            path: "/var/lib/flotilla".to_owned(),
            free: 2 << 30,
            writable: Ok(()),
        })),
        policy: Ok(closed),
        repositories: vec![RepositoryFacts {
            url: "https://git.example.org/fleet.git".to_owned(),
            with: "a token or password".to_owned(),
            answer: Ok(Vec::new()),
        }],
        credentials: vec![file("git.example.org.token")],
        age_keys: Some(Ok(1)),
        age_files: vec![file("prod.agekey")],
    }
}

fn faults(findings: &Findings) -> Vec<String> {
    let mut all = Vec::new();
    for group in &findings.groups {
        for finding in &group.findings {
            if finding.outcome != Outcome::Well {
                all.push(format!(
                    "{:?} {}: {}",
                    finding.outcome, group.name, finding.text
                ));
            }
        }
    }
    all
}

#[test]
fn where_all_is_well_nothing_is_found() {
    let findings = judge(&good());
    assert_eq!(faults(&findings), Vec::<String>::new());
    let names: Vec<&str> = findings.groups.iter().map(|group| group.name).collect();
    assert_eq!(
        names,
        ["cluster", "rights", "agent", "git", "keys", "policy"]
    );
}

/// Changes the facts, and states the expected finding and exit code.
type Case = (fn(&mut CheckFacts), &'static str, u8);

fn deny(facts: &mut CheckFacts, verb: &str, resource: &str) {
    let right = facts
        .rights
        .iter_mut()
        .find(|asked| asked.right.verb == verb && asked.right.resource == resource);
    right.unwrap().allowed = Ok(false);
}

fn certificate(facts: &mut CheckFacts, end: &str) {
    facts.certificate = Some(Ok(Some(CertificateFacts {
        begin: at("2029-12-31T18:00:00Z"),
        end: at(end),
    })));
}

fn disk(facts: &mut CheckFacts) -> &mut DiskFacts {
    facts.disk.as_mut().unwrap().as_mut().unwrap()
}

const CASES: &[Case] = &[
    (
        |f| f.kubernetes = Err("refused".to_owned()),
        "Wrong cluster: the API server cannot be queried: refused",
        1,
    ),
    (
        |f| f.kubernetes = Ok("v1.26.9".to_owned()),
        "Wrong cluster: Kubernetes v1.26.9",
        1,
    ),
    (
        |f| f.has_namespace = Some(Ok(false)),
        "Wrong cluster: namespace flotilla-system does not exist",
        1,
    ),
    (
        |f| f.has_namespace = Some(Err("forbidden".to_owned())),
        "Unknown cluster: namespace flotilla-system cannot be read: forbidden",
        2,
    ),
    (
        |f| deny(f, "watch", "deployments"),
        "Wrong rights: applying deployments.apps: missing watch deployments.apps",
        1,
    ),
    (
        |f| deny(f, "patch", "secrets"),
        "Wrong rights: the agent's records: missing patch secrets flotilla-agent-identity",
        1,
    ),
    (
        |f| deny(f, "update", "leases"),
        "Wrong rights: leader election: missing update leases.coordination.k8s.io",
        1,
    ),
    (
        |f| deny(f, "impersonate", "serviceaccounts"),
        "Wrong rights: writing as web/deployer: missing impersonate serviceaccounts deployer",
        1,
    ),
    (
        |f| f.rights[0].allowed = Err("does not say".to_owned()),
        "Unknown rights: the agent's records: does not say",
        2,
    ),
    (
        |f| f.unserved.push("Widget.example.org".to_owned()),
        "Look rights: not served by this cluster: Widget.example.org",
        0,
    ),
    (
        |f| f.lease = Some(Ok(None)),
        "Look agent: no lease: no agent has run here yet",
        0,
    ),
    (
        |f| f.now = at("2030-01-01T00:10:00Z"),
        "Wrong agent: agent-x holds the lease but does not renew it",
        1,
    ),
    (
        |f| f.certificate = Some(Ok(None)),
        "Look agent: not enrolled yet",
        0,
    ),
    (
        |f| certificate(f, "2030-01-01T00:30:00Z"),
        "Look agent: the certificate expires on 2030-01-01 00:30 UTC",
        0,
    ),
    (
        |f| certificate(f, "2030-01-01T00:00:00Z"),
        "Wrong agent: the certificate expired on 2030-01-01 00:00 UTC",
        1,
    ),
    (
        |f| disk(f).free = 1 << 20,
        "Wrong agent: /var/lib/flotilla: 1 MiB free",
        1,
    ),
    (
        |f| disk(f).writable = Err("read-only".to_owned()),
        "Wrong agent: /var/lib/flotilla cannot be written: read-only",
        1,
    ),
    (
        |f| f.repositories[0].answer = Err("403".to_owned()),
        "Wrong git: https://git.example.org/fleet.git, tried with a token or password: 403",
        1,
    ),
    (
        |f| f.repositories[0].answer = Ok(vec!["prod".to_owned()]),
        "Look git: https://git.example.org/fleet.git has no branch prod",
        0,
    ),
    (
        |f| f.repositories.clear(),
        "Look git: no repository is known, so none was checked",
        0,
    ),
    (
        |f| f.credentials[0].written = Some(at("2028-01-01T00:00:00Z")),
        "Look keys: Git credentials older than a year: git.example.org.token",
        0,
    ),
    (
        |f| f.age_keys = Some(Err("prod.agekey: no key".to_owned())),
        "Wrong keys: age keys cannot be used: prod.agekey: no key",
        1,
    ),
    (
        |f| f.policy = Err("policy.yaml:1: what?".to_owned()),
        "Wrong policy: policy.yaml:1: what?",
        1,
    ),
    (
        |f| f.policy = Ok(Policy::default()),
        "Look policy: Commits need no signature: whoever may push to a branch decides what runs.",
        0,
    ),
    (
        |f| f.policy.as_mut().unwrap().keys[0].valid_until = Some(f.now),
        "Wrong policy: key ada has expired: new signatures by it are rejected",
        1,
    ),
];

#[test]
fn each_fault_is_found_with_its_exit_code() {
    for (change, expected, code) in CASES {
        let mut facts = good();
        change(&mut facts);
        let findings = judge(&facts);
        let found = faults(&findings);
        assert!(
            found.iter().any(|fault| fault == expected),
            "{expected}\n{found:#?}"
        );
        assert_eq!(findings.exit_code(), *code, "{expected}");
    }
}

#[test]
fn a_vendors_version_is_read_too() {
    for (version, code) in [("v1.27.3-gke.100", 0), ("v1.30+", 0), ("v2.0", 0), ("?", 2)] {
        let facts = CheckFacts {
            kubernetes: Ok(version.to_owned()),
            ..good()
        };
        assert_eq!(judge(&facts).exit_code(), code, "{version}");
    }
}

#[test]
fn before_the_installation_it_is_the_installers_rights_that_count() {
    let mut facts = CheckFacts {
        pre: true,
        has_namespace: Some(Ok(false)),
        lease: None,
        certificate: None,
        rights: to_install("flotilla-system")
            .into_iter()
            .map(|right| RightCheck {
                right,
                allowed: Ok(true),
            })
            .collect(),
        ..good()
    };
    assert_eq!(judge(&facts).exit_code(), 0);
    deny(&mut facts, "create", "clusterroles");
    assert_eq!(
        faults(&judge(&facts)),
        ["Wrong rights: installation: missing create clusterroles.rbac.authorization.k8s.io"]
    );
}
