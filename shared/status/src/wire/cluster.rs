//! Clusters and what runs in them.

use flotilla_proto::v1;
use flotilla_shared::clock::far_apart;
use flotilla_shared::report::MAX_OBJECTS_SHOWN;
use flotilla_shared::wire::{health_from_wire, health_to_wire, sync_from_wire, sync_to_wire};

use super::{MAX_OF_FLEET, labels, list, moment, revision, sent, sent_labels};
use crate::{Application, Cluster, Connectivity, Mark, Object, ObjectAction, Pin, Placement, text};

/// Prefix of a renderer's name on the wire.
const RENDERER: &str = "RENDERER_";

impl From<v1::Connection> for Connectivity {
    fn from(wire: v1::Connection) -> Self {
        match wire {
            v1::Connection::Pending => Self::Pending,
            v1::Connection::Online => Self::Online,
            v1::Connection::Offline => Self::Offline,
            v1::Connection::NeverSeen => Self::NeverSeen,
            v1::Connection::Unspecified => Self::Unknown,
        }
    }
}

impl From<Connectivity> for v1::Connection {
    fn from(connection: Connectivity) -> Self {
        match connection {
            Connectivity::Pending => Self::Pending,
            Connectivity::Online => Self::Online,
            Connectivity::Offline => Self::Offline,
            Connectivity::NeverSeen => Self::NeverSeen,
            Connectivity::Unknown => Self::Unspecified,
        }
    }
}

impl From<&v1::ClusterStatus> for Cluster {
    fn from(wire: &v1::ClusterStatus) -> Self {
        let accepted = wire.accepted.as_ref();
        Self {
            name: text(&wire.name),
            environment: text(&wire.environment),
            labels: labels(&wire.labels),
            connection: wire.connection().into(),
            locked: text(&wire.locked),
            last_seen: moment(wire.last_seen.as_ref()),
            connected_since: moment(wire.connected_since.as_ref()),
            agent_version: text(&wire.agent_version),
            kubernetes_version: text(&wire.kubernetes_version),
            cluster_uid: text(&wire.cluster_uid),
            assigned_generation: wire
                .assigned
                .as_ref()
                .map(|assignment| assignment.generation),
            accepted_generation: accepted
                .map(|assignment| assignment.generation)
                .filter(|generation| *generation > 0),
            refused: wire.verdict() == v1::Verdict::Refused,
            reason: text(&wire.reason),
            message: text(&wire.message),
            sync: sync_from_wire(wire.sync()),
            health: health_from_wire(wire.health()),
            applications: list(&wire.applications, MAX_OF_FLEET),
            reported_at: moment(wire.reported_at.as_ref()),
            suspended: text(&wire.suspended),
            created_at: moment(wire.created_at.as_ref()),
            certificate_expires_at: moment(wire.certificate_expires_at.as_ref()),
            pending_fingerprint: text(&wire.pending_fingerprint),
            pin: wire.pin.as_ref().map(Pin::from),
            suspension: wire.suspension.as_ref().map(Mark::from),
            clock_ahead_seconds: far_apart(wire.clock_ahead_seconds),
            assigned_epoch: wire
                .assigned
                .as_ref()
                .map_or(0, |assignment| assignment.epoch),
            accepted_epoch: accepted.map_or(0, |assignment| assignment.epoch),
            current_since: moment(wire.current_since.as_ref()),
            current: wire.current,
        }
    }
}

impl From<Cluster> for v1::ClusterStatus {
    fn from(cluster: Cluster) -> Self {
        let place = |epoch, generation| v1::AssignmentRef {
            epoch,
            generation,
            digest: Vec::new(),
        };
        let assigned = cluster
            .assigned_generation
            .map(|generation| place(cluster.assigned_epoch, generation));
        let accepted = place(
            cluster.accepted_epoch,
            cluster.accepted_generation.unwrap_or_default(),
        );
        let verdict = match cluster.refused {
            true => v1::Verdict::Refused,
            false if assigned.as_ref() == Some(&accepted) => v1::Verdict::Accepted,
            false => v1::Verdict::Unspecified,
        };
        Self {
            name: cluster.name,
            environment: cluster.environment,
            labels: sent_labels(cluster.labels),
            connection: v1::Connection::from(cluster.connection).into(),
            last_seen: sent(cluster.last_seen),
            connected_since: sent(cluster.connected_since),
            agent_version: cluster.agent_version,
            kubernetes_version: cluster.kubernetes_version,
            cluster_uid: cluster.cluster_uid,
            assigned,
            accepted: Some(accepted),
            verdict: verdict.into(),
            reason: cluster.reason,
            message: cluster.message,
            sync: sync_to_wire(cluster.sync).into(),
            health: health_to_wire(cluster.health).into(),
            applications: cluster.applications.into_iter().map(Into::into).collect(),
            reported_at: sent(cluster.reported_at),
            suspended: cluster.suspended,
            created_at: sent(cluster.created_at),
            certificate_expires_at: sent(cluster.certificate_expires_at),
            current_since: sent(cluster.current_since),
            pending_fingerprint: cluster.pending_fingerprint,
            locked: cluster.locked,
            pin: cluster.pin.map(Into::into),
            suspension: cluster.suspension.map(Into::into),
            clock_ahead_seconds: cluster.clock_ahead_seconds.unwrap_or_default(),
            current: cluster.current,
        }
    }
}

impl From<&v1::ApplicationInCluster> for Placement {
    fn from(wire: &v1::ApplicationInCluster) -> Self {
        let report = wire.report.clone().unwrap_or_default();
        Self {
            application: text(&report.application),
            cluster: text(&wire.cluster),
            environment: text(&wire.environment),
            path: text(&wire.path),
            assigned: revision(wire.assigned.as_ref()),
            revision: revision(report.revision.as_ref()),
            sync: sync_from_wire(report.sync()),
            health: health_from_wire(report.health()),
            reason: text(&report.reason),
            message: text(&report.message),
            counts: report.counts.unwrap_or_default().into(),
            objects: list(&report.objects, MAX_OBJECTS_SHOWN),
            applied_at: moment(report.applied_at.as_ref()),
            changed_at: moment(report.changed_at.as_ref()),
            written: report.written,
            pruned: report.pruned,
        }
    }
}

impl From<Placement> for v1::ApplicationInCluster {
    fn from(placement: Placement) -> Self {
        Self {
            cluster: placement.cluster,
            environment: placement.environment,
            report: Some(v1::ApplicationReport {
                application: placement.application,
                revision: placement.revision.map(Into::into),
                sync: sync_to_wire(placement.sync).into(),
                health: health_to_wire(placement.health).into(),
                reason: placement.reason,
                message: placement.message,
                counts: Some(placement.counts.into()),
                objects: placement.objects.into_iter().map(Into::into).collect(),
                applied_at: sent(placement.applied_at),
                changed_at: sent(placement.changed_at),
                written: placement.written,
                pruned: placement.pruned,
                // The other fields of agents' reports are only for the hub's decisions and are not shown.
                ..v1::ApplicationReport::default()
            }),
            assigned: placement.assigned.map(Into::into),
            path: placement.path,
        }
    }
}

impl From<v1::Action> for ObjectAction {
    fn from(wire: v1::Action) -> Self {
        match wire {
            v1::Action::Created => Self::Created,
            v1::Action::Updated => Self::Updated,
            v1::Action::Unchanged => Self::Unchanged,
            v1::Action::Pruned => Self::Pruned,
            v1::Action::Skipped => Self::Skipped,
            v1::Action::Held => Self::Held,
            v1::Action::Failed => Self::Failed,
            v1::Action::Unspecified => Self::Unknown,
        }
    }
}

impl From<ObjectAction> for v1::Action {
    fn from(action: ObjectAction) -> Self {
        match action {
            ObjectAction::Created => Self::Created,
            ObjectAction::Updated => Self::Updated,
            ObjectAction::Unchanged => Self::Unchanged,
            ObjectAction::Pruned => Self::Pruned,
            ObjectAction::Skipped => Self::Skipped,
            ObjectAction::Held => Self::Held,
            ObjectAction::Failed => Self::Failed,
            ObjectAction::Unknown => Self::Unspecified,
        }
    }
}

impl From<&v1::ObjectStatus> for Object {
    fn from(wire: &v1::ObjectStatus) -> Self {
        let object = wire.object.clone().unwrap_or_default();
        Self {
            group: text(&object.group),
            kind: text(&object.kind),
            namespace: text(&object.namespace),
            name: text(&object.name),
            action: wire.action().into(),
            health: health_from_wire(wire.health()),
            reason: text(&wire.reason),
            message: text(&wire.message),
        }
    }
}

impl From<Object> for v1::ObjectStatus {
    fn from(object: Object) -> Self {
        Self {
            object: Some(v1::ObjectRef {
                group: object.group,
                kind: object.kind,
                namespace: object.namespace,
                name: object.name,
            }),
            action: v1::Action::from(object.action).into(),
            health: health_to_wire(object.health).into(),
            reason: object.reason,
            message: object.message,
        }
    }
}

impl From<&v1::ApplicationStatus> for Application {
    fn from(wire: &v1::ApplicationStatus) -> Self {
        let renderer = wire.renderer().as_str_name();
        let renderer = renderer.strip_prefix(RENDERER).unwrap_or(renderer);
        let (head, tail) = renderer.split_at(renderer.len().min(1));
        Self {
            name: text(&wire.name),
            repository: text(&wire.repository),
            path: text(&wire.path),
            renderer: format!("{head}{}", tail.to_ascii_lowercase()),
            clusters: wire.clusters,
            current: wire.current,
            failed: wire.failed,
            health: health_from_wire(wire.health()),
            placements: list(&wire.placements, MAX_OF_FLEET),
        }
    }
}

impl From<Application> for v1::ApplicationStatus {
    fn from(application: Application) -> Self {
        let renderer = application.renderer.to_ascii_uppercase();
        let renderer = v1::Renderer::from_str_name(&format!("{RENDERER}{renderer}"));
        Self {
            name: application.name,
            repository: application.repository,
            path: application.path,
            renderer: renderer.unwrap_or_default().into(),
            clusters: application.clusters,
            current: application.current,
            failed: application.failed,
            health: health_to_wire(application.health).into(),
            placements: application.placements.into_iter().map(Into::into).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hubs_word_on_whether_a_cluster_is_current_counts() {
        let place = v1::AssignmentRef {
            epoch: 1,
            generation: 4,
            digest: Vec::new(),
        };
        let mut wire = v1::ClusterStatus {
            connection: v1::Connection::Online.into(),
            assigned: Some(place.clone()),
            accepted: Some(place),
            ..v1::ClusterStatus::default()
        };
        let is_current = |wire: &v1::ClusterStatus| Cluster::from(wire).is_current();
        assert!(is_current(&wire), "as an older hub shows it");
        wire.current = Some(false);
        assert!(!is_current(&wire), "something else is about to be assigned");
        // The hub has no verdict on a subset of its applications.
        let some = Cluster::from(&wire).only(&["web".to_owned()]);
        assert!(some.is_current());
        wire.accepted = None;
        wire.current = Some(true);
        assert!(is_current(&wire));
        wire.current = None;
        assert!(!is_current(&wire));
    }
}
