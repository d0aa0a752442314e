//! What hub, agent and CLI all speak: ids, revisions, assignments, reports, health, identity.
