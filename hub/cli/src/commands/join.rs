//! `cluster join-manifest`: the manifests that join a cluster.
//!
//! The manifests are the files of `deploy/agent`, so that people can read there what is printed.

use flotilla_proto::v1;
use flotilla_shared::loopback::is_loopback;
use flotilla_status::Hub;
use serde_json::json;

use super::{labels, token};
use crate::args::{JoinManifest, JoinOutput, Workload};
use crate::client::Client;
use crate::error::Error;
use crate::printer::Printer;

const NAMESPACE: &str = include_str!("../../../../deploy/agent/namespace.yaml");
const RBAC: &str = include_str!("../../../../deploy/agent/rbac.yaml");
const CONFIGURATION: &str = include_str!("../../../../deploy/agent/configuration.yaml");
const IMPERSONATION: &str = "---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: flotilla-agent-as-${ACCOUNT}
  namespace: \"${NAMESPACE}\"
rules:
  - apiGroups: [\"\"]
    resources: [\"serviceaccounts\"]
    resourceNames: [\"${ACCOUNT}\"]
    verbs: [\"impersonate\"]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: flotilla-agent-as-${ACCOUNT}
  namespace: \"${NAMESPACE}\"
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: flotilla-agent-as-${ACCOUNT}
subjects:
  - kind: ServiceAccount
    name: flotilla-agent
    namespace: flotilla-system
";
const DAEMON_SET: &str = include_str!("../../../../deploy/agent/daemonset.yaml");
const STATEFUL_SET: &str =
    include_str!("../../../../deploy/agent/components/stateful-set/statefulset.yaml");

/// Values of the placeholders in the files.
struct Values {
    cluster: String,
    hub: String,
    trust_bundle: String,
    token: String,
    image: String,
    impersonate: Vec<(String, String)>,
}

pub(super) async fn run(
    client: &Client,
    join: JoinManifest,
    printer: &Printer,
) -> Result<(), Error> {
    let (token, trust_bundle, address) = match &join.token_file {
        Some(path) => {
            let token = std::fs::read_to_string(path).map_err(|cause| Error::File {
                path: path.clone(),
                cause,
            })?;
            let request = client.request(v1::GetHubRequest {});
            let hub = Hub::from(&client.api().get_hub(request).await?.into_inner());
            (token.trim().to_owned(), hub.trust_bundle, hub.address)
        }
        None => {
            let environment = join.place.environment.as_ref();
            let created = token::create(
                client,
                v1::CreateTokenRequest {
                    cluster: join.name.to_string(),
                    environment: environment.map(ToString::to_string).unwrap_or_default(),
                    labels: labels(join.place.labels.clone()),
                    lifetime_seconds: u32::try_from(join.lifetime.as_secs()).unwrap_or(u32::MAX),
                    auto_accept: join.auto_accept,
                },
            )
            .await?;
            let ends = created
                .status
                .expires_at
                .map_or("unknown".to_owned(), |end| end.to_string());
            printer.say(&format!(
                "created token {}, valid until {ends}",
                created.status.id
            ));
            (created.token, created.trust_bundle, created.hub_address)
        }
    };
    if join.output == JoinOutput::HelmValues && !join.impersonate.is_empty() {
        return Err(Error::refused(
            "the chart has no value for --impersonate",
            "print manifests, and apply the Roles and RoleBindings at their end beside the chart",
        ));
    }
    let values = Values {
        cluster: join.name.to_string(),
        hub: join.hub.unwrap_or(address),
        trust_bundle,
        token,
        image: join.image,
        impersonate: join.impersonate,
    };
    if is_loopback(&values.hub) || values.hub.starts_with("0.0.0.0:") {
        printer.warn(&format!(
            "clusters cannot reach {}; name the hub's address with --hub",
            values.hub
        ));
    }
    let next = match join.output {
        JoinOutput::Manifests => {
            printer.out(&manifests(&values, join.workload))?;
            "apply it in the cluster with kubectl apply -f -"
        }
        JoinOutput::HelmValues => {
            printer.out(&helm_values(&values, join.workload)?)?;
            "it contains a token: keep it secret; install with helm install flotilla-agent \
             deploy/charts/flotilla-agent --namespace flotilla-system --create-namespace \
             --values FILE"
        }
    };
    printer.say(&format!(
        "{next}; then: flotilla cluster list --pending; flotilla cluster accept {}",
        join.name
    ));
    Ok(())
}

/// Quotes a text as a YAML double-quoted scalar, which is a superset of JSON's strings.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn manifests(values: &Values, workload: Workload) -> String {
    let workload = match workload {
        Workload::DaemonSet => DAEMON_SET,
        Workload::StatefulSet => STATEFUL_SET,
    };
    [NAMESPACE, RBAC, CONFIGURATION, workload]
        .join("---\n")
        .replace("\"${CLUSTER}\"", &quoted(&values.cluster))
        .replace("\"${HUB}\"", &quoted(&values.hub))
        .replace("\"${TRUST_BUNDLE}\"", &quoted(&values.trust_bundle))
        .replace("\"${TOKEN}\"", &quoted(&values.token))
        .replace("\"${IMAGE}\"", &quoted(&values.image))
        + &impersonation(&values.impersonate)
}

/// Values of the chart for this cluster.
fn helm_values(values: &Values, workload: Workload) -> Result<String, Error> {
    let image = match values.image.split_once('@') {
        Some((name, digest)) => json!({"repository": without_tag(name).0, "digest": digest}),
        None => match without_tag(&values.image) {
            (repository, "") => {
                return Err(Error::refused(
                    format!("the image {repository} has neither tag nor digest"),
                    "name one: --image REPOSITORY:TAG",
                ));
            }
            (repository, tag) => json!({"repository": repository, "tag": tag}),
        },
    };
    let all = json!({
        "hub": values.hub,
        "cluster": values.cluster,
        "trustBundle": values.trust_bundle,
        "token": values.token,
        "image": image,
        "workload": match workload {
            Workload::DaemonSet => "DaemonSet",
            Workload::StatefulSet => "StatefulSet",
        },
    });
    Ok(flotilla_yaml::to_string(&all))
}

/// Splits an image's name from its tag; a port is not a tag.
fn without_tag(image: &str) -> (&str, &str) {
    image
        .rsplit_once(':')
        .filter(|(_, tag)| !tag.contains('/'))
        .unwrap_or((image, ""))
}

/// The right to impersonate exactly these service accounts, which `serviceAccounts` of the agent's policy lists.
fn impersonation(accounts: &[(String, String)]) -> String {
    let mut text = String::new();
    for (namespace, name) in accounts {
        text += &IMPERSONATION
            .replace("${NAMESPACE}", namespace)
            .replace("${ACCOUNT}", name);
    }
    text
}

#[cfg(test)]
mod tests {
    use flotilla_yaml::{Limits, parse_documents};
    use serde_json::Value;

    use super::*;

    fn values(image: &str) -> Values {
        Values {
            cluster: "prod-eu-1".to_owned(),
            hub: "hub.example.org:8443".to_owned(),
            trust_bundle: "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n".to_owned(),
            token: "ab\"c: ${HUB}".to_owned(),
            image: image.to_owned(),
            impersonate: Vec::new(),
        }
    }

    fn documents(workload: Workload) -> Vec<Value> {
        let text = manifests(&values("example.org/agent:1"), workload);
        parse_documents(&text, &Limits::default())
            .unwrap()
            .into_iter()
            .map(|document| document.value)
            .filter(|value| !value.is_null())
            .collect()
    }

    fn find<'d>(documents: &'d [Value], kind: &str) -> &'d Value {
        documents
            .iter()
            .find(|document| document["kind"] == kind)
            .unwrap()
    }

    #[test]
    fn every_value_arrives_as_it_is() {
        for (workload, kind) in [
            (Workload::DaemonSet, "DaemonSet"),
            (Workload::StatefulSet, "StatefulSet"),
        ] {
            let documents = documents(workload);
            let secret = find(&documents, "Secret");
            assert_eq!(secret["stringData"]["token"], "ab\"c: ${HUB}");
            let config = find(&documents, "ConfigMap");
            let bundle = config["data"]["trust-bundle.pem"].as_str().unwrap();
            assert!(bundle.contains("\nAA\n"), "{bundle}");
            let pod = &find(&documents, kind)["spec"]["template"]["spec"];
            let container = &pod["containers"][0];
            assert_eq!(container["image"], "example.org/agent:1");
            let arguments = container["args"].as_array().unwrap();
            assert!(
                arguments
                    .iter()
                    .any(|argument| argument == "hub.example.org:8443")
            );
            assert!(arguments.iter().any(|argument| argument == "prod-eu-1"));
            for document in &documents {
                let rest = document.to_string().replace("ab\\\"c: ${HUB}", "");
                assert!(!rest.contains("${"), "{rest}");
            }
        }
    }

    #[test]
    fn the_charts_values_are_those_of_the_cluster() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (image, expected) in [
            (
                "example.org:5000/agent:1".to_owned(),
                json!({"repository": "example.org:5000/agent", "tag": "1"}),
            ),
            (
                format!("example.org/agent:1@{digest}"),
                json!({"repository": "example.org/agent", "digest": digest}),
            ),
        ] {
            let text = helm_values(&values(&image), Workload::StatefulSet).unwrap();
            let read = parse_documents(&text, &Limits::default()).unwrap();
            let read = &read[0].value;
            assert_eq!(read["image"], expected, "{text}");
            assert_eq!(read["token"], "ab\"c: ${HUB}");
            assert_eq!(read["cluster"], "prod-eu-1");
            assert_eq!(read["workload"], "StatefulSet");
            assert!(read["trustBundle"].as_str().unwrap().contains("\nAA\n"));
        }
        assert!(helm_values(&values("example.org:5000/agent"), Workload::DaemonSet).is_err());
    }

    /// Requirements of Kubernetes' pod security standard "restricted".
    #[test]
    fn the_pod_is_restricted() {
        for (workload, kind) in [
            (Workload::DaemonSet, "DaemonSet"),
            (Workload::StatefulSet, "StatefulSet"),
        ] {
            let documents = documents(workload);
            let pod = &find(&documents, kind)["spec"]["template"]["spec"];
            assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
            assert_eq!(
                pod["securityContext"]["seccompProfile"]["type"],
                "RuntimeDefault"
            );
            let context = &pod["containers"][0]["securityContext"];
            assert_eq!(context["allowPrivilegeEscalation"], false);
            assert_eq!(context["readOnlyRootFilesystem"], true);
            assert_eq!(context["capabilities"]["drop"][0], "ALL");
            assert!(!pod.to_string().contains("hostPath"));
        }
    }

    #[test]
    fn impersonation_is_for_the_named_accounts_only() {
        let text = impersonation(&[("web".to_owned(), "deployer".to_owned())]);
        let documents = parse_documents(&text, &Limits::default()).unwrap();
        let role = &documents
            .iter()
            .find(|document| document.value["kind"] == "Role")
            .unwrap()
            .value;
        assert_eq!(role["metadata"]["namespace"], "web");
        assert_eq!(role["rules"][0]["resourceNames"][0], "deployer");
        assert_eq!(role["rules"][0]["verbs"][0], "impersonate");
    }

    /// The agent must not be able to extend its own rights.
    #[test]
    fn rights_hold_no_wildcard_and_no_escalation() {
        let documents = documents(Workload::DaemonSet);
        for document in &documents {
            for rule in document["rules"].as_array().into_iter().flatten() {
                let text = rule.to_string();
                assert!(!text.contains("\"*\""), "{text}");
                for verb in ["escalate", "bind", "impersonate", "deletecollection"] {
                    assert!(!text.contains(&format!("\"{verb}\"")), "{text}");
                }
            }
        }
    }
}
