use super::*;
use crate::assignment::Renderer;
use crate::chart::{ChartOptions, Crds, Generated, MAX_VALUES_BYTES, ValuesFile};

fn assignment() -> Assignment {
    let application = ApplicationAssignment {
        revision: Revision {
            repository: "fleet".parse().unwrap(),
            branch: "prod".parse().unwrap(),
            commit: "3f2a9c1d".repeat(5).parse().unwrap(),
        },
        url: "https://git.example.com/fleet.git".parse().unwrap(),
        path: "apps/guestbook".parse().unwrap(),
        renderer: Renderer::Kustomize,
        sync_policy: SyncPolicy {
            prune: Prune::Disabled,
            drift: Drift::Report,
            force_conflicts: true,
            health_timeout_seconds: 60,
            ignore: vec![IgnoreRule {
                kind: "Deployment".to_owned(),
                json_pointers: vec!["/spec/replicas".to_owned()],
                ..IgnoreRule::default()
            }],
        },
        depends_on: vec!["base".parse().unwrap()],
        substitute: true,
        rollout: "prod-7".to_owned(),
        namespace: "guestbook".to_owned(),
        helm: Some(Box::new(ChartOptions {
            release_name: "guest".to_owned(),
            values_files: vec![ValuesFile {
                path: "apps/guestbook/prod.yaml".parse().unwrap(),
                optional: true,
            }],
            values: r#"{"a":1}"#.into(),
            crds: Crds::Create,
            strict: true,
            generated: Generated::Derived,
            skip_schema: true,
        })),
    };
    Assignment {
        epoch: Epoch(2),
        generation: Generation(9),
        cluster: "prod-eu-1".parse().unwrap(),
        environment: "prod".parse().unwrap(),
        issued_at: Timestamp::new(1_790_000_000, 0).unwrap(),
        applications: [("guestbook".parse().unwrap(), application.into())].into(),
        tombstones: [(
            "old".parse().unwrap(),
            Tombstone {
                delete_objects: true,
            },
        )]
        .into(),
        removed_by: "prod-6".to_owned(),
        unresolved: ["shop".parse().unwrap()].into(),
        required_features: vec!["kustomize".to_owned()],
        labels: [("region".to_owned(), "eu".to_owned())].into(),
        suspended: false,
        approvals: vec![SignedApproval {
            content: bytes::Bytes::from_static(b"approved"),
            signature: bytes::Bytes::from_static(b"signed"),
        }],
    }
}

use jiff::Timestamp;

#[test]
fn assignments_go_round_and_keep_their_bytes() {
    let wire = encode_assignment(&assignment());
    let decoded = decode_assignment(&wire).unwrap();
    assert_eq!(decoded.assignment, assignment());
    assert_eq!(decoded.content, wire.content);
    assert_eq!(decoded.reference.place(), (Epoch(2), Generation(9)));
    assert_eq!(encode_assignment(&decoded.assignment), wire);
}

#[test]
fn what_is_made_here_is_what_its_bytes_decode_to() {
    let made = DecodedAssignment::of(assignment()).unwrap();
    assert_eq!(
        decode_assignment(&encode_assignment(&assignment())),
        Ok(made)
    );
    type Change = fn(&mut Assignment, &mut ApplicationAssignment);
    let over: [Change; 12] = [
        |all, _| all.required_features = vec![String::new(); MAX_SMALL_LIST + 1],
        |all, _| all.removed_by = "r".repeat(MAX_TOKEN_BYTES + 1),
        |all, _| {
            let names = 0..=MAX_APPLICATIONS;
            all.unresolved = names.map(|n| format!("a{n}").parse().unwrap()).collect();
        },
        |all, _| all.labels = [("k".to_owned(), "v".repeat(64))].into(),
        |all, _| all.labels = [("k".repeat(318), String::new())].into(),
        |all, _| all.approvals[0].signature = vec![0; (32 << 10) + 1].into(),
        |_, application| application.depends_on = vec!["a".parse().unwrap(); MAX_SMALL_LIST + 1],
        |_, application| application.rollout = "r".repeat(MAX_TOKEN_BYTES + 1),
        |_, application| application.namespace = "n".repeat(64),
        |_, application| application.helm.as_mut().unwrap().release_name = "n".repeat(54),
        |_, application| {
            application.helm.as_mut().unwrap().values = "v".repeat(MAX_VALUES_BYTES + 1).into();
        },
        |_, application| application.sync_policy.ignore[0].kind = "k".repeat(MAX_TOKEN_BYTES + 1),
    ];
    for change in over {
        let mut all = assignment();
        let name = "guestbook".parse().unwrap();
        let mut application = all.applications[&name].clone();
        change(&mut all, &mut application);
        all.applications.insert(name, application);
        let decoded = decode_assignment(&encode_assignment(&all)).unwrap_err();
        assert_eq!(DecodedAssignment::of(all), Err(decoded));
    }
    let mut both = assignment();
    both.tombstones.insert(
        "guestbook".parse().unwrap(),
        Tombstone {
            delete_objects: true,
        },
    );
    assert!(DecodedAssignment::of(both).is_err());
}

/// Older agents and hubs neither write nor read the newer fields, and all other bytes are the same.
#[test]
fn h12_what_lacks_nothing_is_encoded_as_it_always_was() {
    let mut whole = assignment();
    whole.unresolved.clear();
    whole.removed_by.clear();
    let content = encode_assignment(&whole).content;
    let mut more = whole.clone();
    more.unresolved.insert("shop".parse().unwrap());
    more.removed_by = "prod-6".to_owned();
    let longer = encode_assignment(&more).content;
    assert_eq!(longer[..content.len()], content[..]);
    // Fields 12 and 13, each with its length.
    let added = [&[0x62, 4][..], b"shop", &[0x6a, 6], b"prod-6"].concat();
    assert_eq!(longer[content.len()..], added[..]);
}

#[test]
fn a_changed_byte_is_noticed() {
    let mut wire = encode_assignment(&assignment());
    let mut content = wire.content.to_vec();
    content[5] ^= 1;
    wire.content = content.into();
    assert_eq!(decode_assignment(&wire), Err(WireError::Digest));
}

fn refused(change: impl FnOnce(&mut v1::AssignmentContent)) -> WireError {
    let mut content = content_to_wire(&assignment());
    change(&mut content);
    let content = bytes::Bytes::from(content.encode_to_vec());
    let digest = Digest::of(&content).as_bytes().to_vec();
    decode_assignment(&v1::Assignment { content, digest }).unwrap_err()
}

#[test]
fn c12_floods_and_nonsense_are_refused_whole() {
    let application = content_to_wire(&assignment()).applications[0].clone();
    refused(|c| c.applications = vec![application.clone(); MAX_APPLICATIONS + 1]);
    refused(|c| c.applications.push(application.clone()));
    refused(|c| c.cluster = "../x".to_owned());
    refused(|c| c.applications[0].url = "ext::sh".to_owned());
    refused(|c| c.applications[0].path = "../..".to_owned());
    refused(|c| c.applications[0].commit = "main".to_owned());
    refused(|c| c.applications[0].branch = "refs/pull/1/head".to_owned());
    refused(|c| c.applications[0].renderer = 77);
    let helm = |c: &mut v1::AssignmentContent, path: &str| {
        let helm = c.applications[0].helm.as_mut().unwrap();
        helm.values_files[0].path = path.to_owned();
    };
    refused(|c| helm(c, "../x.yaml"));
    refused(|c| {
        let helm = c.applications[0].helm.as_mut().unwrap();
        helm.values_files = vec![helm.values_files[0].clone(); 33];
    });
    refused(|c| c.tombstones[0].application = "guestbook".to_owned());
    refused(|c| c.unresolved[0] = "../x".to_owned());
    refused(|c| c.issued_at = None);
}

#[test]
fn h12_unknown_words_for_a_chart_write_less() {
    let mut content = content_to_wire(&assignment());
    if let Some(helm) = content.applications[0].helm.as_mut() {
        helm.crds = 42;
        helm.generated = 42;
    }
    let decoded = content_from_wire(content).unwrap();
    let helm = decoded.applications.values().next().unwrap().helm.clone();
    let helm = helm.unwrap();
    assert_eq!((helm.crds, helm.generated), (Crds::Skip, Generated::Refuse));
}

#[test]
fn h12_an_unknown_prune_mode_deletes_nothing() {
    let mut content = content_to_wire(&assignment());
    if let Some(policy) = content.applications[0].sync_policy.as_mut() {
        policy.prune = 42;
        policy.drift = 42;
    }
    let decoded = content_from_wire(content).unwrap();
    let policy = &decoded.applications.values().next().unwrap().sync_policy;
    assert_eq!(
        (policy.prune, policy.drift),
        (Prune::Disabled, Drift::Report)
    );
}

proptest::proptest! {
    #[test]
    fn h13_random_bytes_never_panic(bytes: Vec<u8>) {
        let digest = Digest::of(&bytes).as_bytes().to_vec();
        let _ = decode_assignment(&v1::Assignment { content: bytes.into(), digest });
    }
}
