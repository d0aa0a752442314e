//! Wire types stay at the edge.

use super::{files_of, named};

/// Rooms that may do IO but only use domain types: the owner of a stream translates to and from wire types.
const WITHOUT_WIRE: &[&str] = &[
    "agent/src/api",
    "agent/src/api.rs",
    "agent/src/check",
    "agent/src/check.rs",
    "agent/src/cluster",
    "agent/src/cluster.rs",
    "agent/src/command",
    "agent/src/command.rs",
    "agent/src/events.rs",
    "agent/src/fence.rs",
    "agent/src/leader.rs",
    "agent/src/observe",
    "agent/src/observe.rs",
    "agent/src/reconcile",
    "agent/src/reconcile.rs",
    "agent/src/source",
    "agent/src/source.rs",
    "agent/src/work.rs",
    "hub/cli/src/commands/promote/behind.rs",
    "hub/cli/src/commands/promote/unread.rs",
    "hub/cli/src/commands/rollback.rs",
    "hub/cli/src/git",
    "hub/cli/src/git.rs",
    "hub/cli/src/printer.rs",
    "hub/cli/src/pulls.rs",
    "hub/src/authority",
    "hub/src/authority.rs",
    "hub/src/check.rs",
    "hub/src/driver",
    "hub/src/driver.rs",
    "hub/src/forge",
    "hub/src/forge.rs",
    "hub/src/metrics.rs",
    "hub/src/notify",
    "hub/src/notify.rs",
    "hub/src/poll",
    "hub/src/poll.rs",
    "hub/src/promote.rs",
    "hub/src/serve/previews.rs",
    "hub/web/src/serve/events.rs",
    "hub/web/src/serve/views.rs",
    "shared/src/preview.rs",
];

/// Names that such a room must not use.
const WIRE: &[&str] = &["flotilla_proto", "prost"];

#[test]
fn rooms_inside_name_no_wire_types() {
    let (mut wrong, mut read) = (Vec::new(), 0);
    for room in WITHOUT_WIRE {
        for (path, text) in files_of(room) {
            read += 1;
            wrong.extend(named(WIRE, &path, &text));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        read > 30,
        "only {read} files were read: does the walk still work?"
    );
}

#[test]
fn a_planted_wire_type_is_found() {
    for room in WITHOUT_WIRE {
        for (path, text) in files_of(room) {
            if path.contains("tests") {
                continue;
            }
            for word in WIRE {
                let planted = format!("use {word}::v1;\n{text}");
                let found = named(WIRE, &path, &planted);
                assert_eq!(found, [format!("{path}:1: {word}")]);
            }
        }
    }
    // This rule does not forbid IO.
    assert!(named(WIRE, "agent/src/cluster/a.rs", "use kube::x;\n").is_empty());
}
