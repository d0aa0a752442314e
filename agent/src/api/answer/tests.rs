//! Compared with the answers of a real kube-apiserver.

use kube::core::response::StatusDetails;
use serde_json::Value;

use super::*;

fn details() -> StatusDetails {
    serde_json::from_str("{}").unwrap()
}

fn recorded() -> Vec<(String, Status)> {
    include_str!("recorded.jsonl")
        .lines()
        .map(|line| {
            let value: Value = serde_json::from_str(line).unwrap();
            let text = |value: &Value, key: &str| {
                value
                    .get(key)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned()
            };
            let causes = value.get("causes").and_then(Value::as_array);
            let causes: Vec<StatusCause> = causes
                .into_iter()
                .flatten()
                .map(|cause| StatusCause {
                    reason: text(cause, "reason"),
                    message: text(cause, "message"),
                    field: text(cause, "field"),
                })
                .collect();
            let code = value.get("code").and_then(Value::as_u64).unwrap();
            let status = Status::failure(&text(&value, "message"), &text(&value, "reason"))
                .with_code(u16::try_from(code).unwrap())
                .with_details(StatusDetails {
                    causes,
                    ..details()
                });
            (text(&value, "wanted"), status)
        })
        .collect()
}

fn find(words: &str) -> Meaning {
    let all = recorded();
    let found = all
        .iter()
        .find(|(_, status)| status.message.contains(words));
    read(
        &found
            .unwrap_or_else(|| panic!("{words} was not recorded"))
            .1,
    )
}

#[test]
fn what_a_real_server_answered_is_called_by_its_name() {
    let all = recorded();
    assert!(all.len() > 60, "{}", all.len());
    for (wanted, status) in all {
        let meaning = read(&status);
        assert_eq!(
            meaning.reason.as_str(),
            wanted,
            "{} {}",
            status.code,
            status.message
        );
        assert!(!meaning.message.is_empty(), "{status:?}");
        assert!(
            !meaning.message.contains("valueUnstructured")
                && !meaning.message.contains("\"Spec\":"),
            "{}",
            meaning.message
        );
    }
}

#[test]
fn typed_patches_name_the_field() {
    assert_eq!(
        find(".data.port: expected string").message,
        "ConfigMap \"a\" is invalid: .data.port: expected string, got 8080"
    );
    assert_eq!(
        find("errors:\n").message,
        "ConfigMap \"a\" is invalid: .data.port: expected string, got 8080; \
         .metadata.annotations.x: expected string, got 5"
    );
    assert_eq!(
        find("duplicate entries").message,
        "Deployment \"a\" is invalid: .spec.template.spec.containers[name=\"a\"].env: duplicate \
         entries for key [name=\"A\"]"
    );
    assert_eq!(
        find("cannot convert float64 to int32").message,
        "Deployment \"a\" is invalid: cannot convert float64 to int32"
    );
}

#[test]
fn immutable_fields_are_named_without_their_values() {
    assert_eq!(
        find("spec.completions: Invalid value: 2: field is immutable").message,
        "Job.batch \"j\" cannot be changed: spec.completions: Invalid value: 2: field is immutable"
    );
    assert_eq!(
        find("PersistentVolumeClaim").message,
        "PersistentVolumeClaim \"p\" cannot be changed: spec: Forbidden: spec is immutable after \
         creation except resources.requests and volumeAttributesClassName for bound claims"
    );
    assert_eq!(
        find("ResourceClaim.").message,
        "ResourceClaim.resource.k8s.io \"t\" cannot be changed: spec: field is immutable"
    );
    // What is wrong besides would be wrong of a new object, too.
    let mixed = find("TerminatingOrFailed");
    assert_eq!(mixed.reason, Reason::Invalid);
    assert!(
        mixed.message.contains("spec.template: field is immutable"),
        "{}",
        mixed.message
    );
}

#[test]
fn i11_values_of_secrets_are_not_repeated() {
    let status = |code, message: &str| Status::failure(message, "").with_code(code);
    let typed = read(&status(
        500,
        "failed to create typed patch object (/s; /v1, Kind=Secret): .data.pin: expected string, got \
         &value.valueUnstructured{Value:4711}",
    ));
    assert_eq!(
        typed.message,
        "Secret \"s\" is invalid: .data.pin: expected string"
    );
    let cause = StatusCause {
        reason: "FieldValueInvalid".to_owned(),
        message: "Invalid value: \"geheim\": is too short".to_owned(),
        field: "data[x]".to_owned(),
    };
    let mut invalid = status(
        422,
        "Secret \"s\" is invalid: data[x]: Invalid value: \"geheim\"",
    );
    invalid.details = Some(StatusDetails {
        causes: vec![cause],
        ..details()
    });
    assert_eq!(
        read(&invalid).message,
        "Secret \"s\" is invalid: data[x]: is too short"
    );
}

#[test]
fn what_passes_is_tried_again_and_what_does_not_fails_at_once() {
    for (wanted, status) in recorded() {
        let meaning = read(&status);
        // Nothing that is final is worth a second try.
        assert!(
            !(meaning.retry && meaning.reason.is_final()),
            "{wanted}: {status:?}"
        );
    }
    assert!(find("service unavailable").retry);
    assert!(!find("failed calling webhook").reason.is_final());
    assert!(find("denied request").reason.is_final());
    assert_eq!(find("ports[1].name").duplicates, ["spec.ports[1].name"]);
}
