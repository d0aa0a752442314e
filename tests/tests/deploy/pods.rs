//! Pods start existing programs, with sufficient mounts.

use std::collections::{BTreeMap, BTreeSet};

use clap::Parser as _;
use serde_json::{Value, json};

use crate::rendered::{OVERLAYS, Objects, charts, ours, with_pages};

/// Arguments that name files or directories which the program writes.
const WRITTEN: [&str; 1] = ["--data-dir"];

fn all() -> BTreeMap<String, Objects> {
    let mut all: BTreeMap<String, Objects> = OVERLAYS
        .iter()
        .map(|(name, ..)| ((*name).to_owned(), ours(name)))
        .collect();
    for (chart, more) in [
        ("flotilla-hub", json!({})),
        ("flotilla-hub", with_pages("hub-web")),
        ("flotilla-hub", with_pages("hub-web-behind-proxy")),
        ("flotilla-agent", json!({})),
        ("flotilla-agent", json!({"workload": "StatefulSet"})),
    ] {
        let objects = charts(chart, &more).unwrap();
        all.insert(format!("chart {chart} {more}"), objects);
    }
    all
}

pub(crate) fn list<'v>(value: &'v Value, pointer: &str) -> Vec<&'v Value> {
    let found = value.pointer(pointer).and_then(Value::as_array);
    found.into_iter().flatten().collect()
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_default()
}

/// Every container with its workload.
pub(crate) fn containers(objects: &Objects) -> Vec<(&Value, &Value)> {
    let mut found = Vec::new();
    for object in objects.values() {
        for kind in ["initContainers", "containers"] {
            let pointer = format!("/spec/template/spec/{kind}");
            found.extend(
                list(object, &pointer)
                    .into_iter()
                    .map(|container| (object, container)),
            );
        }
    }
    found
}

/// A container's arguments, with variables expanded as the kubelet does.
pub(crate) fn arguments(container: &Value) -> Vec<String> {
    let known: BTreeSet<&str> = list(container, "/env")
        .into_iter()
        .map(|variable| text(variable, "/name"))
        .collect();
    list(container, "/args")
        .into_iter()
        .map(|argument| {
            let mut argument = argument.as_str().unwrap().to_owned();
            for (name, value) in [("POD_NAME", "flotilla-hub-0"), ("POD_IP", "10.0.0.7")] {
                if known.contains(name) {
                    argument = argument.replace(&format!("$({name})"), value);
                }
            }
            assert!(!argument.contains("$("), "{argument}: nobody fills this in");
            argument
                .replace("${CLUSTER}", "prod-1")
                // Charts take host and port separately, manifests take one text.
                .replace("${HUB}:8443", "hub:8443")
                .replace("${HUB}", "hub:8443")
        })
        .collect()
}

#[test]
fn every_argument_is_one_that_the_program_takes() {
    let mut seen = 0;
    for (name, objects) in all() {
        for (_, container) in containers(&objects) {
            let arguments = arguments(container);
            let image = text(container, "/image");
            let wrong = if image.contains("hub") {
                let all = std::iter::once("flotilla-hub".to_owned()).chain(arguments.clone());
                flotilla_hub::args::Args::try_parse_from(all).err()
            } else {
                let all = std::iter::once("flotilla-agent".to_owned()).chain(arguments.clone());
                flotilla_agent::args::Args::try_parse_from(all).err()
            };
            assert!(wrong.is_none(), "{name}: {arguments:?}: {}", wrong.unwrap());
            seen += 1;
        }
    }
    assert_eq!(seen, 19);
}

/// Whether the volume of that name is writable; none: there is no such volume.
fn is_writable(workload: &Value, name: &str) -> Option<bool> {
    let claims = list(workload, "/spec/volumeClaimTemplates");
    if claims
        .iter()
        .any(|claim| text(claim, "/metadata/name") == name)
    {
        return Some(true);
    }
    let volumes = list(workload, "/spec/template/spec/volumes");
    let volume = volumes
        .into_iter()
        .find(|volume| text(volume, "/name") == name)?;
    Some(volume.get("emptyDir").is_some())
}

#[test]
fn every_file_that_an_argument_names_is_mounted_and_every_volume_is_used() {
    for (name, objects) in all() {
        let mut used = BTreeSet::new();
        for (workload, container) in containers(&objects) {
            let mounts: Vec<(&str, bool)> = list(container, "/volumeMounts")
                .into_iter()
                .map(|mount| {
                    let volume = text(mount, "/name");
                    used.insert(volume.to_owned());
                    let writable = is_writable(workload, volume)
                        .unwrap_or_else(|| panic!("{name}: there is no volume {volume}"));
                    let read_only = mount["readOnly"] == true;
                    assert_eq!(writable, !read_only, "{name}: {mount}");
                    (text(mount, "/mountPath"), writable)
                })
                .collect();
            let arguments = arguments(container);
            for (index, path) in arguments.iter().enumerate() {
                if !path.starts_with('/') {
                    continue;
                }
                let mount = mounts
                    .iter()
                    .find(|(at, _)| path == at || path.starts_with(&format!("{at}/")));
                let (_, writable) =
                    mount.unwrap_or_else(|| panic!("{name}: {path} is not mounted"));
                let written = WRITTEN.contains(&arguments[index - 1].as_str());
                assert!(*writable || !written, "{name}: {path} cannot be written");
            }
            // The root file system is read-only, and Git and SQLite need a place for temporary files.
            if arguments[0] == "run" {
                assert!(mounts.contains(&("/tmp", true)), "{name}: no /tmp");
            }
        }
        for object in objects.values() {
            for volume in list(object, "/spec/template/spec/volumes") {
                let volume = text(volume, "/name");
                assert!(
                    used.contains(volume),
                    "{name}: nothing uses volume {volume}"
                );
            }
        }
    }
}

#[test]
fn ports_probes_services_and_network_policies_fit_each_other() {
    for (name, objects) in all() {
        let mut ports = BTreeMap::new();
        for (_, container) in containers(&objects) {
            let own: BTreeMap<String, u64> = list(container, "/ports")
                .into_iter()
                .map(|port| {
                    let number = port["containerPort"].as_u64().unwrap();
                    (text(port, "/name").to_owned(), number)
                })
                .collect();
            for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
                let port = text(container, &format!("/{probe}/httpGet/port"));
                assert!(port.is_empty() || own.contains_key(port), "{name}: {probe}");
            }
            let arguments = arguments(container);
            for (option, value) in arguments.iter().zip(arguments.iter().skip(1)) {
                if option.ends_with("listen") {
                    let number = value.rsplit(':').next().unwrap().parse::<u64>().unwrap();
                    assert!(own.values().any(|port| *port == number), "{name}: {value}");
                }
            }
            ports.extend(own);
        }
        for object in objects.values() {
            match text(object, "/kind") {
                "Service" => {
                    for port in list(object, "/spec/ports") {
                        let target = text(port, "/targetPort");
                        assert!(ports.contains_key(target), "{name}: {target}");
                    }
                }
                "PodMonitor" => {
                    for endpoint in list(object, "/spec/podMetricsEndpoints") {
                        let port = text(endpoint, "/port");
                        assert!(ports.contains_key(port), "{name}: {port}");
                    }
                }
                "NetworkPolicy" => {
                    let open: BTreeSet<u64> = list(object, "/spec/ingress")
                        .into_iter()
                        .flat_map(|rule| list(rule, "/ports"))
                        .map(|port| port["port"].as_u64().unwrap())
                        .collect();
                    let expected: BTreeSet<u64> = ports.values().copied().collect();
                    assert_eq!(open, expected, "{name}");
                }
                _ => {}
            }
        }
    }
}

#[test]
fn every_pod_is_restricted_in_every_form() {
    for (name, objects) in all() {
        for (workload, container) in containers(&objects) {
            let context = &container["securityContext"];
            assert_eq!(context["allowPrivilegeEscalation"], false, "{name}");
            assert_eq!(context["readOnlyRootFilesystem"], true, "{name}");
            assert_eq!(context["capabilities"]["drop"][0], "ALL", "{name}");
            let pod = &workload["spec"]["template"]["spec"]["securityContext"];
            assert_eq!(pod["runAsNonRoot"], true, "{name}");
            assert_eq!(
                pod["fsGroup"], 65532,
                "{name}: keys are the group's to read"
            );
            assert_eq!(pod["seccompProfile"]["type"], "RuntimeDefault", "{name}");
        }
    }
}
